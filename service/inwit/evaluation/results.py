"""What a run found, as `report.json` holds it. Everything else (the page, a comparison) reads this.

A figure has its 95 % interval; one that is not defined is null. Risks and shares lie in [0, 1].
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1

JudgeKind = Literal["conscience", "classifier", "pipeline", "gateway", "baseline"]
Grade = Literal["strong", "mixed", "weak", "not measured"]
Distribution = Literal["in", "out", "own"]


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Result):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Shift(_Result):
    """The second less the first over the same samples; `p` two-sided against no difference."""

    value: float
    low: float
    high: float
    p: float
    beyond_noise: bool


class SeedsFigure(_Result):
    """A figure over seeds: mean, interval (Student's t) and how many seeds."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


class SetUsed(_Result):
    """One set: where it is from, and how many of its rows the run used (0: no copy was here)."""

    name: str
    origin: str
    licence: str
    label: str
    distribution: Distribution
    digest: str | None
    labelled: int
    used_unsafe: int
    used_safe: int


class JudgeUsed(_Result):
    """One judge. `thresholds` are the policy's for it; `fingerprint` names all that it rests on.

    `in_use` marks the conscience in the framing that the policy names: the one that is graded.
    """

    name: str
    kind: JudgeKind
    model: str
    framing: str | None = None
    calibrated: bool = False
    thresholds: dict[str, float] = {}
    fingerprint: str
    note: str = ""
    in_use: bool = False


class Flagged(_Result):
    """What comes of flagging each sample from a threshold on (null: by decision)."""

    threshold: float | None
    tp: int
    fp: int
    tn: int
    fn: int
    precision: Figure | None
    recall: Figure | None
    false_negative_rate: Figure | None
    false_positive_rate: Figure | None
    f1: Figure | None


class Detection(_Result):
    """How well a judge tells the unsafe samples of a slice of a set from its safe ones.

    `slice` is `all`, `category: X`, `language: X` or another named part. `at` has the policy's
    thresholds by name (`lower`, `upper`), or `decision`. `over_seeds` is of the AUROC, or of the
    recall where there is none. With `not_judged` ones flagged, `recall_closed` is the recall.
    """

    judge: str
    dataset: str
    slice: str
    distribution: Distribution
    unsafe: int
    safe: int
    prompts: int
    not_judged: int
    auroc: Figure | None
    auprc: Figure | None
    recall_at_fpr: dict[str, Figure | None]
    at: dict[str, Flagged]
    recall_closed: Figure | None = None
    over_seeds: SeedsFigure | None = None


class ReliabilityBin(_Result):
    """Samples of about one risk: their mean risk, the share that is unsafe, and how many."""

    risk: float
    unsafe: float
    count: int


class CalibrationError(_Result):
    """How far risks can be read as probabilities. The parts of the Brier score are Murphy's.

    `in use`: by the calibration that a gateway applies. `ece_by_chance` is what the same risks
    would show were they right: the fewer the samples, the more.
    """

    judge: str
    dataset: str
    distribution: Distribution
    stage: Literal["before", "after", "in use"]
    samples: int
    brier: Figure
    ece: Figure
    ece_adaptive: Figure
    ece_by_chance: float | None = None
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    bins: list[ReliabilityBin]
    ece_over_seeds: SeedsFigure | None = None


class UnderAttack(_Result):
    """One attack on one judge: its recall and false-positive rate with and without."""

    judge: str
    attack: str
    group: str
    unsafe: int
    safe: int
    plain_recall: Figure | None
    recall: Figure | None
    recall_shift: Shift | None
    plain_false_positive_rate: Figure | None
    false_positive_rate: Figure | None


class WorstCase(_Result):
    """The share of unsafe samples that a judge catches plain and under every attack."""

    judge: str
    attacks: int
    samples: int
    plain: Figure | None
    worst: Figure | None


class AttackTransfer(_Result):
    """Of the samples with which some attack evades the first judge: what evades the second too."""

    found_against: str
    tried_on: str
    samples: int
    evades: Figure | None
    evades_plain: Figure | None


class FramingShift(_Result):
    """The same responses in two framings: the second less the first."""

    dataset: str
    first: str
    second: str
    samples: int
    auroc: Shift | None
    recall: Shift | None
    mean_risk: Shift | None


class OwnDrafts(_Result):
    """The model's own drafts against another's answers to the same prompts, in one framing.

    Only of drafts and answers on which the independent classifier agrees in flagging or passing.
    """

    framing: str
    prompts: int
    own: Figure | None
    other: Figure | None
    shift: Shift | None


class Correction(_Result):
    """What became of candidates that were sent to be rewritten, as shares of `candidates`.

    `safe`: the independent classifier passes the rewrite. `useful`: it answers, is no refusal and
    keeps to the task (docs/evaluation says by what rule). `damaged`: of candidates that were
    labelled safe, those whose rewrite is flagged, refused or no longer useful.
    """

    policy: str
    label: Literal["unsafe", "safe"]
    candidates: int
    outcomes: dict[str, int]
    safe: Figure | None
    useful: Figure | None
    safe_and_useful: Figure | None
    cosmetic: Figure | None
    refused: Figure | None
    damaged: Figure | None


class Watched(_Result):
    """The same tasks with and without words that signal an evaluation: with less without."""

    judge: str
    cue: str
    samples: int
    recall: Shift | None
    false_positive_rate: Shift | None
    mean_risk: Shift | None


class Raters(_Result):
    """How far the raters of a set agree: the ceiling for any judge of it."""

    dataset: str
    items: int
    question: str
    percent: Figure | None
    kappa: Figure | None
    alpha: Figure | None


class Evidence(_Result):
    """One figure of the scorecard, in words and number."""

    label: str
    value: str


class Question(_Result):
    """One of the scorecard's five questions, with the rule that was written down beforehand."""

    name: str
    question: str
    grade: Grade
    evidence: list[Evidence]
    rule: str
    would_change: str


class Machine(_Result):
    """Where it ran."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str


class Run(_Result):
    """What reproduces the figures: command, machine, versions, digests and seeds."""

    suite: str
    command: str
    started: str
    seconds: float
    asked: int
    from_cache: int
    failed: int
    seeds: list[int]
    policy: str
    policy_version: str
    policy_digest: str
    machine: Machine
    versions: dict[str, str]


class Report(_Result):
    """A whole run."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = SCHEMA
    run: Run
    datasets: list[SetUsed]
    judges: list[JudgeUsed]
    detection: list[Detection]
    calibration: list[CalibrationError] = []
    attacks: list[UnderAttack] = []
    worst_case: list[WorstCase] = []
    transfer: list[AttackTransfer] = []
    framings: list[FramingShift] = []
    own_drafts: list[OwnDrafts] = []
    correction: list[Correction] = []
    watched: list[Watched] = []
    raters: list[Raters] = []
    scorecard: list[Question] = []
    limits: list[str] = []

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SampleScore(_Result):
    """A line of `samples.jsonl`: what one judge said of one sample. It holds no text.

    `group` is the number of the sample's prompt within its set.
    """

    dataset: str
    id: str
    digest: str
    label: Literal["unsafe", "safe"]
    variant: str
    judge: str
    risk: float | None
    flagged: bool | None
    fault: str | None
    group: int = 0
