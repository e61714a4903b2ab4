"""Files are whole or not there."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from inwit import durable


def test_of_many_that_make_a_file_at_once_one_does(tmp_path: Path) -> None:
    file = tmp_path / "key"
    texts = [f"{number}\n" * 1000 for number in range(16)]
    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(partial(durable.make, file), texts))

    assert made.count(True) == 1
    assert file.read_text() == texts[made.index(True)]
    assert os.listdir(tmp_path) == ["key"]
    assert file.stat().st_mode & 0o777 == durable.OWNER_ALONE


def test_what_is_there_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "key"
    durable.replace(file, "one")
    durable.replace(file, "two")

    assert file.read_text() == "two"
    assert os.listdir(tmp_path) == ["key"]


def test_a_file_system_that_syncs_no_folders_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def of_files_alone(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    assert durable.make(tmp_path / "key", "one")
    durable.replace(tmp_path / "key", "two")

    assert (tmp_path / "key").read_text() == "two"


def test_where_writing_fails_all_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    durable.replace(file, "one")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.replace(file, "two")
    with pytest.raises(OSError, match="No space"):
        durable.make(tmp_path / "other", "two")

    assert file.read_text() == "one"
    assert os.listdir(tmp_path) == ["key"]
