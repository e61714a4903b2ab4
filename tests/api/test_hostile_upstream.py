"""Promises 1 and 2 through the front door: a real HTTP model server that misbehaves in every way,
the real client, and a real ledger that fails now and then."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
import sqlalchemy as sa

from inwit.clients.openai_compatible import OpenAICompatible
from inwit.ledger.database import Database
from inwit.ledger.tables import ENTRIES
from inwit.ledger.verify_database import verify_database
from inwit.policy.policy import Policy
from inwit.types import Action
from tests.conftest import LIMITS, MakeCaller
from tests.fakes_server import Behaviour, FakeServer

SECRET = "CANDIDATE-7f3a"
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
UNREVIEWED = {*BEHAVIOURS} - {"ok"}

# A review is asked for only where a candidate came: each generation, and each review after one.
PAIRS = sorted({*product(BEHAVIOURS, ["ok"]), *product(["ok"], BEHAVIOURS)})


@pytest.fixture
async def server() -> AsyncGenerator[FakeServer]:
    async with FakeServer(text=SECRET).running() as running:
        yield running


@pytest.fixture
async def client(server: FakeServer) -> AsyncGenerator[OpenAICompatible]:
    opened = OpenAICompatible(server.base_url)
    await opened.open()
    await opened.probe()
    yield opened
    await opened.close()


@pytest.mark.parametrize("on_failure", [Action.ALLOW, Action.ESCALATE, Action.BLOCK])
@pytest.mark.parametrize(("generate", "review"), PAIRS)
async def test_nothing_leaves_unreviewed_or_unrecorded(
    make_caller: MakeCaller,
    policy: Policy,
    server: FakeServer,
    client: OpenAICompatible,
    generate: Behaviour,
    review: Behaviour,
    on_failure: Action,
) -> None:
    server.generate, server.review = generate, review
    by_failure = replace(policy, on_review_failure=on_failure)
    # Little time for what hangs alone: what answers may be slow.
    short = {"hang": 150}
    review_limits = replace(LIMITS.review, judge_ms=short.get(review, LIMITS.review.judge_ms))
    limits = replace(
        LIMITS, generate_ms=short.get(generate, LIMITS.generate_ms), review=review_limits
    )
    caller = await make_caller(client, policies=(by_failure,), limits=limits)

    answer = await caller.respond()

    await caller.background.idle()
    types = await caller.database.read(_types)
    ended = "decision" if answer.status_code in (200, 202) else "failed"
    assert types == ["accepted", ended]
    if SECRET in answer.text:
        body = answer.json()
        assert body["status"] == "released"
        judged = body["review"]["judge"] == "judged"
        assert judged or on_failure is Action.ALLOW
        assert judged == (review == "ok")
    if answer.status_code in (200, 202) and review in UNREVIEWED:
        assert answer.json()["review"]["judge"] != "judged"
        assert answer.json()["review"]["risk"] is None
    assert answer.status_code != 500


def _types(connection: sa.Connection) -> list[str]:
    """Of all entries but that of the key, in a ledger that holds together."""
    assert verify_database(connection).breaks == ()
    query = sa.select(ENTRIES.c.type).where(ENTRIES.c.type != "changed")
    return list(connection.execute(query.order_by(ENTRIES.c.sequence)).scalars())


LEDGER_FAULTS = {
    "a refused insert": "CREATE TRIGGER broken BEFORE INSERT ON entries "
    "BEGIN SELECT RAISE(ABORT, 'no'); END",
    "content that cannot be kept": "CREATE TRIGGER broken BEFORE INSERT ON contents "
    "BEGIN SELECT RAISE(ABORT, 'no'); END",
    "no table": "DROP TABLE contents",
    "a bug": "UPDATE entries SET hash = 'of another type'",
}


@pytest.mark.parametrize("fault", LEDGER_FAULTS)
async def test_a_ledger_that_fails_in_any_way_holds_the_text_back(
    make_caller: MakeCaller, client: OpenAICompatible, database: Database, fault: str
) -> None:
    caller = await make_caller(client)
    assert SECRET in (await caller.respond()).text
    await database.write(lambda db: db.execute(sa.text(LEDGER_FAULTS[fault])))

    answers = [await caller.respond() for _ in range(2)]

    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:inwit:problem:not-recorded"
        assert answer.headers["retry-after"]
        assert SECRET not in answer.text
