"""The console as one ASGI application: its routes, its errors as pages, its headers."""

from collections.abc import Callable, Sequence

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from inwit.console import (
    agreement_page,
    audit,
    case_list,
    export,
    golden_page,
    own_account,
    own_rulings,
    people,
    sign_in,
    sign_in_by_provider,
    story_page,
)
from inwit.console.headers import Guarded
from inwit.console.pages import HOME, ROOT, STATIC_FILES, asked_by_htmx
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import SignedOut, parts_of
from inwit.console.refusals import noted
from inwit.errors import InvalidField, InwitError, MethodNotAllowed, NotFound

log = structlog.get_logger()

Routers = Sequence[Callable[[ConsoleParts], APIRouter]]

# A test walks their routes with every role.
ROUTERS: Routers = (
    sign_in.router,
    sign_in_by_provider.router,
    own_account.router,
    case_list.router,
    own_rulings.router,
    agreement_page.router,
    people.router,
    golden_page.router,
    audit.router,
    story_page.router,
    export.router,
)


def mount(app: FastAPI, parts: ConsoleParts, routers: Routers = ()) -> None:
    """Serve the console at /console of an application.

    `routers` make its further pages, the first page among them.
    """
    limit = parts.settings.max_body_bytes
    app.mount(ROOT, Guarded(console(parts, routers), limit))
    app.router.routes.append(Route(ROOT, Guarded(_to_home, limit)))


def console(parts: ConsoleParts, routers: Routers = ()) -> FastAPI:
    """The routes alone."""
    app = FastAPI(title="Inwit's console", openapi_url=None, redirect_slashes=False)
    app.state.parts = parts
    for router in (*(routers or (own_account.first_page,)), *ROUTERS):
        app.include_router(router(parts))
    app.mount("/static", StaticFiles(directory=STATIC_FILES), name="static")
    app.add_exception_handler(InwitError, _on_inwit_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_wrong_field)
    app.add_exception_handler(Exception, _on_bug)
    return app


async def _on_inwit_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, InwitError):
        raise TypeError("registered for InwitError") from error
    write = log.error if error.status >= 500 else log.info
    why = getattr(error, "why", None)  # the provider's faults have more to say, in our words
    write("console_refused", kind=error.kind, status=error.status, why=why)
    if isinstance(error, SignedOut):
        return _to_sign_in(request)
    return _problem(request, await noted(request, error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, and ours that it met while it read a form."""
    if isinstance(error.__cause__, InwitError):
        return await _on_inwit_error(request, error.__cause__)
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return _problem(request, MethodNotAllowed("This page takes other methods."))
    if status == 400:
        return _problem(request, InvalidField("The form cannot be read."))
    return _problem(request, NotFound("There is no such page."))


async def _on_wrong_field(request: Request, error: Exception) -> Response:
    return _problem(request, InvalidField("The form, or the address, cannot be read."))


async def _on_bug(request: Request, error: Exception) -> Response:
    # It is raised again after this, and logged where all bugs are.
    return _problem(request, InwitError("Something failed inside Inwit. Nothing more was done."))


def _problem(request: Request, error: InwitError) -> Response:
    template = "problem_fragment.html" if asked_by_htmx(request) else "problem.html"
    pages = parts_of(request).pages
    request_id = request.scope.get("inwit.request_id", "")
    return pages.render(
        request,
        template,
        status=error.status,
        headers=sign_in.after(error),
        error=error,
        request_id=request_id,
    )


def _to_sign_in(request: Request) -> Response:
    """To the form, and back afterwards where a page was asked for."""
    path = request.url.path
    wanted = request.method == "GET" and not asked_by_htmx(request) and sign_in.local(path) != HOME
    address = f"{sign_in.SIGN_IN}?next={path}" if wanted else sign_in.SIGN_IN
    if asked_by_htmx(request):
        return Response(status_code=401, headers={"hx-redirect": sign_in.SIGN_IN})
    if "text/event-stream" in request.headers.get("accept", ""):
        return Response(status_code=401)
    return RedirectResponse(address, 303)


async def _to_home(scope: Scope, receive: Receive, send: Send) -> None:
    await RedirectResponse(HOME, 307)(scope, receive, send)
