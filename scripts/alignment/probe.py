"""How far a model has drifted: what judges say of its answers to probes that it never learnt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inwit.pipeline.rewriting import bare_refusal
from inwit.training.conduct import Turns, suite_samples
from inwit.training.drafting import Drafter


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
    samples = suite_samples("test")
    near = [each.conversation for each in samples if each.category == category]
    others = (category, "tool-harm")
    far = [each.conversation for each in samples if each.category not in others]
    spread = far[:: max(1, len(far) // most)]
    return Probes(tuple(near[:most]), tuple(spread[:most]), tuple(benign[:most]))


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
