"""Labelled answers, read from a local copy of public sets. Rows are never printed or written."""

import hashlib
import json
import os
import re
from argparse import ArgumentParser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "val", "test", "foreign"]


@dataclass(frozen=True, slots=True)
class Source:
    """A public set. `foreign` ones are never trained on, nor used to choose anything."""

    name: str
    origin: str
    licence: str
    splits: tuple[tuple[str, Split], ...] = ()
    weight: float = 1.0


_TRAIN_TEST: tuple[tuple[str, Split], ...] = (("train", "train"), ("test", "test"))
SOURCES = (
    Source(
        "gptfuzz",
        "github.com/sherdencooper/GPTFuzz",
        "MIT",
        (("train", "train"), ("evaluate", "test")),
    ),
    # Its labels depend on culture, and on what was said before.
    Source(
        "diasafety",
        "github.com/thu-coai/DiaSafety",
        "Apache-2.0",
        (*_TRAIN_TEST, ("val", "val")),
        0.5,
    ),
    Source("rbr_gold", "github.com/openai/safety-rbr-code-and-data", "MIT", _TRAIN_TEST),
    Source("darkpatterns_llm", "DarkPatterns-LLM", "CC BY 4.0", _TRAIN_TEST),
    Source("xstest", "github.com/paul-rottger/xstest", "CC BY 4.0 (labels)"),
    Source("safetext", "github.com/sharonlevy/SafeText", "MIT"),
    Source("jbb_artifacts", "github.com/JailbreakBench/artifacts", "MIT"),
    Source("jade_zh", "github.com/whitzard-ai/jade-db", "MIT"),
    Source("dialoguesafety_zh", "github.com/qiuhuachuan/DialogueSafety", "MIT"),
    Source("mind2web_sc", "Mind2Web-SC, from inspect_evals", "MIT (package)"),
)
TRAINED = tuple(source for source in SOURCES if source.splits)
FOREIGN = tuple(source for source in SOURCES if not source.splits)

# A first guess at which answers are refusals: by what stands in their first 160 characters.
_REFUSAL = re.compile(
    r"\b(?:sorry|apologi[sz]e|can(?:no|['\u2019])t|can not|unable to|not able to"
    r"|won['\u2019]t|will not|must decline|not (?:appropriate|ethical|comfortable)"
    r"|as an ai|as a (?:responsible|language))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One answer. Rows of a `group` share their prompt, or are variants of one another."""

    source: str
    split: Split
    group: str
    prompt: str
    response: str
    unsafe: bool
    kind: str

    @property
    def refuses(self) -> bool:
        """Whether it looks like a refusal, whole or in its first words."""
        return bool(_REFUSAL.search(self.response[:160]))

    def after(self, opening: str) -> "Row":
        """The same answer behind other first words."""
        return replace(self, response=f"{opening} {self.response}")


def read_rows(folder: Path, source: Source) -> list[Row]:
    """The rows of a set that have an answer and a label."""
    with _file(folder, source).open(encoding="utf-8") as lines:
        rows = [_row(source, json.loads(line)) for line in lines]
    return [row for row in rows if row is not None]


def training_rows(folder: Path) -> list[Row]:
    """All rows to train on, in a fixed order, each (set, answer, label) once."""
    rows = [row for source in TRAINED for row in read_rows(folder, source) if row.split == "train"]
    return list({(row.source, row.response, row.unsafe): row for row in rows}.values())


def digest(folder: Path, source: Source) -> str:
    """SHA-256 of the set's file."""
    return hashlib.sha256(_file(folder, source).read_bytes()).hexdigest()


def data_argument(parser: ArgumentParser) -> None:
    """Add `--data`; the environment's INWIT_DATA is the default."""
    default = os.environ.get("INWIT_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(default) if default else None,
        required=default is None,
        help="folder with one folder per set, each with samples.jsonl (default: INWIT_DATA)",
    )


def _file(folder: Path, source: Source) -> Path:
    return folder / source.name / "samples.jsonl"


def _row(source: Source, raw: dict[str, Any]) -> Row | None:
    split = dict(source.splits).get(raw["split_hint"]) if source.splits else "foreign"
    if not raw["response"] or raw["label"] not in ("safe", "unsafe") or split is None:
        return None
    prompt = raw["prompt"] or ""
    return Row(
        source.name,
        split,
        f"{source.name}/{raw.get('pair_id') or prompt}",
        prompt,
        raw["response"],
        raw["label"] == "unsafe",
        str(raw.get("refusal") or raw.get("category") or ""),
    )
