"""`respond` through the wire, by both clients."""

import socket
from typing import Any

import pytest

from inwit.client import (
    Answer,
    BadAnswer,
    Conflict,
    FieldError,
    Forbidden,
    Gone,
    InvalidRequest,
    InwitError,
    NotFound,
    NotReached,
    NotReleased,
    RateLimited,
    ServerFailed,
    Unauthorized,
    Unavailable,
)
from tests.client.conftest import ASK, KEY, Client, MakeClient
from tests.client.server import (
    CALL,
    ID,
    TEXT,
    FakeGateway,
    Handler,
    answer,
    breaks,
    refuses,
    replies,
    sends,
)


async def test_an_answer_is_typed_and_keeps_its_receipt(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [replies(answer(), x_request_id="req_1")]

    got: Answer = await client.ask("respond", ASK, max_tokens=120)

    assert (got.id, got.status, got.action) == (ID, "released", "allow")
    assert got.released
    assert not got.held
    assert got.content == TEXT
    assert (got.receipt.entry, got.receipt.sequence) == ("ent_1", 17)
    assert got.review.classifier is not None
    assert (got.review.risk, got.review.classifier.asked) == (0.12, ("doubt",))
    assert got.review.masked == {"email": 2}
    assert got.policy.name == "default"
    assert got.usage.review.cached_tokens == 32
    assert got.timings_ms["total"] == 845.1
    assert (got.request_id, got.replayed, got.escalation) == ("req_1", False, None)
    assert got.require_released() is got


async def test_what_is_sent_is_what_was_given_and_nothing_more(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [replies(answer())]

    await client.ask("respond", ASK, policy=None, max_tokens=120, metadata={"a": "ü\ud800"})

    (request,) = gateway.seen
    assert (request.method, request.path) == ("POST", "/v1/respond")
    assert request.json == {"messages": ASK, "max_tokens": 120, "metadata": {"a": "ü\ud800"}}
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert len(request.headers["idempotency-key"]) == 36
    assert request.headers["x-request-id"].startswith("req_")


async def test_an_option_that_does_not_exist_is_refused_here(client: Client) -> None:
    with pytest.raises(TypeError, match="max_token, stream"):
        await client.ask("respond", ASK, max_token=1, stream=True)


async def test_a_blocked_answer_does_not_look_released(
    gateway: FakeGateway, client: Client
) -> None:
    blocked = answer("I cannot help with that.", calls=[CALL], status="blocked", action="block")
    gateway.script = [replies(blocked)]

    got: Answer = await client.ask("respond", ASK)

    assert not got.released
    assert got.content == "I cannot help with that."
    assert got.tool_calls == ()
    with pytest.raises(NotReleased, match=r"resp_5f0c is blocked \(block\)") as raised:
        got.require_released()
    assert raised.value.answer is got
    with pytest.raises(TypeError, match=r"ask `answer\.released`"):
        bool(got)


async def test_a_released_answer_may_call_tools(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [replies(answer("", calls=[CALL]))]

    got: Answer = await client.ask("respond", ASK)

    assert [(call.id, call.name, call.arguments) for call in got.tool_calls] == [
        ("call_1", "look_up", "{}")
    ]
    assert got.as_message() == {"role": "assistant", "content": None, "tool_calls": [CALL]}


async def test_what_a_newer_gateway_adds_is_kept_and_breaks_nothing(
    gateway: FakeGateway, client: Client
) -> None:
    newer = answer(status="parked", action="hold_gently", new={"a": 1})
    gateway.script = [replies(newer)]

    got: Answer = await client.ask("respond", ASK)

    assert not got.released
    assert got.raw == newer


async def test_a_replayed_answer_says_so(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [replies(answer(), idempotent_replayed="true")]

    got: Answer = await client.ask("respond", ASK, idempotency_key="order-7")

    assert got.replayed
    assert gateway.seen[0].headers["idempotency-key"] == "order-7"


@pytest.mark.parametrize(
    "first",
    [
        refuses(408),
        refuses(409, retry_after="0"),
        refuses(429, retry_after="0"),
        refuses(502, retry_after="0"),
        refuses(503),
        refuses(504, retry_after="0"),
        breaks,
    ],
)
async def test_what_may_pass_is_tried_again_as_the_same_request(
    gateway: FakeGateway, client: Client, first: Handler
) -> None:
    gateway.script = [first, replies(answer())]

    got: Answer = await client.ask("respond", ASK)

    assert got.released
    one, two = gateway.seen
    assert one.headers["idempotency-key"] == two.headers["idempotency-key"]
    assert one.body == two.body


async def test_two_calls_are_two_questions(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [replies(answer()), replies(answer())]

    await client.ask("respond", ASK)
    await client.ask("respond", ASK)

    one, two = gateway.seen
    assert one.headers["idempotency-key"] != two.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        (400, InvalidRequest, 1),
        (401, Unauthorized, 1),
        (403, Forbidden, 1),
        (404, NotFound, 1),
        (405, InvalidRequest, 1),
        (409, Conflict, 1),
        (410, Gone, 1),
        (413, InvalidRequest, 1),
        (422, InvalidRequest, 1),
        (429, RateLimited, 3),
        (499, InvalidRequest, 1),
        (500, ServerFailed, 1),
        (501, InvalidRequest, 1),
        (502, Unavailable, 3),
        (503, Unavailable, 3),
        (504, Unavailable, 3),
    ],
)
async def test_each_refusal_has_its_error(
    gateway: FakeGateway, client: Client, status: int, kind: type[InwitError], tries: int
) -> None:
    headers = {"retry_after": "0"} if tries > 1 else {}
    gateway.script = [refuses(status, "some-kind", "Do better.", **headers)] * 4

    with pytest.raises(kind) as raised:
        await client.ask("respond", ASK)

    error = raised.value
    assert type(error) is kind
    assert (error.status, error.kind, error.detail) == (status, "some-kind", "Do better.")
    assert error.request_id == "req_theirs"
    assert error.retry_after == (0 if tries > 1 else None)
    assert str(error) == f"Do better. [{status} some-kind req_theirs]"
    assert len(gateway.seen) == tries


async def test_the_fields_that_are_wrong_are_named(gateway: FakeGateway, client: Client) -> None:
    errors = [{"field": "messages[0].role", "problem": "unknown"}]
    problem = {"type": "urn:inwit:problem:invalid-field", "status": 422, "detail": "Mend."}
    gateway.script = [replies(problem | {"errors": errors, "tokens": 9}, 422)]

    with pytest.raises(InvalidRequest, match=r"Mend\. messages\[0\]\.role: unknown\.") as raised:
        await client.ask("respond", ASK)

    assert raised.value.errors == (FieldError("messages[0].role", "unknown"),)
    assert raised.value.problem["tokens"] == 9


async def test_a_wait_that_is_too_long_is_the_callers_to_take(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [refuses(429, "rate-limited", retry_after="3600")]

    with pytest.raises(RateLimited) as raised:
        await client.ask("respond", ASK, timeout=86_400)

    assert raised.value.retry_after == 3600


async def test_without_retries_there_is_one_try(
    gateway: FakeGateway, make_client: MakeClient
) -> None:
    gateway.script = [breaks, replies(answer())]

    with pytest.raises(NotReached, match="broke before its answer was whole") as raised:
        await make_client(retries=0).ask("respond", ASK)

    assert raised.value.request_id == gateway.seen[0].headers["x-request-id"]


async def test_where_nobody_listens(make_client: MakeClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = make_client(f"http://127.0.0.1:{taken.getsockname()[1]}", retries=1)

        with pytest.raises(NotReached, match=r"cannot be reached: .*(refused|attempts failed)"):
            await client.ask("respond", ASK)


async def test_a_redirect_is_not_followed(gateway: FakeGateway, client: Client) -> None:
    elsewhere = f"{gateway.base_url}/elsewhere"
    gateway.script = [sends(b"", 307, location=elsewhere), replies(answer())]

    with pytest.raises(BadAnswer, match="redirects are not followed"):
        await client.ask("respond", ASK)

    assert len(gateway.seen) == 1


SECRET = "SOMETHING PRIVATE"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in answer(SECRET).items() if key != name}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (sends(b"<html>" + SECRET.encode()), "not a JSON object"),
        (sends(b'{"a": "\xff' + SECRET.encode() + b'"}'), "not a JSON object"),
        (sends(b"[" * 100_000), "not a JSON object"),
        (sends(b'{"a": NaN}'), "not a JSON object"),
        (replies([SECRET]), "not a JSON object"),
        (replies(answer() | {"status": [SECRET]}), "`status`"),
        (replies(answer() | {"output": SECRET}), "output is not an object"),
        (replies(answer() | {"timings_ms": {"a": SECRET}}), "`timings_ms`"),
        (replies(answer() | {"receipt": {"entry": "e", "sequence": SECRET}}), "`receipt.sequence`"),
        (replies(without("receipt")), "receipt is not an object"),
        (replies(without("id")), "`id`"),
        (replies(without("status")), "`status`"),
        (replies(without("review")), "review is not an object"),
        (replies(without("output")), "output is not an object"),
        (sends(b" " * (16 * 2**20 + 1)), "too large"),
        (sends(b"\x1f\x8b" + SECRET.encode(), content_encoding="gzip"), "is compressed"),
        (sends(b"", 204), "status 204"),
    ],
)
async def test_what_is_no_answer_of_the_gateway_is_refused_and_not_quoted(
    gateway: FakeGateway, client: Client, reply: Handler, words: str
) -> None:
    gateway.script = [reply]

    with pytest.raises(BadAnswer, match=words) as raised:
        await client.ask("respond", ASK)

    assert SECRET not in str(raised.value)
    assert raised.value.request_id == gateway.seen[0].headers["x-request-id"]
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


async def test_a_proxys_page_is_not_quoted(gateway: FakeGateway, client: Client) -> None:
    page = f"<html>{SECRET}</html>".encode()
    gateway.script = [sends(page, 502, retry_after="0")] * 3

    with pytest.raises(Unavailable, match="gave no reason; is a proxy in between") as raised:
        await client.ask("respond", ASK)

    assert SECRET not in str(raised.value)
    assert raised.value.kind == "http-502"


async def test_a_detail_without_end_is_cut(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [refuses(422, detail="x" * 100_000)]

    with pytest.raises(InvalidRequest) as raised:
        await client.ask("respond", ASK)

    assert len(str(raised.value)) < 2_000
