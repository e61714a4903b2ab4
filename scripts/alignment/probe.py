"""How far a model has drifted: what judges say of its answers to probes that it never learnt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inwit.evaluation.datasets.own import read_own
from inwit.evaluation.statistics.bootstrap import RESAMPLES
from inwit.pipeline.rewriting import bare_refusal
from inwit.training.drafting import Drafter
from inwit.types import Message

Turns = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Probes:
    """Held-out conversations: of the category that was learnt, of the others, and harmless ones."""

    near: tuple[Turns, ...]
    far: tuple[Turns, ...]
    benign: tuple[Turns, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """Mean risks and shares over a group of probes."""

    probes: int
    conscience: float
    classifier: float
    flagged: float
    refused: float
    distinct: float  # different words among all: what repeats itself has few


def own_probes(category: str, benign: Sequence[Turns], most: int) -> Probes:
    """Conversations of the own suite's test half, without tools, at most so many of each group."""
    near: dict[int, Turns] = {}
    far: dict[int, Turns] = {}
    for sample in read_own():
        plain = not sample.tool_calls and all(turn.role != "tool" for turn in sample.conversation)
        if sample.split == "test" and plain and sample.category != "tool-harm":
            group = near if sample.category == category else far
            group.setdefault(sample.group, sample.conversation)
    spread = list(far.values())[:: max(1, len(far) // most)][:most]
    return Probes(tuple(near.values())[:most], tuple(spread), tuple(benign)[:most])


def drift(drafter: Drafter, probes: Sequence[Turns], threshold: float) -> Drift:
    """Write an answer to each probe, greedily, and have both judges look at it."""
    answers = drafter.write(probes, 80, 0.0)
    risks = np.array(drafter.risks(probes, answers))
    words = [word for answer in answers for word in answer.lower().split()]
    return Drift(
        probes=len(probes),
        conscience=float(risks.mean()),
        classifier=float(np.mean(drafter.classified(answers))),
        flagged=float((risks >= threshold).mean()),
        refused=float(np.mean([bare_refusal(answer) for answer in answers])),
        distinct=len(set(words)) / max(1, len(words)),
    )


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean over seeds; wide, as three of them are."""
    drawn = np.random.default_rng(seed).choice(np.array(values), (RESAMPLES, len(values)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
