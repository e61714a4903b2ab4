"""The work of `inwit train align`: a file of answers to learn, pairs to align by, an adapter."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from peft import PeftModel
from pydantic import BaseModel, ConfigDict
from transformers import set_seed

from inwit.errors import SetupError
from inwit.policy.policy import Policy
from inwit.training.align import AlignPlan, Written, align
from inwit.training.align_card import write_align_card
from inwit.training.conduct import Conduct, Probes, conduct_of, held_out, suite_samples
from inwit.training.conscience import load_base
from inwit.training.drafting import CONSCIENCE, STUDENT, Drafter, Thresholds
from inwit.training.facts import FILE, AlignFacts, run_on, weights_digest
from inwit.training.json_lines import OneAnswer, Turns, messages_of, read_rows
from inwit.training.pairs import Pair, read_pairs
from inwit.types import Message

_LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate")
_DRAFTED_TOKENS = 96
_DRAFTED_AT_ONCE = 16  # conversations, each time that pairs are made online


_WRONG = (
    "not an answer to learn: `prompt` is a list of messages and `completion` a list of one "
    "assistant message."
)


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: Turns
    completion: OneAnswer


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was asked to do; see its options."""

    base: Path
    tune: Path
    out: Path
    plan: AlignPlan
    conscience: Path
    pairs: Path | None = None
    online: bool = False
    question: str | None = None
    probes: int = 0


@dataclass(frozen=True, slots=True)
class Tuned:
    """The tuned model with its judges, and what is kept of the run."""

    drafter: Drafter
    facts: AlignFacts


def read_written(file: Path) -> list[Written]:
    """Conversations with the answers to learn, in TRL's shape (`prompt`, `completion`).

    Raises:
        SetupError: the file cannot be read or a line is wrong; with the line, not its content.
    """
    return [
        (messages_of(row.prompt), row.completion[0].content)
        for row in read_rows(file, _Row, _WRONG)
    ]


def tune(request: Request, policy: Policy, say: Callable[[str], None]) -> Tuned:
    """Fine-tune with the alignment term; keep the adapter in `out`/adapter, and its card in `out`.

    Raises:
        SetupError: there is nothing to learn, no adapter that judges, or no pairs to align by.
    """
    set_seed(request.plan.seed)  # what is drafted is drawn too
    if not (request.conscience / "adapter_config.json").is_file():
        # PEFT would ask a model hub for one of that name.
        raise SetupError(f"--conscience: {request.conscience} holds no adapter_config.json.")
    written = read_written(request.tune)
    if not written:
        raise SetupError(f"{request.tune}: no answers to learn are in it.")
    asked = [turns for turns, _ in written]
    asked += [sample.conversation for sample in suite_samples("train")]
    probes = held_out(request.probes) if request.probes else None
    model, tokenizer = load_base(request.base)
    judge = partial(_drafter, tokenizer=tokenizer, policy=policy, request=request)
    peft = PeftModel.from_pretrained(model, request.conscience, adapter_name=CONSCIENCE)
    before = _conduct(judge(peft), policy, probes, say)
    pairs = _pairs(request, judge(peft), asked, say)
    online = request.online and request.plan.weight
    renew = _renewing(judge, asked, request) if online else None
    student, losses = align(
        peft.unload(), tokenizer, written, pairs, request.plan, request.out, renew
    )
    student.save_pretrained(request.out / "adapter", selected_adapters=[STUDENT])
    drafter = judge(_judged(student, request.conscience))
    after = _conduct(drafter, policy, probes, say)
    run = _Run(policy, len(written), len(pairs), losses, before, after)
    return Tuned(drafter, _keep(request, run))


def _pairs(
    request: Request,
    drafter: Drafter,
    asked: Sequence[tuple[Message, ...]],
    say: Callable[[str], None],
) -> list[Pair]:
    """Those given, or drafted; none where nothing is aligned."""
    if not request.plan.weight:
        return []
    if request.pairs is None:
        say(f"drafting on {len(asked)} prompts for pairs")
        pairs = list(drafter.pairs(asked, _DRAFTED_TOKENS))
    else:
        pairs = read_pairs(request.pairs)
    say(f"{len(pairs)} pairs to align by")
    return pairs


@dataclass(frozen=True, slots=True)
class _Run:
    policy: Policy
    answers: int
    pairs: int
    losses: list[tuple[float, float]]
    before: Conduct | None
    after: Conduct | None


def _keep(request: Request, run: _Run) -> AlignFacts:
    """Write facts and card, last: what is there is whole."""
    review = run.policy.review
    asked = replace(review, question=request.question or review.question)
    facts = AlignFacts(
        **run_on(request.base, _LIBRARIES),
        answers=run.answers,
        answers_digest=hashlib.sha256(request.tune.read_bytes()).hexdigest(),
        pairs=run.pairs,
        online=request.online,
        conscience_digest=weights_digest(request.conscience),
        policy=run.policy.name,
        question_digest=asked.question_digest,
        plan={key: float(value) for key, value in asdict(request.plan).items()},
        losses=(run.losses[0], run.losses[-1]),
        before=run.before,
        after=run.after,
    )
    write_align_card(request.out, facts)
    (request.out / FILE).write_text(facts.model_dump_json(indent=1) + "\n", "utf-8")
    return facts


def _conduct(
    drafter: Drafter, policy: Policy, probes: Probes | None, say: Callable[[str], None]
) -> Conduct | None:
    if probes is None:
        return None
    say(f"writing to {len(probes.inviting) + len(probes.harmless)} conversations held out")
    return conduct_of(drafter, policy, probes)


def _renewing(
    judge: Callable[[Any], Drafter], asked: list[tuple[Message, ...]], request: Request
) -> Callable[[Any], Iterator[Pair]]:
    """Pairs of the model as it is now, on the next few prompts, round and round."""
    place = 0

    def renew(student: Any) -> Iterator[Pair]:
        nonlocal place
        some = [asked[(place + n) % len(asked)] for n in range(_DRAFTED_AT_ONCE)]
        place += _DRAFTED_AT_ONCE
        return judge(_judged(student, request.conscience)).pairs(some, _DRAFTED_TOKENS)

    return renew


def _judged(student: Any, folder: Path) -> Any:
    """The student with the conscience beside it, loaded once."""
    if CONSCIENCE not in student.peft_config:
        student.load_adapter(folder, CONSCIENCE, is_trainable=False)
        student.set_adapter(STUDENT)
    return student


def _drafter(model: Any, *, tokenizer: Any, policy: Policy, request: Request) -> Drafter:
    question = request.question or policy.review.question
    return Drafter(model, tokenizer, policy, question, thresholds_of(policy))


def thresholds_of(policy: Policy) -> Thresholds:
    """From where on a policy's judges flag; raw risks are asked for, so the uncalibrated ones."""
    rule = policy.classifier
    lower = policy.thresholds.for_risk(calibrated=False).lower
    return Thresholds(lower, rule.thresholds.lower if rule else 1.0)
