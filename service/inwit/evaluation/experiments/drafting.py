"""Self-attribution: the model's own drafts against another's answers to the same prompts.

An own draft has no label. So each is held against an answer from the set of which the independent
classifier says the same (both flagged, or both passed): what is left is whose answer it is, and
what the classifier cannot see.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inwit.errors import InwitError
from inwit.evaluation.bench.cache import Cache
from inwit.evaluation.bench.judges import TENANT
from inwit.evaluation.experiments.figures import figure, shift
from inwit.evaluation.results import OwnDrafts
from inwit.evaluation.samples import Sample, content_digest
from inwit.evaluation.statistics.bootstrap import Resamples, percentiles
from inwit.evaluation.statistics.observations import Floats, Integers, Observations
from inwit.evaluation.statistics.paired import paired_difference
from inwit.pipeline.protocols import Model
from inwit.policy.calibration import Estimate
from inwit.types import Generation


@dataclass(frozen=True, slots=True)
class Pair:
    """An answer of the set, and the model's own to the same conversation."""

    other: Sample
    own: Sample


async def drafts(
    model: Model, served: str, samples: Sequence[Sample], tokens: int, seed: int, cache: Cache
) -> list[Pair]:
    """Have the model answer each conversation; one that fails or is empty is left out."""
    pairs: list[Pair] = []
    for sample in samples:
        key = f"{content_digest(sample.conversation)}/{tokens}/{seed}"
        kept = cache.get(key)
        if kept is None:
            generation = Generation(
                sample.conversation, served, tokens, TENANT, temperature=0.0, seed=seed
            )
            try:
                kept = {"text": (await model.generate(generation)).text}
            except InwitError:
                continue
            cache.put(key, kept)
        text = str(kept["text"])
        if text.strip():
            digest = content_digest(sample.conversation, text)
            own = replace(sample, response=text, digest=digest, tool_calls=())
            pairs.append(Pair(sample, own))
    return pairs


def drafting(
    framing: str, own: Floats, other: Floats, alike: Sequence[bool], groups: Integers, seed: int
) -> OwnDrafts:
    """The mean risk of own drafts and of the others', over the pairs that are alike and judged."""
    kept = np.array(alike, np.bool_) & ~np.isnan(own) & ~np.isnan(other)
    own, other, groups = own[kept], other[kept], groups[kept]
    safe = np.zeros(len(own), np.bool_)
    first, second = (Observations(each, safe, groups) for each in (other, own))
    found = paired_difference(first, second, seed) if len(own) else None
    return OwnDrafts(
        framing=framing,
        prompts=len(np.unique(groups)),
        own=figure(_mean(own, groups, seed)),
        other=figure(_mean(other, groups, seed)),
        shift=shift(found.mean_risk) if found else None,
    )


def _mean(risks: Floats, groups: Integers, seed: int) -> Estimate | None:
    if not len(risks):
        return None
    resamples = Resamples.of(groups, seed)
    draws = resamples.sums(risks) / resamples.sums(np.ones(len(risks)))
    return percentiles(float(risks.mean()), draws, 0.0, 1.0)
