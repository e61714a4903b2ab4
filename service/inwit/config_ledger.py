"""The ledger's own settings: proofs, anchors, keys of content, how long things are kept."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings

_Days = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}d$")]
_Anchor = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+]*:.+$")]


class RetentionRules(BaseModel):
    """How long things are kept: content by policy, entries by type; `*` is for all others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    content: dict[str, _Days] = Field(default_factory=dict[str, _Days])
    entries: dict[str, _Days] = Field(default_factory=dict[str, _Days])


class LedgerSettings(BaseSettings):
    """A part of `Settings`."""

    ledger_key_file: Path | None = Field(
        None,
        description="Keys that sign checkpoints of the ledger, the newest last (`inwit ledger key "
        "new`). When unset: beside SQLite ledger.key in data_dir, made at the first start; with "
        "database_url nothing is signed. Every gateway on one database needs the same keys "
        "(docs/ledger.md).",
    )
    ledger_key: SecretStr | None = Field(
        None, description="The same keys in the environment, in place of a file."
    )
    checkpoint_ms: Annotated[int, Field(ge=100, le=600_000)] = Field(
        2_000, description="Time between two checkpoints while entries are written."
    )
    anchors: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], _Anchor] = Field(
        default_factory=dict[str, _Anchor],
        description="Other places that checkpoints are sent to, as JSON: a name, and file:, "
        "s3://, gs://, az://, https:// or git: with a path (docs/ledger.md).",
    )
    anchor_ms: Annotated[int, Field(ge=100, le=86_400_000)] = Field(
        60_000, description="Time between two checkpoints that are sent to the anchors."
    )
    content_key_file: Path | None = Field(
        None,
        description="Master keys that seal the ledger's content, the active one last. When unset: "
        "beside SQLite content.key in data_dir, made at the first start; with database_url nothing "
        "is sealed (docs/forgetting.md).",
    )
    content_key: SecretStr | None = Field(
        None, description="The same keys in the environment, in place of a file."
    )
    redact_stored: Literal["off", "presidio"] = Field(
        "off",
        description="Take private data out of what is kept of decided responses, but for what was "
        "released: presidio needs `inwit[pii]`. Never rely on it (docs/forgetting.md).",
    )
    redact_stored_ms: Annotated[int, Field(ge=1, le=60_000)] = Field(
        500,
        description="Longest time for that, a part of record_ms; past it texts are not kept.",
    )
    redact_stored_config: Path | None = Field(
        None,
        description="An analyzer configuration of Presidio's (YAML), with a model of spaCy that is "
        "installed; patterns alone when unset.",
    )
    retention: RetentionRules | None = Field(
        None,
        description="How long content (by policy) and entries (by type) are kept, as JSON; for "
        "ever when unset. docs/forgetting.md has the keys.",
    )
