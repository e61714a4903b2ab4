"""The page from which an auditor takes records out: as JSON Lines or CSV, streamed, recorded."""

import csv
import io
import json
import unicodedata
from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import StreamingResponse

from inwit.cases import Reviewer
from inwit.console.filters import choices, end_of, in_scope, start_of
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Permission, SignedOut, Visitor, require, visitor_of
from inwit.errors import FieldError, InvalidField
from inwit.ledger.export import MOST_ROWS, Export, Row, What, count, note_export, page
from inwit.ledger.transaction import Transaction

E = TypeVar("E", bound=StrEnum)

_Visitor = Annotated[Visitor, Depends(require(Permission.EXPORT))]
_Field = Annotated[str, Form(max_length=128)]
_Day = Annotated[str, Form(max_length=10)]

_USUAL = timedelta(days=30)
_FORMULA = frozenset("=+-@")
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})  # Unicode's controls, formats and spaces


class FileForm(StrEnum):
    """The kinds of file."""

    JSON_LINES = "jsonl"
    CSV = "csv"


_TYPES = {FileForm.JSON_LINES: "application/jsonl", FileForm.CSV: "text/csv; charset=utf-8"}


def router(parts: ConsoleParts) -> APIRouter:
    """The routes of the page and of the file."""
    routes = APIRouter()

    @routes.get("/export")
    async def form_page(request: Request, visitor: _Visitor) -> Response:
        return await _page(request, parts, visitor)

    @routes.post("/export")
    async def take_out(
        request: Request,
        visitor: _Visitor,
        what: _Field = What.RULINGS.value,
        form: _Field = FileForm.JSON_LINES.value,
        since: _Day = "",
        until: _Day = "",
        tenant: _Field = "",
        policy: _Field = "",
        with_content: _Field = "",
    ) -> Response:
        try:
            given = (what, since, until, tenant, policy, with_content)
            export = _export(visitor.account.reviewer, *given)
            file_form = _one_of(FileForm, "form", form)
            rows = await parts.database.read(lambda each: count(each, export))
            if rows > MOST_ROWS:
                raise InvalidField(
                    f"That would be {rows} rows, and {MOST_ROWS} are the most in one file. "
                    "Choose a shorter period, or one policy."
                )
        except InvalidField as error:
            return await _page(request, parts, visitor, problem=error)
        by = visitor.account.id
        await parts.ledger.write(partial(_note, export, rows, file_form, by))
        name = f"inwit-{export.what.value}-{since}-{until}.{file_form.value}"
        return StreamingResponse(
            _file(request, parts, export, rows, file_form),
            media_type=_TYPES[file_form],
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    return routes


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    Some of them look past what does not show, and take wide signs for the plain ones.
    """
    seen = next((each for each in cell if unicodedata.category(each) not in _UNSEEN), "")
    plain = unicodedata.normalize("NFKC", seen)[:1]
    return f"'{cell}" if plain in _FORMULA or cell.startswith(("\t", "\r", "\n")) else cell


def csv_lines(columns: Iterable[str], rows: Iterable[Row]) -> str:
    """Rows as CSV (RFC 4180), every cell in quotes; numbers, lists and truth values as in JSON."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    names = list(columns)
    writer.writerows([harmless(_cell(row[name])) for name in names] for row in rows)
    return text.getvalue()


def json_lines(rows: Iterable[Row]) -> str:
    """Rows as JSON, one a line, in ASCII."""
    return "".join(json.dumps(row) + "\n" for row in rows)


async def _file(
    request: Request, parts: ConsoleParts, export: Export, most: int, form: FileForm
) -> AsyncGenerator[bytes]:
    """The rows that were counted, and no more. It breaks off once the person may not have them."""
    if form is FileForm.CSV:
        yield csv_lines(export.columns, [{name: name for name in export.columns}]).encode()
    after = None
    while most > 0:
        rows, after = await parts.database.read(partial(page, export=export, after=after))
        text = _text(export, rows[:most], form)
        yield text.encode(errors="replace")
        most -= len(rows)
        if after is None:
            return
        visitor = await visitor_of(request, used=False)
        if visitor is None or not visitor.may(Permission.EXPORT):
            raise SignedOut


def _text(export: Export, rows: list[Row], form: FileForm) -> str:
    return json_lines(rows) if form is FileForm.JSON_LINES else csv_lines(export.columns, rows)


def _note(export: Export, rows: int, form: FileForm, by: str, transaction: Transaction) -> None:
    note_export(transaction, export, rows, form.value, by)


def _export(
    reviewer: Reviewer,
    what: str,
    since: str,
    until: str,
    tenant: str,
    policy: str,
    with_content: str,
) -> Export:
    start, end = start_of("since", since), end_of("until", until)
    end = end and min(end, datetime.now(UTC))
    if start is None or end is None or start >= end:
        problem = "it needs a first and a last day, in this order, and none to come"
        raise InvalidField(f"Choose a period: {problem}.", (FieldError("since", problem),))
    return Export(
        what=_one_of(What, "what", what),
        since=start,
        until=end,
        tenants=in_scope(reviewer.tenants, tenant),
        policies=in_scope(reviewer.policies, policy),
        with_content=bool(with_content),
    )


def _one_of(kind: type[E], name: str, value: str) -> E:
    if value not in list(kind):
        raise InvalidField("Choose from the list.", (FieldError(name, "not on the list"),))
    return kind(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


async def _page(
    request: Request,
    parts: ConsoleParts,
    visitor: Visitor,
    *,
    problem: InvalidField | None = None,
) -> Response:
    today = datetime.now(UTC).date()
    return parts.pages.render(
        request,
        "export.html",
        status=problem.status if problem else 200,
        problem=problem.detail if problem else "",
        since=(today - _USUAL).isoformat(),
        until=today.isoformat(),
        most=MOST_ROWS,
        choices=await choices(parts.database, visitor.account.reviewer),
    )
