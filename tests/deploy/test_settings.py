"""What the chart and Compose tell a gateway, read by the gateway's own settings."""

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart

from inwit.auth import LOOK_UP_S
from inwit.config import Settings, load_settings
from inwit.doctor.surroundings import longest_s_of
from inwit.stopping import CLOSE_S
from tests.deploy.chart import CHART, NAMES, ROOT, configuration, container, gateway, rendered

# What Secrets would hold, by the names that the chart gives them.
SECRETS = {
    "INWIT_DATABASE_URL": "postgresql://inwit:secret@postgres/inwit",
    "INWIT_REDIS_URL": "rediss://:secret@redis:6379/0",
    "INWIT_CACHE_SECRET": "secret",
    "INWIT_LEDGER_KEY": "secret",
    "INWIT_CONTENT_KEY": "secret",
    "INWIT_MODEL_API_KEY": "secret",
    "INWIT_OIDC_CLIENT_SECRET": "secret",
    "INWIT_CLASSIFIERS": '{"guard": {"kind": "http", "url": "http://guard", "api_key": "secret"}}',
}


def read(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    """The settings that a process with this environment alone would have."""
    for name in [name for name in os.environ if name.startswith("INWIT_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def told(made: list[dict[str, Any]]) -> dict[str, str]:
    """The environment of the gateway that these objects make."""
    found = container(gateway(made))
    settings = found["envFrom"][0]["configMapRef"]["name"]
    environment: dict[str, str] = {}
    for item in made:
        if item["kind"] == "ConfigMap" and item["metadata"]["name"] == settings:
            environment |= item["data"]
    for variable in found["env"]:
        if variable["name"].startswith("INWIT_"):
            environment[variable["name"]] = SECRETS[variable["name"]]
    return environment


@pytest.mark.parametrize("name", NAMES)
def test_a_gateway_takes_what_the_chart_tells_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read(monkeypatch, told(rendered(configuration(name))))
    assert settings.database_url is not None
    assert settings.redis_url is not None
    assert settings.cache_secret is not None
    assert settings.ledger_key is not None
    assert settings.content_key is not None
    assert settings.operate_port == 9090
    assert settings.port == 8080
    assert settings.migrate is (name == "single")
    assert settings.shutdown_s >= longest_s_of(settings)


def test_the_chart_reckons_with_the_defaults_that_settings_have() -> None:
    checks = (CHART / "templates" / "_checks.tpl").read_text()
    for name in ("deadline_ms", "record_ms"):
        default = Settings.model_fields[name].default
        assert f"(default {default} .Values.settings.INWIT_{name.upper()})" in checks
    assert f"(add $deadline (mul 2 $record) {LOOK_UP_S * 1000:.0f})" in checks


def test_by_default_the_slowest_request_outlives_a_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, {})
    assert settings.shutdown_s >= longest_s_of(settings)
    assert any(
        f"`INWIT_SHUTDOWN_S` ({settings.shutdown_s}) and {CLOSE_S} seconds more" in line
        for line in (ROOT / "docs" / "life-cycle.md").read_text().splitlines()
    )


def test_what_is_set_arrives_as_it_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, told(rendered(configuration("production"))))
    assert settings.max_body_bytes == 4 * 2**20
    assert settings.rate_limits is not None
    assert settings.rate_limits.tenant.tokens == 2_000_000
    assert settings.oidc_roles["safety"] == "reviewer"
    assert settings.classifiers["guard"].kind == "guard_llm"
    assert settings.conscience_model == "main-conscience"
    assert str(settings.policy_dir) == "/etc/inwit/policies"
    with_keys = read(monkeypatch, told(rendered(configuration("keda"))))
    assert with_keys.classifiers["guard"].api_key is not None


@pytest.mark.parametrize("name", ["gateway", "migrate"])
def test_a_gateway_takes_what_compose_tells_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    given: dict[str, str] = services[name]["environment"]
    settings = read(monkeypatch, {key: value.replace("$", "") for key, value in given.items()})
    assert settings.database_url is not None
    assert settings.migrate is (name == "migrate")


def test_the_package_has_what_it_needs_and_no_values_of_tests(tmp_path: Path) -> None:
    with Chart.load(CHART) as chart:
        archive = chart.save(tmp_path)
    with tarfile.open(archive) as package:
        names = package.getnames()
    assert {"inwit/values.schema.json", "inwit/files/rules.yaml", "inwit/README.md"} <= set(names)
    assert [name for name in names if name.startswith("inwit/files/dashboards/")]
    assert not [name for name in names if name.startswith("inwit/ci/")]
