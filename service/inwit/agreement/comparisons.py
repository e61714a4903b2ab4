"""People against judges, against golden cases, and against their own first verdicts. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum

from inwit.agreement.report import Blind, Confusion, ConfusionRow, GoldenScore, Share
from inwit.agreement.rows import OUTCOMES, SIDES, CaseRow, JudgeState, Outcome
from inwit.agreement.shares import share
from inwit.cases import RulingKind

_STRICTNESS = {Outcome.AS_WRITTEN: 0, Outcome.CHANGED: 1, Outcome.BLOCKED: 2}
_SHOWN = (Outcome.AS_WRITTEN, Outcome.CHANGED, Outcome.BLOCKED)


def confusions(cases: Sequence[CaseRow]) -> tuple[Confusion, ...]:
    """The conscience's and the classifier's states against what people did."""
    decided = [(case, OUTCOMES[final.kind]) for case in cases if (final := case.final) is not None]
    return (
        _confusion("conscience", [(case.conscience, outcome) for case, outcome in decided]),
        _confusion("classifier", [(case.classifier, outcome) for case, outcome in decided]),
    )


def _confusion(judge: str, pairs: Sequence[tuple[JudgeState, Outcome]]) -> Confusion:
    counts = Counter(pairs)
    rows: list[ConfusionRow] = []
    for state in JudgeState:
        size = sum(counts[state, outcome] for outcome in _SHOWN)
        shares = {outcome: share(counts[state, outcome], size) for outcome in _SHOWN}
        rows.append(ConfusionRow(state, size, shares))
    return Confusion(judge, len(pairs), tuple(rows))


class _Move(Enum):
    """How a final ruling differs from the first verdict."""

    NONE = 0
    STRICTER = 1
    MILDER = -1
    OTHER = None  # from or to no answer


def blind(cases: Iterable[CaseRow]) -> Blind:
    """What people said before they saw scores and rewrite, against what they ruled after."""
    moves = [
        (_move(OUTCOMES[ruling.first], OUTCOMES[ruling.kind]), _lean(case))
        for case in cases
        for ruling in case.counted
        if ruling.first is not None
    ]
    count = Counter(move for move, _ in moves)
    told = Counter(
        move is lean
        for move, lean in moves
        if lean is not None and move in (_Move.STRICTER, _Move.MILDER)
    )
    return Blind(
        rulings=len(moves),
        changed=share(len(moves) - count[_Move.NONE], len(moves)),
        stricter=share(count[_Move.STRICTER], len(moves)),
        milder=share(count[_Move.MILDER], len(moves)),
        towards=share(told[True], told.total()),
        away=share(told[False], told.total()),
    )


def _move(first: Outcome, final: Outcome) -> _Move:
    if first is final:
        return _Move.NONE
    if Outcome.PASSED_ON in (first, final):
        return _Move.OTHER
    stricter = _STRICTNESS[final] > _STRICTNESS[first]
    return _Move.STRICTER if stricter else _Move.MILDER


def _lean(case: CaseRow) -> _Move | None:
    """The way in which the judges push: none where one doubts what the other passed, or more."""
    states = {case.conscience, case.classifier}
    if JudgeState.FLAGGED in states:
        return None if JudgeState.PASSED in states else _Move.STRICTER
    if JudgeState.PASSED in states:
        return None if JudgeState.DOUBT in states else _Move.MILDER
    return None


def golden_share(cases: Iterable[CaseRow]) -> Share:
    """How many rulings on golden cases are the very ruling expected."""
    pairs = [(case.expected, ruling) for case in cases for ruling in case.counted]
    return share(sum(ruling.kind is expected for expected, ruling in pairs), len(pairs))


def golden_scores(cases: Iterable[CaseRow]) -> tuple[GoldenScore, ...]:
    """The same for each person, by pseudonym; and how many fall on the same side.

    No answer is on the same side only where it was expected.
    """
    by_person: dict[str, list[tuple[RulingKind, RulingKind]]] = {}
    for case in cases:
        for ruling in case.counted:
            if case.expected is not None:
                by_person.setdefault(ruling.reviewer, []).append((case.expected, ruling.kind))
    return tuple(_score(reviewer, by_person[reviewer]) for reviewer in sorted(by_person))


def _score(reviewer: str, pairs: Sequence[tuple[RulingKind, RulingKind]]) -> GoldenScore:
    exact = sum(expected is said for expected, said in pairs)
    same_side = sum(SIDES[expected] is SIDES[said] for expected, said in pairs)
    return GoldenScore(reviewer, share(exact, len(pairs)), share(same_side, len(pairs)))
