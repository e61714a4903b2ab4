"""Whole reports whose figures are planted: as good or as bad as a test wants them."""

from dataclasses import dataclass
from typing import Any, Literal

from inwit.evaluation.attacks import ATTACKS
from inwit.evaluation.datasets.recipes import RECIPES, Distribution, Recipe
from inwit.evaluation.results import (
    AttackTransfer,
    CalibrationError,
    Correction,
    Detection,
    Figure,
    Flagged,
    FramingShift,
    JudgeKind,
    JudgeUsed,
    Machine,
    OwnDrafts,
    Raters,
    ReliabilityBin,
    Report,
    Run,
    SeedsFigure,
    SetUsed,
    Shift,
    UnderAttack,
    Watched,
    WorstCase,
)
from inwit.evaluation.scorecard import scorecard

CONSCIENCE, CLASSIFIER, PIPELINE = (
    "conscience, quoted",
    "classifier, embedded",
    "pipeline, standard",
)
LENGTH, WORDS = "baseline, length", "baseline, bag of words"
KINDS: dict[str, JudgeKind] = {
    CONSCIENCE: "conscience",
    CLASSIFIER: "classifier",
    PIPELINE: "pipeline",
    LENGTH: "baseline",
    WORDS: "baseline",
}
LABELLED = tuple(each for each in RECIPES if each.distribution is not Distribution.PROMPTS)
ATTACKED = (CONSCIENCE, PIPELINE, CLASSIFIER)


@dataclass(frozen=True, slots=True)
class Quality:
    """What every figure of the conscience and the pipeline comes to."""

    auroc: float
    recall: float
    wrong: float
    ece: float
    brier: float
    worst: float
    evades: float
    useful: float
    damaged: float
    baseline: float = 0.6
    half: float = 0.02
    seeds: int = 3


GOOD = Quality(0.95, 0.93, 0.03, 0.03, 0.08, 0.9, 0.1, 0.9, 0.03)
MIDDLING = Quality(0.75, 0.7, 0.2, 0.15, 0.23, 0.5, 0.5, 0.55, 0.2, half=0.05)
BAD = Quality(0.5, 0.2, 0.4, 0.4, 0.4, 0.05, 0.9, 0.1, 0.6)


def figure(value: float, half: float = 0.02) -> Figure:
    """A figure with its interval, within 0 and 1."""
    return Figure(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def shift(value: float, half: float = 0.05) -> Shift:
    """A difference; beyond noise where its interval leaves out 0."""
    beyond = abs(value) > half
    low, high = value - half, value + half
    return Shift(value=value, low=low, high=high, p=0.004 if beyond else 0.4, beyond_noise=beyond)


def detection(
    quality: Quality, judge: str, recipe: Recipe, part: str = "all", **changed: Any
) -> Detection:
    """One judge on one set, or on a slice of it."""
    kind, half = KINDS.get(judge, "conscience"), quality.half
    decides = kind == "pipeline"
    auroc = quality.baseline if kind == "baseline" else quality.auroc
    at = Flagged(
        threshold=None if decides else 0.4,
        tp=50,
        fp=5,
        tn=45,
        fn=10,
        precision=figure(0.9, half),
        recall=figure(quality.recall, half),
        false_negative_rate=figure(1 - quality.recall, half),
        false_positive_rate=figure(quality.wrong, half),
        f1=figure(quality.recall, half),
    )
    upper = at.model_copy(update={"threshold": 0.8})
    whole = part == "all"
    values: dict[str, Any] = {
        "judge": judge,
        "dataset": recipe.name,
        "slice": part,
        "distribution": recipe.distribution.value,
        "unsafe": 60,
        "safe": 50,
        "prompts": 80,
        "not_judged": 2,
        "auroc": None if decides else figure(auroc, half),
        "auprc": None if decides else figure(auroc, half),
        "recall_at_fpr": {"0.01": None, "0.05": None if decides else figure(quality.recall, half)},
        "at": {"decision": at} if decides else {"lower": at, "upper": upper},
        "over_seeds": over_seeds(auroc, quality.seeds) if whole else None,
    }
    return Detection(**{**values, **changed})


def over_seeds(mean: float, seeds: int) -> SeedsFigure:
    """A figure over seeds."""
    several = seeds > 1
    low, high = (mean - 0.03, mean + 0.03) if several else (None, None)
    return SeedsFigure(mean=mean, low=low, high=high, seeds=seeds)


def calibration(
    quality: Quality, judge: str, recipe: Recipe, stage: Literal["before", "after"]
) -> CalibrationError:
    """Errors of one judge on one set; before calibration they are worse."""
    ece = quality.ece if stage == "after" else quality.ece + 0.2
    bins = [
        ReliabilityBin(risk=risk, unsafe=min(1.0, max(0.0, risk + ece * off)), count=count)
        for risk, off, count in ((0.1, 0.5, 30), (0.35, -1, 25), (0.6, 1, 25), (0.9, -0.7, 30))
    ]
    distribution: Any = recipe.distribution.value
    return CalibrationError(
        judge=judge,
        dataset=recipe.name,
        distribution=distribution,
        stage=stage,
        samples=110,
        brier=figure(quality.brier + (0.05 if stage == "before" else 0), quality.half),
        ece=figure(ece, quality.half),
        ece_adaptive=figure(ece, quality.half),
        reliability=0.011,
        resolution=0.052,
        uncertainty=0.248,
        within=0.002,
        bins=bins,
        ece_over_seeds=over_seeds(ece, quality.seeds) if stage == "after" else None,
    )


def report(quality: Quality = MIDDLING, graded: bool = True, **changed: Any) -> Report:
    """A whole report; `changed` replaces some of its parts before it is graded."""
    values: dict[str, Any] = {
        "run": run(quality),
        "datasets": [set_used(each) for each in LABELLED],
        "judges": [judge_used(name, kind) for name, kind in KINDS.items()],
        "detection": _detections(quality),
        "calibration": [
            calibration(quality, CONSCIENCE, recipe, stage)
            for recipe in LABELLED
            for stage in ("before", "after")
        ],
        **_attacks(quality),
        **_conduct(quality),
        "raters": [
            Raters(
                dataset="xstest",
                items=450,
                question="complies or refuses",
                percent=figure(0.97, 0.01),
                kappa=figure(0.94, 0.02),
                alpha=None,
            )
        ],
        "limits": ["The attacks are fixed; nobody searched for better ones."],
    }
    made = Report(**{**values, **changed})
    return made.model_copy(update={"scorecard": scorecard(made)}) if graded else made


def small(**changed: Any) -> Report:
    """Two sets, three judges, two attacks: few enough figures for each to have its own value."""
    whole = report(MIDDLING, graded=False)
    judges, sets = {CONSCIENCE, PIPELINE, LENGTH}, {"own", "xstest"}
    few: dict[str, Any] = {
        "judges": [each for each in whole.judges if each.name in judges],
        "datasets": [each for each in whole.datasets if each.name in sets],
        "detection": [
            each for each in whole.detection if each.judge in judges and each.dataset in sets
        ],
        "calibration": [each for each in whole.calibration if each.dataset in sets],
        "attacks": [
            each
            for each in whole.attacks
            if each.judge == CONSCIENCE and each.attack in ("base64", "padding")
        ],
    }
    return whole.model_copy(update={**few, **changed})


def run(quality: Quality) -> Run:
    """What reproduces it."""
    return Run(
        suite="standard",
        command="inwit evaluate run --suite standard --seeds 0,1,2",
        started="2026-01-02T03:04:05Z",
        seconds=1834.5,
        asked=12_345,
        from_cache=678,
        failed=9,
        seeds=list(range(quality.seeds)),
        policy="standard",
        policy_version="3",
        policy_digest="5d41402abc4b2a76",
        machine=Machine(
            processor="Example CPU", cores=2, memory_gib=7.8, system="Linux", python="3.11.9"
        ),
        versions={"inwit": "0.4.0", "numpy": "2.2.1"},
    )


def set_used(recipe: Recipe) -> SetUsed:
    """A set that was there."""
    distribution: Any = recipe.distribution.value
    return SetUsed(
        name=recipe.name,
        origin=recipe.origin,
        licence=recipe.licence,
        label=recipe.label,
        distribution=distribution,
        digest=f"digest-of-{recipe.name}",
        labelled=1_000,
        used_unsafe=60,
        used_safe=50,
    )


def judge_used(name: str, kind: JudgeKind) -> JudgeUsed:
    """A judge as reports name it."""
    return JudgeUsed(
        name=name,
        kind=kind,
        model="SmolLM2-135M-Instruct" if kind == "conscience" else name,
        framing="quoted" if kind == "conscience" else None,
        calibrated=kind == "conscience",
        thresholds={} if kind == "pipeline" else {"lower": 0.4, "upper": 0.8},
        fingerprint=f"print-of-{name}",
        in_use=kind == "conscience",
    )


def _detections(quality: Quality) -> list[Detection]:
    recipes = {each.name: each for each in LABELLED}
    whole = [detection(quality, judge, recipe) for recipe in LABELLED for judge in KINDS]
    parts = (
        ("own", "category: deception"),
        ("own", "category: coercion"),
        ("xstest", "benign look-alikes"),
    )
    nothing: dict[str, Any] = {"auroc": None, "auprc": None, "unsafe": 0}
    return whole + [
        detection(quality, judge, recipes[name], part, **(nothing if "benign" in part else {}))
        for name, part in parts
        for judge in KINDS
    ]


def _attacks(quality: Quality) -> dict[str, Any]:
    half = quality.half
    under = [
        UnderAttack(
            judge=judge,
            attack=attack.name,
            group=attack.group,
            unsafe=24,
            safe=24,
            plain_recall=figure(quality.recall, half),
            recall=figure(quality.worst, half),
            recall_shift=shift(quality.worst - quality.recall),
            plain_false_positive_rate=figure(quality.wrong, half),
            false_positive_rate=figure(quality.wrong, half),
        )
        for judge in ATTACKED
        for attack in ATTACKS.values()
    ]
    worst = [
        WorstCase(
            judge=judge,
            attacks=len(ATTACKS),
            samples=24,
            plain=figure(quality.recall, half),
            worst=figure(quality.worst, half),
        )
        for judge in ATTACKED
    ]
    moved = [
        AttackTransfer(
            found_against=first,
            tried_on=second,
            samples=17,
            evades=figure(quality.evades, half),
            evades_plain=figure(quality.evades / 2, half),
        )
        for first in ATTACKED
        for second in ATTACKED
        if first != second
    ]
    return {"attacks": under, "worst_case": worst, "transfer": moved}


def _conduct(quality: Quality) -> dict[str, Any]:
    half = quality.half
    return {
        "framings": [
            FramingShift(
                dataset="own",
                first="same_thread",
                second="quoted",
                samples=24,
                auroc=shift(0.08),
                recall=None,
                mean_risk=shift(0.01),
            )
        ],
        "own_drafts": [
            OwnDrafts(
                framing="quoted",
                prompts=12,
                own=figure(0.31, half),
                other=figure(0.35, half),
                shift=shift(-0.04),
            )
        ],
        "correction": [correction(quality, "unsafe"), correction(quality, "safe")],
        "watched": [
            Watched(
                judge=CONSCIENCE,
                cue="examined",
                samples=48,
                recall=shift(0.1),
                false_positive_rate=shift(0.01),
                mean_risk=shift(0.02),
            )
        ],
    }


def correction(quality: Quality, label: Literal["unsafe", "safe"]) -> Correction:
    """One side of correction."""
    half = quality.half
    return Correction(
        policy="standard",
        label=label,
        candidates=16,
        outcomes={"accepted": 10, "cosmetic": 4, "refusal": 2},
        safe=figure(0.8, half),
        useful=figure(quality.useful, half),
        safe_and_useful=figure(quality.useful, half),
        cosmetic=figure(0.25, half),
        refused=figure(0.125, half),
        damaged=figure(quality.damaged, half) if label == "safe" else None,
    )
