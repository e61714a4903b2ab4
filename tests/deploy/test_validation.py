"""The rendered chart against other people's definitions: Kubernetes, the operators, checkov.

`make operate-test` makes what these need beside the development environment.
"""

import json
import subprocess
from pathlib import Path
from typing import Any, cast

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]  # has none
import pytest
import yaml

from tests.deploy.chart import NAMES, ROOT, configuration, rendered

# The chart needs 1.31; these are its ends and one between.
VERSIONS = ("1.31", "1.34", "1.37")
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute"}
CUSTOM_CHECK = ROOT / ".cache" / "custom-resources" / "check.mjs"
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"

# Each finding of checkov that is not heeded, and why.
NOT_HEEDED = {
    "CKV_K8S_11": "no CPU limit: throttling shows as latency; the request holds the share",
    "CKV_K8S_15": "an image is a version or a digest, so one that is there is the right one",
    "CKV_K8S_35": "Inwit reads its settings, secrets too, from the environment alone",
    "CKV_K8S_43": "the digest is the installer's (`image.digest`); there is no registry of ours",
    "CKV_DOCKER_7": "the last FROM names a stage, and stages have no tags",
}
# The same, for one kind of object alone.
NOT_HEEDED_OF = {
    ("CKV_K8S_8", "Pod"): "`inwit doctor` runs once, to its end: there is nothing to probe",
    ("CKV_K8S_9", "Pod"): "the same",
    ("CKV_K8S_21", "ConfigMap"): "extraObjects are the installer's; all others have the namespace",
}

pytestmark = pytest.mark.operate


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_takes_it(name: str, version: str) -> None:
    for item in rendered(configuration(name)):
        if item["kind"] not in CUSTOM:
            kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_misspelt_field_would_be_found(version: str) -> None:
    deployment = next(
        item for item in rendered(configuration("minimal")) if item["kind"] == "Deployment"
    )
    wrong = cast("dict[str, Any]", json.loads(json.dumps(deployment)))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def _check_custom(objects: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    if not CUSTOM_CHECK.exists():
        pytest.fail("no definitions of custom resources: `make operate-test` installs them")
    return subprocess.run(
        ["node", str(CUSTOM_CHECK)],
        input=json.dumps(objects),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_operators_take_their_resources() -> None:
    made = [item for name in NAMES for item in rendered(configuration(name))]
    custom = [item for item in made if item["kind"] in CUSTOM]
    assert {item["kind"] for item in custom} == CUSTOM
    found = _check_custom(custom)
    assert found.returncode == 0, found.stderr


def test_a_wrong_resource_would_be_found() -> None:
    wrong: list[dict[str, Any]] = [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": {"name": "x"},
            "spec": {"selector": {}, "endpoints": [{"port": "http", "interval": "often"}]},
        },
        {"apiVersion": "v1", "kind": "Unknown", "metadata": {"name": "y"}},
    ]
    found = _check_custom(wrong)
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == len(wrong)


def _checkov(folder: Path, framework: str) -> list[str]:
    """What checkov finds in a folder, but for what is not heeded."""
    if not CHECKOV.exists():
        pytest.fail("no checkov: `make operate-test` installs it")
    found = subprocess.run(
        [
            *(str(CHECKOV), "--directory", str(folder), "--framework", framework),
            *("--compact", "--quiet", "--skip-download", "--output", "json"),
            *("--skip-check", ",".join(NOT_HEEDED)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(found.stdout)
    assert report["summary"]["passed"] > 20, found.stdout
    assert report["summary"]["parsing_errors"] == 0
    return [
        f"{each['check_id']} {each['check_name']}: {each['file_path']} {each['resource']}"
        for each in report["results"]["failed_checks"]
        if (each["check_id"], each["resource"].partition(".")[0]) not in NOT_HEEDED_OF
    ]


def test_a_loose_pod_would_be_found(tmp_path: Path) -> None:
    pod = next(item for item in rendered(configuration("minimal")) if item["kind"] == "Pod")
    loose = cast("dict[str, Any]", json.loads(json.dumps(pod)))
    del loose["spec"]["containers"][0]["securityContext"]
    (tmp_path / "loose.yaml").write_text(yaml.safe_dump(loose))
    found = " ".join(_checkov(tmp_path, "kubernetes"))
    assert "CKV_K8S_20" in found  # allowPrivilegeEscalation
    assert "CKV_K8S_22" in found  # read-only root


def test_checkov_has_nothing_more_to_say(tmp_path: Path) -> None:
    for name in NAMES:
        made = yaml.safe_dump_all(rendered(configuration(name)))
        (tmp_path / f"{name}.yaml").write_text(made)
    assert _checkov(tmp_path, "kubernetes") == []


def test_checkov_has_nothing_to_say_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_bytes((ROOT / "Dockerfile").read_bytes())
    assert _checkov(tmp_path, "dockerfile") == []
