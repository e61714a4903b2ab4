"""The kinds of anchors. Each keeps what it was given, and takes nothing smaller after it."""

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import httpx

from inwit import durable
from inwit.errors import InwitError, SetupError
from inwit.labels import AnchorKind
from inwit.ledger.proofs import Signed

_WITHIN_S = 30.0
_GIT = ("-c", "user.name=inwit", "-c", "user.email=inwit@localhost", "-c", "commit.gpgsign=false")


@dataclass(frozen=True, slots=True)
class Held:
    """A larger checkpoint that a place holds: of this ledger, if another gateway was faster."""

    size: int
    note: str


class AnchorRefused(InwitError):
    """The place holds a checkpoint that this one contradicts: the ledger was changed.

    `held` is that checkpoint, where it is a larger one and can be read.
    """

    def __init__(self, detail: str, held: Held | None = None) -> None:
        super().__init__(detail)
        self.held = held


class AnchorFailed(InwitError):
    """The place did not take the checkpoint; it is tried again."""


class Anchor(Protocol):
    """One of them."""

    @property
    def kind(self) -> AnchorKind:
        """What sort of place it is."""
        ...

    async def put(self, signed: Signed) -> None:
        """Have the checkpoint kept there; it may be there already.

        Raises:
            AnchorRefused: the place holds another one of that size, or a larger one.
            AnchorFailed: it could not be kept.
        """
        ...


def anchor_of(address: str) -> Anchor:
    """The anchor that an address of INWIT_ANCHORS names.

    Raises:
        SetupError: it names none, or needs a package that is not installed.
    """
    parts = urlsplit(address)
    match parts.scheme:
        case "file":
            return FolderAnchor(Path(unquote(parts.path)))
        case "git":
            return GitAnchor(Path(unquote(parts.path)))
        case "https" | "http":
            return WebhookAnchor(address)
        case "s3" | "gs" | "az":
            return _object_anchor(address)
        case _:
            raise SetupError(
                f"INWIT_ANCHORS names {parts.scheme}:, and takes "
                "file:, git:, https:, s3:, gs: or az:."
            )


class FolderAnchor:
    """A folder to which files are only ever added, on another disk or machine."""

    kind = AnchorKind.FOLDER

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._busy = threading.Lock()

    async def put(self, signed: Signed) -> None:
        """Add `SIZE.checkpoint`."""
        await asyncio.to_thread(self._put, signed)

    def _put(self, signed: Signed) -> None:
        if not self._busy.acquire(blocking=False):  # a disk that hangs takes one thread, not all
            raise AnchorFailed("The anchor's folder has not answered since the last look.")
        try:
            self._add(signed)
        finally:
            self._busy.release()

    def _add(self, signed: Signed) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            names = sorted(each.name for each in self._folder.glob("*.checkpoint"))
            _check(names[-1] if names else "", signed, lambda name: self._read(name))
            if _file_of(signed) not in names:
                # Where another gateway is faster, the next look compares.
                durable.make(self._folder / _file_of(signed), signed.note, mode=0o644)
        except OSError as error:
            raise AnchorFailed(f"The anchor's folder cannot be used ({error.strerror}).") from error

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()


class ObjectAnchor:
    """A bucket: best with object lock, so that not even its owner can delete."""

    kind = AnchorKind.BUCKET

    def __init__(self, store: "Objects") -> None:
        self._store = store

    async def put(self, signed: Signed) -> None:
        """Add the object `SIZE.checkpoint`, if there is none of that name."""
        try:
            await self._put(signed)
        except AnchorRefused:
            raise
        except Exception as error:
            raise AnchorFailed(f"The bucket failed ({type(error).__name__}).") from error

    async def _put(self, signed: Signed) -> None:
        newest = await self._store.newest()
        there = await self._store.read(newest) if newest else ""
        _check(newest, signed, lambda _: there)
        if newest != _file_of(signed):
            await self._store.add(_file_of(signed), signed.note)


class Objects(Protocol):
    """What an anchor wants of object storage."""

    async def newest(self) -> str:
        """The last name; empty where there is none."""
        ...

    async def read(self, name: str) -> str:
        """The text under a name."""
        ...

    async def add(self, name: str, text: str) -> None:
        """Add it; nothing happens where the name is taken."""
        ...


class WebhookAnchor:
    """Somebody else's address, which keeps what it is posted (text/plain, the note as it is)."""

    kind = AnchorKind.WEBHOOK

    def __init__(self, url: str) -> None:
        self._url = url

    async def put(self, signed: Signed) -> None:
        """Post it; 409 says that it contradicts what is kept there."""
        try:
            async with httpx.AsyncClient(timeout=_WITHIN_S, trust_env=False) as http:
                answer = await http.post(
                    self._url,
                    content=signed.note.encode(),
                    headers={"content-type": "text/plain; charset=utf-8"},
                )
        except httpx.HTTPError as error:
            raise AnchorFailed(f"The webhook failed ({type(error).__name__}).") from error
        if answer.status_code == 409:
            raise AnchorRefused("The webhook holds a checkpoint that this one contradicts.")
        if not answer.is_success:
            raise AnchorFailed(f"The webhook answered {answer.status_code}.")


class GitAnchor:
    """A checkout: each checkpoint is a commit, pushed where there is a remote of the branch."""

    kind = AnchorKind.GIT

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = FolderAnchor(folder / "checkpoints")

    async def put(self, signed: Signed) -> None:
        """Commit `checkpoints/SIZE.checkpoint`, and push."""
        await self._file.put(signed)
        path = f"checkpoints/{_file_of(signed)}"
        if await self._git("status", "--porcelain", "--", path):
            await self._git("add", "--", path)
            await self._git(*_GIT, "commit", "--quiet", "-m", f"{signed.size} entries", "--", path)
        if await self._git("remote"):
            await self._git("push", "--quiet")

    async def _git(self, *words: str) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *("git", "-C", str(self._folder), *words),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            )
        except OSError as error:
            raise AnchorFailed("git is not there.") from error
        try:
            async with asyncio.timeout(_WITHIN_S):
                out, _ = await process.communicate()
        except TimeoutError as error:
            raise AnchorFailed("git did not end in time.") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise AnchorFailed(f"git {words[0]} failed ({process.returncode}).")
        return out.decode(errors="replace")


def _object_anchor(address: str) -> Anchor:
    try:
        from inwit.anchors.bucket import Bucket
    except ModuleNotFoundError as error:
        raise SetupError(
            "INWIT_ANCHORS names a bucket, which needs obstore: pip install 'inwit[objects]'."
        ) from error
    return ObjectAnchor(Bucket.at(address))


def _file_of(signed: Signed) -> str:
    """Names that sort as their sizes do."""
    return f"{signed.size:020}.checkpoint"


def _check(newest: str, signed: Signed, read: Callable[[str], str]) -> None:
    """Refuse what contradicts the newest name that is there."""
    if newest > _file_of(signed):
        raise AnchorRefused(
            f"The anchor holds {newest}, which is larger than this checkpoint of {signed.size}.",
            _held(newest, read),
        )
    if newest == _file_of(signed) and read(newest) != signed.note:
        raise AnchorRefused(f"The anchor holds another checkpoint of {signed.size} entries.")


def _held(name: str, read: Callable[[str], str]) -> Held | None:
    """What stands under a name; None where it is no checkpoint of ours, whatever it is."""
    size = name.removesuffix(".checkpoint")
    try:
        return Held(int(size), read(name)) if size.isdecimal() else None
    except UnicodeDecodeError:
        return None
