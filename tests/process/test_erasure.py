"""A real gateway forgets a person: every store is read byte by byte, and nothing is found."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from inwit.clients.redis import redis_client
from inwit.ledger.database import sqlite_file
from inwit.policy.loader import PACKAGED
from tests.fakes_server import FakeServer
from tests.process.processes import STOP_S, inwit, run_inwit
from tests.process.redis_server import RedisServer, valkey_server
from tests.process.test_escalations import make_key, next_case

pytestmark = pytest.mark.process

CANDIDATE, PROMPT, EDIT = "xylocandidate says so.", "What is xyloprompt?", "xyloedit instead."
PERSON, OTHER = "xyloperson-4711", "somebody else"
WORDS = [b"xylocandidate", b"xyloprompt", b"xyloedit", b"xyloreason", b"xyloperson", b"xylocontext"]


async def test_nothing_of_a_person_is_left_in_any_store(tmp_path: Path) -> None:
    policy: dict[str, Any] = yaml.safe_load((PACKAGED / "default.yaml").read_text())
    held = {**policy, "on_harm": "escalate", "retrieval": {"sources": ["wiki/*"]}}
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "default.yaml").write_text(json.dumps(held))
    data = tmp_path / "keys"  # where `make_key` has its ledger
    with valkey_server(tmp_path) as queue:
        settings = {
            "INWIT_REDIS_URL": queue.url,
            "INWIT_POLICY_DIR": str(tmp_path / "policies"),
            "INWIT_LOG_LEVEL": "DEBUG",
        }
        async with FakeServer(text=CANDIDATE, yes=0.9, no=0.05).running() as server:
            settings["INWIT_MODEL_URL"] = server.base_url
            key = await make_key(tmp_path, settings, "respond,review,admin")
            with inwit("serve", data, settings) as gateway:
                line = await asyncio.to_thread(gateway.wait_for, '"serving"')
                address = json.loads(line)["address"]
                async with httpx.AsyncClient(base_url=address, headers=key, timeout=STOP_S) as http:
                    ids = await use_it(http)
                    export(data, tmp_path / "export")
                    before, secrets = every_byte(tmp_path), secrets_in(data)
                    assert all(secret in before for secret in secrets)
                    done = await http.post("/v1/ledger/erasures", json={"end_user": PERSON})
                    told = [await http.get(f"/v1/responses/{each}") for each in ids]
                await saved(queue)
                gateway.stop()
                with pytest.raises(AssertionError):  # there is no such line: it reads to the end
                    gateway.wait_for("\0")
                printed = "".join(gateway.printed).encode()
        verified = run_inwit("ledger verify", data, settings)

    assert (done.status_code, done.json()["responses"]) == (200, 2), done.text
    assert [each.status_code for each in told] == [410, 410, 200]
    assert verified.returncode == 0, verified.stdout
    left = every_byte(tmp_path) + printed
    assert b"REDIS" in left or b"VALKEY" in left  # how its file begins
    assert not [secret for secret in (*WORDS, *secrets) if secret in left]


async def use_it(http: httpx.AsyncClient) -> list[str]:
    """A ruled and an open case of the person, and one of somebody else; ids of their responses."""
    ids: list[str] = []
    for end_user in (PERSON, PERSON, OTHER):
        asked = {
            "messages": [{"role": "user", "content": PROMPT if end_user == PERSON else "Why?"}],
            "context": [{"id": "p1", "source": "wiki/a", "text": "The xylocontext of it."}],
            "end_user": end_user,
        }
        if end_user == OTHER:
            del asked["context"]
        answer = await http.post("/v1/respond", json=asked)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["id"])
        if len(ids) == 1:
            await rule(http)
    return ids


async def rule(http: httpx.AsyncClient) -> None:
    taken = await next_case(http)
    case, token = taken["case"], taken["lease"]["token"]
    path = f"/v1/escalations/{case['id']}"
    judged = await http.post(f"{path}/edit", json={"token": token, "text": EDIT})
    said = {
        "token": token,
        "kind": "edit",
        "digest": judged.json()["digest"],
        "policy_digest": case["policy_digest"],
        "despite_flags": True,
        "reason": "for a xyloreason",
        "request_id": "request-1",
    }
    ruled = await http.post(f"{path}/ruling", json=said)
    assert ruled.status_code == 200, ruled.text


def export(data: Path, folder: Path) -> None:
    done = run_inwit(f"ledger export --to {folder}", data)
    assert done.returncode == 0, done.stderr


async def saved(queue: RedisServer) -> None:
    """Have Valkey write all that it holds to its file, as it is."""
    async with redis_client(f"{queue.url}?socket_timeout={STOP_S}") as redis:
        untyped: Any = redis
        await untyped.execute_command("CONFIG", "SET", "rdbcompression", "no")
        await untyped.execute_command("SAVE")


def secrets_in(data: Path) -> list[bytes]:
    """The wrapped keys of the person, and their sealed content with the salts inside."""
    with closing(sqlite3.connect(sqlite_file(data))) as raw:
        subjects = raw.execute(
            "SELECT subject, count(*) FROM data_keys GROUP BY 1 ORDER BY 2 DESC"
        ).fetchall()
        subject = subjects[0][0]
        keys = raw.execute("SELECT wrapped FROM subjects WHERE id = ?", [subject]).fetchall()
        keys += raw.execute("SELECT wrapped FROM data_keys WHERE subject = ?", [subject]).fetchall()
        sealed = raw.execute(
            "SELECT content FROM contents NATURAL JOIN entries JOIN data_keys USING (response_id) "
            "WHERE subject = ?",
            [subject],
        ).fetchall()
    assert len(keys) == 3
    assert len(sealed) > 8
    return [row[0][:200] for row in (*keys, *sealed)]


def every_byte(folder: Path) -> bytes:
    """Ledger, write-ahead file, queue, exports, logs: whatever lies in the folder."""
    return b"".join(each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file())
