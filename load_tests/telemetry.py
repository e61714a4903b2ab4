"""What telemetry costs: the same requests without it, with it, and with the collector away.

    python -m load_tests.telemetry [--requests 1500 --rounds 3 --at-once 8]

Four gateways share one core, and only one is asked at a time, in an order that turns with each
round; the stub, the collector and this load generator share another. Given are CPU time and median
latency of a request as multiples of those without telemetry: absolute times are the machine's.
Exit status 1 where a request failed, or where the gateway that exports has sent nothing.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

import uvloop

from load_tests.closed_loop import Loop, Phase
from load_tests.gateway_process import Gateway, free_port, running_gateway
from load_tests.overhead import WARM_UP, gateway_request, spread
from load_tests.processes import choose_cores, machine_line, pinned, state_of, stop, stub_model
from load_tests.raw_client import connect, request_bytes

LIMIT_S = 60.0
OFF, ON, TENTH, AWAY = "off", "on", "one trace in ten", "collector away"


@dataclass
class Measured:
    """One gateway and what its phases came to; CPU in milliseconds a request."""

    gateway: Gateway
    phases: list[Phase] = field(default_factory=list[Phase])
    cpu_ms: list[float] = field(default_factory=list[float])

    async def phase(self, requests: int, at_once: int) -> None:
        """Ask so often, and note what it took."""
        before = self.cpu_s()
        loop = Loop(self.gateway.port, gateway_request(self.gateway.key))
        phase = await loop.run(requests, at_once, LIMIT_S)
        self.phases.append(phase)
        self.cpu_ms.append((self.cpu_s() - before) / phase.count * 1000)

    def cpu_s(self) -> float:
        """CPU seconds of the gateway, its threads included, its Redis apart."""
        state = state_of(self.gateway.pid)
        return state.usage.cpu_s if state else 0.0


@contextmanager
def sink() -> Generator[int]:
    """A collector that keeps nothing; gives its port."""
    port = free_port()
    command = [sys.executable, "-m", "load_tests.otlp_sink", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ))
    try:
        assert process.stdout is not None  # noqa: S101  # for the type checker
        process.stdout.readline()
        yield port
    finally:
        stop(process)


async def run(measured: dict[str, Measured], requests: int, rounds: int, at_once: int) -> float:
    """Warm up, then every gateway in each round; gives the spans that were exported."""
    for each in measured.values():
        await Loop(each.gateway.port, gateway_request(each.gateway.key)).run(WARM_UP, 8, LIMIT_S)
    names = list(measured)
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            await measured[name].phase(requests, at_once)
    async with connect(measured[ON].gateway.port) as connection:
        metrics = (await connection.send(request_bytes("GET", "/metrics"))).body.decode()
    line = next(line for line in metrics.splitlines() if line.startswith(_EXPORTED))
    return float(line.rpartition(" ")[2])


_EXPORTED = 'inwit_telemetry_exported_total{signal="spans"}'


def report(measured: dict[str, Measured], exported: float) -> int:
    """Print the ratios; the value is the exit status."""
    base = measured[OFF]
    print("\n| telemetry | CPU a request, times `off` | median latency, times `off` |")
    print("|---|---|---|")
    for name in (ON, TENTH, AWAY):
        each = measured[name]
        cpu = [mine / off for mine, off in zip(each.cpu_ms, base.cpu_ms, strict=True)]
        pairs = zip(each.phases, base.phases, strict=True)
        slower = [mine.percentile_ms(50) / off.percentile_ms(50) for mine, off in pairs]
        print(f"| {name} | {spread(cpu, 2)} | {spread(slower, 2)} |")
    print(f"\n`off`: {median(base.cpu_ms):.2f} CPU ms a request; {exported:.0f} spans exported")
    errors = [phase.errors for each in measured.values() for phase in each.phases if phase.errors]
    for error in errors:
        print(f"FAILED: {error}")
    if not exported:
        print("FAILED: nothing was exported")
    return 1 if errors or not exported else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="load_tests.telemetry", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--requests", type=int, default=1500, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=8)
    given = parser.parse_args()
    cores = choose_cores()
    print(machine_line())
    with ExitStack() as stack:
        stub_port = stack.enter_context(stub_model(cores.load))
        with pinned(cores.load):
            port = stack.enter_context(sink())
        on = _settings(port)
        tenth = {
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.1",
        }
        ways = {OFF: {}, ON: on, TENTH: tenth, AWAY: _settings(free_port())}
        measured = {
            name: Measured(
                stack.enter_context(
                    running_gateway(cores.measured, stub_port, None, settings=settings)
                )
            )
            for name, settings in ways.items()
        }
        stack.enter_context(pinned(cores.load))
        exported = uvloop.run(run(measured, given.requests, given.rounds, given.at_once))
        raise SystemExit(report(measured, exported))


def _settings(port: int) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}


if __name__ == "__main__":
    main()
