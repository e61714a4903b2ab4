"""Callback hosts of API keys, and a held response that is told to its caller: the whole way."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from inwit.auth import ApiKeys
from inwit.callbacks import CallbackRule
from inwit.cli.keys import app
from inwit.errors import LedgerError, NotFound
from inwit.escalation.webhooks import Deliverer
from inwit.ledger import outcomes
from inwit.ledger.database import Database
from inwit.ledger.tables import API_KEYS, DELIVERIES, ESCALATIONS
from inwit.types import KeyRole
from tests.conftest import ASK, Caller, MakeCaller
from tests.escalation.receiver import Receiver
from tests.escalation.webhook_world import TIME
from tests.fakes import FakeClassifiers, FakeModel, risk_of
from tests.fakes_policies import compiled


@pytest.fixture
def keys(database: Database) -> ApiKeys:
    return ApiKeys(database, cache_s=0)


async def make(keys: ApiKeys, *hosts: str) -> str:
    stored, _ = await keys.create(
        name="n",
        tenant="acme",
        policies=["default"],
        roles=[KeyRole.RESPOND],
        callback_hosts=hosts,
    )
    return stored.id


async def rule_of(keys: ApiKeys, key_id: str) -> CallbackRule:
    rule = await keys.callback_rule(key_id)
    assert rule is not None
    return rule


async def test_a_key_with_hosts_has_a_secret_of_its_own(keys: ApiKeys) -> None:
    first, second = (
        await make(keys, "A.example", "a.example", "b.example:81"),
        await make(keys, "c"),
    )

    rule, other = await rule_of(keys, first), await rule_of(keys, second)

    assert rule.hosts == ("a.example", "b.example:81")
    assert rule.secret.startswith("whsec_")
    assert rule.secret != other.secret
    listed = await keys.list()
    assert [key.callback_hosts for key in listed] == [rule.hosts, ("c",)]
    assert "whsec_" not in repr(listed)


async def test_a_key_without_hosts_has_neither(keys: ApiKeys, database: Database) -> None:
    key_id = await make(keys)

    query = sa.select(API_KEYS.c.callback_secret)
    assert await keys.callback_rule(key_id) is None
    assert await keys.callback_rule("unknown") is None
    assert await database.read(lambda db: db.execute(query).scalar_one()) is None


async def test_hosts_and_secret_change_apart(keys: ApiKeys) -> None:
    key_id = await make(keys, "a.example")
    before = await rule_of(keys, key_id)

    assert await keys.set_callbacks(key_id, ["b.example"]) is None
    assert await rule_of(keys, key_id) == replace(before, hosts=("b.example",))

    fresh = await keys.set_callbacks(key_id, None, new_secret=True)
    assert fresh is not None
    assert fresh != before.secret
    assert await rule_of(keys, key_id) == CallbackRule(("b.example",), fresh)

    assert await keys.set_callbacks(key_id, []) is None
    assert await keys.callback_rule(key_id) is None


async def test_the_first_hosts_of_a_key_make_its_secret(keys: ApiKeys) -> None:
    key_id = await make(keys)

    assert await keys.set_callbacks(key_id, []) is None
    made = await keys.set_callbacks(key_id, ["a.example"])

    assert (await rule_of(keys, key_id)).secret == made


async def test_what_is_no_host_changes_nothing(keys: ApiKeys) -> None:
    key_id = await make(keys, "a.example")

    with pytest.raises(ValueError, match="host"):
        await keys.set_callbacks(key_id, ["b.example", "https://c.example"])
    with pytest.raises(ValueError, match="host"):
        await make(keys, "a,b")

    assert (await rule_of(keys, key_id)).hosts == ("a.example",)


async def test_a_revoked_key_calls_nobody_and_is_not_changed(keys: ApiKeys) -> None:
    key_id = await make(keys, "a.example")
    await keys.revoke(key_id)

    assert await keys.callback_rule(key_id) is None
    for name in (key_id, "unknown"):
        with pytest.raises(NotFound):
            await keys.set_callbacks(name, ["b.example"])


async def test_a_change_is_seen_at_once_here_and_with_the_cache_elsewhere(
    keys: ApiKeys, database: Database
) -> None:
    key_id = await make(keys, "a.example")
    here, elsewhere = ApiKeys(database, cache_s=60), ApiKeys(database, cache_s=60)
    for each in (here, elsewhere):
        await each.callback_rule(key_id)

    await here.set_callbacks(key_id, ["b.example"])

    assert (await rule_of(here, key_id)).hosts == ("b.example",)
    assert (await rule_of(elsewhere, key_id)).hosts == ("a.example",)


async def test_rules_that_cannot_be_looked_up_are_no_refusal(
    keys: ApiKeys, database: Database
) -> None:
    key_id = await make(keys, "a.example")
    await database.write(lambda db: db.execute(sa.text("DROP TABLE api_keys")))

    with pytest.raises(LedgerError):
        await keys.callback_rule(key_id)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "var"))
    return tmp_path


CREATE = ("create", "--name", "n", "--tenant", "acme")


@pytest.mark.usefixtures("data_dir")
def test_the_commands_print_a_secret_once() -> None:
    made = json.loads(run(*CREATE, "--callback-host", "A.example", "--json").output)
    plain = run(*CREATE, "--callback-host", "*.b.example", "--callback-host", "c:81").output
    without = json.loads(run(*CREATE, "--json").output)

    assert made["callback_secret"].startswith("whsec_")
    assert "What signs its webhooks: whsec_" in plain
    assert without.keys() == {"id", "key"}
    rows = json.loads(run("list", "--json").output)
    assert [row["callback_hosts"] for row in rows] == ["a.example", "*.b.example,c:81", ""]
    assert "whsec_" not in run("list").output


@pytest.mark.usefixtures("data_dir")
def test_the_command_changes_hosts_and_rolls_the_secret() -> None:
    made = json.loads(run(*CREATE, "--json").output)

    first = json.loads(run("callbacks", made["id"], "--host", "a.example", "--json").output)
    again = json.loads(run("callbacks", made["id"], "--host", "b.example", "--json").output)
    rolled = run("callbacks", made["id"], "--new-secret").output
    (row,) = json.loads(run("list", "--json").output)
    assert run("callbacks", made["id"], "--no-hosts").exit_code == 0
    (closed,) = json.loads(run("list", "--json").output)

    assert first["callback_secret"].startswith("whsec_")
    assert again == {"id": made["id"]}
    assert "whsec_" in rolled
    assert first["callback_secret"] not in rolled
    assert (row["callback_hosts"], closed["callback_hosts"]) == ("b.example", "")


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((*CREATE, "--callback-host", "https://a.example"), "HOST:PORT"),
        (("callbacks", "k", "--host", "*.com"), "example.com"),
        (("callbacks", "k"), "--new-secret"),
        (("callbacks", "k", "--host", "a.example", "--no-hosts"), "--no-hosts"),
    ],
)
def test_a_command_that_is_not_understood(words: Sequence[str], problem: str) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert problem in result.output


async def waiting(make_caller: MakeCaller) -> Caller:
    """A caller whose responses wait for a person."""
    return await make_caller(
        FakeModel(answer=risk_of(0.95)),
        classifiers=FakeClassifiers(0.9),
        policies=(compiled(on_harm="escalate"),),
    )


async def key_of(caller: Caller) -> str:
    (key,) = await caller.gateway.keys.list()
    return key.id


async def test_a_held_response_is_told_to_its_caller_once_nobody_ruled(
    make_caller: MakeCaller,
) -> None:
    caller = await waiting(make_caller)
    key_id, keys = await key_of(caller), caller.gateway.keys
    async with Receiver().running() as receiver:
        secret = await keys.set_callbacks(key_id, [f"127.0.0.1:{receiver.port}"])
        assert secret is not None
        url = f"http://127.0.0.1:{receiver.port}/hook"
        first = await caller.respond({**ASK, "callback_url": url})
        assert (first.status_code, first.json()["status"]) == (202, "held")
        await expire(caller)
        ledger, responses = caller.gateway.ledger, caller.gateway.responses
        async with Deliverer(caller.database, ledger, keys, responses).running():
            await receiver.came()

    told = receiver.verified(secret)["data"]
    answer = (await caller.http.get(told["poll"])).json()
    assert told["id"] == answer["id"] == first.json()["id"]
    assert (told["status"], told["output"]) == (answer["status"], answer["output"])
    assert told["status"] == "blocked"
    assert told["escalation"]["id"] == answer["escalation"]["id"]
    assert told["escalation"]["state"] == answer["escalation"]["state"] == "expired"
    assert FakeModel().text not in receiver.got[0].body.decode()


async def expire(caller: Caller) -> None:
    """Let the time of every case be over."""
    change = sa.update(ESCALATIONS).values(due=TIME, on_expiry="block")
    await caller.database.write(lambda connection: connection.execute(change))
    await caller.gateway.ledger.write(lambda transaction: outcomes.expire_due(transaction, 10))


async def test_a_url_that_the_key_may_not_name_is_refused_before_anything_is_written(
    make_caller: MakeCaller,
) -> None:
    caller = await waiting(make_caller)
    await caller.gateway.keys.set_callbacks(await key_of(caller), ["hooks.example.com"])

    def told(body: Any) -> list[str]:
        return [each["field"] for each in body["errors"]]

    for url in (
        "https://evil.example/",
        "http://hooks.example.com/",
        "https://a@hooks.example.com",
    ):
        refused = await caller.respond({**ASK, "callback_url": url})
        assert refused.status_code == 422
        assert told(refused.json()) == ["callback_url"]
        assert url not in refused.text
    allowed = await caller.respond({**ASK, "callback_url": "https://hooks.example.com/x"})

    assert allowed.status_code == 202
    rows = await caller.database.read(lambda db: db.execute(sa.select(DELIVERIES)).all())
    assert rows == []
