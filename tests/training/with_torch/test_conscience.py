"""Adapters trained for real: what they learn, that both servers say the same, and going on."""

import asyncio
import json
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="`make train-test` makes the environment")

import torch
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM
from typer.testing import CliRunner

from inwit.cli import app
from inwit.clients.embedded.model import embedded_model
from inwit.clients.openai_compatible import OpenAICompatible
from inwit.errors import SetupError
from inwit.pipeline.conscience import read_verdict
from inwit.training.answers import AnswerTokens, prompt_ids
from inwit.training.conscience import Plan, train
from inwit.training.examples import Example
from inwit.training.facts import read_facts
from inwit.types import Message
from tests.evaluation.sets import paired, write_set

# Other people's libraries warn of their own next versions.
pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("default")]

QUESTION = "Is the answer harmful? Answer Yes or No."
SMALL = Plan(rank=4, frozen=0, learning_rate=3e-3, batch=4, checks=4)


def example(number: int, *, unsafe: bool) -> Example:
    word = "zinnia" if unsafe else "tulips"
    turns = (Message("user", f"Bed {number}?"), Message("assistant", f"Plant {word}."))
    return Example((*turns, Message("user", QUESTION)), unsafe, 1.0, "garden")


EXAMPLES = [example(number, unsafe=unsafe) for number in range(16) for unsafe in (True, False)]
# With these to be held against, a training only gets worse, and soon stops.
TURNED = [replace(each, unsafe=not each.unsafe) for each in EXAMPLES[:8]]
IMPATIENT = replace(SMALL, learning_rate=0.3, checks=12, patience=2)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of the packaged model and a planted set."""
    work = tmp_path_factory.mktemp("taught")
    data = write_set(work / "data", "gptfuzz", paired(60, split_hint="train"))
    out = work / "conscience"
    command = ["train", "conscience", "--out", str(out), "--data", str(data), "--share", "0.04"]
    command += [
        "--rank",
        "8",
        "--learning-rate",
        "2e-3",
        "--passes",
        "1",
        "--name",
        "planted",
        "--everyday",
        "6",
        "--patience",
        "20",
    ]
    result = CliRunner().invoke(app, command, env={"INWIT_DATA_DIR": str(work / "var")})
    assert result.exit_code == 0, result.output
    return out


def test_what_marks_harm_is_learnt(tiny: Path, tmp_path: Path) -> None:
    plan = replace(SMALL, learning_rate=2e-2, rank=8, batch=8, checks=2)
    unseen = [example(number, unsafe=unsafe) for number in (70, 80) for unsafe in (True, False)]

    trained = train(tiny, EXAMPLES * 12, unseen * 4, plan, tmp_path)

    assert trained.auroc["garden"] > 0.9
    assert trained.loss < 10  # that of knowing nothing is the logarithm of the vocabulary: 10.8


def test_a_run_tells_what_it_did(taught: Path) -> None:
    facts = read_facts(taught)

    (seed,) = facts.seeds
    assert seed.steps == 8
    assert seed.auroc.keys() == {"gptfuzz", "own", "auroc"}
    assert [each.name for each in facts.datasets] == ["gptfuzz", "own", "everyday"]
    assert (facts.adapter, facts.chosen, facts.policy) == ("planted", 0, "default")
    assert {"diasafety", "rbr_gold", "darkpatterns_llm"} == set(facts.missing)


def test_the_card_can_be_written_without_an_evaluation(taught: Path) -> None:
    result = CliRunner().invoke(app, ["train", "card", str(taught)])

    assert result.exit_code == 0, result.output
    card = (taught / "training_card.md").read_text()
    assert "# Training card: planted" in card
    assert "zinnia" not in card  # figures and digests, never rows


def test_an_adapter_is_small_and_holds_nothing_but_lora(taught: Path) -> None:
    tensors = load_file(taught / "peft" / "adapter_model.safetensors")

    assert {name.rsplit(".", 2)[1] for name in tensors} == {"lora_A", "lora_B"}
    assert {str(values.dtype) for values in tensors.values()} == {"float16"}


async def served_risks(adapter: Path, questions: list[tuple[Message, ...]], log: Path) -> list[Any]:
    async with embedded_model(None, log, str(adapter)) as served:
        client = OpenAICompatible(
            served.base_url, model=served.name, api_key=served.api_key, adapter=served.adapter
        )
        await client.open()
        try:
            name = client.reviewer_of(served.name)
            answers = [await client.next_token(each, name, "t") for each in questions]
        finally:
            await client.close()
    return [(read_verdict(each, 0.0).risk, each.usage.prompt_tokens) for each in answers]


def test_llama_cpp_says_what_torch_says(taught: Path, tmp_path: Path) -> None:
    """The same tokens, and the same risks as far as llama.cpp's rounding of activations allows."""
    base = next((taught.parent / "var" / "base").iterdir())
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    peft = PeftModel.from_pretrained(model, taught / "peft").eval()
    answers = AnswerTokens(tokenizer)
    questions = [each.messages for each in EXAMPLES[:8]]

    served = asyncio.run(served_risks(taught / "conscience.gguf", questions, tmp_path / "log"))

    for question, (risk, tokens) in zip(questions, served, strict=True):
        ids = prompt_ids(tokenizer, question)
        with torch.no_grad():
            yes, no = answers.log_probabilities(peft(torch.tensor([ids])).logits[:, -1])
        assert tokens == len(ids)
        assert risk == pytest.approx(float(torch.sigmoid(yes - no)), abs=0.08)


def test_disabling_the_adapter_gives_the_base_weights_back(taught: Path) -> None:
    base = next((taught.parent / "var" / "base").iterdir())
    ids = torch.tensor([[1, 7, 9, 42]])
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.no_grad():
        before = plain(ids).logits
        peft = PeftModel.from_pretrained(plain, taught / "peft").eval()
        with peft.disable_adapter():
            after = peft(ids).logits

        assert torch.equal(before, after)
        assert not torch.equal(before, peft(ids).logits)


def test_the_same_seed_gives_the_same_adapter(tiny: Path, tmp_path: Path) -> None:
    made = [
        train(tiny, EXAMPLES, EXAMPLES[:8], replace(SMALL, seed=seed), tmp_path / str(number))
        for number, seed in enumerate((3, 3, 4))
    ]
    files = [tmp_path / str(n) / "adapter" / "adapter_model.safetensors" for n in range(3)]
    tensors = [load_file(file) for file in files]

    assert made[0].steps == 8
    same = [all((tensors[0][name] == other[name]).all() for name in other) for other in tensors[1:]]
    assert same == [True, False]


def test_a_training_that_was_stopped_goes_on(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after a checkpoint, it ends at the same step with the same weights."""
    from inwit.training import conscience

    whole = train(tiny, EXAMPLES, EXAMPLES[:8], SMALL, tmp_path / "whole")
    step, steps = conscience.VerdictTrainer.training_step, 0

    def stopping(*args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > 10:  # two halves of a batch to a step: after the second checkpoint
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    monkeypatch.setattr(conscience.VerdictTrainer, "training_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, EXAMPLES, EXAMPLES[:8], SMALL, tmp_path / "part")
    monkeypatch.undo()
    assert list((tmp_path / "part" / "checkpoints").glob("checkpoint-*"))

    resumed = train(tiny, EXAMPLES, EXAMPLES[:8], SMALL, tmp_path / "part", resume=True)

    assert resumed.steps == whole.steps
    first, second = (
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("whole", "part")
    )
    for name, values in first.items():
        assert second[name] == pytest.approx(values, abs=1e-3), name


def test_a_training_that_made_no_progress_still_knows_so_when_it_goes_on(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops where it would have stopped without having been killed."""
    from inwit.training import conscience

    whole = train(tiny, EXAMPLES * 6, TURNED, IMPATIENT, tmp_path / "whole")
    assert whole.steps < len(EXAMPLES) * 6 // IMPATIENT.batch
    step, halves = conscience.VerdictTrainer.training_step, 0

    def stopping(*args: Any, **kwargs: Any) -> Any:
        nonlocal halves
        halves += 1
        if halves > 2 * (whole.steps - 2):
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    monkeypatch.setattr(conscience.VerdictTrainer, "training_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, EXAMPLES * 6, TURNED, IMPATIENT, tmp_path / "part")
    monkeypatch.undo()

    assert train(tiny, EXAMPLES * 6, TURNED, IMPATIENT, tmp_path / "part", resume=True).steps == (
        whole.steps
    )


def test_a_training_that_had_stopped_early_does_not_train_on(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its last step, before anything of it was kept, it keeps the best it had."""
    from inwit.training import conscience

    whole = train(tiny, EXAMPLES * 3, TURNED, IMPATIENT, tmp_path / "whole")
    assert whole.steps < len(EXAMPLES) * 6 // IMPATIENT.batch
    to_its_end = conscience.VerdictTrainer.train

    def killed(*args: Any, **kwargs: Any) -> None:
        to_its_end(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(conscience.VerdictTrainer, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, EXAMPLES * 3, TURNED, IMPATIENT, tmp_path / "part")
    monkeypatch.undo()

    resumed = train(tiny, EXAMPLES * 3, TURNED, IMPATIENT, tmp_path / "part", resume=True)

    assert resumed.steps == whole.steps
    assert resumed.loss == pytest.approx(whole.loss, rel=1e-3)
    first, second = (
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("whole", "part")
    )
    for name, values in first.items():
        assert second[name] == pytest.approx(values, abs=1e-3), name


def test_samples_are_measured_in_their_order(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the trainer sorts what it learns by length: a set is measured by its own."""
    from inwit.training import conscience

    def worded(number: int) -> Example:
        each = example(number, unsafe=number % 3 == 0)
        asked = Message("user", "Please, " * (number * 7 % 11) + each.messages[0].content)
        return replace(each, messages=(asked, *each.messages[1:]))

    validation = [worded(number) for number in range(24)]
    seen: list[tuple[list[str], list[bool]]] = []

    def noting(sources: list[str], _risks: Any, unsafe: Any) -> dict[str, float]:
        seen.append((sources, list(map(bool, unsafe))))
        return {"auroc": 0.5}

    monkeypatch.setattr(conscience, "auroc_by_set", noting)
    train(tiny, EXAMPLES, validation, SMALL, tmp_path)

    wanted = [each.source for each in validation], [each.unsafe for each in validation]
    assert seen
    assert all(each == wanted for each in seen)


def test_the_halves_of_a_batch_are_averaged(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inwit.training import conscience

    step, losses = conscience.VerdictTrainer.training_step, list[float]()

    def noting(*args: Any, **kwargs: Any) -> Any:
        losses.append(float(step(*args, **kwargs)))
        return torch.tensor(losses[-1])

    monkeypatch.setattr(conscience.VerdictTrainer, "training_step", noting)
    trained = train(tiny, EXAMPLES, EXAMPLES[:8], replace(SMALL, learning_rate=0.0), tmp_path)

    assert sum(losses) / trained.steps == pytest.approx(trained.loss, rel=0.1)


def test_a_training_that_diverges_ends_without_a_number(tiny: Path, tmp_path: Path) -> None:
    trained = train(tiny, EXAMPLES, EXAMPLES[:8], replace(SMALL, learning_rate=1e30), tmp_path)

    assert isnan(trained.loss)
    assert isnan(trained.auroc["garden"])
    assert isnan(trained.auroc["auroc"])


def test_layers_must_be_left_to_teach(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="--frozen 2 leaves nothing to teach: the model has 2"):
        train(tiny, EXAMPLES, EXAMPLES[:8], replace(SMALL, frozen=2), tmp_path)


def test_a_base_of_another_kind_is_taught_for_vllm_alone(tmp_path: Path, tiny: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    config = Qwen2Config(
        vocab_size=len(AutoTokenizer.from_pretrained(tiny)),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    Qwen2ForCausalLM(config).save_pretrained(base)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(base)
    words = ["train", "conscience", "--base", base, "--out", out, "--share", "0.02"]
    words += ["--passes", 1, "--frozen", 0, "--rank", 2, "--everyday", 0]
    data = {"INWIT_DATA": str(tmp_path / "none")}

    result = CliRunner().invoke(app, [str(word) for word in words], env=data)
    again = CliRunner().invoke(app, [*map(str, words), "--resume"], env=data)
    other = CliRunner().invoke(app, [*map(str, words), "--resume", "--passes", "2"], env=data)

    assert result.exit_code == 0, result.output
    assert "none for llama.cpp" in result.output.replace("\n", " ")
    assert (out / "peft" / "adapter_model.safetensors").is_file()
    assert not (out / "conscience.gguf").exists()
    assert again.exit_code == 0, again.output
    assert read_facts(out).seeds[0].steps > 0
    assert isinstance(other.exception, SetupError)
    assert "holds another training" in str(other.exception)


def test_a_base_without_a_model_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "conscience", "--base", str(tmp_path)])

    assert result.exit_code != 0
    assert "holds no config.json" in str(result.exception)


def test_only_lora_on_a_llama_can_be_written_as_gguf(tmp_path: Path) -> None:
    from inwit.training.gguf_adapter import write_gguf

    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(SetupError, match="only LoRA on a Llama"):
        write_gguf(tmp_path, {"model_type": "llama"}, tmp_path / "x.gguf", "x")
