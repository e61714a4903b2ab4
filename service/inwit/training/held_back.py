"""What training holds back, as a file that `inwit calibrate` reads."""

from collections.abc import Iterable
from pathlib import Path

from inwit.evaluation.datasets.reading import Dataset
from inwit.training.examples import balanced
from inwit.training.json_lines import write_rows


def write_held_back(datasets: Iterable[Dataset], file: Path, most: int, seed: int) -> int:
    """Write at most `most` held-back samples of each set, for this user alone; give their number.

    Samples with tool calls are left out: rows of text cannot hold them.

    Raises:
        SetupError: the file cannot be written.
    """
    rows = (
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
    )
    return write_rows(file, rows)
