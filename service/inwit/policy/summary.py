"""A compiled policy as plain values: what `inwit policy show` prints and `diff` compares. Pure."""

import difflib
import json
from typing import Any

from inwit.policy.policy import (
    ClassifierRule,
    EscalationRule,
    InputRule,
    JudgeThresholds,
    Policy,
    RedactRule,
    RetrievalRule,
    StreamRule,
    Thresholds,
)


def summary(policy: Policy) -> dict[str, Any]:
    """Everything that the policy does, with what came from the taxonomy and from defaults."""
    return {
        "name": policy.name,
        "version": policy.ref.version,
        "digest": policy.ref.digest,
        "description": policy.description,
        "thresholds": _judge_thresholds(policy.thresholds),
        "on_harm": policy.on_harm.value,
        "on_doubt": policy.on_doubt.value,
        "on_disagreement": policy.on_disagreement.value,
        "on_review_failure": policy.on_review_failure.value,
        "on_truncated": policy.on_truncated.value,
        "categories": {
            category.value: {
                "severity": rule.harm.severity.value,
                "action": rule.action.value,
                "thresholds": _judge_thresholds(rule.thresholds),
            }
            for category, rule in policy.categories.items()
        },
        "conscience": {
            "framing": policy.review.framing.value,
            "question": policy.review.question,
            "question_digest": policy.review.question_digest,
            "label_mass_floor": policy.review.label_mass_floor,
        },
        "classifier": _classifier(policy.classifier),
        "rewrite": {
            "max_rounds": policy.rewrite.max_rounds,
            "on_failure": policy.rewrite.on_failure.value,
        },
        "retrieval": _retrieval(policy.retrieval),
        "tools": {
            tool.name: {"review": tool.review.value, "arguments": tool.schema}
            for tool in policy.tools.values()
        },
        "input": _input(policy.input),
        "redact": _redact(policy.redact),
        "fallback_text": dict(policy.fallback_texts),
        "stream": _stream(policy.stream),
        "escalation": _escalation(policy.escalation),
        "shadow": policy.shadow,
    }


def _escalation(rule: EscalationRule) -> dict[str, Any]:
    return {
        "claim_within_s": rule.claim_within.total_seconds(),
        "rule_within_s": rule.rule_within.total_seconds(),
        "on_expiry": rule.on_expiry.value,
        "expired_text": dict(rule.expired_texts),
        "second_review": {
            "from_severity": rule.second_from.value if rule.second_from else None,
            "share": rule.second_share,
        },
        "on_queue_down": "block" if rule.blocks_without_queue else "hold",
        "reason_for": sorted(rule.reason_for),
        "clause_for": sorted(rule.clause_for),
    }


def shown(policy: Policy) -> str:
    """The summary as indented JSON."""
    return _indented(summary(policy))


def difference(before: Policy, after: Policy) -> str:
    """What the second does otherwise than the first, as a unified diff; empty where nothing."""
    lines = difflib.unified_diff(
        _effects(before).splitlines(),
        _effects(after).splitlines(),
        f"{before.name} {before.ref.version}",
        f"{after.name} {after.ref.version}",
        lineterm="",
        n=2,
    )
    return "\n".join(lines)


def _effects(policy: Policy) -> str:
    """The summary without what names a policy and changes nothing of what it does."""
    all_of_it = summary(policy)
    for key in ("name", "version", "digest", "description"):
        del all_of_it[key]
    return _indented(all_of_it)


def _indented(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False)


def _thresholds(thresholds: Thresholds) -> dict[str, float]:
    return {"lower": thresholds.lower, "upper": thresholds.upper}


def _judge_thresholds(thresholds: JudgeThresholds) -> dict[str, Any]:
    return {
        **_thresholds(thresholds.calibrated),
        "uncalibrated": _thresholds(thresholds.uncalibrated),
    }


def _classifier(rule: ClassifierRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {
        "use": list(rule.use),
        "thresholds": _thresholds(rule.thresholds),
        "ask": sorted(reason.value for reason in rule.ask),
        "severe_from": rule.severe_from.value,
        "sample_rate": rule.sample_rate,
        "on_failure": rule.on_failure.value,
        "clears": sorted(what.value for what in rule.clears),
    }


def _input(rule: InputRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {
        "use": list(rule.use),
        "thresholds": _thresholds(rule.thresholds),
        "patterns": {name: str(pattern) for name, pattern in rule.patterns.items()},
        "instructions": rule.instructions,
        "on_flag": rule.on_flag.value,
    }


def _retrieval(rule: RetrievalRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {"sources": list(rule.globs), "on_other": rule.on_other.value}


def _stream(rule: StreamRule) -> dict[str, Any]:
    return {"mode": rule.mode.value, "window": rule.window, "overlap": rule.overlap}


def _redact(rule: RedactRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {
        "mask": sorted(kind.value for kind in rule.mask),
        "pass_if_sent_first": sorted(kind.value for kind in rule.pass_if_sent_first),
        "phone_regions": list(rule.phone_regions),
    }
