"""Tools: which may be offered, and what is to be said of the calls in a candidate. Pure."""

import json
import math
import re

from inwit.errors import FieldError, InvalidField
from inwit.pipeline.exchange import canonical
from inwit.pipeline.redaction import private_spans
from inwit.policy.decide import ToolFinding
from inwit.policy.policy import Policy, ToolReview
from inwit.types import Candidate, Message, Tool, ToolCall

# No judge reads a call's id, and it leaves with the call: it must not be able to carry a text.
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def permit_tools(policy: Policy, tools: tuple[Tool, ...]) -> None:
    """Let only such tools be offered as the policy names.

    Raises:
        InvalidField: naming those that it does not.
    """
    known = ", ".join(policy.tools) or "none"
    errors = tuple(
        FieldError(
            f"tools[{index}].function.name",
            f"not permitted by the policy {policy.name!r}; permitted: {known}",
        )
        for index, tool in enumerate(tools)
        if tool.name not in policy.tools
    )
    if errors:
        raise InvalidField("The request offers tools that its policy does not permit.", errors)


def tool_finding(
    policy: Policy,
    candidate: Candidate,
    offered: frozenset[str],
    messages: tuple[Message, ...],
) -> ToolFinding:
    """What the policy says of the candidate's tool calls: the worst of them counts.

    `offered` are the names that the caller offered: others it could not run. `messages` are the
    caller's.
    """
    calls = candidate.tool_calls
    if len({call.id for call in calls}) < len(calls):
        return ToolFinding.OUTSIDE
    findings = [_finding(policy, call, offered) for call in calls]
    if any(_discloses(policy, call, messages) for call in calls):
        findings.append(ToolFinding.PRIVATE_DATA)
    return max(findings, key=list(ToolFinding).index, default=ToolFinding.NONE)


def _finding(policy: Policy, call: ToolCall, offered: frozenset[str]) -> ToolFinding:
    rule = policy.tools.get(call.name)
    if rule is None or call.name not in offered or _ID.fullmatch(call.id) is None:
        return ToolFinding.OUTSIDE
    try:
        arguments = json.loads(
            call.arguments or "{}",
            parse_constant=_refuse,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
        json.dumps(arguments, ensure_ascii=False).encode()  # half a surrogate pair is no text
        wrong = rule.wrong(arguments)
    except (ValueError, RecursionError):
        return ToolFinding.OUTSIDE
    if not isinstance(arguments, dict) or wrong is not None:
        return ToolFinding.OUTSIDE
    person = rule.review is ToolReview.PERSON
    return ToolFinding.NEEDS_PERSON if person else ToolFinding.PERMITTED


def _discloses(policy: Policy, call: ToolCall, messages: tuple[Message, ...]) -> bool:
    """Whether the arguments hold private data that the policy masks: a call cannot be masked.

    What may pass if it was sent first may come from any turn here: a tool's result is where a call
    has its values from.
    """
    said = tuple(Message("user", turn.content) for turn in messages if turn.content)
    return bool(private_spans(policy, canonical(call), said))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of two equal keys, one reader takes the first and another the last: refused."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):  # 1e999, which the policy's schema would see as null
        raise ValueError("a number is too large")
    return value


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")
