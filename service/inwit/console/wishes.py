"""What people wish for in their work here: keys, and from which severity on text is covered."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inwit.console.account_rows import Account
from inwit.errors import FieldError, InvalidField
from inwit.types import Severity

# What each key does, in the order in which the page tells it. The names stand in the pages too.
COMMANDS: Mapping[str, str] = {
    "help": "Show the keys",
    "next": "Next case",
    "part_down": "Next part of the case",
    "part_up": "Part before",
    "reveal": "Reveal what is covered",
    "rule_approve": "Ruling: approve",
    "rule_approve_rewrite": "Ruling: approve the rewrite",
    "rule_edit": "Ruling: edit",
    "rule_block": "Ruling: block",
    "rule_escalate": "Ruling: escalate",
    "edit": "Go to the text to edit",
    "undo": "Undo the ruling",
    "skip": "Skip the case",
}
KEYS: Mapping[str, str] = {
    "help": "?",
    "next": "n",
    "part_down": "j",
    "part_up": "k",
    "reveal": "r",
    "rule_approve": "1",
    "rule_approve_rewrite": "2",
    "rule_edit": "3",
    "rule_block": "4",
    "rule_escalate": "5",
    "edit": "e",
    "undo": "u",
    "skip": "s",
}
# The permission without which a command does nothing; the others need to claim.
_NEEDED: Mapping[str, str] = {
    "help": "own_account",
    "part_down": "see_case",
    "part_up": "see_case",
    "reveal": "see_case",
}
NEVER = "never"
COVER_FROM = Severity.HIGH


@dataclass(frozen=True, slots=True)
class Keyboard:
    """The command of each key for the page's script, and the same in words for people."""

    script: Mapping[str, str]
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Wishes:
    """A person's. `cover_from` is None where nothing shall be covered."""

    keys_on: bool = True
    keys: Mapping[str, str] = field(default_factory=lambda: dict(KEYS))
    cover_from: Severity | None = COVER_FROM

    def covers(self, severity: Severity) -> bool:
        """Whether the texts of such a case are covered until they are revealed."""
        return self.cover_from is not None and severity.rank >= self.cover_from.rank

    def keyboard(self, permissions: Container[str]) -> Keyboard:
        """Their keys for what they may do; none where they are off."""
        keys = {
            command: key
            for command, key in self.keys.items()
            if self.keys_on and _NEEDED.get(command, "claim") in permissions
        }
        rows = [(keys[command], words) for command, words in COMMANDS.items() if command in keys]
        return Keyboard({key: command for command, key in keys.items()}, rows)


def wishes_of(account: Account) -> Wishes:
    """What they wished for; what is not there, or not to be read, is as for everybody."""
    stored = account.preferences
    keys: Mapping[str, Any] = stored.get("keys") or {}
    try:
        known = checked_keys(keys)
    except InvalidField:
        known = dict(KEYS)
    return Wishes(
        keys_on=stored.get("keys_on") is not False,
        keys=known,
        cover_from=_cover_from(stored.get("cover_from", COVER_FROM.value)),
    )


def checked_keys(wanted: Mapping[Any, Any]) -> dict[str, str]:
    """A key for each command.

    Raises:
        InvalidField: not one printable character, or the same one twice.
    """
    keys = {command: str(wanted.get(command, KEYS[command])) for command in COMMANDS}
    problems = [
        FieldError(command, "one character that can be typed, and no space")
        for command, key in keys.items()
        if len(key) != 1 or not key.isprintable() or key.isspace()
    ]
    lowered = {command: key.lower() for command, key in keys.items()}
    problems += [
        FieldError(command, "another command has this key")
        for command, key in lowered.items()
        if list(lowered.values()).count(key) > 1
    ]
    if problems:
        raise InvalidField("Some keys cannot be used.", tuple(problems))
    return lowered


def checked_cover(wanted: str) -> str:
    """A severity, or `never`.

    Raises:
        InvalidField: something else.
    """
    if wanted != NEVER and wanted not in list(Severity):
        raise InvalidField(
            "Choose from the list.", (FieldError("cover_from", "a severity, or never"),)
        )
    return wanted


def _cover_from(stored: Any) -> Severity | None:
    if stored == NEVER:
        return None
    return Severity(stored) if stored in list(Severity) else COVER_FROM
