"""The requests that the client makes, as values: built once, sent as often as need be."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict

import httpx

Message: TypeAlias = Mapping[str, Any]

_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_RESPONSE_ID = re.compile(r"resp_[A-Za-z0-9_-]{1,128}")
_ENTRY_ID = re.compile(r"ent_[A-Za-z0-9_-]{1,128}")
_LONG_POLL_MARGIN_S = 15.0


class RespondOptions(TypedDict, total=False):
    """What `respond` and `stream` take beside the messages; the gateway's page `/docs` explains."""

    policy: str | None
    model: str | None
    max_tokens: int | None
    temperature: float | None
    seed: int | None
    deadline_ms: int | None
    end_user: str | None
    conversation_id: str | None
    metadata: dict[str, str] | None
    tools: list[dict[str, Any]] | None
    context: list[dict[str, str]] | None
    wait_ms: int | None
    callback_url: str | None


class CheckOptions(TypedDict, total=False):
    """What `check` and `check_many` take beside messages and candidates."""

    policy: str | None
    deadline_ms: int | None
    mode: Literal["review", "rewrite"] | None
    tools: list[dict[str, Any]] | None
    context: list[dict[str, str]] | None
    end_user: str | None
    conversation_id: str | None
    metadata: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `repeatable`: doing it again does nothing twice. `patience`: longest wait for
    the head of the answer, in seconds; where None, all the time that the call has."""

    method: str
    url: str
    headers: httpx.Headers  # whose repr hides the key
    request_id: str
    body: bytes | None = field(default=None, repr=False)
    repeatable: bool = True
    patience: float | None = None


class Calls:
    """Makes the calls to one gateway with one API key.

    A generation has an idempotency key, so that a repeat is answered and not done again.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = _checked_url(base_url)
        if not _KEY.fullmatch(api_key):
            raise ValueError("api_key is empty, or has spaces, line ends or other odd characters")
        self._headers = httpx.Headers(
            {
                "authorization": f"Bearer {api_key}",
                "user-agent": "inwit-client",
                # Nothing compressed: what comes is then as large in memory, and comes at once.
                "accept-encoding": "identity",
            }
        )

    def respond(
        self,
        messages: Sequence[Message],
        options: RespondOptions,
        *,
        stream: bool,
        idempotency_key: str | None,
    ) -> Call:
        """`POST /v1/respond`."""
        fixed = {"messages": messages, "stream": True} if stream else {"messages": messages}
        key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
        if not _IDEMPOTENCY_KEY.fullmatch(key):
            raise ValueError("idempotency_key must be 1 to 255 visible ASCII characters")
        body = _body(fixed, options, RespondOptions)
        return self._call("POST", "/v1/respond", {"idempotency-key": key}, body=body)

    def check(self, what: Mapping[str, Any], options: CheckOptions) -> Call:
        """`POST /v1/check` of the messages and the candidates in `what`. It takes no idempotency
        key: a review may be done twice, a rewrite may not."""
        body, reviews = _body(what, options, CheckOptions), options.get("mode") != "rewrite"
        return self._call("POST", "/v1/check", {}, body=body, repeatable=reviews)

    def response(self, response_id: str, wait: float | None) -> Call:
        """`GET /v1/responses/{id}`."""
        query = "" if wait is None else f"?wait={int(wait)}"
        path = f"/v1/responses/{checked_id(response_id)}{query}"
        return self._call("GET", path, {}, patience=(wait or 0) + _LONG_POLL_MARGIN_S)

    def events(self, response_id: str, last_event_id: str) -> Call:
        """`GET /v1/responses/{id}/events`."""
        path = f"/v1/responses/{checked_id(response_id)}/events"
        return self._call("GET", path, {"last-event-id": last_event_id})

    def receipt(self, name: str) -> Call:
        """`GET /v1/receipts/{id}`, of a response or an entry."""
        if not _ENTRY_ID.fullmatch(name):
            checked_id(name)
        return self._call("GET", f"/v1/receipts/{name}", {})

    def checkpoint(self) -> Call:
        """`GET /v1/ledger/checkpoint`."""
        return self._call("GET", "/v1/ledger/checkpoint", {})

    def consistency(self, old: int, new: int) -> Call:
        """`GET /v1/ledger/consistency`."""
        return self._call("GET", f"/v1/ledger/consistency?old={old}&new={new}", {})

    def _call(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        body: bytes | None = None,
        repeatable: bool = True,
        patience: float | None = None,
    ) -> Call:
        request_id = f"req_{uuid.uuid4().hex}"
        whole = httpx.Headers({**self._headers, **headers, "x-request-id": request_id})
        if body is not None:
            whole["content-type"] = "application/json"
        return Call(method, self.base_url + path, whole, request_id, body, repeatable, patience)


def checked_id(response_id: str) -> str:
    """The id of a response, which becomes a part of an address.

    Raises:
        ValueError: it is none.
    """
    if not _RESPONSE_ID.fullmatch(response_id):
        raise ValueError("a response's id is resp_ and letters, digits, - or _")
    return response_id


def _checked_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    usable = url.scheme in ("http", "https") and url.host
    if not usable or url.userinfo or url.query or url.fragment:
        raise ValueError(
            "base_url must be the gateway's address, such as https://inwit.example, without "
            "credentials or query"
        )
    return base_url.rstrip("/")


def _body(
    fixed: Mapping[str, Any], options: RespondOptions | CheckOptions, known: type[Any]
) -> bytes:
    """The JSON body; an option that is None is left out. ASCII, so that any text can be encoded."""
    unknown = sorted(options.keys() - known.__annotations__.keys())
    if unknown:
        raise TypeError(f"unknown option: {', '.join(unknown)}")
    given = {name: value for name, value in options.items() if value is not None}
    return json.dumps({**given, **fixed}, allow_nan=False, separators=(",", ":")).encode()
