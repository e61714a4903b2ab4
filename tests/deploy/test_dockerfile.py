"""The Dockerfile, by reading it; `make image-test` builds it and runs what comes out."""

import re
import subprocess
import sys
from pathlib import Path

from tests.deploy.chart import ROOT, container, gateway, render

DOCKERFILE = (ROOT / "Dockerfile").read_text()
BUILD = (ROOT / "scripts" / "image" / "build.sh").read_text()


def test_hadolint_finds_nothing_to_say() -> None:
    command = Path(sys.executable).with_name("hadolint")
    found = subprocess.run(
        [str(command), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_every_base_is_the_one_that_can_be_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.M))
    assert set(bases) - stages == {"${PYTHON_IMAGE}", "scratch"}
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILE, re.M)
    assert base is not None
    assert base[1] in BUILD  # what the substitute is tagged as
    assert {"gateway", "embedded", "sbom"} <= stages
    assert DOCKERFILE.rstrip().endswith("FROM gateway")


def test_everything_that_is_installed_has_hashes_and_is_a_wheel() -> None:
    installs = re.findall(r"pip(?: --python \S+)? install ([^\n]*)", DOCKERFILE)
    assert len(installs) == 4
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install
    assert DOCKERFILE.count("only-binary :all:") + DOCKERFILE.count("ONLY_BINARY=:all:") == 2
    assert "http" not in re.sub(r"http\.client|HTTPConnection", "", DOCKERFILE)


def test_the_image_has_what_the_chart_can_switch_on() -> None:
    """A gateway that is told of a collector, and cannot send to it, does not start."""
    pins = (ROOT / "requirements" / "serve.txt").read_text()
    for wheel in ("pg8000", "opentelemetry-exporter-otlp-proto-grpc", "redis"):
        assert re.search(rf"^{wheel}==", pins, re.M), wheel


def test_only_what_is_named_goes_into_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
    sources = {source.split("/")[0] for line in copied for source in line.split()}
    assert sources == let_in


def test_the_chart_runs_it_as_the_user_it_names() -> None:
    pod = gateway(render())["securityContext"]
    for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.M):
        if users := re.findall(r"^USER (\S+)$", stage, re.M):
            assert users[-1] == f"{pod['runAsUser']}:{pod['runAsGroup']}"


def test_the_chart_knows_its_ports() -> None:
    exposed = re.search(r"^EXPOSE (.+)$", DOCKERFILE, re.M)
    assert exposed is not None
    ports = container(gateway(render()))["ports"]
    assert [int(port) for port in exposed[1].split()] == [each["containerPort"] for each in ports]


def test_there_is_no_shell_between_a_signal_and_the_gateway() -> None:
    assert re.search(r'^ENTRYPOINT \["/', DOCKERFILE, re.M)
    assert re.search(r'^    CMD \["/', DOCKERFILE, re.M)  # of HEALTHCHECK
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
