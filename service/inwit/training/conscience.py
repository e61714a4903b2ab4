"""Fine-tunes the verdict: LoRA on the served model's base, loss on the answer words alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from sklearn.metrics import roc_auc_score
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from inwit.errors import SetupError
from inwit.training.answers import AnswerTokens, pad_id, prompt_ids
from inwit.training.examples import Example
from inwit.training.resuming import CHECKPOINTS, STATE, last_checkpoint

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_LONGEST = 512  # tokens


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. The first `frozen` layers stay as they are, which saves a fifth of the time."""

    rank: int = 16
    frozen: int = 10
    learning_rate: float = 5e-4
    batch: int = 16
    seed: int = 0
    checks: int = 8  # looks at the validation samples, evenly spread
    patience: int = 3


@dataclass(frozen=True, slots=True)
class Trained:
    """How it went: AUROC by set and on average, and the loss, on the validation samples."""

    auroc: dict[str, float]
    loss: float
    steps: int


class Asked(Dataset[dict[str, Any]]):
    """Examples as tokens, the longest cut at its beginning."""

    def __init__(self, examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase) -> None:
        self._rows = [
            {
                "input_ids": prompt_ids(tokenizer, each.messages)[-_LONGEST:],
                "labels": float(each.unsafe),
                "weights": each.weight,
            }
            for each in examples
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._rows[index]


def padded(rows: Sequence[list[int]], pad: int) -> dict[str, torch.Tensor]:
    """Token ids, padded on the left, so that every row's answer comes at the last place."""
    longest = max(map(len, rows))
    gaps = [longest - len(row) for row in rows]
    ids = [[pad] * gap + row for gap, row in zip(gaps, rows, strict=True)]
    mask = [[0] * gap + [1] * (longest - gap) for gap in gaps]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def collate(rows: Sequence[Mapping[str, Any]], pad: int) -> dict[str, torch.Tensor]:
    """A batch of `Asked`."""
    return {
        **padded([row["input_ids"] for row in rows], pad),
        "labels": torch.tensor([row["labels"] for row in rows]),
        "weights": torch.tensor([row["weights"] for row in rows]),
    }


class VerdictTrainer(Trainer):
    """A `Trainer` whose loss is the answer words'. Gives risks as predictions, in their order."""

    loss_is_scaled_for_ga = False  # each half of a batch gives its mean: they are averaged

    def __init__(self, answers: AnswerTokens, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._answers = answers

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int]:
        """One after another: `group_by_length` would have them sorted, and the risks with them."""
        return SequentialSampler(eval_dataset)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Minus the weighted mean log-probability of the right words."""
        logits = next_logits(self.accelerator.unwrap_model(model), inputs)
        loss = self._answers.loss(logits, inputs["labels"] > 0, inputs["weights"])
        if not return_outputs:
            return loss
        yes, no = self._answers.log_probabilities(logits)
        return loss, {"loss": loss, "logits": torch.sigmoid(yes - no)}


def next_logits(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The logits after each row, (batch, vocabulary).

    By the model's parts: through its own whole forward a step takes half as long again.
    """
    inner = model.get_base_model()
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        hidden = inner.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)
        return inner.get_output_embeddings()(hidden.last_hidden_state[:, -1])


def load_base(folder: Path) -> tuple[Any, PreTrainedTokenizerBase]:
    """The base model, for training in bfloat16, and its tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    return model, tokenizer


def with_adapter(model: Any, plan: Plan) -> PeftModel:
    """A new adapter on the upper layers of a model.

    Raises:
        SetupError: there are no layers but those that are to stay as they are.
    """
    layers = range(plan.frozen, model.config.num_hidden_layers)
    if not layers:  # which PEFT would take for all of them
        raise SetupError(
            f"--frozen {plan.frozen} leaves nothing to teach: the model has "
            f"{model.config.num_hidden_layers} layers."
        )
    config = LoraConfig(
        r=plan.rank,
        lora_alpha=2 * plan.rank,
        lora_dropout=0.0,  # on a CPU dropout would double the time of a step
        target_modules=MODULES,
        layers_to_transform=list(layers),
        task_type="CAUSAL_LM",
    )
    return cast("PeftModel", get_peft_model(model, config))


def auroc_by_set(sources: Sequence[str], risks: Any, unsafe: Any) -> dict[str, float]:
    """AUROC of each set with both labels, and their mean as `auroc`: NaN where there is none."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, source in enumerate(sources):
        places[source].append(place)
    found = {
        source: _auroc(unsafe[at], risks[at])
        for source, at in places.items()
        if 0 < sum(unsafe[at]) < len(at)
    }
    return found | {"auroc": float(np.mean(list(found.values()))) if found else np.nan}


def _auroc(unsafe: Any, risks: Any) -> float:
    """NaN where a training has diverged: then the risks are no numbers."""
    return float(roc_auc_score(unsafe, risks)) if np.isfinite(risks).all() else np.nan


def train(
    base: Path,
    examples: Sequence[Example],
    validation: Sequence[Example],
    plan: Plan,
    out: Path,
    *,
    resume: bool = False,
) -> Trained:
    """Train, and keep the best adapter in `out`/adapter.

    Checkpoints are beside it; with `resume` the last one is gone on from, unless the training had
    stopped there.

    Raises:
        SetupError: the plan leaves nothing to teach.
    """
    set_seed(plan.seed)  # the adapter's first weights are drawn too
    model, tokenizer = load_base(base)
    answers = AnswerTokens(tokenizer)
    asked, checked = Asked(examples, tokenizer), Asked(validation, tokenizer)
    sources = [each.source for each in validation]
    steps = max(1, len(asked) // plan.batch)

    def measure(predicted: EvalPrediction) -> dict[str, float]:
        return auroc_by_set(sources, predicted.predictions, np.asarray(predicted.label_ids) > 0)

    pad = pad_id(tokenizer)
    trainer = VerdictTrainer(
        answers,
        model=with_adapter(model, plan),
        args=_arguments(plan, out, steps),
        train_dataset=asked,
        eval_dataset=checked,
        data_collator=lambda rows: collate(rows, pad),
        compute_metrics=measure,
        callbacks=[EarlyStoppingCallback(plan.patience)],
    )
    last = last_checkpoint(out) if resume else None
    if last is None or not _stopped_at(last, trainer):
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    found = trainer.evaluate()
    adapter = cast("PeftModel", trainer.model).half()  # what both servers load, half the size
    adapter.save_pretrained(str(out / "adapter"))
    names = {*sources, "auroc"}
    auroc = {name: found[f"eval_{name}"] for name in sorted(names) if f"eval_{name}" in found}
    return Trained(auroc, found["eval_loss"], trainer.state.global_step)


def _stopped_at(last: Path, trainer: Trainer) -> bool:
    """Whether a training had stopped at its last checkpoint; if so, its best weights are loaded.

    Begun again, a `Trainer` forgets that it had stopped, and trains on.
    """
    state = TrainerState.load_from_json(str(last / STATE))
    callbacks = cast("dict[str, Any]", state.stateful_callbacks)
    if not callbacks["TrainerControl"]["args"]["should_training_stop"]:
        return False
    trainer.state = state
    best = last.with_name(f"checkpoint-{state.best_global_step}")
    model = cast("PeftModel", trainer.model)
    model.load_adapter(str(best if best.is_dir() else last), model.active_adapters[0])
    return True


def _arguments(plan: Plan, out: Path, steps: int) -> TrainingArguments:
    between = max(1, steps // plan.checks)
    return TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        per_device_train_batch_size=plan.batch // 2,
        gradient_accumulation_steps=2,
        per_device_eval_batch_size=plan.batch,
        num_train_epochs=1,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(20, steps // 10),
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        seed=plan.seed,
        train_sampling_strategy="group_by_length",
        restore_callback_states_from_checkpoint=True,  # how long there was no progress
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=between,
        save_steps=between,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="loss",  # over all samples: some sets have few, and noisy ranks
        logging_steps=20,
        report_to=[],
        remove_unused_columns=False,
        label_names=["labels"],
    )
