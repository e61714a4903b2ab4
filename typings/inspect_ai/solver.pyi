# The part of Inspect's solvers that Inwit uses.
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol

_P = ParamSpec("_P")

class _Store:
    def get(self, key: str) -> Any: ...
    def set(self, key: str, value: Any) -> None: ...

class TaskState:
    metadata: dict[str, Any]
    store: _Store

class Generate: ...

class Solver(Protocol):
    def __call__(self, state: TaskState, generate: Generate) -> Awaitable[TaskState]: ...

def solver(solver_type: Callable[_P, Solver]) -> Callable[_P, Solver]: ...
