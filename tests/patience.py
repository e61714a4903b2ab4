"""For tests of times that run out, on machines that may stand still meanwhile."""

from collections.abc import Callable, Iterator


def longer_and_longer(reached: Callable[[], object], *times: float) -> Iterator[float]:
    """These times, one after the other, until one was long enough for what hangs to be reached."""
    for each in times:
        yield each
        if reached():
            return
