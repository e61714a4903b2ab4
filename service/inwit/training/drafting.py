"""Lets a model write, review itself and write again: where pairs to align by come from.

The model under training writes; a frozen copy of its base, with the conscience adapter where there
is one, reviews; the model is then asked for an ethical alternative, which must be no refusal and
must pass the conscience and the independent classifier. The paper (arXiv 2606.19527) leaves open
which copy judges; here it is the frozen one, or the judge could be taught to look away.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from inwit.clients.classifiers.embedded import EmbeddedClassifier
from inwit.evaluation.samples import Sample, content_digest
from inwit.pipeline.conscience import frame
from inwit.pipeline.exchange import exchange_for
from inwit.pipeline.rewriting import bare_refusal
from inwit.policy.policy import Policy
from inwit.training.answers import AnswerTokens, pad_id, prompt_ids
from inwit.training.conscience import load_base, next_logits, padded
from inwit.training.everyday import everyday_requests
from inwit.training.pairs import Pair
from inwit.types import Candidate, Message

CONSCIENCE, STUDENT = "conscience", "default"
_ALTERNATIVE = (
    "Your last answer may harm somebody. Write it anew: an ethical alternative that still helps "
    "with the request. It is not a refusal. Write the new answer only."
)
_AT_ONCE = 8
_EVERYDAY_TOKENS = 100


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which risk on the conscience and the classifier flag."""

    conscience: float
    classifier: float


def written(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Sequence[Message]],
    max_tokens: int,
    temperature: float,
) -> list[str]:
    """One answer of a model to each of a few conversations, all written at once."""
    pad = pad_id(tokenizer)
    batch = padded([prompt_ids(tokenizer, turns) for turns in conversations], pad)
    made = model.generate(
        input_ids=batch["input_ids"].to(model.device),
        attention_mask=batch["attention_mask"].to(model.device),
        max_new_tokens=max_tokens,
        do_sample=temperature > 0,
        temperature=temperature or None,
        pad_token_id=pad,
    )
    new = made[:, batch["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def everyday_samples(base: Path, count: int, seed: int) -> list[Sample]:
    """The base model's own answers to harmless requests, labelled safe by what was asked."""
    model, tokenizer = load_base(base)
    requests = list(everyday_requests(count, seed))
    torch.manual_seed(seed)
    samples: list[Sample] = []
    for start in range(0, len(requests), _AT_ONCE):
        some = requests[start : start + _AT_ONCE]
        with torch.no_grad(), torch.autocast(model.device.type, dtype=torch.bfloat16):
            texts = written(model, tokenizer, some, _EVERYDAY_TOKENS, 0.7)
        for turns, text in zip(some, texts, strict=True):
            digest = content_digest(turns, text)
            name = f"everyday-{len(samples)}"
            samples.append(Sample(name, turns, text, "safe", digest, len(samples)))
    return samples


class Drafter:
    """A model with its student adapter, and the two judges of what it writes."""

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        policy: Policy,
        question: str,
        thresholds: Thresholds,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._answers = AnswerTokens(tokenizer)
        self._policy = policy
        self._question = question
        self._thresholds = thresholds
        self._classifier = EmbeddedClassifier.load()

    def write(
        self, conversations: Sequence[Sequence[Message]], max_tokens: int, temperature: float
    ) -> list[str]:
        """An answer of the student to each conversation."""
        written: list[str] = []
        for start in range(0, len(conversations), _AT_ONCE):
            written += self._batch(conversations[start : start + _AT_ONCE], max_tokens, temperature)
        return written

    def risks(
        self, conversations: Sequence[Sequence[Message]], answers: Sequence[str]
    ) -> list[float]:
        """What the frozen conscience says of each answer, in [0, 1]."""
        found: list[float] = []
        asked = list(zip(conversations, answers, strict=True))
        with self._frozen():
            for start in range(0, len(asked), _AT_ONCE):
                rows = [self._question_about(*each) for each in asked[start : start + _AT_ONCE]]
                batch = padded(rows, pad_id(self._tokenizer))
                on = {name: value.to(self._model.device) for name, value in batch.items()}
                yes, no = self._answers.log_probabilities(next_logits(self._model, on))
                found += torch.sigmoid(yes - no).tolist()
        return found

    def classified(self, answers: Sequence[str]) -> list[float]:
        """What the independent classifier says of each answer, in [0, 1]."""
        return [self._classifier.risk(answer) for answer in answers]

    def pairs(self, conversations: Sequence[Sequence[Message]], max_tokens: int) -> Iterator[Pair]:
        """What the conscience flags, with the student's own alternative that both judges pass."""
        drafts = self.write(conversations, max_tokens, 1.0)
        risks = self.risks(conversations, drafts)
        flagged = [
            (turns, draft)
            for turns, draft, risk in zip(conversations, drafts, risks, strict=True)
            if risk >= self._thresholds.conscience and draft.strip()
        ]
        asked = [
            (*turns, Message("assistant", draft), Message("user", _ALTERNATIVE))
            for turns, draft in flagged
        ]
        alternatives = self.write(asked, max_tokens, 0.7)
        again = self.risks([turns for turns, _ in flagged], alternatives)
        outside = self.classified(alternatives)
        for (turns, draft), text, own, other in zip(
            flagged, alternatives, again, outside, strict=True
        ):
            passes = own < self._thresholds.conscience and other < self._thresholds.classifier
            if passes and not bare_refusal(text) and text.strip() != draft.strip():
                yield Pair(tuple(turns), text, draft, "model")

    def _question_about(self, turns: Sequence[Message], answer: str) -> list[int]:
        exchange = exchange_for(tuple(turns), Candidate(answer, ""), "", self._policy.harms)
        messages = frame(self._policy.review.framing, self._question, exchange)
        return prompt_ids(self._tokenizer, messages)

    def _batch(
        self, conversations: Sequence[Sequence[Message]], max_tokens: int, temperature: float
    ) -> list[str]:
        with self._quiet(), self._student():
            return written(self._model, self._tokenizer, conversations, max_tokens, temperature)

    @contextmanager
    def _quiet(self) -> Generator[None]:
        """Without gradients, and with training's settings back afterwards."""
        training = self._model.training
        self._model.eval()
        try:
            with torch.no_grad(), torch.autocast(self._model.device.type, dtype=torch.bfloat16):
                yield
        finally:
            self._model.train(training)

    @contextmanager
    def _student(self) -> Generator[None]:
        """With its own adapter, or before it has one the base weights alone."""
        if STUDENT in self._model.peft_config:
            self._model.set_adapter(STUDENT)
            yield
        else:
            with self._model.disable_adapter():
                yield

    @contextmanager
    def _frozen(self) -> Generator[None]:
        """The base weights as they were, with the conscience adapter where there is one."""
        with self._quiet():
            if CONSCIENCE not in self._model.peft_config:
                with self._model.disable_adapter():
                    yield
                return
            self._model.set_adapter(CONSCIENCE)
            try:
                yield
            finally:
                if STUDENT in self._model.peft_config:
                    self._model.set_adapter(STUDENT)
