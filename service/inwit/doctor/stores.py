"""The data folder, the ledger's database and Redis."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import AuthenticationError, RedisClusterException, RedisError

from inwit.checkpointing import held_keys
from inwit.clients.embedded.redis import valkey_binary
from inwit.clients.redis import redis_client
from inwit.config import Settings
from inwit.doctor.finding import Finding, ok, warning, wrong
from inwit.errors import LedgerError, QueueDown, SetupError
from inwit.escalation.durability import UNKNOWN, look, too_old
from inwit.ledger import proofs, schema
from inwit.ledger.content_keys import KeyMissing, NoKeys
from inwit.ledger.database import Database, reason_of, sqlite_file
from inwit.ledger.notes import NoteError
from inwit.ledger.sequencer import last_signer
from inwit.ledger.vault import Shut, Vault
from inwit.ledger.vault_settings import configured_vault
from inwit.ledger.verify_database import verify_tail
from inwit.ledger_setup import ledger_url, prepare_data_dir

_ENTRIES = 200  # of the ledger's end
_TIMEOUT_S = 3
_OLDEST_POSTGRESQL = 13
_DRIFT_S = 1.0
_LOST_KEY = (
    "Bring back the key that signed, or the newest file of keys that gateways share. If it is lost "
    "for ever, begin a new log (docs/ledger.md)."
)


async def data_folder(settings: Settings) -> list[Finding]:
    """Whether it is there, can be written, and has room; nothing is made."""
    name, folder = "data folder", settings.data_dir
    embedded = settings.redis_url is None or settings.model_url is None
    if settings.database_url is not None and not embedded:
        return [ok(name, "Not used: the ledger is in PostgreSQL, and nothing is embedded.")]
    if not folder.exists():
        parent = next(each for each in folder.absolute().parents if each.exists())
        if os.access(parent, os.W_OK):
            return [ok(name, f"{folder} is not there yet; the first start makes it.")]
        return [wrong(name, f"{folder} cannot be made.", "Point INWIT_DATA_DIR elsewhere.")]
    try:
        prepare_data_dir(folder)
    except SetupError as error:
        return [wrong(name, str(error), "See INWIT_DATA_DIR in docs/settings.md.")]
    return [ok(name, f"{folder} can be written.")]


async def ledger_of(settings: Settings) -> list[Finding]:
    """Whether the database answers, may be written, has a schema that fits, and holds together."""
    name = "ledger"
    if settings.database_url is None:
        file = sqlite_file(settings.data_dir)
        if not file.is_file():
            return [ok(name, "There is none yet; the first start makes it.")]
        if not os.access(file, os.W_OK):
            return [wrong(name, f"{file} cannot be written.", "Give it to the gateway's user.")]
    try:
        async with _database(ledger_url(settings)) as database:
            return await _ledger(settings, database)
    except SetupError as error:
        return [wrong(name, str(error), "Mend INWIT_DATABASE_URL.")]
    except LedgerError as error:
        words = f"The database cannot be used: {reason_of(error)}."
        return [
            wrong(name, words, "Check INWIT_DATABASE_URL, its user and password, and its host.")
        ]


@asynccontextmanager
async def _database(url: str) -> AsyncGenerator[Database]:
    """Not opened as a gateway does it: that would migrate."""
    database = Database(url, timeout_s=_TIMEOUT_S)
    try:
        yield database
    finally:
        await database.close()


async def _ledger(settings: Settings, database: Database) -> list[Finding]:
    found = await database.read(schema.look)
    findings = [_schema(settings, found)]
    if settings.database_url is not None:
        findings += await database.read(_postgresql)
        findings += await _drift("the database", lambda: database.read(_database_clock))
    if found.found is not None:
        verified = await database.read(lambda connection: verify_tail(connection, _ENTRIES))
        findings.append(_chain(verified.entries, [each.problem for each in verified.breaks]))
    if found.current or found.usable:
        findings += await _sealed(settings, database)
        findings += await _signed(settings, database)
    return findings


async def _sealed(settings: Settings, database: Database) -> list[Finding]:
    """That its content is sealed by other keys than are set, or none: no gateway starts then."""
    with suppress(SetupError):  # told by `content keys`
        vault = configured_vault(settings) or Vault(NoKeys())
        try:
            await database.read(vault.check)
        except Shut:  # nothing is sealed here yet
            return []
        except KeyMissing as error:
            return [wrong("sealed content", str(error), "Bring back the keys that sealed it.")]
    return []


async def _signed(settings: Settings, database: Database) -> list[Finding]:
    """That its newest checkpoint is signed by a key that is not here: this gateway signs none."""
    name = "signed checkpoints"
    with suppress(SetupError):  # told by `signing keys`
        keys = await asyncio.to_thread(held_keys, settings)
        newest = await database.read(proofs.newest)
        if newest is None:
            return []
        try:
            signer, key_id = last_signer(newest)
        except NoteError:
            remedy = "Run `inwit ledger verify`, and find out who wrote to the database."
            return [wrong(name, "The newest one is no signed note.", remedy)]
        if key_id not in {key.id for key in keys}:
            words = (
                f"The newest one is signed by {signer}+{key_id}, which is not among the keys here: "
                "this gateway signs nothing."
            )
            return [wrong(name, words, _LOST_KEY)]
    return []


def _schema(settings: Settings, found: schema.Schema) -> Finding:
    name, has = "ledger schema", found.found or "none yet"
    if found.current:
        return ok(name, f"{has}, as this version has it.")
    if found.usable:
        words = f"{has}, of a newer version; this one ({found.wanted}) works on it too."
        return warning(name, words, "Finish the upgrade, or the step back.")
    if not found.known:
        words = f"{has}, which this version ({found.wanted}) does not know."
        return wrong(name, words, "Run the version that made it, or a later one.")
    words = f"{has}; this version needs {found.wanted}."
    if settings.migrate:
        return ok(name, f"{words} The next start migrates it.")
    return wrong(name, words, "Run `inwit ledger migrate`: INWIT_MIGRATE is off.")


def _chain(entries: int, problems: list[str]) -> Finding:
    name = "ledger chain"
    if not problems:
        return ok(name, f"The last {entries} entries hold together.")
    words = f"{len(problems)} breaks in the last {entries} entries; the first: {problems[0]}."
    return wrong(name, words, "Run `inwit ledger verify`, and find out who wrote to the database.")


def _postgresql(connection: sa.Connection) -> list[Finding]:
    name = "postgresql"
    told = {each: str(connection.execute(sa.text(f"SHOW {each}")).scalar()) for each in _TOLD}
    version = int(told["server_version_num"]) // 10_000
    findings = [_writable(connection, told)]
    if version < _OLDEST_POSTGRESQL:
        words = f"Version {version} is no longer maintained."
        findings.append(warning(name, words, f"Upgrade it to {_OLDEST_POSTGRESQL} or later."))
    else:
        findings.append(ok(name, f"Version {version}."))
    if told["default_transaction_isolation"] != "read committed":
        words = f"default_transaction_isolation is {told['default_transaction_isolation']}."
        remedy = (
            "Set it to read committed: else gateways that wait for each other read a stale end."
        )
        findings.append(wrong(name, words, remedy))
    for setting in ("synchronous_commit", "fsync"):
        if told[setting] == "off":
            words = f"{setting} is off: a crash may lose decisions that were released."
            findings.append(warning(name, words, f"Set {setting} to on."))
    return findings


_TOLD = (
    "server_version_num",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "synchronous_commit",
    "fsync",
)
_MAY_WRITE = sa.text(
    "SELECT CASE WHEN to_regclass('entries') IS NULL "
    "THEN has_schema_privilege(current_schema(), 'CREATE') "
    "ELSE has_table_privilege('entries', 'INSERT') END"
)


def _writable(connection: sa.Connection, told: dict[str, str]) -> Finding:
    name = "ledger writes"
    if connection.execute(sa.text("SELECT pg_is_in_recovery()")).scalar():
        return wrong(name, "This is a standby.", "Name the primary in INWIT_DATABASE_URL.")
    if told["default_transaction_read_only"] == "on":
        words = "default_transaction_read_only is on."
        return wrong(name, words, "Turn it off for the gateway's user.")
    if not connection.execute(_MAY_WRITE).scalar():
        words = "The database's user may not write to the ledger."
        return wrong(name, words, "Grant it CREATE on the schema, or INSERT on its tables.")
    return ok(name, "The database's user may write.")


def _database_clock(connection: sa.Connection) -> datetime:
    return connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()


async def _drift(of: str, ask: Callable[[], Any]) -> list[Finding]:
    """How far another clock is from this one, but for the time that asking took."""
    began = datetime.now(UTC)
    told: datetime = await ask()
    took = datetime.now(UTC) - began
    seconds = (told - (began + took / 2)).total_seconds()
    if abs(seconds) - took.total_seconds() / 2 <= _DRIFT_S:
        return [ok("clock", f"{of} and this machine agree within {_DRIFT_S:g} s.")]
    words = f"{of} is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine."
    return [warning("clock", words, "Let both follow one time server (NTP).")]


async def redis_of(settings: Settings) -> list[Finding]:
    """Whether Redis answers, how it keeps what it has, and what its loss would cost."""
    name = "redis"
    if settings.redis_url is None:
        return _embedded_redis(settings)
    try:
        async with redis_client(settings.redis_url.get_secret_value(), retries=False) as redis:
            return await _redis(redis)
    except SetupError as error:
        return [wrong(name, str(error), "Mend INWIT_REDIS_URL.")]
    except AuthenticationError:
        words = "Redis refuses the user or the password."
        return [wrong(name, words, "Mend them in INWIT_REDIS_URL.")]
    except (RedisError, RedisClusterException, QueueDown, OSError) as error:
        words = f"Redis does not answer ({type(error.__cause__ or error).__name__})."
        return [wrong(name, words, "Check that it runs, and the address in INWIT_REDIS_URL.")]


def _embedded_redis(settings: Settings) -> list[Finding]:
    name = "redis"
    if not settings.embedded_redis:
        remedy = "Set INWIT_REDIS_URL, or INWIT_EMBEDDED_REDIS=1 for one of its own."
        return [wrong(name, "No Redis is named.", remedy)]
    try:
        valkey_binary()
    except SetupError as error:
        return [wrong(name, str(error), "See the README.")]
    words = "Embedded: it starts with the gateway, and fits one gateway on one machine."
    return [ok(name, words)]


async def _redis(redis: Redis | RedisCluster) -> list[Finding]:
    name = "redis"
    await redis.ping()  # pyright: ignore  # typed for sync and async at once
    found = await look(redis)
    findings = [ok(name, f"Version {found.version}. If it is lost: {found.words}")]
    if too_old(found.version):
        findings = [wrong(name, f"Version {found.version}.", "Upgrade it to 7.0, or Valkey.")]
    findings += [warning(name, words, "See docs/queue.md.") for words in found.warnings]
    if found.sync not in ("always", "everysec", UNKNOWN):
        words = f"appendfsync is {found.sync}: a crash may cost some of the queue's index."
        findings.append(warning(name, words, "Set it to everysec."))
    if isinstance(redis, Redis):
        findings += await _primary(redis)
        findings += await _drift("Redis", lambda: _redis_clock(redis))
    return findings


async def _primary(redis: Redis) -> list[Finding]:
    told = await redis.info("replication")  # pyright: ignore[reportUnknownMemberType]  # **kwargs
    if told.get("role") in ("master", None):
        return []
    return [wrong("redis", "This is a replica.", "Name the primary, or Sentinel, in its address.")]


async def _redis_clock(redis: Redis) -> datetime:
    seconds, microseconds = await redis.time()  # pyright: ignore[reportUnknownMemberType]  # as above
    return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)
