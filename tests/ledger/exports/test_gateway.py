"""What a gateway has recorded of real requests, exported: nothing that anybody wrote is in it."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from inwit.ledger.exports.forms import Form
from tests.conftest import MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, naming, risk_of
from tests.fakes_policies import compiled
from tests.ledger.exports.ledgers import export, lines
from tests.process.redis_server import valkey_server

pytest.importorskip("pyarrow")

WRITTEN = ("MARK-question", "MARK-answer", "MARK-reason", "MARK-person", "MARK-talk", "MARK-note")
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": f"Tell me of {WRITTEN[0]}."}],
    "end_user": WRITTEN[3],
    "conversation_id": WRITTEN[4],
    "metadata": {"note": WRITTEN[5]},
}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.mark.parametrize("on_harm", ["block", "rewrite", "escalate"])
async def test_nothing_that_anybody_wrote_is_in_any_form(
    make_caller: MakeCaller, tmp_path: Path, redis_url: str, on_harm: str
) -> None:
    explained = naming("deception", quotes=(WRITTEN[1],), reason=WRITTEN[2])
    model = FakeModel(f"Here is {WRITTEN[1]}.", answer=risk_of(0.95), explanation=explained)
    kinds = {"deception": {"severity": "medium"}}
    policy = compiled(on_harm=on_harm, categories=kinds)
    caller = await make_caller(
        model, classifiers=FakeClassifiers(0.9), policies=(policy,), redis_url=redis_url
    )
    answers = [await caller.respond(ASK), await caller.respond({**ASK, "stream": True})]
    assert {answer.status_code for answer in answers} <= {200, 202}

    for form in Form:
        await export(caller.database, tmp_path / "out", form)

    told = lines(tmp_path / "out")
    assert {"accepted", "decision"} <= {line["entry"]["type"] for line in told}
    assert len(lines(tmp_path / "out", Form.OCSF)) == len(told)
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    for file in files:
        content = file.read_bytes()
        assert not [each for each in WRITTEN if each.encode() in content], file
    assert bool(lines(tmp_path / "out", Form.DSA)) == (on_harm != "escalate")
