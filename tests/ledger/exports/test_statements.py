"""What a statement of reasons says of each kind of response that was withheld, and when none is."""

import json
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from inwit.decisions import AskReason, Reason, RewriteOutcome, Sent
from inwit.ledger.chain import entry_facts
from inwit.ledger.exports.leaves import Leaf, Standing
from inwit.ledger.exports.statements import statement_of
from inwit.ledger.outcomes import end_forgotten
from inwit.types import Action, Category, Enforcement, Fault, ReviewStatus, Usage, Verdict
from tests.ledger.case_world import World
from tests.ledger.exports.ledgers import DECISION, GROUNDS, RECORD, VERDICT, of

ANSWER = "A text written by a language model in answer to a request"
ALONE = "It was withheld without a person."
HIDDEN = "None of it had been shown."
HARM = "was found to need care"
CUT_SHORT = Verdict("conscience", ReviewStatus.TRUNCATED, fault=Fault.DOES_NOT_FIT)
FLAGGED = Verdict("guard", ReviewStatus.JUDGED, risk=0.9)
AWAY = Verdict("guard", ReviewStatus.UNAVAILABLE, fault=Fault.TIMEOUT)


@pytest.fixture
def world() -> Generator[World]:
    made = World()
    yield made
    made.close()


def blocked(*reasons: Reason, reviewed: bool = True, categories: tuple[Category, ...] = ()) -> Any:
    """A decision, by these reasons."""
    return replace(
        DECISION, action=Action.BLOCK, reasons=reasons, reviewed=reviewed, categories=categories
    )


def as_written(record: Any) -> dict[str, Any]:
    salts = dict.fromkeys(record.contents, b"0" * 32)
    facts: dict[str, Any] = json.loads(json.dumps(entry_facts(record, "ent_1", salts)))
    return facts


def said_of(facts: dict[str, Any], decided: dict[str, Any] | None = None) -> str:
    statement = statement_of(Leaf(1, "00", Standing.INTACT, b"", facts, decided or {}), GROUNDS)
    assert statement is not None
    return statement["statement"]["decision_facts"]


def said(decision: Any, **more: Any) -> str:
    return said_of(as_written(replace(of(1, decision=decision, hold=None), **more)))


def streamed(enforcement: Enforcement, length: int) -> dict[str, Any]:
    """Of a stream of which so much had left, and was taken back."""
    sent = Sent(length, 1, Usage(), retracted=True)
    return {"sent": sent, "origin": replace(RECORD.origin, enforcement=enforcement)}


def test_a_harm_is_named() -> None:
    words = said(blocked(Reason.ABOVE_UPPER, categories=(Category.SELF_HARM,)))
    assert words == f"{ANSWER} was reviewed automatically, and {HARM} (self harm). {HIDDEN} {ALONE}"


@pytest.mark.parametrize(
    ("reason", "reviewed", "words"),
    [
        (Reason.UNAVAILABLE, False, "could not be reviewed: automatic review was not available."),
        (Reason.TRUNCATED, False, "was too long to be reviewed as a whole."),
        (Reason.CLASSIFIER_FAILED, False, "could not be reviewed by all that had to review it."),
        (Reason.INPUT_FLAGGED, True, "because of that request, which was found to need care."),
        (Reason.INPUT_FAILED, True, "because that request could not be reviewed."),
        (Reason.TOOL_OUTSIDE, True, "called a tool in a way that is not allowed."),
        (Reason.TOOL_PRIVATE_DATA, True, "put private data into the call of a tool."),
        (Reason.TOOL_NEEDS_PERSON, True, "that needs a person's consent."),
    ],
)
def test_what_was_not_found_in_a_review_is_not_said(
    reason: Reason, reviewed: bool, words: str
) -> None:
    told = said(blocked(reason, reviewed=reviewed))
    assert words in told
    assert "reviewed automatically" not in told
    assert told.endswith(f"{HIDDEN} {ALONE}")


def test_a_review_in_part_is_told_as_one() -> None:
    decision = blocked(Reason.ABOVE_UPPER, Reason.CLASSIFIER_FAILED, reviewed=False)
    assert f"was in part reviewed automatically, and {HARM} (no single kind of harm)." in said(
        decision
    )


@pytest.mark.parametrize(
    ("enforcement", "words"),
    [
        (
            Enforcement.AUDIT_ONLY,
            "while it was written, before it was reviewed, and was taken back",
        ),
        (Enforcement.WINDOWED, "while it was written, and was taken back"),
    ],
)
def test_what_had_left_is_told(enforcement: Enforcement, words: str) -> None:
    told = said(blocked(Reason.ABOVE_UPPER), **streamed(enforcement, 500))
    assert f"Text of it had been shown {words}." in told
    assert HIDDEN not in told


def test_after_a_rewrite_it_is_what_was_to_be_cured() -> None:
    first = replace(blocked(Reason.ABOVE_UPPER, categories=(Category.HATE,)), action=Action.REWRITE)
    last = blocked(Reason.REWRITE_FAILED, Reason.UNAVAILABLE)
    round_ = RECORD.rounds[0]
    rounds = (replace(round_, decision=first), replace(round_, decision=last))

    told = said(last, rounds=rounds, rewrites=(RewriteOutcome.FLAGGED,))

    assert f"{HARM} (hate). It was to be written anew, which did not help." in told


@pytest.mark.parametrize(
    ("verdicts", "asked", "whole"),
    [
        ((VERDICT, FLAGGED), (AskReason.DOUBT,), True),
        ((CUT_SHORT, FLAGGED), (AskReason.TRUNCATED,), False),
        ((VERDICT, AWAY), (AskReason.DOUBT,), False),
        ((VERDICT, AWAY), (AskReason.SAMPLE,), True),  # nothing hung on it
        ((CUT_SHORT, AWAY), (AskReason.SAMPLE,), False),
        ((), (), False),
    ],
)
@pytest.mark.parametrize("written_anew", [True, False])
def test_what_was_to_be_cured_is_told_as_far_as_it_was_reviewed_itself(
    verdicts: tuple[Verdict, ...], asked: tuple[AskReason, ...], whole: bool, written_anew: bool
) -> None:
    """Whatever was made of the rewrite: there may be none, and then it has no round."""
    first = replace(blocked(Reason.CLASSIFIER_FLAGGED, reviewed=whole), verdicts=verdicts)
    last = blocked(Reason.REWRITE_FAILED, Reason.ABOVE_UPPER, reviewed=not whole)
    if not written_anew:
        last = replace(first, reasons=(Reason.REWRITE_FAILED, *first.reasons))
    round_ = replace(RECORD.rounds[0], asked=asked)
    rounds = [replace(round_, decision=each) for each in (first, last)]

    outcome = RewriteOutcome.FLAGGED if written_anew else RewriteOutcome.FAILED
    told = said(last, rounds=tuple(rounds[: 1 + written_anew]), rewrites=(outcome,))

    reviewed = "reviewed automatically" if whole else "in part reviewed automatically"
    assert f"{ANSWER} was {reviewed}, and {HARM} (no single kind of harm). It was to be" in told


def test_who_withheld_it() -> None:
    held = as_written(of(1, decision=blocked(Reason.UNAVAILABLE, reviewed=False)))
    outcome = {**held, "type": "outcome", "case": "esc_1"}
    for ending, words in (
        ("ruled", "A person looked at it and withheld it."),
        ("nobody_ruled", "It was held for a person, nobody ruled in time, and it was withheld."),
    ):
        ended = outcome | {"facts": {"ending": ending, "released": False}}
        assert said_of(ended, held).endswith(words)
        pruned = said_of(ended)
        assert pruned == f"{ANSWER} was held back by a policy. {words}"
    queue = said(blocked(Reason.QUEUE_DOWN, Reason.UNAVAILABLE, reviewed=False))
    assert queue.endswith("No person could be asked, and it was withheld without one.")


def test_none_is_owed_for_a_case_that_an_erasure_ended(world: World) -> None:
    expired, erased = world.held(), world.held()
    world.do(lambda each: end_forgotten(each, erased))
    world.later(10_000)
    world.sweep()

    (by_clock,), (by_erasure,) = world.acts(expired, "outcome"), world.acts(erased, "outcome")

    assert "why" not in by_clock["facts"]
    assert (by_erasure["facts"]["ending"], by_erasure["facts"]["why"]) == (
        *("nobody_ruled", "forgotten"),
    )
    leaf = Leaf(1, "00", Standing.INTACT, b"", by_erasure)
    assert statement_of(leaf, GROUNDS) is None
    assert "nobody ruled in time" in said_of(by_clock)
