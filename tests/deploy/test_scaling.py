"""How many gateways there are: replicas, autoscalers and the disruption budget."""

from typing import Any

import pytest
from helm_python import HelmError

from tests.deploy.chart import configuration, kind, one, render, rendered

HPA: dict[str, Any] = {"autoscaling": {"hpa": {"enabled": True}}}
KEDA: dict[str, Any] = {
    "autoscaling": {"keda": {"enabled": True, "prometheus": "http://prometheus:9090"}}
}


def test_the_number_is_the_autoscalers_where_there_is_one() -> None:
    assert one(render({"replicas": 5}), "Deployment")["spec"]["replicas"] == 5
    assert one(render({"replicas": 0}), "Deployment")["spec"]["replicas"] == 0
    for values in (HPA, KEDA):
        assert "replicas" not in one(render(values), "Deployment")["spec"]


def test_there_is_one_autoscaler_at_most() -> None:
    both = {"autoscaling": HPA["autoscaling"] | KEDA["autoscaling"]}
    with pytest.raises(HelmError, match="both enabled: two would fight"):
        render(both)


def test_the_hpa_goes_by_what_is_in_flight() -> None:
    spec = one(rendered(configuration("production")), "HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 20)
    assert spec["scaleTargetRef"]["name"] == "inwit"
    pods, cpu = spec["metrics"]
    assert pods["pods"]["metric"]["name"] == "inwit_in_flight"
    assert pods["pods"]["target"] == {"type": "AverageValue", "averageValue": "48"}
    assert cpu["resource"]["target"]["averageUtilization"] == 80
    (alone,) = one(render(HPA), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert alone["type"] == "Pods"


def test_keda_goes_by_the_same_and_keeps_what_runs_when_prometheus_is_away() -> None:
    spec = one(rendered(configuration("keda")), "ScaledObject")["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metricType"] == "AverageValue"
    assert trigger["metadata"]["query"] == (
        'sum(inwit_in_flight{namespace="prod",service="rel-inwit-operate"})'
    )
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert trigger["authenticationRef"] == {"name": "prometheus"}
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert spec["fallback"]["replicas"] >= spec["minReplicaCount"]
    services = {item["metadata"]["name"] for item in kind(render(KEDA), "Service")}
    assert "rel-inwit-operate" in services


def test_fewer_comes_slowly_with_both() -> None:
    hpa = one(render(HPA), "HorizontalPodAutoscaler")["spec"]["behavior"]
    keda = one(render(KEDA), "ScaledObject")["spec"]["advanced"]
    assert keda["horizontalPodAutoscalerConfig"]["behavior"] == hpa
    assert hpa["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert hpa["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    assert hpa["scaleUp"]["stabilizationWindowSeconds"] == 0


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, 1),
        ({"podDisruptionBudget": {"maxUnavailable": 2}}, 2),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, 0),
        ({"podDisruptionBudget": {"maxUnavailable": "25%"}}, "25%"),
        ({"replicas": 1, **HPA}, 1),
        ({"replicas": 1, **KEDA}, 1),
    ],
)
def test_the_budget_says_one_thing(values: dict[str, Any], wanted: int | str) -> None:
    spec = one(render(values), "PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == wanted
    assert type(spec["maxUnavailable"]) is type(wanted)
    assert "minAvailable" not in spec
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert spec["selector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 1},
        {"replicas": 0},
        {"autoscaling": {"hpa": {"enabled": True, "minReplicas": 1}}},
        {"podDisruptionBudget": {"enabled": False}},
    ],
)
def test_one_gateway_has_no_budget(values: dict[str, Any]) -> None:
    assert not kind(render(values), "PodDisruptionBudget")
