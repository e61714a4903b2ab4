"""What administrators change, and what keys are refused, is in the ledger: once, and small."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from inwit.cli import app
from inwit.errors import PolicyError
from inwit.labels import Reload
from inwit.ledger.administration import short_list
from inwit.ledger.content_keys import KeyFile
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.entry_words import title, who
from inwit.ledger.tables import ENTRIES
from inwit.ledger.vault import Vault
from inwit.types import KeyRole
from tests.conftest import Caller, MakeCaller
from tests.fakes_policy_folder import opened, policy_text, write_policies
from tests.ledger.sealed import append_for

Facts = dict[str, Any]


async def entries(database: Database, *kinds: str) -> list[Facts]:
    """Of these types, the oldest first."""
    query = sa.select(ENTRIES.c.body).where(ENTRIES.c.type.in_(kinds)).order_by(ENTRIES.c.sequence)
    rows = await database.read(lambda db: db.execute(query).scalars().all())
    assert all(len(body) <= 4096 for body in rows)
    return [json.loads(body) for body in rows]


async def policies_told(database: Database) -> list[tuple[str, str, str | None, str | None]]:
    told = await entries(database, "policy_in_force", "policy_withdrawn")
    return [
        (
            entry["type"].removeprefix("policy_"),
            entry["facts"]["policy"],
            entry["facts"].get("version"),
            entry["facts"]["previous"],
        )
        for entry in told
    ]


async def test_a_policy_that_comes_into_force_is_told_once_whatever_the_number_of_gateways(
    tmp_path: Path, database: Database
) -> None:
    folder = write_policies(tmp_path / "policies", default="1")
    gateways = [await opened(folder, database) for _ in range(3)]
    first = gateways[0].book.current["default"].ref.digest

    write_policies(folder, default="2")
    await asyncio.gather(*(each.look() for each in gateways))
    second = gateways[0].book.current["default"].ref.digest
    write_policies(folder, default="1")  # back to what was in force before
    await asyncio.gather(*(each.look() for each in gateways))
    await gateways[0].look(asked=True)

    assert await policies_told(database) == [
        ("in_force", "default", "1", None),
        ("in_force", "default", "2", first),
        ("in_force", "default", "1", second),
    ]
    told = (await entries(database, "policy_in_force"))[1]
    assert told["facts"]["digest"] == second
    assert (title(told), who(told)) == ("Policy in force", "the gateway")


async def test_a_policy_that_went_is_told_and_so_is_one_that_comes_back(
    tmp_path: Path, database: Database
) -> None:
    folder = write_policies(tmp_path / "policies", default="1", support="1")
    gateways = [await opened(folder, database) for _ in range(2)]
    digest = gateways[0].book.current["support"].ref.digest

    (folder / "support.yaml").unlink()
    for each in gateways:
        await each.look()
    write_policies(folder, support="1")
    for each in gateways:
        await each.look()

    assert (await policies_told(database))[2:] == [
        ("withdrawn", "support", None, digest),
        ("in_force", "support", "1", None),
    ]


async def test_a_gateway_that_starts_again_tells_nothing_new(
    tmp_path: Path, database: Database
) -> None:
    folder = write_policies(tmp_path / "policies", default="1", support="1")
    for _ in range(3):
        await opened(folder, database)

    assert len(await policies_told(database)) == 2


async def test_a_refused_change_is_told_once_without_its_text(
    tmp_path: Path, database: Database
) -> None:
    folder = write_policies(tmp_path / "policies", default="1")
    gateways = [await opened(folder, database) for _ in range(2)]

    (folder / "default.yaml").write_text(policy_text("default", "2") + "\nsecret_field: 1\n")
    for each in gateways:
        await each.look()
        await each.look()

    (told,) = await entries(database, "policy_refused")
    assert len(told["facts"]["files"]) == 1
    assert told["facts"]["why"] == PolicyError.kind
    assert "secret_field" not in json.dumps(told)
    assert title(told) == "Change of policies refused"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path))
    return tmp_path


def run(*words: str, stdin: str | None = None) -> Result:
    done = CliRunner().invoke(app, words, input=stdin)
    assert done.exit_code == 0, done.output
    return done


def changes(data_dir: Path) -> list[Facts]:
    async def read() -> list[Facts]:
        vault = Vault(KeyFile(data_dir / "content.key", make=True))
        database = Database(sqlite_url(data_dir), vault=vault)
        await database.open()
        try:
            return await entries(database, "changed")
        finally:
            await database.close()

    return asyncio.run(read())


def test_keys_made_changed_and_revoked_by_commands_are_told_without_name_and_secret(
    data_dir: Path,
) -> None:
    make = ("keys", "create", "--name", "Ann Smith", "--tenant", "acme", "--json")
    made = json.loads(run(*make, "--roles", "respond,audit").output)
    hosts = ("--host", "hooks.example.com")
    changed = json.loads(run("keys", "callbacks", made["id"], *hosts, "--json").output)
    run("keys", "revoke", made["id"])

    told = changes(data_dir)

    assert [title(each) for each in told] == ["API key made", "API key changed", "API key revoked"]
    assert {(each["tenant"], each["actor"], each["facts"]["key"]) for each in told} == {
        ("acme", "operator", made["id"])
    }
    assert told[0]["facts"]["roles"] == ["audit", "respond"]
    assert told[0]["facts"]["policies"] == ["default"]
    assert told[1]["facts"]["fields"] == ["callback_hosts", "callback_secret"]
    assert told[1]["facts"]["callback_hosts"] == ["hooks.example.com"]
    written = json.dumps(told)
    secrets = (made["key"].rsplit("_", 1)[-1], changed["callback_secret"], "Ann Smith")
    assert not any(secret in written for secret in secrets)


def test_people_changed_by_commands_are_told_without_their_names(data_dir: Path) -> None:
    password = "correct horse battery staple\n"  # of this test alone
    run("reviewers", "add", "ann", "--password-stdin", stdin=password)
    run("reviewers", "change", "ann", "--role", "senior")
    run("reviewers", "disable", "ann")
    run("reviewers", "enable", "ann")
    run("reviewers", "password", "ann", "--password-stdin", stdin=f"another {password}")

    told = changes(data_dir)

    assert [title(each) for each in told] == ["Person added", *["Person changed"] * 4]
    assert {who(each) for each in told} == {"the command line"}
    assert [each["facts"].get("disabled") for each in told] == [None, None, True, False, None]
    assert told[-1]["facts"]["fields"] == ["password"]
    assert '"ann"' not in json.dumps(told)


def test_a_rotation_of_content_keys_is_told(data_dir: Path) -> None:
    async def fill() -> None:
        database = Database(
            sqlite_url(data_dir), vault=Vault(KeyFile(data_dir / "content.key", make=True))
        )
        await database.open()
        await append_for(database, "ann", "resp_1")
        await database.close()

    asyncio.run(fill())
    run("ledger", "rotate-content-key", "--add")
    run("ledger", "rotate-content-key", "--subject-keys", "--tenant", "acme", "--end-user", "ann")

    master, subject = changes(data_dir)

    assert {title(master), title(subject)} == {"Keys of content rotated"}
    assert (master["facts"]["active"], master["facts"]["added"]) == ("k2", True)
    assert (master["facts"]["left"], master["tenant"]) == (0, "")
    assert (subject["facts"]["subjects"], subject["tenant"]) == (1, "acme")
    assert '"ann"' not in json.dumps(subject)


def test_a_list_that_is_long_is_cut_and_says_so() -> None:
    assert short_list(["a", "b"]) == ["a", "b"]
    assert short_list(["x" * 600] * 3) == ["x" * 600, "and 2 more"]


async def _ask(caller: Caller) -> httpx.Response:
    return await caller.http.post("/v1/ledger/erasures", json={"end_user": "ann"})


async def test_refusals_of_a_key_are_counted_into_one_entry(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=(KeyRole.AUDIT,))

    statuses = {(await _ask(caller)).status_code for _ in range(50)}
    statuses.add((await caller.respond()).status_code)
    chat = {"model": "m", "messages": [{"role": "user", "content": "my secret"}]}
    statuses.add((await caller.http.post("/v1/chat/completions", json=chat)).status_code)
    assert await entries(caller.database, "refused") == []
    await caller.gateway.refused.write()
    await caller.gateway.refused.write()

    told = await entries(caller.database, "refused")
    assert statuses == {403}
    assert [(each["facts"]["route"], each["facts"]["count"]) for each in told] == [
        ("/v1/chat/completions", 1),
        ("/v1/ledger/erasures", 50),
        ("/v1/respond", 1),
    ]
    assert {(each["tenant"], each["facts"]["why"]) for each in told} == {("acme", "forbidden")}
    assert {each["actor"] for each in told} == {f"key_{told[0]['facts']['key']}"}
    assert "secret" not in json.dumps(told)
    assert title(told[0]) == "Access refused"


async def test_a_key_that_nobody_knows_writes_nothing(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    answer = await caller.respond(authorization="Bearer inwit_x_y")
    await caller.gateway.refused.write()

    assert answer.status_code == 401
    assert await entries(caller.database, "refused") == []


async def test_refusals_that_cannot_be_written_are_counted_on(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=())
    await caller.respond()
    rename = "ALTER TABLE entries RENAME TO {}"
    await caller.database.write(lambda db: db.execute(sa.text(rename.format("away"))))
    await caller.gateway.refused.write()
    await caller.respond()
    back = sa.text("ALTER TABLE away RENAME TO entries")
    await caller.database.write(lambda db: db.execute(back))

    async with caller.gateway.refused.running():
        pass  # what is left is written at its end

    (told,) = await entries(caller.database, "refused")
    assert told["facts"]["count"] == 2


async def test_a_ledger_that_cannot_be_written_leaves_policies_watched(
    tmp_path: Path, database: Database
) -> None:
    folder = write_policies(tmp_path / "policies", default="1")
    gateway = await opened(folder, database)
    rename = "ALTER TABLE {} RENAME TO {}"
    await database.write(lambda db: db.execute(sa.text(rename.format("entries", "away"))))

    (folder / "default.yaml").write_text("name: [")
    refused = await gateway.look()
    await database.write(lambda db: db.execute(sa.text(rename.format("away", "entries"))))
    write_policies(folder, default="2")
    mended = await gateway.look()

    assert (refused, mended) == (Reload.REFUSED, Reload.OK)
    assert [version for _, _, version, _ in await policies_told(database)] == ["1", "2"]
