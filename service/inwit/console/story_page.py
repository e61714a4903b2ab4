"""The page of one response's whole story, with what it takes to check its proof in the browser."""

import base64
import re
from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from inwit.cases import ActKind, ActRecord
from inwit.console.filters import address
from inwit.console.pages import ROOT
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import OutOfSight, Permission, Visitor, require
from inwit.console.visible import pieces
from inwit.errors import BadRequest, InvalidField, NotFound
from inwit.ledger import entry_words, proofs
from inwit.ledger.entry_words import Pair
from inwit.ledger.story import ResponseStory, Standing, Told, may_see, response_named, story_of
from inwit.ledger.transaction import Transaction

AT_ONCE = 100
RESPONSES = f"{ROOT}/responses"

_RESPONSE = re.compile(r"resp_[0-9a-f]{32}")
_NAME = re.compile(r"(resp|esc|ent)_[0-9a-f]{32}")
_Reads = Annotated[Visitor, Depends(require(Permission.READ_AUDIT))]
_Place = Annotated[int, Query(ge=0, le=2**62)]


class ResponseOutOfSight(OutOfSight):
    """There is no such response, or it is not for this person to know of."""

    kind = "no-such-response"
    title = "No such response"

    def __init__(self) -> None:
        super().__init__()
        self.detail = "There is no such response, or it is not for you."


def router(parts: ConsoleParts) -> APIRouter:
    """The routes of the page."""
    routes = APIRouter()
    _add_finding(routes, parts)
    _add_consistency(routes, parts)
    _add_showing(routes, parts)
    return routes


def _add_finding(routes: APIRouter, parts: ConsoleParts) -> None:
    @routes.get("/responses")
    async def find(visitor: _Reads, name: Annotated[str, Query(max_length=60)] = "") -> Response:
        wanted, reader = name.strip(), visitor.account.reviewer
        if not _NAME.fullmatch(wanted):
            raise InvalidField("Give the id of a response, a case or an entry, as it was told.")

        def look(connection: sa.Connection) -> str:
            found = response_named(connection, wanted)
            return found if may_see(connection, reader, found) else ""

        if not (found := await parts.database.read(look)):
            raise ResponseOutOfSight
        return RedirectResponse(f"{RESPONSES}/{found}", 303)


def _add_consistency(routes: APIRouter, parts: ConsoleParts) -> None:
    @routes.get("/consistency")
    async def consistency(visitor: _Reads, old: _Place, new: _Place) -> Response:
        """The proof that one checkpoint's log is the beginning of another's: hashes alone."""
        if old > new:
            raise BadRequest("The older one must not be the larger one.")

        def look(connection: sa.Connection) -> list[bytes] | None:
            newest = proofs.newest(connection)
            if newest is None or new > newest.size:
                return None
            return proofs.consistency_of(connection, old, new)

        try:
            found = await parts.database.read(look)
        except LookupError as error:
            raise NotFound("The log lacks hashes that this proof needs.") from error
        if found is None:
            raise NotFound("No checkpoint of this log covers so many entries.")
        return JSONResponse({"old": old, "new": new, "proof": _base64(found)})


def _add_showing(routes: APIRouter, parts: ConsoleParts) -> None:
    @routes.get("/responses/{response_id}")
    async def story(
        request: Request, visitor: _Reads, response_id: str, after: _Place = 0
    ) -> Response:
        if not _RESPONSE.fullmatch(response_id):
            raise ResponseOutOfSight
        reader = visitor.account.reviewer
        found = await parts.database.read(
            lambda each: story_of(each, reader, response_id, after, AT_ONCE)
        )
        if found is None:
            raise ResponseOutOfSight
        # Recorded before it is shown; what is shown is how it stood before this look.
        await parts.ledger.write(lambda each: _note(each, found, reader.id))
        path = f"{RESPONSES}/{response_id}"
        return parts.pages.render(
            request,
            "story.html",
            story=found,
            entries=[(each, _heading(each), _pairs(each, found.case)) for each in found.entries],
            broken=sum(each.standing is Standing.BROKEN for each in found.entries),
            unsigned=found.checkpoint is not None and not found.signed,
            begun="accepted" in found.types,
            data=_data(found),
            start=path if after else None,
            next=address(path, after=found.after) if found.after else None,
        )


def _note(transaction: Transaction, story: ResponseStory, reader: str) -> None:
    transaction.add(
        ActRecord(
            ActKind.VIEWED,
            transaction.now,
            story.tenants[0],
            reader,
            {"what": "story"},
            {},
            response_id=story.response,
            case_id=story.case,
        )
    )


def _heading(entry: Told) -> tuple[str, str]:
    """What happened, and who did it."""
    if entry.facts is None:
        return ("Pruned" if entry.pruned else "Changed after it was written"), ""
    return _shown(entry_words.title(entry.facts)), _shown(entry_words.who(entry.facts))


def _pairs(entry: Told, case: str) -> list[Pair]:
    """What else it says; the case is told once, at the head of the page."""
    pairs = entry_words.told(entry.facts) if entry.facts is not None else []
    return [(_shown(name), _shown(value)) for name, value in pairs if value != case]


def _shown(text: str) -> str:
    """What does not show, or turns the direction of what does, as its code point."""
    return "".join(f"[{each.text}]" if each.code else each.text for each in pieces(text))


def _data(story: ResponseStory) -> dict[str, Any]:
    """What the page's script checks: exact bytes, the way up, the note, and keys, as they stand."""
    return {
        "response": story.response,
        "checkpoint": story.checkpoint.note if story.checkpoint else None,
        "keys": story.keys,
        "consistency": f"{ROOT}/consistency",
        "entries": [_checked(each) for each in story.entries],
    }


def _checked(entry: Told) -> dict[str, Any]:
    """A pruned entry has no bytes any more, and stands by its hash."""
    return {
        "sequence": entry.sequence,
        "body": None if entry.pruned else base64.b64encode(entry.body).decode(),
        "hash": base64.b64encode(entry.hash).decode(),
        "proof": None if entry.proof is None else _base64(entry.proof),
    }


def _base64(hashes: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(each).decode() for each in hashes]
