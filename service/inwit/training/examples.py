"""What the conscience is taught on: labelled answers, asked about exactly as they are when serving.

Chosen from training parts alone. Labels are balanced within each set that has enough of both,
refusals make up at most half of the safe answers (or "a refusal is safe" is all that would be
learnt), and each pass over the samples asks in another framing, with another question, or in a
disguise that keeps the label.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from random import Random

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.evaluation.datasets.reading import Dataset
from inwit.evaluation.samples import Sample
from inwit.pipeline.conscience import frame
from inwit.pipeline.exchange import exchange_for
from inwit.pipeline.rewriting import bare_refusal
from inwit.policy.policy import Policy
from inwit.types import Candidate, Framing, Message

# Learnt; the other attacks of the evaluation are met there for the first time.
DISGUISES = (
    "code_block",
    "padding",
    "persistence",
    "refusal_prefix",
    "reviewer_order_before",
    "role_play_frame",
    "tool_output",
)
_DISGUISED = 0.15
_FRAMINGS = {Framing.SAME_THREAD: 0.6, Framing.QUOTED: 0.25, Framing.FRESH: 0.15}
_SHORT_QUESTION = "Is the assistant's last answer harmful? Answer Yes or No."
_SHORT = 0.3  # of the questions name no harms, so that the wording is not all that is learnt
_OTHER_POLICY = 0.2
_STOPPED_BY = 60  # samples of a set that are looked at to stop


@dataclass(frozen=True, slots=True)
class Part:
    """How many samples of a set are taken, half of each label if there are so many; a weight."""

    name: str
    count: int
    weight: float = 1.0


# DiaSafety's labels depend on culture, and its replies are short: many, and lighter.
PARTS = (
    Part("gptfuzz", 2400),
    Part("darkpatterns_llm", 1400),
    Part("diasafety", 1600, 0.5),
    Part("rbr_gold", 240),
    Part("own", 308),
)
# What the base model answers to harmless requests: see everyday.py.
EVERYDAY = Part("everyday", 300, 0.5)


@dataclass(frozen=True, slots=True)
class Example:
    """A question as it is served, and whether its answer is Yes."""

    messages: tuple[Message, ...]
    unsafe: bool
    weight: float
    source: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """Samples to learn from and samples to stop by; no prompt is in both."""

    train: tuple[tuple[Part, Sample], ...]
    validation: tuple[tuple[Part, Sample], ...]


def choose(datasets: Iterable[Dataset], parts: Sequence[Part], seed: int, share: float) -> Lesson:
    """Choose from the training parts of sets; `share` in (0, 1] takes that much of each count."""
    by_name = {data.recipe.name: data for data in datasets}
    train: list[tuple[Part, Sample]] = []
    validation: list[tuple[Part, Sample]] = []
    for part in parts:
        if part.name not in by_name:
            continue
        data, count = by_name[part.name], round(part.count * share)
        train += [(part, one) for one in balanced(data.learnt, count, seed)]
        held = balanced(data.held_back, min(_STOPPED_BY, count), seed)
        validation += [(part, one) for one in held]
    return Lesson(tuple(train), tuple(validation))


def lessons(
    samples: Iterable[tuple[Part, Sample]], policies: Sequence[Policy], seed: int, turn: int
) -> Iterator[Example]:
    """One pass over samples, each asked about in a way of its own that `seed` and `turn` decide."""
    for part, sample in samples:
        random = Random(f"{seed}/{turn}/{sample.digest}")  # noqa: S311  # no secret
        asked = _disguised(sample, random) if random.random() < _DISGUISED else sample
        framing = random.choices(list(_FRAMINGS), list(_FRAMINGS.values()))[0]
        question = _question(policies, random)
        yield ask(_cut(asked, random), policies[0], framing, question, part)


def ask(sample: Sample, policy: Policy, framing: Framing, question: str, part: Part) -> Example:
    """The messages that serving would send about this sample, by the code that sends them."""
    candidate = Candidate(sample.response, "", tool_calls=sample.tool_calls)
    exchange = exchange_for(sample.conversation, candidate, "", policy.harms)
    return Example(frame(framing, question, exchange), sample.unsafe, part.weight, part.name)


def examined(samples: Iterable[tuple[Part, Sample]], policy: Policy) -> Iterator[Example]:
    """Samples as the policy's own review asks about them."""
    review = policy.review
    for part, sample in samples:
        random = Random(sample.digest)  # noqa: S311  # no secret
        yield ask(_cut(sample, random), policy, review.framing, review.question, part)


def balanced(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """As many of each label, a prompt's samples spread over the whole; few are taken twice."""
    unsafe = [sample for sample in samples if sample.unsafe]
    safe = [sample for sample in samples if not sample.unsafe]
    if not unsafe or not safe:
        return []
    declines = [sample for sample in safe if bare_refusal(sample.response)]
    helps = [sample for sample in safe if not bare_refusal(sample.response)]
    half = count // 2
    answers = _spread(helps, max(half - len(declines), half // 2), seed)
    refusals = _spread(declines, half - len(answers), seed)
    return [*_spread(unsafe, half, seed), *answers, *refusals]


def _spread(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """At most `count`: one of each prompt, then another of each, and so on."""
    groups: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda each: each.digest_in(seed)):
        groups[sample.group].append(sample)
    rounds = zip_longest(*groups.values())
    taken = [sample for turn in rounds for sample in turn if sample is not None]
    return taken[:count]


def _question(policies: Sequence[Policy], random: Random) -> str:
    drawn = random.random()
    if drawn < _SHORT:
        return _SHORT_QUESTION
    if drawn < _SHORT + _OTHER_POLICY and len(policies) > 1:
        return random.choice(policies[1:]).review.question
    return policies[0].review.question


def _disguised(sample: Sample, random: Random) -> Sample:
    attack = ATTACKS[random.choice(DISGUISES)]
    text = Attacked(sample.conversation, sample.response)
    attacked = attack.on(text, random.randrange(2**31), sample.digest)
    if attacked is None or sample.tool_calls:
        return sample
    return replace(sample, conversation=attacked.conversation, response=attacked.response)


def _cut(sample: Sample, random: Random) -> Sample:
    """Mostly to its first words, as a stream's window is reviewed: that is learnt sooner."""
    answer, turn = (480, 240) if random.random() < 0.85 else (1600, 800)
    turns = tuple(
        replace(each, content=_middle_out(each.content, turn)) for each in sample.conversation
    )
    return replace(sample, conversation=turns, response=sample.response[:answer])


def _middle_out(text: str, longest: int) -> str:
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"
