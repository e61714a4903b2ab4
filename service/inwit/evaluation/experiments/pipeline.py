"""The whole pipeline's decision, from what its judges have said: the policy's own pure functions.

The call that names categories is left out (its explanation counts as unavailable), so that a
category's own threshold or action does not show; a gateway asked by its URL has all of it. Tools
count as offered and allowed: that a call is outside a policy says nothing of the judges.
"""

from inwit.decisions import Explanation, ExplanationStatus
from inwit.evaluation.bench.judges import TENANT, Score
from inwit.evaluation.samples import Sample
from inwit.pipeline.exchange import show
from inwit.policy.ask import Circumstances, ask_reasons
from inwit.policy.calibration import Calibration
from inwit.policy.decide import Evidence, decide
from inwit.policy.policy import Policy
from inwit.types import Action, Fault, ReviewStatus, Verdict

_RELEASED = (Action.ALLOW, Action.REDACT)


class PipelineJudge:
    """What a policy makes of a conscience's and a classifier's scores."""

    def __init__(self, policy: Policy, calibration: Calibration | None) -> None:
        self._policy = policy
        self._calibration = calibration

    @property
    def name(self) -> str:
        """With its policy."""
        return f"pipeline, {self._policy.name}"

    def action(self, sample: Sample, conscience: Score, classifier: Score) -> Action:
        """The action on this response."""
        policy, candidate = self._policy, sample.candidate("")
        shown = show(sample.conversation, candidate, TENANT, policy.harms)
        first = self._verdict("conscience", conscience, candidate.digest)
        explanation = None
        if first.risk is not None and first.risk >= policy.lowest(first.calibrated):
            explanation = Explanation(ExplanationStatus.UNAVAILABLE)
        circumstances = Circumstances(
            tool_calls=bool(sample.tool_calls), hidden_text=shown.hidden_text
        )
        asked = ask_reasons(policy, first, explanation, circumstances)
        second = self._verdict("classifier", classifier, candidate.digest) if asked else None
        evidence = Evidence(
            covers=candidate.digest,
            conscience=first,
            explanation=explanation,
            classifier=second,
            asked=asked,
        )
        return decide(policy, evidence).action

    def flags(self, sample: Sample, conscience: Score, classifier: Score) -> bool:
        """Whether the response would not have left as it is."""
        return self.action(sample, conscience, classifier) not in _RELEASED

    def _verdict(self, judge: str, score: Score, covers: str) -> Verdict:
        if score.risk is None:
            fault = Fault(score.fault) if score.fault else Fault.UPSTREAM
            status = ReviewStatus.UNAVAILABLE
            if fault is Fault.DOES_NOT_FIT:
                status = ReviewStatus.TRUNCATED
            mass = score.mass
            return Verdict(judge, status, fault=fault, label_mass=mass, covers=covers)
        risk, calibrated = score.risk, False
        if judge == "conscience" and self._calibration is not None:
            risk, calibrated = self._calibration.apply(score.risk), True
        return Verdict(
            judge,
            ReviewStatus.JUDGED,
            risk=risk,
            raw_risk=score.risk,
            calibrated=calibrated,
            label_mass=score.mass,
            covers=covers,
        )
