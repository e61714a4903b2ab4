"""The embedded model as a process of its own: llama.cpp's OpenAI-shaped server on loopback.

    python -m inwit.clients.embedded.model_server FILE ALIAS

Takes its API key from INWIT_CHILD_KEY, writes its address to standard output when it is ready,
and serves until it is told to stop.
"""

import os
import signal
import sys
import threading
from pathlib import Path

import xllamacpp

from inwit.clients.embedded.tether import tether

CONTEXT = 4096  # tokens for one conversation with its answer and review
_SLOTS = 2  # conversations worked on at once; others wait for a slot
_PROMPT_CACHE_MIB = 128


def main(file: Path, alias: str, api_key: str) -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    server = xllamacpp.Server(_parameters(file, alias, api_key))
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    stop.wait()


def _parameters(file: Path, alias: str, api_key: str) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.model_alias = {alias}
    parameters.api_keys = [api_key]
    parameters.port = 0
    parameters.n_parallel = _SLOTS
    parameters.n_ctx = CONTEXT * _SLOTS
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    parameters.cpuparams.n_threads = os.cpu_count() or 1
    parameters.ui = False
    parameters.endpoint_slots = False
    return parameters


if __name__ == "__main__":
    tether()
    main(Path(sys.argv[1]), sys.argv[2], os.environ["INWIT_CHILD_KEY"])
