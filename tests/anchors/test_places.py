"""Every kind of anchor keeps what it was given, and refuses what contradicts it."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from obstore.store import MemoryStore, ObjectStore, from_url

from inwit.anchors.bucket import Bucket
from inwit.anchors.places import (
    Anchor,
    AnchorFailed,
    AnchorRefused,
    FolderAnchor,
    GitAnchor,
    ObjectAnchor,
    WebhookAnchor,
    anchor_of,
)
from inwit.errors import SetupError
from inwit.ledger.notes import Checkpoint, new_key, signed_note
from inwit.ledger.proofs import Signed
from tests.s3 import BUCKET
from tests.s3 import s3 as s3

KEY = new_key("log")
Kept = Callable[[], Awaitable[list[str]]]


def signed(size: int, root: int = 0) -> Signed:
    """A checkpoint of so many entries."""
    note = signed_note(Checkpoint("log", size, bytes([root]) * 32), [KEY])
    return Signed(size, note, datetime.now(UTC))


class Auditor:
    """Somebody else's service, that keeps what it is posted."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.status = 204

    async def take(self, request: web.Request) -> web.Response:
        note = await request.text()
        size = [int(each.split("\n")[1]) for each in [*self.kept, note]]
        if self.kept and (size[-1] < size[-2] or (size[-1] == size[-2] and note != self.kept[-1])):
            return web.Response(status=409)
        if self.status == 204 and note not in self.kept:
            self.kept.append(note)
        return web.Response(status=self.status)


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["/usr/bin/env", "git", "-C", str(folder), *words],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _texts(folder: Path) -> list[str]:
    return [each.read_text() for each in sorted(folder.glob("*.checkpoint"))]


def _reader(store: ObjectStore) -> Kept:
    async def in_bucket() -> list[str]:
        names = sorted(each["path"] for page in store.list(return_arrow=False) for each in page)  # pyright: ignore[reportUnknownMemberType]  # its other overload has no types
        return [await Bucket(store).read(name) for name in names]

    return in_bucket


@pytest.fixture(
    params=["folder", "git", "memory", "webhook", pytest.param("s3", marks=pytest.mark.process)]
)
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[tuple[Anchor, Kept]]:
    """An empty anchor, and what it holds."""
    if request.param == "folder":

        async def in_folder() -> list[str]:
            return await asyncio.to_thread(_texts, tmp_path / "anchor")

        yield FolderAnchor(tmp_path / "anchor"), in_folder
    elif request.param == "git":
        remote, checkout = tmp_path / "remote.git", tmp_path / "checkout"
        _git(tmp_path, "init", "--quiet", "--bare", str(remote))
        _git(tmp_path, "clone", "--quiet", str(remote), str(checkout))
        _git(checkout, "config", "push.autoSetupRemote", "true")

        async def pushed() -> list[str]:
            names = await asyncio.to_thread(
                _git, remote, "ls-tree", "-r", "--name-only", "HEAD", "checkpoints"
            )
            return [
                await asyncio.to_thread(_git, remote, "show", f"HEAD:{name}")
                for name in names.split()
            ]

        yield GitAnchor(checkout), pushed
    elif request.param == "memory":
        store = MemoryStore()
        yield ObjectAnchor(Bucket(store)), _reader(store)
    elif request.param == "s3":
        for name, value in request.getfixturevalue("s3").items():
            monkeypatch.setenv(name, value)
        address = f"s3://{BUCKET}/{uuid.uuid4().hex}"
        yield anchor_of(address), _reader(from_url(address))
    else:
        auditor = Auditor()
        app = web.Application()
        app.router.add_post("/checkpoints", auditor.take)
        async with TestServer(app) as server:

            async def posted() -> list[str]:
                return auditor.kept

            yield WebhookAnchor(str(server.make_url("/checkpoints"))), posted


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.process)])
def s3_or_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An empty place for objects."""
    if request.param == "memory":
        return MemoryStore()
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    return from_url(f"s3://{BUCKET}/{uuid.uuid4().hex}")


async def test_it_keeps_each_checkpoint_once(place: tuple[Anchor, Kept]) -> None:
    anchor, kept = place
    one, two = signed(3), signed(900)

    for each in (one, one, two, two):
        await anchor.put(each)

    assert await kept() == [one.note, two.note]


async def test_it_refuses_a_log_that_has_shrunk_or_changed(place: tuple[Anchor, Kept]) -> None:
    anchor, kept = place
    await anchor.put(signed(900))

    for other in (signed(899), signed(900, root=1)):
        with pytest.raises(AnchorRefused):
            await anchor.put(other)
    assert len(await kept()) == 1


async def test_a_bucket_lists_what_came_since_its_last_look(s3_or_memory: ObjectStore) -> None:
    """And all that is there, where what it had seen last was taken away."""
    store = s3_or_memory
    anchor, other = ObjectAnchor(Bucket(store)), ObjectAnchor(Bucket(store))
    for size in (3, 900):
        await anchor.put(signed(size))
    await other.put(signed(1000))
    with pytest.raises(AnchorRefused):
        await anchor.put(signed(999))
    await store.delete_async(f"{1000:020}.checkpoint")

    with pytest.raises(AnchorFailed):
        await anchor.put(signed(1001))
    await anchor.put(signed(1001))

    assert await Bucket(store).newest() == f"{1001:020}.checkpoint"


async def test_what_cannot_be_reached_is_told_without_a_bang(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    unreachable = (
        FolderAnchor(tmp_path / "file" / "folder"),
        GitAnchor(tmp_path),  # no checkout
        WebhookAnchor("http://127.0.0.1:9/"),
    )
    for anchor in unreachable:
        with pytest.raises(AnchorFailed):
            await anchor.put(signed(1))


async def test_a_webhook_that_does_not_take_it_has_not_kept_it() -> None:
    auditor = Auditor()
    auditor.status = 500
    app = web.Application()
    app.router.add_post("/", auditor.take)
    async with TestServer(app) as server:
        with pytest.raises(AnchorFailed, match="answered 500"):
            await WebhookAnchor(str(server.make_url("/"))).put(signed(1))


async def test_two_gateways_may_anchor_at_once(tmp_path: Path) -> None:
    one = signed(5)

    await asyncio.gather(*(FolderAnchor(tmp_path).put(one) for _ in range(8)))

    assert await asyncio.to_thread(os.listdir, tmp_path) == [f"{5:020}.checkpoint"]


def test_addresses_name_kinds() -> None:
    assert isinstance(anchor_of("file:///srv/worm/inwit"), FolderAnchor)
    assert isinstance(anchor_of("git:/srv/checkpoints"), GitAnchor)
    assert isinstance(anchor_of("https://auditor.example.com/inwit"), WebhookAnchor)
    assert isinstance(anchor_of("s3://bucket/prefix"), ObjectAnchor)
    with pytest.raises(SetupError, match="a bucket's address is not taken"):
        anchor_of("gs://")
    with pytest.raises(SetupError, match="names ftp:"):
        anchor_of("ftp://somewhere")
