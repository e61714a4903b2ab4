"""What the pipeline needs of the world, each as small as its use."""

from collections.abc import Mapping
from typing import Any, Protocol

from inwit.decisions import AnyRecord, Explanation, Receipt
from inwit.policy.policy import ReviewSpec
from inwit.types import (
    Candidate,
    Claim,
    Draft,
    Exchange,
    Framing,
    Generation,
    Message,
    NextToken,
    Principal,
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

    async def generate(self, generation: Generation, draft: Draft | None = None) -> Candidate:
        """Write a candidate, and where there is a `draft` tell it each piece as it comes.

        Raises:
            ConversationTooLong: the conversation does not fit the model's context.
            UpstreamError: the server failed, timed out, or cannot be reached.
        """
        ...


class ReviewModel(Protocol):
    """The same model, asked about what it wrote."""

    def reviewer_of(self, model: str) -> str:
        """Give the name of what reviews the candidates of `model`: its adapter, or itself."""
        ...

    async def next_token(self, messages: tuple[Message, ...], model: str, tenant: str) -> NextToken:
        """Give a reviewer's most likely next tokens after `messages`, with their log-probabilities.

        Raises:
            ConversationTooLong: the messages do not fit the model's context.
            UpstreamError: the server failed, timed out, or cannot be reached.
        """
        ...

    async def structured(
        self,
        messages: tuple[Message, ...],
        schema: Mapping[str, Any],
        model: str,
        tenant: str,
        max_tokens: int,
    ) -> Candidate:
        """Give an answer that the server was told to fit to a JSON Schema; it may not.

        Raises:
            ConversationTooLong: the messages do not fit the model's context.
            UpstreamError: the server failed, timed out, or cannot be reached.
        """
        ...


class ServedModel(Model, ReviewModel, Protocol):
    """The served model in both its parts: it writes, and it is asked about what it wrote."""


class Judge(Protocol):
    """Reviews a candidate. A failure to do so is a verdict, never an exception and never a pass."""

    async def judge(
        self, review: ReviewSpec, exchange: Exchange, model: str, timeout_s: float
    ) -> Verdict:
        """Give a verdict on the whole answer within `timeout_s` seconds."""
        ...


class Explainer(Protocol):
    """Says which categories a risk is about."""

    async def explain(
        self, framing: Framing, exchange: Exchange, model: str, timeout_s: float
    ) -> Explanation:
        """Name categories of `exchange.harms`, quotes and a reason within `timeout_s` seconds."""
        ...


class Ledger(Protocol):
    """The record."""

    async def append(self, record: AnyRecord) -> Receipt:
        """Return once the record is durable.

        Raises:
            Conflict: its claim to an idempotency key is lost, so that it is not written.
            LedgerError: it is not known to be durable.
        """
        ...

    def release(self, claim: Claim) -> None:
        """Let the idempotency key of a request that failed go, soon; this does not wait."""
        ...


class Classifiers(Protocol):
    """The independent judges, by name. A failure is a verdict of its own, never an exception."""

    async def classify(
        self, names: tuple[str, ...], exchange: Exchange, timeout_s: float
    ) -> Verdict:
        """Ask the first of `names`, and the next one where that one fails, within `timeout_s`."""
        ...


class Meter(Protocol):
    """Counts what callers use, for their limits."""

    async def spend(self, principal: Principal, tokens: int) -> None:
        """Debit tokens that were used; never fails."""
        ...
