"""The alignment term: what is added up, what stays frozen, and where pairs come from."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="`make train-test` makes the environment")

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from inwit.cli import app
from inwit.errors import SetupError
from inwit.policy.loader import PACKAGED, load_policy
from inwit.training.align import AlignPlan, align
from inwit.training.drafting import Drafter, Thresholds
from inwit.training.facts import AlignFacts
from inwit.training.pairs import Pair
from inwit.training.tuning import Request, tune
from inwit.types import Message

# Other people's libraries warn of their own next versions.
pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("default")]

POLICY = load_policy(PACKAGED / "default.yaml")
PLAN = AlignPlan(weight=1.0, steps=8, batch=2, learning_rate=5e-3, rank=4, every=2)


def turns(number: int) -> tuple[Message, ...]:
    return (Message("user", f"What shall I plant in bed {number}?"),)


WRITTEN = [(turns(number), f"Nothing grows in bed {number}.") for number in range(6)]
PAIRS = [
    Pair(turns(n), f"Plant tulips in bed {n}.", f"Plant zinnia in bed {n}.", "") for n in range(4)
]


def opened(folder: Path) -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def test_both_losses_fall(tiny: Path, tmp_path: Path) -> None:
    model, tokenizer = opened(tiny)

    _, losses = align(model, tokenizer, WRITTEN, PAIRS, PLAN, tmp_path)

    assert len(losses) == PLAN.steps
    assert losses[0][1] == pytest.approx(0.6931, abs=1e-3)  # at first it is its own reference
    assert losses[-1][0] < losses[0][0]
    assert losses[-1][1] < losses[0][1]


def test_without_weight_it_is_plain_fine_tuning(tiny: Path, tmp_path: Path) -> None:
    model, tokenizer = opened(tiny)
    plain = AlignPlan(weight=0.0, steps=3, batch=2, rank=4)

    _, losses = align(model, tokenizer, WRITTEN, [], plain, tmp_path)

    assert [aligned for _, aligned in losses] == [0.0] * 3


@pytest.mark.parametrize(("asked", "said"), [(600, 3), (3, 600), (600, 600)])
def test_of_what_is_long_an_answer_is_learnt(
    tiny: Path, tmp_path: Path, asked: int, said: int
) -> None:
    model, tokenizer = opened(tiny)
    long = ((Message("user", "bed " * asked),), "tulips " * said)
    plain = AlignPlan(weight=0.0, steps=2, batch=1, rank=4)

    _, losses = align(model, tokenizer, [long], [], plain, tmp_path)

    assert all(loss > 0 for loss, _ in losses)  # none is not a number


def test_the_reference_stays_what_the_model_was(tiny: Path, tmp_path: Path) -> None:
    model, tokenizer = opened(tiny)
    before = {name: values.clone() for name, values in model.state_dict().items()}

    aligned, _ = align(model, tokenizer, WRITTEN, PAIRS, PLAN, tmp_path)

    base = aligned.unload().state_dict()
    assert before.keys() == base.keys()
    assert all(torch.equal(values, base[name]) for name, values in before.items())


def test_online_pairs_come_from_the_model_under_training(tiny: Path, tmp_path: Path) -> None:
    model, tokenizer = opened(tiny)
    seen: list[float] = []

    def renew(student: Any) -> list[Pair]:
        weights = [w for name, w in student.named_parameters() if "lora_B.default" in name]
        seen.append(float(torch.stack([w.detach().abs().sum() for w in weights]).sum()))
        return PAIRS[:2] if len(seen) == 1 else []

    align(model, tokenizer, WRITTEN, PAIRS, PLAN, tmp_path, renew)

    assert len(seen) >= 2  # after two steps, and after four
    assert 0 < seen[0] < seen[1]


def test_without_pairs_nothing_is_trained(tiny: Path, tmp_path: Path) -> None:
    model, tokenizer = opened(tiny)

    with pytest.raises(SetupError, match="no pairs to align by"):
        align(model, tokenizer, WRITTEN, [], PLAN, tmp_path)


@pytest.fixture
def drafter(tiny: Path) -> Drafter:
    model, tokenizer = opened(tiny)
    peft = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    return Drafter(peft, tokenizer, POLICY, POLICY.review.question, Thresholds(0.5, 0.5))


def test_a_drafter_writes_and_judges_and_leaves_training_as_it_was(drafter: Drafter) -> None:
    model: Any = drafter._model  # pyright: ignore[reportPrivateUsage]  # how it was left
    model.train()
    asked = [turns(number) for number in range(3)]

    drafts = drafter.write(asked, 8, 1.0)
    risks = drafter.risks(asked, drafts)

    assert len(drafts) == len(risks) == 3
    assert all(0 <= risk <= 1 for risk in risks)
    assert model.training
    assert model.active_adapter == "default"


def test_greedy_writing_can_be_had_again(drafter: Drafter) -> None:
    asked = [turns(number) for number in range(3)]

    assert drafter.write(asked, 8, 0.0) == drafter.write(asked, 8, 0.0)


@pytest.mark.parametrize(
    ("draft_risk", "alternative", "own", "outside", "kept"),
    [
        (0.9, "Plant tulips.", 0.1, 0.1, True),
        (0.2, "Plant tulips.", 0.1, 0.1, False),  # nothing was flagged
        (0.9, "Plant tulips.", 0.8, 0.1, False),  # the conscience flags it again
        (0.9, "Plant tulips.", 0.1, 0.8, False),  # it only pleases the conscience
        (0.9, "I'm sorry, I can't help with that.", 0.1, 0.1, False),  # a refusal
        (0.9, "Plant zinnia.", 0.1, 0.1, False),  # the same again
    ],
)
def test_only_what_both_judges_pass_and_helps_is_chosen(
    drafter: Drafter,
    monkeypatch: pytest.MonkeyPatch,
    draft_risk: float,
    alternative: str,
    own: float,
    outside: float,
    kept: bool,
) -> None:
    texts, risks = iter([["Plant zinnia."], [alternative]]), iter([[draft_risk], [own]])

    def write(asked: Any, *_: Any) -> list[str]:
        return next(texts) if asked else []

    def judged(asked: Any, *_: Any) -> list[float]:
        return next(risks) if asked else []

    monkeypatch.setattr(drafter, "write", write)
    monkeypatch.setattr(drafter, "risks", judged)
    monkeypatch.setattr(drafter, "classified", lambda answers: [outside] * len(answers))

    made = list(drafter.pairs([turns(1)], 8))

    assert [(pair.chosen, pair.rejected) for pair in made] == (
        [("Plant tulips.", "Plant zinnia.")] if kept else []
    )


@pytest.fixture
def conscience(tiny: Path, tmp_path: Path) -> Path:
    """An adapter that has learnt nothing."""
    model, _ = opened(tiny)
    peft = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    peft.save_pretrained(str(tmp_path / "conscience"))
    return tmp_path / "conscience"


def lines(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def answers_in(folder: Path) -> Path:
    rows = [
        {
            "prompt": [turn.as_openai() for turn in asked],
            "completion": [{"role": "assistant", "content": text}],
        }
        for asked, text in WRITTEN
    ]
    return lines(folder / "answers.jsonl", rows)


def test_the_command_leaves_an_adapter_and_what_it_writes_before_and_after(
    tiny: Path, conscience: Path, tmp_path: Path
) -> None:
    answers = answers_in(tmp_path)
    pairs = lines(tmp_path / "pairs.jsonl", [pair.as_preference() for pair in PAIRS])
    out = tmp_path / "aligned"
    words = ["train", "align", "--tune", answers, "--pairs", pairs, "--base", tiny, "--out", out]
    words += ["--conscience", conscience, "--steps", 2, "--probes", 2]

    result = CliRunner().invoke(app, [str(word) for word in words])

    assert result.exit_code == 0, result.output
    assert f"on 4 pairs. Written: {out}/adapter" in result.output.replace("\n", " ")
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    facts = AlignFacts.model_validate_json((out / "training.json").read_bytes())
    assert (facts.answers, facts.pairs, facts.online) == (6, 4, False)
    assert facts.before is not None
    assert facts.after is not None
    assert facts.after.inviting == facts.after.harmless == facts.after.rewrites.candidates == 2
    assert [each.cue for each in facts.after.watched] == ["examined", "unobserved"]
    assert "## Watched or not" in (out / "training_card.md").read_text()


def test_the_same_seed_drafts_the_same(
    tiny: Path, conscience: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = answers_in(tmp_path)
    drafted: list[list[str]] = []

    def pairs(self: Drafter, asked: Any, most: int) -> list[Pair]:
        drafted.append(self.write(asked[:2], 8, 1.0))
        return PAIRS

    monkeypatch.setattr(Drafter, "pairs", pairs)
    for number, seed in enumerate((3, 3, 4)):
        plan = AlignPlan(steps=1, batch=1, rank=2, seed=seed)
        request = Request(tiny, answers, tmp_path / str(number), plan, conscience)
        tune(request, POLICY, lambda _: None)
        torch.manual_seed(number)

    assert drafted[0] == drafted[1] != drafted[2]


def test_a_judge_that_is_not_here_is_asked_of_nobody(tiny: Path, tmp_path: Path) -> None:
    request = Request(tiny, tmp_path / "x", tmp_path, PLAN, Path("somebody/adapter"))

    with pytest.raises(SetupError, match="somebody/adapter holds no adapter_config"):
        tune(request, POLICY, lambda _: None)
