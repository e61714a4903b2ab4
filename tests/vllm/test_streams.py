"""Streams from a real vLLM: the text of the JSON answer, sooner, and ended when it must be."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from load_tests.first_byte import BARE, MODES, Way, measure, write_policies

from tests.streams import Reader, events_in
from tests.vllm.server import VllmServer
from tests.vllm.test_gateway import BACKGROUND, ENDLESS, gateway, key_for
from tests.vllm.test_server import GENERATED, RUNNING, eventually

pytestmark = pytest.mark.vllm

LONG: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": BACKGROUND},
        {"role": "user", "content": "Tell me everything about mending a flat tyre."},
    ],
    "temperature": 0,
    "max_tokens": 300,
}
TOKENS = [50, 200, 800]


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """The default policy in each stream mode; every risk passes, or none does."""
    folder = tmp_path / "policies"
    folder.mkdir()
    write_policies(folder)
    text = (folder / "windowed.yaml").read_text().replace("name: windowed", "name: strict", 1)
    (folder / "strict.yaml").write_text(
        text.replace("lower: 1.0", "lower: 0").replace("upper: 1.0", "upper: 0")
    )
    return folder


async def streamed(client: httpx.AsyncClient, headers: dict[str, str]) -> Reader:
    async with client.stream(
        "POST", "/v1/respond", json={**LONG, "stream": True}, headers=headers
    ) as answer:
        assert answer.status_code == 200
        return Reader().take(events_in((await answer.aread()).decode()))


async def test_every_mode_ends_with_the_text_of_the_json_answer(
    vllm_server: VllmServer, tmp_path: Path, policies: Path
) -> None:
    async with gateway(vllm_server, tmp_path, policies) as (_, client):
        for mode, enforcement in zip(MODES, ("full", "windowed", "audit_only"), strict=True):
            headers = await asyncio.to_thread(key_for, tmp_path, policies, mode)
            whole = (await client.post("/v1/respond", json=LONG, headers=headers)).json()
            reader = await streamed(client, headers)

            assert reader.text == whole["output"]["content"]
            assert reader.decision is not None
            assert reader.done is not None
            assert reader.decision["review"]["enforcement"] == enforcement
            used, before = reader.done["usage"]["generation"], whole["usage"]["generation"]
            assert used["completion_tokens"] == before["completion_tokens"]


async def test_a_flagged_window_stops_vllm(
    vllm_server: VllmServer, tmp_path: Path, policies: Path
) -> None:
    async def idle() -> bool:
        return await vllm_server.counter(RUNNING) == 0

    endless = {**ENDLESS, "stream": True, "inwit": {"policy": "strict"}}
    most = {"INWIT_MAX_TOKENS": str(ENDLESS["max_tokens"])}
    async with gateway(vllm_server, tmp_path, policies, most) as (_, client):
        headers = await asyncio.to_thread(key_for, tmp_path, policies, "strict")
        reader = await streamed(client, headers)
        before = await vllm_server.counter(GENERATED)
        answer = await client.post("/v1/chat/completions", json=endless, headers=headers)
        assert answer.status_code == 200, answer.text
        await eventually(idle)
        generated = await vllm_server.counter(GENERATED) - before

    assert reader.decision is not None
    assert reader.decision["status"] == "blocked"
    assert reader.done is not None
    written = reader.done["usage"]["generation"]["completion_tokens"]
    assert 0 < written < LONG["max_tokens"]  # as vLLM counted them until it was stopped
    assert generated < ENDLESS["max_tokens"]  # with what the review writes: nor did it go on


async def test_when_the_first_text_leaves(
    vllm_server: VllmServer,
    tmp_path: Path,
    policies: Path,
    record_property: Callable[[str, object], None],
) -> None:
    more = {"INWIT_MAX_TOKENS": "1000", "INWIT_DEADLINE_MS": "600000"}
    more["INWIT_GENERATE_MS"] = "600000"
    async with gateway(vllm_server, tmp_path, policies, more) as (_, client):
        url = f"{vllm_server.base_url}/v1"
        ways = [Way(BARE, url, "none", {"model": vllm_server.model})]
        for mode in MODES:
            headers = await asyncio.to_thread(key_for, tmp_path, policies, mode)
            key = headers["authorization"].removeprefix("Bearer ")
            ways.append(Way(mode, f"{client.base_url}/v1", key, {"model": vllm_server.model}))
        found = await measure(ways, TOKENS, rounds=1)

    for tokens, took in found.items():
        words = [f"{name} {t.first_s:.2f} / {t.total_s:.2f} s" for name, t in took.items()]
        record_property(f"first text / whole, {tokens} tokens", "; ".join(words))
    longest = found[TOKENS[-1]]
    # By shares of the whole, which outlasts what a machine may stand still for.
    assert {name: took.first_s < took.total_s / 2 for name, took in longest.items()} == {
        BARE: True,
        "audit-only": True,
        "windowed": True,
        "buffer": False,
    }
