"""`inwit up` for real: its own process, Valkey, llama.cpp and SQLite."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.process.processes import STOP_S, entries_of, inwit, run_inwit

pytestmark = pytest.mark.process

ANSWER_S = 240.0  # a slow machine under load writes a few tokens a second


def test_the_printed_curl_line_gives_a_reviewed_and_recorded_answer(tmp_path: Path) -> None:
    """The whole promise of the README, and that a second start finds its data again."""
    with inwit("up", tmp_path) as first:
        curl = first.wait_for("curl ")
        pasted = subprocess.run(  # noqa: S602  # pasted into a shell is what the README says
            curl,
            shell=True,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=True,
        )
        assert first.stop() == 0
    answer = json.loads(pasted.stdout)

    assert answer["status"] in ("released", "blocked")
    assert 0 <= answer["review"]["risk"] <= 1
    assert answer["review"]["label_mass"] > 0
    assert answer["review"]["judge"] == "judged"
    assert answer["timings_ms"]["judge"] > 0
    shown = entries_of(answer["id"], tmp_path)[-1]
    assert shown["hash"] == answer["receipt"]["hash"]
    assert run_inwit("ledger verify", tmp_path).returncode == 0

    with inwit("up", tmp_path) as second:
        again = second.wait_for("curl ")
        key = curl.split("Bearer ")[1].split("'")[0]
        assert key in again
        address = again.split()[2].removesuffix("/v1/respond")
        ready = httpx.get(f"{address}/readyz", timeout=STOP_S).json()
        assert ready["status"] == "ready"
    assert run_inwit(f"ledger show {answer['id']}", tmp_path).returncode == 0


ENDS: dict[str, Callable[[int], None]] = {
    "Ctrl-C": lambda pid: os.kill(pid, signal.SIGINT),
    "SIGTERM": lambda pid: os.kill(pid, signal.SIGTERM),
    "kill -9": lambda pid: os.kill(pid, signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS)
def test_however_it_ends_no_child_stays_behind(tmp_path: Path, end: str) -> None:
    with inwit("up", tmp_path) as running:
        running.wait_for("curl ")
        children = [os.pidfd_open(pid) for pid in running.children()]
        assert len(children) == 2  # Valkey and the model

        ENDS[end](running.process.pid)

        code = running.process.wait(timeout=STOP_S)
        assert code == (-signal.SIGKILL if end == "kill -9" else 0)
        for child in children:
            _wait_until_gone(child)


def _wait_until_gone(pidfd: int) -> None:
    import select

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)  # readable once the process has ended
    assert poller.poll(STOP_S * 1000), "a child is still there"
    os.close(pidfd)


def test_a_busy_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_inwit("up", tmp_path, {"INWIT_PORT": str(port)})

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"inwit: Cannot listen on 127.0.0.1:{port}")
    assert "INWIT_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_two_on_one_folder_is_one_clear_sentence(tmp_path: Path) -> None:
    with inwit("up", tmp_path) as first:
        first.wait_for("curl ")
        ended = run_inwit("up", tmp_path)

    assert ended.returncode == 2
    assert "Another Inwit is running" in ended.stderr


def test_a_model_file_that_does_not_load_is_one_clear_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"not a model")

    missing = run_inwit("up", tmp_path, {"INWIT_EMBEDDED_MODEL_FILE": "/nonexistent.gguf"})
    broken = run_inwit("up", tmp_path, {"INWIT_EMBEDDED_MODEL_FILE": str(bad)})

    assert (missing.returncode, broken.returncode) == (2, 2)
    assert "INWIT_EMBEDDED_MODEL_FILE" in missing.stderr
    assert "did not load" in broken.stderr
    assert "Traceback" not in missing.stderr + broken.stderr
