"""Where speaker normalisation would harm: corpora whose speakers mostly show one emotion each.

A speaker's own mean then IS the emotion, and taking it out leaves nothing. It shows in how much the speaker tells of
the emotion, the mutual information I(speaker; emotion) in nats: of a source by its labels, of a target, which has none,
by the probabilities of a recogniser that was trained on the source normalised by speaker and hears the target
normalised by corpus.

    I = H(mean p) - sum_s n_s / n H(mean p of s) - the same with the speakers shuffled (mean of SHUFFLES)

The probabilities themselves count, so that a recogniser that is hardly sure of anything tells little of speakers. It is
always the baseline with its own head and training, whatever the run asks for: what is measured belongs to the corpus.

Ours: THRESHOLD was set between EmoDB, EMOVO and RAVDESS as they are and cut down to one or two emotions a speaker; see
docs/results/semi-supervised.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emobridge.data.speech import everything
from emobridge.scores.entropy import entropy
from emobridge.study.run import Runner
from emobridge.training.case import Case

THRESHOLD = 0.14  # nats
SHUFFLES = 20


def information(p: np.ndarray, speakers: Sequence[str | None]) -> float:
    """I(speaker; emotion) of probabilities p (N, C), corrected, in nats; 0 where fewer than two speakers are known."""
    rows = [row for row, speaker in enumerate(speakers) if speaker is not None]
    names, group = np.unique([str(speakers[row]) for row in rows], return_inverse=True)
    if len(names) < 2:
        return 0.0
    p, random = p[rows], np.random.default_rng(0)
    shuffled = [_uncorrected(p, random.permutation(group)) for _ in range(SHUFFLES)]
    return _uncorrected(p, group) - float(np.mean(shuffled))


def speaker_information(runner: Runner, baseline: Case) -> dict[str, float]:
    """I(speaker; emotion) of each corpus, by its name; no label of the target is looked at.

    baseline: the baseline as `cases.guard_case` has it; the target is normalised by corpus here.
    """
    speech = runner.speech
    target = np.flatnonzero(speech.is_target)
    corpus = speech.utterances[target[0]].corpus
    case = replace(baseline, by_corpus=(*baseline.by_corpus, corpus))
    fold = replace(everything(speech, runner.split, 0), target_test=tuple(target.tolist()))
    predicted = runner.fit(case, 0, fold).probabilities
    values = {}
    for index, (name, _) in enumerate(speech.corpora):
        rows = np.flatnonzero(speech.domain_of == index)
        p = predicted if index == speech.target else np.eye(len(case.labels))[speech.label[rows]]
        values[name] = information(p, [speech.utterances[row].speaker for row in rows])
    return values


def _uncorrected(p: np.ndarray, group: np.ndarray) -> float:
    """Entropy (nats) of the mean of p (N, C), less that of each group's mean, by the groups' sizes."""
    sums = np.zeros((group.max() + 1, p.shape[1]))
    np.add.at(sums, group, p)
    size = np.bincount(group)
    return float(entropy(p.mean(0)) - (size / len(p)) @ entropy(sums / size[:, None]))
