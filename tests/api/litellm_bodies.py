"""Bodies as LiteLLM 1.109 sends them to its generic guardrail, and what they leave behind."""

from typing import Any

import httpx
import sqlalchemy as sa

from inwit.ledger import read
from inwit.ledger.tables import ENTRIES
from inwit.ledger.verify_database import verify_database
from tests.conftest import Caller

ASKED = "How do tides work?"
UNKNOWN = "(What the answer is about is not known.)"
ROWS: list[Any] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": ASKED}]},
]
CALL: dict[str, Any] = {
    "id": "c1",
    "type": "function",
    "function": {"name": "look_up", "arguments": "{}"},
}


def sent(input_type: str, *texts: str, call_id: str = "1ee61eb4", **fields: Any) -> dict[str, Any]:
    """What LiteLLM sends; recorded from its proxy."""
    return {
        "input_type": input_type,
        "litellm_call_id": call_id,
        "litellm_trace_id": "d257ad3b",
        "structured_messages": None,
        "images": None,
        "tools": None,
        "texts": list(texts),
        "request_data": {"user_api_key_hash": "88dc28", "user_api_key_end_user_id": "u-1"},
        "request_headers": {"host": "127.0.0.1:4000", "x-custom": "[present]"},
        "litellm_version": "1.109.1",
        "additional_provider_specific_params": {},
        "tool_calls": None,
        "model": "gpt-4",
        **fields,
    }


def asking(call_id: str = "1ee61eb4", rows: list[Any] | None = None, **fields: Any) -> Any:
    given = ROWS if rows is None else rows
    return sent("request", "Be kind.", ASKED, call_id=call_id, structured_messages=given, **fields)


def answering(*texts: str, **fields: Any) -> dict[str, Any]:
    return sent("response", *texts, **fields)


async def guard(caller: Caller, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await caller.http.post("/beta/litellm_basic_guardrail_api", json=body, headers=headers)


async def records(caller: Caller) -> list[Any]:
    """The entry of each check with its content, in a ledger that holds together."""

    def look(db: sa.Connection) -> list[Any]:
        query = sa.select(ENTRIES.c.response_id).filter_by(type="check")
        ids = db.execute(query.order_by(ENTRIES.c.sequence)).scalars()
        return [read.stories(db, each)[-1] for each in ids]

    assert (await caller.database.read(verify_database)).breaks == ()
    return await caller.database.read(look)
