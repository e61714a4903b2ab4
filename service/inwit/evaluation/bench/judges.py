"""The judges that can be asked: the conscience in a framing, a classifier, a gateway by its URL."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import aiohttp

from inwit.evaluation.samples import Sample
from inwit.pipeline.conscience import Conscience
from inwit.pipeline.exchange import exchange_for
from inwit.pipeline.protocols import Classifiers, ReviewModel
from inwit.policy.policy import ReviewSpec
from inwit.types import Action, Fault, Harm, Message, Tool

TENANT = "evaluation"
# Longer than serving allows: nobody waits, and a slow verdict is as good as a quick one.
TIMEOUT_S = 180.0
# These may be otherwise next time: they are asked again.
PASSING = frozenset({Fault.TIMEOUT, Fault.UPSTREAM, Fault.BUSY, Fault.BREAKER_OPEN})
_RELEASED = frozenset({Action.ALLOW.value, Action.REDACT.value})


@dataclass(frozen=True, slots=True)
class Score:
    """What a judge said of a sample: a raw risk or a decision, or why there is neither.

    `mass` is the conscience's label mass, where it is known.
    """

    risk: float | None = None
    flagged: bool | None = None
    fault: str | None = None
    mass: float | None = None

    @property
    def settled(self) -> bool:
        """Whether asking again would tell nothing new."""
        return self.fault not in {fault.value for fault in PASSING}

    def as_json(self) -> dict[str, Any]:
        """What is kept of it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Judge(Protocol):
    """One that can be asked. Every failure is a score of its own."""

    @property
    def name(self) -> str:
        """As reports call it."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """All that its answers rest on beside the sample."""
        ...

    async def ask(self, sample: Sample) -> Score:
        """What it says of the sample."""
        ...


class ConscienceJudge:
    """The served model about an answer, in one framing; raw risks."""

    def __init__(self, model: ReviewModel, served: str, review: ReviewSpec) -> None:
        self._conscience = Conscience(model)
        self._served = served
        self._reviewer = model.reviewer_of(served)
        self.review = review

    @property
    def name(self) -> str:
        """With its framing."""
        return f"conscience, {self.review.framing.value}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What reviews (the model, or its adapter), framing, question."""
        return {
            "model": self._reviewer,
            "framing": self.review.framing.value,
            "question": self.review.question_digest,
            "label_mass_floor": self.review.label_mass_floor,
        }

    async def ask(self, sample: Sample) -> Score:
        """One token of the model."""
        exchange = exchange_for(sample.conversation, sample.candidate(self._served), TENANT)
        verdict = await self._conscience.judge(self.review, exchange, self._served, TIMEOUT_S)
        fault = verdict.fault.value if verdict.fault else None
        risk = None if verdict.fault else verdict.raw_risk
        return Score(risk=risk, fault=fault, mass=verdict.label_mass)


class ClassifierJudge:
    """One of the settings' classifiers."""

    def __init__(
        self, panel: Classifiers, name: str, harms: tuple[Harm, ...], version: str
    ) -> None:
        self._panel = panel
        self._name = name
        self._harms = harms
        self._version = version

    @property
    def name(self) -> str:
        """As policies call it."""
        return f"classifier, {self._name}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """Name, the version of what it runs on, and the categories that it is asked about."""
        harms = [harm.category.value for harm in self._harms]
        return {"classifier": self._name, "version": self._version, "harms": harms}

    async def ask(self, sample: Sample) -> Score:
        """Its risk."""
        candidate = sample.candidate("")
        exchange = exchange_for(sample.conversation, candidate, TENANT, self._harms)
        verdict = await self._panel.classify((self._name,), exchange, TIMEOUT_S)
        return Score(risk=verdict.risk, fault=verdict.fault.value if verdict.fault else None)


class GatewayJudge:
    """A running Inwit, asked as any caller asks it: `POST /v1/check`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, policy: str, digest: str) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/v1/check"
        self._policy = policy
        self._digest = digest

    @property
    def name(self) -> str:
        """With its policy."""
        return f"gateway, {self._policy}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """Where it is, and what it decides by."""
        return {"url": self._url, "policy": self._policy, "digest": self._digest}

    async def ask(self, sample: Sample) -> Score:
        """Its risk, and whether it would not have released the response as it is."""
        body = {
            "messages": [turn.as_openai() for turn in sample.conversation],
            "candidate": _assistant(sample),
            "policy": self._policy,
            "tools": _offered(sample),
        }
        try:
            async with asyncio.timeout(TIMEOUT_S), self._session.post(self._url, json=body) as sent:
                if sent.status != 200:
                    busy = sent.status in (429, 502, 503, 504)
                    return Score(fault=Fault.UPSTREAM.value if busy else f"http_{sent.status}")
                told = await sent.json()
        except TimeoutError:
            return Score(fault=Fault.TIMEOUT.value)
        except aiohttp.ClientError:
            return Score(fault=Fault.UPSTREAM.value)
        return Score(risk=told["review"]["risk"], flagged=told["action"] not in _RELEASED)


def _offered(sample: Sample) -> list[dict[str, Any]]:
    """The tools that the response calls: one that was not offered would be withheld for that."""
    names = dict.fromkeys(call.name for call in sample.tool_calls)
    return [Tool(name).as_openai() for name in names]


def _assistant(sample: Sample) -> dict[str, Any]:
    calls = tuple(call.as_openai() for call in sample.tool_calls)
    return Message("assistant", sample.response, tool_calls=calls).as_openai()
