"""A bounded store of values in memory, which threads share."""

from collections import OrderedDict
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The last so many values, each by its name and the exact bytes it came from."""

    def __init__(self, most: int) -> None:
        """For `most` values."""
        self._values: OrderedDict[tuple[str, Any], T] = OrderedDict()
        self._most = most
        self._lock = Lock()

    def get(self, place: tuple[str, Any]) -> T | None:
        """What is kept of it, if anything."""
        with self._lock:
            found = self._values.get(place)
            if found is not None:
                self._values.move_to_end(place)
            return found

    def put(self, place: tuple[str, Any], value: T) -> T:
        """Keep it, and give it back; what was asked for longest ago goes."""
        with self._lock:
            self._values[place] = value
            self._values.move_to_end(place)
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        return value

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._values.clear()
