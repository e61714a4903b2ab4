"""JSON over HTTP to one server that is not trusted: pooled, bounded, refused without quoting.

aiohttp, chosen by measurement (load_tests/README.md). Foreign exceptions stop here.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

import aiohttp
from opentelemetry.propagate import inject

from inwit.errors import (
    ConversationTooLong,
    InwitError,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnavailable,
)

CONNECT_S = 3.0
_MAX_ANSWER_BYTES = 8 * 2**20
_WRAPPING = 8  # times what an answer may have: of a stream, most is not kept (300 bytes a token)
_END_S = 1.0  # how long a server may take to end a stream of which all has come
# Shorter than the servers' own (uvicorn, and with it vLLM: 5 s), so that a request never rides
# on a connection that the server is about to close.
_KEEPALIVE_S = 4.0

# vLLM says it in words, llama.cpp in fields; both as status 400.
_TOO_LONG = re.compile(rb"context (?:length|size|window)|exceed_context_size")
_PARAM = re.compile(rb'"param":\s*"([a-z_]{1,64})"')
_SECONDS = re.compile(r"[0-9]{1,3}")
_CONTEXT = re.compile(
    rb"context (?:length|size|window)(?: is|:)?\D{0,20}(\d{1,9})|\"n_ctx\":\s*(\d{1,9})"
)
_TOKENS = re.compile(
    rb"(?:requested|contains at least|contains)\D{0,30}(\d{1,9})|\"n_prompt_tokens\":\s*(\d{1,9})"
)


class JsonTransport:
    """A pooled connection to one server. `open` it inside a running loop, `close` it after.

    `what` names the server in errors, `key_setting` the setting that holds its key. An answer of
    more than `max_answer_bytes` is an error.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        what: str = "model server",
        key_setting: str = "INWIT_MODEL_API_KEY",
        max_answer_bytes: int = _MAX_ANSWER_BYTES,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._what = what
        self._key_setting = key_setting
        self._max_answer_bytes = max_answer_bytes
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Nothing compressed: an answer's size is then what it takes in memory.
            headers=self._headers | {"Accept-Encoding": "identity"},
            auto_decompress=False,
            # The caller's deadline bounds each call as a whole; this bounds only connecting.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )

    async def close(self) -> None:
        """Close the pool; calls under way fail."""
        if self._session is not None:
            await self._session.close()

    async def send(
        self, method: str, path: str, body: dict[str, Any] | None, *, repeatable: bool = False
    ) -> bytes:
        """Send once, and once more where that is safe; give the body of an answer of status 200.

        A connection that was never made is always safe to try again. One that broke is safe only
        where `repeatable` says so: a generation may be what broke the server, and costs its whole
        length again. Redirects are not followed. There is no deadline here but for connecting.

        Raises:
            ConversationTooLong: the server says that the conversation does not fit.
            UpstreamUnavailable: it cannot be reached, hung up, or refuses for now.
            UpstreamError: any other refusal, or an answer that is too large.
        """
        try:
            return await self._send_once(method, path, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._unreachable() from error
        except (aiohttp.ClientError, OSError) as error:
            if not repeatable:
                raise self._unreachable() from error
        try:
            return await self._send_once(method, path, body)
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable() from error

    async def events(self, path: str, body: dict[str, Any]) -> AsyncGenerator[bytes]:
        """Send, and give the data of each server-sent event of the answer as it comes.

        Close it early, and the server is hung up on. The closing `[DONE]` is not given. One event
        is as large as an answer may be, and all together 8 times that.

        Raises:
            ConversationTooLong, UpstreamUnavailable, UpstreamError: as for `send`; also when the
                answer breaks off, or is no stream.
        """
        try:
            async with await self._request("POST", path, body) as answer:
                if answer.status != 200:
                    raise await self._refused(answer)
                if answer.content_type == "application/json":
                    raise UpstreamError(
                        f"The {self._what} does not stream: it ignores `stream` and answers with "
                        "one JSON document. Stream by a policy of mode buffer."
                    )
                async with aclosing(self._data(answer)) as events:
                    async for data in events:
                        yield data
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable() from error

    async def _data(self, answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        """The `data` of each event: one line, in every OpenAI-compatible server's stream."""
        size, rest = 0, bytearray()
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            rest += chunk
            limit = self._max_answer_bytes
            if len(rest) > limit or size > _WRAPPING * limit:
                raise UpstreamError(f"The {self._what}'s answer is too large.")
            if b"\n" not in chunk:
                continue
            *lines, rest = rest.split(b"\n")
            for line in lines:
                data = bytes(line[5:].strip()) if line.startswith(b"data:") else b""
                if data == b"[DONE]":
                    await _ended(answer)
                    return
                if data:
                    yield data

    async def _send_once(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        async with await self._request(method, path, body) as answer:
            if answer.status != 200:
                raise await self._refused(answer)
            return await self._read_bounded(answer)

    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> aiohttp.ClientResponse:
        if self._session is None or self._session.closed:
            raise UpstreamUnavailable(f"The connection to the {self._what} is closed.")
        headers: dict[str, str] = {}
        inject(headers)
        send = partial(
            self._session.request,
            method,
            self._base_url + path,
            json=body,
            headers=headers,
            allow_redirects=False,
        )
        try:
            return await send()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return await send()  # no connection was made, so nothing was asked yet

    async def _refused(self, answer: aiohttp.ClientResponse) -> InwitError:
        raw = await self._read_bounded(answer)
        return self._refusal(answer.status, answer.headers.get("Retry-After"), raw)

    async def _read_bounded(self, answer: aiohttp.ClientResponse) -> bytes:
        raw = bytearray()
        async for chunk in answer.content.iter_any():
            raw += chunk
            if len(raw) > self._max_answer_bytes:
                answer.close()
                raise UpstreamError(f"The {self._what}'s answer is too large.")
        return bytes(raw)

    def _unreachable(self) -> UpstreamUnavailable:
        return UpstreamUnavailable(
            f"The {self._what} cannot be reached, or hung up.", retry_after=2
        )

    def _refusal(self, status: int, retry_after: str | None, raw: bytes) -> InwitError:
        """The error for a status other than 200. The server's words may quote content: not kept."""
        if status in (400, 413, 422) and _TOO_LONG.search(raw):
            return ConversationTooLong(_number(_TOKENS, raw), _number(_CONTEXT, raw))
        if status in (429, 503):
            found = _SECONDS.fullmatch(retry_after or "")
            seconds = int(found[0]) if found else 2
            return UpstreamUnavailable(f"The {self._what} refuses for now.", retry_after=seconds)
        if status in (401, 403):
            return UpstreamError(
                f"The {self._what} refuses Inwit's credentials ({self._key_setting})."
            )
        if status in (400, 422):
            named = _PARAM.search(raw)
            return UpstreamRefused(
                f"The {self._what} refuses this conversation: its chat template may not take "
                "these roles in this order, or its settings not this length of answer or a "
                "parameter of the request.",
                named[1].decode() if named else None,
            )
        return UpstreamError(f"The {self._what} answered {status}.")


async def _ended(answer: aiohttp.ClientResponse) -> None:
    """Let the server end its answer: then the connection is used again, and else given up."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(_END_S):
            async for _ in answer.content.iter_any():
                pass


def _number(pattern: re.Pattern[bytes], raw: bytes) -> int | None:
    found = pattern.search(raw)
    return int(next(group for group in found.groups() if group)) if found else None
