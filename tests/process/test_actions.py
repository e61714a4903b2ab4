"""Each of the five actions, by a policy that brings it about, with the embedded model and
classifier for real, through the front door of one `inwit serve`."""

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.processes import entries_of, inwit, run_inwit

pytestmark = pytest.mark.process

ANSWER_S = 240.0  # a slow machine under load writes a few tokens a second

ALWAYS, NEVER = "{ lower: 0, upper: 0 }", "{ lower: 1, upper: 1 }"
POLICY = """\
name: {name}
version: "1"
categories: {{ deception: , hate: }}
thresholds: {{ lower: {flags}, upper: {flags}, uncalibrated: {{ lower: {flags}, upper: {flags} }} }}
on_harm: {on_harm}
on_disagreement: {on_disagreement}
conscience:
  framing: same_thread
  question: Is the assistant's last answer harmful? Answer Yes or No.
  label_mass_floor: 0
classifier: {{ use: [embedded], thresholds: {classifier}, sample_rate: {sample_rate} }}
redact: {{ mask: [email] }}
fallback_text: Held back.
"""
PLAIN = {"on_harm": "block", "on_disagreement": "stricter", "classifier": NEVER, "sample_rate": 1}
POLICIES: dict[str, dict[str, Any]] = {
    "allows": {**PLAIN, "flags": 1},
    "blocks": {**PLAIN, "flags": 0, "classifier": ALWAYS},
    "escalates": {**PLAIN, "flags": 0, "classifier": ALWAYS, "on_harm": "escalate"},
    "rewrites": {**PLAIN, "flags": 0, "classifier": ALWAYS, "on_harm": "rewrite"},
    # One judge passes everything and the other flags everything: a rewrite can only be cosmetic.
    "disagrees": {**PLAIN, "flags": 1, "classifier": ALWAYS, "on_disagreement": "rewrite"},
}
ASK = {"messages": [{"role": "user", "content": "How do tides work?"}]}
REPEAT = {
    "messages": [
        {"role": "user", "content": "Say: bob@example.org"},
        {"role": "assistant", "content": "bob@example.org"},
        {"role": "user", "content": "Say: eve@example.net"},
        {"role": "assistant", "content": "eve@example.net"},
        {"role": "user", "content": "Say: ann@example.com"},
    ]
}


class Backend:
    """A product backend whose key may decide by every policy of the test."""

    def __init__(self, http: httpx.Client, data_dir: Path) -> None:
        self._http, self._data_dir = http, data_dir

    def respond(self, policy: str, body: dict[str, Any]) -> dict[str, Any]:
        """An answer, and its entry in the ledger under `entry`."""
        asked = {**body, "policy": policy, "temperature": 0, "max_tokens": 24}
        answer = self._http.post("/v1/respond", json=asked, timeout=ANSWER_S)
        assert answer.status_code in (200, 202), answer.text
        entries = entries_of(answer.json()["id"], self._data_dir)
        return {**answer.json(), "entry": entries[-1]}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Generator[Backend]:
    data_dir, folder = (tmp_path_factory.mktemp(name) for name in ("data", "policies"))
    for name, values in POLICIES.items():
        (folder / f"{name}.yaml").write_text(POLICY.format(name=name, **values))
    settings = {
        "INWIT_POLICY_DIR": str(folder),
        "INWIT_EMBEDDED_MODEL": "1",
        "INWIT_EMBEDDED_REDIS": "1",
        # A slow machine under load: what is proved here is not how fast it is.
        "INWIT_DEADLINE_MS": "240000",
        "INWIT_GENERATE_MS": "200000",
        "INWIT_JUDGE_MS": "100000",
        "INWIT_EXPLAIN_MS": "200000",
    }
    names = " ".join(f"--policy {name}" for name in POLICIES)
    made = run_inwit(f"keys create --name test --tenant acme {names} --json", data_dir, settings)
    headers = {"authorization": f"Bearer {json.loads(made.stdout)['key']}"}
    with inwit("serve", data_dir, settings) as gateway:
        found = re.search(r'"address": ?"([^"]+)"', gateway.wait_for('"serving"'))
        assert found
        with httpx.Client(base_url=found[1], headers=headers) as http:
            yield Backend(http, data_dir)


def test_allow(backend: Backend) -> None:
    answer = backend.respond("allows", ASK)

    assert (answer["status"], answer["action"]) == ("released", "allow")
    assert answer["output"]["content"] == answer["entry"]["content"]["candidate"]["text"]
    assert answer["review"]["classifier"]["name"] == "embedded"
    assert answer["entry"]["rounds"][0]["sampling"] == {"rate": 1.0, "drawn": True}


def test_redact(backend: Backend) -> None:
    answer = backend.respond("allows", REPEAT)

    written = answer["entry"]["content"]["candidate"]["text"]
    assert "ann@example.com" in written, "the embedded model did not repeat the address"
    assert (answer["status"], answer["action"]) == ("released", "redact")
    assert answer["output"]["content"] == written.replace("ann@example.com", "[EMAIL_1]")
    assert answer["review"]["masked"]["email"] == written.count("ann@example.com")


def test_rewrite(backend: Backend) -> None:
    answer = backend.respond("rewrites", ASK)

    assert (answer["status"], answer["action"]) == ("blocked", "block")
    assert answer["output"]["content"] == "Held back."
    assert len(answer["review"]["rewrites"]) == 1
    assert answer["review"]["reasons"][0] in ("rewrite_failed", "rewrite_cosmetic")
    assert answer["timings_ms"]["rewrite"] > 0
    assert answer["timings_ms"]["explain"] > 0
    assert answer["review"]["explanation"] in ("named", "ill_formed", "contradicting")


def test_a_rewrite_that_satisfies_the_conscience_alone_is_cosmetic(backend: Backend) -> None:
    answer = backend.respond("disagrees", ASK)

    assert answer["action"] == "block"
    assert answer["review"]["rewrites"] in (["cosmetic"], ["refusal"])
    assert answer["entry"]["rounds"][0]["disagreement"] == "pass_fail"


def test_escalate_holds(backend: Backend) -> None:
    answer = backend.respond("escalates", ASK)

    assert (answer["status"], answer["action"]) == ("held", "escalate")
    assert answer["output"]["content"] == "Held back."
    assert answer["escalation"]["state"] == "pending"


def test_block(backend: Backend) -> None:
    answer = backend.respond("blocks", ASK)

    assert (answer["status"], answer["action"]) == ("blocked", "block")
    assert answer["output"]["content"] == "Held back."
    written = answer["entry"]["content"]["candidate"]["text"]
    assert written not in json.dumps({**answer, "entry": None})
