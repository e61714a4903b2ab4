"""How far an export has come, kept in its own place.

Each batch is claimed before it is written: an object that is made only where there is none names
the batch's last place. So whoever goes on, after a crash or at the same time, writes the same
batches under the same names, and no entry is in two of them. When its files are there, the claim
lists them; then the state, one small object, says how far everything is done. What is noted as
done is not written again, wherever its files have gone since. A part can be seen a moment before
the claim lists it: if it is taken away in that moment and the process ends there, it comes again.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from inwit.errors import SetupError
from inwit.ledger.exports.places import Place

FORMAT = "inwit-export/1"

_PART = re.compile(r"/part-(\d{12,})-(\d{12,})\.[a-z]+$")


@dataclass(frozen=True, slots=True)
class State:
    """`done` is the last place that is exported; `end` the one where it stops, if it does.

    `ledger` is the hash of the ledger's first entry, and `leaf` that of the one at `done` (empty in
    states of before). `last` is where the newest batch began, and `files` what it wrote.
    """

    ledger: str
    selection: Mapping[str, Any]
    done: int = 0
    end: int | None = None
    last: int = 0
    files: tuple[str, ...] = ()
    leaf: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch that ends at `last`. `files` is None until all of them are there; then `leaf` is the
    hash of its last entry (empty in claims of before).
    """

    last: int
    files: tuple[str, ...] | None = None
    leaf: str = ""


class Progress:
    """The state and the claims of one form in one place."""

    def __init__(self, place: Place, form: str) -> None:
        self._place = place
        self._form = form

    @property
    def state_name(self) -> str:
        """Where the state stands."""
        return f"inwit-export-{self._form}.json"

    def read(self) -> State | None:
        """The state, or None where nothing was exported here, or it was lost.

        Raises:
            SetupError: it is not a state.
        """
        found = self._place.get(self.state_name)
        if found is None:
            return None
        told = _object(found)
        try:
            if told["format"] != FORMAT or told["form"] != self._form:
                raise ValueError
            return State(
                ledger=str(told["ledger"]),
                selection=dict(told["selection"]),
                done=int(told["done"]),
                end=None if told["end"] is None else int(told["end"]),
                last=int(told["last"]),
                files=tuple(str(each) for each in told["files"]),
                leaf=str(told.get("leaf", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SetupError(
                f"{self.state_name} is not what an export wrote. Take it away: what is there "
                "already is found by its names."
            ) from error

    def write(self, state: State) -> None:
        """Keep the state, unless another exporter has come further meanwhile."""
        there = self.read()
        if there is not None and there.done > state.done:
            return
        told = {
            "format": FORMAT,
            "form": self._form,
            "ledger": state.ledger,
            "selection": dict(state.selection),
            "done": state.done,
            "end": state.end,
            "last": state.last,
            "files": list(state.files),
            "leaf": state.leaf,
        }
        self._place.put(self.state_name, _encoded(told))

    def claim_of(self, first: int) -> Claim | None:
        """Who has claimed the batch that begins there, if anybody."""
        found = self._place.get(self._claim_name(first))
        told = _object(found or b"")
        last, files = told.get("last"), told.get("files")
        if not isinstance(last, int) or last < first:
            return None
        if not isinstance(files, list):
            return Claim(last)
        listed = tuple(str(each) for each in cast("list[Any]", files))
        return Claim(last, listed, str(told.get("leaf", "")))

    def claim(self, first: int, last: int) -> Claim:
        """Claim a batch; or give the claim that stands there already."""
        name = self._claim_name(first)
        if self._place.create(name, _encoded({"last": last})):
            return Claim(last)
        found = self.claim_of(first)
        if found is None:  # torn while it was made
            self._place.put(name, _encoded({"last": last}))
            return Claim(last)
        return found

    def complete(self, first: int, last: int, files: Iterable[str], leaf: str) -> None:
        """Say of a claimed batch that its files are there."""
        told = {"last": last, "files": list(files), "leaf": leaf}
        self._place.put(self._claim_name(first), _encoded(told))

    def names(self) -> set[str]:
        """Every part of this form in the place."""
        return {name for name in self._place.names(self._form) if _PART.search(name)}

    def _claim_name(self, first: int) -> str:
        return f"inwit-export-{self._form}/{first:012}.json"


def ranges(names: Iterable[str]) -> dict[int, int]:
    """The batches that the names of parts tell: their last places by their first.

    Raises:
        SetupError: two of them overlap, which no export does.
    """
    found: dict[int, int] = {}
    for name in names:
        match = _PART.search(name)
        if match is None:
            continue
        first, last = int(match[1]), int(match[2])
        if found.setdefault(first, last) != last or last < first:
            raise _overlap(first)
    before = 0
    for first in sorted(found):
        if first <= before:
            raise _overlap(first)
        before = found[first]
    return found


def _overlap(first: int) -> SetupError:
    return SetupError(
        f"Two parts at the destination both have the entry {first}. They are not of one export: "
        "export to another place, or take those that do not belong there away."
    )


def _encoded(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def _object(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except ValueError:
        return {}
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}
