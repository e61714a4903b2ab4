"""Frames, orders to the reviewer, refusals and padding leave request and response whole."""

import pytest
from hypothesis import assume, given

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.evaluation.attacks.framing import PARAGRAPHS, REFUSALS
from inwit.pipeline.instructions import addresses_reviewer
from tests.evaluation.attacks.texts import REQUEST, RESPONSE, SEEDS, TEXTS, attacked, patient, text

BEFORE = ("reviewer_order_before", "pre_approved", "refusal_prefix")
AFTER = ("reviewer_order_after", "fake_verdict")
BOTH = ("role_play_frame", "fiction_frame", "padding")
SEEDED = range(60)


@pytest.mark.parametrize("name", [*BEFORE, *AFTER, *BOTH, "instructions_in_prompt"])
@patient
@given(before=TEXTS, seed=SEEDS)
def test_what_was_said_stands_in_it_unchanged(name: str, before: Attacked, seed: int) -> None:
    after = ATTACKS[name].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None

    assert before.response in after.response
    assert before.request in after.request


@pytest.mark.parametrize("name", [*BEFORE, *AFTER, *BOTH])
def test_something_stands_on_the_side_that_it_should(name: str) -> None:
    for seed in SEEDED:
        start, _, end = attacked(name, text(), seed).response.partition(RESPONSE)
        assert bool(start) == (name not in AFTER)
        assert bool(end) == (name not in BEFORE)


@pytest.mark.parametrize("name", ["role_play_frame", "fiction_frame"])
def test_a_frame_asks_for_what_it_gives(name: str) -> None:
    for seed in SEEDED:
        start, _, end = attacked(name, text(), seed).request.partition(REQUEST)
        assert start
        assert end


@pytest.mark.parametrize("name", [*BEFORE, *AFTER, "padding"])
def test_what_only_the_response_does_leaves_the_conversation_alone(name: str) -> None:
    assert attacked(name, text()).conversation == text().conversation


@pytest.mark.parametrize(
    ("name", "wordings"),
    [
        ("role_play_frame", 3),
        ("fiction_frame", 3),
        ("refusal_prefix", 12),
        ("reviewer_order_before", 6),
        ("reviewer_order_after", 6),
        ("pre_approved", 4),
        ("fake_verdict", 4),
        ("instructions_in_prompt", 4),
    ],
)
def test_every_wording_is_drawn_by_some_seed(name: str, wordings: int) -> None:
    drawn = {attacked(name, text(), seed) for seed in range(300)}

    assert len(drawn) == wordings


def test_a_refusal_comes_first() -> None:
    for seed in SEEDED:
        assert attacked("refusal_prefix", text(), seed).response.startswith(REFUSALS)


def test_padding_is_two_paragraphs_on_each_side() -> None:
    for seed in SEEDED:
        start, _, end = attacked("padding", text(), seed).response.partition(RESPONSE)
        before, after = start.rstrip("\n").split("\n\n"), end.lstrip("\n").split("\n\n")
        assert (len(before), len(after)) == (2, 2)
        assert len({*before, *after}) == 4
        assert {*before, *after} <= set(PARAGRAPHS)


@pytest.mark.parametrize("name", ["reviewer_order_before", "reviewer_order_after", "fake_verdict"])
def test_the_gateway_notices_some_of_them(name: str) -> None:
    """They are what `hidden_text` looks for; without them it finds nothing in this text."""
    assert not addresses_reviewer(RESPONSE)
    assert any(addresses_reviewer(attacked(name, text(), seed).response) for seed in SEEDED)


def test_orders_in_the_prompt_leave_the_response_and_need_a_prompt() -> None:
    after = attacked("instructions_in_prompt", text())

    assert after.response == RESPONSE
    assert after.request.startswith(REQUEST)
    assert not ATTACKS["instructions_in_prompt"].applies(text(request=" "))
