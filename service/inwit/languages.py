"""Tells the language of a text, by py3langid (docs/decisions/0015)."""

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

_ENOUGH = 2000  # characters; more does not make it surer


def language_of(text: str) -> tuple[str, float]:
    """The ISO 639-1 code of the likeliest language of the beginning of `text`, and how sure it is.

    The second value lies in [0, 1]; it is low where a text is short, or no language at all.
    """
    return _identifier().classify(text[:_ENOUGH])


def warm_up() -> None:
    """Read the model (73 MB of memory, half a second): at start, so that no request pays for it."""
    _identifier()


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
