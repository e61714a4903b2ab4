"""The GenAI names of OpenTelemetry: one table, in the two spellings that are about.

The conventions moved to a repository of their own and are renaming metrics there; what collectors
know today is the set published before. `OTEL_SEMCONV_STABILITY_OPT_IN` picks one, never both.
"""

from dataclasses import dataclass
from enum import StrEnum

from inwit.errors import SetupError

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"


class Convention(StrEnum):
    """Which set of names is sent."""

    PUBLISHED = "published"
    LATEST = "gen_ai_latest_experimental"


@dataclass(frozen=True, slots=True)
class Names:
    """Names that differ. `guardrail` is the open proposal's prefix; None where it is not sent."""

    duration: str
    input_tokens: str
    output_tokens: str
    token_type: bool  # whether an attribute tells input and output apart
    guardrail: str | None


NAMES = {
    Convention.PUBLISHED: Names(
        duration="gen_ai.client.operation.duration",
        input_tokens="gen_ai.client.token.usage",
        output_tokens="gen_ai.client.token.usage",
        token_type=True,
        guardrail=None,
    ),
    Convention.LATEST: Names(
        duration="gen_ai.client.inference.duration",
        input_tokens="gen_ai.client.inference.operation.input_tokens",
        output_tokens="gen_ai.client.inference.operation.output_tokens",
        token_type=False,
        guardrail="gen_ai.guardrail",
    ),
}

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  # no secret
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
EVALUATION_EVENT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"

# As the conventions advise: seconds doubling from .01, tokens by powers of four.
DURATION_BUCKETS = tuple(0.01 * 2**power for power in range(14))
TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))


def convention_of(opt_in: str) -> Convention:
    """What the variable's value asks for; other projects' words in it are theirs.

    Raises:
        SetupError: a word for GenAI that stands for nothing.
    """
    words = [word.strip() for word in opt_in.split(",")]
    ours = [word for word in words if word.startswith("gen_ai")]
    unknown = [word for word in ours if word != Convention.LATEST]
    if unknown:
        raise SetupError(
            f"{OPT_IN}: {unknown[0]!r} is not known. Leave it out for the published names, "
            f"or write {Convention.LATEST.value}."
        )
    return Convention.LATEST if ours else Convention.PUBLISHED
