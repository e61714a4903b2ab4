"""`/v1/escalations`: what a program that rules sees, through the front door."""

import asyncio
from typing import Any

import httpx
import pytest

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
    body = {"messages": [{"role": "user", "content": "How do tides work?"}], "wait_ms": 300_000}
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
    async with asyncio.timeout(60):
        while True:
            cases = (await caller.http.get("/v1/escalations")).json()["cases"]
            if cases:
                return cases[0]["id"]
            await asyncio.sleep(0)


async def test_a_blocked_response_stays_the_fallback_text(make_caller: MakeCaller) -> None:
    caller = await desk(make_caller, undo_s=0)
    taken = await claimed(caller)
    said = ruling(taken, "block", reason="Not for anybody.", clause="hate")

    answer = await post(caller, f"{taken['case']['id']}/ruling", **said)

    assert answer.json()["effect"] == "settled", answer.text
    told = (await caller.http.get(f"/v1/responses/{taken['case']['response']}")).json()
    assert (told["status"], told["escalation"]["ruling"]) == ("blocked", "block")
    assert told["output"]["content"] == compiled().fallback_text


async def test_a_ruling_can_be_taken_back_where_nobody_waits(make_caller: MakeCaller) -> None:
    caller = await desk(make_caller, undo_s=600)
    taken = await claimed(caller)
    path = taken["case"]["id"]
    said = (await post(caller, f"{path}/ruling", **ruling(taken, "approve"))).json()

    again = await post(caller, f"{path}/undo", ruling=said["id"])

    assert said["effect"] == "waits"
    assert again.status_code == 200, again.text
    rest = {**ruling(again.json(), "block", reason="No.", clause="hate"), "request_id": "request-2"}
    assert (await post(caller, f"{path}/ruling", **rest)).status_code == 200
    told = (await caller.http.get(f"/v1/responses/{taken['case']['response']}")).json()
    assert told["status"] == "held"  # until the ruling takes effect


STALE: dict[str, dict[str, Any]] = {
    "another text": {"digest": "0" * 64},
    "another policy": {"policy_digest": "0" * 64},
    "another lease": {"token": "x" * 43},
}


@pytest.mark.parametrize("changed", STALE)
async def test_a_ruling_on_something_else_is_409(make_caller: MakeCaller, changed: str) -> None:
    caller = await desk(make_caller)
    taken = await claimed(caller)
    path = f"{taken['case']['id']}/ruling"

    refused = await post(caller, path, **{**ruling(taken, "approve"), **STALE[changed]})

    assert (refused.status_code, refused.json()["type"]) == (409, "urn:inwit:problem:conflict")
    assert (await post(caller, path, **ruling(taken, "approve"))).status_code == 200


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "no reason": ({"kind": "block", "clause": "hate"}, "reason"),
    "no clause": ({"kind": "block", "reason": "No."}, "clause"),
    "no rewrite": ({"kind": "approve_rewrite"}, "ruling"),
    "an edit that nobody judged": ({"kind": "edit", "reason": "Safer."}, "ruling"),
    "an unknown kind": ({"kind": "maybe"}, "kind"),
    "no request id": ({"request_id": None}, "request_id"),
}


@pytest.mark.parametrize("case", UNFIT)
async def test_a_ruling_that_does_not_fit_is_422(make_caller: MakeCaller, case: str) -> None:
    caller = await desk(make_caller)
    taken = await claimed(caller)
    changes, field = UNFIT[case]

    refused = await post(
        caller, f"{taken['case']['id']}/ruling", **{**ruling(taken, "approve"), **changes}
    )

    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["errors"]] == [field]


async def test_a_case_given_away_does_not_come_back(make_caller: MakeCaller) -> None:
    caller = await desk(make_caller)
    taken = await claimed(caller)
    path, token = taken["case"]["id"], taken["lease"]["token"]

    renewed = await post(caller, f"{path}/renew", token=token)
    gone = await post(caller, f"{path}/release", token=token, why="conflict")
    again = await post(caller, f"{path}/claim")

    assert renewed.json()["until"] >= taken["lease"]["until"]
    assert gone.status_code == 204
    assert again.status_code == 409
    assert "for somebody else" in again.json()["detail"]


async def test_another_tenant_sees_nothing_of_a_case(make_caller: MakeCaller) -> None:
    caller = await desk(make_caller)
    taken = await claimed(caller)
    case = taken["case"]["id"]
    theirs = await key_of(caller, "other", KeyRole.REVIEW)

    for method, path in (("GET", case), ("POST", f"{case}/claim")):
        answer = await caller.http.request(
            method, f"/v1/escalations/{path}", json={}, headers=theirs
        )
        assert answer.status_code == 404
    listed = await caller.http.get("/v1/escalations", headers=theirs)
    assert listed.json() == {"cases": [], "next": None}


ROUTES = [
    *("GET ", "GET /ID", "POST /next", "POST /ID/claim", "POST /ID/renew", "POST /ID/release"),
    *("POST /ID/edit", "POST /ID/first-verdict", "POST /ID/ruling", "POST /ID/undo"),
]


@pytest.mark.parametrize("route", ROUTES)
async def test_every_route_wants_the_role_review(make_caller: MakeCaller, route: str) -> None:
    caller = await desk(make_caller)
    method, path = route.replace("ID", f"esc_{'a' * 32}").split(" ")
    without = await key_of(caller, "acme", KeyRole.RESPOND)

    for headers, status in ((without, 403), ({"authorization": "Bearer nobody"}, 401)):
        answer = await caller.http.request(
            method, f"/v1/escalations{path}", json={}, headers=headers
        )
        assert answer.status_code == status


async def test_the_list_is_paged_and_filtered_without_content(make_caller: MakeCaller) -> None:
    caller = await desk(make_caller)
    ids = [(await caller.respond()).json()["escalation"]["id"] for _ in range(3)]

    first = (await caller.http.get("/v1/escalations?limit=2")).json()
    rest = (await caller.http.get(f"/v1/escalations?after={first['next']}")).json()
    none = (await caller.http.get("/v1/escalations?severity=critical")).json()
    wrong = await caller.http.get("/v1/escalations?state=lost")

    assert [case["id"] for case in first["cases"] + rest["cases"]] == ids
    assert (rest["next"], none["cases"]) == (None, [])
    assert wrong.status_code == 422
    assert "messages" not in first["cases"][0]


async def test_without_a_queue_there_is_no_next_but_a_case_by_name(make_caller: MakeCaller) -> None:
    caller = await desk(make_caller)
    held = (await caller.respond()).json()

    following = await post(caller, "next")

    assert (following.status_code, following.json()["type"]) == (
        503,
        "urn:inwit:problem:queue-down",
    )
    assert "retry-after" in following.headers
    assert (await post(caller, f"{held['escalation']['id']}/claim")).status_code == 200


async def key_of(caller: Caller, tenant: str, role: KeyRole) -> dict[str, str]:
    """The header of a new key."""
    _, key = await caller.gateway.keys.create(
        name="other", tenant=tenant, policies=["default"], roles=[role]
    )
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", each) for each in ("1" * 5000, "0", "201", "-1", "\u0663", "x", "")),
        *(("after", each) for each in ("x", "esc_1", "\0")),
        *((each, "\0") for each in ("policy", "language", "state", "severity")),
    ],
)
async def test_a_parameter_that_cannot_be_is_named(
    make_caller: MakeCaller, name: str, value: str
) -> None:
    caller = await desk(make_caller)

    answer = await caller.http.get("/v1/escalations", params={name: value})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)
