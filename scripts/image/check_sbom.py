"""Holds a CycloneDX bill of materials against the pins: every wheel of the image is on it.

Usage: check_sbom.py SBOM.json requirements/serve.txt
"""

import json
import re
import sys
from pathlib import Path

TAKEN_OUT = {"hatchling", "editables"}  # needed to install, and not in the image any more
_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)\s*(?P<marker>;)?")


def plain(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def missing(pins: str, found: dict[str, set[str]]) -> list[str]:
    """The pins that are not on the bill; one with a marker may be for another system or Python."""
    matches = [match for line in pins.splitlines() if (match := _PIN.match(line))]
    versions: dict[str, set[str]] = {}
    for match in matches:
        versions.setdefault(plain(match["name"]), set()).add(match["version"])
    optional = {plain(match["name"]) for match in matches if match["marker"]}
    return sorted(
        name
        for name, pinned in versions.items()
        if name not in TAKEN_OUT
        and not found.get(name, set()) & pinned
        and (name in found or name not in optional)
    )


def main(sbom: str, pins: str) -> None:
    """End with an error that names what is missing."""
    document = json.loads(Path(sbom).read_text())
    found: dict[str, set[str]] = {}
    for part in document.get("components", ()):
        found.setdefault(plain(part["name"]), set()).add(part.get("version", ""))
    lacking = missing(Path(pins).read_text(), found)
    if document.get("bomFormat") != "CycloneDX" or lacking:
        sys.exit(f"bill of materials: {document.get('bomFormat')}, without {', '.join(lacking)}")
    parts = len(document["components"])
    print(f"  CycloneDX {document['specVersion']}: {parts} parts, every pinned wheel among them")


if __name__ == "__main__":
    main(*sys.argv[1:])
