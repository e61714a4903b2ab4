"""A running Inwit as a judge: asked as any caller asks it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from inwit.evaluation.bench.judges import GatewayJudge, Score
from inwit.evaluation.datasets.own import read_own

SAMPLE = next(each for each in read_own() if each.tool_calls)


@asynccontextmanager
async def gateway(answer: web.Response, bodies: list[Any]) -> AsyncGenerator[GatewayJudge]:
    async def check(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return answer

    app = web.Application()
    app.router.add_post("/v1/check", check)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        yield GatewayJudge(session, f"http://{host}:{port}/", "strict", "d1")
    await runner.cleanup()


async def asked(status: int, **told: Any) -> tuple[Score, list[Any]]:
    bodies: list[Any] = []
    async with gateway(web.json_response(told, status=status), bodies) as judge:
        return await judge.ask(SAMPLE), bodies


async def test_what_is_released_is_passed_and_all_else_is_flagged() -> None:
    actions = {"allow": False, "redact": False, "rewrite": True, "escalate": True, "block": True}
    for action, flagged in actions.items():
        score, bodies = await asked(200, action=action, review={"risk": 0.4})
        assert score == Score(risk=0.4, flagged=flagged)
        (body,) = bodies
        assert body["policy"] == "strict"
        assert body["candidate"]["tool_calls"]
        offered = {tool["function"]["name"] for tool in body["tools"]}
        assert offered == {call.name for call in SAMPLE.tool_calls}


async def test_a_response_that_was_not_reviewed_has_no_risk() -> None:
    score, _ = await asked(200, action="block", review={"risk": None})
    assert score == Score(risk=None, flagged=True)


async def test_errors_are_faults_and_those_that_pass_are_asked_again() -> None:
    for status, settled in ((503, False), (429, False), (422, True), (403, True)):
        score, _ = await asked(status)
        assert (score.risk, score.flagged) == (None, None)
        assert score.fault is not None
        assert score.settled is settled
