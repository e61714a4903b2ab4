"""The input stage: what the policy's patterns and classifiers say of the caller's own messages."""

import asyncio
from contextlib import AbstractContextManager

from inwit.pipeline.exchange import input_exchange
from inwit.pipeline.instructions import gives_instructions
from inwit.pipeline.normalise import shown
from inwit.pipeline.protocols import Classifiers
from inwit.policy.policy import Band, InputRule, Policy
from inwit.types import Message, Verdict


async def judge_input(
    classifiers: Classifiers,
    policy: Policy,
    conversation: tuple[Message, ...],
    tenant: str,
    timeout_s: float,
    asking: AbstractContextManager[object],
) -> tuple[Verdict | None, bool]:
    """The classifiers' verdict, where the policy names any, and whether the input is flagged.

    Runs beside generation; a classifier that fails is a verdict, and flags nothing by itself.
    `asking` is entered while the classifiers are asked: the rest of the time is Inwit's own.
    """
    rule = policy.input
    if rule is None:
        return None, False
    said = [turn.content for turn in conversation if turn.role == "user"]
    matched = await asyncio.to_thread(_matches, rule, said)
    if not rule.use:
        return None, matched
    exchange = input_exchange(conversation, tenant, policy.harms)
    with asking:
        verdict = await classifiers.classify(rule.use, exchange, timeout_s)
    risky = verdict.risk is not None and rule.thresholds.band(verdict.risk) is not Band.PASS
    return verdict, matched or risky


def _matches(rule: InputRule, said: list[str]) -> bool:
    checks = [*rule.patterns.values(), *([gives_instructions] if rule.instructions else [])]
    texts = dict.fromkeys(each for text in said for each in (text, shown(text).text))
    return any(check(text) for text in texts for check in checks)
