"""More risk never makes the action milder, whatever the policy says."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.decisions import AskReason, Explanation, ExplanationStatus
from inwit.policy.decide import Evidence, ToolFinding, decide
from inwit.policy.policy import Clears, OnDisagreement, Policy, Thresholds
from inwit.types import Action, Category, Fault, ReviewStatus, Severity, Verdict
from tests.fakes_policies import compiled

BASE = compiled(input={"instructions": True, "on_flag": "block"})
HARMS = st.sampled_from([Action.REWRITE, Action.ESCALATE, Action.BLOCK])
FAILURES = st.sampled_from([Action.ALLOW, Action.ESCALATE, Action.BLOCK])
DOUBTS = st.sampled_from([Action.ALLOW, Action.REWRITE, Action.ESCALATE, Action.BLOCK])
CATEGORIES = (Category.HATE, Category.DECEPTION, Category.SELF_HARM)
risks = st.floats(0, 1)
named = st.lists(st.sampled_from(CATEGORIES), unique=True, max_size=3).map(tuple)
thresholds = st.tuples(risks, risks).map(lambda pair: Thresholds(*sorted(pair)))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    judge = replace(BASE.thresholds, calibrated=draw(thresholds), uncalibrated=draw(thresholds))
    rule = BASE.classifier
    assert rule is not None
    categories = {
        category: replace(
            BASE.categories[category],
            harm=replace(BASE.categories[category].harm, severity=draw(st.sampled_from(Severity))),
            action=draw(HARMS),
            thresholds=replace(judge, uncalibrated=draw(thresholds)),
        )
        for category in CATEGORIES
    }
    return replace(
        BASE,
        thresholds=judge,
        categories=categories,
        on_harm=draw(HARMS),
        on_doubt=draw(DOUBTS),
        on_disagreement=draw(st.sampled_from(OnDisagreement)),
        on_review_failure=draw(FAILURES),
        on_truncated=draw(FAILURES),
        classifier=replace(
            rule,
            thresholds=draw(thresholds),
            on_failure=draw(FAILURES),
            clears=draw(st.frozensets(st.sampled_from(Clears))),
        ),
    )


@st.composite
def verdicts(draw: st.DrawFn, judge: str) -> Verdict:
    categories = draw(named) if judge == "guard" else ()
    if draw(st.integers(0, 3)) == 0:
        status = draw(st.sampled_from([ReviewStatus.UNAVAILABLE, ReviewStatus.TRUNCATED]))
        return Verdict(judge, status, fault=Fault.TIMEOUT)
    return Verdict(
        judge,
        ReviewStatus.JUDGED,
        risk=draw(risks),
        calibrated=draw(st.booleans()),
        categories=categories,
        unnamed=draw(st.booleans()),
    )


evidences = st.builds(
    Evidence,
    covers=st.just(""),
    conscience=verdicts("conscience"),
    explanation=st.none() | st.builds(Explanation, st.sampled_from(ExplanationStatus), named),
    classifier=st.none() | verdicts("guard"),
    asked=st.lists(st.sampled_from(AskReason), unique=True, max_size=3).map(tuple),
    tools=st.sampled_from(ToolFinding),
    input_flagged=st.booleans(),
    masks=st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(policies(), evidences, risks, st.booleans())
def test_raising_a_risk_never_makes_the_action_milder(
    policy: Policy, evidence: Evidence, risk: float, conscience: bool
) -> None:
    verdict = evidence.conscience if conscience else evidence.classifier
    if verdict is None or verdict.risk is None:
        return
    raised = replace(verdict, risk=max(verdict.risk, risk))
    changed = {"conscience": raised} if conscience else {"classifier": raised}

    before, after = decide(policy, evidence), decide(policy, replace(evidence, **changed))

    assert after.action.strictness >= before.action.strictness


@settings(max_examples=200, deadline=None)
@given(policies(), evidences)
def test_nothing_is_released_that_a_judge_flagged(policy: Policy, evidence: Evidence) -> None:
    """By the thresholds alone, whatever the categories, the clearing and the disagreement say."""
    rule = policy.classifier
    assert rule is not None
    ours, theirs = evidence.conscience, evidence.classifier
    bounds = policy.thresholds.for_risk(ours.calibrated)
    flagged = ours.risk is not None and ours.risk >= bounds.upper
    if theirs is not None and theirs.risk is not None:
        flagged |= theirs.risk >= rule.thresholds.upper

    action = decide(policy, evidence).action

    assert not (flagged and action in (Action.ALLOW, Action.REDACT))
