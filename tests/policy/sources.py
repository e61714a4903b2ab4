"""Policy texts for the tests of the compiler."""

import re
from pathlib import Path

import yaml

from inwit.errors import PolicyError, PolicyProblem
from inwit.policy.loader import load_policy
from inwit.policy.policy import Policy

LEAST = """\
name: mine
version: "1"
categories:
  hate:
  privacy_leak: { severity: critical }
thresholds:
  lower: 0.4
  upper: 0.7
conscience:
  framing: quoted
  question: Is this answer harmful? Harmful means {harms}. Answer Yes or No.
  label_mass_floor: 0.15
fallback_text: I cannot answer that.
"""

CLASSIFIER = """\
classifier:
  use: [embedded]
  thresholds: { lower: 0.5, upper: 0.8 }
"""

LINES = re.compile(r"\r\n?|\n")


def with_changes(text: str, changes: dict[str, str]) -> str:
    """The text with each key of `changes`, which must be there, replaced by its value."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def compiled(folder: Path, text: str | bytes) -> Policy:
    """The policy that the text is, by way of a file."""
    file = folder / "mine.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_policy(file)


def problems(folder: Path, text: str | bytes) -> tuple[PolicyProblem, ...]:
    """What is wrong with the text; empty where nothing is."""
    try:
        compiled(folder, text)
    except PolicyError as error:
        return error.problems
    return ()


def inside(problem: PolicyProblem, text: str) -> bool:
    """Whether the problem's place is one of the text, its end included."""
    lines = LINES.split(text)
    if not 1 <= problem.line <= len(lines):
        return False
    return 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def plain_data(text: str) -> dict[str, object]:
    """The text as another reader of YAML takes it."""
    data: dict[str, object] = yaml.safe_load(text)
    return data
