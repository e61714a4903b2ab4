"""OpenTelemetry log records: each line is a whole request to a collector, as OTLP's JSON has it.

A collector takes the lines by its receiver `otlpjsonfile`, or each by itself at `/v1/logs`.
"""

import json
from typing import Any

from inwit import __version__
from inwit.ledger.exports.columns import COLUMNS, Kind, flat
from inwit.ledger.exports.leaves import Leaf, Standing

SCOPE = "inwit.ledger"

_INFO, _WARN, _ERROR = (9, "INFO"), (13, "WARN"), (17, "ERROR")
_BY_OUTCOME = {"held": _WARN, "blocked": _WARN, "failed": _ERROR}
_BY_TYPE = {"refused": _WARN}
_RESOURCE = {
    "attributes": [
        {"key": "service.name", "value": {"stringValue": "inwit"}},
        {"key": "service.version", "value": {"stringValue": __version__}},
    ]
}
_APART = frozenset({"time"})  # has a place of its own


def line_of(leaf: Leaf) -> bytes | None:
    """An `ExportLogsServiceRequest` with one log record; None of an entry that is not intact."""
    if leaf.standing is not Standing.INTACT:
        return None
    row = flat(leaf)
    number, words = _BY_OUTCOME.get(row["outcome"], _BY_TYPE.get(row["type"], _INFO))
    record: dict[str, Any] = {
        "severityNumber": number,
        "severityText": words,
        "eventName": f"inwit.ledger.{row['type']}",
        "body": {"stringValue": " ".join(filter(None, (row["type"], row["action"])))},
        "attributes": [
            {"key": f"inwit.{column.name}", "value": _value(column.kind, row[column.name])}
            for column in COLUMNS
            if column.name not in _APART and row[column.name] is not None
        ],
    }
    if row["time"] is not None:
        nanoseconds = str(round(row["time"].timestamp() * 1_000_000) * 1000)
        record |= {"timeUnixNano": nanoseconds, "observedTimeUnixNano": nanoseconds}
    logs = {"scope": {"name": SCOPE, "version": __version__}, "logRecords": [record]}
    request = {"resourceLogs": [{"resource": _RESOURCE, "scopeLogs": [logs]}]}
    return json.dumps(request, separators=(",", ":")).encode()


def _value(kind: Kind, value: Any) -> dict[str, Any]:
    """OTLP's JSON writes whole numbers of 64 bits as text."""
    match kind:
        case Kind.INTEGER:
            return {"intValue": str(value)}
        case Kind.NUMBER:
            return {"doubleValue": value}
        case Kind.FLAG:
            return {"boolValue": value}
        case Kind.TEXTS:
            return {"arrayValue": {"values": [{"stringValue": each} for each in value]}}
        case Kind.TEXT | Kind.TIME:
            return {"stringValue": value}
