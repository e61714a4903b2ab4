"""Fine-tuning with an alignment term: `L = L_SFT + lambda * L_DPO` (arXiv 2606.19527).

`L_SFT` is the next-token loss on the answers of whatever is fine-tuned for. `L_DPO` is TRL's, on
pairs of what the conscience flagged (rejected) and the model's own ethical alternative (chosen);
its reference is the model with its adapter disabled, so there is no second copy. Only the sum of
the two losses, each on data of its own, is own code: TRL adds an SFT loss on the chosen answers,
and nothing else.

Offline, all pairs are made at once by the model as it is. Online, the model under training makes
new ones every so many steps.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any, cast

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedTokenizerBase
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from inwit.errors import SetupError
from inwit.training.answers import pad_id, prompt_ids
from inwit.training.conscience import MODULES
from inwit.training.pairs import Pair
from inwit.types import Message

Written = tuple[tuple[Message, ...], str]  # a conversation, and the answer to learn
Renew = Callable[[Any], Iterable[Pair]]  # of the model under training

_IGNORED = -100  # torch's cross-entropy leaves these out
_LONGEST = 512  # tokens
_UNUSED = Pair((Message("user", "?"),), "!", ".", "")  # the trainer must be given one
_ASKED = 64  # tokens, the last of the conversation, that an answer of any length leaves there


@dataclass(frozen=True, slots=True)
class AlignPlan:
    """How to fine-tune. Without an alignment term where `weight`, the paper's lambda, is 0."""

    weight: float = 0.1
    beta: float = 0.1  # not told in the paper; TRL's default
    steps: int = 60
    batch: int = 4
    learning_rate: float = 2e-4
    rank: int = 16
    seed: int = 0
    every: int = 10  # online: steps between new pairs


class AlignedTrainer(DPOTrainer):
    """TRL's DPO trainer, with the fine-tuning loss beside its own; pairs may be renewed."""

    def __init__(
        self, written: Sequence[Written], plan: AlignPlan, renew: Renew | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._plan = plan
        self._renew = renew
        self._batches = cycle(_batches(written, kwargs["processing_class"], plan))
        self.losses: list[tuple[float, float]] = []

    def get_train_dataloader(self) -> Any:
        """Batches of pairs without end; `max_steps` ends the training."""
        return _Endless(self._pairs)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The fine-tuning loss, and `weight` of the alignment loss."""
        batch = {name: each.to(model.device) for name, each in next(self._batches).items()}
        with torch.autocast(model.device.type, dtype=torch.bfloat16):
            tuned = model(**batch).loss
        if not self._plan.weight:
            self.losses.append((float(tuned.detach()), 0.0))
            return tuned
        aligned = super().compute_loss(model, inputs, False, num_items_in_batch)
        self.losses.append((float(tuned.detach()), float(aligned.detach())))
        return tuned + self._plan.weight * aligned

    def _pairs(self) -> Iterator[dict[str, Any]]:
        random, step, size = Random(self._plan.seed), 0, self._plan.batch  # noqa: S311
        rows: list[Any] = list(self.train_dataset)
        while True:
            if self._renew is not None and step and step % self._plan.every == 0:
                # What the model no longer writes cannot be unlearnt: the last ones then stay.
                rows = self._prepared(list(self._renew(self.model))) or rows
            chosen = [rows[random.randrange(len(rows))] for _ in range(min(size, len(rows)))]
            yield self.data_collator(chosen)
            step += 1

    def _prepared(self, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        if not pairs:
            return []
        fresh = Dataset.from_list([each.as_preference() for each in pairs])
        prepare: Any = self._prepare_dataset  # its own attributes do not have the types it wants
        return list(prepare(fresh, self.processing_class, self.args, "train"))


class _Endless:
    """What `Trainer` takes for a loader of batches."""

    def __init__(self, batches: Callable[[], Iterator[dict[str, Any]]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._batches()


def align(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    written: Sequence[Written],
    pairs: Sequence[Pair],
    plan: AlignPlan,
    out: Path,
    renew: Renew | None = None,
) -> tuple[Any, list[tuple[float, float]]]:
    """Fine-tune a plain `model` on `written`; give it with its adapter, and both losses by step.

    `pairs` are what there is at first; online, `renew` makes new ones of the model under training.
    Without a weight they are not looked at.

    Raises:
        SetupError: there are no pairs to align by.
    """
    if not plan.weight:
        pairs = [_UNUSED]
    if not pairs:
        raise SetupError(
            "There are no pairs to align by: the conscience flagged nothing that the model wrote, "
            "or no alternative passed both judges. Give pairs of your own by --pairs."
        )
    trainer = AlignedTrainer(
        written,
        plan,
        renew,
        model=model,
        args=_arguments(plan, out),
        train_dataset=Dataset.from_list([each.as_preference() for each in pairs]),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=plan.rank,
            lora_alpha=2 * plan.rank,
            target_modules=MODULES,
            task_type="CAUSAL_LM",
        ),
    )
    if plan.weight and not len(trainer.train_dataset):
        raise SetupError(f"There are no pairs to align by with fewer than {_LONGEST} tokens.")
    trainer.train()
    return trainer.model, trainer.losses


def _batches(
    written: Sequence[Written], tokenizer: PreTrainedTokenizerBase, plan: AlignPlan
) -> list[dict[str, torch.Tensor]]:
    """Conversations with their answers; the loss is on the answers alone.

    Of what is longer than `_LONGEST` the conversation is cut at its beginning, down to `_ASKED`,
    and then the answer at its end.
    """
    rows = list(written)
    Random(plan.seed).shuffle(rows)  # noqa: S311  # no secret
    end = cast("int", tokenizer.eos_token_id)
    pad = pad_id(tokenizer)
    batches: list[dict[str, torch.Tensor]] = []
    for start in range(0, len(rows), plan.batch):
        tokens = [
            _cut(
                prompt_ids(tokenizer, turns),
                [*tokenizer(text, add_special_tokens=False).input_ids, end],
            )
            for turns, text in rows[start : start + plan.batch]
        ]
        whole = [asked + said for asked, said in tokens]
        longest = max(map(len, whole))
        labels = [
            [_IGNORED] * len(asked) + said + [_IGNORED] * (longest - len(ids))
            for (asked, said), ids in zip(tokens, whole, strict=True)
        ]
        gaps = [longest - len(ids) for ids in whole]
        batches.append(
            {
                "input_ids": torch.tensor(
                    [ids + [pad] * gap for ids, gap in zip(whole, gaps, strict=True)]
                ),
                "attention_mask": torch.tensor(
                    [[1] * len(ids) + [0] * gap for ids, gap in zip(whole, gaps, strict=True)]
                ),
                "labels": torch.tensor(labels),
            }
        )
    return batches


def _cut(asked: list[int], said: list[int]) -> tuple[list[int], list[int]]:
    asked = asked[-max(_ASKED, _LONGEST - len(said)) :]
    return asked, said[: _LONGEST - len(asked)]


def _arguments(plan: AlignPlan, out: Path) -> DPOConfig:
    return DPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=plan.batch,
        max_steps=plan.steps,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="constant",
        beta=plan.beta,
        max_length=_LONGEST,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        seed=plan.seed,
        save_strategy="no",
        logging_steps=10,
        report_to=[],
    )
