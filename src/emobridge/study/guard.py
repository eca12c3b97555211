"""Where normalisation by speaker, or by text, would harm: corpora whose speakers, or sentences, show few emotions each.

A speaker's own mean then IS the emotion, and taking it out leaves nothing; so with the mean of a sentence. It shows in
the variety of the emotions inside speakers or texts (see scores/variety.py): of a source by its labels; of the target,
which has none, by the scores of a model of the source, where everything is normalised by corpus and nothing is aligned.
It is always the same model, whatever the run asks for: what is measured belongs to the corpus. It hears little of
voices (training/voice_blind.py), and LEAST_PROBABILITY bounds what a few answers of a wrongly sure model may weigh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from emobridge.data.prosody import prosody_width
from emobridge.data.speech import Speech
from emobridge.features.normalisation import fit_domain, normalise_features
from emobridge.heads.base import LinearMap
from emobridge.scores.variety import Variety, variety, variety_of_labels
from emobridge.training.case import Case
from emobridge.training.inputs import take_rows
from emobridge.training.voice_blind import voice_blind
from emobridge.types import person

LEAST_PROBABILITY = 1e-6  # of an emotion, in the scores by which a target is judged
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


def varieties(speech: Speech, case: Case, solved: LinearMap) -> tuple[CorpusVariety, ...]:
    """The variety inside the speakers and the texts of each corpus; no label of the target is looked at.

    case: of whose layer the first view is looked at. solved: the `guard_map` of the source.
    """
    scores, features = _scores_of_target(speech, case, solved)
    measured = []
    for index, (name, _) in enumerate(speech.corpora):
        rows = np.flatnonzero(speech.domain_of == index)
        utterances = [speech.utterances[row] for row in rows]
        by_labels = index != speech.target
        labels = [case.labels[label] if label >= 0 else None for label in speech.label[rows]]
        for group, groups in (
            ("speaker", [person(utterance) for utterance in utterances]),
            ("text", [utterance.text for utterance in utterances]),
        ):
            known = [member for member in groups if member]
            value = variety_of_labels(labels, groups) if by_labels else variety(scores, groups, features)
            measured.append(CorpusVariety(name, group, len(set(known)), len(known), by_labels, value))
    return tuple(measured)


def guard_map(speech: Speech, case: Case) -> LinearMap:
    """What the guard measures speech with: a map of the labelled source alone, from features normalised by corpus.

    It is that of the bundle where the source speech is not there.
    """
    stored = None if speech.source_moments is None else speech.source_moments.guard
    if stored is not None:
        return stored
    seen = speech.at(case.layer)
    rows = np.flatnonzero(~speech.is_target & ~speech.is_item & (speech.label >= 0))
    corpora = [rows[speech.domain_of[rows] == index] for index in np.unique(speech.domain_of[rows])]
    parts = [_by_corpus(seen, part, case) for part in corpora]
    features = np.concatenate(parts) if len(parts) > 1 else parts[0]  # of one corpus no copy: it may be all there is
    x = torch.from_numpy(features)
    order = np.concatenate(corpora)
    label, corpus = (torch.from_numpy(values[order]) for values in (speech.label, speech.domain_of))
    return voice_blind(x, label, corpus, [person(speech.utterances[row]) for row in order], len(case.labels))


def _scores_of_target(speech: Speech, case: Case, solved: LinearMap) -> tuple[np.ndarray, np.ndarray]:
    """The logits (N, C) of the target's utterances, about their mean, and the features (N, D) they were made of."""
    features = _by_corpus(speech.at(case.layer), np.flatnonzero(speech.is_target), case)
    scores = solved.of(torch.from_numpy(features)).double().log_softmax(1)
    scores = scores.clamp(min=math.log(LEAST_PROBABILITY))
    return (scores - scores.mean(1, keepdim=True)).numpy(), features


def _by_corpus(speech: Speech, rows: np.ndarray, case: Case) -> np.ndarray:
    """The features of rows of one corpus, standardised by its moments, (N, D)."""
    assert speech.features is not None  # the guard looks at stored ones
    x, prosody = take_rows(speech.features, rows), prosody_width(case.prosody)
    return normalise_features(x, fit_domain("", "", x, prosody=prosody), None).flatten(1).numpy()
