"""People: who works here on what; an admin adds, changes and disables them. Never oneself."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response

from inwit.cases import Reviewer, Role
from inwit.console.account_rows import Account, Actor, Through
from inwit.console.filters import CATEGORIES
from inwit.console.pages import ROOT, SAVED
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Permission, Visitor, require
from inwit.console.sign_in import redirect
from inwit.errors import FieldError, Forbidden, InvalidField, InwitError, NotFound
from inwit.types import Category, Severity

PEOPLE = f"{ROOT}/people"

_SCOPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")
_MOST_NAMES = 50

_Sees = Annotated[Visitor, Depends(require(Permission.SEE_PEOPLE))]
_Manages = Annotated[Visitor, Depends(require(Permission.MANAGE_REVIEWERS))]
_Field = Annotated[str, Form(max_length=4096)]
_Ticks = Annotated[list[str] | None, Form(max_length=len(CATEGORIES))]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an admin typed for a person; lists are words with commas or spaces between them."""

    role: str = Role.REVIEWER.value
    tenants: str = ""
    policies: str = ""
    languages: str = ""
    clearance: str = Severity.CRITICAL.value
    opted_out: tuple[str, ...] = ()


def router(parts: ConsoleParts) -> APIRouter:
    """The routes of people."""
    routes = APIRouter()
    _add_reading(routes, parts)
    _add_changing(routes, parts)
    return routes


def _add_reading(routes: APIRouter, parts: ConsoleParts) -> None:
    @routes.get("/people")
    async def people(request: Request, visitor: _Sees) -> Response:
        return await _list(request, parts, visitor)

    @routes.get("/people/{account_id}")
    async def person(request: Request, visitor: _Sees, account_id: str) -> Response:
        account = await _seen(parts, visitor, account_id)
        return _person(request, parts, visitor, account)


def _add_changing(routes: APIRouter, parts: ConsoleParts) -> None:
    @routes.post("/people")
    async def add(
        request: Request,
        visitor: _Manages,
        wanted: Annotated[Wanted, Depends(_wanted)],
        name: _Field = "",
    ) -> Response:
        try:
            given = _checked(visitor, wanted)(Reviewer("", Role.REVIEWER))
            account = await parts.accounts.create(name, given, None, _actor(visitor))
        except InvalidField as error:
            return await _list(request, parts, visitor, problem=error, name=name, wanted=wanted)
        return redirect(f"{PEOPLE}/{account.id}")

    @routes.post("/people/{account_id}")
    async def change(
        request: Request,
        visitor: _Manages,
        account_id: str,
        wanted: Annotated[Wanted, Depends(_wanted)],
    ) -> Response:
        account = await _others(parts, visitor, account_id)
        try:
            edit = _checked(visitor, wanted, account)
            await parts.accounts.change(account.id, edit, _actor(visitor))
        except InvalidField as error:
            return _person(request, parts, visitor, account, problem=error, wanted=wanted)
        return redirect(f"{PEOPLE}/{account.id}?{SAVED}")

    @routes.post("/people/{account_id}/disabled")
    async def disable(
        visitor: _Manages, account_id: str, disabled: Annotated[str, Form(max_length=3)] = "yes"
    ) -> Response:
        account = await _others(parts, visitor, account_id)
        await parts.accounts.set_disabled(account.id, disabled == "yes", _actor(visitor))
        return redirect(f"{PEOPLE}/{account.id}")

    @routes.post("/people/{account_id}/sign-out-everywhere")
    async def sign_out(visitor: _Manages, account_id: str) -> Response:
        account = await _others(parts, visitor, account_id)
        await parts.accounts.end_sessions(account.id, _actor(visitor))
        return redirect(f"{PEOPLE}/{account.id}")


def shows(viewer: Reviewer, person: Reviewer) -> bool:
    """Whether somebody is told of a person: of nobody who works beyond their own tenants."""
    return viewer.id == person.id or (
        _within(viewer.tenants, person.tenants) and _within(viewer.policies, person.policies)
    )


async def choices_of(parts: ConsoleParts, visitor: Visitor, chosen: str) -> list[tuple[str, str]]:
    """The people whom somebody can choose in a filter: by name for who may see names.

    With `chosen`, the pseudonym that stands in the address, whoever it is: nothing is told of them.

    Raises:
        LedgerError: the database failed.
    """
    named, viewer = visitor.may(Permission.SEE_PEOPLE), visitor.account.reviewer
    found = {
        each.id: each.name if named else each.id
        for each in await parts.accounts.list()
        if shows(viewer, each.reviewer)
    }
    if chosen:
        found.setdefault(chosen, chosen)
    return sorted(found.items(), key=lambda each: each[1].casefold())


def _within(own: frozenset[str], others: frozenset[str]) -> bool:
    """Whether a scope lies inside another one; empty is everything."""
    return not own or bool(others and others <= own)


async def _seen(parts: ConsoleParts, visitor: Visitor, account_id: str) -> Account:
    account = await parts.accounts.by_id(account_id)
    if account is None or not shows(visitor.account.reviewer, account.reviewer):
        raise NotFound("There is no such person.")
    return account


async def _others(parts: ConsoleParts, visitor: Visitor, account_id: str) -> Account:
    account = await _seen(parts, visitor, account_id)
    if account.id == visitor.account.id:
        raise Forbidden("Nobody can change their own account here. Ask another admin.")
    return account


def _wanted(
    role: _Field = Role.REVIEWER.value,
    tenants: _Field = "",
    policies: _Field = "",
    languages: _Field = "",
    clearance: _Field = Severity.CRITICAL.value,
    opted_out: _Ticks = None,
) -> Wanted:
    return Wanted(role, tenants, policies, languages, clearance, tuple(opted_out or ()))


def _checked(
    visitor: Visitor, wanted: Wanted, before: Account | None = None
) -> Callable[[Reviewer], Reviewer]:
    """The edit that gives a person what was typed. A provider's people keep its role.

    Raises:
        InvalidField: something is not on its list, or passes the admin's own scope.
    """
    by_provider = before is not None and before.issuer is not None
    role = before.role.value if before is not None and by_provider else wanted.role
    lists = (({role}, Role), ({wanted.clearance}, Severity), (set(wanted.opted_out), Category))
    if not all(values <= {str(each) for each in known} for values, known in lists):
        raise InvalidField("Choose from the lists.", (FieldError("role", "not on the list"),))
    tenants, policies = _names("tenants", wanted.tenants), _names("policies", wanted.policies)
    languages = frozenset(each.lower() for each in _names("languages", wanted.languages))
    own = visitor.account.reviewer
    for name, mine, given in (
        ("tenants", own.tenants, tenants),
        ("policies", own.policies, policies),
    ):
        if not _within(mine, given):
            problem = f"name some of your own {name}, and no others"
            raise InvalidField(f"You cannot give so much: {problem}.", (FieldError(name, problem),))

    def edit(reviewer: Reviewer) -> Reviewer:
        return Reviewer(
            id=reviewer.id,
            role=reviewer.role if by_provider else Role(role),
            tenants=tenants,
            policies=policies,
            languages=languages,
            clearance=Severity(wanted.clearance),
            opted_out=frozenset(map(Category, wanted.opted_out)),
        )

    return edit


def _names(field: str, typed: str) -> frozenset[str]:
    """The names in a text. `all`, like nothing, is all of them."""
    names = frozenset(typed.replace(",", " ").split())
    if names == frozenset({"all"}):
        return frozenset()
    if len(names) > _MOST_NAMES or not all(_SCOPE.fullmatch(each) for each in names):
        problem = "names of letters, digits, dots, dashes and underscores, with commas between"
        raise InvalidField(f"Mend the {field}: {problem}.", (FieldError(field, problem),))
    return names


def _typed(reviewer: Reviewer) -> Wanted:
    return Wanted(
        reviewer.role.value,
        ", ".join(sorted(reviewer.tenants)),
        ", ".join(sorted(reviewer.policies)),
        ", ".join(sorted(reviewer.languages)),
        reviewer.clearance.value,
        tuple(sorted(reviewer.opted_out)),
    )


async def _list(
    request: Request,
    parts: ConsoleParts,
    visitor: Visitor,
    *,
    problem: InwitError | None = None,
    name: str = "",
    wanted: Wanted | None = None,
) -> Response:
    viewer = visitor.account.reviewer
    found = [each for each in await parts.accounts.list() if shows(viewer, each.reviewer)]
    return parts.pages.render(
        request,
        "people.html",
        status=problem.status if problem else 200,
        problem=problem.detail if problem else "",
        people=found,
        name=name,
        wanted=wanted or Wanted(),
        **_lists(),
    )


def _person(
    request: Request,
    parts: ConsoleParts,
    visitor: Visitor,
    account: Account,
    *,
    problem: InwitError | None = None,
    wanted: Wanted | None = None,
) -> Response:
    locked = account.locked_until
    return parts.pages.render(
        request,
        "person.html",
        status=problem.status if problem else 200,
        problem=problem.detail if problem else "",
        person=account,
        oneself=account.id == visitor.account.id,
        locked=locked if locked is not None and locked > datetime.now(UTC) else None,
        command=f"inwit reviewers password {shlex.quote(account.name)}",
        wanted=wanted or _typed(account.reviewer),
        **_lists(),
    )


def _lists() -> dict[str, Any]:
    return {
        "titles": dict(CATEGORIES),
        "roles": [(each.value, each.value) for each in Role],
        "severities": [(each.value, each.value) for each in Severity],
        "categories": list(CATEGORIES),
    }


def _actor(visitor: Visitor) -> Actor:
    return Actor(visitor.account.id, Through.CONSOLE)
