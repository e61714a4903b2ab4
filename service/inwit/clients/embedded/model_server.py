"""The embedded model as a process of its own: llama.cpp's OpenAI-shaped server on loopback.

    python -m inwit.clients.embedded.model_server FILE ALIAS [ADAPTER]

Takes its API key from INWIT_CHILD_KEY, writes its address to standard output when it is ready,
and serves until it is told to stop.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

import xllamacpp

from inwit.clients.embedded.tether import tether

CONTEXT = 4096  # tokens for one conversation with its answer and review
_SLOTS = 2  # conversations worked on at once; others wait for a slot
_PROMPT_CACHE_MIB = 128


def main(file: Path, alias: str, api_key: str, adapter: Path | None = None) -> None:
    """Serve until SIGTERM. The adapter works only in requests that ask for it."""
    # Before there are other threads, which inherit it: one that took the signal would not wake us.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    parameters = _parameters(file, alias, api_key)
    if adapter is not None:
        _load_adapter(parameters, adapter)
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM})


def _load_adapter(parameters: Any, adapter: Path) -> None:
    """At scale 0: what asks for nothing gets the base weights. Not in xllamacpp's type stubs."""
    loaded = cast("Any", xllamacpp).CommonAdapterLoraInfo()
    loaded.path, loaded.scale = str(adapter), 0.0
    parameters.lora_adapters = [loaded]


def _parameters(file: Path, alias: str, api_key: str) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.model_alias = {alias}
    parameters.api_keys = [api_key]
    parameters.port = 0
    parameters.n_parallel = _SLOTS
    parameters.n_ctx = CONTEXT * _SLOTS
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    cores = os.cpu_count() or 1
    # One is left to the gateway and to whatever else runs: threads that wait for each other at each
    # token write, on a busy machine, up to three hundred times slower than one alone does. To read
    # a prompt they seldom wait.
    parameters.cpuparams.n_threads = max(1, cores - 1)
    cast("Any", parameters).cpuparams_batch.n_threads = cores  # not in xllamacpp's type stubs
    parameters.ui = False
    parameters.endpoint_slots = False
    return parameters


if __name__ == "__main__":
    tether()
    given = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    main(Path(sys.argv[1]), sys.argv[2], os.environ["INWIT_CHILD_KEY"], given)
