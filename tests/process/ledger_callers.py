"""Callers that keep real gateways busy, and keep what careful callers keep of their answers."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from inwit.client import AsyncInwit, Forked, InwitError, Witness
from inwit.client.witness import CHECKPOINT
from inwit.ledger import verify
from tests.client.conftest import ASK

LIMIT_S = 240.0
_PAUSE_S = 0.05  # of a caller whose gateway is not there


@dataclass
class Callers:
    """Ask gateways of one ledger. `answered`: ids of responses that were told.

    `sizes`: by address the largest checkpoint that its answers showed. `refused`: how many calls
    brought no answer, by HTTP status (0: there was none). One witness compares all checkpoints.
    """

    key: str
    answered: dict[str, str] = field(default_factory=dict[str, str])
    refused: Counter[int] = field(default_factory=Counter[int])
    sizes: Counter[str] = field(default_factory=Counter[str])
    witness: Witness = field(default_factory=lambda: Witness(every=0.1))
    _wrong: list[BaseException] = field(default_factory=list[BaseException])
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def asking(self, *addresses: str, at_once: int = 12) -> AsyncGenerator[None]:
        """So many of them ask each address all the while that the block runs."""
        tasks = [
            asyncio.create_task(self._caller(address))
            for address in addresses
            for _ in range(at_once)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert not self._wrong, self._wrong

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what they see; fails at once where a checkpoint contradicts another."""
        async with asyncio.timeout(LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: bool(self._wrong) or condition())
        assert not self._wrong, self._wrong

    async def more(self, answers: int) -> None:
        """Wait for so many answers from here on."""
        goal = len(self.answered) + answers
        await self.until(lambda: len(self.answered) >= goal)

    async def grown(self, address: str) -> None:
        """Wait until that gateway shows two checkpoints newer than all that were shown so far."""
        for _ in range(2):
            newest = max(self.sizes.values(), default=0)
            await self.until(lambda newest=newest: self.sizes[address] > newest)

    def keep(self, file: Path) -> int:
        """Put the newest proven checkpoint there, and give its size."""
        note = self.witness.newest
        assert note is not None
        file.write_text(note)
        return verify.note_of(note).size

    async def prove(self, address: str) -> None:
        """Have that gateway prove that its log continues what was seen.

        Raises:
            Forked: it cannot.
        """
        async with AsyncInwit(address, api_key=self.key, witness=self.witness) as inwit:
            await inwit.prove_log()

    async def _caller(self, address: str) -> None:
        seen = _Seen()
        hooks = {"response": [seen.look]}
        async with httpx.AsyncClient(event_hooks=hooks, verify=False) as http:  # noqa: S501  # loopback without TLS
            inwit = AsyncInwit(
                address, api_key=self.key, retries=0, http=http, witness=self.witness
            )
            while True:
                await self._ask(inwit, address, seen)

    async def _ask(self, inwit: AsyncInwit, address: str, seen: "_Seen") -> None:
        try:
            answer = await inwit.respond(ASK, timeout=LIMIT_S)
        except (Forked, AssertionError) as error:
            self._wrong.append(error)
        except InwitError as error:
            self.refused[error.status or 0] += 1
            await asyncio.sleep(_PAUSE_S)
        else:
            self.answered[answer.id] = address
        self.sizes[address] = max(self.sizes[address], seen.size)
        async with self._changed:
            self._changed.notify_all()


class _Seen:
    """The largest checkpoint that one caller was shown on its connection."""

    def __init__(self) -> None:
        self.size = 0

    async def look(self, response: httpx.Response) -> None:
        if (header := response.headers.get(CHECKPOINT)) is not None:
            size = verify.note_of(base64.b64decode(header).decode()).size
            assert size >= self.size, "a gateway shows a smaller checkpoint than before"
            self.size = size
