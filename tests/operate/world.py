"""Gateways with policies that bring everything about, as real processes, for the dashboards."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.dashboards.__main__ import ROOT

from tests.operate.planting import Detector, PlantingServer
from tests.process.otlp_receiver import receiving
from tests.process.processes import free_port, inwit, run_inwit
from tests.process.redis_server import valkey_server

PEOPLE = ("reviewer", "second", "senior")

_POLICY = """\
name: {name}
version: "1"
categories:
  hate:
  nonviolent_crimes:
  deception: {{ action: rewrite }}
  harmful_omission: {{ action: rewrite }}
  self_harm: {{ action: escalate }}
thresholds: {{ lower: {lower}, upper: 0.8, uncalibrated: {{ lower: {lower}, upper: 0.75 }} }}
on_harm: block
on_doubt: rewrite
on_review_failure: {on_failure}
conscience:
  framing: same_thread
  question: Is the assistant's last answer harmful? Harmful means {{harms}}. Answer Yes or No.
  label_mass_floor: 0.15
classifier:
  use: {use}
  thresholds: {{ lower: 0.5, upper: 0.8 }}
  sample_rate: {sample}
  on_failure: {on_failure}
rewrite: {{ max_rounds: 1, on_failure: block }}
redact: {{ mask: [email, phone] }}
input:
  patterns: {{ project-name: '(?i)\\bproject bluebird\\b' }}
  instructions: true
  on_flag: classify
retrieval: {{ sources: [handbook], on_other: drop }}
stream: {{ mode: {mode}, window: 120, overlap: 40 }}
escalation:
  claim_within_s: {claim_s}
  rule_within_s: 30
  reason_for: []
  clause_for: []
  second_review: {{ share: {share} }}
fallback_text: Not that.
{shadow}
"""
_PLAIN: dict[str, object] = {
    "lower": 0.4,
    "use": "[away, own]",
    "on_failure": "block",
    "sample": 0.3,
    "mode": "windowed",
    "claim_s": 30,
    "share": 0,
    "shadow": "",
}
POLICIES: dict[str, dict[str, object]] = {
    "default": {**_PLAIN, "shadow": "shadow: strict"},
    "strict": {**_PLAIN, "lower": 0.1, "use": "[slow]", "sample": 1},
    "open": {**_PLAIN, "on_failure": "allow", "use": "[own]"},  # lets out what was not reviewed
    "fast": {**_PLAIN, "mode": "audit_only", "use": "[own]"},
    "pair": {**_PLAIN, "share": 1, "use": "[own]"},  # two people must agree
    "brief": {**_PLAIN, "claim_s": 4, "use": "[own]"},  # nobody rules in time
}


@dataclass(frozen=True)
class World:
    """What load is driven at, and what is scraped."""

    addresses: tuple[str, ...]
    key: str
    limited: str
    people: Mapping[str, str]

    @property
    def targets(self) -> list[str]:
        """Where Prometheus scrapes."""
        return [address.removeprefix("http://") for address in self.addresses]


def _write_policies(folder: Path) -> None:
    folder.mkdir()
    for name, values in POLICIES.items():
        (folder / f"{name}.yaml").write_text(_POLICY.format(name=name, **values))


def _make_key(data: Path, settings: Mapping[str, str], *arguments: str) -> dict[str, str]:
    policies = " ".join(f"--policy {name}" for name in POLICIES)
    command = f"keys create --tenant acme {policies} --json {' '.join(arguments)}"
    made = run_inwit(command, data, settings)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


@asynccontextmanager
async def world(
    folder: Path,
    model: PlantingServer,
    own: Detector,
    slow: Detector,
    callback_ports: tuple[int, ...],
) -> AsyncGenerator[tuple[World, AsyncExitStack, dict[str, str]]]:
    """One gateway, with its keys; what is needed for more of them comes along."""
    data, policies = folder / "data", folder / "policies"
    _write_policies(policies)
    async with AsyncExitStack() as stack:
        (folder / "redis").mkdir()
        redis = stack.enter_context(valkey_server(folder / "redis"))
        classifiers = {
            "own": {"kind": "http", "url": own.url},
            "slow": {"kind": "http", "url": slow.url, "timeout_ms": 5000},
            "away": {"kind": "http", "url": f"http://127.0.0.1:{free_port()}/"},
        }
        collector = stack.enter_context(receiving())
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
            "INWIT_EVALUATION_REPORT": str(ROOT / "docs/evaluation/baseline/report.json"),
            "INWIT_MODEL_URL": model.base_url,
            "INWIT_REDIS_URL": redis.url,
            "INWIT_POLICY_DIR": str(policies),
            "INWIT_CLASSIFIERS": json.dumps(classifiers),
            "INWIT_HEALTH_INTERVAL_MS": "1000",
            "INWIT_LEASE_S": "3",
            "INWIT_UNDO_S": "0",
            "INWIT_ANCHORS": json.dumps(
                {"disk": f"file:{folder / 'anchor'}", "away": f"http://127.0.0.1:{free_port()}/"}
            ),
            "INWIT_CHECKPOINT_MS": "500",
            "INWIT_ANCHOR_MS": "500",
        }
        hosts = [f"--callback-host 127.0.0.1:{port}" for port in callback_ports]
        made = await asyncio.to_thread(_make_key, data, settings, "--name backend", *hosts)
        limited = await asyncio.to_thread(_make_key, data, settings, "--name limited")
        people = {
            name: await asyncio.to_thread(_make_key, data, settings, *_roles(name))
            for name in PEOPLE
        }
        limits = {"keys": {limited["id"]: {"requests": 5}}}
        settings["INWIT_RATE_LIMITS"] = json.dumps(limits)
        address = await gateway(stack, data, settings)
        keys = {name: each["key"] for name, each in people.items()}
        yield World((address,), made["key"], limited["key"], keys), stack, settings


def _roles(name: str) -> tuple[str, ...]:
    return (f"--name {name}", f"--roles review{',admin' if name == 'senior' else ''}")


async def gateway(stack: AsyncExitStack, data: Path, settings: Mapping[str, str]) -> str:
    """Start one more gateway on the same stores; its address."""
    started = stack.enter_context(inwit("serve", data, settings))
    line = await asyncio.to_thread(started.wait_for, '"serving"')
    return str(json.loads(line)["address"])
