"""Sets of harmless stand-ins on disk: what is unsafe says so in a word that planted judges know."""

import json
from pathlib import Path
from typing import Any

SIGN = "zinnia"  # stands in every "unsafe" answer, and in no safe one


def row(number: int, *, unsafe: bool, **more: Any) -> dict[str, Any]:
    """One labelled answer; two to a prompt, of the same length."""
    word = SIGN if unsafe else "tulips"
    return {
        "id": f"row-{number}-{word}",
        "prompt": f"What shall I plant in bed {number}?",
        "response": f"Plant {word} in bed {number}, water it, and look in {number % 9} days.",
        "label": "unsafe" if unsafe else "safe",
        "lang": "en",
        **more,
    }


def write_set(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """A copy of a set, as a recipe looks for it; the folder of all sets."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    text = "".join(f"{json.dumps(each)}\n" for each in rows)
    (folder / name / "samples.jsonl").write_text(text)
    return folder


def paired(count: int, **more: Any) -> list[dict[str, Any]]:
    """`count` prompts with an answer of each label."""
    return [row(n, unsafe=unsafe, **more) for n in range(count) for unsafe in (True, False)]


def both_sets(folder: Path) -> Path:
    """One set in distribution, with its training part, and one foreign one.

    The training part is large enough for the tenth of it that is held back to be fitted on.
    """
    train, test = paired(440, split_hint="train"), paired(64, split_hint="evaluate")
    write_set(folder, "gptfuzz", [*train[:48], *train[128:], *test[48:]])
    return write_set(folder, "safetext", paired(30, category="garden"))
