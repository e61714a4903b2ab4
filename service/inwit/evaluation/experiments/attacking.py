"""Does it resist: every attack on a draw of samples, the worst case, and what evades others too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.evaluation.experiments.figures import figure, flagged, shift
from inwit.evaluation.results import AttackTransfer, UnderAttack, WorstCase
from inwit.evaluation.samples import Sample, content_digest
from inwit.evaluation.statistics import transfer
from inwit.evaluation.statistics.detection import DECISION, detect_decisions
from inwit.evaluation.statistics.observations import Bools, Decisions, Integers
from inwit.evaluation.statistics.paired import paired_decisions


@dataclass(frozen=True, slots=True)
class Variant:
    """A sample under an attack; `place` is that of the plain one in the draw."""

    attack: str
    place: int
    sample: Sample


def variants(samples: Sequence[Sample], seeds: Sequence[int]) -> list[Variant]:
    """Every attack on every sample to which it applies; each sample has one of the seeds."""
    return [
        Variant(name, place, attacked)
        for name, attack in ATTACKS.items()
        for place, sample in enumerate(samples)
        for attacked in [_under(sample, attack.name, seeds[place % len(seeds)])]
        if attacked is not None
    ]


def attacking(
    samples: Sequence[Sample],
    under: Sequence[Variant],
    groups: Integers,
    caught: Mapping[str, tuple[Bools, Bools]],
    seed: int,
) -> tuple[list[UnderAttack], list[WorstCase], list[AttackTransfer]]:
    """What came of it.

    `groups` are the prompts of the samples over all sets. `caught` has by judge what it flagged:
    of the plain samples, and of the variants. What was not judged counts as flagged, as the
    default policy has it.
    """
    unsafe = np.array([sample.unsafe for sample in samples])
    found = [
        _under_attack(judge, name, under, unsafe, groups, flags, seed)
        for judge, flags in caught.items()
        for name in ATTACKS
        if any(each.attack == name for each in under)
    ]
    held = {judge: _held(under, unsafe, flags) for judge, flags in caught.items()}
    some = groups[unsafe]
    worst = [_worst(judge, each, some, seed) for judge, each in held.items()]
    moved = [
        AttackTransfer(
            found_against=first,
            tried_on=second,
            samples=each.samples,
            evades=figure(each.evades),
            evades_plain=figure(each.plain),
        )
        for (first, second), each in transfer.transfers(held, some, seed).items()
        if first != second
    ]
    return found, worst, moved


def _under(sample: Sample, name: str, seed: int) -> Sample | None:
    if sample.tool_calls or (
        name.startswith("translation_table") and sample.language not in ("", "en")
    ):
        return None  # calls are not text to be disguised
    text = Attacked(sample.conversation, sample.response)
    changed = ATTACKS[name].on(text, seed, sample.digest)
    if changed is None or changed == text:
        return None
    return replace(
        sample,
        conversation=changed.conversation,
        response=changed.response,
        digest=content_digest(changed.conversation, changed.response),
    )


def _under_attack(
    judge: str,
    name: str,
    under: Sequence[Variant],
    unsafe: Bools,
    groups: Integers,
    flags: tuple[Bools, Bools],
    seed: int,
) -> UnderAttack:
    chosen = [number for number, each in enumerate(under) if each.attack == name]
    places = np.array([under[number].place for number in chosen])
    judged = np.ones(len(chosen), np.bool_)
    plain = Decisions(flags[0][places], judged, unsafe[places], groups[places])
    after = replace(plain, flagged=flags[1][chosen])
    before_at, after_at = (
        flagged(detect_decisions(each, seed).at[DECISION]) for each in (plain, after)
    )
    return UnderAttack(
        judge=judge,
        attack=name,
        group=ATTACKS[name].group,
        unsafe=int(plain.unsafe.sum()),
        safe=int((~plain.unsafe).sum()),
        plain_recall=before_at.recall,
        recall=after_at.recall,
        recall_shift=shift(paired_decisions(plain, after, seed).recall),
        plain_false_positive_rate=before_at.false_positive_rate,
        false_positive_rate=after_at.false_positive_rate,
    )


def _held(under: Sequence[Variant], unsafe: Bools, flags: tuple[Bools, Bools]) -> transfer.Attacked:
    """Which unsafe samples it caught; one to which an attack does not apply is as it was plain."""
    names = list(ATTACKS)
    caught = np.tile(flags[0], (len(names), 1))
    for number, each in enumerate(under):
        caught[names.index(each.attack), each.place] = flags[1][number]
    return transfer.Attacked(flags[0][unsafe], caught[:, unsafe])


def _worst(judge: str, held: transfer.Attacked, groups: Integers, seed: int) -> WorstCase:
    found = transfer.resist(held, groups, seed)
    return WorstCase(
        judge=judge,
        attacks=len(held.caught),
        samples=len(held.plain),
        plain=figure(found.plain),
        worst=figure(found.worst),
    )
