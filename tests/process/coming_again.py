"""Asks gateways that share one SQLite file as a caller does who comes again."""

from collections.abc import Awaitable, Callable

import httpx

_NOT_RECORDED = "urn:inwit:problem:not-recorded"


async def answered(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """What comes of it once it is recorded.

    On a disk that takes long to sync, gateways on one file can keep it from one another for longer
    than they wait (5 s). Then nothing was done, and the caller is told so.
    """
    while True:
        answer = await ask()
        if answer.status_code != 503 or answer.json()["type"] != _NOT_RECORDED:
            return answer
