"""The header `Idempotency-Key`: a repeated request is answered once (docs/decisions/0018)."""

import asyncio
import hashlib
import json
import re
import uuid

import structlog
from fastapi import Request
from pydantic import BaseModel

from inwit.bootstrap import Gateway
from inwit.decisions import Response
from inwit.errors import FieldError, Gone, InvalidField, LedgerError
from inwit.ledger.idempotency import HEADER, Wanted
from inwit.pipeline.streaming import Live
from inwit.types import Call, Claim

log = structlog.get_logger()

REPLAYED = {"idempotent-replayed": "true"}

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SHAPE = {"stream", "stream_options"}  # how an answer is wanted, not which one


async def claim(
    gateway: Gateway, request: Request, call: Call, body: BaseModel
) -> Claim | Response | None:
    """Claim the request's idempotency key, for the pipeline to complete; None where it has none.

    A Response is the answer that the same request got before: it is recorded, and to be given
    again with the header REPLAYED.

    Raises:
        Conflict: the first request with this key is still being worked on.
        InvalidField: the key is malformed, or stands for another request.
        Gone: the first answer's content is no longer kept.
        LedgerError: the key cannot be claimed for now.
    """
    key = _key(request)
    if key is None:
        return None
    wanted = Wanted(
        Claim(call.principal.tenant, hashlib.sha256(key.encode()).hexdigest(), uuid.uuid4().hex),
        _digest(request.url.path, call, body),
        gateway.longest_s,
    )
    try:
        async with asyncio.timeout(gateway.settings.record_ms / 1000):
            answered = await gateway.ledger.claim(wanted)
    except TimeoutError as error:
        detail = "The idempotency key could not be claimed in time; nothing was generated."
        raise LedgerError(detail, retry_after=1) from error
    if answered is None:
        return wanted.claim
    stored = await gateway.responses.about(call.principal.tenant, answered)
    if stored is None or stored.response is None:
        raise Gone("The answer to this idempotency key is no longer kept; take a new key.")
    log.info("replayed", response=answered, tenant=call.principal.tenant)
    return stored.response


def release_unless_begun(gateway: Gateway, call: Call, live: Live) -> None:
    """Let the key of a stream go that the pipeline never saw: its caller hung up before."""
    if call.claim is not None and not live.response_id:
        gateway.ledger.release(call.claim)


def _key(request: Request) -> str | None:
    keys = request.headers.getlist(HEADER)
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        errors = (FieldError(HEADER, "one key of 1 to 255 visible ASCII characters"),)
        raise InvalidField(f"Mend the header {HEADER}.", errors)
    return keys[0]


def _digest(path: str, call: Call, body: BaseModel) -> str:
    """SHA-256 over all that makes the request what it is, the policy that decides included."""
    policy = call.policy or call.principal.default_policy
    asked = [path, policy, body.model_dump(mode="json", exclude=_SHAPE)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
