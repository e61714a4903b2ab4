"""What the pipeline needs of the world, each as small as its use."""

from typing import Protocol

from inwit.policy.policy import ReviewSpec
from inwit.types import (
    Candidate,
    Decision,
    Generation,
    Message,
    NextToken,
    Receipt,
    Record,
    Verdict,
)


class Model(Protocol):
    """The served model."""

    def resolve(self, name: str | None) -> str:
        """Give the served name for what the caller asked for (`None`: the default).

        Raises:
            InvalidField: no such model is served.
            UpstreamUnavailable: the server has not been reached yet.
        """
        ...

    async def generate(self, generation: Generation) -> Candidate:
        """Write a candidate.

        Raises:
            ConversationTooLong: the conversation does not fit the model's context.
            UpstreamError: the server failed, timed out, or cannot be reached.
        """
        ...


class NextTokenModel(Protocol):
    """The same model, asked for the distribution of one token."""

    async def next_token(self, messages: tuple[Message, ...], model: str, tenant: str) -> NextToken:
        """Give the most likely next tokens after `messages`, with their log-probabilities.

        Raises:
            ConversationTooLong: the messages do not fit the model's context.
            UpstreamError: the server failed, timed out, or cannot be reached.
        """
        ...


class Judge(Protocol):
    """Reviews a candidate. A failure to do so is a verdict, never an exception and never a pass."""

    async def judge(
        self,
        review: ReviewSpec,
        conversation: tuple[Message, ...],
        candidate: Candidate,
        tenant: str,
        timeout_s: float,
    ) -> Verdict:
        """Give a verdict on the whole candidate within `timeout_s` seconds."""
        ...


class Ledger(Protocol):
    """The record."""

    async def append(self, record: Record) -> Receipt:
        """Return once the record is durable.

        Raises:
            LedgerError: it is not known to be durable.
        """
        ...


# The seams below are where later stages join. Nothing implements them yet, and the pipeline
# has no stand-in for them: doubt is decided by the policy, and what is not asked is not reported.


class Classifier(Protocol):
    """An independent judge, asked on doubt, on failure and for a random slice."""

    async def classify(
        self, conversation: tuple[Message, ...], candidate: Candidate, timeout_s: float
    ) -> Verdict:
        """Give a verdict of another origin than the conscience's."""
        ...


class Rewriter(Protocol):
    """Revises a candidate, which is then judged like any other."""

    async def rewrite(
        self, conversation: tuple[Message, ...], candidate: Candidate, decision: Decision
    ) -> Candidate:
        """Write another candidate, knowing why the first one was not released."""
        ...


class Escalations(Protocol):
    """Holds a candidate for a person."""

    async def hold(self, record: Record) -> str:
        """Return the id of the escalation once it is durable."""
        ...
