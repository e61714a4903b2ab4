"""Who may do what in the console: one table, and the check that every route goes through."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from fastapi import Request

from inwit.cases import Case, Role
from inwit.console import cookies, csrf
from inwit.console.account_rows import Account
from inwit.console.parts import ConsoleParts
from inwit.console.sessions import Session
from inwit.errors import Forbidden, InwitError, NotFound


class Permission(StrEnum):
    """What a route lets people do. Each route names exactly one."""

    SIGN_IN = "sign_in"
    OWN_ACCOUNT = "own_account"
    SEE_QUEUE = "see_queue"  # which cases wait, without what was written
    SEE_CASE = "see_case"  # what was written
    CLAIM = "claim"  # renew, release and skip too
    RULE = "rule"  # and undo
    ADJUDICATE = "adjudicate"
    SEE_OWN_RULINGS = "see_own_rulings"
    SEE_RULINGS = "see_rulings"
    SEE_PEOPLE = "see_people"
    SEE_AGREEMENT = "see_agreement"
    EXPORT = "export"
    MANAGE_REVIEWERS = "manage_reviewers"
    MANAGE_GOLDEN = "manage_golden"
    READ_AUDIT = "read_audit"


_EVERYBODY = frozenset({Permission.SIGN_IN})
_SIGNED_IN = _EVERYBODY | {Permission.OWN_ACCOUNT}
_REVIEWER = _SIGNED_IN | {
    Permission.SEE_QUEUE,
    Permission.SEE_CASE,
    Permission.CLAIM,
    Permission.RULE,
    Permission.SEE_OWN_RULINGS,
}

# None is somebody who is not signed in. An admin, who says what others may do, sees no case.
ALLOWED: Mapping[Role | None, frozenset[Permission]] = {
    None: _EVERYBODY,
    Role.REVIEWER: _REVIEWER,
    Role.SENIOR: _REVIEWER
    | {
        Permission.ADJUDICATE,
        Permission.SEE_RULINGS,
        Permission.SEE_PEOPLE,
        Permission.SEE_AGREEMENT,
        Permission.MANAGE_GOLDEN,
    },
    Role.AUDITOR: _SIGNED_IN
    | {
        Permission.SEE_QUEUE,
        Permission.SEE_CASE,
        Permission.SEE_RULINGS,
        Permission.SEE_PEOPLE,
        Permission.SEE_AGREEMENT,
        Permission.EXPORT,
        Permission.READ_AUDIT,
    },
    Role.ADMIN: _SIGNED_IN
    | {
        Permission.SEE_QUEUE,
        Permission.SEE_PEOPLE,
        Permission.SEE_AGREEMENT,
        Permission.MANAGE_REVIEWERS,
    },
}


class SignedOut(InwitError):
    """Nobody is signed in in this browser, or not any more."""

    status: ClassVar[int] = 401
    kind: ClassVar[str] = "signed-out"
    title: ClassVar[str] = "Signed out"

    def __init__(self) -> None:
        super().__init__("You are signed out. Sign in again.")


class NotPermitted(Forbidden):
    """The role of the person does not have the permission."""

    kind: ClassVar[str] = "not-permitted"
    title: ClassVar[str] = "Not for your role"


class OutOfSight(NotFound):
    """There is no such case, or it is not for this person to know of."""

    kind: ClassVar[str] = "no-such-case"
    title: ClassVar[str] = "No such case"

    def __init__(self) -> None:
        super().__init__("There is no such case, or it is not for you.")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in, as they are at this moment."""

    account: Account
    session: Session

    def may(self, permission: Permission) -> bool:
        """Whether their role has the permission."""
        return permission in self.permissions

    @property
    def permissions(self) -> frozenset[Permission]:
        """All that their role has."""
        return ALLOWED[self.account.role]

    def seen(self, case: Case | None) -> Case:
        """The case, where there is one and they may know of it.

        Raises:
            OutOfSight: in either case alike.
        """
        if case is None or not self.account.reviewer.may_see(case):
            raise OutOfSight
        return case


@dataclass(frozen=True, slots=True)
class require:  # noqa: N801  # reads as a verb in Depends(require(...))
    """A dependency that lets through who has the permission, and gives the `Visitor`.

    What changes something must come from our own pages as well. `used` is false for what pages
    ask by themselves: it does not keep a session from ending.

    Raises:
        SignedOut: nobody is signed in.
        NotPermitted: their role does not have the permission.
        Forbidden: the request comes from another site, or without its token.
    """

    permission: Permission
    used: bool = True

    async def __call__(self, request: Request) -> Visitor:
        """Check this request."""
        visitor = await visitor_of(request, used=self.used)
        if visitor is None:
            raise SignedOut
        request.state.visitor = visitor
        if not visitor.may(self.permission):
            raise NotPermitted(
                f"The role {visitor.account.role.value!r} does not have the permission "
                f"{self.permission.value!r}. An admin can change roles."
            )
        if request.method not in csrf.SAFE_METHODS:
            public = parts_of(request).settings.console_url
            await csrf.check(request, visitor.session.csrf, public)
        return visitor


@dataclass(frozen=True, slots=True)
class Open:
    """The dependency of the few routes that are for everybody, signed in or not."""

    permission: Permission = Permission.SIGN_IN

    async def __call__(self, request: Request) -> Visitor | None:
        """Whoever is signed in."""
        visitor = await visitor_of(request)
        request.state.visitor = visitor
        return visitor


async def visitor_of(request: Request, *, used: bool = True) -> Visitor | None:
    """Who is signed in in this browser now; a long answer can ask again.

    Raises:
        SessionsUnavailable, LedgerError: it cannot be known.
    """
    parts = parts_of(request)
    cookie = cookies.session_cookie(request, parts.settings.console_url)
    session = await parts.sessions.find(cookie, used=used) if cookie else None
    if session is None:
        return None
    account = await parts.accounts.by_id(session.account_id)
    if account is None or account.disabled or account.epoch != session.epoch:
        await parts.sessions.end(session)
        return None
    return Visitor(account, session)


def parts_of(request: Request) -> ConsoleParts:
    """What the console was opened with."""
    return request.app.state.parts
