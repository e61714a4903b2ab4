"""The work of `inwit train align`: a file of answers to learn, pairs to align by, an adapter."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from peft import PeftModel
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inwit.errors import SetupError
from inwit.evaluation.datasets.own import read_own
from inwit.policy.policy import Policy
from inwit.training.align import AlignPlan, Written, align
from inwit.training.conscience import load_base
from inwit.training.drafting import CONSCIENCE, Drafter, Thresholds
from inwit.training.pairs import Pair, read_pairs
from inwit.types import Message, MessageRole

_DRAFTED_TOKENS = 96
_DRAFTED_AT_ONCE = 16  # conversations, each time that pairs are made online


class _Turn(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    role: MessageRole
    content: str


class _Answer(_Turn):
    role: Literal["assistant"]  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: Annotated[list[_Turn], Field(min_length=1)]
    completion: Annotated[list[_Answer], Field(min_length=1, max_length=1)]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was asked to do; see its options. Without `conscience` the base judges."""

    base: Path
    tune: Path
    out: Path
    plan: AlignPlan
    conscience: Path | None
    pairs: Path | None = None
    online: bool = False
    question: str | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The model with its adapter, both losses by step, and how many pairs there were at first."""

    model: Any
    drafter: Drafter
    losses: list[tuple[float, float]]
    pairs: int


def read_written(file: Path) -> list[Written]:
    """Conversations with the answers to learn, in TRL's shape (`prompt`, `completion`).

    Raises:
        SetupError: the file cannot be read or a line is wrong; with the line, not its content.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise SetupError(f"{file}: it must be a readable file of JSON lines.") from error
    return list(_written(lines, file))


def tune(request: Request, policy: Policy, say: Callable[[str], None]) -> Tuned:
    """Fine-tune with the alignment term, and keep the adapter in `out`/adapter.

    Raises:
        SetupError: there is nothing to learn, or there are no pairs to align by.
    """
    written = read_written(request.tune)
    if not written:
        raise SetupError(f"{request.tune}: no answers to learn are in it.")
    asked = [turns for turns, _ in written] + _suite_prompts()
    model, tokenizer = load_base(request.base)
    judge = partial(_drafter, tokenizer=tokenizer, policy=policy, request=request)
    if request.pairs is None:
        say(f"drafting on {len(asked)} prompts for pairs")
        peft = _with_conscience(model, request.conscience)
        pairs = list(judge(peft).pairs(asked, _DRAFTED_TOKENS))
        model = peft.unload()
    else:
        pairs = read_pairs(request.pairs)
    say(f"{len(pairs)} pairs to align by")
    renew = _renewing(judge, asked, request) if request.online else None
    student, losses = align(model, tokenizer, written, pairs, request.plan, request.out, renew)
    student.save_pretrained(request.out / "adapter", selected_adapters=["default"])
    return Tuned(student, judge(_judged(student, request.conscience)), losses, len(pairs))


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


def _with_conscience(model: Any, folder: Path | None) -> Any:
    if folder is None:
        raise SetupError("--conscience: an adapter is needed to judge by.")
    return PeftModel.from_pretrained(model, folder, adapter_name=CONSCIENCE)


def _judged(student: Any, folder: Path | None) -> Any:
    """The student with the conscience beside it, loaded once."""
    if folder is not None and CONSCIENCE not in student.peft_config:
        student.load_adapter(folder, CONSCIENCE, is_trainable=False)
        student.set_adapter("default")
    return student


def _drafter(model: Any, *, tokenizer: Any, policy: Policy, request: Request) -> Drafter:
    question = request.question or policy.review.question
    return Drafter(model, tokenizer, policy, question, thresholds_of(policy))


def thresholds_of(policy: Policy) -> Thresholds:
    """From where on a policy's judges flag; raw risks are asked for, so the uncalibrated ones."""
    rule = policy.classifier
    lower = policy.thresholds.for_risk(calibrated=False).lower
    return Thresholds(lower, rule.thresholds.lower if rule else 1.0)


def _suite_prompts() -> list[tuple[Message, ...]]:
    """The conversations of the own suite's training half, without those that call tools."""
    found = {
        sample.group: sample.conversation
        for sample in read_own()
        if sample.split == "train" and not sample.tool_calls
    }
    return [
        tuple(replace(turn, tool_calls=()) for turn in turns)
        for turns in found.values()
        if all(turn.role != "tool" for turn in turns)
    ]


def _written(lines: list[str], file: Path) -> Iterator[Written]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _Row.model_validate_json(line)
        except ValidationError:
            raise SetupError(
                f"{file}:{number}: not an answer to learn: `prompt` is a list of messages and "
                "`completion` a list of one assistant message."
            ) from None
        turns = tuple(Message(each.role, each.content) for each in row.prompt)
        yield turns, row.completion[0].content
