"""What each form has of an entry, and what none of them ever has."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from inwit.cases import ActKind, ActRecord, Hold, Offer, OnExpiry, Output, RulingKind
from inwit.decisions import (
    CutReason,
    CutRecord,
    Reason,
    Record,
    RewriteOutcome,
    Round,
    Sent,
    WindowRecord,
)
from inwit.errors import SetupError
from inwit.ledger.database import Database
from inwit.ledger.exports import columns, jsonl, ocsf, statements
from inwit.ledger.exports.exporter import Exporter, Wanted
from inwit.ledger.exports.forms import Form
from inwit.ledger.exports.parquet import NOBODY, tenant_folder
from inwit.ledger.exports.places import Folder
from inwit.ledger.exports.statements import STATEMENT_CATEGORIES, read_grounds
from inwit.types import Action, Candidate, Category, Severity, Usage
from tests.ledger.exports.ledgers import (
    DECISION,
    GROUNDS,
    ORIGIN,
    RECORD,
    VERDICT,
    append,
    bodies,
    export,
    forge,
    lines,
    of,
    parquet_rows,
)

SECRET = "MARKED-7f3a"
OCSF = json.loads((Path(__file__).parent / "ocsf-1.8.0.json").read_text())


def decided(number: int, action: Action, *categories: Category, held: bool = False) -> Record:
    """A response that a policy did this with."""
    decision = replace(
        DECISION, action=action, reasons=(Reason.ABOVE_UPPER,), categories=categories
    )
    hold = Hold(
        id=f"esc_{number}",
        severity=Severity.HIGH,
        language="en",
        required=1,
        drawn=False,
        claim_within=timedelta(minutes=10),
        rule_within=timedelta(minutes=10),
        on_expiry=OnExpiry.BLOCK,
        expired=Output(SECRET, "stop"),
        offers=(Offer(RulingKind.APPROVE, Output(SECRET, "stop")),),
        callback_url=f"https://{SECRET}.example",
    )
    return of(
        number,
        decision=decision,
        rounds=(Round(Candidate(SECRET, "m"), decision),),
        hold=hold if held else None,
        contents={"candidate": SECRET.encode(), "request": SECRET.encode()},
    )


def act(kind: ActKind, number: int | None = None, /, **facts: Any) -> ActRecord:
    of_case: dict[str, str] = {}
    if number is not None:
        of_case = {"response_id": f"resp_{number}", "case_id": f"esc_{number}"}
    content = {"reason": SECRET.encode()}
    time = RECORD.time + timedelta(days=1)
    return ActRecord(kind, time, "acme", "rev_ada", facts, content, **of_case)


async def fill(database: Database) -> None:
    """Something of everything."""
    kinds = {"ruling": "rul_1", "kind": "block", "tier": 1, "first_verdict": None}
    ended = {"ending": "ruled", "kind": "block", "ruling": "rul_1", "released": False}
    free = {"ending": "ruled", "kind": "approve", "ruling": "rul_2", "released": True}
    nobody = {"ending": "nobody_ruled", "kind": None, "ruling": None, "released": False}
    await append(
        database,
        [
            decided(1, Action.ALLOW),
            decided(2, Action.BLOCK, Category.SELF_HARM, Category.HATE),
            decided(3, Action.ESCALATE, Category.DECEPTION, held=True),
            decided(4, Action.ESCALATE, Category.WEAPONS, held=True),
            decided(5, Action.ESCALATE, held=True),
            replace(decided(6, Action.BLOCK), checked=True),
            decided(7, Action.REDACT, Category.PRIVACY_LEAK),
            act(ActKind.SIGNED_IN),
            act(ActKind.VIEWED, 3),
            act(ActKind.RULED, 3, **kinds),
            act(ActKind.OUTCOME, 3, **ended),
            act(ActKind.OUTCOME, 4, **free),
            act(ActKind.OUTCOME, 5, **nobody),
            act(ActKind.OUTCOME, None, **(ended | {"golden": True})),
            act(ActKind.REFUSED, route="/cases", why="forbidden"),
            act(ActKind.CHANGED, account="rev_ben"),
            act(ActKind.SIGNED_OUT),
        ],
    )


@pytest.mark.parametrize("form", list(Form))
async def test_no_content_and_no_end_user_in_any_byte(
    database: Database, tmp_path: Path, form: Form
) -> None:
    origin = replace(ORIGIN, end_user=SECRET)
    await append(database, [replace(RECORD, origin=origin, contents={"candidate": b"x"})])
    await fill(database)

    exporter = await export(database, tmp_path / "out", form)

    assert exporter.told.rows
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


async def test_a_line_of_json_has_the_exact_entry(database: Database, tmp_path: Path) -> None:
    await fill(database)

    await export(database, tmp_path)

    written = await bodies(database)
    (part,) = (tmp_path / "jsonl").iterdir()
    for number, line in enumerate(part.read_bytes().splitlines()):
        told, body = json.loads(line), jsonl.body_of(line)
        assert body is not None
        assert body == written[number + 1]
        assert (told["sequence"], told["leaf_index"]) == (number + 1, number)
        assert told["leaf_hash"] == hashlib.sha256(b"\x00" + body).hexdigest()
        assert told["entry"] == json.loads(body)


async def test_every_ocsf_event_fits_its_class(database: Database, tmp_path: Path) -> None:
    await fill(database)

    await export(database, tmp_path, Form.OCSF)

    events = lines(tmp_path, Form.OCSF)
    for event in events:
        schema = OCSF["classes"][str(event["class_uid"])]
        jsonschema.validate(event, schema)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["metadata"]["version"] == ocsf.SCHEMA
        leaf = event["unmapped"]
        assert leaf["leaf_index"] == event["metadata"]["sequence"] - 1
        assert len(leaf["leaf_hash"]) == 64
    assert [each["class_uid"] for each in events] == [
        *(6003, 2004, 2004, 2004, 2004, 2004, 2004, 3002, 6003, 6003),
        *(2004, 2004, 2004, 6003, 6003, 3004, 3002),
    ]
    opened, closed = events[2], events[10]
    assert opened["finding_info"]["uid"] == closed["finding_info"]["uid"] == "resp_3"
    assert (opened["activity_id"], closed["activity_id"]) == (1, 3)
    assert (opened["severity_id"], events[1]["severity_id"], opened["disposition_id"]) == (4, 4, 3)
    assert events[14]["status_id"] == 2


async def test_an_ocsf_event_has_every_column(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    await fill(database)

    await export(database, tmp_path, Form.OCSF)
    await export(database, tmp_path, Form.PARQUET)

    apart = {"time", "sequence", "entry", "tenant_name", "response_id"}
    events = lines(tmp_path, Form.OCSF)
    for event, row in zip(events, parquet_rows(tmp_path), strict=True):
        expected = {name: value for name, value in row.items() if value is not None}
        assert event["unmapped"] == {k: v for k, v in expected.items() if k not in apart}
        metadata = event["metadata"]
        assert (metadata["sequence"], metadata["uid"]) == (row["sequence"], row["entry"])
        assert metadata["tenant_uid"] == row["tenant_name"]
        assert event["time"] == round(row["time"].timestamp() * 1000)
        assert metadata.get("correlation_uid") == row["response_id"] or row["response_id"] is None


async def test_every_line_for_a_collector_is_a_request(database: Database, tmp_path: Path) -> None:
    await fill(database)

    await export(database, tmp_path, Form.OTEL)

    (part,) = (tmp_path / "otel").iterdir()
    records: list[Any] = []
    for line in part.read_text().splitlines():
        request = Parse(line, ExportLogsServiceRequest())
        (record,) = request.resource_logs[0].scope_logs[0].log_records
        records.append(record)
    assert len(records) == 17
    assert datetime.fromtimestamp(records[0].time_unix_nano / 1e9, UTC) == RECORD.time
    found = {each.key: each.value for each in records[1].attributes}
    assert found["inwit.leaf_index"].int_value == 1
    assert len(found["inwit.leaf_hash"].string_value) == 64
    assert found["inwit.risk"].double_value == 0.1
    assert found["inwit.reviewed"].bool_value
    kinds = [each.string_value for each in found["inwit.categories"].array_value.values]
    assert kinds == ["self_harm", "hate"]
    assert (records[1].event_name, records[1].severity_text) == ("inwit.ledger.decision", "WARN")


async def test_a_statement_for_each_response_that_was_withheld(
    database: Database, tmp_path: Path
) -> None:
    await fill(database)

    await export(database, tmp_path, Form.DSA)

    found = lines(tmp_path, Form.DSA)
    assert [each["sequence"] for each in found] == [2, 11, 13], "not checks, not golden ones"
    blocked, ruled, nobody = (each["statement"] for each in found)
    assert blocked == {
        "puid": statements.puid("resp_2"),
        "decision_visibility": ["DECISION_VISIBILITY_CONTENT_DISABLED"],
        "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "incompatible_content_ground": GROUNDS.reference,
        "incompatible_content_explanation": GROUNDS.explanation,
        "territorial_scope": ["DE", "FR"],
        "content_type": ["CONTENT_TYPE_SYNTHETIC_MEDIA", "CONTENT_TYPE_TEXT"],
        "category": "STATEMENT_CATEGORY_SELF_HARM",
        "category_addition": ["STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH"],
        "content_date": "2026-11-23",
        "application_date": "2026-11-23",
        "decision_facts": blocked["decision_facts"],
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_FULLY",
    }
    assert "found to need care (self harm, hate)." in blocked["decision_facts"]
    assert ruled["category"] == "STATEMENT_CATEGORY_SCAMS_AND_FRAUD"
    assert ruled["automated_decision"] == "AUTOMATED_DECISION_PARTIALLY"
    assert (ruled["content_date"], ruled["application_date"]) == ("2026-11-23", "2026-11-24")
    assert nobody["category"] == "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"
    assert nobody["automated_decision"] == "AUTOMATED_DECISION_FULLY"
    assert "resp_" not in json.dumps(found)


def test_every_category_has_a_statement_category() -> None:
    assert STATEMENT_CATEGORIES.keys() == set(Category)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ground = 1", "`ground` is"),
        ("ground = 'illegal'\nreference = ''", "`reference` is a text of 1 to 500"),
        ("ground = 'illegal'\nreference = 'x'\nexplanation = 3", "`explanation` is a text"),
        ("ground = 'illegal'\nterritory = 'DE'", "`territory` is a list"),
        ("colour = 'red'", "no field is named 'colour'"),
        ("= =", "cannot be read as TOML"),
    ],
)
def test_grounds_that_cannot_be_used(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "grounds.toml"
    file.write_text(text)
    with pytest.raises(SetupError, match=problem):
        read_grounds(file)


def test_illegal_content_has_a_legal_ground(tmp_path: Path) -> None:
    file = tmp_path / "grounds.toml"
    file.write_text("ground = 'illegal'\nreference = 'Act 1'\nexplanation = 'e'\nurl = 'u'\n")
    fields = read_grounds(file).as_fields()
    assert fields["illegal_content_legal_ground"] == "Act 1"
    assert fields["decision_ground_reference_url"] == "u"


HOSTILE = [
    *("", "..", "../../etc/passwd", "a/b", "a\\b", "a=b", "a%2Fb", "Acme", "acme", "ACME", ".hid"),
    *(NOBODY, "x" * 128, "é" * 128, "界" * 64 + "1", "界" * 64 + "2", "new\nline", "a'b\"c", "*?["),
    "~" * 100,
]


async def test_tenants_with_any_name_are_kept_apart(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import duckdb

    await append(database, [of(number, tenant) for number, tenant in enumerate(HOSTILE)])

    await export(database, tmp_path / "out", Form.PARQUET)

    folders = [tenant_folder(each) for each in HOSTILE]
    assert len({each.lower() for each in folders}) == len(HOSTILE)
    day = tmp_path / "out" / "parquet" / "day=2026-11-23"
    assert {each.name for each in day.iterdir()} == {f"tenant={each}" for each in folders}
    assert all(len(f"tenant={each}".encode()) < 255 for each in folders)
    with duckdb.connect() as connection:
        views = (tmp_path / "out" / "parquet" / "views.sql").read_text()
        connection.execute(views.replace("'day=", f"'{tmp_path}/out/parquet/day="))
        rows = connection.execute("SELECT tenant FROM entries ORDER BY sequence").fetchall()
    assert [row[0] for row in rows] == HOSTILE


async def test_columns_have_the_types_that_are_named(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")

    await fill(database)
    await export(database, tmp_path, Form.PARQUET)

    rows = parquet_rows(tmp_path)
    assert all(list(row) == [column.name for column in columns.COLUMNS] for row in rows)
    assert [row["sequence"] for row in rows] == list(range(1, 18))
    assert [row["outcome"] for row in rows[:7]] == [
        *("released", "blocked", "held", "held", "held", "checked", "released"),
    ]
    first, third, settled = rows[0], rows[2], rows[10]
    assert (first["risk"], first["raw_risk"], first["calibrated"]) == (0.1, 0.2, True)
    assert first["calibration"] == "ca" * 32
    assert (first["policy"], first["policy_version"], first["model"]) == ("default", "1", "m")
    assert first["time"] == RECORD.time
    assert (third["case_id"], third["severity"], third["categories"]) == (
        *("esc_3", "high", ["deception"]),
    )
    assert (settled["case_id"], settled["ending"], settled["ruling_kind"]) == (
        *("esc_3", "ruled", "block"),
    )
    assert (settled["policy"], settled["released"], settled["golden"]) == ("default", False, False)


async def test_what_left_of_a_stream_before_it_was_decided(
    database: Database, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    sent = Sent(500, 2, Usage(), retracted=True)
    cut = CutRecord(ORIGIN, RECORD.time, CutReason.CALLER_GONE, 70, None, {})
    await append(database, [of(1), of(2, sent=sent), cut, act(ActKind.SIGNED_IN)])

    await export(database, tmp_path, Form.PARQUET)

    told = [(row["sent_length"], row["retracted"]) for row in parquet_rows(tmp_path)]
    assert told == [(0, False), (500, True), (70, False), (None, None)]


async def test_categories_of_every_candidate(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    bad = replace(DECISION, action=Action.REWRITE, categories=(Category.HATE,))
    named = replace(VERDICT, judge="guard", categories=(Category.DECEPTION,))
    worse = replace(bad, categories=(Category.DECEPTION,), verdicts=(VERDICT, named))
    rounds = [Round(Candidate(each.covers, "m"), each) for each in (bad, worse, DECISION)]
    window = WindowRecord(ORIGIN, RECORD.time, 0, 9, rounds[0], {})
    passed = replace(DECISION, verdicts=(VERDICT, named))  # below the policy's thresholds
    await append(
        database,
        [
            of(1, rounds=tuple(rounds), rewrites=(RewriteOutcome.FLAGGED, RewriteOutcome.PASSED)),
            of(2, decision=passed, rounds=(Round(Candidate("", "m"), passed),)),
            window,
            act(ActKind.SIGNED_IN),
        ],
    )
    before: dict[str, Any] = json.loads((await bodies(database))[1])
    for each in before["rounds"]:
        each.pop("categories", None)  # entries of before have them of the last one alone
    await forge(database, [json.dumps(before).encode()])

    await export(database, tmp_path, Form.PARQUET)

    assert [row["categories"] for row in parquet_rows(tmp_path)] == [
        *(["hate", "deception"], [], ["hate"], None, ["deception"]),
    ]


async def test_facts_of_another_type_stop_nothing(database: Database, tmp_path: Path) -> None:
    """Whoever can write into the database can also mend the hash of what they changed."""
    await fill(database)
    facts: dict[str, Any] = json.loads((await bodies(database))[2])
    wrong: list[Any] = [1, "x", None, [1, None], {"a": [2]}, 2**70, True, "\ud800"]
    values = [{**facts, name: value} for name in facts for value in wrong]
    made = [json.dumps(each).encode() for each in values] + [b"[]", b"3", b"{}"]
    await forge(database, made)

    for form in Form:
        await export(database, tmp_path, form)


async def test_a_form_says_what_it_lacks(database: Database, tmp_path: Path) -> None:
    exporter = Exporter(database, Folder(tmp_path), Wanted(Form.DSA))
    with pytest.raises(SetupError, match="--dsa FILE"):
        await exporter.open()
