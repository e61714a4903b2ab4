"""The table of decisions for the packaged policies, rendered from `decide` for docs/."""

from collections.abc import Iterator

from inwit.decisions import AskReason, Explanation, ExplanationStatus
from inwit.policy.decide import Evidence, decide
from inwit.policy.loader import PACKAGED, load_policy
from inwit.policy.policy import Policy
from inwit.policy.states import State
from inwit.types import Category, Fault, ReviewStatus, Severity, Verdict

_ROWS = [state for state in State if state is not State.NOT_ASKED]
_WORDS = """\
What each packaged policy makes of the two judges together: rows are what the conscience's \
verdict comes to under the policy's thresholds, columns what the classifier's does. A cell is the \
action and the first of its reasons. `rewrite` is not the end: the rewrite is judged and \
classified in its turn.

The classifier's failure counts here as one where it was needed. Where only the random slice \
asked, it changes nothing. Tool calls, flagged inputs and private data are findings beside these: \
the strictest one decides ([0010](decisions/0010-the-strictest-finding-decides.md))."""


def page() -> str:
    """docs/decisions-table.md."""
    policies = [load_policy(file) for file in sorted(PACKAGED.glob("*.yaml"))]
    note = "<!-- Rendered from the code by `make docs`; edit there. -->"
    parts = ["# Decisions", note, _WORDS, *(part for each in policies for part in _policy(each))]
    return "\n\n".join(parts) + "\n"


def _policy(policy: Policy) -> Iterator[str]:
    critical = next(
        category
        for category, rule in policy.categories.items()
        if rule.harm.severity is Severity.CRITICAL
    )
    yield f"## {policy.name}"
    yield "No category was named:"
    yield _table(policy, ())
    yield f"A critical category was named by a judge that saw a risk (`{critical.value}`):"
    yield _table(policy, (critical,))


def _table(policy: Policy, categories: tuple[Category, ...]) -> str:
    head = ["conscience ↓ classifier →", *(state.value for state in State)]
    lines = [head, ["---"] * len(head)]
    for conscience in _ROWS:
        cells = (_cell(policy, conscience, classifier, categories) for classifier in State)
        lines.append([conscience.value, *cells])
    return "\n".join(f"| {' | '.join(line).replace('_', ' ')} |" for line in lines)


def _cell(
    policy: Policy, conscience: State, classifier: State, categories: tuple[Category, ...]
) -> str:
    ours = _verdict(policy, "conscience", conscience, ())
    theirs = _verdict(policy, "classifier", classifier, categories)
    if ours is None:
        return ""
    explained = Explanation(ExplanationStatus.NAMED, categories) if _sees(conscience) else None
    asked = () if theirs is None else (AskReason.HIDDEN_TEXT,)
    decision = decide(policy, Evidence("", ours, explained, theirs, asked))
    return f"**{decision.action.value}** {decision.reasons[0].value}"


def _verdict(
    policy: Policy, judge: str, state: State, categories: tuple[Category, ...]
) -> Verdict | None:
    if state is State.NOT_ASKED:
        return None
    if state in (State.UNAVAILABLE, State.TRUNCATED):
        return Verdict(judge, ReviewStatus(state.value), fault=Fault.UPSTREAM)
    named = categories if _sees(state) else ()
    risk = _risk(policy, judge, state, categories)
    return Verdict(judge, ReviewStatus.JUDGED, risk=risk, calibrated=True, categories=named)


def _risk(policy: Policy, judge: str, state: State, categories: tuple[Category, ...]) -> float:
    """A risk that comes to `state`: at the lower edge of its band."""
    if state is State.PASS:
        return 0.0
    if judge == "classifier" and policy.classifier is not None:
        bounds = [policy.classifier.thresholds]
    else:
        rules = [policy.categories[category].thresholds for category in categories]
        bounds = [each.calibrated for each in (policy.thresholds, *rules)]
    return min(each.lower if state is State.DOUBT else each.upper for each in bounds)


def _sees(state: State) -> bool:
    return state in (State.DOUBT, State.FAIL)
