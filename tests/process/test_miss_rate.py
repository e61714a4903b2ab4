"""A gateway that comes up again shows what its ledger says of misses."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import ASK
from tests.fakes_policy_folder import policy_text
from tests.fakes_server import FakeServer
from tests.process.test_serve import serving

pytestmark = pytest.mark.process

LOW = 'inwit_miss_rate{bound="low",policy="default",source="classifier"}'


async def test_the_gauge_is_there_after_a_start(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    text = policy_text().replace("sample_rate: 0.02", "sample_rate: 1")
    (folder / "default.yaml").write_text(text)
    settings = {"INWIT_POLICY_DIR": str(folder)}
    async with FakeServer().running() as server:
        async with serving(tmp_path / "data", server, **settings) as (_gateway, client):
            answer = await client.post("/v1/respond", json=ASK)
            assert answer.json()["review"]["classifier"]["asked"] == ["sample"]
            assert LOW not in (await client.get("/metrics")).text

        async with serving(tmp_path / "data", server, **settings) as (_gateway, client):
            async with asyncio.timeout(120):
                while LOW not in (await client.get("/metrics")).text:
                    pass  # its own answers are the pace
