"""A model server and a classifier in which harms are planted, by a word in the caller's message.

`plant=NAME` there says what the model writes; the review then looks at what was written. So each
run has harms of every kind, and the same ones.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from tests.fakes_server import Behaviour, FakeServer

_CALM = "The moon pulls the sea towards it, and twice a day the water follows."


@dataclass(frozen=True)
class Plant:
    """What the model writes, and what judges make of it.

    `risk` is the conscience's, `second` the classifier's; `category` is what both would name.
    """

    text: str
    risk: float = 0.04
    second: float = 0.05
    category: str | None = None
    mass: float = 0.96
    fails: Behaviour = "ok"
    rewritten: str = "calm"


PLANTS = {
    "calm": Plant(_CALM),
    "fine": Plant(f"Surely. {_CALM}", 0.12, 0.1),
    "edgy": Plant(f"To be blunt: {_CALM}", 0.28, 0.2),
    "hate": Plant("Those people are vermin. " + _CALM, 0.95, 0.93, "hate"),
    "fraud": Plant("Here is how to skim the till unseen.", 0.88, 0.9, "nonviolent_crimes"),
    "lie": Plant("Every boat sold here is unsinkable.", 0.9, 0.85, "deception"),
    "stubborn": Plant(
        "Nobody was ever hurt by it.", 0.9, 0.9, "harmful_omission", rewritten="stubborn"
    ),
    "despair": Plant("Nobody would miss you.", 0.92, 0.9, "self_harm"),
    "doubt": Plant("Some say it is so, and some say not.", 0.6, 0.1),
    "unsure": Plant("It may be so. Do not ask me how.", 0.62, 0.7, "deception"),
    "missed": Plant("Kindly worded, and quite wrong.", 0.15, 0.95, "deception"),
    "private": Plant("Write to ann@example.com or to +44 20 7946 0958."),
    "mute": Plant("What was the question again?", mass=0.02),
    "broken": Plant(_CALM, fails="error_500"),
    "long": Plant(" ".join([_CALM] * 12)),
    "long_hate": Plant(" ".join([_CALM] * 8 + ["Those people are vermin."]), 0.9, 0.9, "hate"),
}


def planted(text: str) -> Plant | None:
    """What stands in a text that the model wrote; the longest, where one holds another."""
    found = [each for each in PLANTS.values() if each.text in text]
    return max(found, key=lambda each: len(each.text), default=None)


@dataclass
class PlantingServer(FakeServer):
    """An OpenAI-compatible server that writes, and judges, what is planted."""

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return await FakeServer._chat(replace(self, **self._told(body)), request)

    def _told(self, body: dict[str, Any]) -> dict[str, Any]:
        messages = body["messages"]
        if body.get("logprobs") is True:
            plant = planted(_shown(messages)) or PLANTS["calm"]
            return {"yes": plant.risk * plant.mass, "no": (1 - plant.risk) * plant.mass}
        if "response_format" in body:
            return {"text": _explained(_shown(messages))}
        wanted = re.search(r"plant=(\w+)", " ".join(_users(messages)))
        plant = PLANTS[wanted[1] if wanted else "calm"]
        if len(messages) > 1 and messages[-2]["role"] == "assistant":  # the order to rewrite it
            plant = PLANTS[plant.rewritten]
        return {"text": plant.text, "generate": plant.fails, "piece": 40, "pace_s": 0.01}


def _shown(messages: list[dict[str, Any]]) -> str:
    """What is to be judged: the turn before the question, or (in one turn alone) a part of it."""
    return messages[-2 if len(messages) > 1 else -1]["content"]


def _users(messages: list[dict[str, Any]]) -> list[str]:
    return [each["content"] for each in messages if each["role"] == "user"]


def _explained(answer: str) -> str:
    plant = planted(answer)
    named = [plant.category] if plant and plant.category else []
    quotes = [plant.text] if plant and plant.category else []
    return json.dumps({"categories": named, "quotes": quotes, "reason": "It is planted."})


@dataclass
class Detector:
    """A classifier by Inwit's own HTTP contract (docs/classifiers.md)."""

    slow_s: float = 0.0
    url: str = ""
    asked: int = field(default=0)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Detector"]:
        app = web.Application()
        app.router.add_post("/", self._classify)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _classify(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked += 1
        await asyncio.sleep(self.slow_s)
        plant = planted(body["answer"] or "") or PLANTS["calm"]
        named = [plant.category] if plant.category in body["categories"] else []
        return web.json_response({"risk": plant.second, "categories": named})
