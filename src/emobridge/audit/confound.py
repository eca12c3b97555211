"""How far loudness and length alone would carry a recogniser on a corpus.

Where three numbers a clip (level, peak, length) tell the emotions of new speakers apart, a score on the corpus shows
little: a network may have learnt no more than they do. The baseline is a logistic regression on them (multinomial,
classes weighted equally, features standardised on the training folds), in folds by speaker, scored as UA over all
emotions of the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emobridge.data.labels import EMOTIONS
from emobridge.data.splits import by_fold
from emobridge.errors import UserError
from emobridge.scores.classes import Evaluation
from emobridge.types import Utterance, person

FOLDS = 5
MOST = 20_000  # utterances; of more, an even sample
FEATURES: dict[str, tuple[int, ...]] = {"loudness and length": (0, 1, 2), "loudness": (0, 1), "length": (2,)}


@dataclass(frozen=True, slots=True)
class Confound:
    """UA of new speakers from `features` alone, with the 95 % interval of a bootstrap over speakers."""

    manifest: str
    features: str  # of FEATURES
    labels: tuple[str, ...]
    n: int  # utterances
    speakers: int
    ua: float  # in [0, 1]
    low: float
    high: float
    chance: float  # 1 / labels

    @property
    def reach(self) -> float:
        """How much of the way from chance to perfect the lower bound has gone, at most 1."""
        return (self.low - self.chance) / (1 - self.chance)


def confounds(
    manifest: str, utterances: Sequence[Utterance], acoustics: NDArray[np.float64], *, seed: int = 0
) -> tuple[Confound, ...]:
    """One baseline a set of FEATURES; `acoustics` (N, 3) is RMS level (dB), peak (dB) and length (s) of each utterance.

    Unlabelled utterances are left out. Errors: UserError where fewer than two emotions or two speakers are left, or a
    labelled utterance has no speaker.
    """
    kept = [index for index, utterance in enumerate(utterances) if utterance.emotion in EMOTIONS]
    kept = kept[:: -(-len(kept) // MOST) or 1]
    rows = [utterances[index] for index in kept]
    truth = np.array([row.emotion for row in rows])
    labels = tuple(emotion for emotion in EMOTIONS if emotion in truth)
    if len(labels) < 2:
        raise UserError(f"{manifest}: {len(labels)} emotions; what loudness and length tell takes two or more")
    names = tuple(map(person, rows))
    folds = by_fold(rows, max(2, min(FOLDS, len(set(names)))), seed=seed)
    features = np.column_stack([acoustics[kept, 0], acoustics[kept, 1], np.log(acoustics[kept, 2])])
    found = []
    for name, columns in FEATURES.items():
        said = _predict(features[:, columns], truth, folds)
        evaluation = Evaluation(labels, tuple(truth.tolist()), (said,), names)
        ua = evaluation.estimates(seed=seed, details=False)[0]
        numbers = len(rows), len(set(names)), ua.value, ua.low, ua.high
        found.append(Confound(manifest, name, labels, *numbers, chance=1 / len(labels)))
    return tuple(found)


def _predict(features: NDArray[np.float64], truth: NDArray[np.str_], folds: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """What is said of each utterance by the model that was trained on the other folds."""
    said = np.empty_like(truth)
    for fold in folds:
        training = np.setdiff1d(np.arange(len(truth)), fold)
        if len(set(truth[training])) == 1:
            said[list(fold)] = truth[training[0]]
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        said[list(fold)] = model.fit(features[training], truth[training]).predict(features[list(fold)])
    return tuple(said.tolist())
