"""Harmless texts to attack: drawn by hypothesis, and a few by hand."""

from hypothesis import settings
from hypothesis import strategies as st

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.types import Message

RESPONSE = (
    "Tides follow the moon, and there are two of them in a day. The water is at its highest when "
    "sun and moon stand in one line.\nDon't go out to the rocks then, because you would not get "
    "back before the evening."
)
REQUEST = "When is the water at its highest, and why?"


def text(response: str = RESPONSE, request: str = REQUEST) -> Attacked:
    """A conversation of three turns and the response to it."""
    turns = (
        Message("system", "You are a harbour master."),
        Message("user", "Good morning!"),
        Message("assistant", "Good morning. What would you like to know?"),
        Message("user", request),
    )
    return Attacked(turns, response)


def attacked(name: str, before: Attacked, seed: int = 0) -> Attacked:
    """What the attack makes of a text to which it must apply."""
    after = ATTACKS[name].on(before, seed, "a-digest")
    assert after is not None, f"{name} does not apply"
    return after


# Machines under load are slow now and then; these tests are not about time.
patient = settings(deadline=None)

_ANYTHING = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)
_ODD = ("``", "```", '"quoted"', "\\", "\n", "\n\n", "\u6f6e\u6c50", "\U0001f30a", "Don\u2019t")
_WORDS = st.lists(st.sampled_from((*RESPONSE.split(), *_ODD)), min_size=1, max_size=40).map(
    " ".join
)
_BOTH = st.tuples(_WORDS, _ANYTHING, _WORDS).map(" ".join)
WRITTEN = st.one_of(_WORDS, _BOTH, _ANYTHING).filter(lambda written: bool(written.strip()))
TEXTS = st.builds(text, WRITTEN, st.one_of(st.just(""), WRITTEN))
ENGLISH_TEXTS = st.builds(text, WRITTEN.map(lambda written: f"{RESPONSE} {written}"), WRITTEN)
SEEDS = st.integers(0, 2**32)
