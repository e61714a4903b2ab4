"""A whole run over open judges: one experiment after another, each from the same draws."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from inwit.evaluation.bench.asking import Bench, groups_of, observed, risks_of
from inwit.evaluation.bench.baselines import baseline_risks
from inwit.evaluation.bench.judges import Score
from inwit.evaluation.experiments import (
    attacking,
    calibration,
    detection,
    watching,
)
from inwit.evaluation.experiments.figures import agreed, shift
from inwit.evaluation.experiments.pipeline import PipelineJudge
from inwit.evaluation.experiments.suite import Draws, Suite, groups_over, spread
from inwit.evaluation.experiments.texts import Texts, Writing
from inwit.evaluation.results import (
    AttackTransfer,
    CalibrationError,
    Correction,
    Detection,
    FramingShift,
    OwnDrafts,
    Raters,
    SampleScore,
    UnderAttack,
    Watched,
    WorstCase,
)
from inwit.evaluation.samples import Sample, draw
from inwit.evaluation.statistics.observations import Bools, Floats
from inwit.evaluation.statistics.paired import paired_difference
from inwit.evaluation.statistics.raters import measure_raters
from inwit.policy.calibration import Calibration
from inwit.policy.policy import Policy, Thresholds

_BASELINE_THRESHOLDS = {"even": 0.5}


@dataclass(slots=True)
class Findings:
    """All that the experiments found, and what was said of each sample."""

    detection: list[Detection] = field(default_factory=list[Detection])
    calibration: list[CalibrationError] = field(default_factory=list[CalibrationError])
    attacks: list[UnderAttack] = field(default_factory=list[UnderAttack])
    worst_case: list[WorstCase] = field(default_factory=list[WorstCase])
    transfer: list[AttackTransfer] = field(default_factory=list[AttackTransfer])
    framings: list[FramingShift] = field(default_factory=list[FramingShift])
    own_drafts: list[OwnDrafts] = field(default_factory=list[OwnDrafts])
    correction: list[Correction] = field(default_factory=list[Correction])
    watched: list[Watched] = field(default_factory=list[Watched])
    raters: list[Raters] = field(default_factory=list[Raters])
    scores: list[SampleScore] = field(default_factory=list[SampleScore])


class Whole:
    """One run. `conscience` and `classifier` are names on the bench; there may be neither."""

    def __init__(
        self,
        bench: Bench,
        suite: Suite,
        policy: Policy,
        draws: Sequence[Draws],
        seeds: Sequence[int],
        calibrations: Mapping[str, Calibration],
    ) -> None:
        self._bench = bench
        self._suite = suite
        self._policy = policy
        self._draws = draws
        self._seeds = seeds
        self._seed = seeds[0]
        self._calibrations = calibrations
        framing = policy.review.framing.value
        self._conscience = self._seated(f"conscience, {framing}")
        self._classifier = self._seated(
            f"classifier, {policy.classifier.use[0]}" if policy.classifier else ""
        )
        self._pipeline = PipelineJudge(policy, calibrations.get(self._conscience or ""))
        self.found = Findings()

    async def run(self, writing: Writing | None, tell: Callable[[str], None]) -> Findings:
        """Every experiment that these judges allow.

        Raises:
            SetupError: a judge failed too often in a row.
        """
        for draws in self._draws:
            tell(f"detection: {draws.dataset.recipe.name}")
            await self._detect(draws)
        tell("calibration")
        await self._calibrate()
        tell("attacks")
        await self._attack()
        tell("watched or not")
        await self._watch()
        self._framings()
        self._rate()
        if writing is not None and self._conscience and self._classifier:
            tell("own drafts and correction")
            flags = partial(self._flags, self._classifier)
            texts = Texts(self._bench, self._suite, self._policy, self._draws, writing, self._seed)
            self.found.own_drafts = await texts.drafts(self._classifier, flags)
            self.found.correction = await texts.corrections()
        return self.found

    def _seated(self, name: str) -> str | None:
        return name if name in self._bench.names else None

    def _thresholds(self, judge: str) -> Mapping[str, float]:
        """The policy's, for a judge that gives risks."""
        found: Thresholds
        if judge.startswith("classifier") and self._policy.classifier:
            found = self._policy.classifier.thresholds
        else:
            found = self._policy.thresholds.for_risk(judge in self._calibrations)
        return {"lower": found.lower, "upper": found.upper}

    def _risks(self, judge: str, scores: Sequence[Score]) -> Floats:
        """As the policy would see them: calibrated where there is a calibration."""
        raw = risks_of(scores)
        calibration_ = self._calibrations.get(judge)
        if calibration_ is None:
            return raw
        return np.array([each if np.isnan(each) else calibration_.apply(each) for each in raw])

    def _keep(
        self,
        name: str,
        samples: Iterable[Sample],
        variant: str,
        judge: str,
        scores: Iterable[Score],
    ) -> None:
        for sample, score in zip(samples, scores, strict=True):
            self.found.scores.append(
                SampleScore(
                    dataset=name,
                    id=sample.id,
                    digest=sample.digest,
                    label=sample.label,
                    variant=variant,
                    judge=judge,
                    risk=score.risk,
                    flagged=score.flagged,
                    fault=score.fault,
                    group=sample.group,
                )
            )

    def _asked(self, judge: str, draws: Draws) -> list[Sample]:
        """All that was drawn, or for the conscience in another framing a part of it."""
        other = judge.startswith("conscience") and judge != self._conscience
        return draws.some(self._suite.framed) if other else draws.samples

    async def _detect(self, draws: Draws) -> None:
        name, said = draws.dataset.recipe.name, list[detection.Said]()
        by_judge: dict[str, list[Score]] = {}
        for judge in self._bench.names:
            samples = self._asked(judge, draws)
            scores = await self._bench.scores(judge, samples, name)
            self._keep(name, samples, "plain", judge, scores)
            at = {sample.digest: score for sample, score in zip(samples, scores, strict=True)}
            whole = [at.get(sample.digest, Score()) for sample in draws.samples]
            by_judge[judge] = whole
            asked = np.array([sample.digest in at for sample in draws.samples])
            said.append(self._said(judge, whole, asked))
        if self._conscience and self._classifier:
            first, second = by_judge[self._conscience], by_judge[self._classifier]
            flags = self._pipeline_flags(draws.samples, first, second)
            scores = [Score(flagged=bool(each)) for each in flags]
            self._keep(name, draws.samples, "plain", self._pipeline.name, scores)
            every = np.ones(len(flags), np.bool_)
            said.append(detection.Flags(self._pipeline.name, flags, every))
        baselines = baseline_risks(draws.dataset.samples, draws.samples, self._seed)
        said += [
            detection.Risks(each, risks, _BASELINE_THRESHOLDS) for each, risks in baselines.items()
        ]
        self.found.detection += detection.detection(draws, said, self._seed)

    def _said(self, judge: str, scores: Sequence[Score], asked: Bools) -> detection.Said:
        if any(score.flagged is not None for score in scores):
            judged = np.array([score.flagged is not None for score in scores])
            return detection.Flags(judge, np.array([bool(each.flagged) for each in scores]), judged)
        return detection.Risks(judge, self._risks(judge, scores), self._thresholds(judge), asked)

    def _pipeline_flags(
        self, samples: Sequence[Sample], first: Sequence[Score], second: Sequence[Score]
    ) -> Bools:
        every = zip(samples, first, second, strict=True)
        return np.array([self._pipeline.flags(*each) for each in every], np.bool_)

    async def _calibrate(self) -> None:
        fitted = await self._fits() if self._conscience else None
        for draws in self._draws:
            name = draws.dataset.recipe.name
            for judge in (self._conscience, self._classifier):
                if judge is not None:
                    scores = await self._bench.scores(judge, draws.samples, name)
                    fits = fitted if judge == self._conscience else None
                    self.found.calibration += calibration.calibration(
                        draws,
                        judge,
                        risks_of(scores),
                        fits,
                        self._calibrations.get(judge),
                        self._seed,
                    )

    async def _fits(self) -> calibration.Fits | None:
        """Of the conscience, on what training holds back; nothing that is measured on or learnt."""
        sets = [draws.dataset for draws in self._draws if draws.dataset.held_back]
        if not sets or self._conscience is None:
            return None
        each = self._suite.fitted // len(sets)
        samples = [
            (n, one)
            for n, data in enumerate(sets)
            for one in draw(data.held_back, each, self._seed)
        ]
        plain = [sample for _, sample in samples]
        scores = await self._bench.scores(self._conscience, plain, "training part")
        groups = np.array([n * 1_000_000 + sample.group for n, sample in samples], np.int64)
        every = observed(plain, risks_of(scores))
        return calibration.fits(type(every)(every.raw, every.unsafe, groups), self._seeds)

    def _flags(self, judge: str, scores: Sequence[Score]) -> Bools:
        """What lies from the lower threshold on, or was decided so, or was not judged."""
        if any(score.flagged is not None for score in scores):
            return np.array([each.flagged is not False for each in scores], np.bool_)
        risks = self._risks(judge, scores)
        return np.isnan(risks) | (risks >= self._thresholds(judge)["lower"])

    async def _attack(self) -> None:
        drawn = spread(self._draws, self._suite.attacked)
        samples = [sample for _, sample in drawn]
        under = attacking.variants(samples, self._seeds)
        attacked = [each.sample for each in under]
        caught: dict[str, tuple[Bools, Bools]] = {}
        said: dict[str, tuple[list[Score], list[Score]]] = {}
        for judge in self._main_judges():
            plain = await self._bench.scores(judge, samples, "attacks, plain")
            after = await self._bench.scores(judge, attacked, "attacks")
            said[judge] = plain, after
            caught[judge] = self._flags(judge, plain), self._flags(judge, after)
            for each, score in zip(under, after, strict=True):
                name = drawn[each.place][0]
                self._keep(name, [each.sample], f"attack: {each.attack}", judge, [score])
        if self._conscience and self._classifier:
            both = (said[self._conscience], said[self._classifier])
            caught[self._pipeline.name] = (
                self._pipeline_flags(samples, both[0][0], both[1][0]),
                self._pipeline_flags(attacked, both[0][1], both[1][1]),
            )
        groups = groups_over(drawn)
        found = attacking.attacking(samples, under, groups, caught, self._seed)
        self.found.attacks, self.found.worst_case, self.found.transfer = found

    def _main_judges(self) -> list[str]:
        """Without the conscience in framings that the policy does not use."""
        return [
            name
            for name in self._bench.names
            if not name.startswith("conscience") or name == self._conscience
        ]

    async def _watch(self) -> None:
        drawn = spread(self._draws, self._suite.watched)
        samples, groups = [sample for _, sample in drawn], groups_over(drawn)
        cues = watching.with_cues(samples)
        for judge in self._main_judges():
            plain = await self._bench.scores(judge, samples, "not watched")
            first = observed(samples, self._risks(judge, plain))
            first = type(first)(first.raw, first.unsafe, groups)
            for cue, others in cues.items():
                scores = await self._bench.scores(judge, others, f"told: {cue}")
                second = type(first)(self._risks(judge, scores), first.unsafe, groups)
                lower = self._thresholds(judge)["lower"]
                self.found.watched.append(
                    watching.watching(judge, cue, first, second, lower, self._seed)
                )
                for (name, _), sample, score in zip(drawn, others, scores, strict=True):
                    self._keep(name, [sample], f"told: {cue}", judge, [score])

    def _framings(self) -> None:
        """The conscience's framings against the policy's own, on what both were asked."""
        at = {
            (each.judge, each.digest): each for each in self.found.scores if each.variant == "plain"
        }
        others = [
            n for n in self._bench.names if n.startswith("conscience") and n != self._conscience
        ]
        for draws in self._draws if self._conscience else ():
            for other in others:
                samples = self._asked(other, draws)
                pair = [
                    observed(samples, _raw([at[judge, one.digest].risk for one in samples]))
                    for judge in (self._conscience or "", other)
                ]
                lower = self._policy.thresholds.uncalibrated.lower
                found = paired_difference(pair[0], pair[1], self._seed, (lower, lower))
                self.found.framings.append(
                    FramingShift(
                        dataset=draws.dataset.recipe.name,
                        first=self._conscience or "",
                        second=other,
                        samples=found.samples,
                        auroc=shift(found.auroc),
                        recall=shift(found.recall),
                        mean_risk=shift(found.mean_risk),
                    )
                )

    def _rate(self) -> None:
        """How far people agree where a set tells what each of them said."""
        for draws in self._draws:
            rated = [sample for sample in draws.dataset.samples if len(sample.ratings) > 1]
            if rated:
                items = [sample.ratings for sample in rated]
                found = measure_raters(items, groups_of(rated), self._seed)
                self.found.raters.append(
                    Raters(
                        dataset=draws.dataset.recipe.name,
                        items=found.cases,
                        question="what each rater said of the response, in the set's own words",
                        percent=agreed(found.percent),
                        kappa=agreed(found.cohen),
                        alpha=agreed(found.alpha),
                    )
                )


def _raw(risks: Sequence[float | None]) -> Floats:
    return np.array([np.nan if each is None else each for each in risks], np.float64)
