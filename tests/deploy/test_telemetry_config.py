"""What watches Inwit in deploy/: Prometheus's configuration and the collector's."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tests.deploy.chart import ROOT

DEPLOY = ROOT / "deploy"
COLLECTOR = cast(
    "dict[str, Any]", yaml.safe_load((DEPLOY / "otel-collector" / "config.yaml").read_text())
)
PIPELINES: dict[str, dict[str, list[str]]] = COLLECTOR["service"]["pipelines"]
SECTIONS = ("receivers", "processors", "exporters")
# Where content could travel (GenAI conventions of 2026, and names from before them).
CONTENT = [
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "gen_ai.prompt",
    "gen_ai.prompt.0.content",
    "gen_ai.completion",
    "llm.prompts",
    "input.value",
    "output.value",
    "http.request.body",
]
# What dashboards of traces live by.
KEPT = [
    "gen_ai.operation.name",
    "gen_ai.request.model",
    "gen_ai.usage.input_tokens",
    "gen_ai.response.finish_reasons",
    "gen_ai.evaluation.score.value",
    "http.request.method",
    "inwit.policy",
]


@pytest.mark.operate
def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    """With an empty file in place of a rules.yaml that is not there."""
    config = tmp_path / "prometheus"
    shutil.copytree(DEPLOY / "prometheus", config)
    found = subprocess.run(
        ["promtool", "check", "config", str(config / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_prometheus_scrapes_what_compose_runs() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    aliases = {"vllm"} | services.keys()
    jobs = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]
    }
    assert jobs["inwit"] == ["gateway:9090"]
    assert jobs["vllm"] == ["vllm:8000"]
    for targets in jobs.values():
        for target in targets:
            assert target.partition(":")[0] in aliases | {"127.0.0.1"}
    for rules in config["rule_files"]:
        assert (DEPLOY / "prometheus" / rules).is_file()


def test_every_component_is_used_and_every_used_one_is_there() -> None:
    for section in SECTIONS:
        used = {name for pipeline in PIPELINES.values() for name in pipeline[section]}
        assert used == COLLECTOR[section].keys(), section
    assert set(COLLECTOR["service"]["extensions"]) == COLLECTOR["extensions"].keys()
    assert "health_check" in COLLECTOR["extensions"]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_guards_its_memory_then_drops_content_then_batches(name: str) -> None:
    processors = PIPELINES[name]["processors"]
    assert processors[0] == "memory_limiter"
    assert processors[-1] == "batch"
    # A number has no events and no body, which are what the second one is for.
    content = ["attributes/content", "transform/content"]
    assert processors[1:-1] == (content[:1] if name == "metrics" else content)


def test_each_signal_that_a_gateway_sends_has_a_pipeline() -> None:
    """inwit.exporting sends three; one without a pipeline is lost, and an error each time."""
    assert PIPELINES.keys() == {"traces", "logs", "metrics"}
    assert all(pipeline["receivers"] == ["otlp"] for pipeline in PIPELINES.values())


def test_prometheus_scrapes_what_the_collector_offers() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    scraped = {
        target
        for job in config["scrape_configs"]
        for target in job["static_configs"][0]["targets"]
        if target.startswith("otel-collector:")
    }
    (exporter,) = PIPELINES["metrics"]["exporters"]
    sent = COLLECTOR["exporters"][exporter]["endpoint"].rpartition(":")[2]
    (reader,) = COLLECTOR["service"]["telemetry"]["metrics"]["readers"]
    own = reader["pull"]["exporter"]["prometheus"]["port"]
    assert scraped == {f"otel-collector:{sent}", f"otel-collector:{own}"}
    assert exporter.partition("/")[0] == "prometheus"


def test_memory_and_queues_are_bounded() -> None:
    limiter = COLLECTOR["processors"]["memory_limiter"]
    assert limiter["check_interval"] == "1s"
    assert limiter["spike_limit_percentage"] < limiter["limit_percentage"] < 90
    batch = COLLECTOR["processors"]["batch"]
    assert batch["send_batch_size"] <= batch["send_batch_max_size"]
    for name, exporter in COLLECTOR["exporters"].items():
        if name.startswith("otlp"):
            assert 0 < exporter["sending_queue"]["queue_size"] <= 10_000
            assert exporter["retry_on_failure"]["enabled"] is True
            assert exporter["retry_on_failure"]["max_elapsed_time"] != "0s"


def _deleted(key: str) -> bool:
    actions: list[dict[str, str]] = COLLECTOR["processors"]["attributes/content"]["actions"]
    assert {each["action"] for each in actions} == {"delete"}
    return any(
        each.get("key") == key or ("pattern" in each and re.search(each["pattern"], key))
        for each in actions
    )


@pytest.mark.parametrize("key", CONTENT)
def test_content_is_taken_out(key: str) -> None:
    assert _deleted(key)


@pytest.mark.parametrize("key", KEPT)
def test_what_is_no_content_stays(key: str) -> None:
    assert not _deleted(key)


def test_content_is_taken_out_of_events_and_bodies_too_or_nothing_passes() -> None:
    transform = COLLECTOR["processors"]["transform/content"]
    assert transform["error_mode"] == "propagate"
    (events,) = transform["trace_statements"]
    assert events["context"] == "spanevent"
    pattern = re.search(r'delete_matching_keys\(attributes, "(.+)"\)', events["statements"][0])
    assert pattern is not None
    expression = pattern[1].replace("\\\\", "\\")
    for key in CONTENT[:6]:
        assert re.search(expression, key), key
    assert not [key for key in KEPT if re.search(expression, key)]
    assert "body" in transform["log_statements"][0]["statements"][0]


def test_its_environment_is_given_by_compose() -> None:
    text = (DEPLOY / "otel-collector" / "config.yaml").read_text()
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["otel-collector"]
    assert set(re.findall(r"\$\{env:(\w+)", text)) <= service["environment"].keys()
