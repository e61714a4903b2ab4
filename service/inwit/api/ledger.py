"""`/v1/ledger` and `/v1/receipts`: what the log proves, to whoever has a key."""

import base64
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from inwit.api.problems import described
from inwit.api.schemas import Wire
from inwit.bootstrap import Gateway
from inwit.errors import FieldError, InvalidField, NotFound
from inwit.ledger import proofs, receipts
from inwit.ledger.merkle import WIDTH
from inwit.types import KeyRole

_ID = re.compile(r"(resp|ent)_[0-9a-f]{32}")
_GROUP = re.compile(r"x?[0-9]{3}")
_MOST_ENTRIES = 1_000
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}

_KEY: dict[str, Any] = {"security": [{"api_key": []}]}
_PROBLEMS = {
    401: "No API key, or one that is unknown or revoked.",
    404: "There is no such thing, or not yet.",
    422: "A parameter is wrong.",
    503: "The ledger is away.",
}
_Place = Annotated[int, Query(ge=0, le=2**63 - 1)]


class Opening(Wire):
    """What opens a commitment: `HMAC-SHA256(salt, content)` is what the entry holds."""

    salt: str = Field(description="32 bytes in hexadecimal.", examples=["ab" * 32])
    content: str = Field(
        description="The content's exact bytes in base64: JSON with the text, and tool calls.",
        examples=["eyJ0ZXh0Ijoi4oCmIn0="],
    )


class InclusionReceipt(Wire):
    """An entry, and the proof that it stands in the log: all that a stranger needs but the key."""

    origin: str = Field(description="The log's name, as its key has it.", examples=["inwit-1f2e"])
    entry: str = Field(description="The entry's exact bytes, as text.", examples=["{}"])
    index: int = Field(description="Its place in the log, from 0.", examples=[16])
    proof: list[str] = Field(
        description="Hashes from the entry to the root, in base64 (RFC 9162, 2.1.3).",
        examples=[["q83v"]],
    )
    checkpoint: str = Field(
        description="The checkpoint that covers it: a signed note (C2SP).", examples=["inwit…"]
    )
    openings: dict[str, Opening] = Field(
        description="Of `released`, while it is kept: it binds the text that left to the entry.",
        examples=[{}],
    )


class NotCovered(Wire):
    """An entry that no checkpoint covers yet; ask again in some seconds."""

    status: Literal["pending"] = Field(description="Always pending.", examples=["pending"])


class Consistency(Wire):
    """The proof that one checkpoint's log is the beginning of another's."""

    old: int = Field(description="Entries in the older one.", examples=[17])
    new: int = Field(description="Entries in the newer one.", examples=[42])
    proof: list[str] = Field(description="Hashes in base64 (RFC 9162, 2.1.4).", examples=[["q83v"]])


class LedgerKeys(Wire):
    """The public keys that sign checkpoints, as signed notes name them."""

    keys: list[str] = Field(description="The newest last.", examples=[["inwit-1f2e+0b5c6d7e+AQ"]])


def router(gateway: Gateway) -> APIRouter:
    """The routes, bound to an open gateway."""
    routes = APIRouter(tags=["ledger"])
    for add in (_receipts, _checkpoints, _tiles, _entries):
        add(routes, gateway)
    return routes


def _receipts(routes: APIRouter, gateway: Gateway) -> None:
    @routes.get(
        "/v1/receipts/{name}",
        summary="Prove what was recorded of a response",
        response_model=InclusionReceipt,
        responses={
            **described({**_PROBLEMS, 403: "The key lacks the role."}),
            202: {"model": NotCovered, "description": "No checkpoint covers it yet."},
        },
        openapi_extra=_KEY,
    )
    async def receipt(
        request: Request,
        name: Annotated[str, Path(description="Id of a response, or of an entry of it.")],
    ) -> Response:
        """Get the entry that settles a response, and its proof. It can be checked offline."""
        header = request.headers.get("authorization")
        principal = await gateway.keys.authenticate(header, KeyRole.RESPOND)
        if not _ID.fullmatch(name):
            raise _nothing()
        entry, proof = await gateway.database.read(
            lambda connection: receipts.proof_for(connection, principal.tenant, name)
        )
        if entry is None or not entry.body:
            raise _nothing()
        if proof is None:
            wait = str(max(1, gateway.settings.checkpoint_ms // 1000))
            body = NotCovered(status="pending").model_dump_json()
            return Response(body, 202, {"retry-after": wait}, "application/json")
        answer = InclusionReceipt(
            origin=proof.checkpoint.note.partition("\n")[0],
            entry=proof.body.decode(),
            index=proof.index,
            proof=_told(proof.hashes),
            checkpoint=proof.checkpoint.note,
            openings=await _openings(gateway, entry),
        )
        return Response(answer.model_dump_json(), media_type="application/json")


async def _openings(gateway: Gateway, entry: receipts.Row) -> dict[str, Opening]:
    found = await gateway.database.read(lambda connection: receipts.released_of(connection, entry))
    if found is None:
        return {}
    salt, content = found
    return {"released": Opening(salt=salt.hex(), content=base64.b64encode(content).decode())}


def _checkpoints(routes: APIRouter, gateway: Gateway) -> None:
    @routes.get(
        "/v1/ledger/checkpoint",
        summary="The newest checkpoint",
        response_class=PlainTextResponse,
        responses=described(_PROBLEMS),
        openapi_extra=_KEY,
    )
    async def checkpoint(request: Request) -> Response:
        """Get the newest checkpoint: a signed note as C2SP's tlog-checkpoint has it."""
        await gateway.keys.identify(request.headers.get("authorization"))
        signed = await gateway.database.read(proofs.newest)
        if signed is None:
            raise NotFound("No checkpoint was signed yet; ask again in some seconds.")
        return PlainTextResponse(signed.note, headers={"cache-control": "no-cache"})

    @routes.get(
        "/v1/ledger/keys",
        summary="The keys that sign checkpoints",
        response_model=LedgerKeys,
        responses=described(_PROBLEMS),
        openapi_extra=_KEY,
    )
    async def keys(request: Request) -> LedgerKeys:
        """Get them. A stranger should have them from somewhere else: print them, publish them."""
        await gateway.keys.identify(request.headers.get("authorization"))
        return LedgerKeys(keys=list(gateway.head.vkeys))

    @routes.get(
        "/v1/ledger/consistency",
        summary="Prove that a log has only grown",
        response_model=Consistency,
        responses=described(_PROBLEMS),
        openapi_extra=_KEY,
    )
    async def consistency(request: Request, old: _Place, new: _Place) -> Consistency:
        """Get the proof that the first `old` entries are the beginning of the first `new`."""
        await gateway.keys.identify(request.headers.get("authorization"))
        if old > new:
            raise InvalidField(
                "Mend the parameter `old`.", (FieldError("old", "it must not be past `new`"),)
            )
        if new > await _signed_size(gateway, new):
            raise NotFound(f"No checkpoint covers {new} entries yet.")
        found = await gateway.database.read(
            lambda connection: proofs.consistency_of(connection, old, new)
        )
        return Consistency(old=old, new=new, proof=_told(found))


async def _signed_size(gateway: Gateway, needed: int) -> int:
    """How many entries a checkpoint covers: another gateway may have signed one a moment ago."""
    newest = gateway.head.signed
    if newest is None or newest.size < needed:
        newest = await gateway.database.read(proofs.newest)
    return newest.size if newest else 0


def _tiles(routes: APIRouter, gateway: Gateway) -> None:
    @routes.get(
        "/v1/ledger/tile/{level}/{place:path}",
        summary="A tile of hashes",
        response_class=Response,
        responses=described(_PROBLEMS),
        openapi_extra=_KEY,
    )
    async def tile(
        request: Request, level: Annotated[int, Path(ge=0, le=7)], place: str
    ) -> Response:
        """Get up to 256 hashes of 32 bytes, named as C2SP's tlog-tiles has it."""
        await gateway.keys.identify(request.headers.get("authorization"))
        number, width = _tile(place)
        start = number * WIDTH
        needed = (start + width) * WIDTH**level
        if needed > await _signed_size(gateway, needed):
            raise _nothing()
        found = await gateway.database.read(
            lambda connection: proofs.hashes(connection, level, start, start + width)
        )
        return Response(b"".join(found), 200, _FOR_EVER, "application/octet-stream")


def _entries(routes: APIRouter, gateway: Gateway) -> None:
    @routes.get(
        "/v1/ledger/entries",
        summary="Your tenant's entries",
        response_class=Response,
        responses=described({**_PROBLEMS, 403: "The key lacks the role audit."}),
        openapi_extra=_KEY,
    )
    async def entries(
        request: Request,
        after: _Place = 0,
        limit: Annotated[int, Query(ge=1, le=_MOST_ENTRIES)] = _MOST_ENTRIES,
    ) -> Response:
        """Get entries past a place in the log, as JSON lines: exact bytes, without content.

        A line holds the entry as it was written; its place is its own `sequence`. A pruned entry
        belongs to nobody any more.
        """
        header = request.headers.get("authorization")
        principal = await gateway.keys.authenticate(header, KeyRole.AUDIT)
        rows = await gateway.database.read(
            lambda connection: receipts.entries_after(connection, principal.tenant, after, limit)
        )
        return Response(b"".join(row.body + b"\n" for row in rows), 200, None, "application/jsonl")


def _tile(place: str) -> tuple[int, int]:
    """Number and width of a tile: `x001/x234/067` is 1,234,067; `.p/17` has the first 17 hashes.

    Raises:
        NotFound: no tile is named so.
    """
    path, partial, width = place.partition(".p/")
    groups = path.split("/")
    ok = len(groups) <= 5 and all(_GROUP.fullmatch(each) for each in groups)
    if not ok or [each[0] == "x" for each in groups] != [True] * (len(groups) - 1) + [False]:
        raise _nothing()
    number = int("".join(each[-3:] for each in groups))
    if not partial:
        return number, WIDTH
    if not re.fullmatch(r"[1-9][0-9]{0,2}", width) or int(width) >= WIDTH:
        raise _nothing()
    return number, int(width)


def _told(hashes: Any) -> list[str]:
    return [base64.b64encode(each).decode() for each in hashes]


def _nothing() -> NotFound:
    return NotFound("The ledger has nothing under that name for you.")
