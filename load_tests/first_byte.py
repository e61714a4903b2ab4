"""When the first text of a streamed answer leaves, by the policy's stream mode, beside the model.

    python -m load_tests.first_byte [--tokens 50 200 800 --rounds 3]
    python -m load_tests.first_byte --model-url http://127.0.0.1:8000/v1 --model NAME

Without `--model-url` the embedded model is started. In each round every mode and the bare model
answer a question of their own, so that nobody finds the prefix of another in the cache. All risks
pass under these policies: what is measured is the way, without what follows doubt.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from inwit.clients.embedded.model import embedded_model
from inwit.policy.loader import PACKAGED
from load_tests.gateway_process import running_gateway
from load_tests.processes import machine_line

MODES = {"buffer": "buffer", "windowed": "windowed", "audit-only": "audit_only"}
BARE = "the model alone"
BACKGROUND = "You work in a bicycle shop and answer at length, in plain words. " * 8


@dataclass(frozen=True)
class Way:
    """Where one kind of stream is asked for: an address, a key, a model's or a policy's name."""

    name: str
    url: str
    key: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Took:
    """Seconds to the first text and to the end, and the characters that came."""

    first_s: float
    total_s: float
    length: int


def write_policies(folder: Path) -> None:
    """The default policy in each stream mode, under which every risk passes."""
    text = (PACKAGED / "default.yaml").read_text()
    text = re.sub(r"(lower|upper): 0\.\d", r"\1: 1.0", text, count=4)
    text = text.replace("sample_rate: 0.02", "sample_rate: 0")
    for name, mode in MODES.items():
        changed = text.replace("name: default", f"name: {name}", 1)
        changed = changed.replace("mode: buffer", f"mode: {mode}", 1)
        (folder / f"{name}.yaml").write_text(changed)


async def stream_once(session: aiohttp.ClientSession, way: Way, number: str, tokens: int) -> Took:
    """One streamed answer of exactly `tokens` tokens."""
    system = {"role": "system", "content": f"{number}. {BACKGROUND}"}
    question = {"role": "user", "content": "Tell me everything about mending a flat tyre."}
    body = {
        "messages": [system, question],
        "temperature": 0,
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        **way.body,
    }
    headers = {"authorization": f"Bearer {way.key}"}
    start, first, length = time.perf_counter(), None, 0
    async with session.post(f"{way.url}/chat/completions", json=body, headers=headers) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            text = _text_in(line)
            if text and first is None:
                first = time.perf_counter() - start
            length += len(text)
    if first is None:
        raise SystemExit(f"{way.name}: no text came")
    return Took(first, time.perf_counter() - start, length)


def _text_in(line: bytes) -> str:
    if not line.startswith(b"data: {"):
        return ""
    chunk: dict[str, Any] = json.loads(line[6:])
    choices: list[dict[str, Any]] = chunk.get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")


async def measure(ways: list[Way], tokens: list[int], rounds: int) -> dict[int, dict[str, Took]]:
    """Medians of `rounds` answers by length and way."""
    found: dict[int, dict[str, Took]] = {}
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for count in tokens:
            took: dict[str, list[Took]] = {way.name: [] for way in ways}
            for each in range(rounds):
                for way in ways:
                    number = f"{way.name} {count} {each}"
                    took[way.name].append(await stream_once(session, way, number, count))
            found[count] = {name: _median(each) for name, each in took.items()}
    return found


def _median(each: list[Took]) -> Took:
    return Took(
        median(took.first_s for took in each),
        median(took.total_s for took in each),
        int(median(took.length for took in each)),
    )


def table(found: dict[int, dict[str, Took]]) -> str:
    """The figures as a table; ratios are to the model alone."""
    lines = ["| tokens | way | first text, s | whole, s | whole / alone |", "|---|---|---|---|---|"]
    for tokens, ways in found.items():
        alone = ways[BARE].total_s
        lines += [
            f"| {tokens} | {name} | {took.first_s:.2f} | {took.total_s:.2f} "
            f"| {took.total_s / alone:.2f} |"
            for name, took in ways.items()
        ]
    return "\n".join(lines)


@asynccontextmanager
async def model_server(given: argparse.Namespace) -> AsyncGenerator[tuple[str, str, str]]:
    """Address, model and key of the server that is measured; the embedded one by default."""
    if given.model_url:
        yield given.model_url, given.model, "none"
        return
    with TemporaryDirectory(prefix="inwit-load-") as folder:
        async with embedded_model(None, Path(folder) / "model.log") as model:
            yield model.base_url, model.name, model.api_key


async def run(given: argparse.Namespace) -> None:
    """Start what is needed, measure, print."""
    print(machine_line())
    async with AsyncExitStack() as stack:
        url, model, key = await stack.enter_async_context(model_server(given))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="inwit-load-")))
        write_policies(folder)
        settings = {
            "INWIT_MODEL_URL": url,
            "INWIT_MODEL": model,
            "INWIT_MODEL_API_KEY": key,
            "INWIT_POLICY_DIR": str(folder),
            "INWIT_MAX_TOKENS": "1000",
            "INWIT_DEADLINE_MS": "600000",
            "INWIT_GENERATE_MS": "600000",
        }
        starting = running_gateway(None, 0, None, settings=settings, policies=tuple(MODES))
        gateway = stack.enter_context(starting)
        own = f"http://127.0.0.1:{gateway.port}/v1"
        ways = [Way(BARE, url, key, {"model": model})]
        ways += [
            Way(name, own, gateway.key, {"model": model, "inwit": {"policy": name}})
            for name in MODES
        ]
        print(table(await measure(ways, given.tokens, given.rounds)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="load_tests.first_byte", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model-url", help="an OpenAI-compatible server; the embedded one if not")
    parser.add_argument("--model", help="the name of its model")
    parser.add_argument("--tokens", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
