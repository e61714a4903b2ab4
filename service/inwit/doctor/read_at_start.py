"""What a gateway reads once, at its start: keys, anchors, the finder of private data, a report.

Each is opened as the gateway does it, but nothing is made: no key, and no checkpoint is sent.
"""

import asyncio
import shutil
from collections.abc import Iterator

from inwit.anchors.places import Anchor, anchor_of
from inwit.catch_rate import read_report
from inwit.checkpointing import held_keys
from inwit.clients.presidio import open_presidio
from inwit.config import Settings
from inwit.doctor.finding import Finding, ok, warning, wrong
from inwit.errors import SetupError
from inwit.labels import AnchorKind
from inwit.ledger.content_keys import FILE
from inwit.ledger.vault_settings import configured_vault


async def content_keys(settings: Settings) -> list[Finding]:
    """Whether there are master keys that seal the content; none is made."""
    name = "content keys"
    try:
        vault = await asyncio.to_thread(configured_vault, settings)
    except SetupError as error:
        remedy = "Mend INWIT_CONTENT_KEY or INWIT_CONTENT_KEY_FILE (docs/forgetting.md)."
        return [wrong(name, str(error), remedy)]
    if vault is None:
        words = "None is set: where nothing is sealed, content stands in the ledger in the clear."
        remedy = "Set INWIT_CONTENT_KEY or INWIT_CONTENT_KEY_FILE (docs/forgetting.md)."
        return [warning(name, words, remedy)]
    given = settings.content_key or settings.content_key_file
    if given is None and not (settings.data_dir / FILE).exists():
        return [ok(name, "There is none yet; it is made where nothing is sealed.")]
    return [ok(name, f"Content is sealed by {vault.holder.active}.")]


async def signing_keys(settings: Settings) -> list[Finding]:
    """Whether there are keys that sign checkpoints of the ledger; none is made."""
    name = "signing keys"
    try:
        keys = await asyncio.to_thread(held_keys, settings)
    except SetupError as error:
        remedy = "Mend INWIT_LEDGER_KEY or INWIT_LEDGER_KEY_FILE (docs/ledger.md)."
        return [wrong(name, str(error), remedy)]
    if keys:
        return [ok(name, f"{keys[-1].name} signs checkpoints of the ledger.")]
    if settings.database_url is None:
        return [ok(name, "There is none yet; it is made where nothing is signed.")]
    words = "None is set: no checkpoint of the ledger is signed, and nobody can prove it changed."
    remedy = (
        "Set INWIT_LEDGER_KEY or INWIT_LEDGER_KEY_FILE, the same for all gateways (docs/ledger.md)."
    )
    return [warning(name, words, remedy)]


async def anchors_of(settings: Settings) -> list[Finding]:
    """Whether each address is one of an anchor; none is written to."""
    return list(await asyncio.to_thread(_anchors, settings))


def _anchors(settings: Settings) -> Iterator[Finding]:
    for given, address in settings.anchors.items():
        name = f"anchor {given}"
        try:
            yield _anchor(name, anchor_of(address))
        except SetupError as error:
            yield wrong(name, str(error), "Mend INWIT_ANCHORS (docs/ledger.md).")


def _anchor(name: str, anchor: Anchor) -> Finding:
    if anchor.kind is AnchorKind.GIT and shutil.which("git") is None:
        words = "git is not installed here (the image has none): it gets no checkpoint."
        return wrong(name, words, "Use another kind of anchor, or an image with git.")
    return ok(name, f"A {anchor.kind.value}; checkpoints are sent there, which was not tried.")


async def redaction(settings: Settings) -> list[Finding]:
    """Whether the finder of private data can be had, where texts go through one."""
    name = "redaction"
    if settings.redact_stored == "off":
        return [ok(name, "Off: texts are kept as they are (INWIT_REDACT_STORED).")]
    if settings.redact_stored_ms >= settings.record_ms:
        words = "INWIT_REDACT_STORED_MS must be less than INWIT_RECORD_MS."
        return [wrong(name, words, "Lower the one, or raise the other.")]
    try:
        await asyncio.to_thread(open_presidio, settings.redact_stored_config)
    except SetupError as error:
        remedy = "Mend INWIT_REDACT_STORED_CONFIG, or set INWIT_REDACT_STORED=off."
        return [wrong(name, str(error), remedy)]
    return [ok(name, "Presidio takes private data out of what is kept.")]


async def evaluation_report(settings: Settings) -> list[Finding]:
    """Whether the report can be read of which /metrics shows the catch rate."""
    name, file = "evaluation report", settings.evaluation_report
    if file is None:
        return [ok(name, "None is named (INWIT_EVALUATION_REPORT).")]
    try:
        await asyncio.to_thread(read_report, file)
    except SetupError as error:
        return [wrong(name, str(error), "Mend INWIT_EVALUATION_REPORT, or unset it.")]
    return [ok(name, f"{file} can be read.")]
