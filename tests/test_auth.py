"""API keys: who they are, what they may use, and what is told of them."""

import pytest
import sqlalchemy as sa

from inwit.auth import ApiKeys
from inwit.errors import Forbidden, LedgerError, Unauthorized
from inwit.ledger.database import Database
from inwit.ledger.tables import API_KEYS
from inwit.types import KeyRole


@pytest.fixture
def keys(database: Database) -> ApiKeys:
    return ApiKeys(database, cache_s=0)


async def make(keys: ApiKeys, *policies: str) -> str:
    _, key = await keys.create(
        name="n", tenant="acme", policies=policies, roles=[KeyRole.RESPOND, KeyRole.AUDIT]
    )
    return key


async def test_a_key_may_use_the_policies_it_lists_the_first_by_default(keys: ApiKeys) -> None:
    key = await make(keys, "support", "default", "support", "a-1")

    principal = await keys.authenticate(f"Bearer {key}", KeyRole.RESPOND)
    (listed,) = await keys.list()

    assert principal.policies == listed.policies == ("support", "default", "a-1")
    assert principal.default_policy == "support"
    assert principal.roles == {KeyRole.RESPOND, KeyRole.AUDIT}


@pytest.mark.parametrize("policies", [(), ("",), ("a,b",), ("default", "B"), ("a\n",), ("1",)])
async def test_a_name_that_no_policy_can_have_makes_no_key(
    keys: ApiKeys, policies: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="policies"):
        await make(keys, *policies)

    assert await keys.list() == []


async def test_a_row_that_someone_emptied_allows_no_policy_that_exists(
    keys: ApiKeys, database: Database
) -> None:
    key = await make(keys, "default")
    await database.write(lambda db: db.execute(sa.update(API_KEYS).values(policies="")))

    principal = await keys.authenticate(f"Bearer {key}", KeyRole.RESPOND)

    assert principal.default_policy == ""


async def test_a_role_that_a_key_lacks_is_named(keys: ApiKeys) -> None:
    key = await make(keys, "default")

    with pytest.raises(Forbidden, match="'admin'"):
        await keys.authenticate(f"Bearer {key}", KeyRole.ADMIN)


async def test_what_is_no_key_is_refused_without_saying_why(keys: ApiKeys) -> None:
    key = await make(keys, "default")
    head, secret = key[:-43], key[-43:]
    other = "A" if secret[0] != "A" else "B"

    for token in (None, "", "Bearer", f"Basic {key}", f"Bearer {head}{other}{secret[1:]}"):
        with pytest.raises(Unauthorized):
            await keys.authenticate(token, KeyRole.RESPOND)
    for token in ("inwit_nobody_x", "inwit_", "x_y_z", head.rstrip("_"), f"{key}x"):
        with pytest.raises(Unauthorized, match="unknown or revoked"):
            await keys.authenticate(f"Bearer {token}", KeyRole.RESPOND)


async def test_a_revoked_key_ends_at_once_here_and_with_the_cache_elsewhere(
    keys: ApiKeys, database: Database
) -> None:
    key = await make(keys, "default")
    (listed,) = await keys.list()
    elsewhere = ApiKeys(database, cache_s=60)
    await elsewhere.authenticate(f"Bearer {key}", KeyRole.RESPOND)

    await keys.revoke(listed.id)

    with pytest.raises(Unauthorized):
        await keys.authenticate(f"Bearer {key}", KeyRole.RESPOND)
    await elsewhere.authenticate(f"Bearer {key}", KeyRole.RESPOND)


async def test_keys_that_cannot_be_looked_up_are_no_refusal(
    keys: ApiKeys, database: Database
) -> None:
    key = await make(keys, "default")
    await database.write(lambda db: db.execute(sa.text("DROP TABLE api_keys")))

    with pytest.raises(LedgerError):
        await keys.authenticate(f"Bearer {key}", KeyRole.RESPOND)
