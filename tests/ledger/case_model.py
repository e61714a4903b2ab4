"""How a case must go, in plain Python: written from the words of the design, not from the code.

Times are seconds. Each act raises `Refused` where it must be refused; whoever calls then goes on
with the case as it was before.
"""

from dataclasses import dataclass, field

from inwit.cases import OnExpiry, Reviewer, RulingKind
from tests.ledger.case_world import ANSWER, CLAIM, EXPIRED, FALLBACK, LEASE, REWRITE, RULE

UNDO = 10.0
STUCK_AFTER = 3


class Refused(Exception):
    """It must not happen."""


@dataclass
class ModelRuling:
    """`text` is what would leave for it."""

    id: str
    who: str
    slot: int
    kind: RulingKind
    text: str
    effect: float
    counts: bool = True
    undone: bool = False


@dataclass
class ModelSlot:
    tier: int
    who: str | None = None
    token: str | None = None
    until: float | None = None
    lost: int = 0
    ruled: bool = False

    def held(self, now: float) -> bool:
        return not self.ruled and self.until is not None and now < self.until


@dataclass
class ModelCase:
    """One case. `end` is how it ended ("ruled" or "nobody_ruled") and the text that left.

    `lost` counts its lost leases, and `work` is the slot of each person, with its tier, that they
    had and neither gave back nor ruled in, also when time took it away.
    """

    required: int
    on_expiry: OnExpiry
    waits_until: float
    due: float
    tier: int = 1
    claimed: bool = False
    stuck: bool = False
    settles: float | None = None
    slots: dict[int, ModelSlot] = field(default_factory=dict[int, ModelSlot])
    given_away: set[str] = field(default_factory=set[str])
    judged: dict[str, str] = field(default_factory=dict[str, str])
    rulings: list[ModelRuling] = field(default_factory=list[ModelRuling])
    end: tuple[str, str] | None = None
    lost: int = 0
    work: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    def __post_init__(self) -> None:
        self.slots = {number + 1: ModelSlot(tier=1) for number in range(self.required)}

    def claim(self, who: Reviewer, token: str, now: float, *, take_over: bool) -> None:
        self.pass_time(now)
        self._must(self.end is None)
        self._lose(now)
        self._must(who.id not in self.given_away)
        self._must(all(each.who != who.id or not each.ruled for each in self.slots.values()))
        free = [slot for slot in self._open() if slot.tier in who.role.tiers]
        self._must(bool(free))
        mine = [slot for slot in self._open() if slot.who == who.id and slot.held(now)]
        self._must(not mine or take_over)
        wanted = mine or [slot for slot in free if not slot.held(now)]
        self._must(bool(wanted))
        wanted[0].who, wanted[0].token, wanted[0].until = who.id, token, now + LEASE
        self.work[who.id] = self._number(wanted[0]), wanted[0].tier
        self.stuck = False
        if not self.claimed:
            self.claimed, self.due = True, now + RULE

    def renew(self, who: str, token: str, now: float) -> None:
        self._mine(who, token, now).until = now + LEASE

    def release(self, who: str, token: str, now: float, *, for_good: bool) -> None:
        slot = self._mine(who, token, now)
        slot.who = slot.token = slot.until = None
        del self.work[who]
        if for_good:
            self.given_away.add(who)

    def edit(self, who: str, token: str, text: str, now: float) -> None:
        """The judges have seen this text."""
        self._mine(who, token, now)
        self.judged[who] = text

    def rule(self, who: str, token: str, kind: RulingKind, edit: str, now: float) -> None:
        self.pass_time(now)
        mine = [slot for slot in self._held(now) if (slot.who, slot.token) == (who, token)]
        late = self.end is not None or not mine
        number, tier = self.work.pop(who, (0, 0))
        if late:  # it counts for nothing, and is kept where time took the slot away
            self._must(number > 0)
            self._must(tier < self.tier or self.end == ("nobody_ruled", EXPIRED.text))
        self._must(kind is not RulingKind.ESCALATE or tier == 1)
        self._must(kind is not RulingKind.EDIT or self.judged.get(who) == edit)
        effect = now if now < self.waits_until or late else now + UNDO
        text = {
            RulingKind.APPROVE: ANSWER.text,
            RulingKind.APPROVE_REWRITE: REWRITE.text,
            RulingKind.EDIT: edit,
        }.get(kind, FALLBACK.text)
        self.rulings.append(ModelRuling("", who, number, kind, text, effect, not late))
        if not late:
            mine[0].ruled, mine[0].until = True, None
            self.settles = effect if self.settles is None else min(effect, self.settles)
            if effect <= now:
                self._settle(now)

    def undo(self, name: str, who: str, token: str, now: float) -> None:
        found = [each for each in self.rulings if each.id == name]
        self._must(bool(found) and self.end is None)
        ruling = found[0]
        self._must(ruling.who == who and ruling.counts and now < ruling.effect)
        slot = self.slots[ruling.slot]
        self._must(slot.tier == self.tier)
        ruling.counts, ruling.undone = False, True
        slot.ruled, slot.token, slot.until = False, token, now + LEASE
        self.work[who] = ruling.slot, slot.tier
        self.settles = min((each.effect for each in self.rulings if each.counts), default=None)

    def sweep(self, now: float) -> None:
        """Clocks: rulings that came in time first, then leases, then the case's own."""
        if self.end is None and self.settles is not None and self.settles <= now:
            self._settle(now)
        if self.end is None:
            self._lose(now)
        self.pass_time(now)

    def pass_time(self, now: float) -> None:
        """What the clocks have come to, also where no sweep has looked."""
        if self.end is None and self.settles is not None and self.settles <= now:
            self._settle(now)
        if self.end is None and self.due <= now and self.settles is None:
            if self.on_expiry is OnExpiry.NEXT_TIER and self.tier == 1:
                self._raise(now)
            else:
                self._end("nobody_ruled", EXPIRED.text)

    def _settle(self, now: float) -> None:
        counted = [each for each in self.rulings if each.counts]
        self.settles = min((each.effect for each in counted if each.effect > now), default=None)
        said = [each for each in counted if each.effect <= now]
        seniors = [each for each in said if self.slots[each.slot].tier == 2]
        if seniors:
            self._end("ruled", seniors[0].text)
        elif self.tier == 1 and any(each.kind is RulingKind.ESCALATE for each in said):
            self._raise(now)
        elif self.tier == 1 and len(said) >= self.required:
            blocks = {each.kind is RulingKind.BLOCK for each in said}
            if len(blocks) == 1 and len({each.text for each in said}) == 1:
                self._end("ruled", said[0].text)
            else:
                self._raise(now)

    def _raise(self, now: float) -> None:
        last = max(self.slots)
        self.slots = {number: each for number, each in self.slots.items() if each.ruled}
        self.slots[last + 1] = ModelSlot(tier=2)
        self.tier, self.due, self.claimed, self.stuck = 2, now + CLAIM, False, False
        self.settles = None

    def _end(self, how: str, text: str) -> None:
        self.end, self.settles = (how, text), None
        for slot in self.slots.values():
            slot.until = None

    def _lose(self, now: float) -> None:
        for slot in self._open():
            if slot.until is not None and slot.until <= now:
                slot.who = slot.token = slot.until = None
                slot.lost += 1
                self.lost += 1
                self.stuck = self.stuck or slot.lost >= STUCK_AFTER

    def _held(self, now: float) -> list[ModelSlot]:
        return [slot for slot in self._open() if slot.held(now)]

    def _number(self, slot: ModelSlot) -> int:
        return next(number for number, each in self.slots.items() if each is slot)

    def _mine(self, who: str, token: str, now: float) -> ModelSlot:
        self._must(self.end is None)
        mine = [slot for slot in self._held(now) if (slot.who, slot.token) == (who, token)]
        self._must(bool(mine))
        return mine[0]

    def _open(self) -> list[ModelSlot]:
        return [slot for _, slot in sorted(self.slots.items()) if not slot.ruled]

    def _must(self, condition: bool) -> None:
        if not condition:
            raise Refused
