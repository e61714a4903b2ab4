"""Renders what the policy compiler knows: docs/taxonomy.md and the JSON Schema for editors."""

from inwit.policy.loader import json_schema
from inwit.policy.taxonomy import MLCOMMONS, TAXONOMY


def taxonomy() -> str:
    """docs/taxonomy.md."""
    rows = [
        f"| `{category.value}` | {harm.title} | {harm.severity.value} | {harm.description} | "
        f"{harm.words} | {MLCOMMONS.get(category, '-')} |"
        for category, harm in TAXONOMY.items()
    ]
    words = (
        "The kinds of harm that a policy can watch for ([how to write one](policies.md); "
        "[why these](decisions/0016-one-taxonomy.md)). A policy may give a category another "
        'severity. The phrase is what a model is asked about: it stands after "harmful means" '
        "in the policy's question. The last column names the class of MLCommons' AILuminate "
        "taxonomy, v1.0, where there is one."
    )
    return "\n".join(
        [
            "# Taxonomy",
            "",
            "<!-- Rendered from the code by `make docs`; edit there. -->",
            "",
            words,
            "",
            "| category | title | severity | description | phrase | MLCommons class |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def schema() -> str:
    """service/inwit/policy/policy.schema.json."""
    return json_schema()
