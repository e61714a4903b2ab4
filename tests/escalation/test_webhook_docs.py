"""The receiver that docs/webhooks.md shows, as it stands there."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from inwit.cases import CaseState
from inwit.escalation.webhooks import payload, signed
from inwit.ledger.deliveries import ATTEMPTS, pause
from tests.escalation.webhook_world import APPROVED, OUTPUT

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDfkLfYpxRFAc="


async def test_the_receiver_in_python_takes_what_is_sent_and_nothing_else() -> None:
    shown: list[Any] = []

    async def show(name: str, output: Any) -> None:
        shown.append((name, output["content"]))

    async def first_time(webhook_id: str) -> bool:
        return True

    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"SECRET": SECRET, "show": show, "first_time": first_time}
    exec("\n".join(code), names)  # noqa: S102  # the documentation's own
    body = payload("resp_1", "esc_1", APPROVED)
    headers = signed(SECRET, "msg_1", datetime.now(UTC), body)
    transport = httpx.ASGITransport(names["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        taken = await client.post("/inwit", content=body, headers=headers)
        refused = await client.post("/inwit", content=body + b" ", headers=headers)

    assert (taken.status_code, refused.status_code) == (200, 401)
    assert shown == [("resp_1", OUTPUT.text)]


def test_the_page_has_the_pauses_and_the_words() -> None:
    waits = [pause(attempts, 0.0).total_seconds() for attempts in range(1, ATTEMPTS)]
    row = re.search(r"\| wait \|(.*)\|\n", PAGE)
    assert row is not None
    units = {"s": 1, "min": 60, "h": 3600}
    written = [each.split() for each in row[1].split("|")]

    assert [int(number) * units[unit] for number, unit in written] == waits
    assert f"{ATTEMPTS} attempts" in PAGE
    for state in (CaseState.RESOLVED, CaseState.EXPIRED):
        assert f"`{state.value}`" in PAGE
