"""Exports: exactly the rows of a period, recorded; content only where it is ticked."""

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from inwit.cases import Role, RulingKind
from inwit.console.account_rows import OPERATOR
from inwit.console.export import csv_lines, harmless
from inwit.ledger.export import PAGE
from inwit.ledger.tables import CONTENTS, RULINGS
from tests.console.conftest import Browser, MakeSite
from tests.console.records import NOON, SECRET, Records, records

# Days on both sides of today: midnight may come before the last of these tests.
TODAY = datetime.now(UTC).date()
SINCE, UNTIL = [(TODAY + timedelta(days=days)).isoformat() for days in (-1, 2)]
PERIOD = {"since": SINCE, "until": UNTIL}


async def take(browser: Browser, **form: Any) -> httpx.Response:
    token = await browser.token()
    return await browser.post("/export", {"csrf_token": token, **PERIOD, **form})


async def rows(browser: Browser, **form: Any) -> list[dict[str, Any]]:
    answer = await take(browser, **form)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def auditor(here: Records, **scope: Any) -> tuple[Browser, str]:
    return await here.person("aud", Role.AUDITOR, **scope)


async def test_rulings_are_taken_out_without_content_and_it_is_recorded(
    make_site: MakeSite,
) -> None:
    here = await records(make_site)
    browser, me = await auditor(here)
    case_id = await here.hold(required=2)
    ruling = await here.rule(case_id, "rev_ada", RulingKind.APPROVE, reason="My own words.")
    late = await here.hold()
    lease = await here.claim(late, "rev_ben")
    await here.expire(late)
    await here.rule(late, "rev_ben", lease=lease)

    answer = await take(browser, what="rulings", form="jsonl")

    assert answer.headers["content-type"] == "application/jsonl"
    named = f'attachment; filename="inwit-rulings-{SINCE}-{UNTIL}.jsonl"'
    assert answer.headers["content-disposition"] == named
    assert answer.headers["cache-control"] == "no-store"
    first, second = (json.loads(line) for line in answer.text.splitlines())
    assert (first["ruling"], first["reviewer"], first["kind"]) == (ruling, "rev_ada", "approve")
    assert (first["standing"], second["standing"]) == ("counted", "late")
    assert first["categories"] == ["deception"]
    assert not {"candidate", "reason", "edit"} & first.keys()
    for content in (SECRET, "My own words"):
        assert content not in answer.text
    (act,) = await here.site.acts("exported")
    assert act["actor"] == me
    facts: Mapping[str, Any] = act["facts"]
    assert (facts["what"], facts["form"], facts["rows"]) == ("rulings", "jsonl", 2)
    assert facts["with_content"] is False
    assert facts["since"] == f"{SINCE}T00:00:00+00:00"


async def test_outcomes_say_how_cases_ended(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await auditor(here)
    ruled, expired, golden = await here.hold(), await here.hold(), await here.resolved()
    ruling = await here.rule(ruled, "rev_ada", RulingKind.APPROVE)
    await here.expire(expired)
    await here.template(golden)
    copy = await here.copy("rev_ben")
    await here.rule(copy.case_id, "rev_ben", lease=copy)

    found = {row["case"]: row for row in await rows(browser, what="outcomes")}

    assert found.keys() == {ruled, expired, golden}, "a golden copy is no outcome"
    one = found[ruled]
    assert (one["ending"], one["kind"], one["ruling"], one["released"]) == (
        *("ruled", "approve", ruling),
        True,
    )
    assert (found[expired]["ending"], found[expired]["kind"]) == ("nobody_ruled", None)
    assert SECRET not in json.dumps(found)


async def test_content_is_added_where_it_is_ticked_and_still_as_it_was_written(
    make_site: MakeSite,
) -> None:
    here = await records(make_site)
    browser, _ = await auditor(here)
    kept, changed = await here.hold(), await here.hold()
    await here.rule(kept, "rev_ada", RulingKind.APPROVE, reason="My own words.")
    await here.rule(changed, "rev_ada", RulingKind.APPROVE, reason="Changed words.")

    def tamper(connection: sa.Connection) -> None:
        values = {"content": b'"Other words."'}
        for kind in ("reason",):
            connection.execute(
                sa.update(CONTENTS)
                .where(CONTENTS.c.kind == kind, CONTENTS.c.content == b'"Changed words."')
                .values(**values)
            )

    await here.site.database.write(tamper)
    found = {row["case"]: row for row in await rows(browser, with_content="yes")}
    outcomes = {row["case"]: row for row in await rows(browser, what="outcomes", with_content="y")}

    assert (found[kept]["candidate"], found[kept]["reason"]) == (SECRET, "My own words.")
    assert found[kept]["edit"] is None
    assert found[changed]["reason"] is None
    assert outcomes[kept]["released_text"] == SECRET
    facts = [act["facts"] for act in await here.site.acts("exported")]
    assert [each["with_content"] for each in facts] == [True, True]


async def test_nothing_beyond_the_scope_and_the_period(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await auditor(here, tenants=frozenset({"acme"}))
    own, strict = await here.resolved(), await here.resolved(policy="strict")
    await here.resolved(tenant="globex")
    old = await here.resolved()
    query = sa.update(RULINGS).where(RULINGS.c.escalation_id == old).values(time=NOON)
    await here.site.database.write(lambda db: db.execute(query))
    for what in ("rulings", "outcomes"):
        told = {row["case"] for row in await rows(browser, what=what)}
        assert told == ({own, strict} if what == "rulings" else {own, strict, old})
        assert {row["case"] for row in await rows(browser, what=what, policy="strict")} == {strict}
    day = {"since": "2026-11-20", "until": "2026-11-20"}
    assert {row["case"] for row in await rows(browser, **day)} == {old}
    assert await rows(browser, since="2026-11-19", until="2026-11-19") == []
    assert (await take(browser, tenant="globex")).status_code == 404


async def test_what_cannot_be_is_refused_and_not_recorded(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await auditor(here)
    for form in (
        {"what": "people"},
        {"form": "xlsx"},
        {"since": ""},
        {"until": "tomorrow"},
        {"since": "2027-01-02", "until": "2027-01-01"},
        {"since": "2999-01-01", "until": "2999-01-01"},
    ):
        answer = await take(browser, **form)
        assert answer.status_code == 422, form
        assert 'role="alert"' in answer.text
    assert await here.site.acts("exported") == []


async def test_many_rows_come_whole_each_once(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await auditor(here)
    await here.resolved("rev_ada")
    await here.repeat_ruling(2 * PAGE + 7)
    found = await rows(browser, since="2026-11-01", until=UNTIL)
    assert len(found) == len({row["ruling"] for row in found}) == 2 * PAGE + 8
    assert [row["time"] for row in found] == sorted(row["time"] for row in found)
    assert (await here.site.acts("exported"))[0]["facts"]["rows"] == 2 * PAGE + 8


async def test_a_person_who_is_shut_out_gets_no_further(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, me = await auditor(here)
    await here.resolved("rev_ada")
    await here.repeat_ruling(3 * PAGE)
    form = {"csrf_token": await browser.token(), "since": "2026-11-01", "until": UNTIL}

    async def shut_out_after_the_first_rows(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            await send(message)
            if message.get("body"):
                await here.site.parts.accounts.set_disabled(me, True, OPERATOR)

        await here.site.app(scope, receive, sending)

    transport = httpx.ASGITransport(shut_out_after_the_first_rows, raise_app_exceptions=False)
    browser.http = httpx.AsyncClient(
        transport=transport, base_url=here.site.base, cookies=browser.http.cookies
    )
    async with browser.http:
        answer = await browser.post("/export", form)

    assert len(answer.text.splitlines()) == PAGE
    assert len(await here.site.acts("exported")) == 1


async def test_csv_is_for_auditors_and_harmless(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await auditor(here)
    case_id = await here.hold()
    await here.rule(case_id, "rev_ada", RulingKind.APPROVE, reason='=HYPERLINK("x"),\r\n"y"')
    answer = await take(browser, form="csv", with_content="yes")
    header, row = csv.reader(io.StringIO(answer.text, newline=""))
    told = dict(zip(header, row, strict=True))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert told["reason"] == '\'=HYPERLINK("x"),\r\n"y"'
    assert told["case"] == case_id
    assert told["edit"] == ""
    assert json.loads(told["categories"]) == ["deception"]
    for name, role in (("sue", Role.SENIOR), ("adm", Role.ADMIN), ("rob", Role.REVIEWER)):
        other, _ = await here.person(name, role)
        assert (await take(other)).status_code == 403
        assert (await other.get("/export")).status_code == 403


@given(st.lists(st.text(alphabet=st.characters(codec=None), max_size=30), min_size=1, max_size=5))
def test_no_cell_is_a_formula_and_nothing_is_lost(cells: list[str]) -> None:
    names = [f"c{number}" for number in range(len(cells))]
    text = csv_lines(names, [dict(zip(names, cells, strict=True))])
    text = text.encode(errors="replace").decode()
    (row,) = csv.reader(io.StringIO(text, newline=""))
    for cell, told in zip(cells, row, strict=True):
        plain = cell.encode(errors="replace").decode()
        assert told in (plain, f"'{plain}")
        assert not told.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert told.lstrip()[:1] not in ("=", "+", "-", "@") or not told


@given(
    st.sampled_from(("", " ", "\u00a0", " \x0b ")), st.sampled_from("=+-@"), st.text(max_size=10)
)
def test_a_cell_that_begins_like_a_formula_gets_an_apostrophe(
    space: str, sign: str, rest: str
) -> None:
    assert harmless(f"{space}{sign}{rest}") == f"'{space}{sign}{rest}"
    assert harmless(f"\t{rest}") == f"'\t{rest}"
    assert harmless(f"\r{rest}") == f"'\r{rest}"


def test_an_ordinary_cell_stays_as_it_is() -> None:
    for cell in (
        "",
        "approve",
        "\ufeff",
        "\u200ba",
        "\uff21",
        "2026-11-20T12:00:00+00:00",
        "a=b",
        "'quoted",
    ):
        assert harmless(cell) == cell


@pytest.mark.parametrize("unseen", ["", "\ufeff", "\u200b", "\ufeff \u200b", "\u2060\u00a0"])
@pytest.mark.parametrize("sign", "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62")
def test_neither_what_is_not_seen_nor_a_wide_sign_hides_a_formula(unseen: str, sign: str) -> None:
    assert harmless(f"{unseen}{sign}1") == f"'{unseen}{sign}1"
