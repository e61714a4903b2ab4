"""What an entry says, laid flat: the columns of the Parquet form, and what others are made of.

Each value comes from the entry's own facts and has the type of its column. Facts that are not of
that type (somebody changed the entry, and its hash with it) come out as None.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

from inwit.ledger.exports.leaves import Leaf

CONSCIENCE = "conscience"
_RELEASED = ("allow", "redact")

Facts = Mapping[str, Any]


class Kind(StrEnum):
    """What stands in a column."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    TEXTS = "list of texts"
    FLAG = "true or false"
    TIME = "time (UTC, microseconds)"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the Parquet form; `words` say what it means."""

    name: str
    kind: Kind
    words: str


COLUMNS: tuple[Column, ...] = (
    Column("sequence", Kind.INTEGER, "place in the log, from 1, without gaps"),
    Column("leaf_index", Kind.INTEGER, "place in the tree: `sequence` - 1"),
    Column("leaf_hash", Kind.TEXT, "hash of the entry in the tree, hexadecimal"),
    Column("entry", Kind.TEXT, "id of the entry"),
    Column("time", Kind.TIME, "when it happened"),
    Column("tenant_name", Kind.TEXT, "the tenant as it is written; empty for the operator's acts"),
    Column(
        "type", Kind.TEXT, "`decision`, `check`, `accepted`, … or an act (`ruled`, `viewed`, …)"
    ),
    Column("schema", Kind.INTEGER, "version of the entry's shape"),
    Column("response_id", Kind.TEXT, "the response it is about"),
    Column("case_id", Kind.TEXT, "the escalation it is about"),
    Column("key_id", Kind.TEXT, "the API key that the request came with"),
    Column("actor", Kind.TEXT, "pseudonym of who acted; null for the queue itself"),
    Column("outcome", Kind.TEXT, "`released`, `blocked`, `held`, `checked` or `failed`"),
    Column("action", Kind.TEXT, "what the policy made of it"),
    Column("reasons", Kind.TEXTS, "why, those that decided first"),
    Column("categories", Kind.TEXTS, "kinds of harm that were found, in any candidate"),
    Column("reviewed", Kind.FLAG, "whether every judge that was needed judged all of it"),
    Column("enforcement", Kind.TEXT, "`full`, `windowed` or `audit_only`"),
    Column("policy", Kind.TEXT, "name of the policy"),
    Column("policy_version", Kind.TEXT, "its version"),
    Column("policy_digest", Kind.TEXT, "digest of its exact text"),
    Column("model", Kind.TEXT, "the served model"),
    Column("risk", Kind.NUMBER, "the conscience's calibrated risk of what was decided on"),
    Column("raw_risk", Kind.NUMBER, "the same before calibration"),
    Column("calibrated", Kind.FLAG, "whether a calibration fitted"),
    Column("calibration", Kind.TEXT, "its digest: over fingerprint and points"),
    Column("conscience_status", Kind.TEXT, "`judged`, `unavailable` or `truncated`"),
    Column("classifier", Kind.TEXT, "the classifier that was asked, if any"),
    Column("classifier_risk", Kind.NUMBER, "its risk"),
    Column("classifier_status", Kind.TEXT, "`judged`, `unavailable` or `truncated`"),
    Column("disagreement", Kind.TEXT, "`pass_fail` or `fail_pass` where the two disagree"),
    Column("sampling_rate", Kind.NUMBER, "with which it was to be in the random slice"),
    Column("sampled", Kind.FLAG, "whether it was"),
    Column("rounds", Kind.INTEGER, "candidates that were reviewed"),
    Column("rewrites", Kind.TEXTS, "what became of each rewrite"),
    Column("finish_reason", Kind.TEXT, "why the text ends"),
    Column("masked", Kind.INTEGER, "pieces of private data that were masked"),
    Column("sent_length", Kind.INTEGER, "code points of a stream that left before it was decided"),
    Column("retracted", Kind.FLAG, "whether they were taken back"),
    Column("severity", Kind.TEXT, "of a held response"),
    Column("language", Kind.TEXT, "of a held response"),
    Column("required", Kind.INTEGER, "rulings that a held response needs"),
    Column("ending", Kind.TEXT, "of a case: `ruled` or `nobody_ruled`"),
    Column("ruling", Kind.TEXT, "id of a ruling"),
    Column("ruling_kind", Kind.TEXT, "`approve`, `approve_rewrite`, `edit`, `block` or `escalate`"),
    Column("first_verdict", Kind.TEXT, "what the reviewer said before scores were shown"),
    Column("clause", Kind.TEXT, "the category that a ruling leans on"),
    Column("tier", Kind.INTEGER, "of the slot that was ruled in"),
    Column("released", Kind.FLAG, "of an outcome: whether a person let a text out"),
    Column("golden", Kind.FLAG, "whether the case has a known answer, and no response"),
    Column(
        "why",
        Kind.TEXT,
        "of acts that have a reason, of what failed, and of a case that ended because its content "
        "was erased (`forgotten`)",
    ),
    Column("prompt_tokens", Kind.INTEGER, "read to write the answer"),
    Column("completion_tokens", Kind.INTEGER, "written"),
    Column("review_tokens", Kind.INTEGER, "read and written to review it"),
    Column("total_ms", Kind.NUMBER, "time of the response, in milliseconds"),
)


def flat(leaf: Leaf) -> dict[str, Any]:
    """The value of every column, for an entry that is intact."""
    facts = leaf.facts
    row: dict[str, Any] = dict.fromkeys(column.name for column in COLUMNS)
    row |= {
        "sequence": leaf.sequence,
        "leaf_index": leaf.index,
        "leaf_hash": leaf.hash,
        "entry": text(facts.get("id")),
        "time": moment(facts.get("time")),
        "tenant_name": text(facts.get("tenant")) or "",
        "type": text(facts.get("type")),
        "schema": integer(facts.get("schema")),
        "response_id": text(facts.get("response")) or None,
        "case_id": text(facts.get("case")) or text(_inner(facts, "hold").get("id")),
        "key_id": text(facts.get("key")),
        "actor": text(facts.get("actor")),
        "outcome": _outcome(facts),
    }
    row |= _of_policy(facts if isinstance(facts.get("policy"), dict) else leaf.decided)
    row |= _of_decision(facts) | _of_review(facts) | _of_act(_inner(facts, "facts"))
    why = _inner(facts, "facts").get("why") or facts.get("reason")
    return row | {"why": text(why)}


def text(value: Any) -> str | None:
    """The value where it is text that can be encoded."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode()


def integer(value: Any) -> int | None:
    """The value where it is a whole number of 64 bits."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -(2**63) <= value < 2**63 else None


def number(value: Any) -> float | None:
    """The value where it is a number."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if plain else None
    except OverflowError:
        return None


def moment(value: Any) -> datetime | None:
    """A time of an entry, in UTC."""
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def texts(value: Any) -> list[str] | None:
    """The texts of a list."""
    if not isinstance(value, list):
        return None
    listed = (text(each) for each in cast("list[Any]", value))
    return [each for each in listed if each is not None]


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _inner(facts: Facts, name: str) -> Facts:
    """An object in the facts; empty where there is none."""
    value = facts.get(name)
    return cast("Facts", value) if isinstance(value, dict) else {}


def _outcome(facts: Facts) -> str | None:
    """Entries before schema 5 do not name it; it follows from what they are."""
    if named := text(facts.get("outcome")):
        return named
    match facts.get("type"):
        case "check":
            return "checked"
        case "cut" | "failed":
            return "failed"
        case "decision":
            if _inner(facts, "hold"):
                return "held"
            return "released" if facts.get("action") in _RELEASED else "blocked"
        case _:
            return None


def _of_policy(facts: Facts) -> dict[str, Any]:
    policy = _inner(facts, "policy")
    return {
        "policy": text(policy.get("name")),
        "policy_version": text(policy.get("version")),
        "policy_digest": text(policy.get("digest")),
        "model": text(facts.get("model")),
        "enforcement": text(facts.get("enforcement")),
    }


def _of_decision(facts: Facts) -> dict[str, Any]:
    hold, usage = _inner(facts, "hold"), _inner(facts, "usage")
    generation, review = _inner(usage, "generation"), _inner(usage, "review")
    both = [integer(review.get(f"{name}_tokens")) for name in ("prompt", "completion")]
    masked = [integer(each) or 0 for each in _inner(facts, "masked").values()]
    return {
        "action": text(facts.get("action")),
        "reasons": texts(facts.get("reasons")),
        "categories": _categories(facts),
        "reviewed": _flag(facts.get("reviewed")),
        "rewrites": texts(facts.get("rewrites")),
        "finish_reason": text(facts.get("finish_reason")),
        "masked": sum(masked) if "masked" in facts else None,
        **_of_stream(facts),
        "severity": text(hold.get("severity")),
        "language": text(hold.get("language")),
        "required": integer(hold.get("required")),
        "prompt_tokens": integer(generation.get("prompt_tokens")),
        "completion_tokens": integer(generation.get("completion_tokens")),
        "review_tokens": sum(each or 0 for each in both) if review else None,
        "total_ms": number(_inner(facts, "timings_ms").get("total")),
    }


def _of_stream(facts: Facts) -> dict[str, Any]:
    """Of what was decided, and of streams that were cut; nothing has left of other requests."""
    if facts.get("type") == "cut":
        return {"sent_length": integer(facts.get("length")), "retracted": False}
    sent = _inner(facts, "sent")
    if sent:
        return {
            "sent_length": integer(sent.get("length")),
            "retracted": _flag(sent.get("retracted")),
        }
    nothing = "sent" in facts and facts["sent"] is None
    return {"sent_length": 0, "retracted": False} if nothing else {}


def _of_review(facts: Facts) -> dict[str, Any]:
    """Of the last round: the candidate that was decided on."""
    rounds = list(_objects(facts.get("rounds")))
    if not rounds:
        return {}
    last = rounds[-1]
    verdicts = list(_objects(last.get("verdicts")))
    conscience = _first(verdicts, lambda judge: judge == CONSCIENCE)
    classifier = _first(verdicts, lambda judge: judge != CONSCIENCE)
    sampling = _inner(last, "sampling")
    return {
        "risk": number(conscience.get("risk")),
        "raw_risk": number(conscience.get("raw_risk")),
        "calibrated": _flag(conscience.get("calibrated")),
        "calibration": text(conscience.get("calibration")),
        "conscience_status": text(conscience.get("status")),
        "classifier": text(classifier.get("judge")),
        "classifier_risk": number(classifier.get("risk")),
        "classifier_status": text(classifier.get("status")),
        "disagreement": text(last.get("disagreement")),
        "sampling_rate": number(sampling.get("rate")),
        "sampled": _flag(sampling.get("drawn")),
        "rounds": len(rounds),
    }


def _categories(facts: Facts) -> list[str] | None:
    """Those of the decision, and of the candidates before it that a rewrite has cured."""
    decided, rounds = texts(facts.get("categories")), list(_objects(facts.get("rounds")))
    if decided is None and not rounds:
        return None
    earlier = rounds if decided is None else rounds[:-1]  # a decision is about the last one
    every = [decided or [], *map(_categories_of, earlier)]
    return list(dict.fromkeys(name for each in every for name in each))


def _categories_of(round_: Facts) -> list[str]:
    """Of one candidate: what its verdicts name, where it says nothing else."""
    if "categories" in round_:
        return texts(round_["categories"]) or []
    named = (texts(verdict.get("categories")) for verdict in _objects(round_.get("verdicts")))
    return [name for each in named for name in each or []]


def _of_act(told: Facts) -> dict[str, Any]:
    return {
        "ending": text(told.get("ending")),
        "ruling": text(told.get("ruling")),
        "ruling_kind": text(told.get("kind")),
        "first_verdict": text(told.get("first_verdict")),
        "clause": text(told.get("clause")),
        "tier": integer(told.get("tier")),
        "released": _flag(told.get("released")),
        "golden": told.get("golden") is True if told else None,
    }


def _objects(value: Any) -> Iterator[Facts]:
    if isinstance(value, list):
        for each in cast("list[Any]", value):
            if isinstance(each, dict):
                yield cast("Facts", each)


def _first(verdicts: list[Facts], wanted: Callable[[Any], bool]) -> Facts:
    nothing: Facts = {}
    return next((each for each in verdicts if wanted(each.get("judge"))), nothing)
