"""Two real gateways on one ledger: one is killed, and the other one answers its callers."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from inwit.policy.loader import PACKAGED
from tests.conftest import ASK
from tests.fakes_server import FakeServer
from tests.process.processes import STOP_S, Inwit, entries_of, inwit, run_inwit
from tests.process.test_streaming import TEXT, WAIT_S, GatedServer
from tests.streams import Event, Reader, events_in

pytestmark = pytest.mark.process

KEY = {"idempotency-key": "order-4711"}
STREAM = {**ASK, "stream": True}
# So that the claim of a gateway that is killed is over in 20 s: these two, and five more. Till then
# the other one must have been asked for the first time.
SHORT = {"INWIT_DEADLINE_MS": "12000", "INWIT_RECORD_MS": "3000"}


@dataclass
class Gateways:
    """Two gateways, a client of each, and the ledger that they share."""

    one: Inwit
    two: Inwit
    to_one: httpx.AsyncClient
    to_two: httpx.AsyncClient
    ledger: Path
    settings: dict[str, str]

    def kill_one(self) -> None:
        self.one.process.kill()
        self.one.process.wait(timeout=STOP_S)

    def rows(self, query: str) -> list[Any]:
        with sqlite3.connect(self.ledger, timeout=WAIT_S) as raw:
            rows = raw.execute(query).fetchall()
        raw.close()
        return rows

    def decisions(self) -> list[Any]:
        """The ids of the responses that are decided."""
        query = "SELECT response_id FROM entries WHERE type = 'decision' ORDER BY sequence"
        return [row[0] for row in self.rows(query)]


@asynccontextmanager
async def gateways(folder: Path, server: FakeServer, **of_one: str) -> AsyncGenerator[Gateways]:
    """The first one with settings of its own."""
    ledger, policies = folder / "ledger.sqlite3", folder / "policies"
    policies.mkdir()
    (policies / "default.yaml").write_text(json.dumps(streaming_policy()))
    shared = {
        "INWIT_DATABASE_URL": f"sqlite:///{ledger}",
        "INWIT_EMBEDDED_REDIS": "1",
        "INWIT_MODEL_URL": server.base_url,
        "INWIT_POLICY_DIR": str(policies),
        "INWIT_HEALTH_INTERVAL_MS": "50",
    }
    made = await asyncio.to_thread(
        run_inwit, "keys create --name test --tenant acme --json", folder / "keys", shared
    )
    headers = {"authorization": f"Bearer {json.loads(made.stdout)['key']}"}
    with (
        inwit("serve", folder / "one", shared | of_one) as one,
        inwit("serve", folder / "two", shared) as two,
    ):
        addresses = [await asyncio.to_thread(each.wait_for, '"serving"') for each in (one, two)]
        to_one, to_two = (
            httpx.AsyncClient(base_url=json.loads(line)["address"], headers=headers, timeout=WAIT_S)
            for line in addresses
        )
        async with to_one, to_two:
            yield Gateways(one, two, to_one, to_two, ledger, shared)


def streaming_policy() -> dict[str, Any]:
    """The packaged default with windows, and without its random slice."""
    policy = yaml.safe_load((PACKAGED / "default.yaml").read_text())
    policy["classifier"]["sample_rate"] = 0
    return {**policy, "stream": {"mode": "windowed", "window": 40, "overlap": 10}}


async def repeat(client: httpx.AsyncClient) -> httpx.Response:
    """Ask again as a client does: not before Retry-After, until there is an answer."""
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await client.post("/v1/respond", json=ASK, headers=KEY)
            if answer.status_code != 409:
                return answer
            await asyncio.sleep(int(answer.headers["retry-after"]))


@pytest.mark.parametrize("stage", ["generate", "review"])
async def test_killed_before_its_decision_is_recorded(tmp_path: Path, stage: str) -> None:
    async with FakeServer().running() as server, gateways(tmp_path, server, **SHORT) as both:
        setattr(server, stage, "hang")
        request = asyncio.create_task(both.to_one.post("/v1/respond", json=ASK, headers=KEY))
        async with asyncio.timeout(WAIT_S):
            await server.hanging.wait()
        both.kill_one()
        lost = (await asyncio.gather(request, return_exceptions=True))[0]
        setattr(server, stage, "ok")

        early = await both.to_two.post("/v1/respond", json=ASK, headers=KEY)
        answer = await repeat(both.to_two)
        again = await repeat(both.to_two)

        assert isinstance(lost, httpx.TransportError)
        assert early.status_code == 409
        assert answer.status_code == again.status_code == 200
        assert "idempotent-replayed" not in answer.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json()["receipt"] == answer.json()["receipt"]
        assert both.decisions() == [answer.json()["id"]]


async def test_killed_after_its_decision_is_recorded_and_before_its_answer_is_read(
    tmp_path: Path,
) -> None:
    async with FakeServer().running() as server, gateways(tmp_path, server) as both:
        url = both.to_one.base_url
        _reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(raw_request(both.to_one))
        await writer.drain()
        async with asyncio.timeout(WAIT_S):
            while not both.decisions():  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0)
        both.kill_one()
        writer.close()

        answer = await both.to_two.post("/v1/respond", json=ASK, headers=KEY)

        assert answer.status_code == 200
        assert answer.headers["idempotent-replayed"] == "true"
        assert answer.json()["output"]["content"] == server.text
        assert both.decisions() == [answer.json()["id"]]
        generations = [body for body in server.bodies if not body.get("logprobs")]
        assert len([body for body in generations if body["messages"][-1]["role"] == "user"]) == 1
        entries = await asyncio.to_thread(
            entries_of, answer.json()["id"], tmp_path / "keys", both.settings
        )
        assert entries[-1]["type"] == "decision"


def raw_request(client: httpx.AsyncClient) -> bytes:
    body = json.dumps(ASK)
    head = [
        "POST /v1/respond HTTP/1.1",
        "Host: inwit",
        f"Authorization: {client.headers['authorization']}",
        f"Idempotency-Key: {KEY['idempotency-key']}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


async def test_a_broken_stream_is_taken_up_on_another_gateway(tmp_path: Path) -> None:
    """The model never comes to an end by itself, so it is the caller that broke it."""
    async with GatedServer().running() as server, gateways(tmp_path, server) as both:
        async with both.to_one.stream("POST", "/v1/respond", json=STREAM) as response:
            stream = Streamed(response)
            name, got = stream.name, await stream.read(1)
        last = {"last-event-id": got[-1].id}
        async with asyncio.timeout(WAIT_S):
            resumed = await both.to_two.get(f"/v1/responses/{name}/events", headers=last)
        gone = await both.to_two.get(f"/v1/responses/{name}")

    reader = Reader().take([*got, *events_in(resumed.text)])
    assert reader.text
    assert TEXT.startswith(reader.text)
    assert reader.error is not None
    assert reader.error["type"] == gone.json()["type"] == "urn:inwit:problem:cut-short"
    assert gone.status_code == 410


async def test_a_stream_under_way_is_followed_on_another_gateway(tmp_path: Path) -> None:
    """It goes on once it is followed."""
    server = GatedServer()
    async with (
        server.running(),
        gateways(tmp_path, server) as both,
        both.to_one.stream("POST", "/v1/respond", json=STREAM) as response,
    ):
        stream = Streamed(response)
        name, got = stream.name, await stream.read(1)
        state = await both.to_two.get(f"/v1/responses/{name}")
        waiting = asyncio.create_task(both.to_two.get(f"/v1/responses/{name}?wait=60"))
        async with (
            asyncio.timeout(WAIT_S),
            both.to_two.stream("GET", f"/v1/responses/{name}/events") as following,
        ):
            follower = Streamed(following)
            seen = await follower.read(1)
            server.opened.set()
            whole = Reader().take([*got, *await stream.read()])
            followed = Reader().take([*seen, *await follower.read()])
            answer = await waiting

    assert state.json() == {"id": name, "status": "in_progress"}
    assert whole.text == followed.text == answer.json()["output"]["content"] == TEXT
    assert followed.decision == whole.decision


async def test_waits_end_at_shutdown(tmp_path: Path) -> None:
    """Of a gateway, while a stream goes on at another one: the model does not end before that."""
    async with (
        GatedServer().running() as server,
        gateways(tmp_path, server) as both,
        both.to_one.stream("POST", "/v1/respond", json=STREAM) as response,
    ):
        name = Streamed(response).name
        waiting = asyncio.create_task(both.to_two.get(f"/v1/responses/{name}?wait=60"))
        async with both.to_two.stream("GET", f"/v1/responses/{name}/events") as following:
            followed = Streamed(following)
            events = await followed.read(1)
            stopping = asyncio.create_task(asyncio.to_thread(both.two.stop))
            async with asyncio.timeout(WAIT_S):
                events += await followed.read()
                answer, code = await waiting, await stopping

    assert code == 0
    assert answer.json() == {"id": name, "status": "in_progress"}
    assert {each.name for each in events} == {"delta"}


class Streamed:
    """Reads a stream's events as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.name = response.headers["x-inwit-response"]
        self._lines = response.aiter_lines()

    async def read(self, count: int | None = None) -> list[Event]:
        """So many events, or all that are left."""
        found: list[Event] = []
        block: list[str] = []
        async for line in self._lines:
            block.append(line)
            if not line:
                found += events_in("\n".join(block))
                block = []
            if len(found) == count:
                break
        return found
