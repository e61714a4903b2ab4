"""What training holds back, as a file that `inwit calibrate` reads."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from inwit.errors import SetupError
from inwit.evaluation.datasets.reading import Dataset
from inwit.training.examples import balanced


def write_held_back(datasets: Iterable[Dataset], file: Path, most: int, seed: int) -> int:
    """Write at most `most` held-back samples of each set, for this user alone; give their number.

    Samples with tool calls are left out: rows of text cannot hold them.

    Raises:
        SetupError: the file cannot be written.
    """
    rows = [
        {
            "id": f"{data.recipe.name}/{sample.id}",
            "source": data.recipe.name,
            "pair_id": sample.group,
            "messages": [turn.as_openai() for turn in sample.conversation],
            "response": sample.response,
            "label": sample.label,
        }
        for data in datasets
        for sample in balanced(data.held_back, most, seed)
        if not sample.tool_calls and not any(turn.tool_calls for turn in sample.conversation)
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as lines:
            lines.writelines(f"{json.dumps(row)}\n" for row in rows)
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. --out must be a file to write to.") from error
    return len(rows)
