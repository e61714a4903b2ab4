"""What the pipeline needs of the world, each as small as its use."""

from typing import Protocol

from inwit.policy.policy import ReviewSpec
from inwit.types import (
    Candidate,
    Exchange,
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


class Classifiers(Protocol):
    """The independent judges, by name. A failure is a verdict of its own, never an exception."""

    async def classify(
        self, names: tuple[str, ...], exchange: Exchange, timeout_s: float
    ) -> Verdict:
        """Ask the first of `names`, and the next one where that one fails, within `timeout_s`."""
        ...
