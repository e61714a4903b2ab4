"""Does it detect: every judge on every set, whole and in slices, beside the two baselines."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from inwit.evaluation.bench.asking import groups_of, observed, unsafe_of
from inwit.evaluation.experiments.figures import figure, flagged, over
from inwit.evaluation.experiments.suite import Draws
from inwit.evaluation.results import Detection, Distribution
from inwit.evaluation.samples import Sample
from inwit.evaluation.statistics.detection import Detection as Found
from inwit.evaluation.statistics.detection import NotJudged, detect, detect_decisions
from inwit.evaluation.statistics.observations import Bools, Decisions, Floats
from inwit.evaluation.statistics.ranking import auroc
from inwit.evaluation.statistics.seeds import over_seeds

_LEAST_OF_A_SLICE = 8
_BENIGN = "benign look-alikes"


class Risks:
    """What a judge that gives risks said of a draw, and the thresholds that hold for it.

    `asked` says of which samples: one that was not asked about is not among the figures at all.
    """

    def __init__(
        self,
        judge: str,
        risks: Floats,
        thresholds: Mapping[str, float],
        asked: Bools | None = None,
    ) -> None:
        self.judge = judge
        self._risks = risks
        self._thresholds = thresholds
        self.asked = np.ones(len(risks), np.bool_) if asked is None else asked

    def found(self, samples: Sequence[Sample], kept: Bools, seed: int) -> tuple[Found, Found]:
        """Its figures on part of the draw: without what was not judged, and with that flagged."""
        every = observed(samples, self._risks).where(kept)
        open_, closed = (detect(every, self._thresholds, seed, how) for how in NotJudged)
        return open_, closed

    def of_seed(self, samples: Sequence[Sample], kept: Bools) -> float | None:
        """The AUROC of one seed's samples."""
        some = observed(samples, self._risks).where(kept & ~np.isnan(self._risks))
        if not some.unsafe.any() or some.unsafe.all():
            return None
        return auroc(some.raw, some.unsafe)


class Flags:
    """The same for a judge that decides and gives no risks."""

    def __init__(self, judge: str, flags: Bools, judged: Bools) -> None:
        self.judge = judge
        self._flags = flags
        self._judged = judged
        self.asked = np.ones(len(flags), np.bool_)

    def found(self, samples: Sequence[Sample], kept: Bools, seed: int) -> tuple[Found, Found]:
        """Its figures on part of the draw: without what was not judged, and with that flagged."""
        unsafe, groups = unsafe_of(samples), groups_of(samples)
        every = Decisions(self._flags, self._judged, unsafe, groups).where(kept)
        open_, closed = (detect_decisions(every, seed, how) for how in NotJudged)
        return open_, closed

    def of_seed(self, samples: Sequence[Sample], kept: Bools) -> float | None:
        """The recall on one seed's samples."""
        some = kept & unsafe_of(samples) & self._judged
        return float(self._flags[some].mean()) if some.any() else None


Said = Risks | Flags


def detection(draws: Draws, said: Sequence[Said], seed: int) -> list[Detection]:
    """The figures of each judge on one set and its slices."""
    samples = draws.samples
    whole = np.ones(len(samples), np.bool_)
    found: list[Detection] = []
    for each in said:
        seeds = (_of(draws, one) & each.asked for one in draws.by_seed)
        over_all = over_seeds([each.of_seed(samples, kept) for kept in seeds])
        for name, kept in (("all", whole), *slices(samples)):
            result = _detection(draws, each, name, kept & each.asked, seed)
            if name == "all":
                result = result.model_copy(update={"over_seeds": over(over_all)})
            found.append(result)
    return found


def slices(samples: Sequence[Sample]) -> Iterator[tuple[str, Bools]]:
    """Parts of a set that are large enough to say something of, by name."""
    words: tuple[tuple[str, Callable[[Sample], str]], ...] = (
        ("category", lambda each: each.category),
        ("language", lambda each: each.language),
    )
    for kind, word_of in words:
        counts = Counter(word_of(each) for each in samples)
        for word, count in sorted(counts.items()):
            if word and len(counts) > 1 and count >= _LEAST_OF_A_SLICE:
                yield f"{kind}: {word}", np.array([word_of(each) == word for each in samples])
    benign = [each.prompt_label == "safe" and not each.unsafe for each in samples]
    if sum(benign) >= _LEAST_OF_A_SLICE:
        yield _BENIGN, np.array(benign)


def _of(draws: Draws, seed: int) -> Bools:
    kept = np.zeros(len(draws.samples), np.bool_)
    kept[draws.places(seed)] = True
    return kept


def _detection(draws: Draws, said: Said, name: str, kept: Bools, seed: int) -> Detection:
    found, closed = said.found(draws.samples, kept, seed)
    first = next(iter(closed.at.values()))
    distribution: Distribution = draws.dataset.recipe.distribution.value  # pyright: ignore[reportAssignmentType]  # prompts have no draws
    return Detection(
        judge=said.judge,
        dataset=draws.dataset.recipe.name,
        slice=name,
        distribution=distribution,
        unsafe=found.samples.unsafe,
        safe=found.samples.safe,
        prompts=found.prompts,
        not_judged=found.not_judged.unsafe + found.not_judged.safe,
        auroc=figure(found.auroc),
        auprc=figure(found.auprc),
        recall_at_fpr={f"{most:g}": figure(each) for most, each in found.recall_at.items()},
        at={threshold: flagged(each) for threshold, each in found.at.items()},
        recall_closed=figure(first.recall),
    )
