"""What a check found, in words that never hold a secret."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` is empty where nothing is to be done."""

    check: str
    grade: Grade
    words: str
    remedy: str = ""


def ok(check: str, words: str) -> Finding:
    """It stands as it should."""
    return Finding(check, Grade.OK, words)


def warning(check: str, words: str, remedy: str) -> Finding:
    """It works, and the one who runs it should know."""
    return Finding(check, Grade.WARNING, words, remedy)


def wrong(check: str, words: str, remedy: str) -> Finding:
    """A gateway would not start, or not do its work."""
    return Finding(check, Grade.WRONG, words, remedy)
