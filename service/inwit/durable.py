"""Files that are whole and on the disk or not there, whatever dies meanwhile and whoever reads."""

import errno
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

OWNER_ALONE = 0o600
_NOT_FOR_FOLDERS = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)


def make(file: Path, text: str, mode: int = OWNER_ALONE) -> bool:
    """Make a new file; False, and nothing done, where there is one of that name.

    Of two that make it at once one does.

    Raises:
        OSError: it cannot be written.
    """
    with _beside(file, text, mode) as ready:
        try:
            os.link(ready, file)
        except FileExistsError:
            return False
        return True


def replace(file: Path, text: str, mode: int = OWNER_ALONE) -> None:
    """Put this in the place of what is there, if anything.

    Raises:
        OSError: it cannot be written, or is perhaps not on the disk.
    """
    with _beside(file, text, mode) as ready:
        ready.replace(file)


@contextmanager
def _beside(file: Path, text: str, mode: int) -> Generator[Path]:
    """A durable file in the same folder; what its name became is durable too after the block."""
    ready = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(ready, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        yield ready
        sync(file.parent)
    finally:
        ready.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file or a folder on the disk; a new name is there when its folder is.

    Raises:
        OSError: it cannot be.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems, mostly of networks, know no such thing of a folder.
        if error.errno not in _NOT_FOR_FOLDERS or not path.is_dir():
            raise
    finally:
        os.close(handle)
