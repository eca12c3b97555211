"""Where speaker normalisation would harm: corpora whose speakers mostly show one emotion each.

A speaker's own mean then IS the emotion, and taking it out leaves nothing. It shows in how much the speaker tells of
the emotion, I(speaker; emotion) in nats: of a source by its labels, of a target, which has none, by what a recogniser
says of it that was trained on the source normalised by speaker and hears the target normalised by corpus.

    I = H(e) - sum_s n_s / n H(e | s) - (S - 1) (C - 1) / 2n      the last: its bias in small samples (Miller 1955)

Ours: THRESHOLD was set between EmoDB, EMOVO and RAVDESS as they are (up to 0.16) and cut down to one or two emotions
a speaker (from 0.18 on), whisper-base; see docs/results/semi-supervised.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emobridge.folds import Speech, everything
from emobridge.runs import BASELINE, Runner
from emobridge.settings import Settings

THRESHOLD = 0.17  # nats


def information(emotions: Sequence[int], speakers: Sequence[str | None]) -> float:
    """I(speaker; emotion), corrected, in nats; 0 where fewer than two speakers are known."""
    known = [(one, who) for one, who in zip(emotions, speakers) if who is not None]
    groups: dict[str, list[int]] = {}
    for one, who in known:
        groups.setdefault(who, []).append(one)
    if len(groups) < 2:
        return 0.0
    total = [one for one, _ in known]
    within = sum(len(own) * _entropy(own) for own in groups.values()) / len(known)
    bias = (len(groups) - 1) * (len(set(total)) - 1) / (2 * len(known))
    return _entropy(total) - within - bias


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
    )
    fold = replace(everything(speech, alone, 0), target_test=tuple(target.tolist()))
    said = Runner(alone, speech).said(BASELINE, 0, 0, fold).argmax(1)
    found = {}
    for place, (name, _) in enumerate(speech.corpora):
        rows = np.flatnonzero(speech.domain_of == place)
        emotion = said if place == speech.target else speech.label[rows]
        found[name] = information(emotion.tolist(), [speech.utterances[row].speaker for row in rows])
    return found


def _entropy(values: Sequence[int]) -> float:
    p = np.array(list(Counter(values).values())) / len(values)
    return float(-(p * np.log(p)).sum())
