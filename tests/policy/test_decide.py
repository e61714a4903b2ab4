"""The decision, over its whole table, against the table in words below.

In a cell `+` joins what holds at once, of which the strictest wins. The words are:

- `allow`: nothing speaks against it
- `harm`: the action of the category found, or `on_harm` where none was
- `split`: `on_disagreement`, which `stricter` makes `harm`
- `sure`: the stricter of `harm` and `split`
- `doubt<x`: `on_doubt`, but no stricter than `x`
- `gap`, `cut`, `failed`: on_review_failure, on_truncated, the classifier's on_failure
- `x?doubt`, `x?failure`: allow where the policy's classifier clears that, else `x`
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest

from inwit.decisions import AskReason, Explanation, ExplanationStatus, Reason
from inwit.errors import InwitError
from inwit.policy.decide import Evidence, ToolFinding, decide
from inwit.policy.policy import (
    CategoryRule,
    Clears,
    JudgeThresholds,
    OnDisagreement,
    OnInput,
    Policy,
    Thresholds,
)
from inwit.policy.states import State
from inwit.types import Action, Category, Fault, Harm, ReviewStatus, Severity, Verdict
from tests.fakes_policies import compiled

USUAL = """
            | not_asked  | pass              | doubt          | fail     | unavailable/truncated
pass        | allow      | allow             | doubt<split    | split    | failed
doubt       | doubt<harm | doubt<split?doubt | doubt<sure     | sure     | doubt<harm+failed
fail        | harm       | split             | sure           | sure     | harm+failed
unavailable | gap        | gap?failure       | gap+doubt<sure | gap+sure | gap+failed
truncated   | cut        | cut?failure       | cut+doubt<sure | cut+sure | cut+failed
"""
# A critical category is cleared by nobody, disputed by nobody, and doubt is as good as certainty.
CRITICAL = """
            | not_asked  | pass              | doubt          | fail     | unavailable/truncated
pass        | allow      | allow             | doubt<sure     | sure     | failed
doubt       | harm       | sure              | sure           | sure     | harm+failed
fail        | harm       | sure              | sure           | sure     | harm+failed
unavailable | gap        | gap?failure       | gap+doubt<sure | gap+sure | gap+failed
truncated   | cut        | cut?failure       | cut+doubt<sure | cut+sure | cut+failed
"""

RISKS = {State.PASS: 0.1, State.DOUBT: 0.5, State.FAIL: 0.9}
COVERS = "digest"
BASE = compiled(redact=None)
THRESHOLDS = Thresholds(0.4, 0.7)
HARMS = ("rewrite", "escalate", "block")
DOUBTS = ("allow", "rewrite", "escalate", "block")
CLEARS: tuple[tuple[Clears, ...], ...] = ((), (Clears.DOUBT,), (Clears.FAILURE,), tuple(Clears))
FAILURES = (("allow", "allow", "allow"), ("block", "escalate", "escalate"))
FOUND = Category.HATE


@dataclass(frozen=True)
class Setting:
    """What a policy says, as far as the table depends on it."""

    harm: str = "block"
    doubt: str = "block"
    disagreement: OnDisagreement = OnDisagreement.STRICTER
    clears: tuple[Clears, ...] = (Clears.DOUBT,)
    gap: str = "block"
    cut: str = "block"
    failed: str = "block"
    severity: Severity | None = None  # of the category found; None: none was


def policy_for(setting: Setting) -> Policy:
    rule = BASE.classifier
    assert rule is not None
    judged = JudgeThresholds(THRESHOLDS, THRESHOLDS)
    harm = Action(setting.harm)
    severity = setting.severity or Severity.LOW
    category = CategoryRule(Harm(FOUND, "Hate", "", "hate", severity), harm, judged)
    # Where a category was found its own action holds: the policy's must then not matter.
    other = Action.BLOCK if harm is not Action.BLOCK else Action.REWRITE
    classifier = replace(
        rule,
        thresholds=THRESHOLDS,
        clears=frozenset(setting.clears),
        on_failure=Action(setting.failed),
    )
    return replace(
        BASE,
        thresholds=judged,
        categories={FOUND: category},
        on_harm=harm if setting.severity is None else other,
        on_doubt=Action(setting.doubt),
        on_disagreement=setting.disagreement,
        on_review_failure=Action(setting.gap),
        on_truncated=Action(setting.cut),
        classifier=classifier,
    )


def verdict(judge: str, state: State, categories: tuple[Category, ...] = ()) -> Verdict | None:
    if state is State.NOT_ASKED:
        return None
    if state in RISKS:
        judged = ReviewStatus.JUDGED
        return Verdict(judge, judged, risk=RISKS[state], covers=COVERS, categories=categories)
    return Verdict(judge, ReviewStatus(state.value), fault=Fault.TIMEOUT, covers=COVERS)


def evidence_for(
    conscience: State, classifier: State, found: bool, asked: tuple[AskReason, ...]
) -> Evidence:
    """The category, if any, is named by the conscience where it saw a risk, else by the other."""
    categories = (FOUND,) if found else ()
    sees = conscience in (State.DOUBT, State.FAIL)
    ours = verdict("conscience", conscience)
    assert ours is not None
    return Evidence(
        COVERS,
        ours,
        Explanation(ExplanationStatus.NAMED, categories) if found and sees else None,
        verdict("guard", classifier, () if sees else categories),
        () if classifier is State.NOT_ASKED else asked,
    )


def strictest(*actions: str) -> str:
    return max(actions, key=lambda action: Action(action).strictness)


def mildest(*actions: str) -> str:
    return min(actions, key=lambda action: Action(action).strictness)


def expected(words: str, setting: Setting, asked: tuple[AskReason, ...]) -> str:
    """The action that a cell of the table stands for."""
    split = setting.harm
    if setting.disagreement is not OnDisagreement.STRICTER:
        split = setting.disagreement.value
    values = {
        "allow": "allow",
        "harm": setting.harm,
        "split": split,
        "sure": strictest(setting.harm, split),
        "doubt": setting.doubt,
        "gap": setting.gap,
        "cut": setting.cut,
        "failed": "allow" if asked == (AskReason.SAMPLE,) else setting.failed,
    }
    cell, _, cleared = words.partition("?")
    if cleared and Clears(cleared) in setting.clears:
        return "allow"
    parts = (mildest(*(values[word] for word in part.split("<"))) for part in cell.split("+"))
    return strictest(*parts)


def cells(table: str) -> dict[tuple[State, State], str]:
    head, *rows = [
        [cell.strip() for cell in line.split("|")] for line in table.strip("\n").splitlines()
    ]
    return {
        (State(row[0]), State(state)): cell
        for row in rows
        for column, cell in zip(head[1:], row[1:], strict=True)
        for state in column.split("/")
    }


ASKED = ((AskReason.SAMPLE,), (AskReason.DOUBT, AskReason.SAMPLE))
SETTINGS = [
    Setting(harm, doubt, disagreement, clears, gap, cut, failed, severity)
    for harm, doubt, disagreement, clears, (gap, cut, failed), severity in product(
        HARMS, DOUBTS, OnDisagreement, CLEARS, FAILURES, (None, *Severity)
    )
]


def rows(severity: Severity | None) -> Iterator[tuple[Setting, Evidence, str]]:
    """Every setting with that severity, under every pair of states and either cause to ask."""
    table = cells(CRITICAL if severity is Severity.CRITICAL else USUAL)
    for (conscience, classifier), words in table.items():
        for asked in ASKED:
            found = severity is not None
            evidence = evidence_for(conscience, classifier, found, asked)
            for setting in SETTINGS:
                if setting.severity is severity:
                    yield setting, evidence, expected(words, setting, asked)


@pytest.mark.parametrize("severity", [None, *Severity])
def test_the_whole_table(severity: Severity | None) -> None:
    policies = {each: policy_for(each) for each in SETTINGS if each.severity is severity}
    seen = 0
    for setting, evidence, action in rows(severity):
        decision = decide(policies[setting], evidence)
        assert decision.action == action, (setting, evidence)
        assert decision.covers == COVERS
        seen += 1
    assert seen == 17_280  # 288 settings, 30 cells, 2 causes to ask; five times over


@pytest.mark.parametrize("severity", [None, *Severity])
def test_more_risk_is_never_treated_more_mildly(severity: Severity | None) -> None:
    """Down each column and along each row, the categories that were named staying the same."""
    asked = ASKED[1]
    named = Explanation(ExplanationStatus.NAMED, (FOUND,) if severity else ())
    grid = {
        (ours, theirs): replace(
            evidence_for(ours, theirs, severity is not None, asked), explanation=named
        )
        for ours, theirs in product(RISKS, RISKS)
    }
    for setting in SETTINGS:
        if setting.severity is not severity:
            continue
        policy = policy_for(setting)
        ranks = {
            states: decide(policy, evidence).action.strictness for states, evidence in grid.items()
        }
        for line in RISKS:
            down = [ranks[state, line] for state in RISKS]
            along = [ranks[line, state] for state in RISKS]
            assert down == sorted(down), (setting, line)
            assert along == sorted(along), (setting, line)


def test_the_table_is_whole() -> None:
    states = set(State)
    for table in (USUAL, CRITICAL):
        assert cells(table).keys() == set(product(states - {State.NOT_ASKED}, states))


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize(
    ("risk", "reason"),
    [
        (0.0, Reason.BELOW_LOWER),
        (0.299, Reason.BELOW_LOWER),
        (0.3, Reason.IN_DOUBT),
        (0.699, Reason.IN_DOUBT),
        (0.7, Reason.ABOVE_UPPER),
        (1.0, Reason.ABOVE_UPPER),
    ],
)
def test_where_the_thresholds_lie(risk: float, reason: Reason, calibrated: bool) -> None:
    ours, other = Thresholds(0.3, 0.7), Thresholds(1.0, 1.0)
    thresholds = JudgeThresholds(*((ours, other) if calibrated else (other, ours)))
    judged = Verdict(
        "conscience", ReviewStatus.JUDGED, risk=risk, covers=COVERS, calibrated=calibrated
    )

    decision = decide(replace(BASE, thresholds=thresholds), Evidence(COVERS, judged))

    assert decision.reasons == (reason,)


def test_of_several_categories_the_strictest_thresholds_and_action_hold() -> None:
    policy = compiled(
        categories={
            "hate": {"action": "rewrite", "thresholds": {"lower": 0.4, "upper": 0.5}},
            "defamation": {"action": "escalate", "thresholds": {"lower": 0.3, "upper": 0.9}},
        }
    )
    judged = Verdict("conscience", ReviewStatus.JUDGED, risk=0.5, covers=COVERS, calibrated=True)

    def action(*categories: Category) -> Action:
        explanation = Explanation(ExplanationStatus.NAMED, categories)
        return decide(policy, Evidence(COVERS, judged, explanation)).action

    assert action(Category.HATE) is Action.REWRITE
    assert action(Category.DEFAMATION) is Action.ESCALATE  # in doubt, no stricter than certain
    assert action(Category.HATE, Category.DEFAMATION) is Action.ESCALATE


@pytest.mark.parametrize("status", sorted({*ExplanationStatus} - {ExplanationStatus.NAMED}))
def test_an_explanation_that_does_not_count_names_nothing(status: ExplanationStatus) -> None:
    policy = policy_for(Setting(harm="rewrite", severity=Severity.CRITICAL))
    evidence = evidence_for(State.DOUBT, State.PASS, found=False, asked=())

    without = decide(policy, evidence)
    withal = decide(policy, replace(evidence, explanation=Explanation(status, (FOUND,))))

    assert withal == without
    assert withal.categories == ()


PAIRS = list(product([*RISKS, State.UNAVAILABLE, State.TRUNCATED], State))


@pytest.mark.parametrize(("conscience", "classifier"), PAIRS)
def test_other_findings_only_make_it_stricter(conscience: State, classifier: State) -> None:
    """At least their own action, and at least what it was without them."""
    policy = policy_for(Setting(harm="rewrite", doubt="allow", gap="allow", cut="allow"))
    blocking = compiled(input={"instructions": True, "on_flag": "block"}).input
    watched = replace(policy, input=blocking)
    plain = evidence_for(conscience, classifier, found=False, asked=(AskReason.DOUBT,))
    unjudged = verdict("guard", State.UNAVAILABLE)
    least = {
        Action.BLOCK: [
            replace(plain, tools=ToolFinding.OUTSIDE),
            replace(plain, input_flagged=True),
        ],
        Action.ESCALATE: [replace(plain, tools=ToolFinding.NEEDS_PERSON)],
        Action.REDACT: [replace(plain, masks=True)],
        watched.on_review_failure: [replace(plain, input=unjudged)],
        Action.ALLOW: [replace(plain, tools=ToolFinding.PERMITTED)],
    }
    before = decide(watched, plain)

    for action, findings in least.items():
        for evidence in findings:
            decision = decide(watched, evidence)
            assert decision.action.strictness == max(action.strictness, before.action.strictness)
            assert {*before.reasons} <= {*decision.reasons}


@pytest.mark.parametrize("on_flag", [OnInput.CLASSIFY, OnInput.RECORD])
def test_an_input_that_does_not_block_is_recorded_as_a_reason(on_flag: OnInput) -> None:
    rule = compiled(input={"instructions": True, "on_flag": on_flag.value}).input
    plain = evidence_for(State.PASS, State.NOT_ASKED, found=False, asked=())

    flagged = decide(replace(BASE, input=rule), replace(plain, input_flagged=True))

    assert flagged.action is Action.ALLOW
    assert Reason.INPUT_FLAGGED in flagged.reasons


@pytest.mark.parametrize(("conscience", "classifier"), PAIRS)
@pytest.mark.parametrize("asked", ASKED)
def test_what_counts_as_reviewed(
    conscience: State, classifier: State, asked: tuple[AskReason, ...]
) -> None:
    decision = decide(policy_for(Setting()), evidence_for(conscience, classifier, False, asked))

    needed = asked != (AskReason.SAMPLE,) and classifier is not State.NOT_ASKED
    assert decision.reviewed == (conscience in RISKS and (not needed or classifier in RISKS))


@pytest.mark.parametrize("whose", ["conscience", "classifier"])
def test_a_verdict_about_another_candidate_is_refused(whose: str) -> None:
    evidence = evidence_for(State.PASS, State.PASS, found=False, asked=(AskReason.DOUBT,))
    theirs = replace(getattr(evidence, whose), covers="another digest")

    with pytest.raises(InwitError, match="does not cover"):
        decide(BASE, replace(evidence, **{whose: theirs}))
