"""A model server for calibration: its answer follows from what stands in the messages."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.fakes_server import Behaviour, FakeServer

_TOLD = re.compile(r"risk=([01]\.\d+)")


@dataclass
class JudgingServer(FakeServer):
    """Says the raw risk that the judged text names ("risk=0.25"); `odd` where it says "odd"."""

    odd: Behaviour = "no_label_words"
    asked: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["JudgingServer"]:
        async with super().running():
            yield self

    def _answer(self, behaviour: Behaviour, review: bool) -> web.Response:
        told = str(self.bodies[-1]["messages"])
        found = _TOLD.findall(told)
        self.asked += bool(found)
        if found:
            self.yes = 0.9 * float(found[-1])
            self.no = 0.9 - self.yes
        return super()._answer(self.odd if "odd" in told else behaviour, review)

    def said(self) -> list[Any]:
        """The messages of every question about a sample."""
        return [body["messages"] for body in self.bodies if "risk=" in str(body["messages"])]
