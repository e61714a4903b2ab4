"""Which master keys seal the content, as the settings say it."""

from inwit.config import Settings
from inwit.errors import SetupError
from inwit.ledger.content_keys import FILE, KeyFile, KeyHolder, KeyLines
from inwit.ledger.vault import Vault


def configured_vault(settings: Settings) -> Vault | None:
    """The vault of these settings; None where a shared database has no key yet.

    Beside a file of SQLite a key is made where none is set. Beside a database that gateways share
    it is not: each would make its own, and what is lost with one of them nobody reads again.

    Raises:
        SetupError: the keys cannot be read, or are no keys.
    """
    holder = key_holder(settings)
    return None if holder is None else Vault(holder)


def key_holder(settings: Settings) -> KeyHolder | None:
    """Who holds the master keys.

    Raises:
        SetupError: the keys cannot be read, or are no keys.
    """
    given, file = settings.content_key, settings.content_key_file
    if given is not None and file is not None:
        raise SetupError("Set INWIT_CONTENT_KEY_FILE or INWIT_CONTENT_KEY, and not both.")
    if given is not None:
        return KeyLines(given.get_secret_value(), "INWIT_CONTENT_KEY")
    if file is not None:
        return KeyFile(file)
    return KeyFile(settings.data_dir / FILE, make=True) if settings.database_url is None else None
