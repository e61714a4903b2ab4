"""A bundle that was made to break the verifier: told apart, never a traceback, never believed."""

import json
import shutil
from collections.abc import Generator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from inwit.ledger import verify
from tests.ledger.signed_world import SignedWorld, entries_in, put_entries
from tests.ledger.test_mutations import told

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "bad UTF-8": b'{"sequence":1,"type":"\xff\xfe"}',
    "deep lists": b"[" * 60_000,
    "deep objects": b'{"a":' * 12_000 + b"1" + b"}" * 12_000,
    "deep facts": b'{"time":' + b"[" * 900 + b"]" * 900 + b',"type":"accepted","sequence":1}',
    "a huge number": b'{"sequence":' + b"9" * 60_000 + b"}",
    "a number beyond all": b'{"sequence":1e999,"type":1e999}',
    "no number": b'{"sequence":NaN}',
    "a list": b"[1,2,3]",
    "a string": b'"entry"',
    "true for 1": b'{"sequence":true,"previous":true,"schema":true,"type":true}',
    "wrong types": b'{"sequence":[],"previous":{},"schema":{},"type":[],"response":{},"facts":[]}',
    "keys that are no keys": b'{"schema":5,"type":"signing_keys","facts":{"vkeys":[1,{}]}}',
    "a pruning of everything": b'{"schema":5,"type":"pruned","facts":{"count":1e308,"first":-1}}',
    "a surrogate": b'{"schema":5,"type":"accepted","response":"\\ud800","time":"\\ud800"}',
    "a terminal escape": b'{"schema":5,"type":"accepted","response":"\\u001b[2J","sequence":1}',
    "a very long line": b'{"a":"' + b"x" * 200_000 + b'"}',
    "null bytes": b"\x00" * 100,
    "a pruned line that is none": b'{"pruned":"zz"}',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Path, str]]:
    world = SignedWorld()
    world.live()
    yield world.bundle(tmp_path_factory.mktemp("hostile") / "bundle"), world.vkey
    world.close()


@pytest.fixture
def copy(folder: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder[0], tmp_path / "copy"))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_line_is_tampering(copy: Path, folder: tuple[Path, str], kind: str) -> None:
    lines = entries_in(copy)
    for at in (0, len(lines) // 2, len(lines)):
        put_entries(copy, [*lines[:at], HOSTILE[kind], *lines[at:]])

        code, words = told(copy, "--key", folder[1])

        assert code == verify.TAMPERED
        assert "\x1b" not in words
        words.encode("ascii")


@pytest.mark.parametrize("name", ["checkpoints.jsonl", "openings.jsonl", "checkpoint"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_tampering(
    copy: Path, folder: tuple[Path, str], name: str, kind: str
) -> None:
    (copy / name).write_bytes(HOSTILE[kind] + b"\n")

    assert told(copy, "--key", folder[1])[0] == verify.TAMPERED


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_manifest_is_no_bundle(copy: Path, folder: tuple[Path, str], kind: str) -> None:
    (copy / "manifest.json").write_bytes(HOSTILE[kind])
    assert told(copy, "--key", folder[1])[0] == verify.MISUSE
    (copy / "manifest.json").unlink()
    assert told(copy, "--key", folder[1])[0] == verify.MISUSE


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_list_of_anchors_is_told(copy: Path, folder: tuple[Path, str], kind: str) -> None:
    (copy / "anchored.json").write_bytes(HOSTILE[kind])
    assert told(copy, "--key", folder[1])[0] == verify.TAMPERED


def test_values_of_any_type_anywhere_are_survived(copy: Path, folder: tuple[Path, str]) -> None:
    """Values of entries and of their parts, by others; the hash tells it each time."""
    lines, draw = entries_in(copy), Random(4)  # noqa: S311  # the same in every run
    odd: list[Any] = [None, True, -1, 1.5, "", "x" * 300, [], {}, [{}], {"a": []}, 2**80]
    for _ in range(60):
        at = draw.choice([at for at, line in enumerate(lines) if b'"pruned":"' not in line])
        facts: dict[str, Any] = json.loads(lines[at])
        name = draw.choice(list(facts))
        if isinstance(facts[name], dict) and facts[name] and draw.random() < 0.8:
            facts[name][draw.choice(list(facts[name]))] = draw.choice(odd)
        else:
            facts[name] = draw.choice(odd)
        changed = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
        put_entries(copy, [*lines[:at], changed, *lines[at + 1 :]])
        code = told(copy, "--key", folder[1])[0]
        assert code == (verify.TAMPERED if changed != lines[at] else verify.INCOMPLETE)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--key", "nonsense"],
        ["--key", "log.example/inwit+00000000+AAAA"],
        ["--nothing"],
        ["--key"],
        ["--key", "{vkey}", "--previous", "/nonexistent"],
        ["--key", "{vkey}", "--previous", "{folder}/manifest.json"],
    ],
)
def test_misuse_is_told(folder: tuple[Path, str], arguments: list[str]) -> None:
    filled = [each.format(vkey=folder[1], folder=folder[0]) for each in arguments]

    assert told(folder[0], *filled)[0] == verify.MISUSE


def test_a_folder_that_is_no_bundle_is_misuse(tmp_path: Path, folder: tuple[Path, str]) -> None:
    assert told(tmp_path, "--key", folder[1])[0] == verify.MISUSE
    assert told(tmp_path / "none", "--key", folder[1])[0] == verify.MISUSE
