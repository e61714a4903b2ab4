"""Where an export goes: a folder, or object storage through obstore (the extra `export`)."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from inwit import durable
from inwit.errors import SetupError

# obstore takes these apart from the store's own settings.
_OF_CLIENT = frozenset(
    {
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "proxy_ca_certificate",
        "proxy_excludes",
        "proxy_url",
        "timeout",
        "user_agent",
    }
)
_SCRATCH = ".inwit-"
_FILES = "files that are not whole yet"
_LEFT_FOR = timedelta(days=1)


class PlaceError(SetupError):
    """The place of an export cannot be read or written."""


class Place(Protocol):
    """Named pieces of bytes. What is put is there whole, or not at all; names have slashes."""

    @property
    def root(self) -> str:
        """What names are read under from elsewhere, with its last slash; empty for a folder."""
        ...

    def get(self, name: str) -> bytes | None:
        """What stands under a name, or None."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Write it, over what is there."""
        ...

    def put_file(self, name: str, file: Path) -> None:
        """Write a file's bytes, over what is there. The file may be gone afterwards."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write it where there is nothing; False where there is something."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Every name in the folder `prefix`, and in folders in it."""
        ...

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        """A folder of this machine for files that are not whole yet; what fails in it, fails here.

        Raises:
            PlaceError: no such folder can be made, or a file in it not written.
        """
        ...


def open_place(to: str, config: Mapping[str, str]) -> Place:
    """The place that an address names: a path, `file://…`, or what obstore knows (`s3://…`).

    Raises:
        SetupError: it cannot be opened, or needs what is not installed.
    """
    scheme = urlsplit(to).scheme
    if scheme == "file":
        return Folder(Path(unquote(urlsplit(to).path)))
    if "://" not in to:
        return Folder(Path(to))
    settings = {key: value for key, value in config.items() if key not in _OF_CLIENT}
    client = {key: value for key, value in config.items() if key in _OF_CLIENT}
    open_store = _obstore("obstore.store").from_url
    try:
        store = open_store(to, config=settings, client_options=client)
    except (_obstore("obstore.exceptions").BaseError, ValueError) as error:
        raise SetupError(f"{plain(to)} cannot be opened: {_first_line(error)}") from error
    except BaseException as error:
        # A setting that obstore knows of clients, named as one of stores, makes it panic.
        if type(error).__name__ != "PanicException":
            raise
        raise SetupError(f"{plain(to)} cannot be opened: a setting is unknown.") from error
    return Objects(store, f"{plain(to).rstrip('/')}/")


def _obstore(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise SetupError(
            "Object storage needs what is not installed: pip install 'inwit[export]'."
        ) from error


class Folder:
    """A folder of this machine."""

    root = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """See `Place.get`."""
        with _telling(name):
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, name: str, content: bytes) -> None:
        """See `Place.put`."""
        with _telling(name), self.scratch() as scratch:
            file = scratch / "content"
            file.write_bytes(content)
            self.put_file(name, file)

    def put_file(self, name: str, file: Path) -> None:
        """See `Place.put_file`. It must lie in this place's scratch folder."""
        with _telling(name):
            target = self._target(name)
            durable.sync(file)
            file.replace(target)
            durable.sync(target.parent)

    def create(self, name: str, content: bytes) -> bool:
        """See `Place.create`."""
        with _telling(name), self.scratch() as scratch:
            target = self._target(name)
            file = scratch / "content"
            file.write_bytes(content)
            durable.sync(file)
            try:
                _link(file, target)
            except FileExistsError:
                return False
            durable.sync(target.parent)
            return True

    def names(self, prefix: str) -> list[str]:
        """See `Place.names`."""
        with _telling(prefix):
            found = (self._folder / prefix).rglob("*")
            return [each.relative_to(self._folder).as_posix() for each in found if each.is_file()]

    @contextmanager
    def scratch(self) -> Generator[Path]:
        """See `Place.scratch`."""
        with _telling(""):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._tidy()
            made = tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self._folder)
        with _telling(_FILES), made as folder:
            yield Path(folder)

    def _tidy(self) -> None:
        """Remove what runs that were killed have left, once nobody can be at work in it."""
        for left in self._folder.glob(f"{_SCRATCH}*"):
            age = datetime.now(UTC) - datetime.fromtimestamp(left.stat().st_mtime, UTC)
            if age > _LEFT_FOR:
                shutil.rmtree(left, ignore_errors=True)

    def _target(self, name: str) -> Path:
        """Where a name stands, in folders that a loss of power does not take away again."""
        target = self._folder / name
        new = [each for each in target.parents if not each.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in new:
            durable.sync(folder.parent)
        return target


class Objects:
    """A bucket, or a part of one. Credentials come from the environment, as obstore takes them."""

    def __init__(self, store: Any, root: str) -> None:
        self._store = store
        self._root = root
        self._obstore = _obstore("obstore")

    @property
    def root(self) -> str:
        """See `Place.root`."""
        return self._root

    def get(self, name: str) -> bytes | None:
        """See `Place.get`."""
        with _telling(name):
            try:
                return bytes(self._obstore.get(self._store, name).bytes())
            except FileNotFoundError:
                return None

    def put(self, name: str, content: bytes) -> None:
        """See `Place.put`."""
        with _telling(name):
            self._obstore.put(self._store, name, content)

    def put_file(self, name: str, file: Path) -> None:
        """See `Place.put_file`."""
        with _telling(name):
            self._obstore.put(self._store, name, file)

    def create(self, name: str, content: bytes) -> bool:
        """See `Place.create`."""
        with _telling(name):
            try:
                self._obstore.put(self._store, name, content, mode="create")
            except self._obstore.exceptions.AlreadyExistsError:
                return False
            return True

    def names(self, prefix: str) -> list[str]:
        """See `Place.names`."""
        with _telling(prefix):
            pages = self._obstore.list(self._store, prefix, chunk_size=1000)
            return [each["path"] for page in pages for each in page]

    @contextmanager
    def scratch(self) -> Generator[Path]:
        """See `Place.scratch`."""
        with _telling(_FILES), tempfile.TemporaryDirectory(prefix=_SCRATCH) as folder:
            yield Path(folder)


@contextmanager
def _telling(name: str) -> Generator[None]:
    """Foreign errors end here."""
    try:
        yield
    except PlaceError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith("obstore"):
            raise
        raise PlaceError(f"The export's place fails at {name!r}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def plain(to: str) -> str:
    """An address without a name, a password or settings in it."""
    parts = urlsplit(to)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _link(file: Path, target: Path) -> None:
    """Give a file its name; unlike a rename, it never replaces what is there."""
    try:
        os.link(file, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: whoever comes second is still refused
        with target.open("xb") as out:
            out.write(file.read_bytes())
