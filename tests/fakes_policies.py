"""Policies for tests: the packaged default with sections changed, compiled by the real loader."""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from inwit.policy.loader import PACKAGED, load_policy
from inwit.policy.policy import Policy

THRESHOLDS = {"lower": 0.5, "upper": 0.8, "uncalibrated": {"lower": 0.4, "upper": 0.7}}


def compiled(name: str = "default", /, **sections: Any) -> Policy:
    """The packaged default under `name`, without its random slice.

    A mapping given for a section is laid over what stands there, None takes the section out, and
    anything else replaces it.
    """
    data: dict[str, Any] = {**_packaged(), "name": name, "thresholds": THRESHOLDS}
    data["classifier"] = {**data["classifier"], "sample_rate": 0}
    for key, value in sections.items():
        if value is None:
            data.pop(key, None)
        elif isinstance(value, dict) and key != "categories":
            data[key] = {**(data.get(key) or {}), **cast("dict[str, Any]", value)}
        else:
            data[key] = value
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.yaml"
        file.write_text(json.dumps(data))
        return load_policy(file)


@cache
def _packaged() -> dict[str, Any]:
    return yaml.safe_load((PACKAGED / "default.yaml").read_text())
