"""From predictions on a speech to evaluations, which know how to score themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emobridge.data.speech import Speech
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.classes import Evaluation
from emobridge.scores.measures.ua import Ua
from emobridge.study.run import Predicted
from emobridge.types import person_labels


def evaluations_of(
    speech: Speech, labels: Sequence[str], attributes: Sequence[str], predicted: Sequence[Predicted]
) -> tuple[Evaluation | AttributeEvaluation, ...]:
    """What there is to score in the predictions of one system on one side: of classes, of attributes, or both."""
    evaluations = (class_evaluation(speech, labels, predicted), attribute_evaluation(speech, attributes, predicted))
    return tuple(evaluation for evaluation in evaluations if evaluation is not None)


def class_evaluation(speech: Speech, labels: Sequence[str], predicted: Sequence[Predicted]) -> Evaluation | None:
    """The classes that one system predicts on one side, over all seeds; None where nothing there has an emotion.

    Where each seed scored other utterances, as a single split does, they stand one after the other as one seed.
    """
    if not predicted or not labels:
        return None
    rows = [part.rows for part in predicted]
    folds = [part.folds for part in predicted]
    classes = [[labels[best] for best in part.probabilities.argmax(1)] for part in predicted]
    if any(not np.array_equal(rows[0], other) for other in rows):
        rows, classes = [np.concatenate(rows)], [[name for names in classes for name in names]]
        folds = [np.concatenate(folds)]
    return Evaluation(
        tuple(labels),
        tuple(labels[speech.label[row]] for row in rows[0]),
        tuple(map(tuple, classes)),
        person_labels([speech.utterances[row] for row in rows[0]]),
        tuple(folds[0].tolist()) if len(predicted) == 1 else (),
        tuple(rows[0].tolist()),
    )


def attribute_evaluation(
    speech: Speech, names: Sequence[str], predicted: Sequence[Predicted]
) -> AttributeEvaluation | None:
    """The attributes that one system predicts on one side, on the scale [-1, 1]; None where none is known there.

    Seeds that scored other utterances stand one after the other, as in `class_evaluation`.
    """
    values = [part.attributes for part in predicted if part.attributes is not None]
    if speech.attributes is None or not values or not names:
        return None
    rows = [part.rows for part in predicted]
    if any(not np.array_equal(rows[0], other) for other in rows):
        rows, values = [np.concatenate(rows)], [np.concatenate(values)]
    truth = speech.attributes[rows[0]]
    if ((~np.isnan(truth)).sum(0) < 2).all():
        return None
    speakers = person_labels([speech.utterances[row] for row in rows[0]])
    return AttributeEvaluation(tuple(names), truth, np.stack(values), speakers, utterances=tuple(rows[0].tolist()))


def ua_of(speech: Speech, predicted: Sequence[Predicted], labels: Sequence[str]) -> float:
    """UA in [0, 1] of predictions together."""
    truth = [labels[speech.label[row]] for part in predicted for row in part.rows]
    classes = [labels[best] for part in predicted for best in part.probabilities.argmax(1)]
    return Ua()(truth, classes, labels=labels)
