"""The chart as tests see it: rendered by Helm's own library, with no cluster."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from helm_python import Chart

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "inwit"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
NAMES = [file.name.removesuffix("-values.yaml") for file in VALUES]

Object = dict[str, Any]
Values = dict[str, Any]

# What is required, and nothing else.
LEAST: Values = {
    "image": {"repository": "registry.example.com/inwit"},
    "database": {"existingSecret": "inwit"},
    "redis": {"existingSecret": "inwit"},
    "cache": {"existingSecret": "inwit"},
    "signing": {"existingSecret": "inwit"},
    "content": {"existingSecret": "inwit"},
    "model": {"url": "http://vllm.models:8000/v1"},
}
VLLM: Values = {
    "model": {"url": "", "existingSecret": "inwit"},
    "vllm": {"enabled": True, "model": "/models/main"},
}
PARTS = ("gateway", "migrate", "test", "vllm")


def configuration(name: str) -> Values:
    """The values of one file in helm/inwit/ci."""
    return cast("Values", yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text()))


def over(base: Values, changes: Values) -> Values:
    """`base` with `changes` laid over it, as Helm lays one values file over another."""
    result = deepcopy(base)
    for name, value in changes.items():
        below: object = result.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            result[name] = over(cast("Values", below), cast("Values", value))
        else:
            result[name] = deepcopy(cast("object", value))
    return result


@cache
def _chart() -> Chart:
    return Chart.load(CHART)


@cache
def _made(values: str) -> dict[str, str]:
    return _chart().render(json.loads(values), name="rel", namespace="prod")


def render(changes: Values | None = None) -> list[Object]:
    """The objects that the chart makes of the least values with these changes."""
    return rendered(over(LEAST, changes or {}))


def rendered(values: Values) -> list[Object]:
    """The objects that the chart makes of these values alone."""
    return [item for text in manifests(values).values() for item in objects(text)]


def manifests(values: Values) -> dict[str, str]:
    """What each template makes of these values, by its path; without the notes."""
    made = _made(json.dumps(values))
    return {path: text for path, text in made.items() if not path.endswith("NOTES.txt")}


def notes(values: Values) -> str:
    """What `helm install` says at its end."""
    made = _made(json.dumps(values))
    return next(text for path, text in made.items() if path.endswith("NOTES.txt"))


def objects(text: str) -> list[Object]:
    """The objects of one manifest."""
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


def kind(made: list[Object], wanted: str, part: str | None = None) -> list[Object]:
    """The objects of a kind, or of a kind and a part of the release."""
    of_kind = [item for item in made if item["kind"] == wanted]
    return of_kind if part is None else [item for item in of_kind if part_of(item) == part]


def one(made: list[Object], wanted: str, part: str | None = None) -> Object:
    """The only object of a kind."""
    (found,) = kind(made, wanted, part)
    return found


def part_of(item: Object) -> str:
    """Which part of the release an object is of."""
    return item["metadata"].get("labels", {}).get("app.kubernetes.io/component", "")


def pods(made: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every Pod that may run: its part, and its spec."""
    for item in made:
        if item["kind"] == "Pod":
            yield part_of(item), item["spec"]
        elif item["kind"] in ("Deployment", "Job"):
            yield part_of(item), item["spec"]["template"]["spec"]


def gateway(made: list[Object]) -> Object:
    """The gateway's Pod spec."""
    return dict(pods(made))["gateway"]


def container(pod: Object) -> Object:
    """The only container of a Pod."""
    (found,) = pod["containers"]
    return found
