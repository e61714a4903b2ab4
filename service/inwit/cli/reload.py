"""`inwit policy reload`."""

import asyncio

import typer

from inwit.bootstrap import check_classifiers
from inwit.clients.classifiers.configured import configured_panel
from inwit.clients.redis import redis_client
from inwit.config import load_settings
from inwit.errors import SetupError
from inwit.policy.loader import PACKAGED, load_policies
from inwit.reload import tell_gateways


def reload_policies() -> None:
    """Compile the policy folder here, then have every gateway bring its own into force."""
    settings = load_settings()
    if settings.redis_url is None:
        raise SetupError(
            "Set INWIT_REDIS_URL as the gateways have it. A gateway with a Redis of its own sees "
            "the change by itself within INWIT_HEALTH_INTERVAL_MS, or at once on SIGHUP."
        )
    policies = load_policies(settings.policy_dir or PACKAGED)
    check_classifiers(configured_panel(settings.classifiers), policies)
    listeners = asyncio.run(_tell(settings.redis_url.get_secret_value()))
    for policy in policies.values():
        typer.echo(f"{policy.name}  {policy.ref.version}  {policy.ref.digest}")
    typer.echo(f"gateways told: {listeners} (/readyz of each says what is in force there)")
    if not listeners:
        typer.echo("Those that run see it by themselves within INWIT_HEALTH_INTERVAL_MS.")


async def _tell(url: str) -> int:
    async with redis_client(url) as redis:
        return await tell_gateways(redis)
