"""How much a run asks: the sizes of its draws, and what was drawn of each set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from inwit.evaluation.datasets.reading import Dataset
from inwit.evaluation.samples import Sample, draw
from inwit.evaluation.statistics.observations import Integers

_LARGEST_SET = 10_000_000


@dataclass(frozen=True, slots=True)
class Suite:
    """Sizes, in samples over all seeds; half of each draw is unsafe as far as there is enough.

    `per_set` is what every judge is asked about each set, and `framed` the part of it that the
    conscience is asked about in its other framings. `fitted` are for calibration, of the training
    parts. `attacked` and `watched` are over all sets together. `drafts` and `corrected` are texts
    that the model writes, which takes longest.
    """

    name: str
    per_set: int
    framed: int
    fitted: int
    attacked: int
    watched: int
    drafts: int
    corrected: int
    draft_tokens: int = 96


QUICK = Suite("quick", 12, 6, 100, 6, 6, 2, 2, 48)
STANDARD = Suite("standard", 60, 24, 150, 22, 44, 8, 22)
WHOLE = Suite("whole", 1_000_000, 1_000_000, 2_000, 400, 400, 100, 200)
SUITES: Mapping[str, Suite] = {suite.name: suite for suite in (QUICK, STANDARD, WHOLE)}


class Draws:
    """What was drawn of one set, seed by seed; together they are what is measured on."""

    def __init__(self, dataset: Dataset, size: int, seeds: Sequence[int]) -> None:
        self.dataset = dataset
        each = max(2, size // len(seeds))
        self.by_seed = {seed: draw(dataset.test, each, seed) for seed in seeds}

    @cached_property
    def samples(self) -> list[Sample]:
        """Each sample once, whichever seeds drew it."""
        every = (sample for drawn in self.by_seed.values() for sample in drawn)
        return list({sample.digest: sample for sample in every}.values())

    def some(self, count: int) -> list[Sample]:
        """About `count` of them, as many of each label, first those of the first seed."""
        half = {True: count // 2, False: count - count // 2}
        chosen: list[Sample] = []
        for sample in self.samples:
            if half[sample.unsafe]:
                half[sample.unsafe] -= 1
                chosen.append(sample)
        return chosen

    def places(self, seed: int) -> list[int]:
        """Where the samples of one seed stand among all."""
        at = {sample.digest: place for place, sample in enumerate(self.samples)}
        return [at[sample.digest] for sample in self.by_seed[seed]]


def spread(draws: Sequence[Draws], count: int) -> list[tuple[str, Sample]]:
    """About `count` samples in all, in turn from each set, as many of each label."""
    each = -(-count // (2 * len(draws))) * 2  # even, so that both labels have as many
    return [(one.dataset.recipe.name, sample) for one in draws for sample in one.some(each)]


def groups_over(drawn: Sequence[tuple[str, Sample]]) -> Integers:
    """The prompts' numbers of samples of several sets: none is another set's."""
    sets = {name: place for place, name in enumerate(dict.fromkeys(each for each, _ in drawn))}
    return np.array([sets[name] * _LARGEST_SET + one.group for name, one in drawn], np.int64)
