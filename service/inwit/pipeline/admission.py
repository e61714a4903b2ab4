"""Admission: which policy holds for a call, what it may bring, and what the model is asked."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from inwit.decisions import Origin, Passage
from inwit.errors import FieldError, Forbidden, InvalidField
from inwit.pipeline.protocols import Model
from inwit.pipeline.retrieval import (
    admit_passages,
    untrusted_as_data,
    untrusted_instructions,
    with_passages,
)
from inwit.pipeline.reviewer import ReviewLimits, Subject
from inwit.pipeline.streaming import Live
from inwit.pipeline.tools import permit_tools
from inwit.policy.policy import Policy, StreamMode
from inwit.tracing import StageTimer
from inwit.types import Call, Enforcement, Generation, Message, Verdict

_OF_TOOLS = ("tool_choice", "parallel_tool_calls")  # vLLM takes neither without tools


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one request and on all of them together; times in milliseconds."""

    max_in_flight: int
    deadline_ms: int
    generate_ms: int
    record_ms: int
    max_tokens: int
    review: ReviewLimits


@dataclass(frozen=True, slots=True)
class Job:
    """An admitted call."""

    id: str
    call: Call
    policy: Policy
    generation: Generation
    passages: tuple[Passage, ...]
    ends: float  # on the event loop's clock, seconds
    timer: StageTimer
    live: Live | None

    @property
    def streams(self) -> bool:
        """Whether text may leave before the decision."""
        return self.live is not None and self.policy.stream.mode is not StreamMode.BUFFER

    @property
    def origin(self) -> Origin:
        """What every entry about this response says of it."""
        enforcement = self.policy.stream.enforcement if self.streams else Enforcement.FULL
        return Origin(
            self.id,
            self.call.principal,
            self.policy.ref,
            self.generation.model,
            enforcement,
            self.call.request_id,
            self.call.end_user,
        )

    def subject(self, verdict: Verdict | None, flagged: bool) -> Subject:
        """What reviews need to know, once the input stage has spoken."""
        return Subject(
            policy=self.policy,
            conversation=self.generation.messages,
            messages=self.call.messages,
            tenant=self.generation.tenant,
            ends=self.ends,
            timer=self.timer,
            offered=frozenset(tool.name for tool in self.call.tools),
            untrusted_instructions=untrusted_instructions(self.call.messages, self.passages),
            input=verdict,
            input_flagged=flagged,
        )

    def rewriting(self, messages: tuple[Message, ...]) -> Generation:
        """The order for a rewrite: of text only, whatever tools were offered before."""
        extra = {key: each for key, each in self.generation.extra.items() if key not in _OF_TOOLS}
        return replace(self.generation, messages=messages, tools=(), extra=extra)


def admit(
    call: Call,
    policies: Mapping[str, Policy],
    model: Model,
    limits: Limits,
    live: Live | None = None,
) -> Job:
    """Admit a call; `live` is told the response's id.

    Raises:
        Forbidden: the key may not use that policy.
        InvalidField: no such policy or model, or passages or tools that the policy does not permit.
        UpstreamUnavailable: the model server has not been reached yet.
    """
    policy = _policy_for(call, policies)
    permit_tools(policy, call.tools)
    passages = admit_passages(policy, call.context)
    used = {index for index, passage in enumerate(passages) if passage.used}
    texts = tuple(each for index, each in enumerate(call.context) if index in used)
    deadline_ms = min(call.deadline_ms or limits.deadline_ms, limits.deadline_ms)
    generation = Generation(
        messages=with_passages(untrusted_as_data(call.messages), texts),
        model=model.resolve(call.model),
        max_tokens=min(call.max_tokens or limits.max_tokens, limits.max_tokens),
        tenant=call.principal.tenant,
        temperature=call.temperature,
        seed=call.seed,
        tools=call.tools,
        extra=call.extra,
    )
    ends = asyncio.get_running_loop().time() + deadline_ms / 1000
    name = f"resp_{uuid.uuid4().hex}"
    job = Job(name, call, policy, generation, passages, ends, StageTimer(), live)
    if live is not None:
        live.open(name, job.origin.enforcement)
    return job


def _policy_for(call: Call, policies: Mapping[str, Policy]) -> Policy:
    own = call.principal.policies
    wanted = call.policy or call.principal.default_policy
    if wanted not in own:
        if wanted not in policies:
            wrong = FieldError("policy", f"no such policy; this API key has: {', '.join(own)}")
            raise InvalidField("The request names a policy that does not exist.", (wrong,))
        raise Forbidden(f"This API key may decide by these policies only: {', '.join(own)}.")
    policy = policies.get(wanted)
    if policy is None:
        raise Forbidden(
            f"This API key decides by the policy {wanted!r}, which this gateway does not have. "
            "Its operator must add the policy, or give you another key."
        )
    return policy
