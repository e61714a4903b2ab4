"""Webhooks: the answers to held responses, signed, on their way to the callers that asked for them.

Standard Webhooks has the headers and the signature (docs/webhooks.md). At least once: what a
gateway sent and could not record is sent again, with the same webhook-id.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import ssl
from collections import Counter
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
import structlog

from inwit import __version__, callbacks, telemetry
from inwit.callbacks import CallbackRule
from inwit.cases import CaseState, Settled, Settlement
from inwit.errors import Gone, InvalidField, LedgerError
from inwit.escalation.addresses import (
    AddressRefused,
    Lookup,
    Pinned,
    addresses_of,
    system_lookup,
)
from inwit.ledger import deliveries
from inwit.ledger.database import Database
from inwit.ledger.deliveries import Delivery
from inwit.ledger.store import LedgerStore
from inwit.ledger.stored import Stored
from inwit.ledger.transaction import Transaction
from inwit.tasks import beside

log = structlog.get_logger()

_INTERVAL_S = 1.0
_AT_ONCE = 16
_PER_HOST = 4
_TIMEOUT_S = 10.0  # for one attempt in all, the look-up of the name included
_DRAIN_S = 5.0
_COUNT_EACH = timedelta(minutes=1)
_ANSWER_BYTES = 4096  # of a body that nobody reads, which the connection may hold meanwhile
_DAY = timedelta(days=1)
_SECONDS = re.compile(r"[0-9]{1,9}")


class Responses(Protocol):
    """Knows what became of responses."""

    async def about(self, tenant: str, response_id: str) -> Stored | None:
        """None where there is none. Raises Gone where it cannot be told any more, LedgerError."""
        ...


class CallbackRules(Protocol):
    """Knows where answers for an API key may be sent."""

    async def callback_rule(self, key_id: str) -> CallbackRule | None:
        """None where nowhere. Raises LedgerError where that cannot be looked up."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending once. `result` is a status code, or a word for what failed."""

    result: str
    arrived: bool = False
    final: bool = False
    retry_after: timedelta | None = None


def payload(response_id: str, case_id: str, settlement: Settlement) -> bytes:
    """The body of a webhook: JSON in ASCII."""
    output, ruled = settlement.output, settlement.ending is Settled.RULED
    state = CaseState.RESOLVED if ruled else CaseState.EXPIRED
    data: dict[str, Any] = {
        "id": response_id,
        "status": "released" if settlement.released else "blocked",
        "output": {
            "role": "assistant",
            "content": output.text,
            "tool_calls": [call.as_openai() for call in output.tool_calls],
            "finish_reason": output.finish_reason,
        },
        "escalation": {"id": case_id, "state": state.value},
        "poll": f"/v1/responses/{response_id}",
    }
    told = {
        "type": "response.settled",
        "timestamp": settlement.time.isoformat(),
        "data": data,
    }
    return json.dumps(told, separators=(",", ":"), allow_nan=False).encode()


def signed(secret: str, webhook_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks, for these exact bytes."""
    timestamp = str(int(now.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    content = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


class Deliverer:
    """Sends what is due, a few at once. Keep it running while the ledger's writer runs.

    `lookup` resolves names; the system's own resolver where None.
    """

    def __init__(
        self,
        database: Database,
        ledger: LedgerStore,
        keys: CallbackRules,
        responses: Responses,
        *,
        lookup: Lookup | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._database, self._ledger = database, ledger
        self._keys, self._responses = keys, responses
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="callback-names")
        self._lookup = lookup or system_lookup(self._threads)
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()
        self._owner = secrets.token_hex(16)
        self._posts: dict[asyncio.Task[None], str] = {}
        self._woken = asyncio.Event()
        self._given_up = 0
        self._counted: datetime | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Send while the block runs; at its end, what is under way has a few seconds."""
        try:
            async with beside("webhooks", self._send_forever()):
                yield
        finally:
            await self._drain()
            self._threads.shutdown(wait=False, cancel_futures=True)

    def wake(self) -> None:
        """Look at once for what is due, and not only within the next second."""
        self._woken.set()

    def warnings(self) -> list[str]:
        """What the one who runs this gateway should know, as of the last minute."""
        if not self._given_up:
            return []
        webhooks = "1 webhook was" if self._given_up == 1 else f"{self._given_up} webhooks were"
        return [f"{webhooks} given up in the last day: inwit queue deliveries"]

    async def _drain(self) -> None:
        if self._posts:
            await asyncio.wait(self._posts, timeout=_DRAIN_S)
        rest = list(self._posts)
        for post in rest:
            post.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _send_forever(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._send_due()
                await self._count()
            except Exception as error:  # noqa: BLE001  # whatever it is, this loop must outlive it
                log.warning("webhooks_not_looked_for", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_S):
                    await self._woken.wait()

    async def _send_due(self) -> None:
        """Start as many as there is room for; each one that ends looks for the next."""
        room, busy = _AT_ONCE - len(self._posts), Counter(self._posts.values())
        if not room:
            return
        ids = await self._database.read(
            lambda connection: deliveries.due(Transaction(connection), room, busy, _PER_HOST)
        )
        if not ids:
            return
        taken = await self._ledger.write(
            lambda transaction: deliveries.take(transaction, self._owner, ids)
        )
        for delivery in taken:
            post = asyncio.create_task(self._send(delivery), name="webhook")
            self._posts[post] = delivery.host
            post.add_done_callback(self._ended)
        if len(taken) < len(ids):  # another gateway was first
            self.wake()

    def _ended(self, post: asyncio.Task[None]) -> None:
        del self._posts[post]
        self.wake()

    async def _send(self, delivery: Delivery) -> None:
        try:
            attempt = await self._attempt(delivery)
            given_up = await self._ledger.write(lambda each: _recorded(each, delivery, attempt))
        except Exception as error:  # noqa: BLE001  # its lease runs out, and it is sent again
            log.error("webhook_not_recorded", delivery=delivery.id, error=type(error).__name__)
            return
        log.info(
            "webhook_sent" if attempt.arrived else "webhook_failed",
            delivery=delivery.id,
            response=delivery.response_id,
            attempt=delivery.attempts,
            result=attempt.result,
        )
        if given_up:
            self._counted = None
        outcome = "delivered" if attempt.arrived else "given_up" if given_up else "failed"
        telemetry.DELIVERIES.labels(outcome).inc()

    async def _attempt(self, delivery: Delivery) -> Attempt:
        """Send once, if it may still be sent.

        Raises:
            LedgerError: the database failed, so that nothing was sent.
        """
        try:
            rule = await self._keys.callback_rule(delivery.key_id)
            callbacks.check_callback(delivery.url, rule)
            stored = await self._responses.about(delivery.tenant, delivery.response_id)
            settlement = stored.response.settlement if stored and stored.response else None
            if rule is None or settlement is None:
                return Attempt("not_settled")
            body = payload(delivery.response_id, delivery.case_id, settlement)
            headers = signed(rule.secret, delivery.id, datetime.now(UTC), body)
            async with asyncio.timeout(self._timeout_s):
                return await self._post(delivery.url, headers, body)
        except LedgerError:
            raise
        except InvalidField:
            return Attempt("not_allowed", final=True)
        except Gone:
            return Attempt("content_gone", final=True)
        except Exception as error:  # noqa: BLE001  # a receiver can break anything
            return Attempt(_word(error))

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Attempt:
        where = callbacks.target(url)
        addresses = await addresses_of(where, self._lookup)
        # One connection for each, to exactly what was looked at.
        connector = aiohttp.TCPConnector(
            resolver=Pinned(addresses), use_dns_cache=False, force_close=True, ssl=self._tls
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # no proxies: they would resolve the name again
                auto_decompress=False,
                read_bufsize=_ANSWER_BYTES,
            ) as session,
            session.post(
                url,
                data=body,
                headers=_HEADERS | headers,
                allow_redirects=False,
            ) as answer,
        ):
            return _judged(answer.status, answer.headers.get("Retry-After"))

    async def _count(self) -> None:
        now = datetime.now(UTC)
        if self._counted is None or now - self._counted >= _COUNT_EACH:
            self._given_up = await self._database.read(
                lambda connection: deliveries.given_up(Transaction(connection), _DAY)
            )
            self._counted = now


_HEADERS = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"Inwit/{__version__} (webhooks)",
}


def _recorded(transaction: Transaction, delivery: Delivery, attempt: Attempt) -> bool:
    """Whether it is given up."""
    if attempt.arrived:
        deliveries.delivered(transaction, delivery, attempt.result)
        return False
    return deliveries.failed(
        transaction,
        delivery,
        attempt.result,
        retry_after=attempt.retry_after,
        final=attempt.final,
    )


def _judged(status: int, retry_after: str | None) -> Attempt:
    """What an answer means; its body is never read."""
    return Attempt(
        str(status),
        arrived=200 <= status < 300,
        final=status == 410,
        retry_after=_wait(retry_after) if status in (429, 503) else None,
    )


def _wait(retry_after: str | None) -> timedelta | None:
    """Retry-After in either of its forms: seconds, or a date."""
    if not retry_after:
        return None
    if _SECONDS.fullmatch(retry_after):
        return timedelta(seconds=int(retry_after))
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return date - datetime.now(UTC) if date.tzinfo else None


def _word(error: Exception) -> str:
    """A word for what failed, out of a closed set: errors themselves quote addresses."""
    match error:
        case AddressRefused():
            return "address_refused"
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "tls_failed"
        case aiohttp.ClientConnectorError():
            return "not_connected"
        case aiohttp.ClientError():
            return "hung_up"
        case OSError():
            return "not_resolved"
        case _:
            return "failed"
