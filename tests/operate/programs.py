"""Programs of the system that these tests run."""

import os
import shutil

import pytest

_PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "npm": "npm", "node": "nodejs"}


def program(name: str) -> str:
    """Its path. Where it is missing the test is skipped, but never in CI."""
    found = shutil.which(name)
    if found is None:
        how = f"{name} is not installed: apt-get install {_PACKAGES[name]}"
        if os.environ.get("CI"):
            raise AssertionError(how)
        pytest.skip(how)
    return found
