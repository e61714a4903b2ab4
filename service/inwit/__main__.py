"""The command `inwit`, and `python -m inwit`."""

import gc
import os
import sys


def main() -> None:
    """Run a command.

    Nothing that is imported is garbage, and looking for it is a fifth of the time of a start.
    """
    if sys.argv[1:2] != ["serve"]:
        # The folder of what running gateways count is theirs. Read when prometheus-client is
        # imported (inwit.workers.METRICS_DIR).
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    gc.disable()
    from inwit.cli import main as run

    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    main()
