"""Every error that Inwit raises on purpose. Foreign exceptions stop at the edge that met them.

    InwitError                     500
    ├── SetupError                 at start only: what is wrong, and what to do
    │   └── PolicyError            file, line, column, remedy
    ├── BadRequest                 400, 422, 413 or 501, with the fields that are wrong
    │   └── ConversationTooLong    413, with the two token counts
    ├── Unauthorized 401 · Forbidden 403 · NotFound 404 · MethodNotAllowed 405
    ├── Conflict                   409 + Retry-After: another request holds the idempotency key
    ├── Gone · CutShort            410: what was recorded cannot be told, or was never decided
    ├── BodyTooSlow                408
    ├── RateLimited                429 + Retry-After, with the headers that say how much is left
    ├── ClientGone                 499, which nobody reads: the caller hung up
    ├── Overloaded                 503 + Retry-After
    ├── UpstreamError              502
    │   ├── UpstreamRefused        422
    │   ├── UpstreamTimeout        504
    │   └── UpstreamUnavailable    503 + Retry-After
    ├── QueueDown                  503 + Retry-After: reviewers must wait, no case is lost
    └── LedgerError                503 + Retry-After (not recorded, so not released)

Messages may reach callers and logs: they never quote content.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


class InwitError(Exception):
    """An unexpected failure inside Inwit."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str = "Something failed inside Inwit; nothing was released.",
        *,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class SetupError(InwitError):
    """The service cannot start as it is set up."""

    kind = "setup"
    title = "Cannot start"


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """One thing that is wrong in a policy file; line and column from 1."""

    file: Path
    line: int
    column: int
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.wrong} {self.remedy}"


class PolicyError(SetupError):
    """Policy files that do not compile, with every problem of each."""

    kind = "policy"
    title = "Policy does not compile"

    def __init__(self, problems: tuple[PolicyProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that is wrong, with a path such as `messages[0].role`."""

    field: str
    problem: str


class BadRequest(InwitError):
    """The caller must change the request."""

    status = 400
    kind = "bad-request"
    title = "Bad request"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class InvalidField(BadRequest):
    """Well-formed JSON with fields that are missing, wrong or unknown."""

    status = 422
    kind = "invalid-field"
    title = "Invalid field"


class UnknownModel(InvalidField):
    """The request names a model that is not served; the error names those that are."""

    def __init__(self, served: Iterable[str]) -> None:
        problem = f"unknown; served: {', '.join(served)}"
        super().__init__(
            "The request names a model that is not served.", (FieldError("model", problem),)
        )


class BodyTooLarge(BadRequest):
    """The request body passes the configured limit."""

    status = 413
    kind = "body-too-large"
    title = "Body too large"


class BodyTooSlow(BadRequest):
    """The request body did not arrive in time."""

    status = 408
    kind = "body-too-slow"
    title = "Body too slow"


class NotSupportedYet(BadRequest):
    """A documented field that this version does not serve."""

    status = 501
    kind = "not-supported-yet"
    title = "Not supported yet"


class ConversationTooLong(BadRequest):
    """The conversation does not fit the model's context; both counts are tokens, where known."""

    status = 413
    kind = "conversation-too-long"
    title = "Conversation too long"

    def __init__(self, tokens: int | None, context: int | None) -> None:
        known = tokens is not None and context is not None
        counts = f": {tokens} tokens, and the model takes {context}" if known else ""
        super().__init__(
            f"The conversation with the room for its answer does not fit{counts}. "
            "Shorten the messages or lower max_tokens."
        )
        self.tokens, self.context = tokens, context


class Unauthorized(InwitError):
    """No API key, or one that is unknown or revoked."""

    status = 401
    kind = "unauthorized"
    title = "Unauthorized"


class Forbidden(InwitError):
    """The API key lacks the role, or may not use what it asked for."""

    status = 403
    kind = "forbidden"
    title = "Forbidden"


class NotFound(InwitError):
    """What was asked for does not exist."""

    status = 404
    kind = "not-found"
    title = "Not found"


class MethodNotAllowed(InwitError):
    """The route takes other methods; the header Allow names them."""

    status = 405
    kind = "method-not-allowed"
    title = "Method not allowed"


class Conflict(InwitError):
    """Another request with the same idempotency key is being worked on."""

    status = 409
    kind = "conflict"
    title = "Conflict"


class Gone(InwitError):
    """The response was decided, and its content is no longer kept, or not in a form to be told."""

    status = 410
    kind = "gone"
    title = "Gone"


class CutShort(InwitError):
    """The stream of this response ended before its decision; there will be no answer."""

    status = 410
    kind = "cut-short"
    title = "Cut short"


class RateLimited(InwitError):
    """The API key or its tenant has used up its requests or tokens for now."""

    status = 429
    kind = "rate-limited"
    title = "Rate limited"

    def __init__(self, detail: str, *, retry_after: int, headers: Mapping[str, str]) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.headers = headers


class ClientGone(InwitError):
    """The caller hung up; its work was cancelled."""

    status = 499
    kind = "client-gone"
    title = "Client gone"


class Overloaded(InwitError):
    """As many requests are in flight as this process takes."""

    status = 503
    kind = "overloaded"
    title = "Overloaded"


class QueueDown(InwitError):
    """The review queue's Redis does not answer; the ledger has every case that waits."""

    status = 503
    kind = "queue-down"
    title = "Queue unavailable"


class LedgerError(InwitError):
    """The decision could not be recorded, so nothing was released."""

    status = 503
    kind = "not-recorded"
    title = "Not recorded"


class UpstreamError(InwitError):
    """The model server failed, or answered something that cannot be used."""

    status = 502
    kind = "upstream-error"
    title = "Model server error"


class UpstreamRefused(UpstreamError):
    """The model server will not take this conversation; `param` is what it names, if anything."""

    status = 422
    kind = "conversation-refused"
    title = "Conversation refused"

    def __init__(self, detail: str, param: str | None = None) -> None:
        super().__init__(detail)
        self.param = param


class UpstreamTimeout(UpstreamError):
    """The model server did not answer in time."""

    status = 504
    kind = "upstream-timeout"
    title = "Model server timed out"


class UpstreamUnavailable(UpstreamError):
    """The model server cannot be reached, or refuses for now."""

    status = 503
    kind = "upstream-unavailable"
    title = "Model server unavailable"
