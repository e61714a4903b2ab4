# The part of Inspect (inspect_ai) that Inwit uses, for type checkers where it is not installed.
from collections.abc import Callable
from typing import Any, ParamSpec

from inspect_ai.dataset import MemoryDataset
from inspect_ai.scorer import Scorer
from inspect_ai.solver import Solver

_P = ParamSpec("_P")

class Task:
    def __init__(
        self,
        *,
        dataset: MemoryDataset,
        solver: Solver,
        scorer: Scorer,
        metadata: dict[str, Any],
    ) -> None: ...

def task(task_type: Callable[_P, Task]) -> Callable[_P, Task]: ...
