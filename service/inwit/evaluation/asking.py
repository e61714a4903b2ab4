"""Asks the served model about samples, by the code that serving uses."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager

from inwit.clients.openai_compatible import OpenAICompatible
from inwit.clients.served import served_client
from inwit.config import Settings
from inwit.errors import SetupError
from inwit.evaluation.samples import Sample
from inwit.evaluation.turns import in_turn
from inwit.pipeline.conscience import Conscience
from inwit.pipeline.exchange import exchange_for
from inwit.policy.policy import ReviewSpec
from inwit.types import Fault, Verdict

# Longer than serving allows: nobody waits, and a slow verdict is as good as a quick one.
_TIMEOUT_S = 120.0
_TENANT = "calibration"
# Faults that say that the server cannot serve at all, and how many in a row mean it.
_BROKEN = frozenset({Fault.UPSTREAM, Fault.TIMEOUT, Fault.NO_LOGPROBS, Fault.MALFORMED})
_IN_A_ROW = 20


@asynccontextmanager
async def served_model(settings: Settings, name: str | None) -> AsyncGenerator[OpenAICompatible]:
    """The model server of the settings, probed; the embedded model where they name none.

    `name` is the model to use; the first served one where it is `None`.

    Raises:
        SetupError: the embedded model does not start, or the server gives no log-probabilities.
        UpstreamError: the server cannot be reached, or does not serve the model.
    """
    async with served_client(settings, name) as client:
        if not (await client.probe()).logprobs:
            raise SetupError(
                "The model server gives no log-probabilities, so it cannot judge. "
                "Turn them on there, or set INWIT_MODEL_URL to another server."
            )
        yield client


async def ask_all(
    client: OpenAICompatible,
    review: ReviewSpec,
    samples: Iterable[Sample],
    concurrency: int,
    tell: Callable[[Sample, Verdict], None],
) -> None:
    """Ask about each sample, `concurrency` at once; `tell` gets each verdict as it comes.

    Raises:
        SetupError: so many in a row failed that the server must be at fault.
    """
    conscience, model = Conscience(client), client.resolve(None)

    async def ask(sample: Sample) -> bool:
        verdict = await _ask(conscience, review, sample, model)
        tell(sample, verdict)
        return verdict.fault in _BROKEN

    failed = await in_turn(samples, concurrency, _IN_A_ROW, ask)
    if failed >= _IN_A_ROW:
        raise SetupError(
            f"The last {failed} samples could not be judged. Look after the model server; "
            "with --scores, the next run goes on where this one ended."
        )


async def _ask(conscience: Conscience, review: ReviewSpec, sample: Sample, model: str) -> Verdict:
    exchange = exchange_for(sample.conversation, sample.candidate(model), _TENANT)
    return await conscience.judge(review, exchange, model, _TIMEOUT_S)
