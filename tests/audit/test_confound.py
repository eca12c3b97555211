from dataclasses import replace

import numpy as np
import pytest

from emobridge.audit.confound import ACOUSTIC_FEATURES, confounds
from emobridge.errors import UserError
from emobridge.types import Utterance

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def corpus(speakers=6, copies=6, emotions=EMOTIONS):
    return [
        Utterance(f"{s}-{e}-{n}", "c", "x.wav", speaker=str(s), emotion=e)
        for s in range(speakers)
        for e in emotions
        for n in range(copies)
    ]


def acoustics(rows, *, level=0.0, length=0.0, seed=0):
    """Level and peak (dB) and length (s) that follow the emotion by `level` dB and `length` s a step, in noise of 1."""
    rng = np.random.default_rng(seed)
    step = np.array([EMOTIONS.index(row.emotion) for row in rows if row.emotion])
    noise = rng.normal(size=(len(rows), 3))
    return np.column_stack(
        [-30 + level * step + noise[:, 0], -10 + noise[:, 1], 5 + length * step + 0.1 * np.abs(noise[:, 2])]
    )


def test_what_tells_nothing_stays_at_chance():
    rows = corpus()
    for baseline in confounds("m", rows, acoustics(rows)):
        assert baseline.chance == 0.25
        assert baseline.low - 0.1 < 0.25 < baseline.high + 0.1
        assert baseline.reach < 0.1
        assert (baseline.manifest, baseline.labels, baseline.n, baseline.speakers) == ("m", EMOTIONS, 144, 6)


@pytest.mark.parametrize(("telling", "idle"), [("loudness", "length"), ("length", "loudness")])
def test_what_tells_all_is_found_and_told_apart(telling, idle):
    rows = corpus()
    baselines = {
        c.features: c
        for c in confounds("m", rows, acoustics(rows, **{"level" if telling == "loudness" else telling: 9.0}))
    }
    assert set(baselines) == set(ACOUSTIC_FEATURES)
    assert baselines[telling].ua > 0.95
    assert baselines["loudness and length"].reach > 0.8
    assert baselines[idle].ua < 0.45
    assert baselines[telling].low <= baselines[telling].ua <= baselines[telling].high


def test_few_speakers_do_not_silence_a_warning():
    """Two speakers leave a wide interval; that loudness tells the emotions of these recordings is certain."""
    rows = corpus(speakers=2, copies=20)
    baseline = confounds("m", rows, acoustics(rows, level=4.0))[0]
    assert baseline.corpus_low > baseline.low + 0.1 and baseline.reach > 0.7


def test_speakers_are_kept_apart():
    """One shouts in anger and the other whispers: who has heard only the one is always wrong about the other."""
    rows = corpus(speakers=2, copies=10, emotions=("anger", "sadness"))
    sign = np.array([1 if (row.speaker == "0") == (row.emotion == "anger") else -1 for row in rows])
    numbers = np.column_stack([10.0 * sign, 10.0 * sign, np.ones(len(rows))])
    assert confounds("m", rows, numbers)[0].ua == 0


def test_rare_classes_are_balanced_unlabelled_left_out_and_result_repeatable():
    rows = [row for row in corpus() if row.emotion == "anger" or row.id.endswith("0")]
    numbers = acoustics(rows, level=6.0)
    unlabelled = [Utterance("u", "c", "x", speaker="9"), Utterance("v", "c", "x")]
    baselines = confounds("m", rows, numbers)
    assert baselines[0].ua > 0.7
    assert confounds("m", [*rows, *unlabelled], np.vstack([numbers, numbers[:2]])) == baselines


def test_namesakes_of_two_corpora_are_two_people():
    """Corpora a and b both have speakers 0 and 1: four people, and four folds."""
    rows = [replace(row, corpus=name, id=name + row.id) for name in "ab" for row in corpus(speakers=2)]
    numbers = acoustics(rows, level=9.0)
    baselines = confounds("m", rows, numbers)
    assert {baseline.speakers for baseline in baselines} == {4}
    renamed = [replace(row, corpus="c", speaker=f"{row.corpus} {row.speaker}") for row in rows]
    assert confounds("m", renamed, numbers) == baselines


def test_what_cannot_be_asked_is_said():
    rows = corpus(speakers=1)
    with pytest.raises(UserError, match="2 folds need 2 speakers"):
        confounds("m", rows, acoustics(rows))
    rows = corpus(emotions=("anger",))
    with pytest.raises(UserError, match="m: 1 emotions"):
        confounds("m", rows, acoustics(rows))
    rows = [Utterance("u", "c", "x")]
    with pytest.raises(UserError, match="m: 0 emotions"):
        confounds("m", rows, np.ones((1, 3)))
    rows = [Utterance(str(n), "c", "x", emotion=EMOTIONS[n]) for n in range(4)]
    with pytest.raises(UserError, match="has no speaker"):
        confounds("m", rows, np.ones((4, 3)))
