"""OCSF events (schema 1.8.0), one for each entry, for security lakes and SIEMs.

Detection Finding (2004): a response that was not let through as it was, and how a case ended.
Authentication (3002): people who sign in and out. Entity Management (3004): accounts that change.
API Activity (6003): all else.
"""

import json
from datetime import datetime
from typing import Any

from inwit import __version__
from inwit.cases import ActKind
from inwit.ledger.exports.columns import COLUMNS, flat
from inwit.ledger.exports.leaves import Leaf, Standing

SCHEMA = "1.8.0"

Row = dict[str, Any]

_FINDING, _AUTHENTICATION, _ENTITY, _API = 2004, 3002, 3004, 6003
_CREATE, _READ, _UPDATE, _CLOSE, _OTHER = 1, 2, 3, 3, 99
_INFORMATIONAL, _LOW, _MEDIUM, _HIGH, _CRITICAL = 1, 2, 3, 4, 5
_SEVERITIES = {"low": _LOW, "medium": _MEDIUM, "high": _HIGH, "critical": _CRITICAL}
# A response's own: what it was found to be, and what was done (OCSF's action, and disposition).
_BY_ACTION = {
    "redact": (_LOW, 4, 11),  # modified, corrected
    "rewrite": (_MEDIUM, 2, 2),  # denied, blocked
    "escalate": (_MEDIUM, 2, 3),  # denied, quarantined
    "block": (_HIGH, 2, 2),
}
_ACTIVITIES = {
    ActKind.VIEWED.value: _READ,
    ActKind.REVEALED.value: _READ,
    ActKind.EXPORTED.value: _READ,
    ActKind.RULED.value: _UPDATE,
    ActKind.RULED_LATE.value: _UPDATE,
    ActKind.UNDONE.value: _UPDATE,
    ActKind.CLAIMED.value: _UPDATE,
    ActKind.RELEASED.value: _UPDATE,
    "erased": 4,
    "pruned": 4,
    "accepted": _CREATE,
    "decision": _CREATE,
    "check": _CREATE,
}
# These have a place in every event; all else goes into `unmapped`, also what some classes have.
_MAPPED = frozenset({"sequence", "entry", "time", "tenant_name", "response_id"})
_UNMAPPED = tuple(column.name for column in COLUMNS if column.name not in _MAPPED)


def line_of(leaf: Leaf) -> bytes | None:
    """An event; None of an entry that is not intact."""
    if leaf.standing is not Standing.INTACT:
        return None
    return json.dumps(event_of(flat(leaf)), separators=(",", ":")).encode()


def event_of(row: Row) -> Row:
    """The event of an entry that was laid flat."""
    match row["type"]:
        case "decision" | "check" if row["action"] in _BY_ACTION:
            return _finding(row)
        case ActKind.OUTCOME.value if row["response_id"]:
            return _ended(row)
        case ActKind.SIGNED_IN.value | ActKind.SIGNED_OUT.value if row["actor"]:
            activity = 1 if row["type"] == ActKind.SIGNED_IN.value else 2
            event = _event(row, _AUTHENTICATION, activity, _INFORMATIONAL)
            who = {"user": {"uid": row["actor"]}, "service": {"name": "inwit console"}}
            return event | who | {"status_id": 1}
        case ActKind.CHANGED.value:
            event = _event(row, _ENTITY, _UPDATE, _LOW)
            entity = {"uid": row["case_id"] or row["entry"] or "unknown", "type_id": _OTHER}
            return event | {"entity": entity | {"type": "inwit record"}, "actor": _actor(row)}
        case _:
            return _activity(row)


def _finding(row: Row) -> Row:
    severity, action, disposition = _BY_ACTION[row["action"]]
    severity = _SEVERITIES.get(row["severity"], severity)
    event = _event(row, _FINDING, _CREATE, severity, "security_control")
    return event | {
        "finding_info": _finding_info(row, f"Response: {row['action']}"),
        "action_id": action,
        "disposition_id": disposition,
        "status_id": 2 if row["outcome"] == "held" else 1,
        "is_alert": row["action"] in ("escalate", "block"),
        "resources": [_resource(row)],
    }


def _ended(row: Row) -> Row:
    """What people, or the clock, made of a response that was held: the finding is closed."""
    event = _event(row, _FINDING, _CLOSE, _INFORMATIONAL, "security_control")
    return event | {
        "finding_info": _finding_info(row, f"Case: {row['ending']}"),
        "action_id": 1 if row["released"] else 2,
        "disposition_id": 8 if row["released"] else 2,
        "status_id": 4,
        "resources": [_resource(row)],
    }


def _activity(row: Row) -> Row:
    refused = row["type"] == ActKind.REFUSED.value
    failed = refused or row["outcome"] == "failed"
    severity = _LOW if refused else _INFORMATIONAL
    event = _event(row, _API, _ACTIVITIES.get(str(row["type"]), _OTHER), severity)
    return event | {
        "actor": _actor(row),
        "api": {"operation": str(row["type"]), "service": {"name": "inwit"}},
        # Where somebody called from is not in the ledger.
        "src_endpoint": {"svc_name": "inwit"},
        "status_id": 2 if failed else 1,
        "resources": [_resource(row)],
    }


def _event(row: Row, kind: int, activity: int, severity: int, *profiles: str) -> Row:
    """What every class requires."""
    time: datetime | None = row["time"]
    metadata = {
        "version": SCHEMA,
        "product": {"name": "Inwit", "vendor_name": "Inwit", "version": __version__},
        "log_name": "inwit ledger",
        "uid": row["entry"] or f"sequence {row['sequence']}",
        "sequence": row["sequence"],
        "tenant_uid": row["tenant_name"],
        "correlation_uid": row["response_id"] or row["case_id"],
        "profiles": list(profiles),
    }
    return {
        "class_uid": kind,
        "category_uid": kind // 1000,
        "activity_id": activity,
        "type_uid": kind * 100 + activity,
        "severity_id": severity,
        "time": round(time.timestamp() * 1000) if time else 0,
        "metadata": {name: value for name, value in metadata.items() if value},
        "unmapped": {name: row[name] for name in _UNMAPPED if row[name] is not None},
    }


def _finding_info(row: Row, title: str) -> Row:
    """One finding for one response: the same when it is closed."""
    info: Row = {
        "uid": row["response_id"] or row["entry"] or f"sequence {row['sequence']}",
        "title": title,
        "types": row["categories"] or [],
    }
    if row["policy"]:
        info["analytic"] = {
            "name": row["policy"],
            "version": row["policy_version"],
            "uid": row["policy_digest"],
            "type_id": 1,
        }
    return info


def _actor(row: Row) -> Row:
    who = row["actor"] or row["key_id"]
    return {"user": {"uid": who}} if who else {"app_name": "inwit"}


def _resource(row: Row) -> Row:
    for kind, name in (("response", "response_id"), ("case", "case_id")):
        if row[name]:
            return {"uid": row[name], "type": kind}
    return {"uid": row["entry"] or f"sequence {row['sequence']}", "type": "entry"}
