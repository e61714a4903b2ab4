"""The hold-back buffer of a streamed response: what is written, what may leave, what was sent."""

import asyncio
import time
from collections.abc import AsyncGenerator

from inwit import telemetry
from inwit.pipeline.redaction import masked, private_spans
from inwit.policy.policy import Policy
from inwit.redaction.scan import settled
from inwit.types import Candidate, Enforcement, Message, Usage


class Written:
    """What the model has written so far (a `Draft`); whoever waits is woken once it is enough."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._text: list[str] = []
        self._fresh: list[str] = []
        self._reasoning: list[str] = []
        self._usage = Usage()
        self._wanted = 0
        self._enough = asyncio.Event()
        self._over = asyncio.Event()
        self.length = 0  # of the text, in code points

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._over.is_set()

    def add(self, text: str, reasoning: str, usage: Usage | None) -> None:
        """See `Draft.add`."""
        self._text.append(text)
        self._fresh.append(text)
        self._reasoning.append(reasoning)
        self._usage = usage or self._usage
        self.length += len(text)
        if self.length >= self._wanted:
            self._enough.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._over.set()
        self._enough.set()

    async def finished(self) -> None:
        """Wait until nothing more will come."""
        await self._over.wait()

    async def reach(self, length: int) -> bool:
        """Wait until the text has `length` code points; False where it ends before."""
        self._wanted = length
        while self.length < length and not self.ended:
            self._enough.clear()
            await self._enough.wait()
        return not self.ended

    def fresh(self) -> str:
        """What came since this was last asked."""
        text = "".join(self._fresh)
        self._fresh = []
        return text

    def candidate(self) -> Candidate:
        """What is written so far, as the answer that would stand if the model stopped here."""
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        self._text, self._reasoning = [text], [reasoning]
        return Candidate(text, self._model, reasoning, usage=self._usage)


class Live:
    """A caller that is sent text before the decision. The pipeline writes here, its door reads."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()
        self._sent: list[str] = []
        self.length = 0  # of what was sent, in code points
        self.announced = False  # the ledger was told that text is about to leave
        self.windows = 0
        self.usage = Usage()
        self.response_id = ""
        self._enforcement = Enforcement.FULL
        self._opened: float | None = None

    @property
    def sent(self) -> str:
        """All that was sent."""
        self._sent = ["".join(self._sent)]
        return self._sent[0]

    def open(self, response_id: str, enforcement: Enforcement) -> None:
        """The call is admitted."""
        self.response_id, self._enforcement = response_id, enforcement
        self._opened = time.perf_counter()
        self._waiting.put_nowait("")

    def unsent(self, text: str) -> str:
        """What of `text` was not sent yet; nothing where it does not continue what was sent."""
        return text[self.length :] if text.startswith(self.sent) else ""

    def send(self, text: str) -> None:
        """Let `text` leave: it is reviewed and recorded."""
        self.first_release()
        self._sent.append(text)
        self.length += len(text)
        self._waiting.put_nowait(text)

    def first_release(self) -> None:
        """Text is about to leave: the first time that this is said counts."""
        if self._opened is not None:
            took = time.perf_counter() - self._opened
            telemetry.FIRST_RELEASE.labels(self._enforcement.value).observe(took)
            self._opened = None

    def close(self) -> None:
        """Nothing more leaves before the decision."""
        self._waiting.put_nowait(None)

    async def pieces(self) -> AsyncGenerator[str]:
        """What leaves, as it comes; the first piece is empty, once the call is admitted."""
        while (piece := await self._waiting.get()) is not None:
            more: str | None = ""
            while more is not None and not self._waiting.empty():
                more = self._waiting.get_nowait()
                piece += more or ""
            yield piece
            if more is None:
                return


def leaving(policy: Policy, text: str, length: int, messages: tuple[Message, ...]) -> str:
    """What may leave of the first `length` code points of `text`, masked as the whole will be.

    Less than `length` where more text could still change what is masked.
    """
    if policy.redact is None:
        return text[: max(0, length)]
    length = min(length, settled(text))
    spans = private_spans(policy, text, messages)
    length = min([length, *(span.start for span in spans if span.start < length < span.end)])
    return masked(text[: max(0, length)], tuple(s for s in spans if s.end <= length))[0]
