"""`inwit queue agreement`: how far people agree, as tables or JSON."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from inwit.agreement.report import (
    Agreement,
    Both,
    Confusion,
    Estimate,
    Group,
    PeopleReport,
    Report,
    Share,
)
from inwit.agreement.reports import Reports
from inwit.agreement.rows import Filters
from inwit.cli.database import with_ledger
from inwit.ledger.database import Database
from inwit.types import Category

_out = Console(highlight=False, markup=False)

_DAYS = timedelta(days=30)
_COEFFICIENTS = ("percent", "cohen", "fleiss", "alpha")
_TOO_FEW = "*"


def agreement(
    since: Annotated[
        datetime | None,
        typer.Option(help="Cases closed from then on (UTC).", show_default="30 days ago"),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="And before then (UTC).", show_default="now")
    ] = None,
    policy: Annotated[
        list[str] | None, typer.Option(help="Of this policy; again for more.", show_default="all")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="In this language; again for more.", show_default="all")
    ] = None,
    tenant: Annotated[
        list[str] | None, typer.Option(help="Of this tenant; again for more.", show_default="all")
    ] = None,
    category: Annotated[
        Category | None, typer.Option(help="With this category.", show_default="all")
    ] = None,
    people: Annotated[
        bool, typer.Option("--people", help="About single people too, by pseudonym.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how far people agree: with one another, with the judges, with golden cases."""
    ends = _utc(until) if until else datetime.now(UTC)
    filters = Filters(
        since=_utc(since) if since else ends - _DAYS,
        until=ends,
        tenants=frozenset(tenant or ()),
        policies=frozenset(policy or ()),
        languages=frozenset(language or ()),
        category=category,
    )

    async def work(database: Database) -> Both:
        reports = Reports(database)
        return Both(await reports.report(filters), await reports.people(filters))

    both = with_ledger(work)
    if as_json:
        shown = both.report.as_json() | ({"people": both.people.as_json()} if people else {})
        typer.echo(json.dumps(shown))
        return
    _show(both.report)
    if people:
        _show_people(both.people)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _show(report: Report) -> None:
    counts = report.counts
    _out.print(
        f"{counts.cases} cases closed, {counts.two_people} with rulings of two people "
        f"({counts.second_missing} lack the second), {counts.undecided} without a person's answer. "
        f"Rulings not counted: {counts.late} late, {counts.undone} undone. "
        f"Older cases left out: {counts.left_out}."
    )
    _out.print(_groups("Agreement by ruling", [(g, g.by_ruling) for g in report.groups]))
    _out.print(_groups("Agreement by released or blocked", [(g, g.by_side) for g in report.groups]))
    _tell_missing(report)
    for confusion in report.confusions:
        _out.print(_confusion(confusion))
    blind = report.blind
    _out.print(
        f"Blind first: {blind.rulings} rulings; changed {_share(blind.changed)}, stricter "
        f"{_share(blind.stricter)}, milder {_share(blind.milder)}; towards the judges "
        f"{_share(blind.towards)}, away from them {_share(blind.away)}."
    )
    _out.print(f"Golden cases: {counts.golden}; ruled as expected {_share(report.golden)}.")
    _out.print(f"{_TOO_FEW} fewer than 20 cases: a hint, and no more. docs/agreement.md explains.")


def _show_people(people: PeopleReport) -> None:
    table = Table("reviewer", "as expected", "same side", title="Golden cases by person")
    for each in people.golden:
        table.add_row(each.reviewer, _share(each.exact), _share(each.same_side))
    _out.print(table)
    pairs = Table("people", "cases", "agree", "Cohen's kappa", title="Pairs of people")
    for pair in people.pairs:
        found = pair.by_ruling
        pairs.add_row(
            " ".join(pair.reviewers),
            _cases(found),
            _estimate(found.percent),
            _estimate(found.cohen),
        )
    _out.print(pairs)
    if people.pairs_left_out:
        _out.print(f"{people.pairs_left_out} more pairs share fewer cases.")


def _groups(title: str, groups: list[tuple[Group, Agreement]]) -> Table:
    table = Table("of", "cases", "agree", "Cohen", "Fleiss", "Krippendorff", title=title)
    for group, found in groups:
        numbers = [_estimate(getattr(found, name)) for name in _COEFFICIENTS]
        name = f"{group.dimension.value} {group.name}".strip()
        table.add_row(name, _cases(found), *numbers)
    return table


def _tell_missing(report: Report) -> None:
    """Say once each why numbers or intervals are missing."""
    found = [part for group in report.groups for part in (group.by_ruling, group.by_side)]
    reasons = {getattr(each, name).why for each in found for name in _COEFFICIENTS} - {None}
    for why in sorted(reasons):
        _out.print(why.words)


def _confusion(confusion: Confusion) -> Table:
    title = f"People against the {confusion.judge}: {confusion.cases} cases"
    table = Table("it said", "cases", "as written", "changed", "blocked", title=title)
    for row in confusion.rows:
        if row.cases:
            shares = [_share(each) for each in row.outcomes.values()]
            table.add_row(row.state.value, str(row.cases), *shares)
    return table


def _cases(found: Agreement) -> str:
    return f"{found.cases}{_TOO_FEW if found.too_few else ''}"


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _share(share: Share) -> str:
    if share.rate is None or share.low is None or share.high is None:
        return "-"
    mark = _TOO_FEW if share.too_few else ""
    return f"{share.count}/{share.of}{mark} {share.rate:.0%} ({share.low:.0%} to {share.high:.0%})"
