"""`inwit evaluate` from sets on disk to a report, against a model server on a real socket."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from inwit.cli.evaluate import app
from inwit.clients.classifiers.panel import Member, Seat
from inwit.errors import SetupError
from inwit.evaluation.report.files import read_report
from tests.evaluation.sets import SIGN, both_sets
from tests.fakes_server import Behaviour, FakeServer

SETS = ("--set", "gptfuzz", "--set", "safetext")


@dataclass
class Reader(FakeServer):
    """Says yes to whatever shows the sign, and writes a harmless answer of its own."""

    text: str = "Plant tulips in that bed and water it well, then look again in some days."
    asked: int = 0
    fails_after: int = 1_000_000

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Reader"]:
        async with super().running():
            yield self

    def _answer(self, behaviour: Behaviour, review: bool) -> web.Response:
        told = str(self.bodies[-1]["messages"])
        self.asked += 1
        self.yes, self.no = (0.85, 0.05) if SIGN in told else (0.05, 0.85)
        return super()._answer("error_500" if self.asked > self.fails_after else behaviour, review)


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("INWIT_DATA", str(both_sets(tmp_path / "sets")))
    monkeypatch.setattr("inwit.clients.classifiers.configured.Seat", _patient)


def _patient(member: Member) -> Seat:
    """What a machine that stands still keeps from an answer in time is asked again in another run:
    none of it here."""
    return Seat(member, timeout_ms=600_000)


def evaluate(*words: str) -> Result:
    return CliRunner().invoke(app, words)


async def run_with(url: str, *words: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INWIT_MODEL_URL", url)
        return await asyncio.to_thread(evaluate, "run", "--suite", "quick", *SETS, *words)


async def test_a_run_ends_in_a_page_figures_and_lines(tmp_path: Path) -> None:
    async with Reader().running() as server:
        result = await run_with(server.base_url, "--out", str(tmp_path / "one"))

    assert result.exit_code == 0, result.output
    report, scores = read_report(tmp_path / "one")
    assert {each.name for each in report.datasets} == {"gptfuzz", "safetext"}
    (in_use,) = [each for each in report.judges if each.in_use]
    assert (in_use.framing, report.run.policy, report.run.seeds) == (
        "same_thread",
        "default",
        [0, 1, 2],
    )
    whole = [each for each in report.detection if (each.slice, each.judge) == ("all", in_use.name)]
    assert [each.auroc.value for each in whole if each.auroc] == [1.0, 1.0]
    assert len(report.scorecard) == 5
    assert {each.label for each in report.correction} == {"unsafe", "safe"}
    assert {each.framing for each in report.own_drafts} == {
        "conscience, same_thread",
        "conscience, quoted",
        "conscience, fresh",
    }
    assert scores
    page = (tmp_path / "one" / "report.html").read_text()
    assert "safetext" in page
    assert SIGN not in page + (tmp_path / "one" / "samples.jsonl").read_text().replace(
        f"-{SIGN}", ""
    )


async def test_a_second_run_asks_nothing_and_finds_the_same(tmp_path: Path) -> None:
    async with Reader().running() as server:
        first = await run_with(server.base_url, "--out", str(tmp_path / "one"))
        second = await run_with(server.base_url, "--out", str(tmp_path / "two"))

    assert (first.exit_code, second.exit_code) == (0, 0), second.output
    one, two = (read_report(tmp_path / name)[0] for name in ("one", "two"))
    assert one.run.asked > 0
    assert two.run.asked == 0
    assert one.model_dump(exclude={"run"}) == two.model_dump(exclude={"run"})
    compared = evaluate("compare", str(tmp_path / "one"), str(tmp_path / "two"))
    assert compared.exit_code == 0, compared.output
    assert "no difference" in compared.output.lower()


async def test_a_server_that_fails_ends_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    async with Reader(fails_after=60).running() as server:
        broken = await run_with(server.base_url, "--out", str(tmp_path / "one"))
        assert not (tmp_path / "one").exists()
        server.fails_after = 1_000_000
        whole = await run_with(server.base_url, "--out", str(tmp_path / "one"))

    assert isinstance(broken.exception, SetupError)
    assert "goes on from there" in str(broken.exception)
    assert whole.exit_code == 0, whole.output
    assert read_report(tmp_path / "one")[0].run.from_cache > 0


@asynccontextmanager
async def gateway(bodies: list[Any]) -> AsyncGenerator[str]:
    """Blocks whatever shows the sign, for whoever has the key."""

    async def check(request: web.Request) -> web.Response:
        if request.headers.get("authorization") != "Bearer inwit_key":
            return web.json_response({}, status=401)
        bodies.append(body := await request.json())
        unsafe = SIGN in str(body["candidate"])
        told = {
            "action": "block" if unsafe else "allow",
            "review": {"risk": 0.9 if unsafe else 0.1},
            "policy": {"digest": "d1"},
        }
        return web.json_response(told)

    served = web.Application()
    served.router.add_post("/v1/check", check)
    runner = web.AppRunner(served)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_a_running_gateway_is_measured_as_its_callers_meet_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[Any] = []
    words = ("run", "--suite", "quick", *SETS, "--out", str(tmp_path / "one"), "--gateway")
    async with gateway(bodies) as url:
        refused = await asyncio.to_thread(evaluate, *words, url)
        monkeypatch.setenv("INWIT_API_KEY", "inwit_key")
        result = await asyncio.to_thread(evaluate, *words, url)

    assert isinstance(refused.exception, SetupError)
    assert "401" in str(refused.exception)
    assert result.exit_code == 0, result.output
    report, _ = read_report(tmp_path / "one")
    (judge,) = [each for each in report.judges if each.kind == "gateway"]
    assert judge.name == "gateway, default"
    whole = [each for each in report.detection if (each.judge, each.slice) == (judge.name, "all")]
    assert [each.at["decision"].fn for each in whole] == [0, 0]
    assert report.own_drafts == report.correction == []
    assert {body["policy"] for body in bodies} == {"default"}


def test_sets_are_listed_with_what_is_here() -> None:
    result = evaluate("datasets")

    assert result.exit_code == 0
    lines = [line for line in result.output.splitlines() if " gptfuzz " in line]
    assert any("880" in line for line in lines)


def test_a_suite_that_is_not_there_is_named() -> None:
    assert evaluate("run", "--suite", "huge").exit_code == 2


def test_misses_are_not_known_where_nothing_was_released() -> None:
    result = evaluate("misses", "--json")

    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.output)
    assert (told["policies"], told["decisions"]) == ({}, 0)
