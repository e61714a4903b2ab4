"""`inwit serve` as a real uvicorn process, in front of a fake model server."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ASK
from tests.fakes_server import FakeServer
from tests.process.processes import STOP_S, Inwit, inwit, make_key, run_inwit

pytestmark = pytest.mark.process

REDIS = {"INWIT_EMBEDDED_REDIS": "1", "INWIT_HEALTH_INTERVAL_MS": "50"}


@asynccontextmanager
async def serving(
    data_dir: Path, server: FakeServer, **settings: str
) -> AsyncGenerator[tuple[Inwit, httpx.AsyncClient]]:
    """A gateway in front of `server`, and a client with a key for it."""
    key = await asyncio.to_thread(make_key, data_dir)
    with inwit(
        "serve", data_dir, REDIS | {"INWIT_MODEL_URL": server.base_url} | settings
    ) as gateway:
        line = await asyncio.to_thread(gateway.wait_for, '"serving"')
        headers = {"authorization": f"Bearer {key}"}
        address = json.loads(line)["address"]
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=STOP_S) as client:
            yield gateway, client
            await asyncio.to_thread(gateway.stop, signal.SIGTERM)


async def test_a_released_answer_and_a_clean_stop(tmp_path: Path) -> None:
    async with FakeServer().running() as server, serving(tmp_path, server) as (gateway, client):
        assert await asyncio.to_thread(gateway.wait_for, "No calibration for")
        trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        answer = await client.post("/v1/respond", json=ASK, headers=trace)

        assert answer.status_code == 200
        assert answer.json()["output"]["content"] == server.text
        assert server.headers[-1]["traceparent"] == trace["traceparent"]
        assert await asyncio.to_thread(gateway.stop, signal.SIGTERM) == 0


async def test_a_caller_that_hangs_up_cancels_the_upstream_call(tmp_path: Path) -> None:
    async with (
        FakeServer(generate="hang").running() as server,
        serving(tmp_path, server) as (_gateway, client),
    ):
        request = asyncio.create_task(client.post("/v1/respond", json=ASK))
        await server.hanging.wait()

        request.cancel()

        async with asyncio.timeout(STOP_S):
            await server.cancelled.wait()
            await asyncio.gather(request, return_exceptions=True)
            while "inwit_in_flight 0.0" not in (await client.get("/metrics")).text:
                pass  # how it ended is written first


async def test_a_model_server_that_goes_and_comes_back(tmp_path: Path) -> None:
    async with FakeServer().running() as server, serving(tmp_path, server) as (_gateway, client):
        await _until(client, "ready")

        server.down = True
        failed = await client.post("/v1/respond", json=ASK)
        await _until(client, "degraded")
        degraded = await client.get("/readyz")
        server.down = False
        await _until(client, "ready")
        answer = await client.post("/v1/respond", json=ASK)

    assert failed.status_code == 502
    assert degraded.status_code == 200  # every replica shares the loss: stay, and say so
    assert degraded.json()["dependencies"]["model"]["up"] is False
    assert answer.status_code == 200


async def test_a_gateway_that_never_saw_its_model_is_not_ready(tmp_path: Path) -> None:
    async with (
        FakeServer(down=True).running() as server,
        serving(tmp_path, server) as (_gateway, client),
    ):
        ready = await client.get("/readyz")
        answer = await client.post("/v1/respond", json=ASK)

    assert (ready.status_code, ready.json()["status"]) == (503, "not_ready")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


async def test_open_requests_finish_at_shutdown(tmp_path: Path) -> None:
    async with (
        FakeServer(generate="hang").running() as server,
        serving(tmp_path, server) as (gateway, client),
    ):
        # Long enough to come as far as the model, and less than a shutdown waits.
        asked = {**ASK, "deadline_ms": 8000}
        request = asyncio.create_task(client.post("/v1/respond", json=asked))
        async with asyncio.timeout(STOP_S):
            await server.hanging.wait()

        code = await asyncio.to_thread(gateway.stop, signal.SIGTERM)
        answer = await request

    assert code == 0
    assert answer.status_code == 504  # its own deadline ended it, not the shutdown


async def test_logs_are_json_with_the_request_id_and_never_content(tmp_path: Path) -> None:
    secret = {"messages": [{"role": "user", "content": "MY-SECRET-QUESTION"}]}
    async with (
        FakeServer(text="MY-SECRET-ANSWER").running() as server,
        serving(tmp_path, server, INWIT_LOG_LEVEL="DEBUG") as (gateway, client),
    ):
        await client.post("/v1/respond", json=secret, headers={"x-request-id": "mine-1"})
        server.generate = "error_500"
        await client.post("/v1/respond", json=secret)
        await client.post("/v1/respond", json={"messages": [{"content": "MY-SECRET-QUESTION"}]})
        await asyncio.to_thread(gateway.wait_for, '"invalid-field"')
        await asyncio.to_thread(gateway.stop, signal.SIGTERM)
        lines = [json.loads(line) for line in gateway.printed]

    assert not any("MY-SECRET" in json.dumps(line) for line in lines)
    (responded,) = [line for line in lines if line["event"] == "responded"]
    assert responded["request_id"] == "mine-1"


async def test_a_caller_that_goes_while_it_sends_is_no_bug(tmp_path: Path) -> None:
    async with FakeServer().running() as server, serving(tmp_path, server) as (gateway, client):
        key = client.headers["authorization"]
        _reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        head = f"POST /v1/respond HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
        writer.write(f'{head}Content-Length: 500\r\n\r\n{{"messages":'.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        line = json.loads(await asyncio.to_thread(gateway.wait_for, '"client-gone"'))
        answer = await client.post("/v1/respond", json=ASK)

    assert line["level"] == "info"
    assert answer.status_code == 200
    assert not any(
        '"bug"' in printed or "Exception in ASGI" in printed for printed in gateway.printed
    )


async def test_two_on_one_port(tmp_path: Path) -> None:
    async with FakeServer().running() as server, serving(tmp_path, server) as (_gateway, client):
        settings = REDIS | {"INWIT_MODEL_URL": server.base_url}
        port = {"INWIT_PORT": str(client.base_url.port)}
        ended = await asyncio.to_thread(run_inwit, "serve", tmp_path / "two", settings | port)

    assert ended.returncode == 2
    assert "Cannot listen on" in ended.stderr


FAULTY_SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "no model": (REDIS, "INWIT_MODEL_URL"),
    "no redis": ({"INWIT_MODEL_URL": "http://127.0.0.1:9/v1"}, "INWIT_REDIS_URL"),
    "a port that is none": ({"INWIT_PORT": "many"}, "INWIT_PORT"),
    "a redis of another kind": ({"INWIT_REDIS_URL": "http://x"}, "redis+sentinel"),
    "credentials in the address": (
        {"INWIT_MODEL_URL": "http://u:p@127.0.0.1:9"},
        "INWIT_MODEL_API_KEY",
    ),
    "a misspelt setting": ({"INWIT_MODEL_ULR": "http://x"}, "INWIT_MODEL_ULR"),
    "no config file": ({"INWIT_CONFIG": "/nonexistent.toml"}, "INWIT_CONFIG"),
    "a folder that cannot be": ({"INWIT_DATA_DIR": "/proc/inwit"}, "INWIT_DATA_DIR"),
}


@pytest.mark.parametrize("fault", FAULTY_SETTINGS)
def test_a_faulty_setting_is_one_sentence_that_names_it(tmp_path: Path, fault: str) -> None:
    settings, named = FAULTY_SETTINGS[fault]

    ended = run_inwit("serve", tmp_path, settings)

    assert ended.returncode == 2
    (sentence,) = [line for line in ended.stderr.splitlines() if line.startswith("inwit: ")]
    assert named in sentence
    assert "Traceback" not in ended.stderr


def test_a_config_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "inwit.toml"
    file.write_text('port = 70000\nmodel_url = "http://127.0.0.1:9/v1"\n')
    config = {"INWIT_CONFIG": str(file)}

    from_file = run_inwit("serve", tmp_path, {"INWIT_CONFIG": str(file), "INWIT_PORT": "70001"})
    file.write_text("prot = 1\n")
    misspelt = run_inwit("serve", tmp_path, config)

    assert "INWIT_PORT" in from_file.stderr
    assert "INWIT_PROT" in misspelt.stderr


async def _until(client: httpx.AsyncClient, status: str) -> Any:
    """Ask until the gateway says so; its own interval is the pace."""
    async with asyncio.timeout(STOP_S):
        while (ready := (await client.get("/readyz")).json())["status"] != status:
            pass
    return ready
