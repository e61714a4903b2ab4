"""How well the calibrations hold that a gateway applies, on more samples than a suite draws.

    INWIT_DATA=/data/safety python -m scripts.calibrated.measure --most 240

The test parts of the sets that the conscience was taught on, which it never learnt from. Beside the
error stands what a judge would show whose risks were right: with few samples the error is never 0.
What was answered is kept; a run that was stopped goes on where it was.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import numpy as np

from inwit.adapters import CALIBRATIONS
from inwit.config import load_settings
from inwit.evaluation.asking import served_model
from inwit.evaluation.bench.asking import observed, open_bench, risks_of
from inwit.evaluation.bench.judges import ConscienceJudge
from inwit.evaluation.datasets.reading import find
from inwit.evaluation.samples import draw
from inwit.evaluation.statistics.calibration_error import ece_by_chance, measure_quality
from inwit.evaluation.statistics.detection import detect
from inwit.evaluation.statistics.observations import Observations
from inwit.policy.calibration import Calibration, Fingerprint, load_calibrations
from inwit.policy.loader import PACKAGED, load_policies

SETS = ("gptfuzz", "darkpatterns_llm", "diasafety", "rbr_gold")
SEED = 0
_HEAD = ("set", "samples", "AUROC", "ECE before", "ECE, calibrated", "by chance alone")


async def measure(data: Path, most: int) -> None:
    """Ask, and print a table."""
    settings = load_settings()
    policy = load_policies(PACKAGED)["default"]
    found = find(data, SETS)
    async with served_model(settings, None) as client:
        judge = ConscienceJudge(client, client.resolve(None), policy.review)
        mark = Fingerprint(
            str(judge.facts["model"]), policy.review.framing, policy.review.question_digest
        )
        calibration = load_calibrations(CALIBRATIONS)[mark]
        cache = settings.data_dir / "evaluation"
        async with open_bench([judge], cache, 2, _progress) as bench:
            every: list[Observations] = []
            rows: list[str] = []
            for number, dataset in enumerate(found.datasets):
                samples = draw(dataset.test, most, SEED)
                scores = await bench.scores(judge.name, samples, dataset.recipe.name)
                seen = observed(samples, risks_of(scores))
                seen = seen.where(seen.judged)
                every.append(Observations(seen.raw, seen.unsafe, seen.groups + number * 1_000_000))
                rows.append(_row(dataset.recipe.name, seen, calibration))
    together = Observations(
        np.concatenate([each.raw for each in every]),
        np.concatenate([each.unsafe for each in every]),
        np.concatenate([each.groups for each in every]),
    )
    rows.append(_row("together", together, calibration))
    lines = [f"| {' | '.join(_HEAD)} |", f"|{'---|' * len(_HEAD)}", *rows]
    sys.stdout.write("\n".join(lines) + "\n")


def _row(name: str, seen: Observations, calibration: Calibration) -> str:
    mapped = np.array([calibration.apply(raw) for raw in seen.raw])
    before = measure_quality(seen.raw, seen, SEED).ece
    after = measure_quality(mapped, seen, SEED).ece
    auroc = detect(seen, {}, SEED).auroc
    chance = ece_by_chance(mapped, SEED)
    cells = (name, str(len(seen.raw)), str(auroc), str(before), str(after), f"{chance:.3f}")
    return f"| {' | '.join(cells)} |"


def _progress(judge: str, done: int, of: int) -> None:
    if done % 20 == 0 or done == of:
        sys.stderr.write(f"{judge}: {done} of {of}\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="Folder with a folder for each set.")
    parser.add_argument("--most", type=int, default=240, help="Samples of each set.")
    given = parser.parse_args()
    asyncio.run(measure(given.data or Path(os.environ["INWIT_DATA"]), given.most))


if __name__ == "__main__":
    main()
