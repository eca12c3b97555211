"""Where speaker normalisation would harm: corpora whose speakers mostly show one emotion each.

A speaker's own mean then IS the emotion, and taking it out leaves nothing. It shows in how much the speaker tells of
the emotion, I(speaker; emotion) in nats: of a source by its labels, of a target, which has none, by the probabilities
that a recogniser gives which was trained on the source normalised by speaker and hears the target normalised by corpus.

    I = H(mean p) - sum_s n_s / n H(mean p of s) - the same with the speakers shuffled (mean of SHUFFLES)

The probabilities themselves count, so that a recogniser that is hardly sure of anything tells little of speakers.

Ours: THRESHOLD was set between EmoDB, EMOVO and RAVDESS as they are and cut down to one or two emotions a speaker; see
docs/results/semi-supervised.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emobridge.data.speech import Speech, everything
from emobridge.methods.base import BASELINE
from emobridge.scores.entropy import entropy
from emobridge.settings import Settings
from emobridge.study.run import Runner
from emobridge.types import person

THRESHOLD = 0.14  # nats
SHUFFLES = 20


def information(said: np.ndarray, speakers: Sequence[str | None]) -> float:
    """I(speaker; emotion) of probabilities (N, C), corrected, in nats; 0 where fewer than two speakers are known."""
    known = [row for row, who in enumerate(speakers) if who is not None]
    names, group = np.unique([str(speakers[row]) for row in known], return_inverse=True)
    if len(names) < 2:
        return 0.0
    p, random = said[known], np.random.default_rng(0)
    shuffled = [_told(p, random.permutation(group)) for _ in range(SHUFFLES)]
    return _told(p, group) - float(np.mean(shuffled))


def speakers_tell(speech: Speech, settings: Settings) -> dict[str, float]:
    """I(speaker; emotion) of each corpus, by its name; no label of the target is looked at."""
    target = np.flatnonzero(speech.is_target)
    corpus = speech.utterances[target[0]].corpus
    alone = replace(
        settings,
        method=BASELINE,
        method_options=(),
        target_labels="0",
        by_corpus=(*settings.by_corpus, corpus),
        patience=0,
        validate="source",
        attributes=(),
        attribute_range="",
    )
    fold = replace(everything(speech, alone, 0), target_test=tuple(target.tolist()))
    said = Runner(alone, replace(speech, attributes=None)).said(BASELINE, 0, 0, fold).probabilities
    found = {}
    for place, (name, _) in enumerate(speech.corpora):
        rows = np.flatnonzero(speech.domain_of == place)
        p = said if place == speech.target else np.eye(len(settings.labels))[speech.label[rows]]
        found[name] = information(p, [person(speech.utterances[row]) for row in rows])
    return found


def _told(p: np.ndarray, group: np.ndarray) -> float:
    """Entropy (nats) of the mean of p (N, C), less that of each group's mean, by the groups' sizes."""
    sums = np.zeros((group.max() + 1, p.shape[1]))
    np.add.at(sums, group, p)
    size = np.bincount(group)
    return float(entropy(p.mean(0)) - (size / len(p)) @ entropy(sums / size[:, None]))
