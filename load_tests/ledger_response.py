"""What the ledger's proofs and keys cost in a reviewed answer, against an older checkout.

    git worktree add /tmp/before cf1b0cf          # the last commit before them
    python -m load_tests.ledger_response --before /tmp/before/service [--requests 1500 --rounds 3]

Two gateways share one core, and only one is asked at a time; the stub and this load generator share
another. Both run with the same packages. Given are CPU time and median latency of a request as
multiples of the older gateway's. Exit status 1 where a request failed.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import uvloop

from load_tests.closed_loop import Loop
from load_tests.gateway_process import running_gateway
from load_tests.overhead import WARM_UP, gateway_request, spread
from load_tests.processes import choose_cores, machine_line, pinned, stub_model
from load_tests.telemetry import LIMIT_S, Measured

BEFORE, NOW = "before", "now"


async def run(measured: dict[str, Measured], requests: int, at_once: int, rounds: int) -> None:
    """Both in each round, in turn the first."""
    names = list(measured)
    for turn in range(rounds):
        for name in names if turn % 2 else reversed(names):
            await measured[name].phase(requests, at_once)


def report(measured: dict[str, Measured], at_once: int) -> bool:
    """A line of ratios; whether no request failed."""
    now, before = measured[NOW], measured[BEFORE]
    cpu = [mine / old for mine, old in zip(now.cpu_ms, before.cpu_ms, strict=True)]
    pairs = list(zip(now.phases, before.phases, strict=True))
    slower = [mine.percentile_ms(50) / old.percentile_ms(50) for mine, old in pairs]
    rate = [mine.per_second / old.per_second for mine, old in pairs]
    told = f"{median(before.cpu_ms):.2f} and {median(now.cpu_ms):.2f}"
    cells = [str(at_once), spread(cpu, 2), spread(slower, 2), spread(rate, 2), told]
    print(f"| {' | '.join(cells)} |", flush=True)
    errors = [phase.errors for each in measured.values() for phase in each.phases if phase.errors]
    for error in errors:
        print(f"FAILED: {error}")
    return not errors


def main() -> None:
    parser = argparse.ArgumentParser(prog="load_tests.ledger_response", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--before", type=Path, required=True, help="the older checkout's service/")
    parser.add_argument("--requests", type=int, default=1500, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8, 32])
    given = parser.parse_args()
    cores = choose_cores()
    print(machine_line())
    with ExitStack() as stack:
        stub_port = stack.enter_context(stub_model(cores.load))
        ways = {BEFORE: {"PYTHONPATH": str(given.before)}, NOW: {}}
        gateways = {
            name: stack.enter_context(
                running_gateway(cores.measured, stub_port, None, settings=settings)
            )
            for name, settings in ways.items()
        }
        stack.enter_context(pinned(cores.load))
        for each in gateways.values():
            uvloop.run(Loop(each.port, gateway_request(each.key)).run(WARM_UP, 8, LIMIT_S))
        print("\n| at once | CPU a request, times before | median latency | requests/s | CPU ms |")
        print("|---|---|---|---|---|")
        fine = True
        for at_once in given.at_once:
            measured = {name: Measured(each) for name, each in gateways.items()}
            uvloop.run(run(measured, given.requests, at_once, given.rounds))
            fine = report(measured, at_once) and fine
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
