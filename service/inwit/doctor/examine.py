"""Looks at everything at once, each thing for a few seconds at most."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from inwit.config import Settings
from inwit.doctor.finding import Finding, wrong
from inwit.doctor.judges import classifiers_of, model_and_calibrations, policies_of
from inwit.doctor.read_at_start import (
    anchors_of,
    content_keys,
    evaluation_report,
    redaction,
    signing_keys,
)
from inwit.doctor.stores import data_folder, ledger_of, redis_of
from inwit.doctor.surroundings import collector, drain_of, ports_of, secret_files

Check = Callable[[Settings], Awaitable[list[Finding]]]

CHECKS: Mapping[str, Check] = {
    "data folder": data_folder,
    "ledger": ledger_of,
    "content keys": content_keys,
    "signing keys": signing_keys,
    "anchors": anchors_of,
    "redaction": redaction,
    "redis": redis_of,
    "policies": policies_of,
    "model": model_and_calibrations,
    "classifiers": classifiers_of,
    "drain": drain_of,
    "ports": ports_of,
    "secrets": secret_files,
    "collector": collector,
    "evaluation report": evaluation_report,
}
_LONGEST_S = 5.0
_LOADING_S = {"redaction": 60.0}  # as the gateway loads it, models and all


async def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order of `CHECKS`; takes as long as the slowest of them."""
    checks = (_bounded(name, check, settings) for name, check in CHECKS.items())
    return [finding for found in await asyncio.gather(*checks) for finding in found]


async def _bounded(name: str, check: Check, settings: Settings) -> list[Finding]:
    longest_s = _LOADING_S.get(name, _LONGEST_S)
    try:
        async with asyncio.timeout(longest_s):
            return await check(settings)
    except TimeoutError:
        words = f"It does not answer within {longest_s:g} s."
        return [wrong(name, words, "See whether it is overloaded, or cut off by a firewall.")]
    except Exception as error:  # noqa: BLE001  # one broken check must not hide the others
        words = f"The check itself failed ({type(error).__name__})."
        return [wrong(name, words, "Report it: this is a bug of Inwit.")]
