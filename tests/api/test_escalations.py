"""`/v1/escalations`: what a program that rules sees, through the front door."""

import asyncio
from typing import Any

import httpx

from inwit.types import KeyRole
from tests.conftest import Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, risk_of
from tests.fakes_policies import compiled

FLAGGED = risk_of(0.95)


async def desk(
    make_caller: MakeCaller, escalation: dict[str, Any] | None = None, **settings: object
) -> Caller:
    """A gateway where every answer is held, and a key that may ask and rule."""
    policy = compiled(on_harm="escalate", escalation=escalation or {})
    return await make_caller(
        FakeModel(answer=FLAGGED),
        classifiers=FakeClassifiers(0.9),
        policies=(policy,),
        roles=(KeyRole.RESPOND, KeyRole.REVIEW),
        **settings,
    )


async def post(caller: Caller, path: str, **body: Any) -> httpx.Response:
    return await caller.http.post(f"/v1/escalations/{path}", json=body)


async def claimed(caller: Caller) -> dict[str, Any]:
    """A held response, its case claimed."""
    held = (await caller.respond()).json()
    answer = await post(caller, f"{held['escalation']['id']}/claim")
    assert answer.status_code == 200, answer.text
    return answer.json()


def ruling(taken: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
    offer = "approve_rewrite" if kind == "approve_rewrite" else "approve"
    return {
        "token": taken["lease"]["token"],
        "kind": kind,
        "digest": taken["case"]["offers"][offer]["digest"],
        "policy_digest": taken["case"]["policy_digest"],
        "request_id": "request-1",
        **more,
    }


async def test_an_approved_response_is_released_as_it_was_shown(make_caller: MakeCaller) -> None:
    caller = await desk(make_caller, undo_s=0)
    taken = await claimed(caller)

    said = await post(caller, f"{taken['case']['id']}/ruling", **ruling(taken, "approve"))

    assert said.json()["effect"] == "settled", said.text
    told = (await caller.http.get(f"/v1/responses/{taken['case']['response']}")).json()
    assert (told["status"], told["escalation"]["state"]) == ("released", "resolved")
    assert told["output"] == taken["case"]["offers"]["approve"]["output"]
    assert told["escalation"]["ruling"] == "approve"


async def test_a_caller_in_line_gets_exactly_the_edited_bytes(make_caller: MakeCaller) -> None:
    caller = await desk(make_caller)
    text = "  Edited: exactly\r\nso, with 🌕 and a trailing space "
    body = {"messages": [{"role": "user", "content": "How do tides work?"}], "wait_ms": 20_000}
    waiting = asyncio.create_task(caller.respond(body))
    case = await first_case(caller)
    taken = (await post(caller, f"{case}/claim")).json()

    judged = (await post(caller, f"{case}/edit", token=taken["lease"]["token"], text=text)).json()
    said = ruling(taken, "edit", reason="Safer.", despite_flags=True)
    answer = await post(caller, f"{case}/ruling", **{**said, "digest": judged["digest"]})

    assert answer.json()["effect"] == "settled", answer.text  # at once: somebody waits
    told = await waiting
    assert (told.status_code, told.json()["output"]["content"]) == (200, text)


async def first_case(caller: Caller) -> str:
    async with asyncio.timeout(10):
        while True:
            cases = (await caller.http.get("/v1/escalations")).json()["cases"]
            if cases:
                return cases[0]["id"]
            await asyncio.sleep(0)
