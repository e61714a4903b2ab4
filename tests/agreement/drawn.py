"""Cases and rulings as tests write them, and as hypothesis draws them."""

import os

from hypothesis import settings
from hypothesis import strategies as st

from inwit.agreement.rows import CaseRow, JudgeState, RulingRow, Standing
from inwit.cases import RulingKind
from inwit.types import Category

MANY = settings(max_examples=int(os.environ.get("AGREEMENT_EXAMPLES", "40")), deadline=None)

PEOPLE = ("ada", "ben", "cy", "dee", "eve")
KINDS = tuple(RulingKind)

Ruled = list[tuple[str, str]]


def said(
    reviewer: str,
    kind: RulingKind,
    *,
    slot: int = 1,
    first: RulingKind | None = None,
    standing: Standing = Standing.COUNTED,
) -> RulingRow:
    return RulingRow(slot, reviewer, kind, first, standing)


def case(
    *rulings: RulingRow,
    policy: str = "default",
    language: str = "en",
    categories: tuple[Category, ...] = (),
    required: int = 2,
    drawn: bool = False,
    expired: bool = False,
    expected: RulingKind | None = None,
    conscience: JudgeState = JudgeState.DOUBT,
    classifier: JudgeState = JudgeState.NOT_ASKED,
) -> CaseRow:
    return CaseRow(
        policy,
        language,
        categories,
        required,
        drawn,
        expired,
        expected,
        conscience,
        classifier,
        rulings,
    )


def two(one: RulingKind, other: RulingKind, **rest: str) -> CaseRow:
    """A case with the rulings of ada and ben."""
    return case(said("ada", one), said("ben", other, slot=2), **rest)  # pyright: ignore[reportArgumentType]  # only words


@st.composite
def ruled(draw: st.DrawFn, *, people: int = 5, least: int = 2, most: int = 4) -> Ruled:
    """Who said what on one case: from `least` to `most` of the first `people`."""
    names = draw(st.permutations(PEOPLE[:people]))
    count = draw(st.integers(least, min(most, people)))
    return [(name, draw(st.sampled_from("abc"))) for name in names[:count]]


@st.composite
def case_rows(draw: st.DrawFn) -> CaseRow:
    """Any case at all."""
    names = draw(st.permutations(PEOPLE))
    kinds, states = st.sampled_from(KINDS), st.sampled_from(JudgeState)
    rulings = [
        RulingRow(
            slot=slot + 1,
            reviewer=names[slot],
            kind=draw(kinds),
            first=draw(st.none() | kinds),
            standing=draw(st.sampled_from(Standing)),
        )
        for slot in range(draw(st.integers(0, 4)))
    ]
    return CaseRow(
        policy=draw(st.sampled_from(["default", "strict"])),
        language=draw(st.sampled_from(["en", "de"])),
        categories=tuple(draw(st.sets(st.sampled_from(list(Category)[:3])))),
        required=draw(st.integers(1, 2)),
        drawn=draw(st.booleans()),
        expired=draw(st.booleans()),
        expected=draw(st.none() | kinds),
        conscience=draw(states),
        classifier=draw(states),
        rulings=tuple(rulings),
    )
