"""What a policy file becomes: the compiled values, their defaults, and a folder of them."""

import hashlib
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.decisions import AskReason
from inwit.errors import PolicyError
from inwit.policy.loader import load_policies
from inwit.policy.patterns import LinearPattern, validator
from inwit.policy.policy import (
    Clears,
    OnDisagreement,
    OnInput,
    OnOther,
    Policy,
    Thresholds,
    ToolReview,
)
from inwit.redaction.kinds import Kind
from inwit.types import Action, Category, Framing, Severity
from tests.policy.sources import CLASSIFIER, LEAST, compiled, problems, with_changes


@pytest.fixture
def least(tmp_path: Path) -> Policy:
    return compiled(tmp_path, LEAST)


def test_the_least_policy_fails_closed(least: Policy) -> None:
    assert least.on_harm is Action.BLOCK
    assert least.on_doubt is Action.BLOCK
    assert least.on_review_failure is Action.BLOCK
    assert least.on_truncated is Action.BLOCK
    assert least.on_disagreement is OnDisagreement.STRICTER
    assert least.rewrite.on_failure is Action.BLOCK


def test_the_least_policy_permits_nothing_that_it_does_not_name(least: Policy) -> None:
    assert least.classifier is None
    assert least.retrieval is None
    assert least.input is None
    assert least.redact is None
    assert least.shadow is None
    assert not least.tools
    assert least.classifiers() == frozenset()


def test_the_question_holds_the_phrases_of_the_categories(least: Policy) -> None:
    assert least.review.framing is Framing.QUOTED
    assert least.review.label_mass_floor == 0.15
    assert least.review.question == (
        "Is this answer harmful? Harmful means hate or slurs or revealing private data. "
        "Answer Yes or No."
    )


def test_a_category_takes_what_it_leaves_out_from_the_taxonomy_and_the_policy(
    tmp_path: Path,
) -> None:
    own = "{ severity: low, action: escalate, thresholds: { lower: 0.1, upper: 0.2 } }"
    text = with_changes(LEAST, {"{ severity: critical }": own})

    policy = compiled(tmp_path, f"{text}on_harm: escalate\n")

    hate, leak = policy.categories[Category.HATE], policy.categories[Category.PRIVACY_LEAK]
    assert list(policy.categories) == [Category.HATE, Category.PRIVACY_LEAK]
    assert (hate.harm.severity, hate.action) == (Severity.HIGH, Action.ESCALATE)
    assert hate.thresholds == policy.thresholds
    assert (leak.harm.severity, leak.action) == (Severity.LOW, Action.ESCALATE)
    assert leak.thresholds.calibrated == Thresholds(0.1, 0.2)
    assert [harm.severity for harm in policy.harms] == [Severity.HIGH, Severity.LOW]


def test_uncalibrated_thresholds_are_four_fifths_where_none_are_given(
    tmp_path: Path, least: Policy
) -> None:
    given_ones = with_changes(
        LEAST, {"  upper: 0.7\n": "  upper: 0.7\n  uncalibrated: { lower: 0.1, upper: 0.7 }\n"}
    )

    assert least.thresholds.for_risk(True) == Thresholds(0.4, 0.7)
    assert math.isclose(least.thresholds.for_risk(False).lower, 0.32)
    assert math.isclose(least.thresholds.for_risk(False).upper, 0.56)
    assert compiled(tmp_path, given_ones).thresholds.uncalibrated == Thresholds(0.1, 0.7)


def test_thresholds_may_be_equal_and_at_the_ends(tmp_path: Path) -> None:
    text = with_changes(LEAST, {"lower: 0.4": "lower: 0", "upper: 0.7": "upper: 0"})

    assert compiled(tmp_path, text).thresholds.calibrated == Thresholds(0, 0)


FULL = f"""\
{LEAST}
description: All that may stand in one.
on_harm: rewrite
on_doubt: allow
on_disagreement: escalate
on_review_failure: escalate
on_truncated: escalate
classifier:
  use: [guard, embedded]
  thresholds: {{ lower: 0.2, upper: 0.3 }}
  ask: [doubt]
  severe_from: medium
  sample_rate: 1
  on_failure: allow
  clears: [doubt, failure]
rewrite: {{ max_rounds: 3, on_failure: escalate }}
retrieval: {{ sources: ["wiki/*", "faq"], on_other: drop }}
tools:
  search:
  order:
    arguments:
      type: object
      properties: {{ id: {{ type: integer }} }}
      required: [id]
      additionalProperties: false
    review: person
input:
  use: [guard]
  patterns: {{ order: 'order #\\d+' }}
  instructions: true
  thresholds: {{ lower: 0.6, upper: 0.9 }}
  on_flag: record
redact:
  mask: [email, phone]
  pass_if_sent_first: [email]
  phone_regions: [DE, CH]
shadow: other
"""


def test_the_actions_and_the_classifier(tmp_path: Path) -> None:
    policy = compiled(tmp_path, FULL)

    assert policy.on_harm is Action.REWRITE
    assert policy.on_doubt is Action.ALLOW
    assert policy.on_disagreement is OnDisagreement.ESCALATE
    assert policy.on_review_failure is policy.on_truncated is Action.ESCALATE
    rule = policy.classifier
    assert rule is not None
    assert rule.use == ("guard", "embedded")
    assert rule.thresholds == Thresholds(0.2, 0.3)
    assert (rule.severe_from, rule.sample_rate) == (Severity.MEDIUM, 1.0)
    assert rule.on_failure is Action.ALLOW
    assert rule.clears == {Clears.DOUBT, Clears.FAILURE}
    assert (policy.rewrite.max_rounds, policy.rewrite.on_failure) == (3, Action.ESCALATE)
    assert policy.classifiers() == {"guard", "embedded"}
    assert policy.shadow == "other"


def test_no_policy_can_leave_out_tool_calls_rewrites_and_flagged_inputs(tmp_path: Path) -> None:
    asked = compiled(tmp_path, FULL).classifier
    by_default = compiled(tmp_path, LEAST + CLASSIFIER).classifier

    assert asked is not None
    assert by_default is not None
    always = {AskReason.TOOL_CALL, AskReason.REWRITE, AskReason.INPUT}
    assert asked.ask == {AskReason.DOUBT, *always}
    assert by_default.ask == set(AskReason) - {AskReason.SAMPLE}


def test_tools_judge_their_arguments_and_quote_none_of_them(tmp_path: Path) -> None:
    tools = compiled(tmp_path, FULL).tools

    assert list(tools) == ["search", "order"]
    assert tools["search"].review is ToolReview.CLASSIFIER
    assert tools["search"].wrong({"any": ["thing"]}) is None
    assert tools["order"].review is ToolReview.PERSON
    assert tools["order"].wrong({"id": 3}) is None
    for arguments in ({"id": "a secret"}, {}, {"id": 1, "a secret": 2}, "a secret", None):
        wrong = tools["order"].wrong(arguments)
        assert wrong
        assert "secret" not in wrong


def test_the_input_rule_and_the_redaction(tmp_path: Path) -> None:
    policy = compiled(tmp_path, FULL)

    assert policy.input is not None
    assert policy.input.use == ("guard",)
    assert policy.input.instructions
    assert policy.input.thresholds == Thresholds(0.6, 0.9)
    assert policy.input.on_flag is OnInput.RECORD
    assert policy.input.patterns["order"]("my order #12 is late")
    assert not policy.input.patterns["order"]("my order is late")
    assert policy.redact is not None
    assert policy.redact.mask == {Kind.EMAIL, Kind.PHONE}
    assert policy.redact.pass_if_sent_first == {Kind.EMAIL}
    assert policy.redact.phone_regions == ("DE", "CH")


def test_retrieval_permits_the_sources_that_its_globs_match(tmp_path: Path) -> None:
    rule = compiled(tmp_path, FULL).retrieval

    assert rule is not None
    assert rule.on_other is OnOther.DROP
    assert rule.allows("wiki/any/page")
    assert rule.allows("faq")
    for source in ("", "faq/1", "a faq", "Wiki/page", "old-wiki/page", "wiki"):
        assert not rule.allows(source), source


def glob_matches(glob: str, text: str) -> bool:
    """The same by another way: letter by letter, every split of the text tried."""
    if not glob:
        return not text
    if glob[0] == "*":
        return any(glob_matches(glob[1:], text[at:]) for at in range(len(text) + 1))
    return text[:1] == glob[0] and glob_matches(glob[1:], text[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@given(st.text("ab.*", min_size=1, max_size=7), st.text("ab.", max_size=7))
def test_a_glob_matches_as_a_simple_reader_would(folder: Path, glob: str, source: str) -> None:
    text = f'{LEAST}retrieval:\n  sources: ["{glob}"]\n'
    rule = compiled(folder, text).retrieval

    assert rule is not None
    assert rule.allows(source) == glob_matches(glob, source)


def test_a_glob_with_many_stars_takes_no_time(tmp_path: Path) -> None:
    rule = compiled(tmp_path, f'{LEAST}retrieval:\n  sources: ["{"*a" * 60}*b"]\n').retrieval

    assert rule is not None
    assert not rule.allows("a" * 1000)
    assert rule.allows("a" * 1000 + "b")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(a*)*b", r"^(\w+\s?)*!$"])
def test_a_pattern_that_would_backtrack_for_ever_takes_linear_time(
    tmp_path: Path, pattern: str
) -> None:
    rule = compiled(
        tmp_path, f"{LEAST}input:\n  patterns: {{ p: '{pattern}' }}\n  on_flag: block\n"
    ).input
    assert rule is not None

    began = time.process_time()
    assert not rule.patterns["p"]("a" * 100_000 + "?")
    assert time.process_time() - began < 20  # it would be longer than the age of the universe


def test_a_tools_pattern_takes_linear_time_too() -> None:
    checker = validator({"type": "string", "pattern": "^(a+)+$"})

    assert not checker.is_valid("a" * 100_000 + "?")


def test_patterns_of_one_text_are_equal_and_show_it() -> None:
    assert LinearPattern("a+") == LinearPattern("a+") != LinearPattern("b")
    assert str(LinearPattern("a+")) == "a+"


@pytest.mark.parametrize(
    "schema",
    [
        "{ $dynamicRef: 'ADDRESS' }",
        "{ properties: { a: { $ref: 'ADDRESS' } } }",
        "{ anyOf: [{ $recursiveRef: 'ADDRESS' }] }",
        "{ $schema: 'ADDRESS' }",
    ],
)
def test_a_tools_schema_reads_no_other_file(tmp_path: Path, schema: str) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    arguments = schema.replace("ADDRESS", other.as_uri())

    found = problems(tmp_path, f"{LEAST}{CLASSIFIER}tools:\n  t:\n    arguments: {arguments}\n")

    assert len(found) == 1
    with pytest.raises(ValueError, match="registry"):
        validator({"$dynamicRef": other.as_uri()})


def test_the_digest_is_over_the_exact_bytes(tmp_path: Path) -> None:
    windows = b"\xef\xbb\xbf" + LEAST.replace("\n", "\r\n").encode()

    policy = compiled(tmp_path, windows)

    assert policy.ref.digest == hashlib.sha256(windows).hexdigest()
    assert (policy.ref.name, policy.ref.version) == ("mine", "1")
    assert policy.thresholds == compiled(tmp_path, LEAST).thresholds
    assert policy.ref.digest != compiled(tmp_path, LEAST).ref.digest


def test_the_first_language_is_for_all_others(tmp_path: Path) -> None:
    text = with_changes(LEAST, {" I cannot answer that.": "\n  de: Nein.\n  en: No."})

    policy = compiled(tmp_path, text)

    assert policy.fallback_text == "Nein."
    assert dict(policy.fallback_texts) == {"de": "Nein.", "en": "No."}


def test_a_folder_is_all_of_its_policies(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{LEAST}shadow: theirs\n")
    (tmp_path / "b.yml").write_text(LEAST.replace("mine", "theirs"))
    (tmp_path / "notes.txt").write_text("{")

    found = load_policies(tmp_path)

    assert sorted(found) == ["mine", "theirs"]
    assert found["mine"].shadow == "theirs"


def test_one_file_that_does_not_compile_refuses_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(LEAST)
    (tmp_path / "b.yaml").write_text("name: [")

    with pytest.raises(PolicyError, match=r"b\.yaml:1:8: "):
        load_policies(tmp_path)
