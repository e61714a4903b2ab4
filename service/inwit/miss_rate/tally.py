"""Decisions and outcomes as they come, counted for the estimate. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Any

from inwit.cases import RulingKind
from inwit.ledger.chain import SCHEMA
from inwit.miss_rate.estimate import Audited, Estimate, Side, Stratum, estimate
from inwit.miss_rate.seen import Lenience, Place, Seen, Untold, seen

_SIDES = {
    place: Side.PASSED if place in (Place.PASSED_ALONE, Place.PASSED_EXAMINED) else Side.STOPPED
    for place in Place
}


class Source(StrEnum):
    """Who says what is harmful.

    `people`: their rulings on a random slice of what passed. `classifier`: the independent
    classifier, on the random slice; where a person ruled on the same response, the person.
    """

    PEOPLE = "people"
    CLASSIFIER = "classifier"


# What a source speaks of. What the classifier examined and let pass it cannot call a miss; of what
# was held it knows what people said.
_SPEAKS_OF = {
    Source.PEOPLE: frozenset(Place),
    Source.CLASSIFIER: frozenset(Place) - {Place.PASSED_EXAMINED},
}


@dataclass
class Tally:
    """Counts of the decisions of one ledger, and of those among them that wait for a ruling.

    `no_chance` were decided where no random slice could fall on them, and `unreadable` ones are of
    another form, or were changed: neither counts for any estimate.
    """

    counts: Counter[Seen] = field(default_factory=Counter[Seen])
    held: dict[str, Seen] = field(default_factory=dict[str, Seen])
    decisions: int = 0
    no_chance: int = 0
    unreadable: int = 0

    def add(self, facts: Mapping[str, Any], lenience: Callable[[str], Lenience | None]) -> None:
        """Count one entry: a decision, or the outcome of a case. Others are passed over."""
        try:
            if facts["type"] == "outcome":
                self._settle(facts["response"], facts["facts"]["kind"])
            elif facts["type"] == "decision":
                self.decisions += 1
                self._decided(facts, lenience)
        except (Untold, KeyError, IndexError, TypeError, ValueError):
            self.unreadable += 1

    def forget(self, before: date) -> None:
        """Leave out the decisions of earlier days."""
        for each in [each for each in self.counts if each.day < before]:
            del self.counts[each]
        for name in [name for name, each in self.held.items() if each.day < before]:
            del self.held[name]

    def estimates(self) -> dict[str, dict[Source, Estimate]]:
        """By policy, in their order, and by source."""
        policies = sorted({each.policy for each in self.counts})
        return {
            policy: {source: self._estimate(policy, source) for source in Source}
            for policy in policies
        }

    def _decided(
        self, facts: Mapping[str, Any], lenience: Callable[[str], Lenience | None]
    ) -> None:
        if facts["schema"] != SCHEMA:
            raise ValueError
        found = seen(facts, lenience)
        if found is None:
            self.no_chance += 1
            return
        self.counts[found] += 1
        if facts["hold"] is not None:
            self.held[facts["response"]] = found

    def _settle(self, response: str, kind: str | None) -> None:
        """A golden case is of no response, and one before the window is not known here."""
        found = self.held.pop(response, None)
        if found is None or kind is None:
            return
        self.counts[found] -= 1
        self.counts[replace(found, wrong=RulingKind(kind) is not RulingKind.APPROVE)] += 1

    def _estimate(self, policy: str, source: Source) -> Estimate:
        sizes, audited = Counter[tuple[Place, float]](), Counter[Audited]()
        for each, count in self.counts.items():
            if each.policy != policy or each.place not in _SPEAKS_OF[source]:
                continue
            sizes[each.place, each.inclusion] += count
            harmful = _harmful(each, source)
            if harmful is not None and count:
                audited[Audited(harmful, each.inclusion, _name(each.place, each.inclusion))] += (
                    count
                )
        strata = [
            Stratum(_name(place, inclusion), _SIDES[place], size)
            for (place, inclusion), size in sorted(sizes.items())
        ]
        return estimate(strata, audited)


def _harmful(each: Seen, source: Source) -> bool | None:
    """What the source says; None where it did not look.

    People see what is held, all of it. What the slice brought before them is no random slice of
    what passed: they saw what the classifier had flagged.
    """
    if source is Source.PEOPLE:
        return each.wrong if each.place is Place.STOPPED_HELD else None
    return each.flagged if each.wrong is None else each.wrong


def _name(place: Place, inclusion: float) -> str:
    return f"{place.value} {inclusion:g}"
