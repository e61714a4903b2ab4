"""Finds local copies of the recipes' sets and reads them; a set that is missing is named."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from inwit.errors import SetupError
from inwit.evaluation.datasets.own import own_digest, read_own
from inwit.evaluation.datasets.recipes import OWN, RECIPES, Distribution, Recipe
from inwit.evaluation.samples import Sample, read_samples
from inwit.types import Message

FILE = "samples.jsonl"
_HELD_BACK = 10  # one prompt of a training part in so many


@dataclass(frozen=True)
class Dataset:
    """A set that is here: its labelled responses, and how many rows have none."""

    recipe: Recipe
    digest: str
    samples: tuple[Sample, ...]
    unlabelled: int

    @property
    def test(self) -> tuple[Sample, ...]:
        """What is measured on."""
        return self._part(self.recipe.test)

    @property
    def train(self) -> tuple[Sample, ...]:
        """What may be fitted on; nothing where the set is foreign."""
        return self._part(self.recipe.train) if self.recipe.train else ()

    @property
    def learnt(self) -> tuple[Sample, ...]:
        """What an adapter may learn: the training part without what is held back."""
        return tuple(each for each in self.train if each.group not in self._held_groups)

    @property
    def held_back(self) -> tuple[Sample, ...]:
        """A tenth of the training part's prompts, the same ones always, that nothing learns.

        To stop a training by, and to calibrate on: risks of what was learnt are too sure.
        """
        return tuple(each for each in self.train if each.group in self._held_groups)

    @cached_property
    def _held_groups(self) -> frozenset[int]:
        keys: dict[int, str] = {}
        for each in self.train:
            keys[each.group] = min(each.digest, keys.get(each.group, each.digest))
        return frozenset(
            group
            for group, key in keys.items()
            if int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % _HELD_BACK == 0
        )

    def _part(self, words: tuple[str, ...]) -> tuple[Sample, ...]:
        return tuple(each for each in self.samples if not words or each.split in words)


@dataclass(frozen=True, slots=True)
class Found:
    """The sets asked for: those that are here, and those that are not."""

    datasets: tuple[Dataset, ...]
    missing: tuple[Recipe, ...]


def find(folder: Path | None, names: Iterable[str] = ()) -> Found:
    """Read the named sets from `folder`, or all that have labels.

    Raises:
        SetupError: there is no such set, or a copy cannot be read.
    """
    datasets: list[Dataset] = []
    missing: list[Recipe] = []
    for recipe in _wanted(tuple(names)):
        found = read(recipe, folder)
        if found is None:
            missing.append(recipe)
        else:
            datasets.append(found)
    return Found(tuple(datasets), tuple(missing))


def read(recipe: Recipe, folder: Path | None) -> Dataset | None:
    """One set; None where there is no copy of it.

    Raises:
        SetupError: the copy cannot be read.
    """
    if recipe is OWN:
        return Dataset(recipe, own_digest(), read_own(), 0)
    file = _file(recipe, folder)
    if file is None:
        return None
    read_here = read_samples(file)
    return Dataset(recipe, _sha256(file), read_here.samples, read_here.skipped)


def read_prompts(recipe: Recipe, folder: Path | None) -> tuple[tuple[Message, ...], ...]:
    """The conversations of a set, each once, in its order; nothing where there is no copy.

    Raises:
        SetupError: the copy cannot be read.
    """
    file = _file(recipe, folder)
    if file is None:
        return ()
    found: dict[tuple[Message, ...], None] = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            system, prompt = row.get("system"), row["prompt"]
        except (ValueError, KeyError, AttributeError):
            raise SetupError(f"{file}:{number}: not a row with a `prompt`.") from None
        if isinstance(prompt, str) and prompt:
            turns = [Message("system", system)] if isinstance(system, str) and system else []
            found[(*turns, Message("user", prompt))] = None
    return tuple(found)


def held(recipe: Recipe, folder: Path | None) -> str | None:
    """What there is of a set, in words; None where there is no copy.

    Raises:
        SetupError: the copy cannot be read.
    """
    if recipe.distribution is Distribution.PROMPTS:
        prompts = len(read_prompts(recipe, folder))
        return f"{prompts} prompts" if prompts else None
    found = read(recipe, folder)
    return f"{len(found.samples)} labelled" if found else None


def _wanted(names: tuple[str, ...]) -> tuple[Recipe, ...]:
    known = {recipe.name: recipe for recipe in RECIPES}
    unknown = [name for name in names if name not in known]
    if unknown:
        there = ", ".join(known)
        raise SetupError(f"There is no set {unknown[0]!r}. There are: {there}.")
    if names:
        return tuple(known[name] for name in names)
    return tuple(each for each in RECIPES if each.distribution is not Distribution.PROMPTS)


def _file(recipe: Recipe, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    file = folder / recipe.name / FILE
    return file if file.is_file() else None


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
