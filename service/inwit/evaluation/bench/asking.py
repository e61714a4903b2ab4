"""The bench: judges by name, what they answered, and the asking of what is not known yet."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import numpy as np

from inwit.errors import SetupError
from inwit.evaluation.bench.cache import Cache, open_cache
from inwit.evaluation.bench.judges import Judge, Score
from inwit.evaluation.samples import Sample
from inwit.evaluation.statistics.observations import Bools, Floats, Integers, Observations
from inwit.evaluation.turns import in_turn
from inwit.types import Fault

# Faults that say that the server cannot serve at all, and how many in a row mean it.
_BROKEN = frozenset(
    each.value for each in (Fault.UPSTREAM, Fault.TIMEOUT, Fault.NO_LOGPROBS, Fault.MALFORMED)
)
_IN_A_ROW = 30

Progress = Callable[[str, int, int], None]


class Bench:
    """Asks each judge about each sample at most once; `counts` says what that took."""

    def __init__(
        self,
        judges: Mapping[str, tuple[Judge, Cache]],
        concurrency: int,
        progress: Progress,
    ) -> None:
        self._judges = judges
        self._concurrency = concurrency
        self._progress = progress
        self.counts: Counter[str] = Counter()

    @property
    def names(self) -> tuple[str, ...]:
        """The judges, in the order given."""
        return tuple(self._judges)

    def judge(self, name: str) -> Judge:
        """One of them."""
        return self._judges[name][0]

    def report(self, what: str, done: int, of: int) -> None:
        """Tell how far some other work is."""
        self._progress(what, done, of)

    async def scores(self, name: str, samples: Sequence[Sample], what: str) -> list[Score]:
        """What a judge says of each sample; `what` is told of the progress.

        Raises:
            SetupError: so many in a row failed that the judge must be at fault.
        """
        judge, cache = self._judges[name]
        unique = {sample.digest: sample for sample in samples}
        known = {digest: _score(cache.get(digest)) for digest in unique}
        missing = [unique[key] for key, score in known.items() if score is None]
        self.counts["from_cache"] += len(unique) - len(missing)
        for sample, score in zip(
            missing, await self._ask(judge, cache, missing, what), strict=True
        ):
            known[sample.digest] = score
        found = [known[sample.digest] or Score(fault=Fault.UPSTREAM.value) for sample in samples]
        self.counts["failed"] += sum(score.fault is not None for score in found)
        return found

    async def _ask(
        self, judge: Judge, cache: Cache, samples: Sequence[Sample], what: str
    ) -> list[Score]:
        answers: list[Score] = [Score()] * len(samples)
        done = 0

        async def ask(place: int) -> bool:
            nonlocal done
            answers[place] = score = await judge.ask(samples[place])
            if score.settled:
                cache.put(samples[place].digest, score.as_json())
            done += 1
            self.counts["asked"] += 1
            self._progress(f"{what}: {judge.name}", done, len(samples))
            return score.fault in _BROKEN

        failed = await in_turn(range(len(samples)), self._concurrency, _IN_A_ROW, ask)
        if failed >= _IN_A_ROW:
            raise SetupError(
                f"The last {failed} questions to {judge.name} failed. Look after it; what it has "
                "answered is kept, and the next run goes on from there."
            )
        return answers


@asynccontextmanager
async def open_bench(
    judges: Iterable[Judge], folder: Path, concurrency: int, progress: Progress
) -> AsyncGenerator[Bench]:
    """A bench whose answers are kept in `folder`.

    Raises:
        SetupError: the folder cannot be used, or another run asks the same judge.
    """
    with ExitStack() as stack:
        seated = {
            judge.name: (judge, stack.enter_context(open_cache(folder, judge.name, judge.facts)))
            for judge in judges
        }
        yield Bench(seated, concurrency, progress)


def risks_of(scores: Sequence[Score]) -> Floats:
    """Raw risks; not a number where the judge gave none."""
    return np.array([np.nan if each.risk is None else each.risk for each in scores], np.float64)


def unsafe_of(samples: Sequence[Sample]) -> Bools:
    """Their labels."""
    return np.array([sample.unsafe for sample in samples], np.bool_)


def groups_of(samples: Sequence[Sample]) -> Integers:
    """Their prompts' numbers."""
    return np.array([sample.group for sample in samples], np.int64)


def observed(samples: Sequence[Sample], risks: Floats) -> Observations:
    """The samples with their risks, for the statistics."""
    return Observations(risks, unsafe_of(samples), groups_of(samples))


def _score(kept: dict[str, object] | None) -> Score | None:
    return None if kept is None else Score(**kept)  # pyright: ignore[reportArgumentType]  # as written by as_json
