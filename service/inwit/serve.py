"""Runs the gateway until it is told to stop: first the port, then the parts, then the traffic."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Generator

import structlog
import uvicorn
from fastapi import FastAPI

from inwit import __version__
from inwit.api.health import warnings_of
from inwit.app import create_app
from inwit.bootstrap import Gateway, Progress, open_gateway
from inwit.config import Settings
from inwit.console.parts import open_console
from inwit.errors import SetupError

log = structlog.get_logger()

Announce = Callable[[Gateway, str], Awaitable[None]]

_BACKLOG = 2048


class _Server(uvicorn.Server):
    """uvicorn, without its signal handlers: it would re-raise SIGTERM before our children stop."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so: not before connections are taken."""
        await super().startup(sockets)
        await self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to `serve`."""
        yield


async def serve(settings: Settings, progress: Progress, announce: Announce) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is open (at most `shutdown_s` seconds).

    Raises:
        SetupError: the port is taken, or a part cannot be opened.
    """
    with _listen(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        async with (
            open_gateway(settings, progress) as gateway,
            open_console(
                gateway.settings, gateway.database, gateway.ledger, gateway.redis
            ) as console,
        ):

            async def started() -> None:
                log.info("serving", address=address, version=__version__)
                for warning in warnings_of(gateway):
                    log.warning("warning", words=warning)
                await announce(gateway, address)

            server = _Server(server_config(create_app(gateway, console), gateway.settings), started)
            _stop_on_signals(server, gateway)
            await server.serve(sockets=[listener])
            log.info("stopped")


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
        timeout_graceful_shutdown=settings.shutdown_s,
    )


def _stop_on_signals(server: uvicorn.Server, gateway: Gateway) -> None:
    """The first signal drains; a second one ends at once."""

    def stop() -> None:
        gateway.health.draining = True
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # At once, not when the rest is open: with SO_REUSEADDR two can bind, only one can listen.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SetupError(
            f"Cannot listen on {host}:{port} ({error.strerror}). "
            "Stop what uses the port, or choose another by INWIT_PORT."
        ) from error
    listener.set_inheritable(False)
    return listener
