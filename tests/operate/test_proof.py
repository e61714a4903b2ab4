"""Every panel has an answer, from a real Prometheus that scrapes real gateways under load.

The gateways are `inwit serve` on SQLite and Valkey; the model and the classifiers are planted
(planting.py), vLLM's own figures are made up (vllm_figures.py). With DASHBOARD_PICTURES=FOLDER the
answers are drawn there, as docs/images has them.
"""

import asyncio
import json
import math
import os
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripts.dashboards.__main__ import DASHBOARDS
from scripts.dashboards.every import BOARDS
from scripts.dashboards.rules import GROUPS

from tests.escalation.receiver import Receiver
from tests.operate.load import Load
from tests.operate.pictures import Answers, Series, draw
from tests.operate.planting import Detector, PlantingServer
from tests.operate.prometheus_server import Prometheus, place, prometheus
from tests.operate.vllm_figures import VllmFigures
from tests.operate.world import gateway, world

pytestmark = [pytest.mark.operate, pytest.mark.process]

BEFORE_S, AFTER_S = 30.0, 45.0  # under load with one gateway, then with two, at least
SETTLE_S = 120.0  # longer where all is slow: until everything has happened once
ENOUGH = 100  # answers
STEP_S = 1
STATES = {
    "InwitReleasedUnreviewed": "firing",
    "InwitCalibrationMissing": "pending",  # for an hour it may
    "InwitTargetDown": "inactive",
    "InwitAbsent": "inactive",
}
RATE_INTERVAL, RANGE = "15s", "2m"


@dataclass(frozen=True)
class Watched:
    """Prometheus, and from when to when there was load."""

    prometheus: Prometheus
    start: float
    end: float

    async def series(self, target: dict[str, Any]) -> list[Series]:
        """What a panel's query gives over that time, as Grafana would ask it."""
        query = in_grafana(target["expr"])
        found = await self.prometheus.ask(
            "query_range", query=query, start=self.start, end=self.end, step=STEP_S
        )
        return [self._read(each, target["legendFormat"]) for each in found["result"]]

    def _read(self, found: dict[str, Any], legend: str) -> Series:
        labels = found["metric"]
        named = re.sub(r"{{(\w+)}}", lambda name: labels.get(name[1], ""), legend)
        times = [float(moment) - self.start for moment, _ in found["values"]]
        return Series(named, times, [float(value) for _, value in found["values"]], labels)


def in_grafana(query: str) -> str:
    """The query with the dashboard's variables at `All`."""
    query = query.replace("$__rate_interval", RATE_INTERVAL).replace("$__range", RANGE)
    query = query.replace("$namespace", ".*")
    return re.sub(r'"\$(job|instance|model_job)"', '".+"', query)


@asynccontextmanager
async def watched(folder: Path) -> AsyncGenerator[Watched]:
    """Gateways under load, as Prometheus saw them."""
    model, own, slow = PlantingServer(), Detector(), Detector(slow_s=1.5)
    figures = VllmFigures()
    async with (
        model.running(),
        own.running(),
        slow.running(),
        Receiver().running() as receiver,
        Receiver(status=500).running() as failing,
        figures.running_server() as vllm,
        world(folder, model, own, slow, (receiver.port, failing.port)) as (made, stack, settings),
        httpx.AsyncClient(timeout=SETTLE_S) as http,
    ):
        jobs = {"inwit": made.targets, "vllm": [vllm]}
        server = stack.enter_context(prometheus(folder / "prometheus", http, jobs))
        await server.until('count(up{job="inwit"} == 1)', SETTLE_S)
        good, lost = (f"http://127.0.0.1:{each.port}/hook" for each in (receiver, failing))
        load = Load(made, http, good, lost)
        start = _now()
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await asyncio.sleep(BEFORE_S)  # how long there is load, not how long a thing may take
            second = await gateway(stack, folder / "data", settings)
            load.world = replace(made, addresses=(*made.addresses, second))
            place(folder / "prometheus", "inwit", load.world.targets)
            await load.burst(60)
            await asyncio.sleep(AFTER_S)
            await server.until("inwit_miss_rate", SETTLE_S)
            await until_shown(server, start, load)
            load.stopped.set()
        assert load.statuses["/v1/respond 200"] > ENOUGH, load.statuses
        yield Watched(server, start, _now())


async def until_shown(server: Prometheus, start: float, load: Load) -> None:
    """Go on until there were answers enough and every panel has something to show, but not for
    ever: what is missing then, the test tells.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_S):
            while await not_all_shown(server, start, load):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(STEP_S)


async def not_all_shown(server: Prometheus, start: float, load: Load) -> bool:
    """Whether answers are too few by now, or a panel is empty."""
    if load.statuses.get("/v1/respond 200", 0) <= ENOUGH:
        return True
    seen = Watched(server, start, _now())
    for board in BOARDS:
        if (await answers_of(seen, read(board.name)))[1]:
            return True
    return False


def read(board: str) -> dict[str, Any]:
    return json.loads((DASHBOARDS / f"{board}.json").read_text())


def _now() -> float:
    """Seconds, as Prometheus has them."""
    return datetime.now(UTC).timestamp()


async def answers_of(seen: Watched, board: dict[str, Any]) -> tuple[Answers, list[str]]:
    """What each panel shows, and which queries have nothing to show."""
    answers: dict[int, Sequence[Series]] = {}
    empty: list[str] = []
    for panel in board["panels"]:
        if panel["type"] == "row":
            continue
        found: list[Series] = []
        for target in panel["targets"]:
            series = await seen.series(target)
            if not any(not math.isnan(value) for each in series for value in each.values):
                empty.append(f"{board['title']}, {panel['title']}: {target['expr']}")
            found += series
        answers[panel["id"]] = found
    return answers, empty


async def rules_of(server: Prometheus) -> list[dict[str, Any]]:
    groups = (await server.ask("rules"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


async def check_rules(server: Prometheus) -> None:
    """Every rule was evaluated without an error, and what was planted fires."""
    with suppress(TimeoutError):  # a machine that stands still is, to Prometheus, one that is down
        async with asyncio.timeout(SETTLE_S):
            while states_of(await rules_of(server)) != STATES:  # noqa: ASYNC110  # as above
                await asyncio.sleep(STEP_S)
    rules = await rules_of(server)
    assert sum(rule["type"] == "alerting" for rule in rules) == sum(map(len, GROUPS.values()))
    failed = [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"]
    assert not failed
    assert states_of(rules) == STATES


def states_of(rules: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Of those alerts that are known."""
    return {rule["name"]: rule["state"] for rule in rules if rule["name"] in STATES}


async def test_every_panel_has_an_answer(tmp_path: Path) -> None:
    async with watched(tmp_path) as seen:
        empty: list[str] = []
        for board in BOARDS:
            parsed = read(board.name)
            answers, nothing = await answers_of(seen, parsed)
            empty += nothing
            folder = Path(os.environ.get("DASHBOARD_PICTURES", tmp_path))
            draw(parsed, answers, folder / f"dashboard-{board.name}.png")
        await check_rules(seen.prometheus)
        assert not empty, "\n".join(empty)
