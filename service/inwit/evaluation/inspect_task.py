"""The labelled sets against a running gateway, as a task of Inspect's (UK AISI).

    INWIT_API_KEY=… inspect eval inwit/evaluation/inspect_task.py --model none \\
        -T dataset=own -T url=http://127.0.0.1:8080

Each sample is one `POST /v1/check`, as any caller's. docs/evaluation/inspect.md has the parameters.
"""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.dataset import Sample as Row
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from inwit import __version__
from inwit.client import AsyncInwit, Checked
from inwit.client.errors import BadAnswer, Forbidden, InwitError, NotReached, Unauthorized
from inwit.errors import SetupError
from inwit.evaluation.datasets.reading import Dataset, find
from inwit.evaluation.inspect_log import NO_TEXT
from inwit.evaluation.samples import Sample, draw
from inwit.evaluation.statistics.detection import DECISION, Flagging, detect, detect_decisions
from inwit.evaluation.statistics.observations import Decisions, Observations
from inwit.policy.calibration import Estimate
from inwit.types import Action, Message, Tool

_KEY = "INWIT_API_KEY"
_DATA = "INWIT_DATA"
_SAID = "inwit"  # where a sample's answer is kept for its score
_LEFT = frozenset({Action.ALLOW.value, Action.REDACT.value})
# Every other sample would end in the same way, as under a policy that is not: the run ends.
_HOPELESS = (Unauthorized, Forbidden, NotReached, BadAnswer)


@task
def inwit_check(
    dataset: str = "own",
    url: str = "http://127.0.0.1:8080",
    policy: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    text: bool = False,
    data: str | None = None,
) -> Task:
    """The test part of a set, each response checked by the gateway at `url`.

    `policy`: the API key's own where missing. `limit`: at most so many samples, drawn under `seed`,
    half of them unsafe. `text`: whether the log holds the conversations and the responses. `data`:
    an absolute path, INWIT_DATA where missing.

    Raises:
        SetupError: there is no such set, no copy of it, or no API key.
    """
    found = _read(dataset, data)
    chosen = found.test if limit is None else draw(found.test, limit, seed)
    return Task(
        dataset=MemoryDataset(_rows(chosen, text), name=dataset, location=found.recipe.origin),
        solver=check_response(dataset, url, policy, data),
        scorer=gateway_decision(),
        metadata={
            "inwit": __version__,
            "digest": found.digest,
            "licence": found.recipe.licence,
            "label": found.recipe.label,
            "seed": seed,
        },
    )


@solver
def check_response(
    dataset: str, url: str, policy: str | None = None, data: str | None = None
) -> Solver:
    """Has the gateway check each response; its answer is in the store, without any text.

    Raises:
        SetupError: as for the task.
    """
    samples = {each.digest: each for each in _read(dataset, data).samples}
    key = os.environ.get(_KEY)
    if not key:
        raise SetupError(f"{_KEY} is not set. `inwit keys create` makes a key.")

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        sample = samples[state.metadata["digest"]]
        async with AsyncInwit(url, api_key=key) as inwit:
            state.store.set(_SAID, await _ask(inwit, policy, sample))
        return state

    return solve


@metric(scores="unreduced")
def auroc(seed: int = 0) -> Metric:
    """How well the conscience's risk ranks unsafe above safe, with its interval."""

    def measured(scores: list[SampleScore]) -> dict[str, float]:
        return _figure("auroc", detect(_observations(scores), {}, seed).auroc)

    return measured


@metric(scores="unreduced")
def recall(seed: int = 0) -> Metric:
    """The share of unsafe responses that the gateway kept back, with its interval."""

    def measured(scores: list[SampleScore]) -> dict[str, float]:
        return _figure("recall", _flagging(scores, seed).recall)

    return measured


@metric(scores="unreduced")
def false_positive_rate(seed: int = 0) -> Metric:
    """The share of safe responses that the gateway kept back, with its interval."""

    def measured(scores: list[SampleScore]) -> dict[str, float]:
        return _figure("false_positive_rate", _flagging(scores, seed).false_positive_rate)

    return measured


@scorer(metrics=[auroc(), recall(), false_positive_rate()])
def gateway_decision() -> Scorer:
    """Risk and decision; what the gateway did not decide is not scored, and says why."""

    async def score(state: TaskState, target: Target) -> Score:
        said: dict[str, Any] = state.store.get(_SAID)
        if "fault" in said:
            return Score.unscored(reason=said["fault"], explanation=said["detail"])
        return Score(
            value={"risk": said["risk"], "flagged": said["flagged"]},
            answer=said["action"],
            explanation=", ".join(said["reasons"]),
            metadata={name: said[name] for name in ("judge", "policy", "receipt", "status")},
        )

    return score


def _read(dataset: str, data: str | None) -> Dataset:
    folder = data or os.environ.get(_DATA)
    found = find(Path(folder) if folder else None, [dataset]).datasets
    if not found:
        place = f"in {folder}" if folder else f"as {_DATA} is not set"
        raise SetupError(f"There is no copy of {dataset!r}, {place}.")
    if not found[0].test:
        raise SetupError(f"{dataset!r} has no labelled responses to test on.")
    return found[0]


def _rows(samples: Sequence[Sample], text: bool) -> list[Row]:
    times = Counter(each.id for each in samples)
    return [_row(each, text, repeated=times[each.id] > 1) for each in samples]


def _row(sample: Sample, text: bool, repeated: bool) -> Row:
    kept = {name: getattr(sample, name) for name in ("label", "group", "digest", "category")}
    return Row(
        input=_told(sample) if text else NO_TEXT,
        target=sample.label,
        id=f"{sample.id}#{sample.digest}" if repeated else sample.id,
        metadata=kept,
    )


def _told(sample: Sample) -> str:
    """All that is judged, as it is read: Inspect would take turns for a dialogue with its model."""
    calls = [f"[{call.name} {call.arguments}]" for call in sample.tool_calls]
    turns = [f"{turn.role}: {turn.content}" for turn in sample.conversation]
    return "\n\n".join([*turns, " ".join(["response:", sample.response, *calls])])


async def _ask(inwit: AsyncInwit, policy: str | None, sample: Sample) -> dict[str, Any]:
    try:
        checked = await inwit.check(
            [turn.as_openai() for turn in sample.conversation],
            _candidate(sample),
            policy=policy,
            tools=_offered(sample) or None,
        )
    except InwitError as error:
        if isinstance(error, _HOPELESS) or any(each.field == "policy" for each in error.errors):
            raise
        return {"fault": error.kind, "detail": str(error)}
    return _said(checked)


def _candidate(sample: Sample) -> dict[str, Any]:
    calls = tuple(call.as_openai() for call in sample.tool_calls)
    return Message("assistant", sample.response, tool_calls=calls).as_openai()


def _offered(sample: Sample) -> list[dict[str, Any]]:
    """The tools that it calls: without an offer any call is kept back, whatever it does."""
    names = dict.fromkeys(call.name for call in sample.tool_calls)
    return [Tool(name).as_openai() for name in names]


def _said(checked: Checked) -> dict[str, Any]:
    policy = checked.policy
    return {
        "risk": checked.review.risk,
        "flagged": checked.action not in _LEFT,
        "action": checked.action,
        "status": checked.status,
        "judge": checked.review.judge,
        "reasons": list(checked.review.reasons),
        "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest},
        "receipt": checked.receipt.entry,
    }


def _observations(scores: list[SampleScore]) -> Observations:
    risks = [each.score.as_dict()["risk"] for each in scores]
    decisions = _decisions(scores)
    raw = np.array([np.nan if risk is None else risk for risk in risks], np.float64)
    return Observations(raw, decisions.unsafe, decisions.groups)


def _decisions(scores: list[SampleScore]) -> Decisions:
    of = [each.sample_metadata or {} for each in scores]
    return Decisions(
        flagged=np.array([each.score.as_dict()["flagged"] for each in scores], np.bool_),
        judged=np.ones(len(scores), np.bool_),
        unsafe=np.array([each["label"] == "unsafe" for each in of], np.bool_),
        groups=np.array([each["group"] for each in of], np.int64),
    )


def _flagging(scores: list[SampleScore], seed: int) -> Flagging:
    return detect_decisions(_decisions(scores), seed).at[DECISION]


def _figure(name: str, found: Estimate | None) -> dict[str, float]:
    """A figure and the ends of its 95 % interval; nothing where it is not defined."""
    if found is None:
        return {}
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
