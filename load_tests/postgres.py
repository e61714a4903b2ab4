"""A PostgreSQL server of a load run's own, on loopback, with its data in a temporary folder."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from load_tests.gateway_process import free_port


def programs() -> Path | None:
    """The folder of Debian's newest PostgreSQL; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def postgresql(folder: Path) -> Generator[str]:
    """Its address. It syncs each commit to the disk, as it does by itself."""
    with TemporaryDirectory(prefix="inwit-load-postgres-") as made:
        home, port = Path(made), free_port()
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
        data = home / "data"
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home}"
        _run(folder / "initdb", "-D", data, "-U", "inwit", "-A", "trust", "--no-sync")
        control = (folder / "pg_ctl", "-D", data, "-w")
        _run(*control, "-l", home / "log", "-o", options, "start")
        try:
            yield f"postgresql://inwit@127.0.0.1:{port}/postgres"
        finally:
            _run(*control, "-m", "immediate", "stop")


def _run(*command: str | Path) -> None:
    """PostgreSQL refuses to run as root; there it runs as the user that its package made."""
    owner = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
    subprocess.run(command, check=True, capture_output=True, user=owner, cwd="/", timeout=60)
