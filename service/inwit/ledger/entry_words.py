"""What an entry says, in words: for a terminal and for the console alike. Pure.

Facts are told, never content. What callers and models named stands in them as it was written:
whoever shows it makes sure that all of it can be seen.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from inwit.ledger.verify import list_of, object_of

Pair = tuple[str, str]

_LONGEST = 200  # characters of one fact
_GATEWAYS = frozenset(
    {
        *("window", "decision", "check", "cut", "failed"),
        *("policy_in_force", "policy_withdrawn", "policy_refused"),
    }
)

_TITLES: Mapping[str, str] = {
    "accepted": "Request accepted",
    "window": "Text let out while it streams",
    "cut": "Stream ended early",
    "failed": "Failed",
    "claimed": "Claimed",
    "released": "Given back",
    "skipped": "Skipped",
    "viewed": "Viewed",
    "revealed": "Text revealed",
    "edit_checked": "Edit judged",
    "first_verdict": "First verdict, before the scores",
    "ruled": "Ruled",
    "undone": "Ruling taken back",
    "ruled_late": "Ruled too late",
    "lease_expired": "Lease ran out",
    "raised": "Passed on to a senior",
    "delivered": "Answer delivered",
    "delivery_given_up": "Delivery given up",
    "erased": "Content erased on request",
    "held": "Put under legal hold",
    "lifted": "Legal hold lifted",
    "pruned": "Pruned",
    "signing_keys": "Keys of checkpoints named",
    "refused": "Access refused",
    "policy_in_force": "Policy in force",
    "policy_withdrawn": "Policy in force no more",
    "policy_refused": "Change of policies refused",
}
_OUTCOMES: Mapping[str, str] = {
    "held": "held for a person",
    "escalate": "held for a person",
    "checked": "text of a caller checked",
}


def title(facts: Mapping[str, Any]) -> str:
    """What happened."""
    kind, more = str(facts.get("type")), object_of(facts.get("facts"))
    match kind:
        case "decision" | "check":
            said = str(facts.get("outcome", facts.get("action")))
            return f"Decided: {_OUTCOMES.get(said, said)}"
        case "ruled" | "ruled_late" | "first_verdict" if more.get("kind"):
            return f"{_TITLES[kind]}: {_spaced(more['kind'])}"
        case "outcome":
            ended = "released" if more.get("released") else "not released"
            return f"Outcome: {ended}, {_spaced(more.get('ending'))}"
        case "changed":
            return _changed(more)
        case _:
            return _TITLES.get(kind, _spaced(kind).capitalize())


def _changed(more: Mapping[str, Any]) -> str:
    """What of the service was changed, and how."""
    if "content_keys" in more:
        return "Keys of content rotated"
    if "key" in more:
        how = "made" if more.get("made") else "revoked" if more.get("revoked") else "changed"
        return f"API key {how}"
    if "account" in more:
        return "Person added" if more.get("made") else "Person changed"
    return "Changed"


def who(facts: Mapping[str, Any]) -> str:
    """Who did it: a pseudonym, a caller's key, or the service itself."""
    if facts.get("actor"):
        return str(facts["actor"])
    if object_of(facts.get("facts")).get("through") == "command_line":
        return "the command line"
    if facts.get("type") == "accepted" and facts.get("key"):
        return f"the caller with the key {facts['key']}"
    return "the gateway" if facts.get("type") in _GATEWAYS else "the queue"


def told(facts: Mapping[str, Any]) -> list[Pair]:
    """All else that is worth a line, by name. What is empty is left out."""
    return [(name, short(value)) for name, value in _what(facts) if value not in (None, "", [], {})]


def _what(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    match facts.get("type"):
        case "accepted":
            yield from _terms(facts)
            yield "asked as", facts.get("asked")
        case "decision" | "check":
            yield "action", facts.get("action")
            yield "reasons", _joined(facts.get("reasons"))
            yield "categories", _joined(facts.get("categories"))
            yield "reviewed", facts.get("reviewed")
            yield from _hold(facts)
            yield from _terms(facts)
            yield from _verdicts(facts)
            yield "rewrites", _joined(facts.get("rewrites"))
            taken = object_of(facts.get("redacted")).items()
            yield "taken out before it was kept", [f"{count} {kind}" for kind, count in taken]
        case "window":
            yield "characters", f"{facts.get('start')} to {facts.get('end') or 'the end'}"
            yield from _verdicts(facts)
        case "cut" | "failed":
            yield "why", _spaced(facts.get("reason"))
            yield from _verdicts(facts)
        case _:
            yield "case", facts.get("case")
            for name, value in object_of(facts.get("facts")).items():
                yield _spaced(name), value


def _terms(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Under which policy, and by which model."""
    policy = object_of(facts.get("policy"))
    if policy:
        yield "policy", f"{policy.get('name')} {policy.get('version')}"
        yield "policy digest", policy.get("digest")
    yield "model", facts.get("model")
    if facts.get("enforcement") not in (None, "full"):
        yield "kept back", _spaced(facts.get("enforcement"))


def _hold(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    hold = object_of(facts.get("hold"))
    yield "case", hold.get("id")
    yield "severity", hold.get("severity")


def _verdicts(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each judge of each round: its risk, or why there is none."""
    rounds = list_of(facts.get("rounds"))
    for number, each in enumerate(map(object_of, rounds)):
        of = f", rewrite {number}" if number else ""
        for verdict in map(object_of, list_of(each.get("verdicts"))):
            risk = verdict.get("risk")
            said = f"not reviewed, {_spaced(verdict.get('status'))}"
            if risk is not None:
                said = f"risk {risk}{'' if verdict.get('calibrated') else ', not calibrated'}"
            found = _joined(verdict.get("categories"))
            yield f"{verdict.get('judge')}{of}", f"{said}{f' ({found})' if found else ''}"


def short(value: Any) -> str:
    """A fact as a text of bounded length."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _spaced(name: Any) -> str:
    return str(name).replace("_", " ")


def _joined(value: Any) -> str:
    return ", ".join(_spaced(each) for each in list_of(value))
