"""Folders and object storage keep the same promises."""

import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from inwit.errors import SetupError
from inwit.ledger.database import Database
from inwit.ledger.exports.forms import Form
from inwit.ledger.exports.places import Folder, Objects, Place, PlaceError, open_place
from tests.ledger.exports.ledgers import export, grow
from tests.s3 import BUCKET
from tests.s3 import s3 as s3


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.process)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    match request.param:
        case "folder":
            return Folder(tmp_path / "place")
        case "memory":
            pytest.importorskip("obstore")
            store: Any = import_module("obstore.store").MemoryStore()
            return Objects(store, "memory:///")
        case _:
            found: Mapping[str, str] = request.getfixturevalue("s3")
            given = {name.lower(): value for name, value in found.items()}
            given["allow_http"] = given.pop("aws_allow_http")
            return open_place(f"s3://{BUCKET}/{uuid.uuid4().hex}", given)


def test_what_is_put_is_found(place: Place) -> None:
    assert place.get("a/x.json") is None
    assert place.names("a") == []
    place.put("a/x.json", b"1")
    place.put("a/x.json", b"2")
    place.put("b/day=1/tenant=%41/y", b"3")
    with place.scratch() as scratch:
        file = scratch / "file"
        file.write_bytes(b"4" * 6_000_000)
        place.put_file("a/deep/z", file)

    assert place.get("a/x.json") == b"2"
    assert place.get("b/day=1/tenant=%41/y") == b"3"
    assert len(place.get("a/deep/z") or b"") == 6_000_000
    assert sorted(place.names("a")) == ["a/deep/z", "a/x.json"]


def test_only_the_first_creates(place: Place) -> None:
    assert place.create("c/1.json", b"first")
    assert not place.create("c/1.json", b"second")
    assert place.get("c/1.json") == b"first"


@pytest.mark.parametrize("form", list(Form))
async def test_every_form_goes_to_every_place(database: Database, place: Place, form: Form) -> None:
    pytest.importorskip("pyarrow")
    await grow(database, 5)

    await export(database, place, form, rows=2)
    await grow(database, 2)
    await export(database, place, form, rows=2)

    parts = [name for name in place.names(form.value) if "/part-" in name]
    assert len(parts) == (0 if form is Form.DSA else 4)
    if form is Form.PARQUET:
        views = place.get("parquet/views.sql") or b""
        assert f"'{place.root}{'parquet/' if place.root else ''}day=*".encode() in views


def test_a_file_that_cannot_be_written_is_the_place_that_fails(place: Place) -> None:
    with pytest.raises(PlaceError, match="not whole yet"), place.scratch() as scratch:
        (scratch / "no" / "such").write_bytes(b"1")
    with pytest.raises(ZeroDivisionError), place.scratch():
        raise ZeroDivisionError


def test_a_folder_is_tidied_of_what_was_killed_long_ago(tmp_path: Path) -> None:
    old, new = tmp_path / ".inwit-old", tmp_path / ".inwit-new"
    for folder in (old, new):
        folder.mkdir()
    past = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(old, (past, past))

    Folder(tmp_path).put("x", b"1")

    assert sorted(each.name for each in tmp_path.iterdir()) == [".inwit-new", "x"]


def test_without_links_the_second_is_still_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(_source: Path, _target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_link)
    place = Folder(tmp_path)
    assert place.create("x", b"1")
    assert not place.create("x", b"2")
    assert place.get("x") == b"1"


def test_addresses(tmp_path: Path) -> None:
    for to in (str(tmp_path / "a b"), (tmp_path / "a b").as_uri()):
        open_place(to, {}).put("x", b"1")
    assert (tmp_path / "a b" / "x").read_bytes() == b"1"
    pytest.importorskip("obstore")
    unknown = ("s3://bucket", {"no_such": "1"}), ("s3://bucket", {"aws_allow_http": "true"})
    for to, config in (("nope://x", {}), *unknown):
        with pytest.raises(SetupError, match="cannot be opened"):
            open_place(to, config)
    assert open_place("s3://name:word@bucket/a/?b=c", {}).root == "s3://bucket/a/"


def test_a_place_that_fails_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlaceError):
        Folder(tmp_path / "file").put("x", b"1")
    pytest.importorskip("obstore")
    store: Any = import_module("obstore.store").LocalStore(tmp_path)
    with pytest.raises(PlaceError):
        Objects(store, "").put("file/x", b"1")
