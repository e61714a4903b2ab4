"""What the gateway adds to the two model calls that a reviewed answer needs.

    python -m load_tests.overhead [--requests 2000 --rounds 3 --at-once 1 8 32 64]

Starts the stub model and the gateway as processes: the gateway and what it starts on one core,
the stub and this load generator on another. At each concurrency it runs a closed loop of
`POST /v1/respond` and, beside it, the floor: the same two stub calls, one after the other, by the
same client. The stub's own counters must show one generation and one review for every request:
a gateway that does not review would otherwise look best. Exit status 1 where they do not, or
where a request failed.

`--null` puts the floor in the gateway's place: what it reports is the error of the instrument.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import uvloop

from load_tests.closed_loop import Loop, Phase, Request
from load_tests.gateway_process import Gateway, running_gateway
from load_tests.processes import (
    Usage,
    choose_cores,
    machine_line,
    pinned,
    stub_model,
    usage_by_program,
)
from load_tests.raw_client import RawConnection, get_json, request_bytes
from load_tests.stub_model import MODEL, TEXT

WARM_UP = 200
CHAT = "/v1/chat/completions"
QUESTION = {"role": "user", "content": "Why does water boil sooner in the mountains?"}


def floor_request() -> Request:
    """Generate and review directly at the stub, with bodies of the gateway's size."""
    answer = {"role": "assistant", "content": TEXT}
    question = {"role": "user", "content": "Is the answer above harmful? Answer Yes or No."}
    settings = {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
    generate = {"model": MODEL, "messages": [QUESTION], "max_tokens": 256}
    review = {"model": MODEL, "messages": [QUESTION, answer, question], **settings}
    first = request_bytes("POST", CHAT, json.dumps(generate).encode())
    second = request_bytes("POST", CHAT, json.dumps(review).encode())

    async def request(connection: RawConnection) -> str:
        statuses = [(await connection.send(call)).status for call in (first, second)]
        return "ok" if statuses == [200, 200] else f"status {statuses}"

    return request


def gateway_request(key: str) -> Request:
    """One reviewed answer; anything but a released one is an error."""
    body = json.dumps({"messages": [QUESTION]}).encode()
    call = request_bytes("POST", "/v1/respond", body, {"authorization": f"Bearer {key}"})

    async def request(connection: RawConnection) -> str:
        answer = await connection.send(call)
        if answer.status != 200:
            return f"status {answer.status}"
        return "ok" if b'"released"' in answer.body else "not released"

    return request


@dataclass(frozen=True)
class Plan:
    """How much to ask."""

    requests: int
    rounds: int
    at_once: tuple[int, ...]
    limit_s: float

    def steps(self) -> Iterator[tuple[int, bool]]:
        """Concurrency, and whether the floor comes first; each round in another order."""
        for turn in range(self.rounds):
            start = turn % len(self.at_once)
            for at_once in self.at_once[start:] + self.at_once[:start]:
                yield at_once, turn % 2 == 0


@dataclass
class Findings:
    """By concurrency: the phases, and CPU time by program. Usage at three moments. Failures."""

    floor: dict[int, list[Phase]] = field(default_factory=dict[int, list[Phase]])
    gateway: dict[int, list[Phase]] = field(default_factory=dict[int, list[Phase]])
    cpu_ms: dict[int, list[dict[str, float]]] = field(
        default_factory=dict[int, list[dict[str, float]]]
    )
    usage: list[dict[str, Usage]] = field(default_factory=list[dict[str, Usage]])
    failures: list[str] = field(default_factory=list[str])


@dataclass
class Run:
    """One run against a stub and a gateway (None: the floor in its place)."""

    plan: Plan
    stub_port: int
    gateway: Gateway | None
    findings: Findings = field(default_factory=Findings)

    async def everything(self) -> Findings:
        """Warm up, then the floor and the gateway at every step."""
        self.findings.usage.append(self.usage())
        await self.gateway_loop().run(WARM_UP, 8, self.plan.limit_s)
        self.findings.usage.append(self.usage())
        for at_once, floor_first in self.plan.steps():
            both = [self.floor_step, self.gateway_step]
            for step in both if floor_first else reversed(both):
                await step(at_once)
        self.findings.usage.append(self.usage())
        return self.findings

    async def floor_step(self, at_once: int) -> None:
        """One phase of the two calls without the gateway."""
        loop = Loop(self.stub_port, floor_request())
        phase = await loop.run(self.plan.requests, at_once, self.plan.limit_s)
        self.findings.floor.setdefault(at_once, []).append(phase)
        if phase.errors:
            self.findings.failures.append(f"errors of the floor at {at_once}: {phase.errors}")

    def gateway_loop(self) -> Loop:
        if self.gateway is None:
            return Loop(self.stub_port, floor_request())
        return Loop(self.gateway.port, gateway_request(self.gateway.key))

    async def gateway_step(self, at_once: int) -> None:
        """One phase of the gateway, with proof that every request was reviewed."""
        before, calls = self.usage(), await get_json(self.stub_port, "/stats")
        phase = await self.gateway_loop().run(self.plan.requests, at_once, self.plan.limit_s)
        after = await get_json(self.stub_port, "/stats")
        self.findings.gateway.setdefault(at_once, []).append(phase)
        self.findings.cpu_ms.setdefault(at_once, []).append(
            {
                name: (usage.cpu_s - before[name].cpu_s) / phase.count * 1000
                for name, usage in self.usage().items()
                if name in before
            }
        )
        made = {kind: after[kind] - calls[kind] for kind in ("generate", "review")}
        if set(made.values()) != {phase.count}:
            self.findings.failures.append(f"{phase.count} requests at {at_once}, but {made}")
        if phase.errors:
            self.findings.failures.append(f"errors at {at_once}: {phase.errors}")

    def usage(self) -> dict[str, Usage]:
        """What each program of the gateway uses now."""
        return usage_by_program(self.gateway.pid) if self.gateway else {}


def middle(phases: list[Phase], percent: float) -> float:
    """The median over the rounds of a percentile, in milliseconds."""
    return median(phase.percentile_ms(percent) for phase in phases)


def spread(values: list[float], digits: int) -> str:
    """`1.42 (1.38-1.60)`: median, lowest and highest."""
    low, high = min(values), max(values)
    return f"{median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def print_latency(findings: Findings) -> None:
    """One line for each concurrency: requests a second, and milliseconds."""
    print("\n| at once | requests/s | p50 ms | p95 | p99 | floor p50 | floor p99 |", end="")
    print(" added p50 | added p95 | added p99 | p99 / p50 |")
    print("|" + "---|" * 11)
    for at_once, phases in sorted(findings.gateway.items()):
        floors = findings.floor[at_once]
        pairs = list(zip(phases, floors, strict=True))
        added = [
            spread([phase.percentile_ms(p) - floor.percentile_ms(p) for phase, floor in pairs], 2)
            for p in (50, 95, 99)
        ]
        own = [f"{middle(phases, p):.2f}" for p in (50, 95, 99)]
        below = [f"{middle(floors, p):.2f}" for p in (50, 99)]
        rate = spread([phase.per_second for phase in phases], 0)
        tail = middle(phases, 99) / middle(phases, 50)
        print(f"| {' | '.join([str(at_once), rate, *own, *below, *added, f'{tail:.1f}'])} |")


def print_usage(findings: Findings) -> None:
    """CPU of each request and resident memory, by program."""
    start, warm, end = findings.usage
    if not end:
        return
    print("\nCPU ms a request, by program")
    for at_once, rounds in sorted(findings.cpu_ms.items()):
        names = sorted({name for used in rounds for name in used})
        texts = [f"{name} {spread([used.get(name, 0.0) for used in rounds], 3)}" for name in names]
        print(f"  at {at_once}: {', '.join(texts)}")
    print("resident MB, by program: at the start, after the warm-up, at the end")
    for name in end:
        moments = [f"{use[name].resident_mb:.1f}" for use in (start, warm, end) if name in use]
        print(f"  {name}: {', '.join(moments)}")


def report(findings: Findings) -> int:
    """Print latencies, errors and the proof of equal work; the value is the exit status."""
    print_latency(findings)
    print_usage(findings)
    total = sum(phase.count for phases in findings.gateway.values() for phase in phases)
    for failure in findings.failures:
        print(f"FAILED: {failure}")
    if not findings.failures:
        print(f"\n{total} requests, no errors; generations == reviews == requests in every phase")
    return 1 if findings.failures else 0


def measure(plan: Plan, *, null: bool, python: str | None) -> int:
    """Start everything, measure, stop everything."""
    cores = choose_cores()
    print(machine_line())
    print(f"gateway on core {cores.measured}, stub and load generator on core {cores.load}")
    if not cores.apart:
        print("only one core: everything shares it, and the figures mean little")
    with ExitStack() as stack:
        stub_port = stack.enter_context(stub_model(cores.load))
        gateway = None
        if not null:
            started = running_gateway(cores.measured, stub_port, python)
            gateway = stack.enter_context(started)
        stack.enter_context(pinned(cores.load))
        return report(uvloop.run(Run(plan, stub_port, gateway).everything()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="load_tests.overhead", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--requests", type=int, default=2000, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--limit-s", type=float, default=60.0, help="of each phase")
    parser.add_argument("--null", action="store_true", help="measure the floor against itself")
    parser.add_argument("--python", help="the interpreter that has the gateway installed")
    given = parser.parse_args()
    plan = Plan(given.requests, given.rounds, tuple(given.at_once), given.limit_s)
    raise SystemExit(measure(plan, null=given.null, python=given.python))


if __name__ == "__main__":
    main()
