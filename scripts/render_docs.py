"""Renders the tables of docs/, and the policies' JSON Schema: `python -m scripts.render_docs`.

A test compares what is there with what would be rendered.
"""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase
from pydantic.fields import FieldInfo
from scripts import decisions_table, render_policy_docs

from inwit import errors, telemetry
from inwit.config import Settings
from inwit.errors import InwitError, SetupError
from inwit.evaluation import scorecard
from inwit.ledger.exports.columns import COLUMNS

DOCS = Path(__file__).parents[1] / "docs"


def settings() -> str:
    """docs/settings.md."""
    rows = [
        f"| `INWIT_{name.upper()}` | {field.description} | {_default(field)} |"
        for name, field in Settings.model_fields.items()
    ]
    return _page(
        "Settings",
        "From the environment, over an optional TOML file named by `INWIT_CONFIG` (there the keys "
        "are in lower case and without the prefix: `port = 8080`). A name that is not in this "
        "table, or a value that does not fit, stops the start with one sentence. `inwit up` "
        "turns on the embedded parts that no address replaces.",
        "| setting | what it does | default |\n|---|---|---|",
        rows,
    )


def metrics() -> str:
    """docs/metrics.md."""
    rows = [
        f"| `{name}` | {kind} | {', '.join(labels) or '-'} | {words} |"
        for name, kind, labels, words in sorted(_metrics())
    ]
    return _page(
        "Metrics",
        "At `/metrics`, for Prometheus. Labels come from closed sets: no tenant, key, user or "
        "content is ever one. Run one process per replica.",
        "| metric | kind | labels | meaning |\n|---|---|---|---|",
        rows,
    )


def problems() -> str:
    """docs/errors.md."""
    rows = [
        f"| {error.status} | `urn:inwit:problem:{error.kind}` | {error.title} | "
        f"{(error.__doc__ or '').splitlines()[0]} |"
        for error in sorted(_errors(), key=lambda error: (error.status, error.kind))
    ]
    return _page(
        "Errors",
        "Every error is RFC 9457 `application/problem+json` with `type`, `title`, `status`, "
        "`detail` and `request_id`; `errors` names the fields that are wrong, and 503 comes with "
        "`Retry-After` where waiting helps. No error quotes content, and none carries text that "
        "the model wrote.",
        "| status | type | title | meaning |\n|---|---|---|---|",
        rows,
    )


def export_columns() -> str:
    """docs/exports-columns.md."""
    rows = [f"| `{column.name}` | {column.kind.value} | {column.words} |" for column in COLUMNS]
    return _page(
        "Columns of the Parquet export",
        "Of every file of `inwit ledger export --form parquet` ([exports](exports.md)); `day` and "
        "`tenant` stand in the names of the folders. Where an entry has nothing of a kind, its "
        "column is null. The forms `otel` and `ocsf` are made of the same values.",
        "| column | kind | meaning |\n|---|---|---|",
        rows,
    )


# By their paths from docs/.
PAGES = {
    "settings.md": settings,
    "metrics.md": metrics,
    "errors.md": problems,
    "exports-columns.md": export_columns,
    "taxonomy.md": render_policy_docs.taxonomy,
    "decisions-table.md": decisions_table.page,
    "evaluation/scorecard.md": scorecard.rules,
    "../service/inwit/policy/policy.schema.json": render_policy_docs.schema,
}


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    return "unset" if value is None else f"`{value}`"


def _metrics() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    for value in vars(telemetry).values():
        if isinstance(value, MetricWrapperBase):
            (family,) = value.describe()
            suffix = "_total" if family.type == "counter" else ""
            # The client has no public name for these.
            labels = tuple(str(label) for label in getattr(value, "_labelnames", ()))
            yield family.name + suffix, family.type, labels, family.documentation


def _errors() -> Iterator[type[InwitError]]:
    for value in vars(errors).values():
        if not (isinstance(value, type) and issubclass(value, InwitError)):
            continue
        if not issubclass(value, SetupError):
            yield value


def _page(title: str, words: str, head: str, rows: list[str]) -> str:
    note = "<!-- Rendered from the code by `make docs`; edit there. -->"
    return "\n".join([f"# {title}", "", note, "", words, "", head, *rows, ""])


def main() -> None:
    """Write every page."""
    for name, render in PAGES.items():
        (DOCS / name).write_text(render())


if __name__ == "__main__":
    main()
