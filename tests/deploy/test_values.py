"""The values: what is refused and with which words, and that everything is documented."""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
import yaml
from helm_python import HelmError
from pydantic import SecretStr
from scripts.render_chart import documented, rendered

from inwit.config import Settings
from tests.deploy.chart import CHART, LEAST, VLLM, over, render

VALUES = (CHART / "values.yaml").read_text()
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())

# Settings that the chart writes itself, or that make no sense in a cluster.
CHARTS_OWN = {
    *("host", "port", "operate_port", "shutdown_s", "migrate", "data_dir"),
    *("ledger_key_file", "content_key_file"),
    *("model_url", "model", "conscience_model", "policy_dir", "calibration_dir"),
    *("embedded_redis", "embedded_model", "embedded_model_file", "embedded_conscience"),
}

# Each is refused by the schema, which names the place (or the name, where it is the name).
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("'replicaCount' not allowed", {"replicaCount": 3}),
    ("/replicas", {"replicas": "two"}),
    ("/replicas", {"replicas": -1}),
    ("/image/tag", {"image": {"tag": "latest"}}),
    ("/image/digest", {"image": {"digest": "abc"}}),
    ("/image/pullPolicy", {"image": {"pullPolicy": "Sometimes"}}),
    ("/settings", {"settings": {"INWIT_MAX_TOKEN": 5}}),
    ("/settings", {"settings": {"INWIT_DATABASE_URL": "postgresql://a:b@c/d"}}),
    ("/settings", {"settings": {"INWIT_OPERATE_PORT": 1}}),
    (
        "/settings/INWIT_CLASSIFIERS",
        {
            "settings": {
                "INWIT_CLASSIFIERS": {"a": {"kind": "http", "url": "http://x", "api_key": "k"}}
            }
        },
    ),
    ("/database", {"database": {"url": "postgresql://a:b@c/d"}}),
    ("/redis", {"redis": {"password": "x"}}),
    ("/model/url", {"model": {"url": "http://user:secret@vllm:8000/v1"}}),
    ("/model/url", {"model": {"url": "vllm:8000"}}),
    ("propertyName 'default.txt'", {"policies": {"default.txt": "a"}}),
    ("propertyName '../default.yaml'", {"policies": {"../default.yaml": "a"}}),
    ("/shutdown/drainSeconds", {"shutdown": {"drainSeconds": 0}}),
    ("/shutdown", {"shutdown": {"terminationGracePeriodSeconds": 30}}),
    ("/otlp/share", {"otlp": {"share": "10 %"}}),
    ("/otlp/share", {"otlp": {"share": 0.1}}),
    ("/probes/periodSeconds", {"probes": {"periodSeconds": 0}}),
    ("/resources", {"resources": {"limit": {}}}),
    ("/tmpSize", {"tmpSize": "64M"}),  # noqa: S108  # a value's name
    ("/topologySpread/whenUnsatisfiable", {"topologySpread": {"whenUnsatisfiable": "Never"}}),
    (
        "propertyName 'app.kubernetes.io/name'",
        {"commonLabels": {"app.kubernetes.io/name": "other"}},
    ),
    ("/podLabels/a", {"podLabels": {"a": 1}}),
    ("/extraEnv/0", {"extraEnv": [{"value": "x"}]}),
    ("/service/type", {"service": {"type": "ExternalName"}}),
    ("/service/port", {"service": {"port": 70000}}),
    ("/ingress", {"ingress": {"path": "/metrics"}}),
    ("/ingress/hosts/0", {"ingress": {"hosts": ["https://a.example.com"]}}),
    ("/httpRoute/parentRefs/0", {"httpRoute": {"parentRefs": [{"namespace": "x"}]}}),
    ("/httpRoute/requestTimeout", {"httpRoute": {"requestTimeout": "90"}}),
    ("/podDisruptionBudget", {"podDisruptionBudget": {"minAvailable": 1}}),
    ("/podDisruptionBudget/maxUnavailable", {"podDisruptionBudget": {"maxUnavailable": "101%"}}),
    ("/autoscaling/hpa/targetCPU", {"autoscaling": {"hpa": {"targetCPU": 200}}}),
    ("/autoscaling/keda/minReplicas", {"autoscaling": {"keda": {"minReplicas": 0}}}),
    ("/networkPolicy/database/to", {"networkPolicy": {"database": {"to": []}}}),
    ("/networkPolicy/extra/0", {"networkPolicy": {"extra": [{"ports": [443]}]}}),
    ("/networkPolicy/api/0", {"networkPolicy": {"api": [{}]}}),
    ("/networkPolicy/api/0", {"networkPolicy": {"api": [{"podSelctor": {}}]}}),
    ("/serviceMonitor/interval", {"serviceMonitor": {"interval": "often"}}),
    ("/vllm/gpuMemoryUtilization", {"vllm": {"gpuMemoryUtilization": 1.5}}),
    ("/vllm/extraArgs/0", {"vllm": {"extraArgs": ["enable-lora"]}}),
]

# Each is well-formed, and does not fit together: a template refuses it, and says what to do.
UNFIT: list[tuple[str, dict[str, Any]]] = [
    ("image.repository is empty", {"image": {"repository": ""}}),
    ("database.existingSecret is empty", {"database": {"existingSecret": ""}}),
    ("redis.existingSecret is empty", {"redis": {"existingSecret": ""}}),
    ("cache.existingSecret is empty", {"cache": {"existingSecret": ""}}),
    ("signing.existingSecret is empty", {"signing": {"existingSecret": ""}}),
    ("content.existingSecret is empty", {"content": {"existingSecret": ""}}),
    ("model.url is empty", {"model": {"url": ""}}),
    ("model.url and vllm.enabled are both set", over(VLLM, {"model": {"url": "http://x/v1"}})),
    ("vllm.model is empty", over(VLLM, {"vllm": {"model": ""}})),
    ("vLLM is not run without a key", over(VLLM, {"model": {"existingSecret": ""}})),
    (
        "hpa has nothing to scale by",
        {"autoscaling": {"hpa": {"enabled": True, "targetInFlight": 0}}},
    ),
    ("hpa.maxReplicas is below", {"autoscaling": {"hpa": {"enabled": True, "maxReplicas": 1}}}),
    ("keda.prometheus is empty", {"autoscaling": {"keda": {"enabled": True}}}),
    ("a rollout would cut answers off", {"shutdown": {"drainSeconds": 30}}),
    ("a rollout would cut answers off", {"shutdown": {"drainSeconds": 74}}),
    ("a rollout would cut answers off", {"settings": {"INWIT_DEADLINE_MS": 65_001}}),
    ("a rollout would cut answers off", {"settings": {"INWIT_RECORD_MS": 7_501}}),
    ("policies come from one place", {"policies": {"a.yaml": "a"}, "existingPolicies": "b"}),
    (
        "classifiers come from one place",
        {
            "classifiers": {"existingSecret": "b"},
            "settings": {"INWIT_CLASSIFIERS": {"a": {"kind": "http", "url": "http://x"}}},
        },
    ),
    ("parentRefs is empty", {"httpRoute": {"enabled": True}}),
    ("hosts is empty", {"ingress": {"enabled": True}}),
]


@pytest.mark.parametrize(("place", "values"), REFUSED, ids=lambda given: str(given)[:60])
def test_a_bad_value_is_refused_by_its_place(place: str, values: dict[str, Any]) -> None:
    with pytest.raises(HelmError) as refused:
        render(values)
    assert (f"'{place}" if place.startswith("/") else place) in str(refused.value)


@pytest.mark.parametrize(("words", "values"), UNFIT, ids=lambda given: str(given)[:60])
def test_values_that_do_not_fit_are_refused_with_the_remedy(
    words: str, values: dict[str, Any]
) -> None:
    with pytest.raises(HelmError) as refused:
        render(values)
    assert words in str(refused.value)


def test_what_is_refused_is_refused_for_that_reason_alone() -> None:
    assert render()
    assert render({"shutdown": {"drainSeconds": 75}})
    assert render({"settings": {"INWIT_DEADLINE_MS": 65_000}})
    assert render({"settings": {"INWIT_RECORD_MS": 7_500}})
    assert render(VLLM)


def _closed(node: Any, path: str = "") -> Iterator[str]:
    """Every object of the schema with named properties that lets other names through."""
    if isinstance(node, dict):
        given = cast("dict[str, Any]", node)
        named = isinstance(given.get("properties"), dict) and given.get("type") == "object"
        if named and given.get("additionalProperties") is not False:
            yield path
        for name, below in given.items():
            yield from _closed(below, f"{path}/{name}")
    elif isinstance(node, list):
        for index, below in enumerate(cast("list[Any]", node)):
            yield from _closed(below, f"{path}/{index}")


def test_the_schema_is_closed() -> None:
    assert list(_closed(SCHEMA)) == []


def _names(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> None:
    named: dict[str, Any] = schema["properties"]
    assert set(values) == set(named) - {"global"}, path
    for name, value in values.items():
        if isinstance(value, dict) and "properties" in named[name] and name != "settings":
            _names(cast("dict[str, Any]", value), named[name], f"{path}.{name}")


def test_the_schema_and_the_values_have_the_same_names() -> None:
    _names(yaml.safe_load(VALUES), SCHEMA)


def test_every_setting_can_be_set_and_no_secret_one() -> None:
    """Add a new setting to `settings` in values.schema.json, or to CHARTS_OWN above."""
    secret = {name for name, field in Settings.model_fields.items() if _is_secret(field.annotation)}
    wanted = set(Settings.model_fields) - CHARTS_OWN - secret
    there = set(SCHEMA["properties"]["settings"]["properties"])
    assert there == {f"INWIT_{name.upper()}" for name in wanted}


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in getattr(annotation, "__args__", ())


def test_the_readme_has_every_value() -> None:
    readme = (CHART / "README.md").read_text()
    assert readme == rendered(readme, VALUES), "run `make docs`"
    assert len(list(documented(VALUES))) > 100


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)[^)]*\)", (CHART / "README.md").read_text()):
        assert (CHART / target).exists(), target


def test_a_value_without_a_comment_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"a\.b has no comment above it"):
        list(documented("a:\n  b: 1\n"))


def test_no_default_is_a_secret() -> None:
    for value in documented(VALUES):
        if value.path.endswith("existingSecret"):
            assert value.default == ""
        assert "password" not in value.path.lower()
    assert LEAST.keys() <= yaml.safe_load(VALUES).keys()
