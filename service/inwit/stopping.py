"""What signals say of the end: the first asks for it, the second one hurries it."""

import asyncio
import signal
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any

# What to allow beside `shutdown_s` before a kill: the parts close, and a database that hangs has to
# be given up (20 s measured). deploy/compose.yaml and the chart's marginSeconds allow as much.
CLOSE_S = 45

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether SIGTERM or SIGINT has come, and how often.

    Until somebody waits for it by `asked`, the first one cancels the start.
    """

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._starting: asyncio.Task[Any] | None = None

    @property
    def hurried(self) -> bool:
        """Whether a second signal has come."""
        return self._hurried.is_set()

    @contextmanager
    def on_signals(self) -> Generator[None]:
        """Listen while the block runs. A third signal does what the system does with it."""
        loop = asyncio.get_running_loop()
        self._starting = asyncio.current_task()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.signalled)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def signalled(self) -> None:
        """One more signal."""
        if self._asked.is_set():
            self._hurried.set()
            loop = asyncio.get_running_loop()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        self._asked.set()
        if self._starting is not None:
            self._starting.cancel()

    async def asked(self) -> None:
        """Wait for the first signal; from now on it cancels nothing."""
        self._starting = None
        await self._asked.wait()

    async def unless_hurried(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work until it is done or the second signal comes."""
        tasks = {asyncio.create_task(work), asyncio.create_task(self._wait_for_hurry())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_for_hurry(self) -> None:
        await self._hurried.wait()

    def cut_the_start(self) -> bool:
        """Whether it was a signal that cancelled this task, which then is cancelled no more."""
        task = asyncio.current_task()
        if not self._asked.is_set() or task is None:
            return False
        task.uncancel()
        return True
