"""Holds a built image against its promises: what it declares, and how it runs.

Usage: check_image.py IMAGE.json ROOT [up]
(from `buildah inspect --type image`; where it is mounted; `up` for the target `embedded`)

The entrypoint is started as the image's own user, in its root mounted read-only, with /tmp and the
data folder as memory: what a Pod with `readOnlyRootFilesystem` has. Beside the target `gateway`
there is neither a model server nor Redis: it must come up alive, and not ready.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

LEAST_UID = 10_000
START_S = 120.0  # of a busy machine
STOP_S = 40.0
READY = {"serve": 503, "up": 200}
NOWHERE = "127.0.0.1:1"

# Mounts are of this process alone: they end with it.
RUN = """
set -eu
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
for folder in /tmp /var/lib/inwit; do
  mount -t tmpfs -o "mode=0700,uid=${OWNER%:*},gid=${OWNER#*:}" tmpfs "$ROOT$folder"
done
for folder in /dev /proc; do mount --rbind "$folder" "$ROOT$folder"; done
exec setpriv --no-new-privs chroot --userspec="$OWNER" --groups= "$ROOT" /usr/bin/env -i "$@"
"""


def declared(config: dict[str, Any], command: str) -> list[str]:
    """What is wrong with what the image says of itself."""
    wrong: list[str] = []

    def must(holds: bool, words: str) -> None:
        if not holds:
            wrong.append(words)

    user = str(config.get("User", ""))
    must(all(part.isdigit() and int(part) >= LEAST_UID for part in user.split(":")), "User")
    must(config.get("Entrypoint") == ["/opt/inwit/bin/inwit"], "Entrypoint")
    must(config.get("Cmd") == [command], "Cmd")
    must(config.get("StopSignal") == "SIGTERM", "StopSignal")
    must(set(config.get("Volumes") or ()) == {"/tmp", "/var/lib/inwit"}, "Volumes")  # noqa: S108
    must(set(config.get("ExposedPorts") or ()) == {"8080/tcp", "9090/tcp"}, "ExposedPorts")
    health: dict[str, Any] = config.get("Healthcheck") or {}
    must(health.get("Test", [""])[0] == "CMD", "Healthcheck")
    labels: dict[str, str] = config.get("Labels") or {}
    for name in ("title", "description", "licenses", "version", "revision", "base.name"):
        must(bool(labels.get(f"org.opencontainers.image.{name}")), f"label {name}")
    return wrong


class Container:
    """The image's entrypoint with its own environment, read-only, on free ports of loopback."""

    def __init__(self, config: dict[str, Any], root: Path) -> None:
        self.config, self.root = config, root
        self.port, self.operate_port = free_port(), free_port()
        self.environment = dict(line.split("=", 1) for line in config["Env"]) | {
            "INWIT_HOST": "127.0.0.1",
            "INWIT_PORT": str(self.port),
            "INWIT_OPERATE_PORT": str(self.operate_port),
        }
        if config["Cmd"] == ["serve"]:
            self.environment["INWIT_MODEL_URL"] = f"http://{NOWHERE}/v1"
            self.environment["INWIT_REDIS_URL"] = f"redis://{NOWHERE}/0"

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the image; the caller ends it."""
        given = [f"{name}={value}" for name, value in self.environment.items()]
        return subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", RUN, "run", *given, *command],
            env={"PATH": os.environ["PATH"], "ROOT": str(self.root), "OWNER": self.config["User"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command to its end: its exit code and what it printed."""
        process = self.start(*command)
        printed, _ = process.communicate(timeout=START_S)
        return process.returncode, printed


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def status(port: int, path: str) -> int:
    """The HTTP status of a path on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().status


def wait(process: subprocess.Popen[str], words: str, holds: Callable[[], bool]) -> None:
    """Until something holds of a process that runs."""
    until = time.monotonic() + START_S
    while not holds():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            fail(f"not so in {START_S:.0f} s: {words}: {process.communicate()[0]}")
        time.sleep(0.5)
    print(f"  {words}")


def check_running(container: Container) -> None:
    """Serve, be found healthy by the image's own check, and stop by the image's own signal."""
    health = container.config["Healthcheck"]["Test"][1:]
    entrypoint = [*container.config["Entrypoint"], *container.config["Cmd"]]
    process = container.start(*entrypoint)
    try:
        wait(process, "healthy, by its own HEALTHCHECK", lambda: container.run(*health)[0] == 0)
        wanted = READY[container.config["Cmd"][0]]
        for path in ("/startupz", "/readyz"):
            ask = partial(status, container.operate_port, path)
            wait(process, f"{path} answers {wanted}", lambda ask=ask: ask() == wanted)
        process.send_signal(getattr(signal, container.config["StopSignal"]))
        printed, _ = process.communicate(timeout=STOP_S)
    finally:
        process.kill()
    if process.returncode != 0:
        fail(f"SIGTERM ended it with {process.returncode}: {printed}")
    print("  SIGTERM ended it with 0")


def check_commands(container: Container) -> None:
    """The version is told, nothing but the volumes can be written, and no installer is left."""
    inwit = container.config["Entrypoint"][0]
    code, printed = container.run(inwit, "version")
    if code != 0:
        fail(f"`inwit version` ended with {code}: {printed}")
    print(f"  version {printed.strip()}")
    write = "import pathlib, sys; pathlib.Path(sys.argv[1], 'probe').write_text('x')"
    python = str(Path(inwit).with_name("python"))
    for folder, allowed in (("/tmp", True), ("/var/lib/inwit", True), ("/opt/inwit", False)):  # noqa: S108
        code, _ = container.run(python, "-c", write, folder)
        if (code == 0) is not allowed:
            fail(f"{folder} is {'' if code == 0 else 'not '}writable")
    for module in ("pip", "hatchling"):
        if container.run(python, "-c", f"import {module}")[0] == 0:
            fail(f"{module} was left in the image")
    print("  read-only but for its volumes, and no installer in it")


def fail(words: str) -> None:
    """End, and say why."""
    sys.exit(f"image: {words}")


def main(described: str, root: str, command: str = "serve") -> None:
    """Check the image that `described` tells of, mounted at `root`."""
    config = json.loads(Path(described).read_text())["Docker"]["config"]
    if wrong := declared(config, command):
        fail(f"not as promised: {', '.join(wrong)}")
    print(f"  user {config['User']}, entrypoint {config['Entrypoint']}, {config['StopSignal']}")
    container = Container(config, Path(root))
    check_commands(container)
    check_running(container)


if __name__ == "__main__":
    main(*sys.argv[1:])
