"""The work of `inwit train conscience`: sets to examples, examples to an adapter in two formats."""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from inwit.errors import SetupError
from inwit.evaluation.datasets.reading import Dataset, Found, find
from inwit.policy.policy import Policy
from inwit.training.conscience import Plan, Trained, train
from inwit.training.drafting import everyday_samples
from inwit.training.examples import (
    DISGUISES,
    EVERYDAY,
    PARTS,
    Lesson,
    choose,
    examined,
    lessons,
)
from inwit.training.facts import FILE, Facts, SeedTrained, SetTaught, run_on, weights_digest
from inwit.training.gguf_adapter import writable, write_gguf
from inwit.training.resuming import begin, digest_of, end

_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "gguf")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was asked to do; see its options."""

    name: str
    base: Path
    out: Path
    data: Path | None
    plan: Plan
    seeds: tuple[int, ...] = (0,)
    passes: int = 2
    share: float = 1.0
    everyday: int = 300
    resume: bool = False


@dataclass(frozen=True, slots=True)
class _Seed:
    """A training that is to be: what it learns, and the digest of all that it follows from."""

    number: int
    lesson: Lesson
    digest: str


def teach(request: Request, policies: Sequence[Policy], say: Callable[[str], None]) -> Facts:
    """Train an adapter for each seed, and keep the best by its validation samples.

    The first of `policies` asks the question that is measured; the others' are learnt beside it.

    Raises:
        SetupError: there is nothing to train on, the base model cannot be used, what is to be
            gone on with is another training, or every training diverged.
    """
    if not writable(_config(request.base)):
        say("the base is no Llama model: there will be an adapter for vLLM, and none for llama.cpp")
    found = find(request.data, [part.name for part in PARTS])
    for recipe in found.missing:
        say(f"not here, so not trained on: {recipe.name} ({recipe.origin})")
    whole = _whole(request, policies, found.datasets)
    seeds = [_seed(request, found.datasets, whole, number) for number in request.seeds]
    # All before the first training: one that is killed leaves no older training in the folders of
    # seeds that it did not reach, or it could not be gone on with.
    ended = [
        begin(_folder(request, each.number), each.digest, resume=request.resume) for each in seeds
    ]
    trained: list[SeedTrained] = []
    for each, before in zip(seeds, ended, strict=True):
        say(f"seed {each.number}: {len(each.lesson.train)} samples, {request.passes} passes")
        trained.append(before or _one_seed(request, policies, each))
        say(_told(trained[-1]))
    best = _best(trained)
    lesson = next(each.lesson for each in seeds if each.number == best.seed)
    facts = _facts(request, policies, found, lesson, trained, best.seed)
    _keep(request, best.seed, facts)
    return facts


def _seed(
    request: Request, datasets: Sequence[Dataset], whole: dict[str, Any], number: int
) -> _Seed:
    lesson = choose(datasets, PARTS, number, request.share)
    ordinary = everyday_samples(request.base, request.everyday, number)
    lesson = replace(lesson, train=(*lesson.train, *((EVERYDAY, one) for one in ordinary)))
    if not lesson.train or not lesson.validation:
        raise SetupError("There is too little to train on: give more sets, or a larger --share.")
    # The answers too: they are sampled, and another machine may write others.
    digest = digest_of({**whole, "seed": number, "answers": _ordinary(lesson).digest})
    return _Seed(number, lesson, digest)


def _told(trained: SeedTrained) -> str:
    if not isfinite(trained.loss):
        return f"seed {trained.seed}: diverged, its loss on validation samples is no number"
    return f"seed {trained.seed}: AUROC on validation samples {trained.auroc['auroc']:.3f}"


def _best(trained: Sequence[SeedTrained]) -> SeedTrained:
    finite = [each for each in trained if isfinite(each.loss)]
    if not finite:
        raise SetupError(
            "Every training diverged: its loss on validation samples is no number. "
            "Train anew (without --resume) with a lower --learning-rate."
        )
    return min(finite, key=lambda each: each.loss)


def _facts(
    request: Request,
    policies: Sequence[Policy],
    found: Found,
    lesson: Lesson,
    trained: list[SeedTrained],
    chosen: int,
) -> Facts:
    return Facts(
        adapter=request.name,
        **run_on(request.base, _LIBRARIES),
        policy=policies[0].name,
        questions=[each.review.question_digest for each in policies],
        plan={key: float(value) for key, value in dataclasses.asdict(request.plan).items()},
        passes=request.passes,
        share=request.share,
        disguises=list(DISGUISES),
        datasets=[*map(partial(_taught, lesson), found.datasets), _ordinary(lesson)],
        missing=[recipe.name for recipe in found.missing],
        seeds=trained,
        chosen=chosen,
    )


def _whole(
    request: Request, policies: Sequence[Policy], datasets: Sequence[Dataset]
) -> dict[str, Any]:
    """All that a training follows from, but for its seed."""
    return {
        "base": weights_digest(request.base),
        "plan": dataclasses.asdict(request.plan),
        "passes": request.passes,
        "share": request.share,
        "everyday": request.everyday,
        "policies": [each.ref.digest for each in policies],
        "datasets": {data.recipe.name: data.digest for data in datasets},
    }


def _one_seed(request: Request, policies: Sequence[Policy], seed: _Seed) -> SeedTrained:
    examples = [
        example
        for turn in range(request.passes)
        for example in lessons(seed.lesson.train, policies, seed.number, turn)
    ]
    validation = list(examined(seed.lesson.validation, policies[0]))
    started = time.monotonic()
    plan, out = replace(request.plan, seed=seed.number), _folder(request, seed.number)
    found: Trained = train(request.base, examples, validation, plan, out, resume=request.resume)
    seconds = round(time.monotonic() - started, 1)
    trained = SeedTrained(
        seed=seed.number, auroc=found.auroc, loss=found.loss, steps=found.steps, seconds=seconds
    )
    end(out, seed.digest, trained)
    return trained


def _folder(request: Request, seed: int) -> Path:
    return request.out / f"seed-{seed}"


def _keep(request: Request, seed: int, facts: Facts) -> None:
    """Copy the chosen adapter, as GGUF too where that can be, and the facts last: what is there
    is whole.
    """
    adapter = request.out / "peft"
    shutil.rmtree(adapter, ignore_errors=True)
    adapter.mkdir(parents=True)
    made = _folder(request, seed) / "adapter"
    shutil.copyfile(made / "adapter_model.safetensors", adapter / "adapter_model.safetensors")
    config = json.loads((made / "adapter_config.json").read_text("utf-8"))
    config["base_model_name_or_path"] = request.base.name  # and not where it lies on this machine
    text = json.dumps(config, indent=1, sort_keys=True)
    (adapter / "adapter_config.json").write_text(f"{text}\n", "utf-8")
    base, for_llama_cpp = _config(request.base), request.out / "conscience.gguf"
    if writable(base):
        write_gguf(adapter, base, for_llama_cpp, request.name)
    else:
        for_llama_cpp.unlink(missing_ok=True)
    (request.out / FILE).write_text(facts.model_dump_json(indent=1) + "\n", "utf-8")


def _config(base: Path) -> dict[str, Any]:
    return dict(json.loads((base / "config.json").read_text("utf-8")))


def _taught(lesson: Lesson, data: Dataset) -> SetTaught:
    name = data.recipe.name
    labels = [sample.unsafe for part, sample in lesson.train if part.name == name]
    return SetTaught(
        name=name,
        origin=data.recipe.origin,
        licence=data.recipe.licence,
        digest=data.digest,
        unsafe=sum(labels),
        safe=len(labels) - sum(labels),
        validation=sum(part.name == name for part, _ in lesson.validation),
        weight=next(part.weight for part in PARTS if part.name == name),
    )


def _ordinary(lesson: Lesson) -> SetTaught:
    digests = [sample.digest for part, sample in lesson.train if part is EVERYDAY]
    return SetTaught(
        name=EVERYDAY.name,
        origin="the base model's answers to harmless requests (training/everyday.py)",
        licence="Apache-2.0",
        digest=hashlib.sha256("".join(digests).encode()).hexdigest(),
        unsafe=0,
        safe=len(digests),
        validation=0,
        weight=EVERYDAY.weight,
    )
