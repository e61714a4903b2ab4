"""The chart as a whole: what is made when, and how its objects are named."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import chart as helm

from tests.deploy.chart import (
    CHART,
    LEAST,
    NAMES,
    ROOT,
    VLLM,
    configuration,
    container,
    gateway,
    kind,
    manifests,
    notes,
    one,
    over,
    render,
    rendered,
)

ALWAYS = {
    "configmap.yaml": {"ConfigMap"},
    "deployment.yaml": {"Deployment"},
    "service.yaml": {"Service"},
    "serviceaccount.yaml": {"ServiceAccount"},
    "migrate.yaml": {"NetworkPolicy", "Job"},
    "poddisruptionbudget.yaml": {"PodDisruptionBudget"},
    "networkpolicy.yaml": {"NetworkPolicy"},
    "tests/doctor.yaml": {"Pod"},
}
# Templates that make nothing of the least values, with what turns each on.
ON_DEMAND: dict[str, tuple[dict[str, Any], set[str]]] = {
    "policies.yaml": ({"policies": {"default.yaml": "name: default"}}, {"ConfigMap"}),
    "calibrations.yaml": ({"calibrations": {"main.json": "{}"}}, {"ConfigMap"}),
    "horizontalpodautoscaler.yaml": (
        {"autoscaling": {"hpa": {"enabled": True}}},
        {"HorizontalPodAutoscaler"},
    ),
    "scaledobject.yaml": (
        {"autoscaling": {"keda": {"enabled": True, "prometheus": "http://prometheus:9090"}}},
        {"ScaledObject"},
    ),
    "ingress.yaml": ({"ingress": {"enabled": True, "hosts": ["a.example.com"]}}, {"Ingress"}),
    "httproute.yaml": (
        {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
        {"HTTPRoute"},
    ),
    "servicemonitor.yaml": ({"serviceMonitor": {"enabled": True}}, {"ServiceMonitor"}),
    "prometheusrule.yaml": ({"prometheusRule": {"enabled": True}}, {"PrometheusRule"}),
    "dashboards.yaml": ({"dashboards": {"enabled": True}}, {"ConfigMap"}),
    "extraobjects.yaml": (
        {"extraObjects": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}]},
        {"Secret"},
    ),
    "vllm/deployment.yaml": (VLLM, {"Deployment"}),
    "vllm/service.yaml": (VLLM, {"Service"}),
    "vllm/networkpolicy.yaml": (VLLM, {"NetworkPolicy"}),
    "vllm/servicemonitor.yaml": (
        over(VLLM, {"serviceMonitor": {"enabled": True}}),
        {"ServiceMonitor"},
    ),
}
OFF: dict[str, dict[str, Any]] = {
    "serviceaccount.yaml": {"serviceAccount": {"create": False}},
    "migrate.yaml": {"migrations": {"enabled": False}},
    "poddisruptionbudget.yaml": {"podDisruptionBudget": {"enabled": False}},
    "networkpolicy.yaml": {"networkPolicy": {"enabled": False}},
    "tests/doctor.yaml": {"tests": {"enabled": False}},
}


def kinds(values: dict[str, Any], template: str) -> set[str]:
    """The kinds that one template makes."""
    text = manifests(over(LEAST, values)).get(f"inwit/templates/{template}", "")
    return {item["kind"] for item in yaml.safe_load_all(text) if item}


@pytest.mark.parametrize("name", NAMES)
def test_helm_finds_nothing_to_say(name: str) -> None:
    found = helm.lint(CHART, values=configuration(name), strict=True)
    assert not [message for message in found["messages"] if message["severity"] >= 2], found


def test_the_defaults_lint_too() -> None:
    found = helm.lint(CHART, strict=True)
    assert not [message for message in found["messages"] if message["severity"] >= 2], found


@pytest.mark.parametrize("template", ALWAYS)
def test_a_template_makes_its_kinds(template: str) -> None:
    assert kinds({}, template) == ALWAYS[template]


@pytest.mark.parametrize("template", ON_DEMAND)
def test_a_template_makes_nothing_unless_asked(template: str) -> None:
    values, made = ON_DEMAND[template]
    assert kinds({}, template) == set()
    assert kinds(values, template) == made


@pytest.mark.parametrize("template", OFF)
def test_a_template_can_be_switched_off(template: str) -> None:
    assert kinds(OFF[template], template) == set()


def test_every_template_is_among_these() -> None:
    templates = CHART / "templates"
    there = {str(file.relative_to(templates)) for file in templates.rglob("*.yaml")}
    assert there == {*ALWAYS, *ON_DEMAND}


@pytest.mark.parametrize("name", NAMES)
def test_every_object_says_whose_it_is(name: str) -> None:
    made = rendered(configuration(name))
    beside = {"beside", "rel-inwit-beside"}
    for item in made:
        if item["metadata"]["name"] in beside:
            continue
        labels = item["metadata"]["labels"]
        assert item["metadata"]["namespace"] == "prod", item["metadata"]["name"]
        assert labels["app.kubernetes.io/instance"] == "rel"
        assert labels["app.kubernetes.io/version"] == "0.1.0"
    names = [(item["kind"], item["metadata"]["name"]) for item in made]
    assert len(names) == len(set(names))


def test_labels_of_ones_own_are_on_everything() -> None:
    for item in render({"commonLabels": {"team": "safety"}}):
        assert item["metadata"]["labels"]["team"] == "safety"


def test_the_selector_does_not_change_with_labels_or_version() -> None:
    deployment = one(render({"commonLabels": {"a": "b"}, "podLabels": {"c": "d"}}), "Deployment")
    assert deployment["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "inwit",
        "app.kubernetes.io/instance": "rel",
        "app.kubernetes.io/component": "gateway",
    }
    assert deployment["spec"]["template"]["metadata"]["labels"]["c"] == "d"


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ({}, "registry.example.com/inwit:0.1.0"),
        ({"tag": "0.1.0-fix1"}, "registry.example.com/inwit:0.1.0-fix1"),
        (
            {"tag": "0.1.0-fix1", "digest": "sha256:" + "a" * 64},
            "registry.example.com/inwit@sha256:" + "a" * 64,
        ),
    ],
)
def test_the_image_is_a_version_or_a_digest(image: dict[str, str], wanted: str) -> None:
    made = render({"image": image})
    images = {container(pod)["image"] for pod in (gateway(made),)}
    job = one(made, "Job")["spec"]["template"]["spec"]
    doctor = one(made, "Pod")["spec"]
    assert images | {container(job)["image"], container(doctor)["image"]} == {wanted}


def test_the_charts_version_is_inwits() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    source = (ROOT / "service" / "inwit" / "__init__.py").read_text()
    assert f'"{about["appVersion"]}"' in source


def test_the_rules_and_dashboards_are_those_of_deploy() -> None:
    """Helm reads nothing outside the chart, so it has copies; `make docs` renews them."""
    files, deploy = CHART / "files", ROOT / "deploy"
    rules = deploy / "prometheus" / "rules.yaml"
    assert (files / "rules.yaml").read_bytes() == rules.read_bytes()

    def dashboards(folder: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in folder.glob("*.json")}

    assert dashboards(files / "dashboards")
    assert dashboards(files / "dashboards") == dashboards(deploy / "grafana" / "dashboards")


def test_the_rules_go_into_the_cluster_as_they_are() -> None:
    rule = one(
        render({"prometheusRule": {"enabled": True, "labels": {"release": "x"}}}),
        "PrometheusRule",
    )
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    assert rule["metadata"]["labels"]["release"] == "x"


def test_each_dashboard_is_a_config_map_that_the_sidecar_finds() -> None:
    made = kind(render({"dashboards": {"enabled": True}}), "ConfigMap")
    found = [each for each in made if "grafana_dashboard" in each["metadata"]["labels"]]
    files = {file.name: file.read_text() for file in (CHART / "files/dashboards").glob("*.json")}
    assert {name: text for each in found for name, text in each["data"].items()} == {
        name: text.rstrip("\n") for name, text in files.items()
    }
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in found)
    assert all(each["metadata"]["annotations"] == {"grafana_folder": "Inwit"} for each in found)
    # The size of an object in etcd, by which a ConfigMap is bound.
    assert all(len(str(each["data"])) < 900_000 for each in found)


def test_objects_beside_it_are_templates() -> None:
    made = {item["metadata"]["name"]: item for item in rendered(configuration("extras"))}
    assert made["beside"]["data"] == {"release": "rel"}
    assert "rel-inwit-beside" in made


def test_the_notes_have_the_first_call() -> None:
    words = notes(LEAST)
    assert "exec deployment/rel-inwit -- inwit keys create" in words
    assert "port-forward service/rel-inwit 8080:80" in words
    assert "curl -s http://127.0.0.1:8080/v1/respond" in words
    assert "custom metrics" not in words
    assert "custom metrics" in notes(over(LEAST, {"autoscaling": {"hpa": {"enabled": True}}}))
