"""Every error that the client raises on purpose.

    InwitError
    ├── NotReached                 no connection, or it broke before the answer was whole
    ├── TimedOut                   the call's `timeout` ran out
    ├── StreamBroken               a stream broke and could not be taken up again
    ├── BadAnswer                  what answered does not speak this contract
    ├── Forked                     the ledger's log is not the one that was seen before
    ├── InvalidRequest             400, 405, 413, 422, 501: `errors` names the fields
    ├── Unauthorized 401 · Forbidden 403 · NotFound 404
    ├── Conflict                   409: the first request with this idempotency key is not done
    ├── Gone                       410: there is no answer to be had any more
    ├── RateLimited                429
    ├── Unavailable                408, 502, 503, 504
    ├── ServerFailed               500 and the rest
    └── NotReleased                (answers.py) `require_released` of a blocked or held answer

No message quotes content or the API key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

_URN = "urn:inwit:problem:"
_LONGEST_DETAIL = 1000
_SECONDS = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that is wrong, with a path such as `messages[0].role`."""

    field: str
    problem: str


class InwitError(Exception):
    """What every error of the client has.

    `status`: the HTTP status, where there was an answer. `kind`: the problem's type without its
    prefix, as in docs/errors.md. `detail`: what is wrong, in words. `request_id`: what to look for
    in the gateway's logs. `errors`: the fields that are wrong. `retry_after`: seconds. `problem`:
    the whole problem object. `text` and `response_id`: on an error that ended a stream, the text
    that stood then, and the response.
    """

    kind: str = "internal"

    def __init__(self, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.kind = type(self).kind
        self.request_id: str | None = None
        self.errors: tuple[FieldError, ...] = ()
        self.retry_after: float | None = None
        self.problem: Mapping[str, Any] = {}
        self.text = ""
        self.response_id: str | None = None

    def __str__(self) -> str:
        known = (self.status, self.kind, self.request_id)
        fields = "".join(f" {each.field}: {each.problem}." for each in self.errors)
        return f"{self.detail}{fields} [{' '.join(str(each) for each in known if each)}]"

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        return False


class NotReached(InwitError):
    """No connection to the gateway, or it broke before the answer was whole.

    `repeatable`: whether doing the same request again can do nothing twice.
    """

    kind = "not-reached"
    repeatable = True

    @property
    def passing(self) -> bool:
        """Where a repeat is safe."""
        return self.repeatable


class TimedOut(InwitError):
    """The time that the call was given ran out."""

    kind = "timed-out"


class StreamBroken(InwitError):
    """A stream broke before its end and could not be taken up again."""

    kind = "stream-broken"


class BadAnswer(InwitError):
    """What answered does not speak Inwit's contract: a proxy's page, or another service."""

    kind = "bad-answer"


class Forked(InwitError):
    """The ledger's log is not the one that it was: entries were changed, taken away or put aside.

    `kept`: the checkpoint, a signed note, that was seen before. `shown`: the one that does not go
    with it. Keep both: they are the evidence. It is never tried again.
    """

    kind = "ledger-forked"

    def __init__(self, detail: str, *, kept: str, shown: str) -> None:
        super().__init__(detail)
        self.kept = kept
        self.shown = shown


class InvalidRequest(InwitError):
    """The request must be changed; `errors` names the fields."""


class Unauthorized(InwitError):
    """No API key, or one that is unknown or revoked."""


class Forbidden(InwitError):
    """The API key may not do that, or not use that policy."""


class NotFound(InwitError):
    """No such response for this API key's tenant."""


class Conflict(InwitError):
    """The first request with this idempotency key is still being worked on."""

    @property
    def passing(self) -> bool:
        """Where the gateway says when to come back."""
        return self.retry_after is not None


class Gone(InwitError):
    """There is no answer to be had any more: its stream was cut short, or it is no longer kept."""


class RateLimited(InwitError):
    """The key's or the tenant's limit is used up; `retry_after` says until when."""

    @property
    def passing(self) -> bool:
        """Always."""
        return True


class Unavailable(InwitError):
    """The gateway is overloaded, or what it depends on is away; `kind` says which."""

    @property
    def passing(self) -> bool:
        """Always."""
        return True


class ServerFailed(InwitError):
    """Something failed inside the gateway."""


_BY_STATUS: Mapping[int, type[InwitError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Gone,
    429: RateLimited,
    501: InvalidRequest,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def from_problem(
    status: int,
    problem: Mapping[str, Any] | None,
    *,
    request_id: str | None = None,
    retry_after: str | None = None,
) -> InwitError:
    """The error for a status of 300 and more; `problem` is None where the body is not JSON."""
    if status < 400:
        return BadAnswer(
            f"The server answered with status {status}, which Inwit never does; redirects are not "
            "followed. Give the gateway's own address.",
            status=status,
        )
    kind = _BY_STATUS.get(status, InvalidRequest if status < 500 else ServerFailed)
    problem = problem or {}
    error = kind(_detail(status, problem), status=status)
    error.kind = _text(problem, "type").removeprefix(_URN) or f"http-{status}"
    error.request_id = _text(problem, "request_id") or request_id
    error.errors = tuple(_field_errors(problem))
    error.retry_after = seconds(retry_after)
    error.problem = problem
    return error


def _detail(status: int, problem: Mapping[str, Any]) -> str:
    detail = _text(problem, "detail")[:_LONGEST_DETAIL]
    return detail or f"The server answered {status} and gave no reason; is a proxy in between?"


def _text(problem: Mapping[str, Any], name: str) -> str:
    value = problem.get(name)
    return value if isinstance(value, str) else ""


def _field_errors(problem: Mapping[str, Any]) -> list[FieldError]:
    errors = problem.get("errors")
    found: list[FieldError] = []
    for each in cast("list[Any]", errors) if isinstance(errors, list) else []:
        if isinstance(each, dict):
            one = cast("dict[str, Any]", each)
            found.append(FieldError(_text(one, "field"), _text(one, "problem")))
    return found


def seconds(header: str | None) -> float | None:
    """Retry-After in seconds; a date, which the gateway never sends, counts as none."""
    return float(header) if header and _SECONDS.fullmatch(header) else None
