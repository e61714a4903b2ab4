"""What the console's pages lean on, open."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio import Redis, RedisCluster

from inwit.config import Settings
from inwit.console.accounts import Accounts
from inwit.console.attempts import Attempts
from inwit.console.oidc import SignInByProvider, provider_client, provider_settings
from inwit.console.pages import Pages
from inwit.console.passwords import Passwords
from inwit.console.sessions import Sessions
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """Everything that the console's routes are handed. `provider` is None where none is set."""

    settings: Settings
    database: Database
    ledger: LedgerStore
    accounts: Accounts
    passwords: Passwords
    attempts: Attempts
    sessions: Sessions
    provider: SignInByProvider | None
    pages: Pages


@asynccontextmanager
async def open_console(
    settings: Settings,
    database: Database,
    ledger: LedgerStore,
    redis: Redis | RedisCluster,
    passwords: Passwords | None = None,
) -> AsyncGenerator[ConsoleParts]:
    """The parts, over what the gateway has open. Nothing is asked of a provider yet."""
    passwords = passwords or Passwords()
    sessions = Sessions(
        redis,
        longest=timedelta(seconds=settings.session_s),
        idle=timedelta(seconds=settings.session_idle_s),
    )
    async with AsyncExitStack() as stack:
        provider = None
        if wanted := provider_settings(settings):
            http = await stack.enter_async_context(provider_client())
            provider = SignInByProvider(wanted, http, redis)
        yield ConsoleParts(
            settings=settings,
            database=database,
            ledger=ledger,
            accounts=Accounts(database, ledger),
            passwords=passwords,
            attempts=Attempts(ledger, redis, passwords),
            sessions=sessions,
            provider=provider,
            pages=Pages(),
        )
