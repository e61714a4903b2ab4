"""A reviewer's own text goes through the judges, like everything that leaves."""

from collections.abc import Mapping
from typing import Any, Protocol

from inwit.decisions import Round
from inwit.errors import InvalidField, UnknownModel
from inwit.ledger.case_files import CaseFile
from inwit.pipeline.pipeline import Pipeline
from inwit.types import Action, Call, Candidate, Principal


class EditJudge(Protocol):
    """Has a text judged in a candidate's place."""

    async def judge(self, file: CaseFile, text: str) -> Mapping[str, Any]:
        """What the judges say, as JSON; `passed` where nothing speaks against its release.

        `model` is the one that judged; `instead_of` the case's own, where it is served no more.

        Raises:
            InwitError: they cannot be asked.
        """
        ...


class PipelineJudge:
    """The pipeline's own judges, under the case's policy as it is now."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def judge(self, file: CaseFile, text: str) -> Mapping[str, Any]:
        """Ask the conscience, and the classifier too: a person wrote it, so neither has seen it.

        The model that is served by now judges where the case's own is gone: cases outlive it.

        Raises:
            InvalidField: the case's policy is not in force any more.
            InwitError: the judges cannot be asked.
        """
        own = str(file.facts["model"])
        try:
            try:
                round_ = await self._look_over(file, text, own)
            except UnknownModel:
                round_ = await self._look_over(file, text, None)
        except InvalidField as error:
            raise InvalidField(f"This text cannot be judged now: {error.detail}") from error
        decision, model = round_.decision, round_.candidate.model
        return {
            "passed": decision.action is Action.ALLOW and decision.reviewed,
            "action": decision.action.value,
            "reasons": [reason.value for reason in decision.reasons],
            "categories": [category.value for category in decision.categories],
            "verdicts": [
                {"judge": each.judge, "outcome": each.outcome, "risk": each.risk}
                for each in decision.verdicts
            ],
            "model": model,
            "instead_of": own if model != own else None,
        }

    async def _look_over(self, file: CaseFile, text: str, model: str | None) -> Round:
        policy = file.case.policy.name
        principal = Principal(file.terms.key_id, file.case.tenant, (policy,), frozenset())
        call = Call(principal, file.messages, policy=policy, model=model)
        return await self._pipeline.look_over(call, Candidate(text, model or ""))
