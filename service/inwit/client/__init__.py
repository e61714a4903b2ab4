"""A client for product backends: `from inwit.client import Inwit`. See docs/client.md.

It needs httpx and nothing else of this package. (`inwit.clients` is another thing: what the gateway
itself calls.)
"""

from inwit.client.answers import (
    Answer,
    Checked,
    ClassifierVerdict,
    Escalation,
    InclusionReceipt,
    InputVerdict,
    NotReleased,
    PolicyUsed,
    Receipt,
    Review,
    Tokens,
    ToolCall,
    Usage,
)
from inwit.client.errors import (
    BadAnswer,
    Conflict,
    FieldError,
    Forbidden,
    Forked,
    Gone,
    InvalidRequest,
    InwitError,
    NotFound,
    NotReached,
    RateLimited,
    ServerFailed,
    StreamBroken,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from inwit.client.events import Decision, Delta, Done, Event, Retract
from inwit.client.gateway import AsyncInwit, Inwit
from inwit.client.streams import AsyncStream, Stream
from inwit.client.witness import Witness

__all__ = [
    "Answer",
    "AsyncInwit",
    "AsyncStream",
    "BadAnswer",
    "Checked",
    "ClassifierVerdict",
    "Conflict",
    "Decision",
    "Delta",
    "Done",
    "Escalation",
    "Event",
    "FieldError",
    "Forbidden",
    "Forked",
    "Gone",
    "InclusionReceipt",
    "InputVerdict",
    "InvalidRequest",
    "Inwit",
    "InwitError",
    "NotFound",
    "NotReached",
    "NotReleased",
    "PolicyUsed",
    "RateLimited",
    "Receipt",
    "Retract",
    "Review",
    "ServerFailed",
    "Stream",
    "StreamBroken",
    "TimedOut",
    "Tokens",
    "ToolCall",
    "Unauthorized",
    "Unavailable",
    "Usage",
    "Witness",
]
