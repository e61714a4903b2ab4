"""Decisions as the ledger's entries tell them."""

import json
from dataclasses import replace
from typing import Any

from inwit.decisions import AskReason, Record, Round, Sampling
from inwit.ledger.chain import entry_body, entry_facts
from inwit.miss_rate.seen import Lenience
from inwit.policy.decide import Evidence, decide
from inwit.policy.policy import OnInput, Policy
from inwit.types import Action, Candidate
from tests.ledger.test_store import RECORD


def decided(
    policy: Policy, evidence: Evidence, rate: float | None, *, drawn: bool = False
) -> dict[str, Any]:
    """The facts of the entry of a decision on this evidence; `drawn` where the slice fell on it."""
    decision = decide(policy, evidence)
    slice_ = None if rate is None else Sampling(rate, drawn)
    judged = Round(Candidate("The moon.", "m"), decision, evidence.asked, sampling=slice_)
    origin = replace(RECORD.origin, policy=policy.ref)
    return facts_of(replace(RECORD, origin=origin, decision=decision, rounds=(judged,)))


def facts_of(record: Record) -> dict[str, Any]:
    """The facts as they are read back."""
    salts = {kind: bytes(32) for kind in record.contents}
    return json.loads(entry_body(entry_facts(record, "ent_1", salts), 1, bytes(32)))


def lenience_in(policy: Policy) -> Lenience:
    """What the policy's text would say."""
    rule = policy.input
    return Lenience(
        doubt=policy.on_doubt is Action.ALLOW,
        failure=policy.on_review_failure is Action.ALLOW,
        truncated=policy.on_truncated is Action.ALLOW,
        input_stops=rule is not None and rule.on_flag is OnInput.BLOCK,
    )


SLICE = (AskReason.SAMPLE,)
