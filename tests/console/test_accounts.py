"""People: made and changed from the command line and in the code, each change in the ledger."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from inwit.cases import Reviewer, Role
from inwit.cli.reviewers import app
from inwit.console.account_rows import OPERATOR, Account, Actor, Identity, Through, plain_name
from inwit.console.passwords import Passwords, check_new
from inwit.errors import FieldError, Forbidden, InvalidField, InwitError, NotFound
from inwit.types import Category, Severity
from tests.console.conftest import PASSWORD, QUICK, Site


def run(*words: str, typed: str = f"{PASSWORD}\n{PASSWORD}\n") -> Result:
    return CliRunner().invoke(app, list(words), input=typed)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "var"))
    return tmp_path / "var"


@pytest.mark.usefixtures("data_dir")
def test_a_person_is_added_listed_changed_disabled_and_enabled() -> None:
    added = run("add", "ada", "--role", "senior", "--tenant", "acme", "--clearance", "high")
    assert added.exit_code == 0, added.output
    assert PASSWORD not in added.output

    changed = run("change", "ada", "--role", "reviewer", "--tenant", "all", "--language", "de")
    assert changed.exit_code == 0, changed.output
    assert run("disable", "ada").output == "disabled\n"

    (row,) = json.loads(run("list", "--json").output)
    assert row.pop("id").startswith("rev_")
    del row["created"]
    assert row == {
        "name": "ada",
        "role": "reviewer",
        "tenants": ["all"],
        "policies": ["all"],
        "languages": ["de"],
        "clearance": "high",
        "opted_out": ["none"],
        "signs_in_by": "password",
        "state": "disabled",
    }
    assert run("enable", "ada").output == "enabled\n"
    assert "enabled" in run("list").output


@pytest.mark.usefixtures("data_dir")
def test_a_password_comes_by_prompt_twice_or_by_standard_input() -> None:
    assert run("add", "ada", typed=f"{PASSWORD}\nanother one here\n").exit_code != 0
    assert run("add", "ada", "--password-stdin", typed=f"{PASSWORD}\n").exit_code == 0
    assert run("password", "ada", typed=f"{PASSWORD}!\n{PASSWORD}!\n").output.endswith("changed\n")


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("words", "typed", "why"),
    [
        (("add", "ada"), "short\nshort\n", "at least 12"),
        (("add", "longer-than-twelve"), "longer-than-twelve\n" * 2, "must not be the name"),
        (("add", "a\x07da"), f"{PASSWORD}\n" * 2, "name"),
        (("disable", "nobody"), "", "nobody of that name"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], typed: str, why: str) -> None:
    error = run(*words, typed=typed).exception
    assert isinstance(error, InwitError)
    assert why in error.detail or why in str(getattr(error, "errors", ""))


async def test_a_name_belongs_to_one_person(site: Site) -> None:
    await site.person("ada")
    with pytest.raises(InvalidField) as refused:
        await site.person(" ada ")
    assert refused.value.errors == (FieldError("name", "somebody has it already"),)


async def test_each_change_is_recorded_without_names(site: Site) -> None:
    accounts, admin = site.parts.accounts, Actor("rev_admin", Through.CONSOLE)
    ada = await site.person("ada", tenants=frozenset({"acme"}))

    await accounts.change(ada.id, lambda each: replace(each, role=Role.SENIOR), admin)
    await accounts.change(ada.id, lambda each: replace(each, tenants=frozenset()), admin)
    await accounts.prefer(ada.id, {"shortcuts": False}, Actor(ada.id, Through.CONSOLE))
    await accounts.set_password(ada.id, "hash", OPERATOR)
    await accounts.set_disabled(ada.id, True, admin)

    acts = await site.acts("changed")
    assert [act["actor"] for act in acts] == [
        None,
        "rev_admin",
        "rev_admin",
        ada.id,
        None,
        "rev_admin",
    ]
    assert [{**act["facts"]} for act in acts][1] == {
        "account": ada.id,
        "through": "console",
        "fields": ["role"],
        "role": "senior",
        "role_before": "reviewer",
    }
    assert acts[-1]["facts"]["disabled"] is True
    assert not {"ada", "acme"} & set(json.dumps(acts).replace('"', " ").split())


async def test_a_change_that_changes_nothing_is_no_entry(site: Site) -> None:
    ada = await site.person()
    again = await site.parts.accounts.change(ada.id, lambda each: each, OPERATOR)
    assert again == ada
    await site.parts.accounts.set_disabled(ada.id, False, OPERATOR)
    assert len(await site.acts()) == 1


async def test_what_ends_sessions_raises_the_epoch(site: Site) -> None:
    accounts = site.parts.accounts
    ada = await site.person()

    async def epoch() -> int:
        found = await accounts.by_id(ada.id)
        assert found is not None
        return found.epoch

    await accounts.change(ada.id, lambda r: replace(r, clearance=Severity.LOW), OPERATOR)
    await accounts.prefer(ada.id, {"a": 1, "epoch": 99}, OPERATOR)
    assert await epoch() == 0
    await accounts.change(ada.id, lambda r: replace(r, role=Role.ADMIN), OPERATOR)
    assert await epoch() == 1
    await accounts.set_disabled(ada.id, True, OPERATOR)
    await accounts.set_disabled(ada.id, False, OPERATOR)
    assert await epoch() == 3
    await accounts.set_password(ada.id, "hash", OPERATOR)
    await accounts.end_sessions(ada.id, OPERATOR)
    assert await epoch() == 5
    found = await accounts.by_id(ada.id)
    assert found is not None
    assert found.preferences == {"a": 1}


async def test_nobody_decides_what_they_themselves_may_do(site: Site) -> None:
    accounts = site.parts.accounts
    ada = await site.person("ada", Role.ADMIN)
    herself = Actor(ada.id, Through.CONSOLE)

    for change in (
        {"role": Role.SENIOR},
        {"tenants": frozenset({"a"})},
        {"clearance": Severity.LOW},
    ):
        with pytest.raises(Forbidden):
            await accounts.change(ada.id, lambda r, new=change: replace(r, **new), herself)
    with pytest.raises(Forbidden):
        await accounts.set_disabled(ada.id, True, herself)

    opted = frozenset({Category.SELF_HARM})
    after = await accounts.change(ada.id, lambda r: replace(r, opted_out=opted), herself)
    assert after.reviewer.opted_out == opted


async def test_a_provider_can_take_nobodys_name(site: Site) -> None:
    accounts = site.parts.accounts
    local = await site.person("ada")

    first = await accounts.arrive(Identity("https://idp", "1", "ada", Role.ADMIN))
    again = await accounts.arrive(Identity("https://idp", "1", "ada", Role.SENIOR))
    other = await accounts.arrive(
        Identity("https://idp", "2", "a\ud800\u202eda\x00", Role.REVIEWER)
    )

    assert len({local.id, first.id, other.id}) == 3
    assert again.id == first.id
    assert [first.name, other.name] == ["ada (2)", "ada (3)"]
    assert (first.role, again.role) == (Role.ADMIN, Role.SENIOR)
    assert again.epoch == first.epoch + 1
    assert not first.has_password
    with pytest.raises(InvalidField):
        await accounts.set_password(first.id, "hash", OPERATOR)


async def test_two_arrivals_at_once_make_one_account(site: Site) -> None:
    arriving = Identity("https://idp", "1", "ada", Role.REVIEWER)
    both = await asyncio.gather(*(site.parts.accounts.arrive(arriving) for _ in range(5)))
    assert len({each.id for each in both}) == 1


async def test_an_unknown_account_cannot_be_changed(site: Site) -> None:
    with pytest.raises(NotFound):
        await site.parts.accounts.end_sessions("rev_0", OPERATOR)


async def test_what_is_stored_is_what_was_given(site: Site) -> None:
    given = Reviewer(
        "ignored",
        Role.SENIOR,
        tenants=frozenset({"a,b", 'c"d', "é"}),
        policies=frozenset({"default"}),
        languages=frozenset({"de", "en"}),
        clearance=Severity.MEDIUM,
        opted_out=frozenset({Category.HATE}),
    )
    made = await site.parts.accounts.create("ada", given, None, OPERATOR)
    found = await site.parts.accounts.named("ada")
    assert found == made
    assert made.reviewer == replace(given, id=made.id)
    assert isinstance(made, Account)
    assert await site.parts.accounts.list() == [made]


@given(st.text(max_size=200))
def test_a_name_is_refused_or_plain(name: str) -> None:
    try:
        plain = plain_name(name)
    except InvalidField:
        return
    assert plain_name(plain) == plain
    assert 0 < len(plain) <= 128
    assert plain.encode()
    assert not any(ord(each) < 32 for each in plain)


@given(st.text(max_size=300))
def test_a_short_password_is_never_taken(password: str) -> None:
    fits = 12 <= len(password) <= 256 and password.casefold() != "ada"
    try:
        check_new(password, "ada")
    except InvalidField:
        assert not fits
    else:
        assert fits


async def test_a_password_fits_itself_alone_and_none_fits_nothing() -> None:
    passwords = Passwords(QUICK)
    stored = await passwords.hash("caf\u00e9 \ud800 and more")
    assert "caf" not in stored
    assert await passwords.matches(stored, "cafe\u0301 \ud800 and more")
    assert not await passwords.matches(stored, "cafe and more")
    assert not await passwords.matches(None, "")
    assert not await passwords.matches("no hash", "")


def test_the_default_parameters_are_those_of_rfc_9106() -> None:
    assert Passwords().stale(QUICK.hash("x"))
    assert not Passwords().stale(PasswordHasher().hash("x"))
