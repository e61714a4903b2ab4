"""`check` and `check_many`: the review of what your own model wrote."""

from typing import Any

import pytest

from inwit.client import BadAnswer, Checked, NotReached, Unavailable
from tests.client.conftest import ASK, Client
from tests.client.server import CALL, FakeGateway, answer, breaks, refuses, replies


def result(status: str = "passed", **changes: Any) -> dict[str, Any]:
    """What the gateway says of one candidate."""
    output: dict[str, Any] = {"content": "Fine.", "tool_calls": [CALL]}
    found = answer() | {"status": status, "output": output} | changes
    del found["escalation"]
    return found


@pytest.mark.parametrize("status", ["passed", "changed", "unreviewed"])
async def test_what_may_leave_is_in_the_result(
    gateway: FakeGateway, client: Client, status: str
) -> None:
    gateway.script = [replies(result(status, action="redact"))]

    got: Checked = await client.ask("check", ASK, "Write to a@b.example.", mode="review")

    assert got.may_leave
    assert (got.status, got.content, got.tool_calls[0].name) == (status, "Fine.", "look_up")
    assert got.receipt.sequence == 17
    (request,) = gateway.seen
    assert request.path == "/v1/check"
    assert "idempotency-key" not in request.headers
    assert request.json == {
        "messages": ASK,
        "candidate": "Write to a@b.example.",
        "mode": "review",
    }


@pytest.mark.parametrize(
    "found",
    [
        result("withheld", action="block", output=None),
        result("withheld"),
        result("released"),
        result("something newer"),
    ],
)
async def test_what_may_not_leave_has_no_content(
    gateway: FakeGateway, client: Client, found: dict[str, Any]
) -> None:
    gateway.script = [replies(found)]

    got: Checked = await client.ask("check", ASK, {"role": "assistant", "content": "HARM"})

    assert (got.may_leave, got.content, got.tool_calls) == (False, "", ())
    with pytest.raises(TypeError, match="may_leave"):
        bool(got)


async def test_what_may_leave_without_output_is_no_result(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [replies(result("passed", output=None), x_request_id="req_1")]

    with pytest.raises(BadAnswer, match="output is not an object") as raised:
        await client.ask("check", ASK, "Fine.")

    assert raised.value.request_id == "req_1"


async def test_several_are_checked_in_order(gateway: FakeGateway, client: Client) -> None:
    problem = {"type": "urn:inwit:problem:upstream-timeout", "status": 504, "detail": "Late."}
    results = [result(id="resp_1"), {"error": problem}, result("withheld", id="resp_3")]
    gateway.script = [replies({"results": results})]

    one, two, three = await client.ask("check_many", ASK, ["one", "two", "three"])

    assert (one.id, one.may_leave) == ("resp_1", True)
    assert (type(two), two.kind, two.detail) == (Unavailable, "upstream-timeout", "Late.")
    assert (three.id, three.may_leave) == ("resp_3", False)
    assert gateway.seen[0].json["candidates"] == ["one", "two", "three"]


@pytest.mark.parametrize("results", [[], [result()], [result()] * 3])
async def test_results_are_never_taken_for_anothers(
    gateway: FakeGateway, client: Client, results: list[Any]
) -> None:
    gateway.script = [replies({"results": results})]

    with pytest.raises(BadAnswer, match="one result for each candidate"):
        await client.ask("check_many", ASK, ["one", "two"])


async def test_a_review_may_be_repeated(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [breaks, replies(result())]

    assert (await client.ask("check", ASK, "Fine.")).may_leave


async def test_a_rewrite_is_not_repeated_once_it_may_have_begun(
    gateway: FakeGateway, client: Client
) -> None:
    """It generates, and the route takes no idempotency key. A refusal says that it did not."""
    gateway.script = [refuses(503, retry_after="0"), breaks, replies(result())]

    with pytest.raises(NotReached):
        await client.ask("check", ASK, "Fine.", mode="rewrite")

    assert len(gateway.seen) == 2


async def test_an_option_that_does_not_exist_is_refused_here(client: Client) -> None:
    with pytest.raises(TypeError, match="max_tokens"):
        await client.ask("check", ASK, "Fine.", max_tokens=1)
