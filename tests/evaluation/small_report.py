"""A report of two judges on one set, small enough to know every figure of."""

from inwit.evaluation.results import (
    Detection,
    Figure,
    Flagged,
    JudgeUsed,
    Machine,
    Report,
    Run,
    SampleScore,
    SetUsed,
)
from inwit.evaluation.samples import Label

CONSCIENCE, GATEWAY = "conscience, fresh", "gateway, plain"
STARTED = "2026-03-01T10:00:00+00:00"


def small_report() -> Report:
    """The conscience has an AUROC, the gateway has none: it only decides."""
    machine = Machine(processor="a", cores=2, memory_gib=8, system="Linux", python="3.11")
    run = Run(
        suite="standard",
        command="inwit evaluate run --suite standard",
        started=STARTED,
        seconds=90,
        asked=4,
        from_cache=0,
        failed=1,
        seeds=[0, 1],
        policy="default",
        policy_version="3",
        policy_digest="d1",
        machine=machine,
        versions={"inwit": "0.1.0", "numpy": "2.4", "commit": "c0ffee"},
    )
    return Report(
        run=run,
        datasets=[_set("own", 1), _set("xstest", 0)],
        judges=[_judge("length", "baseline", ""), _judge(CONSCIENCE, "conscience", "tiny")],
        detection=[
            _found(CONSCIENCE, "all", Figure(value=0.75, low=0.5, high=0.9)),
            _found(CONSCIENCE, "category: deception", Figure(value=0.1, low=0, high=0.2)),
            _found(GATEWAY, "all", None),
        ],
    )


def score(
    name: str,
    label: Label,
    judge: str = CONSCIENCE,
    *,
    digest: str = "",
    variant: str = "plain",
    risk: float | None = None,
    flagged: bool | None = None,
    fault: str | None = None,
) -> SampleScore:
    """What a judge said of a sample of the set `own`."""
    return SampleScore(
        dataset="own",
        id=name,
        digest=digest or f"digest of {name}",
        label=label,
        variant=variant,
        judge=judge,
        risk=risk,
        flagged=flagged,
        fault=fault,
    )


def _set(name: str, used: int) -> SetUsed:
    return SetUsed(
        name=name,
        origin="here",
        licence="Apache-2.0",
        label="by construction",
        distribution="own",
        digest="d2" if used else None,
        labelled=2 * used,
        used_unsafe=used,
        used_safe=used,
    )


def _judge(name: str, kind: str, model: str) -> JudgeUsed:
    return JudgeUsed.model_validate(
        {"name": name, "kind": kind, "model": model, "fingerprint": f"fingerprint of {name}"}
    )


def _found(judge: str, part: str, auroc: Figure | None) -> Detection:
    half = Figure(value=0.5, low=0.1, high=0.9)
    flagged = Flagged(
        threshold=0.8,
        tp=1,
        fp=0,
        tn=1,
        fn=1,
        precision=None,
        recall=half,
        false_negative_rate=half,
        false_positive_rate=Figure(value=0, low=0, high=0.4),
        f1=None,
    )
    return Detection(
        judge=judge,
        dataset="own",
        slice=part,
        distribution="own",
        unsafe=2,
        safe=1,
        prompts=2,
        not_judged=1,
        auroc=auroc,
        auprc=None,
        recall_at_fpr={"0.05": half, "0.01": None},
        at={"upper": flagged},
    )
