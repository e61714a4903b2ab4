"""What a real gateway sends to a real OTLP receiver, and what it does when there is none."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ASK
from tests.fakes_server import FakeServer
from tests.process.otlp_receiver import Collected, attributes, receiving
from tests.process.processes import STOP_S, free_port, inwit
from tests.process.test_serve import REDIS, serving

pytestmark = pytest.mark.process

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
SECRET_WORDS = "walrus-ninety-three"
AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_BLRP_SCHEDULE_DELAY": "50"}


def asking() -> dict[str, Any]:
    return {**ASK, "messages": [{"role": "user", "content": f"Say {SECRET_WORDS}."}]}


async def collected_of(tmp_path: Path, collector: Collected, **settings: str) -> FakeServer:
    """One request with a trace to a gateway that exports, which is then stopped."""
    server = FakeServer(text=f"So be it: {SECRET_WORDS}.", yes=0.5, no=0.45)  # asks the classifier
    exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address} | AT_ONCE | settings
    async with server.running(), serving(tmp_path, server, **exporting) as (gateway, client):
        answer = await client.post("/v1/respond", json=asking(), headers=TRACE)
        assert answer.status_code in (200, 202)
        # They go by themselves; only what is left (the metrics) has to go in the last 5 seconds.
        await asyncio.to_thread(collector.wait_for, _all_of_one_request)
        assert await asyncio.to_thread(gateway.stop, signal.SIGTERM) == 0
    return server


def _all_of_one_request(collected: Collected) -> bool:
    names = {span.name for span in collected.spans}
    commits = len(collected.named("commit"))
    return names >= {"respond", "record"} and commits >= 2 and bool(collected.logs)


async def test_a_trace_goes_through_gateway_judge_classifier_and_ledger(tmp_path: Path) -> None:
    with receiving() as collector:
        server = await collected_of(tmp_path, collector)

    assert collector.services == {"inwit"}
    (respond,) = collector.named("respond")
    assert respond.trace_id.hex() == TRACE_ID
    assert respond.parent_span_id.hex() == "b7ad6b7169203331"
    told = attributes(respond.attributes)
    assert told["inwit.policy"] == "default"
    assert told["inwit.response.id"].startswith("resp_")
    children = {span.name: span for span in collector.spans if span.trace_id == respond.trace_id}
    assert {"generate", "judge", "classify", "record"} <= children.keys()
    for name in ("generate", "judge", "classify", "record"):
        assert children[name].parent_span_id == respond.span_id
    # One commit for its acceptance, beside the generation, and one for its decision.
    accepted, decided = (
        span for span in collector.named("commit") if span.links[0].trace_id == respond.trace_id
    )
    assert accepted.links[0].span_id == respond.span_id
    assert decided.links[0].span_id == children["record"].span_id
    # The model server hears which of the spans asked.
    came = [header["traceparent"] for header in server.headers if "traceparent" in header]
    asked = [parent.split("-")[2] for parent in came]
    spans = {span.span_id.hex(): span.name for span in collector.spans}
    assert {"generate", "judge"} <= {spans.get(parent) for parent in asked}


async def test_genai_names_and_the_evaluation_event(tmp_path: Path) -> None:
    with receiving() as collector:
        await collected_of(tmp_path, collector)

    (generate,) = collector.named("generate")
    told = attributes(generate.attributes)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.usage.output_tokens"] > 0
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    (judge,) = collector.named("judge")
    events = [record for record in collector.logs if record.span_id == judge.span_id]
    assert [record.event_name for record in events] == ["gen_ai.evaluation.result"]
    said = attributes(events[0].attributes)
    assert said["gen_ai.evaluation.name"] == "conscience"
    assert said["gen_ai.evaluation.score.label"] == "judged"
    assert 0 < said["gen_ai.evaluation.score.value"] < 1
    names = {metric.name for metric in collector.metrics}
    assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} <= names


async def test_the_latest_names_take_the_place_of_the_published_ones(tmp_path: Path) -> None:
    latest = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http,gen_ai_latest_experimental"}
    with receiving() as collector:
        await collected_of(tmp_path, collector, **latest)

    names = {metric.name for metric in collector.metrics}
    assert "gen_ai.client.inference.duration" in names
    assert not names & {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
    (judge,) = collector.named("judge")
    assert attributes(judge.attributes)["gen_ai.guardrail.component.name"] == "conscience"


async def test_no_content_is_sent_unless_a_setting_says_so(tmp_path: Path) -> None:
    with receiving() as silent:
        await collected_of(tmp_path / "silent", silent)
    with receiving() as telling:
        await collected_of(tmp_path / "telling", telling, INWIT_TRACE_CONTENT="1")

    assert silent.spans
    assert SECRET_WORDS not in silent.everything()
    (generate,) = telling.named("generate")
    told = attributes(generate.attributes)
    assert SECRET_WORDS in told["gen_ai.input.messages"]
    assert SECRET_WORDS in told["gen_ai.output.messages"]


async def test_a_collector_that_is_away_costs_answers_nothing(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    # Spans are given up soon; of the rest each could be tried for ten minutes.
    times = {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1", "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
    few = {"OTEL_EXPORTER_OTLP_ENDPOINT": away} | times | AT_ONCE
    async with FakeServer().running() as server, serving(tmp_path, server, **few) as (gateway, ask):
        for _ in range(5):
            assert (await ask.post("/v1/respond", json=ASK)).status_code == 200
        async with asyncio.timeout(STOP_S):
            while not await dropped(ask):
                pass
        began = time.monotonic()
        assert await asyncio.to_thread(gateway.stop, signal.SIGTERM) == 0
        took = time.monotonic() - began

    assert took < 60  # it tries for five seconds, and no longer


async def dropped(client: httpx.AsyncClient) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    name = 'inwit_telemetry_dropped_total{signal="spans"} '
    return float(next(line for line in lines if line.startswith(name)).removeprefix(name))


def test_an_unknown_convention_stops_the_start(tmp_path: Path) -> None:
    wrong = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_someday", "INWIT_MODEL_URL": "http://x/v1"}
    with inwit("serve", tmp_path, REDIS | wrong) as gateway:
        line = gateway.wait_for("gen_ai_someday")

    assert "gen_ai_latest_experimental" in line
