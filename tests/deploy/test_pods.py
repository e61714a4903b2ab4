"""Every Pod of the chart: what it may do, how it starts and how it ends."""

import re
from typing import Any

import pytest

from inwit.stopping import CLOSE_S
from tests.deploy.chart import (
    NAMES,
    PARTS,
    ROOT,
    VLLM,
    configuration,
    container,
    gateway,
    one,
    over,
    pods,
    render,
    rendered,
)

LEAST_UID = 10_000


def environment(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables of a Pod's container, by name."""
    return {each["name"]: each for each in container(pod).get("env", [])}


def test_there_are_these_pods() -> None:
    assert sorted(part for part, _ in pods(render(VLLM))) == sorted(PARTS)


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_is_as_restricted_as_can_be(name: str) -> None:
    """Pod Security Standard `restricted`, a read-only root, and no way to the cluster's API."""
    for part, pod in pods(rendered(configuration(name))):
        assert pod["automountServiceAccountToken"] is False, part
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys(), part
        shared = pod["securityContext"]
        assert shared["runAsNonRoot"] is True
        assert min(shared["runAsUser"], shared["runAsGroup"], shared["fsGroup"]) >= LEAST_UID
        assert shared["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": shared["runAsUser"],
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert "hostPath" not in str(pod["volumes"])


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_can_write_to_tmp_and_is_bounded(name: str) -> None:
    for part, pod in pods(rendered(configuration(name))):
        mounts = {each["mountPath"]: each["name"] for each in container(pod)["volumeMounts"]}
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert volumes[mounts["/tmp"]]["emptyDir"]["sizeLimit"], part  # noqa: S108
        assert set(mounts.values()) == set(volumes), part
        resources = container(pod)["resources"]
        assert resources["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in resources["limits"]


@pytest.mark.parametrize("name", NAMES)
def test_no_service_of_the_namespace_becomes_a_setting(name: str) -> None:
    """A Service named inwit would come as INWIT_PORT=tcp://…, and one named vllm as VLLM_PORT."""
    assert all(pod["enableServiceLinks"] is False for _, pod in pods(rendered(configuration(name))))


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_stands_in_a_value_or_a_config_map(name: str) -> None:
    secret = re.compile(r"(?i)(_url|api_key|_secret|password|token)$")
    made = rendered(configuration(name))
    for _, pod in pods(made):
        for variable, each in environment(pod).items():
            if variable.startswith(("INWIT_", "VLLM_")) and secret.search(variable):
                assert set(each["valueFrom"]) == {"secretKeyRef"}, variable
    data = one([item for item in made if item["metadata"]["name"].endswith("inwit")], "ConfigMap")
    named = {name for name in data["data"] if secret.search(name)}
    assert named <= {"INWIT_MODEL_URL", "INWIT_CONSOLE_URL"}
    assert not [item for item in made if item["kind"] == "Secret"]


def test_secrets_are_named_by_the_values() -> None:
    found = environment(gateway(rendered(configuration("production"))))
    references = {
        name: each["valueFrom"]["secretKeyRef"]
        for name, each in found.items()
        if "secretKeyRef" in each.get("valueFrom", {})
    }
    assert references == {
        "INWIT_DATABASE_URL": {"name": "inwit-postgres-app", "key": "uri"},
        "INWIT_REDIS_URL": {"name": "inwit-redis", "key": "url"},
        "INWIT_CACHE_SECRET": {"name": "inwit", "key": "INWIT_CACHE_SECRET"},
        "INWIT_LEDGER_KEY": {"name": "inwit", "key": "INWIT_LEDGER_KEY"},
        "INWIT_CONTENT_KEY": {"name": "inwit", "key": "INWIT_CONTENT_KEY"},
        "INWIT_MODEL_API_KEY": {"name": "inwit", "key": "INWIT_MODEL_API_KEY"},
        "INWIT_OIDC_CLIENT_SECRET": {"name": "inwit", "key": "INWIT_OIDC_CLIENT_SECRET"},
    }
    assert "INWIT_OIDC_CLIENT_SECRET" not in environment(gateway(render()))
    assert "INWIT_MODEL_API_KEY" not in environment(gateway(render()))


@pytest.mark.parametrize(
    "shutdown",
    [
        {},
        {"preStopSeconds": 0},
        {"preStopSeconds": 25, "drainSeconds": 600, "marginSeconds": 5},
    ],
)
def test_a_pods_end_adds_up(shutdown: dict[str, int]) -> None:
    """preStop + INWIT_SHUTDOWN_S + a margin is what Kubernetes gives before it kills."""
    made = render(over(VLLM, {"shutdown": shutdown}))
    wanted = {"preStopSeconds": 10, "drainSeconds": 80, "marginSeconds": CLOSE_S} | shutdown
    pod, settings = gateway(made), _settings(made)
    sleep = container(pod).get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})
    assert sleep["seconds"] == wanted["preStopSeconds"]
    assert int(settings["INWIT_SHUTDOWN_S"]) == wanted["drainSeconds"]
    assert pod["terminationGracePeriodSeconds"] == sum(wanted.values())
    # vLLM outlives what a gateway may still have open to it, and its own drain fits its grace.
    vllm = dict(pods(made))["vllm"]
    drain = int(_flags(vllm)["--shutdown-timeout"])
    assert drain > wanted["drainSeconds"]
    assert vllm["terminationGracePeriodSeconds"] >= wanted["preStopSeconds"] + drain + 1


def test_three_probes_ask_three_questions_on_the_operate_port() -> None:
    found = container(gateway(render()))
    probes = {name: found[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
    paths = {name: probe["httpGet"] for name, probe in probes.items()}
    assert paths == {
        "startup": {"path": "/startupz", "port": "operate"},
        "readiness": {"path": "/readyz", "port": "operate"},
        "liveness": {"path": "/healthz", "port": "operate"},
    }
    assert probes["readiness"]["failureThreshold"] < probes["liveness"]["failureThreshold"]
    ports = {each["name"]: each["containerPort"] for each in found["ports"]}
    settings = _settings(render())
    assert ports == {
        "http": int(settings["INWIT_PORT"]),
        "operate": int(settings["INWIT_OPERATE_PORT"]),
    }


def _allowed_s(probe: dict[str, int]) -> int:
    return probe["periodSeconds"] * probe["failureThreshold"]


def test_a_gateway_may_wait_for_vllm_to_read_its_weights() -> None:
    alone = container(gateway(render({"probes": {"startupSeconds": 120}})))["startupProbe"]
    assert _allowed_s(alone) == 120
    made = render(over(VLLM, {"vllm": {"startupSeconds": 2400}}))
    assert _allowed_s(container(gateway(made))["startupProbe"]) == 2400
    assert one(made, "Deployment", "gateway")["spec"]["progressDeadlineSeconds"] > 2400
    assert one(made, "Deployment", "vllm")["spec"]["progressDeadlineSeconds"] > 2400


def test_a_rollout_adds_before_it_takes_away() -> None:
    spec = one(render(), "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] > 0


def test_gateways_are_spread_over_nodes_and_zones_by_rollout() -> None:
    constraints = gateway(render())["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    for each in constraints:
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"
        assert each["matchLabelKeys"] == ["pod-template-hash"]
        selected = each["labelSelector"]["matchLabels"]
        assert selected["app.kubernetes.io/component"] == "gateway"
    off = gateway(render({"topologySpread": {"enabled": False}}))
    assert "topologySpreadConstraints" not in off


def test_settings_are_written_as_the_gateway_reads_them() -> None:
    settings = _settings(rendered(configuration("production")))
    assert settings["INWIT_MAX_BODY_BYTES"] == "4194304"  # not 4.194304e+06
    assert settings["INWIT_LOG_LEVEL"] == "WARNING"
    assert settings["INWIT_OIDC_ROLES"] == '{"safety":"reviewer","safety-leads":"senior"}'
    assert '"requests":600' in settings["INWIT_RATE_LIMITS"]
    assert all(isinstance(value, str) for value in settings.values())


def _settings(made: list[dict[str, Any]]) -> dict[str, str]:
    """The gateway's ConfigMap of settings."""
    (source, *_) = container(gateway(made))["envFrom"]
    name = source["configMapRef"]["name"]
    return next(
        item["data"]
        for item in made
        if item["kind"] == "ConfigMap" and item["metadata"]["name"] == name
    )


def _annotations(values: dict[str, Any]) -> dict[str, str]:
    return one(render(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]


def test_a_changed_setting_rolls_the_pods_and_a_changed_policy_does_not() -> None:
    before = _annotations({"policies": {"default.yaml": "a"}, "calibrations": {"m.json": "{}"}})
    policy = _annotations({"policies": {"default.yaml": "b"}, "calibrations": {"m.json": "{}"}})
    setting = _annotations(
        {
            "policies": {"default.yaml": "a"},
            "calibrations": {"m.json": "{}"},
            "settings": {"INWIT_MAX_TOKENS": 1},
        }
    )
    calibration = _annotations(
        {"policies": {"default.yaml": "a"}, "calibrations": {"m.json": "{1}"}}
    )
    assert policy == before
    assert setting["checksum/config"] != before["checksum/config"]
    assert calibration["checksum/calibrations"] != before["checksum/calibrations"]


def test_policies_are_mounted_as_a_folder_that_follows_its_config_map() -> None:
    for values, name in (
        ({"policies": {"default.yaml": "name: default"}}, "rel-inwit-policies"),
        ({"existingPolicies": "ours"}, "ours"),
    ):
        made = render(values)
        pod = gateway(made)
        mount = next(each for each in container(pod)["volumeMounts"] if each["name"] == "policies")
        assert "subPath" not in mount
        assert _settings(made)["INWIT_POLICY_DIR"] == mount["mountPath"]
        volume = next(each for each in pod["volumes"] if each["name"] == "policies")
        assert volume["configMap"] == {"name": name}
    assert "INWIT_POLICY_DIR" not in _settings(render())


def test_the_database_is_migrated_before_and_not_by_gateways() -> None:
    made = render()
    job = one(made, "Job")
    hook = job["metadata"]["annotations"]
    assert hook["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    assert container(pod)["args"] == ["ledger", "migrate"]
    assert list(environment(pod)) == ["INWIT_DATABASE_URL"]
    assert pod["restartPolicy"] == "Never"
    assert _settings(made)["INWIT_MIGRATE"] == "0"
    assert _settings(render({"migrations": {"enabled": False}}))["INWIT_MIGRATE"] == "1"
    # At the first install nothing of the release is there yet: the Job must not name any of it.
    assert "serviceAccountName" not in pod
    assert "envFrom" not in container(pod)


def test_the_migration_trusts_what_gateways_trust() -> None:
    """A private certificate authority comes by the extras, and the Job is the first to need it."""
    values = configuration("extras")
    job = one(rendered(values), "Job")["spec"]["template"]["spec"]
    found = container(job)
    assert list(environment(job)) == ["INWIT_DATABASE_URL", *_named(values["extraEnv"])]
    assert environment(job)["SSL_CERT_FILE"]["value"] == "/etc/inwit/trust/ca.crt"
    assert values["extraVolumes"][0] in job["volumes"]
    assert values["extraVolumeMounts"][0] in found["volumeMounts"]
    assert "envFrom" not in found  # may name what the release makes, and the Job needs none of it


@pytest.mark.parametrize("name", ["calibrations", "trust", "tmp"])
def test_no_pod_mounts_what_it_does_not_have(name: str) -> None:
    """The migration has no policies or calibrations, so it gets no mount of theirs."""
    mount = {"name": name, "mountPath": "/elsewhere", "readOnly": True}
    extras: dict[str, Any] = {
        "calibrations": {"a.json": "{}"},
        "extraVolumes": [{"name": "trust", "configMap": {"name": "company-ca"}}],
        "extraVolumeMounts": [mount],
    }
    mounting: set[str] = set()
    for part, pod in pods(render(extras)):
        mounts = container(pod)["volumeMounts"]
        assert {each["name"] for each in mounts} <= set(_named(pod["volumes"])), part
        if mount in mounts:
            mounting.add(part)
    assert mounting == {"gateway", "test"} | (set() if name == "calibrations" else {"migrate"})


def _named(items: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in items]


def test_the_doctor_sees_what_a_gateway_sees() -> None:
    made = rendered(configuration("production"))
    doctor, serving = one(made, "Pod")["spec"], gateway(made)
    assert one(made, "Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container(doctor)["args"] == ["doctor"]
    for shared in ("env", "envFrom", "volumeMounts", "image"):
        assert container(doctor)[shared] == container(serving)[shared]
    assert doctor["volumes"] == serving["volumes"]


def test_extras_are_handed_through() -> None:
    pod = gateway(rendered(configuration("extras")))
    found = container(pod)
    assert environment(pod)["TZ"]["value"] == "UTC"
    assert {"secretRef": {"name": "inwit-more"}} in found["envFrom"]
    assert {"name": "trust", "configMap": {"name": "company-ca"}} in pod["volumes"]
    assert "/etc/inwit/trust" in {each["mountPath"] for each in found["volumeMounts"]}
    assert pod["serviceAccountName"] == "shared"
    assert gateway(rendered(configuration("single")))["serviceAccountName"] == "default"


def test_traces_go_out_only_where_a_collector_is_named() -> None:
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in _settings(render())
    made = render({"otlp": {"endpoint": "http://collector:4317"}})
    assert _settings(made)["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4317"
    assert _settings(made)["OTEL_SERVICE_NAME"] == "inwit"
    assert _settings(made)["OTEL_TRACES_SAMPLER_ARG"] == "0.1"
    attributes = environment(gateway(made))["OTEL_RESOURCE_ATTRIBUTES"]["value"]
    assert "k8s.pod.name=$(POD_NAME)" in attributes


def _flags(pod: dict[str, Any]) -> dict[str, str]:
    """The flags of a vLLM container, with their values."""
    given = [each for each in container(pod)["args"] if each.startswith("--")]
    return {flag: value for flag, _, value in (each.partition("=") for each in given)}


def test_vllm_is_served_as_deploy_serves_it() -> None:
    script = (ROOT / "deploy" / "vllm" / "serve.sh").read_text()
    always = re.findall(r"^  (--[a-z-]+)", script.partition("flags=(")[2].partition("\n)")[0], re.M)
    found = dict(pods(rendered(configuration("vllm"))))["vllm"]
    assert set(always) <= _flags(found).keys()
    for flag in ("--scheduling-policy", "--prefix-caching-hash-algo", "--max-logprobs"):
        value = re.search(rf"{flag} (\S+)", script)
        assert value is not None
        assert _flags(found)[flag] == value[1]
    assert container(found)["args"][0] == "/models/main"
    assert "VLLM_API_KEY" in environment(found)
    assert "--enable-lora" in _flags(found)
