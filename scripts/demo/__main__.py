"""`make demo`: a gateway on this machine whose review queue is full, and people to sign in as.

Everything is real but the cases: this project wrote their texts and their scores. They lie in a
folder of their own (var/demo), apart from what `make up` keeps.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import uvloop
from scripts.demo.closed import History
from scripts.demo.records import MODEL, TENANT, open_drafts

from inwit.bootstrap import Gateway
from inwit.cases import Reviewer, Role
from inwit.config import load_settings
from inwit.console.account_rows import OPERATOR
from inwit.console.accounts import Accounts
from inwit.console.passwords import Passwords
from inwit.ledger_setup import prepare_data_dir
from inwit.logs import configure_logs
from inwit.policy.policy import Policy
from inwit.serve import serve
from inwit.types import KeyRole

_FOLDER = Path("var/demo")
_PEOPLE = {
    "robin": Role.REVIEWER,
    "sam": Role.SENIOR,
    "alex": Role.AUDITOR,
    "pat": Role.ADMIN,
}
_RULED_BEFORE = ("kim", "lou", "noa")  # on the closed cases; nobody signs in as them
_GOLDEN_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class _Filled:
    """What the demo opens with."""

    waiting: int
    closed: int
    passwords: Mapping[str, str]


def main() -> None:
    """Serve until Ctrl-C."""
    settings = load_settings(
        data_dir=_FOLDER,
        embedded_model="INWIT_MODEL_URL" not in os.environ,
        embedded_redis="INWIT_REDIS_URL" not in os.environ,
        golden_share=float(os.environ.get("INWIT_GOLDEN_SHARE", _GOLDEN_SHARE)),
    )
    prepare_data_dir(settings.data_dir)
    log_file = settings.data_dir / "log" / "inwit.jsonl"
    log_file.parent.mkdir(exist_ok=True)
    configure_logs(settings.log_level, log_file)
    print("Inwit's demo is starting", flush=True)  # noqa: T201

    async def announce(gateway: Gateway, address: str) -> None:
        print(_banner(address, await _fill(gateway)), flush=True)  # noqa: T201

    uvloop.run(serve(settings, lambda step: print(f"  {step}", flush=True), announce))  # noqa: T201


async def _fill(gateway: Gateway) -> _Filled:
    """Put the cases into the queue, and what was before into the ledger."""
    policy = gateway.policies.current["default"]
    key, _ = await gateway.keys.create(
        name="demo", tenant=TENANT, policies=[policy.name], roles=[KeyRole.RESPOND]
    )
    passwords = await _people(gateway)
    model = _served(gateway)
    closed = await _history(gateway, policy, key.id, model)
    drafts = open_drafts(policy, key.id, model)
    for draft in drafts:
        await gateway.ledger.append(draft.record)
    await gateway.escalation.index.catch_up()
    return _Filled(len(drafts), closed, passwords)


def _served(gateway: Gateway) -> str:
    """The model that judges edits; where its server is not up yet, the one that will be."""
    found = gateway.capabilities()
    return gateway.settings.model or (found.models[0] if found else MODEL)


async def _history(gateway: Gateway, policy: Policy, key_id: str, model: str) -> int:
    """Closed cases, at the first start alone; how many."""
    accounts = Accounts(gateway.database, gateway.ledger)
    if await accounts.named(_RULED_BEFORE[0]) is not None:
        return 0
    for name in _RULED_BEFORE:
        await accounts.create(name, Reviewer("", Role.REVIEWER), None, OPERATOR)
    people = {each.name: each.reviewer for each in await accounts.list()}
    return await History(gateway, people).write(policy, key_id, model)


async def _people(gateway: Gateway) -> dict[str, str]:
    """New passwords for the demo's people, who are made at the first start."""
    accounts, passwords = Accounts(gateway.database, gateway.ledger), Passwords()
    told: dict[str, str] = {}
    for name, role in _PEOPLE.items():
        told[name] = secrets.token_urlsafe(12)
        hashed = await passwords.hash(told[name])
        known = await accounts.named(name)
        if known is None:
            await accounts.create(name, Reviewer("", role), hashed, OPERATOR)
        else:
            await accounts.set_password(known.id, hashed, OPERATOR)
    return told


def _banner(address: str, filled: _Filled) -> str:
    people = "\n".join(
        f"  {name:8}{_PEOPLE[name].value:10}{password}"
        for name, password in filled.passwords.items()
    )
    before = f" {filled.closed} more are ruled on already." if filled.closed else ""
    return f"""
The review console is at {address}/console
{filled.waiting} new cases wait.{before}
This project wrote them, scores too: no model, and no judge, has seen them.

Sign in as:
{people}

Stop with Ctrl-C. Data is in {_FOLDER}; each start adds the waiting cases again."""


main()
