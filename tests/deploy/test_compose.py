"""deploy/compose.yaml: valid, closed, and with no password that nobody chose."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from inwit.config import load_settings
from inwit.doctor.surroundings import longest_s_of
from inwit.stopping import CLOSE_S
from tests.deploy.chart import ROOT

DEPLOY = ROOT / "deploy"
FILE = DEPLOY / "compose.yaml"
TEXT = FILE.read_text()
COMPOSE = cast("dict[str, Any]", yaml.safe_load(TEXT))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Their images have no program that could ask.
CANNOT_ASK = {"otel-collector", "jaeger"}
ENDS = {"migrate"}
SECRETS = (
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "VLLM_API_KEY",
    "INWIT_CACHE_SECRET",
    "INWIT_CONTENT_KEY",
    "INWIT_LEDGER_KEY",
)


def test_it_is_a_compose_file() -> None:
    command = Path(sys.executable).with_name("check-jsonschema")
    found = subprocess.run(
        [str(command), "--builtin-schema", "vendor.compose-spec", str(FILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & service.keys()
    assert "docker.sock" not in str(service)
    limits = service["deploy"]["resources"]["limits"]
    assert {"memory", "pids"} <= limits.keys()
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_looked_at(name: str) -> None:
    service = SERVICES[name]
    if name == "gateway":
        assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    elif name in ENDS:
        assert service["healthcheck"] == {"disable": True}
        assert service["restart"] == "no"
    elif name not in CANNOT_ASK:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_nothing_listens_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)
    assert "9090" not in str(SERVICES["gateway"]["ports"])
    for name in ("redis", "postgres", "vllm-gpu", "vllm-cpu"):
        assert "ports" not in SERVICES[name]
    for name in ("data", "telemetry"):
        assert COMPOSE["networks"][name] == {"internal": True}


def test_every_secret_must_be_given() -> None:
    for name in (*SECRETS, "GRAFANA_PASSWORD", "MODEL"):
        uses = re.findall(rf"\$\{{{name}(\W[^}}]*)\}}", TEXT)
        assert uses, name
        assert all(use.startswith(":?") for use in uses), name
    # In no other form: a default that nobody chose is a password that everybody knows.
    said = re.sub(r"#.*", "", TEXT)
    assert not re.search(r"(?i)(password|secret|key|token)[^\n]*:-", said)
    assert not re.search(r"(?i)(password|secret|api_key)\S*: +[^$\s{\[]", said)


def test_no_password_stands_on_a_command_line() -> None:
    for name, service in SERVICES.items():
        command = str(service.get("command", ""))
        assert "PASSWORD" not in command, name
        assert "API_KEY" not in command, name


def test_the_readme_makes_every_secret() -> None:
    readme = (DEPLOY / "README.md").read_text()
    for name in (*SECRETS, "GRAFANA_PASSWORD"):
        assert name in readme


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_version_and_can_be_pinned(name: str) -> None:
    found = re.fullmatch(r"\$\{(\w+_IMAGE):-([\w./-]+):([\w.-]+)\}", SERVICES[name]["image"])
    assert found is not None
    assert found[3] != "latest"
    assert re.search(r"\d", found[3])


def test_the_gateway_waits_for_what_it_needs_and_can_finish() -> None:
    gateway = SERVICES["gateway"]
    waits = {name: each["condition"] for name, each in gateway["depends_on"].items()}
    assert waits["migrate"] == "service_completed_successfully"
    assert waits["postgres"] == waits["redis"] == "service_healthy"
    assert SERVICES["migrate"]["command"] == ["ledger", "migrate"]
    drain = int(gateway["environment"]["INWIT_SHUTDOWN_S"])
    settings = load_settings()
    assert drain >= longest_s_of(settings)
    grace = _seconds(gateway["stop_grace_period"])
    assert grace >= drain + CLOSE_S
    assert f"{drain} s of drain inside {grace} s of grace" in (DEPLOY / "README.md").read_text()


def _seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


@pytest.mark.parametrize("name", ["vllm-gpu", "vllm-cpu"])
def test_vllm_is_served_as_deploy_serves_it(name: str) -> None:
    service = SERVICES[name]
    assert service["profiles"] == [name.removeprefix("vllm-")]
    assert service["networks"]["model"]["aliases"] == ["vllm"]
    given = dict(each.split("=", 1) for each in service["command"][1:] if "=" in each)
    flags = {*given, *service["command"]}
    script = (DEPLOY / "vllm" / "serve.sh").read_text()
    always = re.findall(r"^  (--[a-z-]+)", script.partition("flags=(")[2].partition("\n)")[0], re.M)
    of_gpus = {"--gpu-memory-utilization", "--tensor-parallel-size"}
    left_out = of_gpus if "cpu" in name else set[str]()
    assert set(always) - left_out <= flags
    drain = int(given["--shutdown-timeout"])
    assert drain >= int(SERVICES["gateway"]["environment"]["INWIT_SHUTDOWN_S"])
    assert _seconds(service["stop_grace_period"]) > drain


def _joined(service: dict[str, Any]) -> dict[str, list[str]]:
    """The networks of a service, each with the other names that it has there."""
    given = service["networks"]
    if isinstance(given, list):
        return {str(name): [] for name in cast("list[str]", given)}
    named = cast("dict[str, dict[str, list[str]]]", given)
    return {name: how.get("aliases", []) for name, how in named.items()}


def _networks(asked: str) -> list[set[str]]:
    """For each service that may have this name: the networks on which it does."""
    known = [
        {network for network, aliases in _joined(service).items() if asked in (name, *aliases)}
        for name, service in SERVICES.items()
    ]
    return [networks for networks in known if networks]


def _asked() -> list[tuple[str, str]]:
    """Who asks whom by name: Prometheus its targets, the others what their environment names."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    targets = [
        target.partition(":")[0]
        for job in config["scrape_configs"]
        for target in job["static_configs"][0]["targets"]
    ]
    named = [
        (name, host)
        for name in ("gateway", "migrate", "otel-collector")
        for value in SERVICES[name]["environment"].values()
        for host in re.findall(r"(?:@|://|:-)([a-z][a-z-]*):\d+", str(value))
    ]
    return [*(("prometheus", host) for host in targets if host != "127.0.0.1"), *named]


@pytest.mark.parametrize(("who", "host"), sorted(set(_asked())))
def test_a_name_that_is_asked_for_is_known_where_it_is_asked(who: str, host: str) -> None:
    """An alias is known on the networks that have it, and the asker must be on one of them."""
    own = _joined(SERVICES[who]).keys()
    there = _networks(host)
    assert there, f"no service is called {host}"
    for networks in there:
        assert own & networks, f"{who} cannot resolve {host}: it is known on {networks} alone"


def test_redis_keeps_what_it_is_given_and_refuses_when_full() -> None:
    lines = (DEPLOY / "redis" / "redis.conf").read_text().splitlines()
    told = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    assert told["appendonly"] == "yes"
    assert told["maxmemory-policy"] == "noeviction"
    assert told["protected-mode"] == "yes"
    most = SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"]
    assert int(told["maxmemory"].removesuffix("mb")) < int(most.removesuffix("M"))
    assert "requirepass" not in told


def test_every_file_that_is_mounted_is_there() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = str(volume).partition(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), f"{name}: {source}"
                assert str(volume).endswith(":ro"), f"{name}: {volume}"


def test_grafana_is_provisioned_from_here() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "inwit.yaml").read_text())
    for source in sources["datasources"]:
        host = source["url"].removeprefix("http://").partition(":")[0]
        assert host in SERVICES
        assert source["editable"] is False
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "inwit.yaml").read_text())[
        "providers"
    ]
    mounts = [str(volume).split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounts
