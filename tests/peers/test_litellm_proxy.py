"""Inwit as a guardrail in a real LiteLLM proxy, set up as docs/litellm.md says."""

import copy
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.peers.gateway import EchoServer, PeerGateway, peer_gateway, policy_text
from tests.peers.litellm_proxy import (
    START_S,
    Proxy,
    config_of_the_page,
    litellm_proxy,
    litellm_version,
)

pytestmark = pytest.mark.peers

EMAIL = "Write to ana@example.org."
HARM = "HARM is what this long sentence is about, from its first word to the very last one."
FORBIDDEN = "My forbidden question"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
DOWN = "http://127.0.0.1:9"

LOOKS = "input: { patterns: { forbidden: forbidden }, on_flag: block }\n"
MASKS = "redact: { mask: [email] }\n"
POLICIES = {
    "plain": policy_text("plain") + MASKS,
    "rewriting": policy_text("rewriting", on_harm="rewrite"),
    "looking": policy_text("looking") + LOOKS,
    "toolless": policy_text("toolless").replace("tools: { weather: }\n", ""),
}
STREAMS = ["inwit", "inwit-streams"]  # the page's guardrails for streams with tool calls

# By name: what differs from the guardrail of the page.
OTHERS: dict[str, dict[str, Any]] = {
    "rewriting": {"additional_provider_specific_params": {"policy": "rewriting"}},
    "looking": {"additional_provider_specific_params": {"policy": "looking"}},
    "toolless": {
        "additional_provider_specific_params": {"policy": "toolless"},
        "mode": "post_call",
    },
    "toolless-buffered": {
        "streaming_transform_mode": None,
        "streaming_buffer_until_moderated": True,
        "additional_provider_specific_params": {"policy": "toolless"},
        "mode": "post_call",
    },
    "down": {"mode": "post_call", "api_base": DOWN},
    "down-open": {"mode": "post_call", "api_base": DOWN, "unreachable_fallback": "fail_open"},
    "down-before": {"mode": "pre_call", "api_base": DOWN},
    "without-a-key": {"api_key": "inwit_none_none"},
    "streaming-defaults": {
        "streaming_transform_mode": None,
        "streaming_end_of_stream_only": None,
    },
}


@pytest.fixture(scope="module")
def inwit_gateway(
    echo_model: EchoServer, tmp_path_factory: pytest.TempPathFactory
) -> Generator[PeerGateway]:
    """A gateway with the policies of this file; the model behind the proxy is also its own."""
    folder = tmp_path_factory.mktemp("guardrail")
    with peer_gateway(folder, echo_model, POLICIES) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(
    peer_python: Path, inwit_gateway: PeerGateway, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Proxy]:
    """A proxy set up as the page says: the guardrail is on for every call."""
    folder = tmp_path_factory.mktemp("proxy")
    with litellm_proxy(peer_python, folder, inwit_gateway, config_of_the_page()) as running:
        yield running


@pytest.fixture(scope="module")
def other(
    peer_python: Path, inwit_gateway: PeerGateway, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Proxy]:
    """A proxy whose callers name the guardrail that they want."""
    config = config_of_the_page()
    (ours,) = config["guardrails"]
    config["guardrails"] = [_variant(ours, name, changes) for name, changes in OTHERS.items()]
    for each in config_of_the_page(1)["guardrails"]:
        config["guardrails"].append(_variant(each, each["guardrail_name"], {}))
    folder = tmp_path_factory.mktemp("others")
    with litellm_proxy(peer_python, folder, inwit_gateway, config) as running:
        yield running


@pytest.fixture
def buffers(peer_python: Path) -> None:
    """Skips on a LiteLLM whose generic guardrail ignores `streaming_buffer_until_moderated`."""
    if litellm_version(peer_python) < (1, 108):
        pytest.skip("this LiteLLM has no streaming_buffer_until_moderated")


def _variant(ours: dict[str, Any], name: str, changes: dict[str, Any]) -> dict[str, Any]:
    params = {**copy.deepcopy(ours["litellm_params"]), "default_on": False, **changes}
    given = {key: value for key, value in params.items() if value is not None}
    return {"guardrail_name": name, "litellm_params": given}


def checks(gateway: PeerGateway, action: str, policy: str = "plain") -> float:
    """How many answers were decided so."""
    series = f'inwit_checks_total{{action="{action}",policy="{policy}"}} '
    lines = httpx.get(f"{gateway.address}/metrics", timeout=START_S).text.splitlines()
    return sum(float(line.removeprefix(series)) for line in lines if line.startswith(series))


@pytest.mark.parametrize("stream", [False, True])
def test_what_passes_comes_through_as_it_is(
    proxy: Proxy, inwit_gateway: PeerGateway, stream: bool
) -> None:
    before = checks(inwit_gateway, "allow")

    answer = proxy.ask("How do tides work?", stream=stream)

    assert (answer.status, answer.text) == (200, "How do tides work?")
    assert answer.headers["x-litellm-applied-guardrails"] == "inwit"
    assert checks(inwit_gateway, "allow") == before + 1
    reviewed = inwit_gateway.model.bodies[-1]["messages"]
    assert [turn["content"] for turn in reviewed[:2]] == ["How do tides work?"] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_withheld_does_not_come_through(
    proxy: Proxy, inwit_gateway: PeerGateway, stream: bool
) -> None:
    before = checks(inwit_gateway, "block")

    answer = proxy.ask(HARM, stream=stream)

    assert "withholds this answer" in answer.error
    assert "HARM" not in answer.raw
    assert answer.status == 400
    assert checks(inwit_gateway, "block") == before + 1


@pytest.mark.parametrize("stream", [False, True])
def test_private_data_comes_through_masked(proxy: Proxy, stream: bool) -> None:
    answer = proxy.ask(EMAIL, stream=stream)

    assert answer.status == 200
    assert answer.text.startswith("Write to ")
    assert "ana@example.org" not in answer.raw


@pytest.mark.parametrize("stream", [False, True])
def test_a_permitted_tool_call_comes_through(proxy: Proxy, stream: bool) -> None:
    answer = proxy.ask("How is the weather?", tools=TOOLS, stream=stream)

    assert answer.status == 200
    assert answer.tool_calls[0]["function"]["name"] == "weather"


@pytest.mark.parametrize("stream", [False, True])
def test_a_rewrite_comes_through_in_place_of_what_was_flagged(other: Proxy, stream: bool) -> None:
    answer = other.ask(HARM, guardrails=["rewriting"], stream=stream)

    assert answer.status == 200
    assert answer.text.startswith("Your last answer was held back")  # what the echo writes anew
    assert "HARM" not in answer.raw


def test_a_request_that_the_policy_does_not_take_never_reaches_the_model(
    other: Proxy, inwit_gateway: PeerGateway
) -> None:
    before = len(inwit_gateway.model.bodies)

    answer = other.ask(FORBIDDEN, guardrails=["looking"])

    assert answer.status == 400
    assert "input_flagged" in answer.error
    assert FORBIDDEN not in answer.raw
    assert len(inwit_gateway.model.bodies) == before


@pytest.mark.parametrize("guardrail", ["down", "without-a-key"])
@pytest.mark.parametrize("stream", [False, True])
def test_without_inwit_nothing_comes_through(other: Proxy, guardrail: str, stream: bool) -> None:
    answer = other.ask("How do tides work?", guardrails=[guardrail], stream=stream)

    assert answer.text == ""
    assert answer.status >= 400
    assert answer.error


def test_without_inwit_nothing_reaches_the_model(other: Proxy, inwit_gateway: PeerGateway) -> None:
    before = len(inwit_gateway.model.bodies)

    answer = other.ask("How do tides work?", guardrails=["down-before"])

    assert answer.status >= 400
    assert len(inwit_gateway.model.bodies) == before


def test_with_fail_open_everything_comes_through_without_inwit(other: Proxy) -> None:
    """Why the page says fail_closed."""
    answer = other.ask(HARM, guardrails=["down-open"])

    assert (answer.status, answer.text) == (200, HARM)


def test_in_a_buffered_stream_a_withheld_call_does_not_leave(other: Proxy, buffers: None) -> None:
    answer = other.ask("Weather?", tools=TOOLS, stream=True, guardrails=["toolless-buffered"])

    assert answer.tool_calls == []
    assert "withholds this answer" in answer.error


def test_in_a_buffered_stream_what_would_be_masked_is_blocked(other: Proxy, buffers: None) -> None:
    masked = other.ask(EMAIL, stream=True, guardrails=STREAMS)
    withheld = other.ask(HARM, stream=True, guardrails=STREAMS)
    passed = other.ask("How do tides work?", stream=True, guardrails=STREAMS)
    called = other.ask("Weather?", stream=True, tools=TOOLS, guardrails=STREAMS)

    assert "ana@example.org" not in masked.raw
    assert "x-inwit-changes" in masked.error
    assert "HARM" not in withheld.raw
    assert passed.text == "How do tides work?"
    assert called.tool_calls[0]["function"]["name"] == "weather"


def test_beside_buffered_streams_private_data_is_still_masked(other: Proxy, buffers: None) -> None:
    answer = other.ask(EMAIL, guardrails=STREAMS)

    assert answer.text.startswith("Write to [")


def test_in_the_pages_streams_a_call_leaves_before_its_verdict(other: Proxy) -> None:
    """What the page warns of: LiteLLM hands calls on, and has them checked at the end."""
    answer = other.ask("Weather?", tools=TOOLS, stream=True, guardrails=["toolless"])

    assert answer.tool_calls
    assert "withholds this answer" in answer.error


def test_with_litellms_own_defaults_a_stream_leaves_before_its_verdict(other: Proxy) -> None:
    """Why the page sets how streams are checked."""
    blocked = other.ask(HARM, stream=True, guardrails=["streaming-defaults"])
    masked = other.ask(EMAIL, stream=True, guardrails=["streaming-defaults"])

    assert blocked.text
    assert "ana@example.org" in masked.text
