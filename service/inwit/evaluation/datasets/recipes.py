"""The recipes: each public set by name, with its origin, its licence and what its label means.

No row of a public set is part of Inwit. A copy is looked for at `FOLDER/NAME/samples.jsonl`; its
digest goes into every report, so that two reports can be known to be about the same rows.
"""

from dataclasses import dataclass
from enum import StrEnum


class Distribution(StrEnum):
    """How a set stands to what is trained, calibrated or chosen on."""

    IN = "in"  # its test part; another part of the same set may be trained on
    OUT = "out"  # nothing of it is ever trained on, nor used to choose anything
    OWN = "own"  # Inwit's own suite
    PROMPTS = "prompts"  # without labelled responses: prompts to write answers to


@dataclass(frozen=True, slots=True)
class Recipe:
    """One set. `test` and `train` are the words of the set for its parts; empty: all of it."""

    name: str
    origin: str
    licence: str
    label: str
    distribution: Distribution
    languages: tuple[str, ...] = ("en",)
    test: tuple[str, ...] = ()
    train: tuple[str, ...] = ()


_IN, _OUT, _PROMPTS = Distribution.IN, Distribution.OUT, Distribution.PROMPTS

OWN = Recipe(
    "own",
    "part of Inwit (evaluation/suites/own)",
    "Apache-2.0",
    "by construction: pairs of answers to one conversation, written under a guide",
    Distribution.OWN,
    test=("test",),
    train=("train",),
)

_LABELLED = (
    Recipe(
        "gptfuzz",
        "github.com/sherdencooper/GPTFuzz",
        "MIT",
        "answers to jailbreak prompts, by the authors",
        _IN,
        test=("evaluate",),
        train=("train",),
    ),
    Recipe(
        "diasafety",
        "github.com/thu-coai/DiaSafety",
        "Apache-2.0",
        "replies in context, by crowd workers; depends on culture",
        _IN,
        test=("test",),
        train=("train",),
    ),
    Recipe(
        "rbr_gold",
        "github.com/openai/safety-rbr-code-and-data",
        "MIT",
        "completions with disallowed content, by people",
        _IN,
        test=("test",),
        train=("train",),
    ),
    Recipe(
        "darkpatterns_llm",
        "DarkPatterns-LLM",
        "CC BY 4.0",
        "pairs with and without manipulation, by construction",
        _IN,
        test=("test",),
        train=("train",),
    ),
    Recipe(
        "xstest",
        "github.com/paul-rottger/xstest",
        "CC BY 4.0 (prompts, labels)",
        "derived: a person says that it complies, and the prompt is unsafe",
        _OUT,
    ),
    Recipe(
        "safetext",
        "github.com/sharonlevy/SafeText",
        "MIT",
        "advice that leads to physical harm, by people",
        _OUT,
    ),
    Recipe(
        "jbb_artifacts",
        "github.com/JailbreakBench/artifacts",
        "MIT",
        "answers to jailbreaks, by a model (no person)",
        _OUT,
    ),
    Recipe(
        "jade_zh",
        "github.com/whitzard-ai/jade-db",
        "MIT",
        "a violating answer and its correction, by a model",
        _OUT,
        languages=("zh",),
    ),
    Recipe(
        "dialoguesafety_zh",
        "github.com/qiuhuachuan/DialogueSafety",
        "MIT (test set)",
        "replies of counsellors, by people: mostly neglect",
        _OUT,
        languages=("zh",),
    ),
    Recipe(
        "mind2web_sc",
        "Mind2Web-SC, from inspect_evals",
        "MIT (package)",
        "actions against an access policy; basis not verified",
        _OUT,
    ),
)

_WITHOUT_LABELS = (
    Recipe(
        "hh_harmless",
        "github.com/anthropics/hh-rlhf",
        "MIT",
        "which of two answers people prefer; no absolute label",
        _PROMPTS,
    ),
    Recipe(
        "openai_moderation",
        "github.com/openai/moderation-api-release",
        "MIT",
        "texts, not answers",
        _PROMPTS,
    ),
    Recipe(
        "multijail",
        "github.com/DAMO-NLP-SG/multilingual-safety-for-LLMs",
        "MIT",
        "prompts only",
        _PROMPTS,
        languages=("ar", "bn", "en", "it", "jv", "ko", "sw", "th", "vi", "zh"),
    ),
    Recipe(
        "red_instruct",
        "github.com/declare-lab/red-instruct",
        "Apache-2.0",
        "prompts only",
        _PROMPTS,
        languages=("en", "vi", "zh"),
    ),
    Recipe(
        "strongreject",
        "github.com/alexandrasouly/strongreject",
        "MIT",
        "prompts only",
        _PROMPTS,
    ),
    Recipe(
        "simplesafetytests",
        "github.com/bertiev/SimpleSafetyTests",
        "CC BY 4.0",
        "prompts only",
        _PROMPTS,
    ),
    Recipe(
        "purplellama",
        "github.com/meta-llama/PurpleLlama (CybersecurityBenchmarks)",
        "MIT",
        "prompts only, part of them falsely refused ones",
        _PROMPTS,
        languages=("several",),
    ),
    Recipe(
        "privacylens",
        "github.com/SALT-NLP/PrivacyLens",
        "MIT",
        "trajectories of agents without their last action",
        _PROMPTS,
    ),
)

RECIPES: tuple[Recipe, ...] = (OWN, *_LABELLED, *_WITHOUT_LABELS)
