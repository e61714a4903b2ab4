"""The client as a package: what it imports, what it never shows, what it takes at its door."""

import logging
import subprocess
import sys
import traceback
from typing import Any

import httpx
import pytest

from inwit.client import AsyncInwit, Inwit, InwitError, NotReached
from inwit.client.calls import Call
from inwit.client.connection import translated
from tests.client.conftest import ASK, KEY, MakeClient
from tests.client.server import (
    TEXT,
    FakeGateway,
    answer,
    breaks,
    deltas,
    refuses,
    replies,
    streams,
)


def held_by_frames(error: BaseException | None) -> str:
    """What a crash reporter would show: the locals of every frame below the tests."""
    found: list[str] = []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                found += map(repr, frame.f_locals.values())
        error = error.__cause__ or error.__context__
    return "\n".join(found)


ALONE = """
import sys
import inwit.client
ours = {name for name in sys.modules if name.startswith("inwit.")}
assert all(name.startswith("inwit.client") and "clients" not in name for name in ours), ours
assert not {"pydantic", "fastapi", "aiohttp", "sqlalchemy", "structlog"} & sys.modules.keys()
"""


def test_the_client_imports_nothing_of_the_gateway() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


async def test_the_key_and_the_content_show_nowhere(
    gateway: FakeGateway, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = make_client(retries=1)
    gateway.script = [
        replies(answer()),
        refuses(401, "unauthorized"),
        breaks,
        breaks,
        streams(*deltas(TEXT), then="break"),
        breaks,
        breaks,
    ]
    shown: list[Any] = [client.inwit, vars(client.inwit), client.inwit.stream(ASK)]
    shown.append(await client.ask("respond", ASK))
    for _ in range(2):
        with pytest.raises(InwitError) as raised:
            await client.ask("respond", ASK)
        shown.append("".join(traceback.format_exception(raised.value)))
        assert KEY not in held_by_frames(raised.value)
    told = await client.listen()
    assert told.error is not None
    shown += [told.events, repr(told.error), str(told.error)]

    said = "\n".join(
        [*map(repr, shown), *map(str, shown), *(r.getMessage() for r in caplog.records)]
    )
    assert caplog.records
    for secret in (KEY, "c2VjcmV0", TEXT, "How do tides work"):
        assert secret not in said


@pytest.mark.parametrize("key", ["", " ", "inwit_a b", "inwit_a\n", "inwit_a\r\nx: y", "inwit_é"])
@pytest.mark.parametrize("make", [Inwit, AsyncInwit])
def test_a_key_that_is_none_is_refused_unquoted(make: Any, key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as raised:
        make("http://inwit", api_key=key)

    assert len(key) < 2 or key not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "inwit",
        "inwit:8080",
        "ftp://inwit",
        "http://",
        "http://user:password@inwit",
        "http://inwit?key=1",
        "http://inwit#a",
        "http://inwit:port",
        "http://in\nwit",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as raised:
        Inwit(url, api_key=KEY)

    assert "password" not in str(raised.value)


@pytest.mark.parametrize(
    "settings", [{"timeout": 0}, {"timeout": -1.0}, {"retries": -1}, {"stall": 0}]
)
def test_a_setting_that_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Inwit("http://inwit", api_key=KEY, **settings)


@pytest.mark.parametrize("key", ["", "a b", "é", "a\r\nb", "x" * 256])
def test_an_idempotency_key_that_is_none_is_refused(key: str) -> None:
    with (
        Inwit("http://inwit", api_key=KEY) as inwit,
        pytest.raises(ValueError, match="idempotency"),
    ):
        inwit.respond(ASK, idempotency_key=key)


@pytest.mark.parametrize("base", ["http://inwit/behind/", "http://inwit/behind"])
def test_a_gateway_may_stand_behind_a_path(base: str) -> None:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=answer())

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        Inwit(base, api_key=KEY, http=http).respond(ASK)

    assert asked == ["http://inwit/behind/v1/respond"]


def test_a_pool_of_ones_own_keeps_nothing_of_its_settings_that_could_leak_the_key() -> None:
    """Its own credentials do not replace the key, and it does not follow redirects with it."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(307, headers={"location": "http://elsewhere"})

    with httpx.Client(
        transport=httpx.MockTransport(handle), auth=("a", "b"), follow_redirects=True
    ) as http:
        with Inwit("http://inwit", api_key=KEY, http=http) as inwit, pytest.raises(InwitError):
            inwit.respond(ASK)
        assert not http.is_closed

    assert [request.headers["authorization"] for request in asked] == [f"Bearer {KEY}"]


NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}


def kinds(base: type[Exception]) -> list[type[Exception]]:
    return [base, *(each for child in base.__subclasses__() for each in kinds(child))]


@pytest.mark.parametrize("kind", [*kinds(httpx.RequestError), TimeoutError])
def test_every_failure_of_the_connection_is_ours(kind: type[Exception]) -> None:
    call = Call("POST", "http://inwit", httpx.Headers(), "req_1", repeatable=False)

    with pytest.raises(NotReached) as raised, translated(call):
        raise kind("SECRET" if "Connect" not in kind.__name__ else "refused")

    assert "SECRET" not in str(raised.value)
    assert raised.value.request_id == "req_1"
    assert raised.value.passing is (kind.__name__ in NOT_SENT)
