"""The child process of `reports.py`: rows as JSON in, the report as JSON out.

It runs for one report, so that a gateway's worker neither holds its memory nor waits for it.
"""

import os
import resource
import sys

from pydantic import TypeAdapter

from inwit.agreement.report import BOTH
from inwit.agreement.rows import Rows

_MEMORY = 2**30  # bytes of address space
_TIME_S = 60  # of the processor
_NICER = 10  # than the gateway beside it


def main() -> None:
    """Read, compute, write."""
    os.nice(_NICER)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_TIME_S, _TIME_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # After the limits, so that they hold for numpy too.
    from inwit.agreement.compute import compute

    rows = TypeAdapter(Rows).validate_json(sys.stdin.buffer.read())
    sys.stdout.buffer.write(BOTH.dump_json(compute(rows)))


if __name__ == "__main__":
    main()
