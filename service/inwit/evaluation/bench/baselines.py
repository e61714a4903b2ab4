"""What the surface of an answer tells: its length, and its words. No judge is worth less work.

Both are fitted on the same set's other prompts, which flatters them: they know the set.
"""

# scikit-learn carries no types; what leaves this file has them.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from inwit.evaluation.samples import Sample, draw
from inwit.evaluation.statistics.observations import Floats
from inwit.pipeline.exchange import reviewed_text

LENGTH, WORDS = "baseline, length", "baseline, bag of words"
_MOST = 4000  # samples to fit on
_CJK = ("zh", "ja", "ko")


def baseline_risks(
    whole: Sequence[Sample], tested: Sequence[Sample], seed: int
) -> dict[str, Floats]:
    """The risk of each tested sample by each baseline; empty where there is too little to fit on.

    `whole` is the set that `tested` is of; nothing is fitted on a prompt that is tested.
    """
    held = {sample.group for sample in tested}
    others = draw((each for each in whole if each.group not in held), _MOST, seed)
    labels = np.array([sample.unsafe for sample in others])
    if len(labels) < 20 or labels.all() or not labels.any():
        return {}
    texts, asked = _texts(others), _texts(tested)
    by_character = bool(others) and others[0].language in _CJK
    models: dict[str, Any] = {
        LENGTH: make_pipeline(FunctionTransformer(_lengths), StandardScaler(), _regression()),
        WORDS: make_pipeline(_vectors(by_character), _regression()),
    }
    return {
        name: model.fit(texts, labels).predict_proba(asked)[:, 1] for name, model in models.items()
    }


def _texts(samples: Sequence[Sample]) -> list[str]:
    return [reviewed_text(sample.candidate("")) for sample in samples]


def _lengths(texts: Sequence[str]) -> Floats:
    return np.log1p([[len(text)] for text in texts])


def _regression() -> Any:
    return LogisticRegression(max_iter=1000)


def _vectors(by_character: bool) -> Any:
    if by_character:
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 2), max_features=50_000)
    return TfidfVectorizer(sublinear_tf=True, max_features=50_000)
