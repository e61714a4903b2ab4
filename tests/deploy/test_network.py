"""Who may talk to whom: the network policies, and the ways in."""

from typing import Any

import pytest

from tests.deploy.chart import (
    NAMES,
    VLLM,
    configuration,
    kind,
    one,
    over,
    part_of,
    pods,
    render,
    rendered,
)

Rule = dict[str, Any]
WAYS_IN = ["/v1", "/console", "/beta"]


def policy(made: list[dict[str, Any]], part: str) -> Rule:
    """The network policy of a part."""
    return one(made, "NetworkPolicy", part)["spec"]


def ports(rules: list[Rule]) -> list[int]:
    """The TCP ports of rules, in order."""
    return [port["port"] for rule in rules for port in rule["ports"] if port["protocol"] == "TCP"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "single"])
def test_every_pod_has_a_policy_that_denies_both_ways(name: str) -> None:
    made = rendered(configuration(name))
    policies = {part_of(item): item["spec"] for item in kind(made, "NetworkPolicy")}
    for part, _ in pods(made):
        spec = policies[part]
        assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == part
        assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "rel"
        assert spec["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "single"])
def test_no_rule_is_for_everyone(name: str) -> None:
    """A rule without peers, or with an empty peer, or without ports, would be for all."""
    for item in kind(rendered(configuration(name)), "NetworkPolicy"):
        for way, side in (("ingress", "from"), ("egress", "to")):
            rules: list[Rule] = item["spec"].get(way) or []
            for rule in rules:
                assert rule[side], item["metadata"]["name"]
                assert all(rule[side])
                assert rule["ports"]


def test_callers_reach_the_api_and_prometheus_the_operate_port_alone() -> None:
    caller: Rule = {"podSelector": {"matchLabels": {"app": "shop"}}}
    scraper: Rule = {"podSelector": {}}
    found = policy(
        render({"networkPolicy": {"api": [caller], "prometheus": [scraper]}}), "gateway"
    )["ingress"]
    assert found == [
        {"from": [caller], "ports": [{"protocol": "TCP", "port": 8080}]},
        {"from": [scraper], "ports": [{"protocol": "TCP", "port": 9090}]},
    ]


def test_nobody_comes_in_where_nobody_is_named() -> None:
    found = policy(render({"networkPolicy": {"api": [], "prometheus": []}}), "gateway")
    assert not found["ingress"]
    assert "Ingress" in found["policyTypes"]


def test_a_gateway_reaches_what_it_leans_on_and_nothing_else() -> None:
    assert ports(policy(render(), "gateway")["egress"]) == [53, 5432, 6379, 8000]
    names = policy(render(), "gateway")["egress"][0]["ports"]
    assert {"protocol": "UDP", "port": 53} in names
    traced = render({"otlp": {"endpoint": "http://collector:4317"}})
    assert ports(policy(traced, "gateway")["egress"]) == [53, 5432, 6379, 8000, 4317]


def test_more_ways_out_are_named_one_by_one() -> None:
    made = rendered(configuration("production"))
    found = policy(made, "gateway")["egress"]
    assert ports(found) == [53, 5432, 6379, 26379, 443, 4317, 443]
    assert found[1]["to"] == [{"ipBlock": {"cidr": "10.20.0.5/32"}}]
    assert policy(made, "test")["egress"] == found


def test_the_migration_reaches_the_database_alone_and_before_the_rest_is_there() -> None:
    made = render()
    found = policy(made, "migrate")
    assert "ingress" not in found
    assert ports(found["egress"]) == [53, 5432]
    both = [one(made, "NetworkPolicy", "migrate"), one(made, "Job")]
    first, then = (int(item["metadata"]["annotations"]["helm.sh/hook-weight"]) for item in both)
    assert first < then
    # What a hook leaves behind, nobody would take away: they are all taken away when it worked.
    deletes = {item["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for item in both}
    assert deletes == {"before-hook-creation,hook-succeeded"}


def test_vllm_is_reached_by_gateways_alone() -> None:
    """Who reaches vLLM gets text that nobody reviewed."""
    made = render(VLLM)
    (rule,) = policy(made, "vllm")["ingress"]
    selected = [peer["podSelector"]["matchLabels"] for peer in rule["from"]]
    assert [each["app.kubernetes.io/component"] for each in selected] == ["gateway", "test"]
    assert {each["app.kubernetes.io/instance"] for each in selected} == {"rel"}
    assert ports(policy(made, "vllm")["egress"]) == [53]
    assert 8000 in ports(policy(made, "gateway")["egress"])
    scraped = render(over(VLLM, {"serviceMonitor": {"enabled": True}}))
    (rule,) = policy(scraped, "vllm")["ingress"]
    assert len(rule["from"]) == 3
    fetching = policy(rendered(configuration("vllm")), "vllm")["egress"]
    assert ports(fetching) == [53, 4317, 443]


def test_the_operate_port_has_a_service_of_its_own() -> None:
    api, operate = sorted(kind(render(), "Service"), key=lambda item: item["metadata"]["name"])
    assert [port["targetPort"] for port in api["spec"]["ports"]] == ["http"]
    assert [port["targetPort"] for port in operate["spec"]["ports"]] == ["operate"]
    assert operate["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("name", ["production", "keda", "vllm"])
def test_a_monitor_finds_the_service_that_it_means(name: str) -> None:
    made = rendered(configuration(name))
    for monitor in kind(made, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        found = [
            item for item in kind(made, "Service") if wanted <= item["metadata"]["labels"].items()
        ]
        (service,) = found
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["path"] == "/metrics"
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


@pytest.mark.parametrize("name", NAMES)
def test_every_service_leads_to_pods_of_the_release(name: str) -> None:
    made = rendered(configuration(name))
    labels = [
        item["spec"]["template"]["metadata"]["labels"].items() for item in kind(made, "Deployment")
    ]
    for service in kind(made, "Service"):
        assert any(service["spec"]["selector"].items() <= each for each in labels)


def test_an_ingress_has_the_api_and_the_console_and_nothing_else() -> None:
    ingress = one(rendered(configuration("production")), "Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "inwit.example.com"
    assert [path["path"] for path in rule["http"]["paths"]] == WAYS_IN
    for path in rule["http"]["paths"]:
        assert path["pathType"] == "Prefix"
        assert path["backend"]["service"] == {"name": "inwit", "port": {"name": "http"}}
    assert ingress["spec"]["tls"][0]["hosts"] == ["inwit.example.com"]


def test_an_http_route_has_the_same() -> None:
    (rule,) = one(rendered(configuration("keda")), "HTTPRoute")["spec"]["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == WAYS_IN
    assert {match["path"]["type"] for match in rule["matches"]} == {"PathPrefix"}
    assert rule["backendRefs"] == [{"name": "rel-inwit", "port": 80}]
    assert rule["timeouts"] == {"request": "90s"}
