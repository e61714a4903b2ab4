"""The work of `inwit calibrate`: samples to scores, scores to a fit, a fit to a file."""

import asyncio
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from inwit import __version__
from inwit.config import Settings
from inwit.errors import SetupError
from inwit.evaluation.asking import ask_all, served_model
from inwit.evaluation.fitting import Making, check_counts, check_signal, fit, make_calibration
from inwit.evaluation.reliability import bin_table, draw
from inwit.evaluation.samples import Sample, Samples, choose, read_samples
from inwit.evaluation.scores import Score, Scores, open_scores, scored_model
from inwit.evaluation.statistics.calibration_error import Bin, reliability
from inwit.evaluation.statistics.observations import Observations
from inwit.evaluation.statistics.ranking import measure_auroc
from inwit.policy.calibration import (
    Calibration,
    Fingerprint,
    Quality,
    dump_calibration,
    load_calibration,
)
from inwit.policy.policy import Policy, ReviewSpec
from inwit.types import Framing, Verdict


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was asked to do; see its options."""

    samples: Path
    out: Path
    model: str | None = None
    framing: Framing | None = None
    scores: Path | None = None
    limit: int | None = None
    prior: float | None = None
    seed: int = 0
    concurrency: int = 4
    max_unjudged: float = 0.2
    force: bool = False


def calibrate(settings: Settings, policy: Policy, request: Request, out: Console) -> Path:
    """Make a calibration and give its file; what is found on the way goes to `out`.

    Raises:
        SetupError: the samples, the scores or the judge are not good enough; nothing is written.
        UpstreamError: the model server failed.
    """
    read = read_samples(request.samples)
    chosen = choose(read.samples, request.limit, request.seed)
    _tell_samples(read, chosen, out)
    unsafe = sum(sample.label == "unsafe" for sample in chosen)
    check_counts(len(chosen) - unsafe, unsafe, len({sample.group for sample in chosen}))
    review = policy.review
    if request.framing is not None:
        review = replace(review, framing=request.framing)
    scores = asyncio.run(_score(settings, review, chosen, request, out))
    return _fit(scores, chosen, policy, request, out)


async def _score(
    settings: Settings,
    review: ReviewSpec,
    samples: tuple[Sample, ...],
    request: Request,
    out: Console,
) -> Scores:
    """Have a score for each sample; the model is started only where one is missing."""
    model, reviewer = _named(settings, request)
    if reviewer is not None:
        with open_scores(request.scores, reviewer, review) as scores:
            if all(scores.is_settled(sample) for sample in samples):
                return scores
    async with served_model(settings, model) as client:
        reviewer = client.reviewer_of(client.resolve(None))
        with open_scores(request.scores, reviewer, review) as scores:
            missing = [sample for sample in samples if not scores.is_settled(sample)]
            out.print(f"Asking {reviewer} about {len(missing)} samples.")
            with _progress() as progress:
                task = progress.add_task("judged", total=len(missing))

                def tell(sample: Sample, verdict: Verdict) -> None:
                    scores.add(sample, verdict)
                    progress.advance(task)

                await ask_all(client, review, missing, request.concurrency, tell)
            return scores


def _named(settings: Settings, request: Request) -> tuple[str | None, str | None]:
    """The model to use and what reviews for it, as far as names tell before a server is asked."""
    scored = scored_model(request.scores)
    if settings.model_url is None:  # INWIT_MODEL names a model of a server, not the embedded one
        return request.model, request.model or scored
    model = request.model or settings.model
    if settings.conscience_model is not None:
        return model, settings.conscience_model
    return model or scored, model or scored


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def _fit(
    scores: Scores, chosen: tuple[Sample, ...], policy: Policy, request: Request, out: Console
) -> Path:
    known = [(sample, score) for sample in chosen if (score := scores.get(sample)) is not None]
    not_judged = _check_judged(known, request.max_unjudged, out)
    observations = _observations(known)
    fitted = fit(observations, request.seed)
    signal = measure_auroc(observations, request.seed)
    before = reliability(observations.raw, observations.unsafe)
    out.print(f"AUROC of the raw risk: {signal} (95 % interval, resampled by prompt)")
    out.print(bin_table("Before", before))
    if not request.force:
        check_signal(signal)
    after = reliability(fitted.predictions, observations.unsafe)
    out.print(bin_table(f"After, by {fitted.method}, cross-validated by prompt", after))
    making = Making(
        fingerprint=scores.fingerprint,
        prior=request.prior,
        seed=request.seed,
        not_judged=not_judged,
        forced=signal.low <= 0.5,
        made=datetime.now(UTC),
        tool=f"inwit {__version__}",
    )
    calibration = make_calibration(observations, fitted, signal, making)
    briers = ", ".join(f"{method} {value:.4f}" for method, value in fitted.briers.items())
    out.print(f"Cross-validated Brier score: {briers}; taken: {fitted.method}")
    _tell_quality(calibration.facts.before, calibration.facts.after, out)
    _tell_prior(calibration, request, out)
    _tell_policy(calibration, observations, policy, out)
    return _save(calibration, before, after, request.out, out)


def _save(
    calibration: Calibration, before: list[Bin], after: list[Bin], folder: Path, out: Console
) -> Path:
    file = folder / f"{file_stem(calibration.fingerprint)}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draw(file.with_name(f"{file.stem}.png"), calibration, before, after)
        _write(file, calibration)
    except OSError as error:
        raise SetupError(
            f"{file}: {error.strerror}. --out must be a folder to write to."
        ) from error
    out.print(f"Written: {file}, and its plot beside it.")
    out.print(
        "A gateway applies it after its next start, with INWIT_CALIBRATION_DIR on that folder."
    )
    return file


def _check_judged(known: list[tuple[Sample, Score]], most: float, out: Console) -> int:
    faults = Counter(score.fault.value for _, score in known if score.fault is not None)
    total = faults.total()
    told = ", ".join(f"{count} {fault}" for fault, count in sorted(faults.items())) or "none"
    out.print(f"Not judged, and left out: {total} of {len(known)} ({told})")
    if total > most * len(known):
        raise SetupError(
            f"{total} of {len(known)} samples were not judged ({told}). What is left is no fair "
            "choice of the samples. Look after the cause, or raise --max-unjudged."
        )
    return total


def _observations(known: Iterable[tuple[Sample, Score]]) -> Observations:
    judged = [(sample, score.raw) for sample, score in known if score.raw is not None]
    # In an order of their own: the same scores then give the same fit, however the file is sorted.
    judged.sort(key=lambda pair: (pair[0].digest, pair[0].label))
    numbers: dict[int, int] = {}
    groups = [numbers.setdefault(sample.group, len(numbers)) for sample, _ in judged]
    return Observations(
        raw=np.array([raw for _, raw in judged], dtype=np.float64),
        unsafe=np.array([sample.label == "unsafe" for sample, _ in judged], dtype=np.bool_),
        groups=np.array(groups, dtype=np.int64),
    )


def _tell_samples(read: Samples, chosen: tuple[Sample, ...], out: Console) -> None:
    out.print(
        f"Samples: {len(read.samples)} labelled responses, {len(chosen)} of them taken; skipped "
        f"{read.skipped} without a label or a response, {read.repeated} repeated."
    )


def _tell_quality(before: Quality, after: Quality, out: Console) -> None:
    for name, was, now in (
        ("Brier score", before.brier, after.brier),
        ("ECE, 15 bins of one width", before.ece, after.ece),
        ("ECE, 15 bins of one mass", before.ece_adaptive, after.ece_adaptive),
    ):
        out.print(f"{name}: {was} before, {now} after")


def _tell_prior(calibration: Calibration, request: Request, out: Console) -> None:
    facts = calibration.facts
    if request.prior is None:
        out.print(
            f"Calibrated risks refer to samples of which {facts.samples_prior:.1%} are unsafe, and "
            "thresholds to such samples. Where production's own share is known, give it as --prior."
        )
    else:
        out.print(
            f"Calibrated risks refer to production with {facts.prior:.4%} unsafe responses (the "
            f"samples have {facts.samples_prior:.1%}), and so must the policy's thresholds."
        )


def _tell_policy(
    calibration: Calibration, observations: Observations, policy: Policy, out: Console
) -> None:
    """What the policy's thresholds make of the samples: a low prior leaves little above them."""
    lower = policy.lowest(calibrated=True)
    flagged = np.array([calibration.apply(raw) >= lower for raw in observations.raw.tolist()])
    unsafe, safe = flagged[observations.unsafe].mean(), flagged[~observations.unsafe].mean()
    out.print(
        f"With it the policy {policy.name!r}, which passes what lies below {lower}, would not pass "
        f"{unsafe:.1%} of the unsafe samples and {safe:.1%} of the safe ones."
    )
    if not unsafe:
        out.print(
            "WARNING: no unsafe sample would be caught. Lower the policy's thresholds before this "
            "file is used."
        )


def file_stem(fingerprint: Fingerprint) -> str:
    """MODEL-FRAMING-QUESTION, with a digest where the model's name is no file name."""
    model = re.sub(r"[^A-Za-z0-9._-]", "_", fingerprint.model)[:100].lstrip(".")
    if model != fingerprint.model:
        model += "~" + hashlib.sha256(fingerprint.model.encode()).hexdigest()[:8]
    return f"{model}-{fingerprint.framing.value}-{fingerprint.question_digest}"


def _write(file: Path, calibration: Calibration) -> None:
    """All of it or nothing, and only what the gateway can read."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        with partial.open("wb") as opened:
            opened.write(dump_calibration(calibration))
            opened.flush()
            os.fsync(opened.fileno())
        load_calibration(partial)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
