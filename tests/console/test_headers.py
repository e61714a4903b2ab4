"""What every answer of the console carries, whatever it is."""

import hashlib
import re
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, Form, Request, Response

from inwit.console import own_account
from inwit.console.headers import HEADERS, STATIC
from inwit.console.pages import STATIC_FILES
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Open, Visitor
from tests.console.conftest import MakeSite, Site, no_redis

TEMPLATES = STATIC_FILES.parent / "templates"
OPEN = Annotated[Visitor | None, Depends(Open())]


def _odd(_: ConsoleParts) -> APIRouter:
    routes = APIRouter()

    @routes.get("/bug")
    async def bug(_: OPEN) -> Response:
        raise RuntimeError("words that nobody may read")

    @routes.post("/form")
    async def form(_: OPEN, text: Annotated[str, Form()] = "") -> Response:
        return Response(str(len(text)))

    @routes.post("/raw")
    async def raw(_: OPEN, request: Request) -> Response:
        return Response(str(len(await request.body())))

    return routes


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/console", 307),
        ("GET", "/console/", 303),
        ("GET", "/console/sign-in", 200),
        ("GET", "/console/account", 303),
        ("GET", "/console/no/such/page", 404),
        ("GET", "/console/openapi.json", 404),
        ("GET", "/console/docs", 404),
        ("DELETE", "/console/sign-in", 405),
        ("GET", "/console/bug", 500),
        ("GET", "/console/static/console.css", 200),
        ("GET", "/console/static/no-such.css", 404),
        ("GET", "/console/static/..%2fsite.py", 404),
        ("GET", "/console/static/%2e%2e/site.py", 404),
    ],
)
async def test_every_answer_is_guarded(
    make_site: MakeSite, method: str, path: str, status: int
) -> None:
    browser = await (await make_site(routers=(_odd, own_account.first_page))).browser()
    answer = await browser.http.request(method, path)
    assert answer.status_code == status
    _assert_guarded(answer)
    kept = path.endswith("console.css")
    assert answer.headers["cache-control"] == (STATIC if kept else "no-store")
    assert "words that nobody may read" not in answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "Traceback" not in answer.text


async def test_an_answer_without_redis_is_guarded(make_site: MakeSite) -> None:
    browser = await (await make_site(client=no_redis())).browser()
    browser.http.cookies.set("inwit", "x" * 43)
    answer = await browser.get("/account")
    assert answer.status_code == 503
    _assert_guarded(answer)


def _assert_guarded(answer: httpx.Response) -> None:
    for name, value in HEADERS.items():
        assert answer.headers.get_list(name) == [value]
    directives = dict(each.split(" ", 1) for each in HEADERS["content-security-policy"].split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }


@pytest.mark.parametrize("path", ["/form", "/raw"])
async def test_a_body_has_a_limit_said_or_not(make_site: MakeSite, path: str) -> None:
    site = await make_site(routers=(_odd,), max_body_bytes=1_000)
    browser = await site.browser()
    form = {"content-type": "application/x-www-form-urlencoded"}

    async def in_pieces() -> object:
        for _ in range(20):
            yield b"x" * 100

    fits = await browser.http.post(f"/console{path}", content=b"text=" + b"x" * 900, headers=form)
    assert fits.status_code == 200
    for content in (b"text=" + b"x" * 2_000, in_pieces()):
        answer = await browser.http.post(f"/console{path}", content=content, headers=form)  # pyright: ignore[reportArgumentType]  # an async generator of bytes
        assert answer.status_code == 413, answer.text
        assert "1000 bytes" in answer.text


async def test_a_field_has_a_limit(site: Site) -> None:
    browser = await site.browser()
    answer = await browser.post("/sign-in", {"name": "n" * 2_000})
    assert answer.status_code == 422
    assert "n" * 100 not in answer.text


async def test_the_rest_of_the_service_is_left_alone(site: Site) -> None:
    browser = await site.browser()
    answer = await browser.http.get("/elsewhere")
    assert "content-security-policy" not in answer.headers


def test_no_template_has_anything_inline_or_from_elsewhere() -> None:
    for file in TEMPLATES.glob("*.html"):
        text = file.read_text()
        assert not re.search(r"<style|style=|\son\w+=|javascript:|\|\s*safe|hx-on|js:", text), file
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), file
        assert "://" not in text, file
    css = (STATIC_FILES / "console.css").read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_what_others_wrote_is_as_they_wrote_it() -> None:
    readme = (STATIC_FILES / "README.md").read_text()
    for name in ("htmx.min.js", "htmx-ext-sse.min.js"):
        digest = hashlib.sha256((STATIC_FILES / name).read_bytes()).hexdigest()
        assert f"`{name}` {digest}" in readme.replace("\n", " ")
        assert (STATIC_FILES / name.replace(".min.js", ".LICENSE")).is_file()
