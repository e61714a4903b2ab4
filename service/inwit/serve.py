"""Runs the gateway until it is told to stop: first the ports, then the parts, then the traffic."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
import uvicorn
from fastapi import FastAPI

from inwit import __version__
from inwit.api.draining import Exchanges
from inwit.api.health import warnings_of
from inwit.app import create_app, operate_app
from inwit.bootstrap import Gateway, Progress, open_gateway
from inwit.config import Settings
from inwit.console.parts import ConsoleParts, open_console
from inwit.ports import Ports, bound
from inwit.stopping import Stop

log = structlog.get_logger()

Announce = Callable[[Gateway, str], Awaitable[None]]

# After the last open request: how long connections that are kept alive may still bring one (it is
# refused in words) before they are closed.
_LINGER_S = 1.0
_TICK_S = 0.05
# Longer than what a proxy keeps idle connections for (nginx: 60 s), so that it is the one to close
# them: else it sends a request into one that is just being closed, and its caller gets a 502.
KEEP_ALIVE_S = 75
_LAST_S = 2  # for refusals that are still on their way when the rest is over


class _Server(uvicorn.Server):
    """uvicorn, without its signal handlers: it would close its port at the first one."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so: not before connections are taken."""
        await super().startup(sockets)
        await self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to `Stop`."""
        yield


@dataclass(slots=True)
class _Opened:
    """The gateway while it is open."""

    gateway: Gateway | None = None


async def serve(
    settings: Settings,
    progress: Progress,
    announce: Announce,
    ports: AbstractContextManager[Ports] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is open (at most `shutdown_s` seconds).

    The first signal drains: new requests are refused with 503 on a port that stays open. The
    second one ends what is open at once.

    Raises:
        SetupError: a port is taken, or a part cannot be opened.
    """
    stop, opened = Stop(), _Opened()
    with ExitStack() as stack:
        listening = stack.enter_context(ports or bound(settings))
        stack.enter_context(stop.on_signals())
        try:
            async with _operating(settings, listening, opened):
                await _open_and_serve(settings, progress, announce, listening, stop, opened)
        except asyncio.CancelledError:
            if not stop.cut_the_start():
                raise
        log.info("stopped")


async def _open_and_serve(
    settings: Settings,
    progress: Progress,
    announce: Announce,
    ports: Ports,
    stop: Stop,
    opened: _Opened,
) -> None:
    async with (
        open_gateway(settings, progress) as gateway,
        open_console(gateway.settings, gateway.database, gateway.ledger, gateway.redis) as console,
    ):
        opened.gateway = gateway
        try:
            await _serve_until(stop, gateway, console, ports, announce)
        finally:
            opened.gateway = None


async def _serve_until(
    stop: Stop, gateway: Gateway, console: ConsoleParts, ports: Ports, announce: Announce
) -> None:
    async def started() -> None:
        log.info(
            "serving", address=ports.address, operate=ports.operate_address, version=__version__
        )
        for warning in warnings_of(gateway):
            log.warning("warning", words=warning)
        await announce(gateway, ports.address)

    exchanges = Exchanges(gateway.health)
    app = create_app(gateway, console, exchanges)
    server = _Server(server_config(app, gateway.settings), started)
    serving = asyncio.create_task(server.serve(sockets=[ports.api]), name="serving")
    asked = asyncio.create_task(stop.asked(), name="stop")
    try:
        await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
        gateway.health.draining = True
        await _drain(server, exchanges, gateway.settings.shutdown_s, stop)
        server.should_exit = True
        await serving
    finally:
        for task in (serving, asked):
            task.cancel()
        await asyncio.gather(serving, asked, return_exceptions=True)


async def _drain(server: _Server, exchanges: Exchanges, within_s: float, stop: Stop) -> None:
    """Let what is open finish, refusing what comes; then close the port, and what is idle."""
    clock = asyncio.get_running_loop().time
    began, found = clock(), exchanges.open
    log.info("draining", open=found, within_s=within_s)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await stop.unless_hurried(exchanges.none_left())
    if cut := exchanges.open:
        log.warning("cut", open=cut)
        await exchanges.cut_short()
    for listener in getattr(server, "servers", ()):
        listener.close()
    ends = clock() + _LINGER_S
    # uvicorn has no event for it.
    while server.server_state.connections and clock() < ends and not stop.hurried:  # noqa: ASYNC110
        await asyncio.sleep(_TICK_S)
    log.info("drained", found=found, cut=cut, seconds=round(clock() - began, 3))


@asynccontextmanager
async def _operating(settings: Settings, ports: Ports, opened: _Opened) -> AsyncGenerator[None]:
    """Answer on the operate port, where there is one, from before the start to after the end."""
    if ports.operate is None:
        yield
        return
    up = asyncio.Event()

    async def started() -> None:
        up.set()

    config = server_config(operate_app(lambda: opened.gateway), settings)
    server = _Server(config, started)
    serving = asyncio.create_task(server.serve(sockets=[ports.operate]), name="operating")
    await up.wait()
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application.

    A caller's address is that of their connection, and what a proxy says of it where it is one of
    `settings.proxies`: whoever else could say it would have an address of their choice.
    """
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LAST_S,
    )
