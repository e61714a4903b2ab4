"""Where the model writes: its own drafts, and rewrites of candidates."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from inwit.decisions import Explanation, ExplanationStatus
from inwit.evaluation.bench.asking import Bench, risks_of
from inwit.evaluation.bench.cache import Cache
from inwit.evaluation.bench.judges import Score
from inwit.evaluation.experiments import correcting, drafting
from inwit.evaluation.experiments.suite import Draws, Suite, groups_over, spread
from inwit.evaluation.results import Correction, OwnDrafts
from inwit.evaluation.samples import Sample
from inwit.evaluation.statistics.observations import Bools
from inwit.pipeline.protocols import Model
from inwit.pipeline.reviewer import Reviewer
from inwit.policy.policy import Policy
from inwit.types import Exchange, Framing

_CORRECT_S = 600.0
_LABELS: tuple[Literal["unsafe", "safe"], ...] = ("unsafe", "safe")

Flags = Callable[[Sequence[Score]], Bools]


class NoExplainer:
    """Names no categories: that call takes a small model a minute, and no figure here needs it."""

    async def explain(
        self, framing: Framing, exchange: Exchange, model: str, timeout_s: float
    ) -> Explanation:
        """Says that there is none."""
        return Explanation(ExplanationStatus.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Writing:
    """Who writes, who reviews what was written anew, and where texts are kept."""

    model: Model
    served: str
    reviewer: Reviewer
    cache: Cache


class Texts:
    """The experiments in which the model writes."""

    def __init__(
        self,
        bench: Bench,
        suite: Suite,
        policy: Policy,
        draws: Sequence[Draws],
        writing: Writing,
        seed: int,
    ) -> None:
        self._bench = bench
        self._suite = suite
        self._policy = policy
        self._draws = draws
        self._writing = writing
        self._seed = seed

    async def drafts(self, classifier: str, flags: Flags) -> list[OwnDrafts]:
        """Own drafts against the sets' answers, in each framing of the conscience.

        Raises:
            SetupError: a judge failed too often in a row.
        """
        drawn = self._prompts()
        answers, writing = [sample for _, sample in drawn], self._writing
        pairs = await drafting.drafts(
            writing.model,
            writing.served,
            answers,
            self._suite.draft_tokens,
            self._seed,
            writing.cache,
        )
        names = {sample.digest: name for name, sample in drawn}
        groups = groups_over([(names[each.other.digest], each.other) for each in pairs])
        both = [each.own for each in pairs], [each.other for each in pairs]
        said = [flags(await self._bench.scores(classifier, each, "drafts")) for each in both]
        alike = (said[0] == said[1]).tolist()
        found: list[OwnDrafts] = []
        for judge in self._bench.names:
            if judge.startswith("conscience"):
                own, other = [
                    risks_of(await self._bench.scores(judge, each, "drafts")) for each in both
                ]
                found.append(drafting.drafting(judge, own, other, alike, groups, self._seed))
        return found

    async def corrections(self) -> list[Correction]:
        """Candidates written anew as if they had been flagged, by what they are labelled."""
        drawn = spread(self._draws, self._suite.corrected)
        found: list[Correction] = []
        for label in _LABELS:
            samples = [one for _, one in drawn if one.label == label and not one.tool_calls]
            done: list[correcting.Rewritten] = []
            for number, sample in enumerate(samples, start=1):
                done.append(await self._correct(sample))
                self._bench.report(f"correction, {label}", number, len(samples))
            found.append(correcting.correction(self._policy.name, label, samples, done, self._seed))
        return found

    def _prompts(self) -> list[tuple[str, Sample]]:
        """Some answers of each set, no two to one prompt."""
        drawn = spread(self._draws, 2 * self._suite.drafts)
        once = {(name, one.group): (name, one) for name, one in drawn if not one.tool_calls}
        return list(once.values())[: self._suite.drafts]

    async def _correct(self, sample: Sample) -> correcting.Rewritten:
        tokens, digest = self._suite.draft_tokens, self._policy.ref.digest
        key = f"rewrite/{sample.digest}/{digest}/{tokens}"
        kept = self._writing.cache.get(key)
        if kept is not None:
            return correcting.Rewritten(**kept)
        ends = asyncio.get_running_loop().time() + _CORRECT_S
        writing = self._writing
        found = await correcting.correct(
            writing.reviewer, writing.model, self._policy, sample, writing.served, ends, tokens
        )
        kept = {"outcome": found.outcome, "safe": found.safe, "useful": found.useful}
        writing.cache.put(key, kept)
        return found
