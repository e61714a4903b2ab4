"""The ports a gateway listens on: taken here, or handed down by a parent process."""

import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from inwit.config import Settings
from inwit.errors import SetupError

_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Ports:
    """Listening sockets: that of the API, and that of health and metrics where there is one."""

    api: socket.socket
    operate: socket.socket | None

    @property
    def address(self) -> str:
        """Where the API answers."""
        return _address(self.api)

    @property
    def operate_address(self) -> str | None:
        """Where health and metrics do, if that is elsewhere."""
        return _address(self.operate) if self.operate else None

    @property
    def descriptors(self) -> list[int]:
        """For `inherited`."""
        return [each.fileno() for each in (self.api, self.operate) if each is not None]

    def close(self) -> None:
        """Listen no more, here; another process that has them goes on."""
        self.api.close()
        if self.operate is not None:
            self.operate.close()


@contextmanager
def bound(settings: Settings) -> Generator[Ports]:
    """Take the ports of the settings while the block runs.

    Raises:
        SetupError: one is taken.
    """
    with ExitStack() as stack:
        api = stack.enter_context(_listen(settings.host, settings.port, "INWIT_PORT"))
        operate = None
        if settings.operate_port is not None:
            listener = _listen(settings.host, settings.operate_port, "INWIT_OPERATE_PORT")
            operate = stack.enter_context(listener)
        yield Ports(api, operate)


@contextmanager
def inherited(descriptors: Sequence[int]) -> Generator[Ports]:
    """Those of a parent process, by their file descriptors: the API's first."""
    with ExitStack() as stack:
        api, *rest = [
            stack.enter_context(socket.socket(fileno=descriptor)) for descriptor in descriptors
        ]
        yield Ports(api, rest[0] if rest else None)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int, setting: str) -> socket.socket:
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
            f"Stop what uses the port, or choose another by {setting}."
        ) from error
    listener.set_inheritable(False)
    return listener
