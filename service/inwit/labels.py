"""The closed sets that labels of metrics come from, where no other part has them already."""

from enum import StrEnum


class Dependency(StrEnum):
    """What the gateway leans on."""

    MODEL = "model"
    REDIS = "redis"
    LEDGER = "ledger"


class Text(StrEnum):
    """What a judge was shown."""

    INPUT = "input"
    CANDIDATE = "candidate"
    REWRITE = "rewrite"
    WINDOW = "window"


class Guard(StrEnum):
    """What made the policy do something other than to let a text pass."""

    CONSCIENCE = "conscience"
    CLASSIFIER = "classifier"
    INPUT = "input"
    TOOLS = "tools"
    REDACTION = "redaction"
    REWRITE = "rewrite"
    FAILURE = "failure"  # a judge that was needed did not judge


class Purpose(StrEnum):
    """What tokens were spent on."""

    GENERATION = "generation"
    REVIEW = "review"


class AnchorKind(StrEnum):
    """What sort of place checkpoints of the ledger are sent to."""

    FOLDER = "folder"
    BUCKET = "bucket"
    WEBHOOK = "webhook"
    GIT = "git"


class Cause(StrEnum):
    """Why a checkpoint of the ledger was not signed, or not taken."""

    CHANGED = "changed"
    FAILED = "failed"


class Signal(StrEnum):
    """What OpenTelemetry is sent."""

    SPANS = "spans"
    LOGS = "logs"


class WindowOutcome(StrEnum):
    """What the review of a window of a stream came to."""

    PASSED = "passed"
    FLAGGED = "flagged"
    NOT_REVIEWED = "not_reviewed"


class StreamEnd(StrEnum):
    """How a stream of events ended."""

    DONE = "done"
    ERROR = "error"
    CALLER_GONE = "caller_gone"
    SLOW_READER = "slow_reader"


class Reload(StrEnum):
    """What came of compiling the policy folder anew."""

    OK = "ok"
    REFUSED = "refused"
    UNCHANGED = "unchanged"


class Bound(StrEnum):
    """Which number of an interval."""

    ESTIMATE = "estimate"
    LOW = "low"
    HIGH = "high"
