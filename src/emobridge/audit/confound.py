"""The score that loudness and length alone reach on a corpus.

Where three numbers of a clip (level, peak, length) suffice to recognise the emotions of new speakers, a high score on
the corpus shows little: a network may have learnt no more than they tell. The baseline is a logistic regression on
these numbers (multinomial, classes weighted equally, features standardised on the training folds), in folds by speaker,
scored as UA over all emotions of the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emobridge.data.labels import EMOTIONS
from emobridge.data.splits import by_fold
from emobridge.errors import UserError
from emobridge.scores.classes import Evaluation
from emobridge.types import Utterance, person

FOLDS = 5
MOST = 20_000  # utterances; of a larger corpus every second, third ... is taken
ACOUSTIC_FEATURES: dict[str, tuple[int, ...]] = {"loudness and length": (0, 1, 2), "loudness": (0, 1), "length": (2,)}


@dataclass(frozen=True, slots=True)
class Confound:
    """UA of new speakers from `features` alone, with its 95 % interval over speakers."""

    manifest: str
    features: str  # of ACOUSTIC_FEATURES
    labels: tuple[str, ...]
    n: int  # utterances
    speakers: int
    ua: float  # in [0, 1]
    low: float
    high: float
    chance: float  # 1 / labels
    corpus_low: float | None = None  # lower bound of the interval over utterances: for these speakers, not for others

    @property
    def reach(self) -> float:
        """How far the lower bound for this corpus lies from chance (0) to a perfect score (1); below 0 below chance.

        A warning is about these recordings, so that few speakers do not silence it.
        """
        low = self.low if self.corpus_low is None else self.corpus_low
        return (low - self.chance) / (1 - self.chance)


def confounds(
    manifest: str, utterances: Sequence[Utterance], acoustics: NDArray[np.float64], *, seed: int = 0
) -> tuple[Confound, ...]:
    """One baseline for each set of ACOUSTIC_FEATURES.

    acoustics: (N, 3), RMS level (dB), peak (dB) and length (s) of each utterance. Utterances without a label of
    data.labels.EMOTIONS do not count. Errors: UserError for fewer than two emotions or two speakers, and for a labelled
    utterance without a speaker.
    """
    labelled = [index for index, utterance in enumerate(utterances) if utterance.emotion in EMOTIONS]
    chosen = labelled[:: -(-len(labelled) // MOST) or 1]
    rows = [utterances[index] for index in chosen]
    truth = np.array([row.emotion for row in rows])
    labels = tuple(emotion for emotion in EMOTIONS if emotion in truth)
    if len(labels) < 2:
        raise UserError(f"{manifest}: {len(labels)} emotions; a baseline of loudness and length needs two or more")
    speakers = tuple(map(person, rows))
    folds = by_fold(rows, max(2, min(FOLDS, len(set(speakers)))), seed=seed)
    features = np.column_stack([acoustics[chosen, 0], acoustics[chosen, 1], np.log(acoustics[chosen, 2])])
    baselines = []
    for name, columns in ACOUSTIC_FEATURES.items():
        predictions = _predict(features[:, columns], truth, folds)
        evaluation = Evaluation(labels, tuple(truth.tolist()), (predictions,), speakers)
        ua = evaluation.estimates(details=False)[0]
        over_utterances = replace(evaluation, speakers=(None,) * len(rows)).estimates(details=False)[0]
        numbers = len(rows), len(set(speakers)), ua.value, ua.low, ua.high
        chance = 1 / len(labels)
        baselines.append(Confound(manifest, name, labels, *numbers, chance, corpus_low=over_utterances.low))
    return tuple(baselines)


def _predict(features: NDArray[np.float64], truth: NDArray[np.str_], folds: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """The prediction for each utterance by the model that was trained on the other folds."""
    from sklearn.linear_model import LogisticRegression  # takes a second
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    predictions = np.empty_like(truth)
    for fold in folds:
        training = np.setdiff1d(np.arange(len(truth)), fold)
        if len(set(truth[training])) == 1:
            predictions[list(fold)] = truth[training[0]]
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        predictions[list(fold)] = model.fit(features[training], truth[training]).predict(features[list(fold)])
    return tuple(predictions.tolist())
