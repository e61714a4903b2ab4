"""What was answered before, by content: files of JSON lines that only grow.

A key names all that an answer follows from, so that nothing kept can be wrong later; deleting the
folder costs time and nothing else. What models wrote stands in it too: it is as private as a copy
of the sets that were asked about.
"""

import fcntl
import hashlib
import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from inwit.errors import SetupError


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for these facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


class Cache:
    """One file of answers: by key, the last one written counts."""

    def __init__(self, known: dict[str, dict[str, Any]], out: TextIO) -> None:
        self._known = known
        self._out = out

    def get(self, key: str) -> dict[str, Any] | None:
        """What was answered, if anything."""
        return self._known.get(key)

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep an answer; its line is in the file when this returns."""
        self._known[key] = value
        self._out.write(json.dumps({"key": key, **value}, sort_keys=True) + "\n")
        self._out.flush()


@contextmanager
def open_cache(folder: Path, name: str, facts: Mapping[str, Any]) -> Generator[Cache]:
    """The answers of whatever these facts are about; one process at a time.

    Raises:
        SetupError: the file cannot be used, or another run is writing it.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80]
    file = folder / f"{stem}-{fingerprint(facts)}.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        out = file.open("a+", encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. The cache must be writable.") from error
    with out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SetupError(f"Another run is asking the same judge ({file.name}).") from error
        known = _read(out)
        if out.tell() == 0:
            out.write(json.dumps({"facts": dict(facts)}, sort_keys=True) + "\n")
        yield Cache(known, out)


def _read(out: TextIO) -> dict[str, dict[str, Any]]:
    """All whole lines; what a run that was killed left unfinished is cut off."""
    out.seek(0)
    text = out.read()
    whole = text[: text.rfind("\n") + 1]
    if len(whole) < len(text):
        out.truncate(len(whole.encode()))
    out.seek(0, 2)
    known: dict[str, dict[str, Any]] = {}
    for line in whole.splitlines()[1:]:
        value = json.loads(line)
        known[value.pop("key")] = value
    return known
