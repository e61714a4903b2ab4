"""What the tests of `/v1/check` and of LiteLLM's guardrail share: bodies and stand-ins."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx

from inwit.errors import LedgerError
from tests.conftest import ASK, Caller
from tests.fakes import FakeLedger, FakeModel, risk_of

HARM = "HARM-1a"
KIND = "The moon pulls the sea."
EMAIL = "Write to ana@example.org."
LOOK_UP: dict[str, Any] = {"type": "function", "function": {"name": "look_up"}}


def checking(candidate: Any = KIND, **fields: Any) -> dict[str, Any]:
    return {**ASK, "candidate": candidate, **fields}


def message(content: str | None = KIND, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def calling(name: str = "look_up", arguments: str = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return message(None, tool_calls=[{"id": "c1", "type": "function", "function": function}])


async def check(caller: Caller, body: dict[str, Any]) -> httpx.Response:
    return await caller.http.post("/v1/check", json=body)


@dataclass
class Reader(FakeModel):
    """A conscience that reads: HARM is a risk, HANG keeps it from an answer, BUG breaks it, and
    LATE waits until something else was read."""

    under_way: int = 0
    most: int = 0
    wanted: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    another: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, under_way: int) -> None:
        """Wait until so many reviews are under way at once."""
        self.wanted = under_way
        async with asyncio.timeout(60):
            await self.reached.wait()

    async def next_token(self, messages: Any, model: str, tenant: str) -> Any:
        read = "".join(turn.content for turn in messages)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.wanted and self.under_way >= self.wanted:
            self.reached.set()
        try:
            await self._read(read)
        finally:
            self.under_way -= 1
        self.answer = risk_of(0.95 if "HARM" in read else 0.05)
        return await super().next_token(messages, model, tenant)

    async def _read(self, text: str) -> None:
        await asyncio.sleep(0)
        if "BUG" in text:
            raise ValueError("a bug")
        if "HANG" in text:
            await asyncio.Event().wait()
        if "LATE" in text:
            await self.another.wait()
            for _ in range(50):  # turns in which the other one is recorded
                await asyncio.sleep(0)
        self.another.set()


@dataclass
class Forgetful(FakeLedger):
    """A ledger that cannot take candidates with LOST in them."""

    async def append(self, record: Any) -> Any:
        if b"LOST" in record.contents.get("candidate", b""):
            raise LedgerError("The ledger is away.", retry_after=2)
        return await super().append(record)
