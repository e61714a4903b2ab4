"""Makes the embedded classifier's file: `python -m scripts.classifier.train --data DIR`.

The same rows give the same file, byte for byte, with the pinned numpy, SciPy, scikit-learn and
zlib on one kind of processor; elsewhere a weight may be rounded the other way.
"""

import hashlib
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from scripts.classifier.fitting import Recipe, calibrate, crossed, fit, scores
from scripts.classifier.rows import TRAINED, data_argument, read_rows, training_rows

from inwit.clients.classifiers import embedded

_PACKAGED = Path(embedded.__file__).parent / "data"
RECIPE = Recipe()


def main() -> None:
    """Fit, calibrate, and write the weights with their SHA-256."""
    parser = ArgumentParser(description=__doc__)
    data_argument(parser)
    parser.add_argument("--out", type=Path, default=_PACKAGED, help="folder to write to")
    arguments = parser.parse_args()
    rows = training_rows(arguments.data)
    weights = fit(rows, RECIPE)
    # Only scores of answers that the weights never saw: folds, and DiaSafety's `val`.
    val = [row for source in TRAINED for row in read_rows(arguments.data, source)]
    val = [row for row in val if row.split == "val"]
    found = np.concatenate((crossed(rows, RECIPE), scores(weights, val)))
    raw = calibrate(weights, found, [*rows, *val]).write()
    digest = hashlib.sha256(raw).hexdigest()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / embedded.FILE).write_bytes(raw)
    (arguments.out / embedded.DIGEST).write_text(f"{digest}\n", "ascii")
    print(f"{len(rows)} answers, {len(raw)} bytes, SHA-256 {digest}")  # noqa: T201  # its output


if __name__ == "__main__":
    main()
