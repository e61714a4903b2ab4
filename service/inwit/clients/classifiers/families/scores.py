"""A guard's verdict word, weighed by its log-probabilities (as the conscience weighs Yes and No).

`risk = sum(weight[w] * p[w]) / sum(p[w])` over the family's verdict words `w`, where `p[w]` sums
every spelling of the word among the likeliest tokens in the place where the verdict was written.
"""

import math
import re
from collections.abc import Mapping

from inwit.clients.classifiers.families.family import Answer, Position
from inwit.types import Fault

# Below this share the guard was about to write something else than a verdict.
LABEL_MASS_FLOOR = 0.5

# What tokenizers write for a space or a new line: SentencePiece, byte-level BPE.
_SPACE = re.compile("[\u2581\u0120\u010a\\s]+")
# Tokens that servers count and then leave out of the text.
_CONTROL = re.compile(r"<\|[^<>|]*\|>|</?s>|<(?:bos|eos|pad|end_of_turn)>")


def weigh(
    answer: Answer, weights: Mapping[str, float], word: str, start: int
) -> tuple[float, float | None] | Fault:
    """The risk and the label mass of an answer whose verdict is `word`, at `start` in its text.

    `weights` gives the risk of each verdict word. Without log-probabilities the risk is the word's.
    A worst word that its own log-probabilities deny is a fault, not a low risk.
    """
    if answer.positions is None:
        return weights[word], None
    place = _place(answer.text, answer.positions, start)
    if place is None:
        return Fault.MALFORMED
    position, before = place
    if not position.top:
        return weights[word], None
    shares = _shares(position, before, tuple(weights))
    if shares is None:
        return Fault.MALFORMED
    mass = sum(shares.values())
    if mass > 1.01:
        return Fault.MALFORMED
    if mass < LABEL_MASS_FLOOR:
        return Fault.LOW_LABEL_MASS
    risk = sum(weights[each] * share for each, share in shares.items()) / mass
    if weights[word] == 1.0 and risk < 0.5:
        return Fault.MALFORMED
    return min(risk, 1.0), min(mass, 1.0)


def _shares(position: Position, before: str, words: tuple[str, ...]) -> dict[str, float] | None:
    """The probability of each word in this place; None where one is no probability."""
    top = {score.token: score.logprob for score in position.top}
    # Some servers leave the token itself out of the likeliest.
    top.setdefault(position.token, position.logprob)
    shares = dict.fromkeys(words, 0.0)
    for token, logprob in top.items():
        if math.isnan(logprob) or logprob > 1e-3:
            return None
        word = _word(token, before, words)
        if word is not None:
            shares[word] += math.exp(logprob)
    return shares


def _place(text: str, positions: tuple[Position, ...], start: int) -> tuple[Position, str] | None:
    """The position that holds the character `start`, and what its token holds before it.

    Blanks do not count: servers add, drop and mark them. None where tokens and text differ.
    """
    whole, target = _bare(text), len(_bare(text[:start]))
    done = 0
    for position in positions:
        token = _bare(position.token)
        if not whole.startswith(token, done):
            if _CONTROL.fullmatch(token):
                continue
            return None
        if done + len(token) > target:
            return position, token[: target - done]
        done += len(token)
    return None


def _word(token: str, before: str, words: tuple[str, ...]) -> str | None:
    """The verdict word that a token spells, or begins so far that no other word can follow."""
    bare = _bare(token)
    if not bare.startswith(before):
        return None
    bare = bare[len(before) :].casefold()
    if len(bare) < 2:
        return None
    begun = [word for word in words if word.casefold().startswith(bare)]
    return begun[0] if len(begun) == 1 else None


def _bare(text: str) -> str:
    return _SPACE.sub("", text)
