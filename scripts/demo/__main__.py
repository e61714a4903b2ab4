"""`make demo`: a gateway on this machine whose review queue is full, and people to sign in as.

Everything is real but the cases: this project wrote their texts and their scores. They lie in a
folder of their own (var/demo), apart from what `make up` keeps.
"""

import os
import secrets
from pathlib import Path

import uvloop
from scripts.demo.records import TENANT, demo_records

from inwit.bootstrap import Gateway, prepare_data_dir
from inwit.cases import Reviewer, Role
from inwit.config import load_settings
from inwit.console.account_rows import OPERATOR
from inwit.console.accounts import Accounts
from inwit.console.passwords import Passwords
from inwit.serve import serve
from inwit.telemetry import configure_logs
from inwit.types import KeyRole

_FOLDER = Path("var/demo")
_PEOPLE = {"robin": Role.REVIEWER, "sam": Role.SENIOR, "alex": Role.AUDITOR}


def main() -> None:
    """Serve until Ctrl-C."""
    settings = load_settings(
        data_dir=_FOLDER,
        embedded_model="INWIT_MODEL_URL" not in os.environ,
        embedded_redis="INWIT_REDIS_URL" not in os.environ,
    )
    prepare_data_dir(settings.data_dir)
    log_file = settings.data_dir / "log" / "inwit.jsonl"
    log_file.parent.mkdir(exist_ok=True)
    configure_logs(settings.log_level, log_file)
    print("Inwit's demo is starting", flush=True)  # noqa: T201

    async def announce(gateway: Gateway, address: str) -> None:
        count = await _fill(gateway)
        passwords = await _people(gateway)
        print(_banner(address, count, passwords), flush=True)  # noqa: T201

    uvloop.run(serve(settings, lambda step: print(f"  {step}", flush=True), announce))  # noqa: T201


async def _fill(gateway: Gateway) -> int:
    """Put the cases into the queue; how many there are."""
    policy = gateway.policies.current["default"]
    key, _ = await gateway.keys.create(
        name="demo", tenant=TENANT, policies=[policy.name], roles=[KeyRole.RESPOND]
    )
    records = demo_records(policy, key.id)
    for record in records:
        await gateway.ledger.append(record)
    await gateway.escalation.index.catch_up()
    return len(records)


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


def _banner(address: str, count: int, passwords: dict[str, str]) -> str:
    people = "\n".join(
        f"  {name:8}{_PEOPLE[name].value:10}{password}" for name, password in passwords.items()
    )
    return f"""
The review console is at {address}/console
{count} new cases wait. This project wrote them, scores too: no model, and no judge, has seen them.

Sign in as:
{people}

Stop with Ctrl-C. Data is in {_FOLDER}; each start adds the cases again."""


main()
