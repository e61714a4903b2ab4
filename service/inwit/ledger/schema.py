"""Which schema a database has, which one this version knows, and the way from one to the other.

From 0005 on the name of a revision says the oldest one whose gateways may work on it too, such as
`0005_from_0004`: gateways of that version go on while newer ones start beside them, and after a
step back (docs/decisions/0030).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from inwit.errors import SetupError

_MIGRATIONS = Path(__file__).parent / "migrations"
_NAME = re.compile(r"(?P<number>[0-9]{4})(?:_from_(?P<oldest>[0-9]{4}))?")


@dataclass(frozen=True, slots=True)
class Schema:
    """The revision a database has (None: it is empty), and the one that this version brings."""

    found: str | None
    wanted: str
    known: bool

    @property
    def current(self) -> bool:
        """Whether they are the same."""
        return self.found == self.wanted

    @property
    def older(self) -> bool:
        """Whether the database is to be migrated."""
        return self.known and not self.current

    @property
    def usable(self) -> bool:
        """Whether a newer one says that this version's gateways may work on it."""
        found, wanted = _NAME.fullmatch(self.found or ""), _NAME.fullmatch(self.wanted)
        if found is None or wanted is None or found["oldest"] is None:
            return False
        return found["oldest"] <= wanted["number"] < found["number"]


def look(connection: sa.Connection) -> Schema:
    """Read it; nothing is changed."""
    found = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(_config())
    names = {script.revision for script in scripts.walk_revisions()}
    return Schema(found, str(scripts.get_current_head()), found is None or found in names)


def migrate(connection: sa.Connection) -> Schema:
    """Bring the database to this version's schema, and give what was found.

    A newer one that this version may work on is left as it is. Run it in a transaction that only
    one can have at a time.

    Raises:
        SetupError: it is newer, and this version may not.
    """
    schema = look(connection)
    if schema.older:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    elif not schema.current:
        _check_newer(schema)
    return schema


def check(connection: sa.Connection) -> Schema:
    """Give what was found, where this version can work on it without a migration.

    Raises:
        SetupError: it cannot.
    """
    schema = look(connection)
    if schema.older:
        raise SetupError(
            f"The ledger's database has the schema {schema.found or 'of nothing yet'}, and this "
            f"version needs {schema.wanted}. Run `inwit ledger migrate`, or set INWIT_MIGRATE=1."
        )
    if not schema.current:
        _check_newer(schema)
    return schema


def _check_newer(schema: Schema) -> None:
    if not schema.usable:
        raise SetupError(
            f"The ledger's database has the schema {schema.found}, which this version does not "
            f"know: it brings {schema.wanted}. Run the version that made it, or a later one."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
