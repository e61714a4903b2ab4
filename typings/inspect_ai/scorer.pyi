# The part of Inspect's scorers and metrics that Inwit uses.
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, Protocol

from inspect_ai.solver import TaskState

_P = ParamSpec("_P")

class Target: ...

class Score:
    def __init__(
        self,
        *,
        value: Mapping[str, float | bool | None],
        answer: str,
        explanation: str,
        metadata: dict[str, Any],
    ) -> None: ...
    @classmethod
    def unscored(cls, *, reason: str, explanation: str) -> Score: ...
    def as_dict(self) -> dict[str, Any]: ...

class SampleScore:
    score: Score
    sample_metadata: dict[str, Any] | None

class Scorer(Protocol):
    def __call__(self, state: TaskState, target: Target) -> Awaitable[Score]: ...

class Metric(Protocol):
    def __call__(self, scores: list[SampleScore]) -> Mapping[str, float]: ...

def metric(
    *, scores: Literal["auto", "reduced", "unreduced"] = "auto"
) -> Callable[[Callable[_P, Metric]], Callable[_P, Metric]]: ...
def scorer(
    metrics: Sequence[Metric],
) -> Callable[[Callable[_P, Scorer]], Callable[_P, Scorer]]: ...
