"""Policies compile, or say where and how to mend them."""

from pathlib import Path

import pytest

from inwit.errors import PolicyError
from inwit.policy.loader import PACKAGED, load_policies, load_policy
from inwit.types import Action, Framing

GOOD = """\
name: mine
version: "2"
thresholds:
  lower: 0.1
  upper: 0.9
conscience:
  framing: quoted
  question: Is it harmful? Yes or No.
  label_mass_floor: 0.3
fallback_text: Sorry.
"""


def test_the_packaged_default_fails_closed() -> None:
    policy = load_policies(PACKAGED)["default"]

    assert policy.on_review_failure is Action.BLOCK
    assert policy.on_doubt is Action.BLOCK


def test_a_good_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)

    policy = load_policy(file)

    assert policy.ref.name == "mine"
    assert policy.review.framing is Framing.QUOTED
    assert len(policy.ref.digest) == 64


MESSAGES = {
    "upper: 0.9": ("upper: 1.9", 5, "`thresholds.upper`: Input should be less than or equal to 1"),
    "lower: 0.1": ("lower: 0.95", 3, "`thresholds`: `lower` is above `upper`"),
    "framing: quoted": ("framing: loud", 7, "`conscience.framing`: Input should be 'same_thread'"),
    "fallback_text: Sorry.": ("fallback: Sorry.", 1, "`fallback_text`: Field required"),
    'version: "2"': ("version: '2'\non_dout: block", 3, "`on_dout`: Extra inputs"),
    "name: mine": ("name: mine: yours", 1, "not YAML: mapping values are not allowed here"),
    "fallback_text: Sorry": (
        "on_doubt: block\non_doubt: allow\nfallback_text: Sorry",
        11,
        "not YAML: the key `on_doubt` stands here for the second time",
    ),
    "thresholds:\n": ("thresholds: [\n", 5, "not YAML"),
}


@pytest.mark.parametrize("original", MESSAGES)
def test_an_error_names_file_line_and_what_is_wrong(tmp_path: Path, original: str) -> None:
    replacement, line, words = MESSAGES[original]
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace(original, replacement))

    with pytest.raises(PolicyError) as raised:
        load_policy(file)

    assert str(raised.value).startswith(f"{file}:{line}: {words}")
    assert raised.value.remedy


@pytest.mark.parametrize(
    "text", ["", "- 1\n", "name: {}", "!!python/object:os.system {}", "version: 2026-13-45", "\0"]
)
def test_what_is_no_policy_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)

    with pytest.raises(PolicyError):
        load_policy(file)


def test_two_files_cannot_have_one_name(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)

    with pytest.raises(PolicyError, match="is taken"):
        load_policies(tmp_path)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no policy here"):
        load_policies(tmp_path)
