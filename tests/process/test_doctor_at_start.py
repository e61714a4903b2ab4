"""What stops a start stops the doctor too, and what it names stays as it is."""

import asyncio
import base64
import os
from pathlib import Path

import pytest

from inwit.ledger.content_keys import KeyLines
from inwit.ledger.database import Database
from inwit.ledger.notes import new_key
from inwit.ledger.vault import Vault
from tests.ledger.test_postgres import postgres as postgres
from tests.process.processes import run_inwit
from tests.process.test_doctor import NOWHERE, Told, doctor, gateway_in

pytestmark = pytest.mark.process

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
CONTENT_KEY = f"k1:{base64.b64encode(bytes(32)).decode()}"
SHARED = {"INWIT_DATABASE_URL": "postgresql://inwit:the-secret@127.0.0.1:1/inwit"}
UNFIT = [
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://inwit:the-secret@[::1"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT": "abc", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=the-secret"},
    {"OTEL_EXPORTER_OTLP_COMPRESSION": "zip"},
    {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"},
    {"OTEL_BSP_SCHEDULE_DELAY": "0"},
    {"OTEL_METRIC_EXPORT_INTERVAL": "0"},
    {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "abc"},
]
EMBEDDED = {"INWIT_EMBEDDED_MODEL": "1", "INWIT_EMBEDDED_REDIS": "1"}
REFUSED = [
    ("content keys", {"INWIT_CONTENT_KEY": "the-secret"}),
    ("content keys", {"INWIT_CONTENT_KEY": CONTENT_KEY, "INWIT_CONTENT_KEY_FILE": "/x"}),
    ("content keys", {"INWIT_CONTENT_KEY_FILE": "/nowhere/content.key"}),
    ("signing keys", {"INWIT_LEDGER_KEY": "the-secret"}),
    ("signing keys", {"INWIT_LEDGER_KEY_FILE": "/nowhere/ledger.key"}),
    ("anchor a", {"INWIT_ANCHORS": '{"a": "ftp://the-secret@example.com"}'}),
    ("redaction", {"INWIT_REDACT_STORED": "presidio", "INWIT_REDACT_STORED_MS": "60000"}),
    ("evaluation report", {"INWIT_EVALUATION_REPORT": "/nowhere/report.json"}),
    ("collector", COLLECTOR | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}),
    *(("collector", COLLECTOR | each) for each in UNFIT),
    ("collector", {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_tomorrow"}),
]


@pytest.mark.parametrize(
    ("check", "settings"), REFUSED, ids=[f"{name}-{'-'.join(given)}" for name, given in REFUSED]
)
async def test_what_a_gateway_does_not_start_with_is_wrong(
    tmp_path: Path, check: str, settings: dict[str, str]
) -> None:
    told = await doctor(tmp_path, **settings)
    serving = NOWHERE | settings
    served = await asyncio.to_thread(run_inwit, "serve", tmp_path / "served", serving)

    assert served.returncode == 2
    assert told.grade(check) == "wrong"
    assert told.code == 1
    assert "the-secret" not in told.output


@pytest.mark.parametrize(
    ("module", "check", "settings"),
    [
        ("grpc", "collector", COLLECTOR),
        ("presidio_analyzer", "redaction", {"INWIT_REDACT_STORED": "presidio"}),
        ("obstore", "anchor a", {"INWIT_ANCHORS": '{"a": "s3://bucket/inwit"}'}),
    ],
)
async def test_a_package_that_is_not_installed(
    tmp_path: Path, module: str, check: str, settings: dict[str, str]
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{module}.py").write_text("raise ModuleNotFoundError(__name__)\n")

    told = await doctor(tmp_path / "data", **settings, PYTHONPATH=str(hidden))

    assert told.grade(check) == "wrong"
    assert "pip install 'inwit[" in told.words(check)


async def test_a_database_that_gateways_share_without_keys(tmp_path: Path) -> None:
    bare = await doctor(tmp_path, **SHARED)
    keys = {"INWIT_CONTENT_KEY": CONTENT_KEY, "INWIT_LEDGER_KEY": new_key("log.example").line()}
    keyed = await doctor(tmp_path, **SHARED, **keys)

    assert bare.grade("content keys") == bare.grade("signing keys") == "warning"
    assert "in the clear" in bare.words("content keys")
    assert keyed.grade("content keys") == keyed.grade("signing keys") == "ok"
    assert "log.example signs" in keyed.words("signing keys")


async def test_what_is_named_is_not_made_or_written(tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    told = await doctor(
        tmp_path / "data",
        INWIT_ANCHORS=f'{{"disk": "file://{anchor}"}}',
        OTEL_SDK_DISABLED="true",
        **COLLECTOR,
    )

    assert told.grade("content keys") == told.grade("signing keys") == "ok"
    assert "made where nothing is sealed" in told.words("content keys")
    assert told.grade("anchor disk") == told.grade("collector") == "ok"
    assert not anchor.exists()
    assert not (tmp_path / "data").exists()


async def test_an_anchor_of_git_where_there_is_none(tmp_path: Path) -> None:
    anchors = {"INWIT_ANCHORS": '{"repo": "git:/srv/checkpoints"}'}
    told = await doctor(tmp_path, **anchors, PATH=str(tmp_path))

    assert told.grade("anchor repo") == "wrong"
    assert "git is not installed" in told.words("anchor repo")


async def test_a_ledger_sealed_by_keys_that_are_not_here(tmp_path: Path) -> None:
    async with gateway_in(tmp_path):
        pass
    sound = await doctor(tmp_path)
    (tmp_path / "content.key").unlink()
    lost = await doctor(tmp_path)
    other = await doctor(tmp_path, INWIT_CONTENT_KEY=CONTENT_KEY)

    assert sound.grade("content keys") == "ok"
    assert "sealed content" not in sound.output
    assert lost.grade("sealed content") == other.grade("sealed content") == "wrong"
    assert "not here or not the same" in lost.words("sealed content")
    assert not (tmp_path / "content.key").exists()


async def test_a_sealed_ledger_without_any_keys(tmp_path: Path, postgres: tuple[str, Path]) -> None:
    """As where gateways share it, and one has lost a variable of its environment."""
    shared = {"INWIT_DATABASE_URL": postgres[0]}
    keyed = shared | {"INWIT_CONTENT_KEY": CONTENT_KEY}
    database = Database(postgres[0], vault=Vault(KeyLines(CONTENT_KEY, "the test")))
    await database.open()
    await database.close()

    told = await doctor(tmp_path, **shared)
    well = await doctor(tmp_path, **keyed)
    served = await asyncio.to_thread(run_inwit, "serve", tmp_path / "served", NOWHERE | shared)

    assert "sealed content" not in well.output
    assert told.grade("sealed content") == "wrong"
    assert served.returncode == 2
    for words in (told.words("sealed content"), served.stderr):
        assert "master key 'k1'" in words
        assert "Set INWIT_CONTENT_KEY_FILE or INWIT_CONTENT_KEY" in words
    for command in ("ledger migrate", "ledger holds", "keys list", "evaluate misses"):
        ran = await asyncio.to_thread(run_inwit, command, tmp_path / "bare", shared)
        assert ran.returncode == 0, ran.stderr


async def test_a_ledger_signed_by_a_key_that_is_gone(tmp_path: Path) -> None:
    async with gateway_in(tmp_path) as settings:
        pass
    sound = await doctor(tmp_path)
    (tmp_path / "ledger.key").unlink()
    lost = await doctor(tmp_path)
    other = await doctor(tmp_path, INWIT_LEDGER_KEY=new_key("log.example").line())
    served = await asyncio.to_thread(run_inwit, "serve", tmp_path, settings)

    assert "signed checkpoints" not in sound.output
    assert lost.grade("signed checkpoints") == other.grade("signed checkpoints") == "wrong"
    assert lost.code == other.code == 1
    assert "begin a new log" in lost.words("signed checkpoints")
    assert served.returncode == 2
    assert "The key that signed the ledger's checkpoints is not in" in served.stderr
    assert not (tmp_path / "ledger.key").exists()


@pytest.mark.parametrize("command", ["doctor --json", "keys list"])
def test_what_running_gateways_count_is_left_alone(tmp_path: Path, command: str) -> None:
    counted = tmp_path / "counted"
    counted.mkdir()
    report = Path(__file__).parents[2] / "docs/evaluation/baseline/report.json"
    settings = NOWHERE | {
        "PROMETHEUS_MULTIPROC_DIR": str(counted),
        "INWIT_EVALUATION_REPORT": str(report),
    }
    ran = run_inwit(command, tmp_path / "data", settings)

    assert "report.json can be read" in ran.stdout or command == "keys list"
    assert not list(counted.iterdir())


async def test_a_conscience_of_the_embedded_model_that_is_not_there(tmp_path: Path) -> None:
    settings = EMBEDDED | {"INWIT_EMBEDDED_CONSCIENCE": "/nowhere.gguf"}
    ran = await asyncio.to_thread(run_inwit, "doctor --json", tmp_path, settings)
    told = Told(ran.returncode, ran.stdout)
    served = await asyncio.to_thread(run_inwit, "serve", tmp_path / "served", settings)

    assert told.code == 1
    assert served.returncode == 2
    assert told.grade("model") == "wrong"
    assert "INWIT_EMBEDDED_CONSCIENCE is '/nowhere.gguf'" in told.words("model")


@pytest.mark.parametrize("folder_mode", [0o755, 0o700])
async def test_keys_that_others_can_read(tmp_path: Path, folder_mode: int) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (data, elsewhere):
        folder.mkdir(mode=folder_mode)
        (folder / "content.key").write_text(f"{CONTENT_KEY}\n")
        (folder / "ledger.key").write_text(f"{new_key('log.example').line()}\n")
        for file in folder.iterdir():
            file.chmod(0o644)
    named = {
        "INWIT_CONTENT_KEY_FILE": str(elsewhere / "content.key"),
        "INWIT_LEDGER_KEY_FILE": str(elsewhere / "ledger.key"),
    }

    own = await doctor(data)
    both = await doctor(data, **named)
    for folder in (data, elsewhere):
        for file in folder.iterdir():
            os.chmod(file, 0o600)
    closed = await doctor(data, **named)

    for name in ("content.key", "ledger.key"):
        assert (f"chmod 600 {data / name}" in own.words("secrets")) == (folder_mode == 0o755)
        assert f"chmod 600 {elsewhere / name}" in both.words("secrets")
    assert closed.grade("secrets") == "ok"
