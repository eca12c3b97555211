"""Where normalisation by speaker, or by text, would harm: corpora whose speakers, or sentences, show few emotions each.

A speaker's own mean then IS the emotion, and taking it out leaves nothing; so with the mean of a sentence. It shows in
the variety of the emotions inside speakers or texts (see scores/variety.py): of a source by its labels; of the target,
which has none, by the scores of a model of the source, where everything is normalised by corpus and nothing is aligned.
It is always the same head and training, whatever the run asks for: what is measured belongs to the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from emobridge.data.prosody import prosody_width
from emobridge.data.speech import Speech, everything
from emobridge.features.normalisation import fit_domain, normalise_features
from emobridge.scores.entropy import TINY
from emobridge.scores.variety import Variety, variety, variety_of_labels
from emobridge.study.run import Runner
from emobridge.training.case import Case
from emobridge.training.inputs import take_rows
from emobridge.types import person

CLEAR_VARIETY = 0.95  # inside speakers: between it and the least it is not clear which normalisation does better


@dataclass(frozen=True, slots=True)
class CorpusVariety:
    """How much the emotions of a corpus vary inside its speakers, or its texts."""

    corpus: str
    group: str  # "speaker" or "text"
    groups: int  # known speakers, or texts
    utterances: int  # of known speakers, or texts
    by_labels: bool  # rather than by what a model of the source says
    variety: Variety | None  # None: too few to judge

    @property
    def is_low(self) -> bool:
        """Whether normalisation by this group would take the emotion out."""
        return self.variety is not None and self.variety.is_low


def varieties(runner: Runner, baseline: Case) -> tuple[CorpusVariety, ...]:
    """The variety inside the speakers and the texts of each corpus; no label of the target is looked at.

    baseline: the baseline as `cases.guard_case` has it.
    """
    speech = runner.speech
    target = np.flatnonzero(speech.is_target)
    fold = replace(everything(speech, runner.split, 0), target_test=tuple(target.tolist()))
    at_layer = speech.at(baseline.layer, baseline.views)
    stored = None if speech.source_moments is None else speech.source_moments.guard
    if stored is None:
        p = runner.fit(baseline, 0, fold).probabilities
        runner.forget()  # no other fit is of these rows, and normalised so
        features = _by_corpus(at_layer, target, prosody_width(baseline.prosody))
        scores = np.log(p.astype(np.float64).clip(TINY))
    else:
        features = _by_corpus(at_layer, target, prosody_width(baseline.prosody))
        scores = stored.of(torch.from_numpy(features)).double().numpy()
    scores -= scores.mean(1, keepdims=True)  # the logits, of which softmax forgot the mean
    measured = []
    for index, (name, _) in enumerate(speech.corpora):
        rows = np.flatnonzero(speech.domain_of == index)
        utterances = [speech.utterances[row] for row in rows]
        by_labels = index != speech.target
        labels = [baseline.labels[label] if label >= 0 else None for label in speech.label[rows]]
        for group, groups in (
            ("speaker", [person(utterance) for utterance in utterances]),
            ("text", [utterance.text for utterance in utterances]),
        ):
            known = [member for member in groups if member]
            value = variety_of_labels(labels, groups) if by_labels else variety(scores, groups, features)
            measured.append(CorpusVariety(name, group, len(set(known)), len(known), by_labels, value))
    return tuple(measured)


def _by_corpus(speech: Speech, rows: np.ndarray, prosody: int) -> np.ndarray:
    """The features of rows of one corpus, standardised by its moments, (N, D)."""
    assert speech.features is not None  # the guard looks at stored ones
    x = take_rows(speech.features, rows)
    return normalise_features(x, fit_domain("", "", x, prosody=prosody), None).flatten(1).numpy()
