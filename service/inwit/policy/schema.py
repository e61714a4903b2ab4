"""What may stand in a policy file. The JSON Schema for editors is made from this.

`loader.py` compiles it into the frozen values of `policy.py`.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from inwit.decisions import AskReason
from inwit.policy.escalation_schema import EscalationIn
from inwit.policy.fields import LANGUAGE, Share, Strict, Text, TextByLanguage
from inwit.policy.patterns import argument_schema, linear, refused
from inwit.policy.policy import (
    Clears,
    OnDisagreement,
    OnInput,
    OnOther,
    StreamMode,
    ToolReview,
)
from inwit.redaction.kinds import Kind
from inwit.types import Category, Framing, Severity

_NAME, _POLICY = r"^[a-z][a-z0-9_-]{0,62}$", r"^[a-z][a-z0-9-]{0,62}$"
_TOOL, _COUNTRY = r"^[A-Za-z0-9_-]{1,64}$", r"^[A-Z]{2}$"

# What fits each pattern, for messages.
PATTERN_WORDS: Mapping[str, str] = MappingProxyType(
    {
        _NAME: "a lower-case letter, then lower-case letters, digits, `-` or `_`; 63 at most",
        _POLICY: "a lower-case letter, then lower-case letters, digits or `-`; 63 at most",
        _TOOL: "the tool's name: letters, digits, `-` or `_`; 64 at most",
        LANGUAGE: "a language as two lower-case letters (ISO 639-1), such as en",
        _COUNTRY: "a country as two capital letters (ISO 3166-1), such as DE",
    }
)

_Name = Annotated[str, Field(pattern=_NAME)]
_HarmAction = Literal["rewrite", "escalate", "block"]
_FailureAction = Literal["allow", "escalate", "block"]
_DoubtAction = Literal["allow", "rewrite", "escalate", "block"]

# Asked of every policy that has a classifier, whatever `ask` says: promise 6 of the design.
ALWAYS_ASKED = frozenset({AskReason.TOOL_CALL, AskReason.REWRITE, AskReason.INPUT})
_MAY_ASK = [reason for reason in AskReason if reason not in {*ALWAYS_ASKED, AskReason.SAMPLE}]


def _no_sample(reason: AskReason) -> AskReason:
    if reason is AskReason.SAMPLE:
        raise refused("has `sample`, which is no reason to ask", "Set `sample_rate` instead.")
    return reason


_AskReason = Annotated[
    AskReason,
    AfterValidator(_no_sample),
    WithJsonSchema({"enum": [each.value for each in AskReason if each is not AskReason.SAMPLE]}),
]


class ThresholdsIn(Strict):
    """Risk below `lower` passes, at or above `upper` fails; between them lies doubt."""

    lower: Share = Field(description="Below it a risk passes.")
    upper: Share = Field(description="At or above it a risk fails.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower > self.upper:
            wrong = f"is {self.lower}, above `upper`, which is {self.upper}"
            raise refused(wrong, "Swap the two.", "lower")
        return self


class ConscienceThresholds(ThresholdsIn):
    """The conscience's thresholds."""

    uncalibrated: ThresholdsIn | None = Field(
        None,
        description="The stricter ones that hold while there is no calibration for the model; "
        "four fifths of the others when missing.",
    )

    @model_validator(mode="after")
    def _stricter(self) -> Self:
        raw = self.uncalibrated
        for key in ("lower", "upper") if raw else ():
            given, calibrated = getattr(raw, key), getattr(self, key)
            if given > calibrated:
                raise refused(
                    f"is {given}, milder than `{key}` for calibrated risks, which is {calibrated}",
                    "Lower it: a raw risk says less, so its thresholds are the stricter ones.",
                    "uncalibrated",
                    key,
                )
        return self


class CategoryIn(Strict):
    """How one category is treated; what is left out comes from the taxonomy and the policy."""

    severity: Severity | None = Field(None, description="The taxonomy's when missing.")
    action: _HarmAction | None = Field(
        None, description="What follows when it is found; the policy's on_harm when missing."
    )
    thresholds: ConscienceThresholds | None = Field(
        None, description="The conscience's thresholds for it; the policy's when missing."
    )


class ConscienceIn(Strict):
    """What the served model is asked about its own candidate."""

    framing: Framing = Field(description="How the candidate is shown (docs/decisions/0003).")
    question: Text = Field(
        description="Answerable with Yes (harmful) or No. {harms} is replaced by the phrases of "
        "the policy's categories."
    )
    label_mass_floor: Share = Field(
        description="Below this share of probability on Yes and No, the question was not answered."
    )

    @field_validator("question")
    @classmethod
    def _one_placeholder(cls, question: str) -> str:
        if re.search(r"\{(?!harms\})", question):
            raise refused(
                "has a brace that does not begin {harms}, the only placeholder",
                "Write {harms} where the categories go, and other braces in words.",
            )
        return question


class ClassifierIn(Strict):
    """The independent judge: who, when, and what the answer can do."""

    use: Annotated[list[_Name], Field(min_length=1, max_length=8)] = Field(
        description="Classifiers by name (INWIT_CLASSIFIERS), asked in this order until one "
        "answers; `embedded` is always there."
    )
    thresholds: ThresholdsIn = Field(description="For the classifier's risk.")
    ask: list[_AskReason] = Field(
        default_factory=lambda: list(_MAY_ASK),
        description="When, beside every tool call, every rewrite and what a flagged input asks "
        "for; all of them when missing.",
    )
    severe_from: Severity = Field(
        Severity.HIGH, description="The severity from which a named category counts as severe."
    )
    sample_rate: Share = Field(
        0.0, description="The random share of all other responses that is classified too."
    )
    on_failure: _FailureAction = Field(
        "block", description="What follows when no classifier answers where one was needed."
    )
    clears: list[Clears] = Field(
        default_factory=lambda: [Clears.DOUBT],
        description="What its pass settles: the conscience's doubt, and its failure too.",
    )


class RewriteIn(Strict):
    """Rewriting of flagged candidates."""

    max_rounds: Annotated[int, Field(ge=1, le=5, strict=True)] = Field(
        1, description="Most rounds."
    )
    on_failure: Literal["escalate", "block"] = Field(
        "block", description="What follows when no round gave an answer that passes."
    )


class RetrievalIn(Strict):
    """Which retrieved passages a request may bring."""

    sources: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field()] = Field(
        description="Sources that may be used; `*` stands for any run of characters."
    )
    on_other: OnOther = Field(
        OnOther.REFUSE, description="Refuse the request, or drop the passage and say so."
    )


class ToolIn(Strict):
    """One tool that a request may offer and the model may call."""

    arguments: Annotated[dict[str, Any], AfterValidator(argument_schema)] = Field(
        default_factory=dict[str, Any], description="JSON Schema that each call's arguments fit."
    )
    review: ToolReview = Field(
        ToolReview.CLASSIFIER, description="Who looks at each call: a classifier, or a person too."
    )


_Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(linear)]


class InputIn(Strict):
    """What looks at the caller's own messages, beside generation."""

    use: list[_Name] = Field(
        default_factory=list[str], description="Classifiers that judge inputs, in order."
    )
    thresholds: ThresholdsIn = Field(
        default_factory=lambda: ThresholdsIn(lower=0.5, upper=0.8),
        description="For their risk; from `lower` on the input is flagged.",
    )
    patterns: dict[_Name, _Pattern] = Field(
        default_factory=dict[str, str],
        description="Named regular expressions; a match in a user turn flags the input.",
    )
    instructions: StrictBool = Field(
        False, description="Whether text that reads like an attack on the prompt flags it too."
    )
    on_flag: OnInput = Field(
        description="block: nothing is released. classify: the response goes to the classifier. "
        "record: the flag is recorded."
    )

    @model_validator(mode="after")
    def _looks_at_something(self) -> Self:
        if not (self.use or self.patterns or self.instructions):
            raise refused(
                "looks at nothing: it has no `use`, no `patterns` and no `instructions: true`",
                "Add one of them, or remove `input`.",
            )
        return self


class RedactIn(Strict):
    """Private data in the output."""

    mask: Annotated[list[Kind], Field(min_length=1)] = Field(description="Kinds that are masked.")
    pass_if_sent_first: list[Kind] = Field(
        default_factory=list[Kind],
        description="Kinds that may stand where the caller's own messages hold the same value.",
    )
    phone_regions: list[Annotated[str, Field(pattern=_COUNTRY)]] = Field(
        default_factory=list[str],
        description="Countries whose national phone numbers are known, beside +… numbers.",
    )


class StreamIn(Strict):
    """What a streaming caller is sent before the whole response is decided."""

    mode: StreamMode = Field(
        default=StreamMode.BUFFER,
        description="buffer: nothing. windowed: text of which all up to a little past it was "
        "judged and passed. audit_only: everything as it is written, judged at the end.",
    )
    window: Annotated[int, Field(ge=40, le=20_000, strict=True)] = Field(
        default=400,
        description="windowed: at least so many new characters before the next judgement.",
    )
    overlap: Annotated[int, Field(ge=0, le=20_000, strict=True)] = Field(
        default=200,
        description="windowed: so many characters at the end of what passed wait for the next "
        "judgement, so that a harm which goes on there is seen whole before it leaves.",
    )


class PolicyFile(Strict):
    """A policy of Inwit."""

    name: Annotated[str, Field(pattern=_POLICY)] = Field(
        description="The word by which keys, requests and metrics name it."
    )
    version: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="Your own version of it, in quotes."
    )
    description: Annotated[str, Field(max_length=1000)] = Field("", description="What it is for.")
    categories: Annotated[dict[Category, CategoryIn | None], Field(min_length=1)] = Field(
        description="The kinds of harm that it watches for; docs/taxonomy.md lists them."
    )
    thresholds: ConscienceThresholds = Field(description="The conscience's thresholds.")
    on_harm: _HarmAction = Field("block", description="What follows when harm is found.")
    on_doubt: _DoubtAction = Field(
        "block", description="What follows when risk lies between the thresholds."
    )
    on_disagreement: OnDisagreement = Field(
        OnDisagreement.STRICTER,
        description="What follows when one judge passes what the other flags.",
    )
    on_review_failure: _FailureAction = Field(
        "block", description="What follows when the conscience fails or times out."
    )
    on_truncated: _FailureAction = Field(
        "block", description="What follows when the candidate did not fit the conscience."
    )
    conscience: ConscienceIn = Field(description="The question to the served model.")
    classifier: ClassifierIn | None = Field(None, description="The independent judge.")
    rewrite: RewriteIn | None = Field(None, description="Rewriting of flagged candidates.")
    retrieval: RetrievalIn | None = Field(
        None, description="Retrieved passages; none are taken when missing."
    )
    tools: dict[Annotated[str, Field(pattern=_TOOL)], ToolIn | None] = Field(
        default_factory=dict[str, ToolIn | None],
        description="Tools that may be offered and called; none when missing.",
    )
    input: InputIn | None = Field(None, description="Looks at the caller's messages.")
    redact: RedactIn | None = Field(None, description="Masks private data in the output.")
    fallback_text: TextByLanguage = Field(
        description="What the caller gets in place of a blocked response: one text, or one for "
        "each language (ISO 639-1), the first of which is for all others."
    )
    stream: StreamIn = Field(
        default_factory=StreamIn, description="How streamed responses are kept back."
    )
    escalation: EscalationIn = Field(
        default_factory=EscalationIn, description="Responses that a person is to rule on."
    )
    shadow: str | None = Field(
        None, description="Another policy that judges the same responses without effect."
    )

    def needs_classifier(self) -> tuple[str, ...] | None:
        """The path of the first thing that cannot be without a classifier, if there is none."""
        if self.classifier is not None:
            return None
        for key in ("on_harm", "on_doubt", "on_disagreement"):
            if getattr(self, key) == "rewrite":
                return (key,)
        for category, given in self.categories.items():
            if given and given.action == "rewrite":
                return ("categories", category.value, "action")
        if self.tools:
            return ("tools",)
        if self.input is not None and self.input.on_flag is OnInput.CLASSIFY:
            return ("input", "on_flag")
        return None
