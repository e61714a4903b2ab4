"""What `POST /v1/check` answers."""

from typing import Any, Literal

from pydantic import Field, field_serializer

from inwit.api.problems import Problem, problem_json
from inwit.api.respond_answer import (
    PassageOut,
    PolicyOut,
    ReceiptOut,
    UsagesOut,
    policy_out,
    receipt_out,
    usages_out,
)
from inwit.api.respond_request import ToolCall
from inwit.api.review_answer import ReviewOut, review_out
from inwit.api.schemas import Wire, example
from inwit.decisions import Response
from inwit.errors import InwitError
from inwit.types import Action

CheckStatus = Literal["passed", "changed", "unreviewed", "withheld"]


class CheckedOutput(Wire):
    """What may leave."""

    content: str = Field(
        description="The text: masked where the policy masks, or the reviewed rewrite.",
        examples=["The moon pulls the sea."],
    )
    tool_calls: list[ToolCall] = Field(
        description="The calls that may be made; a rewrite has none.", examples=[[]]
    )


class CheckResponse(Wire):
    """What became of one candidate."""

    id: str = Field(
        description="Id of the check; `inwit ledger show` takes it.", examples=["resp_5f0c"]
    )
    status: CheckStatus = Field(
        description="passed: reviewed whole, and may leave as it is. changed: only `output` may "
        "leave, masked or rewritten. unreviewed: a judge that was needed did not review all of "
        "it, and the policy lets `output` leave all the same. withheld: nothing may leave.",
        examples=["passed"],
    )
    action: Action = Field(
        description="What the policy decided. In a check rewrite (it was not, or in vain) and "
        "escalate (nobody is asked) withhold it, as block does.",
        examples=["allow"],
    )
    model: str = Field(
        description="The gateway's model, which judged and rewrote.", examples=["my-model"]
    )
    output: CheckedOutput | None = Field(
        description="What may leave; null where nothing may.", examples=[example(CheckedOutput)]
    )
    review: ReviewOut = Field(description="What was checked.", examples=[example(ReviewOut)])
    context: list[PassageOut] = Field(description="What became of each passage.", examples=[[]])
    policy: PolicyOut = Field(description="The policy that decided.", examples=[example(PolicyOut)])
    usage: UsagesOut = Field(
        description="Tokens used; generation is that of rewrites.", examples=[example(UsagesOut)]
    )
    timings_ms: dict[str, float] = Field(
        description="Milliseconds by stage, and in total.",
        examples=[{"judge": 31.0, "record": 1.2, "total": 33.1}],
    )
    receipt: ReceiptOut = Field(
        description="The entry in the ledger.", examples=[example(ReceiptOut)]
    )


class CheckFailed(Wire):
    """A candidate on which nothing was decided: it must not leave."""

    error: Problem = Field(
        description="Why, as in any error's answer.", examples=[example(Problem)]
    )

    @field_serializer("error")
    def _as_a_problem(self, error: Problem) -> dict[str, Any]:
        return error.model_dump(mode="json", exclude_none=True)


class CheckResponses(Wire):
    """What became of several candidates."""

    results: list[CheckResponse | CheckFailed] = Field(
        description="One for each candidate, in their order.", examples=[[]]
    )


def check_out(result: Response | InwitError, request_id: str) -> CheckResponse | CheckFailed:
    """The answer about one candidate."""
    if isinstance(result, InwitError):
        problem = Problem.model_validate_json(problem_json(result, request_id))
        return CheckFailed(error=problem)
    record, output, status = result.record, result.output, check_status(result)
    calls = [ToolCall.model_validate(call.as_openai()) for call in output.tool_calls]
    may_leave = CheckedOutput(content=output.text, tool_calls=calls)
    return CheckResponse(
        id=record.origin.response_id,
        status=status,
        action=record.decision.action,
        model=record.origin.model,
        output=None if status == "withheld" else may_leave,
        review=review_out(record),
        context=[
            PassageOut(id=each.id, used=each.used, why=each.why, flagged=each.flagged)
            for each in record.passages
        ],
        policy=policy_out(record),
        usage=usages_out(record.usage),
        timings_ms=dict(result.timings_ms),
        receipt=receipt_out(result.receipt),
    )


def check_status(response: Response) -> CheckStatus:
    """What may be done with the candidate that a caller brought."""
    record, output = response.record, response.output
    brought = record.rounds[0].candidate
    if record.decision.action not in (Action.ALLOW, Action.REDACT):
        return "withheld"
    if not record.decision.reviewed:
        return "unreviewed"
    same = (output.text, output.tool_calls) == (brought.text, brought.tool_calls)
    return "passed" if same else "changed"
