"""`POST /v1/ledger/erasures`: who may, of whom, and what is left."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from inwit.cases import ActKind
from inwit.ledger import legal_holds
from inwit.ledger.database import Database
from inwit.ledger.legal_holds import HoldScope
from inwit.types import KeyRole
from tests.conftest import ASK, Caller, MakeCaller
from tests.ledger.forgotten import acts
from tests.ledger.sealed import sealed_database

ALL = (KeyRole.RESPOND, KeyRole.AUDIT, KeyRole.ADMIN)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    async with sealed_database(tmp_path) as opened:
        yield opened


async def erase(caller: Caller, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = await caller.http.post("/v1/ledger/erasures", json=body)
    return answer.status_code, answer.json()


async def test_an_end_user_is_forgotten(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=ALL)
    told = [await caller.respond({**ASK, "end_user": name}) for name in ("ann", "ann", "bob")]
    ids = [each.json()["id"] for each in told]

    counted = await erase(caller, end_user="ann", dry_run=True)
    done = await erase(caller, end_user="ann", reason="DPO-12")

    found = {"responses": 2, "pieces": 6, "texts": 0, "cases": 0, "deliveries": 0}
    assert counted == (200, {"status": "dry_run", "scrubbed": None, **found})
    assert done == (200, {"status": "erased", "scrubbed": True, **found})
    answers = [await caller.http.get(f"/v1/responses/{each}") for each in ids]
    assert [each.status_code for each in answers] == [410, 410, 200]
    assert answers[0].json()["detail"] == "The content of this response was erased on request."
    (act,) = await acts(caller.database, ActKind.ERASED)
    assert act["actor"].startswith("key_")
    assert act["facts"]["reason"] == "DPO-12"


async def test_one_response_is_forgotten(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=ALL)
    name = (await caller.respond()).json()["id"]

    assert (await erase(caller, response=name))[0] == 200

    assert (await caller.http.get(f"/v1/responses/{name}")).status_code == 410
    assert (await erase(caller, response=name))[0] == 404


@pytest.mark.parametrize("key", ["Idempotency-Key"])
async def test_a_repeat_is_not_answered_from_what_is_gone(
    make_caller: MakeCaller, key: str
) -> None:
    caller = await make_caller(roles=ALL)
    first = await caller.respond({**ASK, "end_user": "ann"}, **{key: "once"})
    await erase(caller, end_user="ann")

    again = await caller.respond({**ASK, "end_user": "ann"}, **{key: "once"})

    assert again.status_code == 200
    assert again.json()["id"] != first.json()["id"]


async def test_a_hold_is_a_conflict(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=ALL)
    await caller.respond({**ASK, "end_user": "ann"})
    place = legal_holds.place
    hold = await caller.gateway.ledger.write(
        lambda each: place(each, HoldScope.TENANT, "acme", "acme", "a suit", "op")
    )

    status, problem = await erase(caller, end_user="ann")

    assert status == 409
    assert f"inwit ledger lift {hold.id}" in problem["detail"]


ROLES: list[tuple[tuple[KeyRole, ...], bool, int]] = [
    ((KeyRole.RESPOND,), True, 403),
    ((KeyRole.RESPOND, KeyRole.REVIEW), False, 403),
    ((KeyRole.RESPOND, KeyRole.AUDIT), True, 200),
    ((KeyRole.RESPOND, KeyRole.AUDIT), False, 403),
    ((KeyRole.RESPOND, KeyRole.ADMIN), True, 200),
    ((KeyRole.RESPOND, KeyRole.ADMIN), False, 200),
]


@pytest.mark.parametrize(("roles", "dry_run", "status"), ROLES)
async def test_roles(
    make_caller: MakeCaller, roles: tuple[KeyRole, ...], dry_run: bool, status: int
) -> None:
    caller = await make_caller(roles=roles)
    await caller.respond({**ASK, "end_user": "ann"})

    assert (await erase(caller, end_user="ann", dry_run=dry_run))[0] == status


async def test_nobody_erases_another_tenants(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=ALL)
    name = (await caller.respond({**ASK, "end_user": "ann"})).json()["id"]
    _, other = await caller.gateway.keys.create(
        name="other", tenant="other", policies=["default"], roles=[KeyRole.ADMIN]
    )
    caller.http.headers["authorization"] = f"Bearer {other}"

    assert (await erase(caller, end_user="ann"))[0] == 404
    assert (await erase(caller, response=name))[0] == 404


WRONG: list[dict[str, Any]] = [
    {},
    {"end_user": "ann", "response": "resp_1"},
    {"end_user": ""},
    {"end_user": "ann", "reason": "x" * 201},
    {"end_user": "ann", "tenant": "other"},
]


@pytest.mark.parametrize("body", WRONG)
async def test_bodies_that_are_wrong(make_caller: MakeCaller, body: dict[str, Any]) -> None:
    assert (await erase(await make_caller(roles=ALL), **body))[0] == 422
