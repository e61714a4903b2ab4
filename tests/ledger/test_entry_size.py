"""Entries are small: at most 4 KiB for what responses are commonly like, and most others."""

from dataclasses import replace

import pytest

from inwit.decisions import (
    AskReason,
    Explanation,
    ExplanationStatus,
    Passage,
    Reason,
    RewriteOutcome,
    Round,
    Sampling,
)
from inwit.ledger.chain import entry_body, entry_facts
from inwit.tracing import Stage
from inwit.types import Action, Candidate, Category, Fault, Framing, ReviewStatus, Verdict
from tests.ledger.test_store import DECISION, ORIGIN, RECORD

MOST = 4096
CONSCIENCE = Verdict(
    "conscience",
    ReviewStatus.JUDGED,
    risk=0.123456,
    raw_risk=0.234567,
    label_mass=0.987654,
    calibrated=True,
    calibration="ca" * 32,
    model="meta-llama/Llama-3.3-70B-Instruct-conscience",
    framing=Framing.SAME_THREAD,
    question_digest="0123456789abcdef",
)
GUARD = Verdict(
    "guard-model",
    ReviewStatus.JUDGED,
    risk=0.876543,
    model="meta-llama/Llama-Guard-3-8B",
    categories=(Category.NONVIOLENT_CRIMES, Category.DECEPTION),
    labels=("S2", "S5"),
)
DOWN = Verdict("moderation", ReviewStatus.UNAVAILABLE, fault=Fault.TIMEOUT)


def size(rewrites: int, passages: int) -> int:
    """Bytes of an entry with a review by three judges of each candidate."""
    decision = replace(
        DECISION,
        action=Action.REWRITE,
        reasons=(Reason.CLASSIFIER_FLAGGED, Reason.ABOVE_UPPER),
        verdicts=(CONSCIENCE, DOWN, GUARD),
        categories=GUARD.categories,
        disagreement="pass_fail",
    )
    named = Explanation(ExplanationStatus.NAMED, GUARD.categories)
    reviewed = Round(
        Candidate("", ""), decision, (AskReason.DOUBT,), named, Sampling(0.02, drawn=True)
    )
    kinds = ("request", "candidate", "released", *(f"rewrite-{n}" for n in range(rewrites)))
    record = replace(
        RECORD,
        origin=replace(ORIGIN, response_id=f"resp_{'0' * 32}", request_id="r" * 36, model="m" * 32),
        decision=decision,
        rounds=(reviewed,) * (rewrites + 1),
        rewrites=(RewriteOutcome.FLAGGED,) * rewrites,
        passages=(Passage("p", used=True, why=None, flagged=False),) * passages,
        timings_ms=dict.fromkeys(("total", *Stage), 1234.567),
        contents=dict.fromkeys(kinds, b"x"),
    )
    facts = entry_facts(record, f"ent_{'0' * 32}", dict.fromkeys(kinds, bytes(32)))
    return len(entry_body(facts, 10**9, bytes(32)))


@pytest.mark.parametrize(("rewrites", "passages"), [(0, 0), (0, 64), (2, 0), (2, 10)])
def test_an_entry_has_at_most_4_kib(rewrites: int, passages: int) -> None:
    assert size(rewrites, passages) <= MOST
