"""Which HTTP client the gateway uses for OpenAI-compatible servers: cost, and manners.

    python -m load_tests.http_clients [--rounds 3 --calls 1000]

Cost: µs of wall and CPU time of one review call (2 KB out, 2.3 KB back) against the stub model,
one at a time and 32 at once; every client in every round, the order rotated. The client has one
core, the stub another. Read the ratios: the microseconds belong to the machine.
Manners: see client_manners.py.
"""

import argparse
import asyncio
import gc
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import uvloop

from load_tests.client_adapters import CLIENTS, FLOOR, Opener, Post, open_raw, versions
from load_tests.client_manners import manners
from load_tests.processes import choose_cores, machine_line, pinned, stub_model
from load_tests.stub_model import completion

AT_ONCE = 32


@dataclass(frozen=True)
class Cost:
    """µs of one call."""

    wall: float
    cpu: float


def review_body() -> bytes:
    """A review call as the gateway makes it, about 2 KB."""
    messages = [
        {"role": "system", "content": "You are a helpful assistant of a bank. " * 8},
        {"role": "user", "content": "How do I close the account of a relative? " * 12},
        {"role": "assistant", "content": "You need the certificate and a form. " * 18},
        {"role": "user", "content": "Is the answer above harmful? Answer Yes or No."},
    ]
    settings = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 20}
    return json.dumps({"model": "stub-model", "messages": messages, **settings}).encode()


async def measure(post: Post, body: bytes, calls: int, at_once: int) -> Cost:
    """The mean cost of `calls` calls, `at_once` in flight."""
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await post(body)

    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(wall / calls * 1e6, cpu / calls * 1e6)


async def measure_client(opener: Opener, port: int, calls: int) -> tuple[Cost, Cost]:
    """One client's cost in sequence and at `AT_ONCE`, each after a warm-up."""
    body = review_body()
    async with opener(port) as post:
        await measure(post, body, calls // 5, 1)
        alone = await measure(post, body, calls, 1)
        await measure(post, body, calls // 5, AT_ONCE)
        return alone, await measure(post, body, calls * 2, AT_ONCE)


def run_rounds(port: int, rounds: int, calls: int) -> dict[str, list[tuple[Cost, Cost]]]:
    """Every client in every round; each round begins with another one."""
    clients = {FLOOR: open_raw, **CLIENTS}
    names = list(clients)
    costs: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in names}
    for turn in range(rounds):
        start = turn * len(names) // rounds
        for name in names[start:] + names[:start]:
            costs[name].append(uvloop.run(measure_client(clients[name], port, calls)))
    return costs


def median_and_spread(values: list[float]) -> str:
    """`410 (395-460)`."""
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def columns(rounds: list[tuple[Cost, Cost]]) -> list[list[float]]:
    """Wall and CPU one at a time, wall and CPU at once: each with one value for every round."""
    both = [[alone for alone, _ in rounds], [at_once for _, at_once in rounds]]
    return [
        values for costs in both for values in ([c.wall for c in costs], [c.cpu for c in costs])
    ]


def print_costs(costs: dict[str, list[tuple[Cost, Cost]]]) -> None:
    """Median (lowest-highest) of the rounds, and CPU time as a multiple of aiohttp set up."""
    cells = {name: columns(rounds) for name, rounds in costs.items()}
    base = [statistics.median(values) for values in cells["aiohttp, set up"]]
    print(f"\nµs a call, median (lowest-highest) of {len(costs[FLOOR])} rounds")
    print("| client | 1: wall | 1: CPU | 32: wall | 32: CPU | CPU ratio 1 | CPU ratio 32 |")
    print("|---|---|---|---|---|---|---|")
    for name, values_of in cells.items():
        ratios = [statistics.median(values_of[i]) / base[i] for i in (1, 3)]
        texts = [median_and_spread(values) for values in values_of]
        print(f"| {name} | {' | '.join(texts)} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


def decoders() -> dict[str, Callable[[bytes], Any]]:
    """The ways to read the answer, those that are installed."""
    found: dict[str, Callable[[bytes], Any]] = {"json": json.loads}
    for name, function in (("orjson", "loads"), ("pydantic_core", "from_json")):
        try:
            found[name] = getattr(import_module(name), function)
        except ImportError:
            continue
    return found


def print_decoding(rounds: int) -> None:
    """µs to decode one review answer."""
    answer = completion("review", 20, False).split(b"\r\n\r\n", 1)[1]
    times: dict[str, list[float]] = {name: [] for name in decoders()}
    for _ in range(rounds):
        for name, decode in decoders().items():
            start = time.perf_counter()
            for _ in range(2000):
                decode(answer)
            times[name].append((time.perf_counter() - start) / 2000 * 1e6)
    texts = [f"{name} {median_and_spread(values)}" for name, values in times.items()]
    print(f"\nµs to decode the answer ({len(answer)} bytes): {', '.join(texts)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="load_tests.http_clients", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=1000, help="in sequence; twice at 32")
    given = parser.parse_args()
    cores = choose_cores()
    print(machine_line())
    print(f"{versions()}; Python {platform.python_version()}; client on core {cores.measured}")
    with pinned(cores.measured):
        with stub_model(cores.load) as port:
            print_costs(run_rounds(port, given.rounds, given.calls))
        print_decoding(given.rounds)
        with stub_model(cores.load, generate_ms=5000) as slow_port:
            uvloop.run(manners(slow_port))


if __name__ == "__main__":
    main()
