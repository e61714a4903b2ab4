"""Every policy that compiles, for properties: the sections vary as schema.py lets them."""

from dataclasses import replace

from hypothesis import strategies as st

from inwit.policy.policy import (
    CategoryRule,
    ClassifierRule,
    Clears,
    InputRule,
    OnDisagreement,
    OnInput,
    Policy,
    Thresholds,
)
from inwit.policy.schema import ALWAYS_ASKED
from inwit.types import Action, Category, Framing, Severity
from tests.fakes_policies import compiled

BASE = compiled(
    categories={"hate": None, "self_harm": None, "deception": None},
    tools={
        "look_up": {"arguments": {"properties": {"id": {"type": "integer"}}}},
        "refund": {"review": "person"},
    },
    input={"use": ["guard"], "instructions": True, "on_flag": "block"},
    fallback_text="Withheld.",
)
HARMS = (Action.REWRITE, Action.ESCALATE, Action.BLOCK)
FAILURES = (Action.ALLOW, Action.ESCALATE, Action.BLOCK, Action.BLOCK)

thresholds = st.sampled_from([Thresholds(0.4, 0.7), Thresholds(0.2, 0.6)]) | st.tuples(
    st.floats(0, 1), st.floats(0, 1)
).map(lambda two: Thresholds(*sorted(two)))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """With a classifier, or without one and then without what needs one."""
    classified = draw(st.integers(0, 3)) > 0
    harms = (Action.REWRITE, *HARMS) if classified else HARMS[1:]
    doubts = [Action.ALLOW, *harms, Action.BLOCK]
    disagreements = [each for each in OnDisagreement if classified or each != "rewrite"]
    judge = replace(BASE.thresholds, uncalibrated=draw(thresholds))
    return replace(
        BASE,
        thresholds=judge,
        categories={
            category: draw(category_rules(category, harms)) for category in BASE.categories
        },
        on_harm=draw(st.sampled_from(harms)),
        on_doubt=draw(st.sampled_from(doubts)),
        on_disagreement=draw(st.sampled_from(disagreements)),
        on_review_failure=draw(st.sampled_from(FAILURES)),
        on_truncated=draw(st.sampled_from(FAILURES)),
        review=replace(
            BASE.review,
            framing=draw(st.sampled_from(Framing)),
            label_mass_floor=draw(st.sampled_from([0.15, 0.15, 0.15, 0.95])),
        ),
        classifier=draw(classifier_rules()) if classified else None,
        rewrite=replace(
            BASE.rewrite,
            max_rounds=draw(st.integers(1, 3)),
            on_failure=draw(st.sampled_from([Action.ESCALATE, Action.BLOCK])),
        ),
        tools=BASE.tools if classified else {},
        input=draw(st.none() | input_rules(classified)),
        redact=draw(st.sampled_from([None, BASE.redact])),
    )


@st.composite
def category_rules(draw: st.DrawFn, category: Category, harms: tuple[Action, ...]) -> CategoryRule:
    """One category, treated in any way."""
    rule = BASE.categories[category]
    return replace(
        rule,
        harm=replace(rule.harm, severity=draw(st.sampled_from(Severity))),
        action=draw(st.sampled_from(harms)),
        thresholds=replace(rule.thresholds, uncalibrated=draw(thresholds)),
    )


@st.composite
def classifier_rules(draw: st.DrawFn) -> ClassifierRule:
    """Any rule for the classifier; what is always asked stays in `ask`."""
    rule = BASE.classifier
    assert rule is not None
    return replace(
        rule,
        thresholds=draw(thresholds),
        ask=rule.ask - draw(st.frozensets(st.sampled_from(sorted(rule.ask - ALWAYS_ASKED)))),
        severe_from=draw(st.sampled_from(Severity)),
        sample_rate=draw(st.sampled_from([0.0, 0.5, 1.0])),
        on_failure=draw(st.sampled_from(FAILURES)),
        clears=draw(st.frozensets(st.sampled_from(Clears))),
    )


@st.composite
def input_rules(draw: st.DrawFn, classified: bool) -> InputRule:
    """Any input stage."""
    rule = BASE.input
    assert rule is not None
    flags = [each for each in OnInput if classified or each is not OnInput.CLASSIFY]
    return replace(
        rule,
        use=draw(st.sampled_from([(), rule.use])),
        instructions=draw(st.booleans()),
        on_flag=draw(st.sampled_from(flags)),
    )
