"""The answer words as tokens, and the loss on their log-odds."""

from collections.abc import Sequence
from typing import cast

import torch
from transformers import BatchEncoding, PreTrainedTokenizerBase

from inwit.errors import SetupError
from inwit.pipeline.conscience import answer_word
from inwit.types import Message

_SMOOTHING = 0.05  # labels are people's, and some are wrong


class AnswerTokens:
    """Which tokens of a vocabulary spell Yes and which No, as `read_verdict` counts them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        ids = range(len(tokenizer))
        words = [answer_word(token or "") for token in tokenizer.convert_ids_to_tokens(list(ids))]
        self.yes = torch.tensor([n for n, word in enumerate(words) if word == "yes"])
        self.no = torch.tensor([n for n, word in enumerate(words) if word == "no"])
        if not len(self.yes) or not len(self.no):
            raise SetupError("This model's vocabulary has no token for Yes, or none for No.")

    def log_probabilities(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of Yes and of No, each over all its spellings; `logits` is (batch, vocabulary)."""
        logits = logits.float()
        whole = logits.logsumexp(-1)
        yes = logits[:, self.yes.to(logits.device)].logsumexp(-1) - whole
        no = logits[:, self.no.to(logits.device)].logsumexp(-1) - whole
        return yes, no

    def loss(
        self, logits: torch.Tensor, unsafe: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Minus the log-probability of the right word, so that risk and label mass are both taught.

        It is the cross-entropy of the risk, plus the minus logarithm of the label mass.
        """
        yes, no = self.log_probabilities(logits)
        right, wrong = torch.where(unsafe, yes, no), torch.where(unsafe, no, yes)
        each = -(1 - _SMOOTHING) * right - _SMOOTHING * wrong
        return (each * weights).sum() / weights.sum()


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """The tokens that a model server makes of messages before it answers."""
    found = tokenizer.apply_chat_template(
        [message.as_openai() for message in messages],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
    )
    return list(cast("BatchEncoding", found)["input_ids"])


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that fills up shorter rows of a batch."""
    return cast("int | None", tokenizer.pad_token_id) or 0
