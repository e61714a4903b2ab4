"""The policies that come with Inwit keep what their comments promise."""

import re
from pathlib import Path

import pytest

from inwit.policy.loader import PACKAGED, load_policies
from inwit.policy.policy import Clears, OnInput, Policy, ToolReview
from inwit.redaction.kinds import Kind
from inwit.types import Action, Category, Severity

POLICIES = load_policies(PACKAGED)
DEFAULT, SUPPORT = POLICIES["default"], POLICIES["support"]
CHILDREN, CODING = POLICIES["children"], POLICIES["internal-coding"]
FILES = sorted(PACKAGED.glob("*.yaml"))

every = pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)


def test_there_are_four_and_files_are_called_as_their_policies() -> None:
    assert set(POLICIES) == {"default", "support", "internal-coding", "children"}
    assert {file.stem for file in FILES} == set(POLICIES)


@every
def test_it_fails_closed(policy: Policy) -> None:
    held = {Action.BLOCK, Action.ESCALATE}
    assert policy.classifier is not None

    assert policy.on_review_failure is Action.BLOCK
    assert policy.on_truncated is Action.BLOCK
    assert policy.classifier.on_failure is Action.BLOCK
    assert policy.rewrite.on_failure in held
    assert policy.on_doubt in {*held, Action.REWRITE}
    assert policy.on_harm in {*held, Action.REWRITE}
    assert Clears.FAILURE not in policy.classifier.clears


@every
def test_it_runs_as_it_is_installed(policy: Policy) -> None:
    assert policy.classifiers() == {"embedded"}
    assert policy.input is None or not policy.input.use  # `embedded` judges no inputs


@every
def test_it_is_stricter_while_uncalibrated_and_takes_a_random_slice(policy: Policy) -> None:
    raw, calibrated = policy.thresholds.uncalibrated, policy.thresholds.calibrated
    assert policy.classifier is not None

    assert raw.lower < calibrated.lower
    assert raw.upper < calibrated.upper
    assert 0.01 <= policy.classifier.sample_rate <= 0.25


@every
def test_it_asks_about_its_categories_and_wants_yes_or_no(policy: Policy) -> None:
    for harm in policy.harms:
        assert harm.words in policy.review.question
    assert policy.review.question.endswith("Answer Yes or No.")


@every
def test_secrets_are_masked_whoever_sent_them(policy: Policy) -> None:
    assert policy.redact is not None
    assert {Kind.CREDENTIAL, Kind.PAYMENT_CARD, Kind.NATIONAL_ID} <= policy.redact.mask
    assert not policy.redact.pass_if_sent_first & {
        Kind.CREDENTIAL,
        Kind.PAYMENT_CARD,
        Kind.NATIONAL_ID,
    }


CATEGORIES = {
    "default": set(Category) - {Category.INTELLECTUAL_PROPERTY},
    "support": {
        Category.PRIVACY_LEAK,
        Category.COERCION,
        Category.DECEPTION,
        Category.OMISSION,
        Category.PROFESSIONAL_ADVICE,
        Category.DEFAMATION,
        Category.HATE,
        Category.SEXUAL_CONTENT,
        Category.SELF_HARM,
        Category.VIOLENT_CRIMES,
        Category.NONVIOLENT_CRIMES,
        Category.UNSAFE_TOOL_USE,
    },
    "internal-coding": {
        Category.PRIVACY_LEAK,
        Category.NONVIOLENT_CRIMES,
        Category.UNSAFE_TOOL_USE,
        Category.POWER_SEEKING,
        Category.DECEPTION,
        Category.OMISSION,
        Category.WEAPONS,
        Category.INTELLECTUAL_PROPERTY,
    },
    "children": set(Category)
    - {Category.INTELLECTUAL_PROPERTY, Category.DEFAMATION, Category.UNSAFE_TOOL_USE},
}


@every
def test_it_watches_for_what_its_comments_say(policy: Policy) -> None:
    assert set(policy.categories) == CATEGORIES[policy.name]


def actions(policy: Policy, action: Action) -> set[Category]:
    return {category for category, rule in policy.categories.items() if rule.action is action}


def test_default_rewrites_what_is_a_matter_of_wording() -> None:
    wording = {Category.DECEPTION, Category.COERCION, Category.OMISSION}

    assert actions(DEFAULT, Action.REWRITE) == wording
    assert actions(DEFAULT, Action.BLOCK) == set(DEFAULT.categories) - wording
    assert next(iter(DEFAULT.fallback_texts)) == "en"
    assert len(DEFAULT.fallback_texts) == 5


def test_support_blocks_leaks_early_and_says_pressure_and_promises_again() -> None:
    leak = SUPPORT.categories[Category.PRIVACY_LEAK]

    assert (leak.harm.severity, leak.action) == (Severity.CRITICAL, Action.BLOCK)
    assert leak.thresholds.calibrated.lower < SUPPORT.thresholds.calibrated.lower
    assert leak.thresholds.calibrated.upper < SUPPORT.thresholds.calibrated.upper
    assert {Category.COERCION, Category.DECEPTION} <= actions(SUPPORT, Action.REWRITE)
    assert actions(SUPPORT, Action.ESCALATE) == {Category.SELF_HARM, Category.UNSAFE_TOOL_USE}
    assert SUPPORT.rewrite.on_failure is Action.ESCALATE
    assert SUPPORT.input is not None
    assert SUPPORT.input.on_flag is OnInput.CLASSIFY


def test_coding_permits_three_tools_and_deploys_to_staging_with_a_person() -> None:
    assert {name: tool.review for name, tool in CODING.tools.items()} == {
        "read_file": ToolReview.CLASSIFIER,
        "run_tests": ToolReview.CLASSIFIER,
        "deploy": ToolReview.PERSON,
    }
    deploy, read = CODING.tools["deploy"].wrong, CODING.tools["read_file"].wrong
    assert deploy({"environment": "staging"}) is None
    assert deploy({"environment": "production"})
    assert deploy({})
    assert read({"path": "src/main.py"}) is None
    assert read({"path": "a; b"})
    assert read({"path": "a", "mode": "w"})


def test_coding_takes_passages_from_its_own_sources_alone() -> None:
    assert CODING.retrieval is not None
    assert CODING.retrieval.allows("wiki/start")
    assert CODING.retrieval.allows("repo/a/b.py")
    assert not CODING.retrieval.allows("web/page")
    assert CODING.redact is not None
    assert not CODING.redact.pass_if_sent_first


def test_children_is_stricter_than_the_default_in_everything() -> None:
    assert CHILDREN.thresholds.calibrated.lower < DEFAULT.thresholds.calibrated.lower
    assert CHILDREN.thresholds.calibrated.upper < DEFAULT.thresholds.calibrated.upper
    assert CHILDREN.thresholds.uncalibrated.upper < DEFAULT.thresholds.uncalibrated.upper
    assert CHILDREN.on_doubt is CHILDREN.on_harm is Action.BLOCK
    assert CHILDREN.classifier is not None
    assert CHILDREN.classifier.clears == frozenset()
    assert CHILDREN.classifier.severe_from is Severity.MEDIUM
    assert CHILDREN.redact is not None
    assert CHILDREN.redact.mask == set(Kind)
    assert not CHILDREN.redact.pass_if_sent_first
    assert CHILDREN.input is not None
    assert CHILDREN.input.on_flag is OnInput.BLOCK
    assert all(
        rule.harm.severity in (Severity.HIGH, Severity.CRITICAL)
        for rule in CHILDREN.categories.values()
    )
    assert not CHILDREN.tools
    assert CHILDREN.retrieval is None


def keys_with_comment(file: Path) -> tuple[set[str], set[str]]:
    """The top-level keys, and those with a comment: beside or within them, or above their group.

    A group is what stands without an empty line between.
    """
    keys: set[str] = set()
    commented: set[str] = set()
    headed, key = False, ""
    for line in file.read_text().splitlines():
        if found := re.match(r"([a-z_]+):", line):
            key = found[1]
            keys.add(key)
        headed = bool(line) and (headed or line.startswith("#"))
        if key and not line.startswith("#") and (headed or re.search(r"(^|\s)# ", line)):
            commented.add(key)
    return keys, commented


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_packaged_policy_explains_every_key(file: Path) -> None:
    keys, commented = keys_with_comment(file)

    assert keys == commented
