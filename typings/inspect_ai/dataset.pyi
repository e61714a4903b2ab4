# The part of Inspect's datasets that Inwit uses.
from typing import Any

class Sample:
    def __init__(self, input: str, *, target: str, id: str, metadata: dict[str, Any]) -> None: ...

class MemoryDataset:
    def __init__(self, samples: list[Sample], *, name: str, location: str) -> None: ...
