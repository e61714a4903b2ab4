"""Classifiers behind HTTP: what they share, and the contract for a detector of one's own.

docs/classifiers.md gives the contract with its JSON Schemas; a test keeps the two equal.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from inwit.clients.transport import JsonTransport
from inwit.errors import ConversationTooLong, UpstreamError, UpstreamRefused, UpstreamTimeout
from inwit.types import Category, Exchange, Fault, ReviewStatus, Verdict

MAX_ANSWER_BYTES = 64 * 2**10
MAX_LABELS = 16
_MAX_CATEGORIES = 32

# No spaces and no signs that mean something to a page, a log or a shell: a label is shown to
# operators and kept in the ledger, and a hostile server chooses it.
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:-]*$", max_length=64)]
ModelName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _./:@+-]*$", max_length=128)
]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a server's answer comes to; `risk` lies in [0, 1]."""

    risk: float
    categories: tuple[Category, ...] = ()
    labels: tuple[str, ...] = ()
    unnamed: bool = False
    model: str | None = None


def asked_about(exchange: Exchange) -> frozenset[Category]:
    """The categories that the policy asks about; all of them where it names none."""
    return frozenset(harm.category for harm in exchange.harms) or frozenset(Category)


def sort_names(
    names: Iterable[str], asked: frozenset[Category]
) -> tuple[tuple[Category, ...], tuple[str, ...]]:
    """Part names into categories that were asked about, and all others, in their order.

    A known category that nobody asked about is no more than a label, so that it cannot hide what
    else was found from a policy that lacks it.
    """
    found = tuple(dict.fromkeys(names))
    categories = tuple(Category(name) for name in found if name in asked)
    return categories, tuple(name for name in found if name not in asked)


async def ask_server(
    name: str,
    transport: JsonTransport,
    path: str,
    body: dict[str, Any],
    exchange: Exchange,
    timeout_s: float,
    read: Callable[[bytes], Finding],
) -> Verdict:
    """Post `body` to `path` and give the verdict of classifier `name`, whatever happens.

    `read` makes sense of the answer, and raises ValueError where there is none in it.
    """
    try:
        async with asyncio.timeout(timeout_s):
            raw = await transport.send("POST", path, body, repeatable=True)
    except ConversationTooLong:
        return not_judged(name, exchange, Fault.DOES_NOT_FIT)
    except (TimeoutError, UpstreamTimeout):
        return not_judged(name, exchange, Fault.TIMEOUT)
    except UpstreamRefused:
        return not_judged(name, exchange, Fault.REFUSED)
    except UpstreamError:
        return not_judged(name, exchange, Fault.UPSTREAM)
    try:
        finding = read(raw)
    except ValueError:
        return not_judged(name, exchange, Fault.MALFORMED_ANSWER)
    return Verdict(
        name,
        ReviewStatus.JUDGED,
        risk=finding.risk,
        model=finding.model,
        covers=exchange.covers,
        categories=finding.categories,
        labels=finding.labels[:MAX_LABELS],
        unnamed=finding.unnamed,
    )


def not_judged(name: str, exchange: Exchange, fault: Fault) -> Verdict:
    """The verdict of a classifier that gave no judgement, for that reason."""
    fits = fault is not Fault.DOES_NOT_FIT
    status = ReviewStatus.UNAVAILABLE if fits else ReviewStatus.TRUNCATED
    return Verdict(name, status, fault=fault, covers=exchange.covers)


class _AnswerIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    risk: Share
    categories: Annotated[tuple[Label, ...], Field(max_length=_MAX_CATEGORIES)] = ()
    labels: Annotated[tuple[Label, ...], Field(max_length=MAX_LABELS)] = ()
    model: ModelName | None = None


_ANSWER = TypeAdapter(_AnswerIn)


def read_answer(raw: bytes, asked: frozenset[Category]) -> Finding:
    """Read a detector's answer; what is no category that was `asked` about becomes a label.

    Raises:
        ValueError: it does not keep to the contract.
    """
    answer = _ANSWER.validate_json(raw)
    categories, others = sort_names(answer.categories, asked)
    labels = tuple(dict.fromkeys((*answer.labels, *others)))
    return Finding(answer.risk, categories, labels, bool(others), answer.model)


class HttpClassifier:
    """A detector of one's own at `url`. A `Member` of the panel.

    `key_setting` is the name of the setting that `api_key` came from, for messages.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        api_key: str | None = None,
        key_setting: str = "INWIT_CLASSIFIERS",
        judges_input: bool = False,
    ) -> None:
        self.name = name
        self.judges_input = judges_input
        # The transport takes slashes off the end; to many servers they are another path.
        self._path = "/" if url.endswith("/") else ""
        self._transport = JsonTransport(
            url,
            api_key=api_key,
            what=f"classifier {name}",
            key_setting=key_setting,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        await self._transport.open()

    async def close(self) -> None:
        """Close the pool; calls under way fail."""
        await self._transport.close()

    async def classify(self, exchange: Exchange, timeout_s: float) -> Verdict:
        """Give a verdict within `timeout_s` seconds; every failure is a verdict of its own."""
        asked = asked_about(exchange)
        body = {
            "conversation": [
                {"role": turn.role, "content": turn.content} for turn in exchange.conversation
            ],
            "answer": exchange.answer,
            "categories": [category.value for category in Category if category in asked],
        }
        return await ask_server(
            self.name,
            self._transport,
            self._path,
            body,
            exchange,
            timeout_s,
            lambda raw: read_answer(raw, asked),
        )
