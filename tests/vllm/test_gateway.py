"""The gateway in front of a real vLLM: reviewed, cheap to review, cancelled, killed and back."""

import asyncio
import json
import re
import statistics
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from inwit.policy.loader import PACKAGED
from tests.process.processes import Inwit, entries_of, inwit, run_inwit
from tests.vllm.server import VllmServer
from tests.vllm.test_server import GENERATED, HITS, QUERIES, RUNNING, eventually

pytestmark = pytest.mark.vllm

BACKGROUND = "You work in a bicycle shop and answer in plain words. " * 20
LONG: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": BACKGROUND},
        {"role": "user", "content": "Tell me everything about mending a flat tyre."},
    ],
    "temperature": 0,
    "max_tokens": 200,
}
ENDLESS: dict[str, Any] = {
    **LONG,
    "model": "smollm2",
    "max_tokens": 2000,
    "ignore_eos": True,
    "inwit": {"policy": "same-thread"},
}
SHORT: dict[str, Any] = {
    "messages": [{"role": "user", "content": "How do tides work?"}],
    "temperature": 0,
    "max_tokens": 24,
}
FRAMINGS = ("same_thread", "quoted", "fresh")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """The default policy in each framing; the framing's name is the policy's.

    Every risk passes, so that what is measured is the review, without the calls that follow doubt.
    """
    folder = tmp_path / "policies"
    folder.mkdir()
    text = (PACKAGED / "default.yaml").read_text()
    for doubt in ("lower: 0.5\n  upper: 0.8\n", "{ lower: 0.4, upper: 0.7 }"):
        assert doubt in text
        text = text.replace(doubt, re.sub(r"0\.\d", "1.0", doubt), 1)
    for framing in FRAMINGS:
        name = framing.replace("_", "-")
        changed = text.replace("name: default", f"name: {name}", 1)
        changed = changed.replace("framing: same_thread", f"framing: {framing}", 1)
        (folder / f"{name}.yaml").write_text(changed)
    return folder


@asynccontextmanager
async def gateway(
    server: VllmServer, data: Path, policies: Path, more: dict[str, str] | None = None
) -> AsyncGenerator[tuple[Inwit, httpx.AsyncClient]]:
    """A gateway in front of the server, with `more` settings, and a client without a key."""
    settings = {
        "INWIT_MODEL_URL": f"{server.base_url}/v1",
        "INWIT_EMBEDDED_REDIS": "1",
        "INWIT_POLICY_DIR": str(policies),
        "INWIT_HEALTH_INTERVAL_MS": "500",
        **(more or {}),
    }
    with inwit("serve", data, settings) as running:
        line = await asyncio.to_thread(running.wait_for, '"serving"')
        async with httpx.AsyncClient(base_url=json.loads(line)["address"], timeout=500) as client:
            await eventually(lambda: _is(client, "ready"))
            yield running, client


async def _is(client: httpx.AsyncClient, status: str) -> bool:
    return (await client.get("/readyz")).json()["status"] == status


def key_for(data: Path, policies: Path, policy: str) -> dict[str, str]:
    command = f"keys create --name vllm --tenant acme --policy {policy} --json"
    made = run_inwit(command, data, {"INWIT_POLICY_DIR": str(policies)})
    return {"authorization": f"Bearer {json.loads(made.stdout)['key']}"}


async def test_a_reviewed_answer_end_to_end(
    vllm_server: VllmServer, tmp_path: Path, policies: Path
) -> None:
    async with gateway(vllm_server, tmp_path, policies) as (_, client):
        headers = await asyncio.to_thread(key_for, tmp_path, policies, "same-thread")
        ready = (await client.get("/readyz")).json()
        answer = (await client.post("/v1/respond", json=SHORT, headers=headers)).json()

    assert ready["model"]["server"] == "vllm"
    assert (ready["model"]["priority"], ready["model"]["cache_salt"]) == (True, True)
    assert ready["model"]["context"] == 4096
    assert answer["review"]["judge"] == "judged"
    assert 0 <= answer["review"]["risk"] <= 1
    assert 0 < answer["review"]["label_mass"] <= 1
    decided = entries_of(answer["id"], tmp_path)[-1]
    assert (decided["sequence"], decided["reviewed"]) == (answer["receipt"]["sequence"], True)


async def test_the_review_reuses_the_prefix(
    vllm_server: VllmServer,
    tmp_path: Path,
    policies: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """So it is cheap: how cheap is told, and not tested, for it depends on the machine."""
    reused: dict[str, float] = {}
    async with gateway(vllm_server, tmp_path, policies) as (_, client):
        for framing in FRAMINGS:
            headers = await asyncio.to_thread(
                key_for, tmp_path, policies, framing.replace("_", "-")
            )
            answers, share = await _measure(vllm_server, client, headers, framing)
            reused[framing] = share
            judge = statistics.median(a["timings_ms"]["judge"] for a in answers)
            generate = statistics.median(a["timings_ms"]["generate"] for a in answers)
            record_property(
                framing,
                f"review {judge:.0f} ms, {judge / generate:.1%} of a "
                f"generation of {answers[0]['usage']['generation']['completion_tokens']} tokens "
                f"({generate:.0f} ms); {share:.0%} of all prompt tokens came from the prefix cache",
            )

    assert reused["same_thread"] > reused["quoted"] > reused["fresh"]


async def _measure(
    server: VllmServer, client: httpx.AsyncClient, headers: dict[str, str], framing: str
) -> tuple[list[Any], float]:
    """Three answers to conversations never seen before, and the share of tokens reused."""
    hits, queries = await server.counter(HITS), await server.counter(QUERIES)
    answers: list[Any] = []
    for number in range(3):
        system, user = LONG["messages"]
        fresh = {**system, "content": f"{framing} {number}. {system['content']}"}
        body = {**LONG, "messages": [fresh, user]}
        answers.append((await client.post("/v1/respond", json=body, headers=headers)).json())
    hits, queries = await server.counter(HITS) - hits, await server.counter(QUERIES) - queries
    return answers, hits / queries


async def test_a_caller_that_hangs_up_is_cancelled_in_vllm(
    vllm_server: VllmServer, tmp_path: Path, policies: Path
) -> None:
    async def running() -> bool:
        return await vllm_server.counter(RUNNING) > 0

    async def idle() -> bool:
        return await vllm_server.counter(RUNNING) == 0

    most = {"INWIT_MAX_TOKENS": str(ENDLESS["max_tokens"])}
    async with gateway(vllm_server, tmp_path, policies, most) as (_, client):
        headers = await asyncio.to_thread(key_for, tmp_path, policies, "same-thread")
        before = await vllm_server.counter(GENERATED)
        asked = client.post("/v1/chat/completions", json=ENDLESS, headers=headers)
        request = asyncio.create_task(asked)
        await eventually(running)

        request.cancel()

        await eventually(idle)
        await asyncio.gather(request, return_exceptions=True)
        written = await vllm_server.counter(GENERATED) - before

    assert written < ENDLESS["max_tokens"]  # all of them would take a minute


async def test_vllm_killed_in_the_middle_and_back_again(
    vllm_server: VllmServer,
    tmp_path: Path,
    policies: Path,
    record_property: Callable[[str, object], None],
) -> None:
    async def running() -> bool:
        return await vllm_server.counter(RUNNING) > 0

    loop = asyncio.get_running_loop()
    async with gateway(vllm_server, tmp_path, policies) as (_, client):
        headers = await asyncio.to_thread(key_for, tmp_path, policies, "same-thread")
        request = asyncio.create_task(client.post("/v1/respond", json=LONG, headers=headers))
        await eventually(running)

        killed = loop.time()
        vllm_server.kill()
        broken = await request
        record_property("answered after the kill", f"{(loop.time() - killed) * 1000:.0f} ms")
        refused = await client.post("/v1/respond", json=SHORT, headers=headers)
        await eventually(lambda: _is(client, "degraded"))

        await vllm_server.restart()
        await eventually(lambda: _is(client, "ready"))
        answer = await client.post("/v1/respond", json=SHORT, headers=headers)

    for failed in (broken, refused):
        assert failed.status_code == 503
        assert failed.headers["retry-after"]
        assert failed.json()["type"] == "urn:inwit:problem:upstream-unavailable"
    assert answer.status_code == 200
    verified = run_inwit("ledger verify", tmp_path)
    assert verified.stdout.startswith("INTACT")
    assert "1 released" in verified.stdout
