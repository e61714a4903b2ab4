"""What the ledger tells of one response: the inverse of `chain.py`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from inwit.cases import Hold, OnExpiry, Output, RulingKind, Settled, Settlement
from inwit.decisions import (
    AskReason,
    CutReason,
    Decision,
    Explanation,
    ExplanationStatus,
    Origin,
    Passage,
    Reason,
    Receipt,
    Record,
    Response,
    RewriteOutcome,
    Round,
    Sampling,
    Sent,
    Usages,
)
from inwit.errors import Gone
from inwit.ledger.read import Story
from inwit.types import (
    Action,
    Candidate,
    Category,
    Enforcement,
    Fault,
    FinishReason,
    Framing,
    PolicyRef,
    Principal,
    ReviewStatus,
    Severity,
    ToolCall,
    Usage,
    Verdict,
)

Facts = Mapping[str, Any]

# The forms of entries that can be read.
_SCHEMAS = (4, 5)

# The types of entries that an answer is made of.
TOLD = ("decision", "check", "window", "cut", "outcome")


@dataclass(frozen=True, slots=True)
class Stored:
    """One response as its entries tell it.

    `response` once it is decided, as far as an answer tells of it: the model's own texts stay in
    the ledger, but for the one that a check was brought. `cut` where its stream ended before that.
    `left` is the text that left before the decision, as far as it is known and not withdrawn.
    `begun` is the time of its first entry.
    """

    id: str
    begun: datetime
    left: str
    response: Response | None = None
    cut: CutReason | None = None


def stored(stories: Sequence[Story]) -> Stored:
    """Put the entries about one response together; there is at least one.

    Raises:
        Gone: they are of an older form, or content is gone that an answer needs.
    """
    facts = stories[0].facts
    if any(story.facts["schema"] not in _SCHEMAS for story in stories):
        raise Gone("This response was recorded by an earlier version, which kept too little of it.")
    name, begun = facts["response"], datetime.fromisoformat(facts["time"])
    by_type = {story.facts["type"]: story for story in stories}
    if decided := by_type.get("decision") or by_type.get("check"):
        response = replace(_response(decided), settlement=_settlement(by_type.get("outcome")))
        sent = response.record.sent
        left = response.output.text[: sent.length] if sent and not sent.retracted else ""
        return Stored(name, begun, left, response)
    if cut := by_type.get("cut"):
        return Stored(name, begun, _released(cut)["text"], cut=CutReason(cut.facts["reason"]))
    windows = [story for story in stories if story.facts["end"] is not None]
    return Stored(name, begun, "".join(_released(window)["text"] for window in windows))


def _settlement(outcome: Story | None) -> Settlement | None:
    if outcome is None:
        return None
    facts, released = outcome.facts["facts"], _released(outcome)
    return Settlement(
        ending=Settled(facts["ending"]),
        ruling=RulingKind(facts["kind"]) if facts["kind"] else None,
        output=output_of(released),
        time=datetime.fromisoformat(outcome.facts["time"]),
    )


def output_of(content: Facts) -> Output:
    """An output, from the JSON that holds it."""
    calls = tuple(_tool_call(each) for each in content["tool_calls"])
    return Output(content["text"], content["finish_reason"], calls, content["masked"])


def _released(story: Story) -> Facts:
    return _content(story, "released")


def _content(story: Story, kind: str) -> Facts:
    if kind not in story.contents:
        raise Gone("The content of this response is no longer kept; its entry in the ledger is.")
    return story.contents[kind]


def _response(story: Story) -> Response:
    facts, released = story.facts, _released(story)
    finish_reason = cast("FinishReason", facts["finish_reason"])
    calls = tuple(_tool_call(each) for each in released["tool_calls"])
    output = Output(released["text"], finish_reason, calls, facts["masked"])
    receipt = Receipt(facts["sequence"], facts["id"], story.hash, facts["previous"])
    return Response(_record(story), output, facts["timings_ms"], receipt)


def _record(story: Story) -> Record:
    facts = story.facts
    rounds = tuple(_round(each, facts["model"]) for each in facts["rounds"])
    checked = facts["type"] == "check"
    if checked:
        brought = _candidate(_content(story, "candidate"), facts["model"])
        rounds = (replace(rounds[0], candidate=brought), *rounds[1:])
    input_ = facts["input"]
    return Record(
        origin=origin_of(facts),
        time=datetime.fromisoformat(facts["time"]),
        decision=_decision(facts, rounds[-1].decision),
        rounds=rounds,
        rewrites=tuple(RewriteOutcome(each) for each in facts["rewrites"]),
        has_input_stage=input_ is not None,
        input=_verdict(input_["verdict"]) if input_ and input_["verdict"] else None,
        input_flagged=bool(input_ and input_["flagged"]),
        passages=_passages(story),
        finish_reason=cast("FinishReason", facts["finish_reason"]),
        masked=facts["masked"],
        usage=Usages(Usage(**facts["usage"]["generation"]), Usage(**facts["usage"]["review"])),
        sent=_sent(facts["sent"]) if facts["sent"] else None,
        hold=_hold(facts["hold"]) if facts["hold"] else None,
        timings_ms=facts["timings_ms"],
        contents={},
        checked=checked,
    )


def origin_of(facts: Facts) -> Origin:
    """What an entry says of its response."""
    return Origin(
        response_id=facts["response"],
        principal=Principal(facts["key"], facts["tenant"], (), frozenset()),
        policy=PolicyRef(**facts["policy"]),
        model=facts["model"],
        enforcement=Enforcement(facts["enforcement"]),
        request_id=facts["request"],
    )


def _decision(facts: Facts, last: Decision) -> Decision:
    return Decision(
        action=Action(facts["action"]),
        reasons=_reasons(facts),
        verdicts=last.verdicts,
        covers=last.covers,
        reviewed=facts["reviewed"],
        categories=tuple(Category(each) for each in facts["categories"]),
        disagreement=last.disagreement,
    )


def _round(facts: Facts, model: str) -> Round:
    verdicts = tuple(_verdict(each) for each in facts["verdicts"])
    sampling, explanation = facts["sampling"], facts["explanation"]
    return Round(
        candidate=Candidate("", model),
        decision=Decision(
            Action(facts["action"]),
            _reasons(facts),
            verdicts,
            covers="",
            reviewed=False,
            disagreement=facts["disagreement"],
        ),
        asked=tuple(AskReason(each) for each in facts["asked"]),
        explanation=Explanation(ExplanationStatus(explanation)) if explanation else None,
        sampling=Sampling(**sampling) if sampling else None,
    )


def _reasons(facts: Facts) -> tuple[Reason, ...]:
    return tuple(Reason(each) for each in facts["reasons"])


def _verdict(facts: Facts) -> Verdict:
    return Verdict(
        judge=facts["judge"],
        status=ReviewStatus(facts["status"]),
        risk=facts["risk"],
        label_mass=facts.get("label_mass"),
        fault=Fault(facts["fault"]) if facts.get("fault") else None,
        calibrated=facts["calibrated"],
        calibration=facts.get("calibration"),
        model=facts.get("model"),
        framing=Framing(facts["framing"]) if facts.get("framing") else None,
        question_digest=facts.get("question"),
        raw_risk=facts.get("raw_risk"),
        categories=tuple(Category(each) for each in facts.get("categories", ())),
        labels=tuple(facts.get("labels", ())),
    )


def _hold(facts: Facts) -> Hold:
    return Hold(
        id=facts["id"],
        severity=Severity(facts["severity"]),
        language=facts["language"],
        required=facts["required"],
        drawn=facts["drawn"],
        claim_within=timedelta(seconds=facts["claim_within_s"]),
        rule_within=timedelta(seconds=facts["rule_within_s"]),
        on_expiry=OnExpiry(facts["on_expiry"]),
        expired=Output("", "content_filter"),
        offers=(),
    )


def _sent(facts: Facts) -> Sent:
    return Sent(facts["length"], facts["windows"], Usage(**facts["usage"]), facts["retracted"])


def _passages(story: Story) -> tuple[Passage, ...]:
    if not story.facts["passages"]:
        return ()
    ids = [passage["id"] for passage in _content(story, "request")["context"]]
    return tuple(
        Passage(name, each["used"], each.get("why"), each.get("flagged", False))
        for name, each in zip(ids, story.facts["passages"], strict=True)
    )


def _candidate(content: Facts, model: str) -> Candidate:
    calls = tuple(_tool_call(each) for each in content["tool_calls"])
    return Candidate(content["text"], model, content["reasoning"], tool_calls=calls)


def _tool_call(call: Facts) -> ToolCall:
    return ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
