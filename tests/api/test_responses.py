"""`GET /v1/responses/{id}`: the answer again, and the wait for one. test_events.py has streams."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from inwit.decisions import CutReason, CutRecord, Origin, WindowRecord
from inwit.errors import Conflict
from inwit.ledger.chain import entry_body, entry_facts, leaf_hash
from inwit.ledger.tables import ENTRIES
from inwit.policy.policy import Policy
from inwit.types import Action, Enforcement, KeyRole, ToolCall
from tests.conftest import ASK, Caller, MakeCaller
from tests.escalation.desk_world import age
from tests.fakes import FakeClassifiers, FakeModel, risk_of
from tests.fakes_policies import compiled
from tests.ledger.test_store import ORIGIN, RECORD

FLAGGED, FINE, DOUBT = risk_of(0.95), risk_of(0.05), risk_of(0.5)
ID = f"resp_{'a' * 32}"
STREAMED = replace(ORIGIN, response_id=ID, enforcement=Enforcement.WINDOWED)
MAIL = {"messages": [{"role": "user", "content": "Where do I write to?"}]}
TOOL = {"type": "function", "function": {"name": "look_up"}}
CALL = ToolCall("call_1", "look_up", '{"id": 7}')
PASSAGES = [
    {"id": "p1", "source": "wiki/tides", "text": "The moon pulls the sea."},
    {"id": "p2", "source": "elsewhere", "text": "Nobody knows."},
]


def retrieving() -> Policy:
    return compiled(retrieval={"sources": ["wiki/*"], "on_other": "drop"})


ANSWERS: dict[str, tuple[FakeModel, FakeClassifiers, Policy, dict[str, Any]]] = {
    "allow": (FakeModel(), FakeClassifiers(), compiled(), {}),
    "block": (FakeModel(answer=FLAGGED), FakeClassifiers(0.9), compiled(), {}),
    "doubt that was cleared": (FakeModel(answer=DOUBT), FakeClassifiers(), compiled(), {}),
    "redact": (
        FakeModel("Write to ana@example.org."),
        FakeClassifiers(),
        compiled(redact={"mask": ["email"]}),
        MAIL,
    ),
    "rewrite": (
        FakeModel("HARM", answers=[FLAGGED, FINE], rewrites=["A kinder answer."]),
        FakeClassifiers(),
        compiled(on_harm="rewrite"),
        {},
    ),
    "escalate": (
        FakeModel(answer=FLAGGED),
        FakeClassifiers(0.95),
        compiled(on_harm="escalate"),
        {},
    ),
    "not reviewed": (
        FakeModel(answer=risk_of(0.0), hang=None),
        FakeClassifiers(None),
        replace(compiled(), on_review_failure=Action.ALLOW),
        {},
    ),
    "input": (
        FakeModel(),
        FakeClassifiers(input_risk=0.9),
        compiled(input={"use": ["guard"], "on_flag": "block"}),
        {},
    ),
    "passages": (FakeModel(), FakeClassifiers(), retrieving(), {"context": PASSAGES}),
    "tools": (
        FakeModel(tool_calls=(CALL,)),
        FakeClassifiers(),
        compiled(tools={"look_up": {}}),
        {"tools": [TOOL]},
    ),
}


async def get(caller: Caller, path: str, **headers: str) -> httpx.Response:
    return await caller.http.get(f"/v1/responses/{path}", headers=headers)


async def other_tenant(caller: Caller, role: KeyRole = KeyRole.RESPOND) -> str:
    """The header of a caller of another tenant."""
    keys = caller.gateway.keys
    _, key = await keys.create(name="o", tenant="other", policies=["default"], roles=[role])
    return f"Bearer {key}"


def window(origin: Origin, start: int, text: str, age_s: float = 0.0) -> WindowRecord:
    """Text that is about to leave a stream."""
    contents = {"released": f'{{"text": "{text}"}}'.encode()}
    time = datetime.now(UTC) - timedelta(seconds=age_s)
    return WindowRecord(origin, time, start, start + len(text), None, contents)


def cut(origin: Origin, text: str) -> CutRecord:
    """The end of a stream that was cut short."""
    contents = {"released": f'{{"text": "{text}"}}'.encode()}
    return CutRecord(origin, datetime.now(UTC), CutReason.CALLER_GONE, len(text), None, contents)


@pytest.mark.parametrize("case", ANSWERS)
async def test_the_answer_is_the_one_first_given(make_caller: MakeCaller, case: str) -> None:
    model, classifiers, policy, body = ANSWERS[case]
    model, classifiers = replace(model), replace(classifiers)
    caller = await make_caller(model, classifiers=classifiers, policies=(policy,))
    first = await caller.respond({**ASK, **body})
    assert first.status_code in (200, 202), first.text

    again = await get(caller, first.json()["id"])

    assert again.status_code == 200
    assert again.json() | {"timings_ms": None} == first.json() | {"timings_ms": None}
    assert again.json()["timings_ms"]


async def test_a_response_is_its_own_tenants(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel("MY SECRET"))
    name = (await caller.respond()).json()["id"]
    stranger = await other_tenant(caller)

    for path in (name, f"{name}/events", f"{name}?wait=1"):
        theirs = await get(caller, path, authorization=stranger)
        nobodys = await get(caller, path, authorization="")

        assert theirs.status_code == 404
        assert "MY SECRET" not in theirs.text
        assert nobodys.status_code == 401
        assert (await get(caller, path)).status_code == 200


@pytest.mark.parametrize("path", [ID, "resp_", "x" * 500, "resp_%00", "resp_" + "A" * 32, "%F0"])
async def test_what_is_not_there_is_404(make_caller: MakeCaller, path: str) -> None:
    caller = await make_caller()

    assert (await get(caller, path)).json()["type"] == "urn:inwit:problem:not-found"
    assert (await get(caller, f"{path}/events")).status_code == 404


async def test_a_key_without_the_role_gets_403(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    auditor = await other_tenant(caller, KeyRole.AUDIT)

    assert (await get(caller, ID, authorization=auditor)).status_code == 403
    assert (await get(caller, f"{ID}/events", authorization=auditor)).status_code == 403


async def test_what_nobody_ruled_on_in_time_is_blocked(make_caller: MakeCaller) -> None:
    caller = await expiring(make_caller, expired_text="Nobody could look at this in time.")
    first = await caller.respond()
    await swept(caller)

    again = (await get(caller, f"{first.json()['id']}?wait=60")).json()

    assert first.status_code == 202
    assert (again["status"], again["escalation"]["state"]) == ("blocked", "expired")
    assert again["output"]["content"] == "Nobody could look at this in time."
    changed = {"status", "escalation", "timings_ms", "output"}
    assert {key for key in again if again[key] != first.json()[key]} == changed


async def test_a_wait_for_a_held_response_ends_once_it_expires(make_caller: MakeCaller) -> None:
    caller = await expiring(make_caller)
    name = (await caller.respond()).json()["id"]

    at_once = await get(caller, name)
    waiting = asyncio.create_task(get(caller, f"{name}?wait=60"))
    async with asyncio.timeout(30):
        await swept(caller)
        waited = await waiting

    assert (at_once.status_code, at_once.json()["status"]) == (200, "held")
    assert waited.json()["status"] == "blocked"


async def expiring(make_caller: MakeCaller, **escalation: Any) -> Caller:
    """A gateway that holds every answer, for ten minutes."""
    rules = {"claim_within_s": 600, **escalation}
    escalating = compiled(on_harm="escalate", escalation=rules)
    model = FakeModel(answer=FLAGGED)
    return await make_caller(model, classifiers=FakeClassifiers(0.9), policies=(escalating,))


async def swept(caller: Caller) -> None:
    """The time passes in which somebody could have ruled, and the clocks are looked at."""
    await caller.database.write(lambda each: age(each, timedelta(seconds=601)))
    await caller.gateway.escalation.sweeper.sweep()


async def test_a_wait_ends_when_its_time_is_over_and_at_shutdown(make_caller: MakeCaller) -> None:
    caller = await held(make_caller, max_in_flight=1)
    name = (await caller.respond()).json()["id"]

    async with asyncio.timeout(30):
        short = await get(caller, f"{name}?wait=0.3")
        two = {asyncio.create_task(get(caller, f"{name}?wait=60")) for _ in range(2)}
        _, waiting = await asyncio.wait(two, return_when=asyncio.FIRST_COMPLETED)
        caller.gateway.health.draining = True  # one was refused, so the other one waits
        ended = await waiting.pop()

    assert short.json()["status"] == ended.json()["status"] == "held"


async def test_waits_are_bounded_and_a_caller_that_hangs_up_makes_room(
    make_caller: MakeCaller,
) -> None:
    caller = await held(make_caller, max_in_flight=1)
    name = (await caller.respond()).json()["id"]
    two = {asyncio.create_task(get(caller, f"{name}?wait=60")) for _ in range(2)}
    async with asyncio.timeout(30):
        done, waiting = await asyncio.wait(two, return_when=asyncio.FIRST_COMPLETED)
    refused = done.pop().result()
    at_once = await get(caller, name)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    after = await get(caller, f"{name}?wait=0.01")

    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert (at_once.status_code, after.status_code) == (200, 200)


@pytest.mark.parametrize("wait", ["61", "-1", "x", "", "nan", "inf", "1e1", "60.1", " 1", "1,5"])
async def test_a_wrong_wait_is_named(make_caller: MakeCaller, wait: str) -> None:
    caller = await make_caller()

    answer = await caller.http.get(f"/v1/responses/{ID}", params={"wait": wait})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "wait"


async def test_a_stream_under_way_is_in_progress(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon "))

    state = (await get(caller, ID)).json()
    waiting = asyncio.create_task(get(caller, f"{ID}?wait=60"))
    await caller.gateway.ledger.append(window(STREAMED, 9, "pulls."))
    decided = replace(
        RECORD,
        origin=STREAMED,
        contents={"released": b'{"text":"The moon pulls.","tool_calls":[]}'},
    )
    await caller.gateway.ledger.append(decided)
    async with asyncio.timeout(30):
        answer = (await waiting).json()

    assert state == {"id": ID, "status": "in_progress"}
    assert (answer["status"], answer["output"]["content"]) == ("released", "The moon pulls.")


async def test_a_stream_that_was_cut_short_has_no_answer(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon "))
    await caller.gateway.ledger.append(cut(STREAMED, "The moon "))

    answer = await get(caller, f"{ID}?wait=60")

    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:inwit:problem:cut-short"
    assert "its caller hung up" in answer.json()["detail"]


async def test_a_stream_whose_gateway_died_is_cut_short_after_the_deadline(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(deadline_ms=600_000, record_ms=1_000)
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon ", age_s=3))
    young = await get(caller, ID)
    old = replace(STREAMED, response_id=f"resp_{'b' * 32}")
    await caller.gateway.ledger.append(window(old, 0, "The moon ", age_s=700))

    answer = await get(caller, old.response_id)

    assert young.json()["status"] == "in_progress"
    assert answer.json()["type"] == "urn:inwit:problem:cut-short"
    assert "the gateway that worked on it stopped" in answer.json()["detail"]


async def test_a_decision_counts_also_where_its_stream_broke_at_the_very_commit(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller()
    contents = {"released": b'{"text":"The moon.","tool_calls":[]}'}
    await caller.gateway.ledger.append(replace(RECORD, origin=STREAMED, contents=contents))
    with pytest.raises(Conflict):
        await caller.gateway.ledger.append(cut(STREAMED, "The "))

    assert (await get(caller, ID)).json()["output"]["content"] == "The moon."


async def test_a_check_is_no_response(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    contents = {
        "candidate": b'{"text":"The moon.","reasoning":"","tool_calls":[]}',
        "released": b'{"text":"The moon.","tool_calls":[]}',
    }
    checked = replace(RECORD, origin=STREAMED, contents=contents, checked=True)
    await caller.gateway.ledger.append(checked)

    assert (await get(caller, ID)).status_code == 404


@pytest.mark.parametrize("path", [ID, f"{ID}/events"])
async def test_content_that_was_erased_is_gone(make_caller: MakeCaller, path: str) -> None:
    caller = await make_caller()
    contents = {"released": b'{"text":"The moon.","tool_calls":[]}'}
    await caller.gateway.ledger.append(replace(RECORD, origin=STREAMED, contents=contents))
    await caller.database.write(lambda db: db.execute(sa.text("DELETE FROM contents")))

    answer = await get(caller, path)

    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:inwit:problem:gone"


CHANGES = {
    "the content": "UPDATE contents SET content = CAST(replace(CAST(content AS TEXT), "
    "'moon', 'HARM') AS BLOB)",
    "its type": "UPDATE contents SET content = CAST(content AS TEXT)",
    "the salt": "UPDATE contents SET salt = zeroblob(32)",
    "the entry": "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), "
    "'allow', 'block') AS BLOB)",
    "the entry's type": "UPDATE entries SET body = CAST(body AS TEXT)",
    "whose it is": "UPDATE entries SET tenant = 'other', response_id = 'resp_" + "b" * 32 + "'",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_was_changed_since_is_not_told(make_caller: MakeCaller, change: str) -> None:
    caller = await make_caller()
    contents = {"released": b'{"text":"The moon.","tool_calls":[]}'}
    await caller.gateway.ledger.append(replace(RECORD, origin=STREAMED, contents=contents))
    await caller.database.write(lambda db: db.execute(sa.text(CHANGES[change])))
    theirs = await other_tenant(caller)

    with capture_logs() as logs:
        mine = await get(caller, ID)
        stolen = await get(caller, f"resp_{'b' * 32}", authorization=theirs)

    assert "moon" not in mine.text + stolen.text
    assert {mine.status_code, stolen.status_code} == {404, 410}
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["ledger_changed"]


async def test_an_entry_of_an_earlier_version_is_gone(make_caller: MakeCaller) -> None:
    """As one stands in a ledger that was begun before the answer was kept whole."""
    caller = await make_caller()
    facts = entry_facts(replace(RECORD, origin=STREAMED, contents={}), "ent_1", {}) | {"schema": 2}
    body = entry_body(facts, 9, bytes(32))
    row = {
        "sequence": 9,
        "id": "ent_1",
        "time": RECORD.time,
        "type": "decision",
        "tenant": "acme",
        "response_id": ID,
        "body": body,
        "hash": leaf_hash(body),
        "previous": bytes(32),
    }
    await caller.database.write(lambda db: db.execute(sa.insert(ENTRIES), row))

    answer = await get(caller, ID)

    assert answer.json()["type"] == "urn:inwit:problem:gone"
    assert "an earlier version" in answer.json()["detail"]


async def held(make_caller: MakeCaller, **settings: Any) -> Caller:
    """A caller whose responses wait for a person."""
    model = FakeModel(answer=FLAGGED)
    escalating = compiled(on_harm="escalate")
    return await make_caller(
        model, classifiers=FakeClassifiers(0.9), policies=(escalating,), **settings
    )
