"""Whose word counts for a caller's address: that of the proxies named, and of nobody else."""

from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI, Request

from inwit.config import load_settings
from inwit.errors import SetupError
from inwit.serve import server_config

PARTS: dict[str, Any] = {"embedded_redis": True, "embedded_model": True}


async def address_of(proxies: str | None, peer: str, said: str | None) -> str:
    """Whom the application sees, where `peer` connects and says that it asks for another."""
    app = FastAPI(openapi_url=None)

    @app.get("/")
    async def caller(request: Request) -> str:
        return request.client.host if request.client else ""

    config = server_config(app, load_settings(**PARTS, trusted_proxies=proxies))
    config.load()
    served = cast(Any, config.loaded_app)  # pyright: ignore[reportUnknownMemberType]  # untyped
    transport = httpx.ASGITransport(served, client=(peer, 50_000))
    headers = {"x-forwarded-for": said} if said else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://inwit") as client:
        return (await client.get("/", headers=headers)).json()


@pytest.mark.parametrize(
    ("proxies", "peer", "said", "seen"),
    [
        (None, "127.0.0.1", "198.51.100.7", "127.0.0.1"),
        (None, "203.0.113.5", "198.51.100.7", "203.0.113.5"),
        ("203.0.113.5", "203.0.113.5", "198.51.100.7", "198.51.100.7"),
        ("203.0.113.5", "203.0.113.5", None, "203.0.113.5"),
        ("203.0.113.5", "203.0.113.6", "198.51.100.7", "203.0.113.6"),
        ("203.0.113.5", "127.0.0.1", "198.51.100.7", "127.0.0.1"),
        ("10.0.0.0/8, 127.0.0.1", "10.1.2.3", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.0/8, 127.0.0.1", "10.1.2.3", "192.0.2.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.0/8", "10.1.2.3", "198.51.100.7, 10.9.9.9", "198.51.100.7"),
    ],
)
async def test_a_callers_address_is_not_of_their_choice(
    proxies: str | None, peer: str, said: str | None, seen: str
) -> None:
    assert await address_of(proxies, peer, said) == seen


@pytest.mark.parametrize("wrong", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.0/8,x"])
def test_a_proxy_is_an_address_or_a_network(wrong: str) -> None:
    with pytest.raises(SetupError, match=r"trusted_proxies.*no address"):
        load_settings(**PARTS, trusted_proxies=wrong)


def test_no_proxy_is_trusted_unless_it_is_named() -> None:
    assert load_settings(**PARTS).proxies == []
    assert load_settings(**PARTS, trusted_proxies=" 10.0.0.5 ,, ").proxies == ["10.0.0.5"]
