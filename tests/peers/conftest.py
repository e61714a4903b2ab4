"""What the tests with other people's clients share: a gateway, and pythons that have the clients.

`make peer-test` makes the environments. The clients never meet the gateway's own packages.
"""

import json
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.gateway import EchoServer, PeerGateway, echoing, peer_gateway

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
SCRIPT_S = 500.0  # a slow machine under load

RunScript = Callable[..., dict[str, Any]]


def python_of(venv: str) -> Path:
    """The interpreter of an environment that `make peer-test` makes; fails where it is missing."""
    python = ROOT / venv / "bin" / "python"
    if not python.exists():
        pytest.fail(f"no environment in {venv}: `make peer-test` makes it")
    return python


@pytest.fixture(scope="session")
def peer_python() -> Path:
    """The Python that has LiteLLM (with its proxy), LangChain and OpenAI's client 2."""
    return python_of(".venv-peers")


@pytest.fixture(scope="session")
def echo_model() -> Generator[EchoServer]:
    """The model server behind `gateway`; `bodies` holds what it was asked."""
    with echoing() as server:
        yield server


@pytest.fixture(scope="session")
def gateway(
    echo_model: EchoServer, tmp_path_factory: pytest.TempPathFactory
) -> Generator[PeerGateway]:
    """A real `inwit serve`, with the policies of tests/peers/gateway.py."""
    with peer_gateway(tmp_path_factory.mktemp("peer"), echo_model) as running:
        yield running


def peer_environment(gateway: PeerGateway) -> dict[str, str]:
    """The environment of a client: where the gateway is, and nothing that looks elsewhere."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "OPENAI_BASE_URL": gateway.base_url,
        "OPENAI_API_BASE": gateway.base_url,
        "OPENAI_API_KEY": gateway.key,
        "LIMITED_API_KEY": gateway.limited_key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LANGSMITH_TRACING": "false",
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def run_script(gateway: PeerGateway) -> RunScript:
    """Runs a script of tests/peers/scripts against the gateway; gives the JSON that it prints.

    Its environment names the gateway and the key as OpenAI's clients expect them.
    """

    def run(python: Path, script: str, **environment: str) -> dict[str, Any]:
        ended = subprocess.run(
            [str(python), str(SCRIPTS / script)],
            env=peer_environment(gateway) | environment,
            capture_output=True,
            text=True,
            timeout=SCRIPT_S,
            check=False,
        )
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        return json.loads(ended.stdout.splitlines()[-1])

    return run
