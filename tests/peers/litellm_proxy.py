"""A real LiteLLM proxy as a process of its own, with Inwit as its guardrail."""

import json
import queue
import re
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.peers.gateway import PeerGateway
from tests.process.processes import STOP_S, free_port

START_S = 500.0  # a slow machine under load
MASTER_KEY = "sk-5f1c0de5f1c0de5f1c0de5f1c0de"
PAGE = Path(__file__).parents[2] / "docs" / "litellm.md"


@dataclass
class Answer:
    """What a caller of the proxy got: the status, all of the body, and the text in it."""

    status: int
    raw: str
    headers: Mapping[str, str]
    text: str = ""
    tool_calls: list[Any] = field(default_factory=list[Any])
    error: str = ""


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    address: str
    printed: list[str]

    def ask(self, content: str, **fields: Any) -> Answer:
        """A chat completion, streamed where `stream` says so."""
        messages = [{"role": "user", "content": content}]
        body = {"model": "my-model", "messages": messages, **fields}
        answer = httpx.post(
            f"{self.address}/v1/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {MASTER_KEY}"},
            timeout=START_S,
        )
        read = Answer(answer.status_code, answer.text, answer.headers)
        for piece in _pieces(answer):
            _take(read, piece)
        return read


def _pieces(answer: httpx.Response) -> list[dict[str, Any]]:
    if "text/event-stream" not in answer.headers["content-type"]:
        return [answer.json()]
    data = re.findall(r"^data: (\{.*)$", answer.text, re.MULTILINE)
    return [json.loads(each) for each in data]


def _take(answer: Answer, piece: dict[str, Any]) -> None:
    if "error" in piece:
        answer.error = piece["error"]["message"]
        return
    for choice in piece["choices"]:
        said: dict[str, Any] = choice.get("delta") or choice.get("message") or {}
        answer.text += said.get("content") or ""
        answer.tool_calls += said.get("tool_calls") or []


def config_of_the_page(which: int = 0) -> dict[str, Any]:
    """A YAML block of docs/litellm.md, as it stands there: the whole file, or the guardrails for
    streams with tool calls."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return yaml.safe_load(blocks[which])


def litellm_version(python: Path) -> tuple[int, ...]:
    """The version of LiteLLM in that environment."""
    ask = "from importlib.metadata import version; print(version('litellm'))"
    told = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in re.findall(r"\d+", told.stdout))


@contextmanager
def litellm_proxy(
    python: Path, folder: Path, gateway: PeerGateway, config: dict[str, Any]
) -> Generator[Proxy]:
    """Run the proxy while the block runs; it ends by its process id."""
    port = free_port()
    file = folder / "config.yaml"
    file.write_text(json.dumps(config))
    command = ["litellm", "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [str(python.with_name(command[0])), *command[1:], "--telemetry", "False"],
        env=_environment(python, gateway),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        yield Proxy(f"http://127.0.0.1:{port}", _wait(lines))
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()


def _environment(python: Path, gateway: PeerGateway) -> dict[str, str]:
    return {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(Path.home()),
        "PYTHONUNBUFFERED": "1",
        "MODEL_URL": gateway.model.base_url,
        "MODEL_API_KEY": "EMPTY",
        "INWIT_URL": gateway.address,
        "INWIT_API_KEY": gateway.key,
        "LITELLM_MASTER_KEY": MASTER_KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "INFO",
        "NO_PROXY": "127.0.0.1",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # whatever it looks for elsewhere, it does not find
    }


def _wait(lines: "queue.Queue[str | None]") -> list[str]:
    """Wait until it listens; gives what it has printed."""
    printed = list[str]()
    while True:
        line = lines.get(timeout=START_S)
        if line is None:
            raise AssertionError(f"the proxy ended: {''.join(printed)}")
        printed.append(line)
        if "Uvicorn running on" in line:
            return printed


def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
