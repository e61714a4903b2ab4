"""A child process: started with its log in a file, stopped in order."""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

log = structlog.get_logger()

_STOP_S = 10.0


@asynccontextmanager
async def child(
    command: Sequence[str],
    *,
    log_file: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run `command` while the block runs.

    Standard output is a pipe, standard error goes to `log_file`.

    The child has a session of its own, so that Ctrl-C in the terminal reaches only Inwit, which
    then stops its children after it has finished with them.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    watch = asyncio.create_task(_watch(process, log_file))
    try:
        if process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.write_eof()
        yield process
    finally:
        watch.cancel()
        await _stop(process)


async def _watch(process: asyncio.subprocess.Process, file: Path) -> None:
    """Say when a child ends by itself; its dependency is then down, and `/readyz` degraded."""
    code = await process.wait()
    log.error("child_ended", pid=process.pid, code=code, its_log=str(file))


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
