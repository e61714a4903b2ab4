"""Tools: which may be offered, and what is to be said of the calls in a candidate. Pure."""

import json

from inwit.errors import FieldError, InvalidField
from inwit.policy.decide import ToolFinding
from inwit.policy.policy import Policy, ToolReview
from inwit.types import Candidate, Tool, ToolCall


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


def tool_finding(policy: Policy, candidate: Candidate) -> ToolFinding:
    """What the policy says of the candidate's tool calls: the worst of them counts."""
    findings = [_finding(policy, call) for call in candidate.tool_calls]
    return max(findings, key=list(ToolFinding).index, default=ToolFinding.NONE)


def _finding(policy: Policy, call: ToolCall) -> ToolFinding:
    rule = policy.tools.get(call.name)
    if rule is None:
        return ToolFinding.OUTSIDE
    try:
        arguments = json.loads(
            call.arguments or "{}", parse_constant=_refuse, object_pairs_hook=_unique
        )
        wrong = rule.wrong(arguments)
    except (ValueError, RecursionError):
        return ToolFinding.OUTSIDE
    if not isinstance(arguments, dict) or wrong is not None:
        return ToolFinding.OUTSIDE
    person = rule.review is ToolReview.PERSON
    return ToolFinding.NEEDS_PERSON if person else ToolFinding.PERMITTED


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of two equal keys, one reader takes the first and another the last: refused."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")
