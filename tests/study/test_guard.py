"""How much the speaker tells of the emotion, and what follows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import case_of

from emobridge.cache import Cache
from emobridge.settings import Split
from emobridge.study.guard import THRESHOLD, information, speaker_information
from emobridge.study.run import Runner


def speakers_tell(speech, epochs=30) -> dict[str, float]:
    runner = Runner(speech, Split(seeds=1, folds=2), Cache(None))
    return speaker_information(runner, case_of(epochs=epochs, learning_rate=0.02))


def test_by_hand():
    """Each of two speakers says 4 times one emotion: log 2, less what 4 of 8 tell when they are drawn at random."""
    said, speakers = np.eye(2)[[0] * 4 + [1] * 4], ["a"] * 4 + ["b"] * 4
    ways = {drawn: math.comb(4, drawn) ** 2 / math.comb(8, 4) for drawn in range(5)}  # of the first emotion by "a"
    chance = sum(share * (math.log(2) - entropy(drawn / 4)) for drawn, share in ways.items())
    assert information(said, speakers) == pytest.approx(math.log(2) - chance, abs=0.1)
    assert information(np.eye(2)[[0, 1] * 4], speakers) == pytest.approx(-chance, abs=0.1)
    assert information(said[:2], ["a", "a"]) == information(said[:2], ["a", None]) == 0


def entropy(p: float) -> float:
    return -sum(q * math.log(q) for q in (p, 1 - p) if q)


def test_a_recogniser_that_is_hardly_sure_tells_little():
    sure, speakers = np.eye(2)[[0] * 40 + [1] * 40], ["a"] * 40 + ["b"] * 40
    told = [information(share * sure + (1 - share) / 2, speakers) for share in (1.0, 0.5, 0.1, 0.0)]
    assert told == sorted(told, reverse=True) and told[2] < 0.05 and told[3] == pytest.approx(0)


@given(st.integers(2, 6), st.integers(2, 5), st.integers(20, 200), st.integers(0, 99))
def test_where_speaker_and_emotion_are_independent_it_is_near_zero(speakers, classes, count, seed):
    """However few utterances there are: what chance tells is taken off, on the mean of several draws."""
    random = np.random.default_rng(seed)
    told = [
        information(
            random.dirichlet(np.ones(classes), count), [str(one) for one in random.integers(speakers, size=count)]
        )
        for _ in range(5)
    ]
    assert abs(np.mean(told)) < 0.05


def one_sided(speech):
    """The target without half of it: speakers a and b are only angry, c and d only sad."""
    keep = [
        row
        for row, one in enumerate(speech.utterances)
        if not speech.is_target[row] or speech.label[row] == int(one.speaker in ("2", "3", "c", "d"))
    ]
    return dataclasses.replace(
        speech,
        utterances=tuple(speech.utterances[row] for row in keep),
        label=speech.label[keep],
        domain_of=speech.domain_of[keep],
        features=speech.features[keep],
    )


def test_a_target_of_one_emotion_a_speaker_is_found_without_its_labels(toy_speech):
    speech = toy_speech(each=6, noise=0.3)
    target = speech.corpora[-1][0]
    assert speakers_tell(speech)[target] < THRESHOLD
    few = one_sided(speech)
    found = speakers_tell(few)
    assert found[target] > 0.2 > THRESHOLD > found[few.corpora[0][0]]
    hidden = few.label.copy()
    hidden[few.is_target] = -1
    assert speakers_tell(dataclasses.replace(few, label=hidden)) == found


def test_a_source_of_one_emotion_a_speaker_is_told_by_its_labels(toy_speech):
    speech = toy_speech(each=6)
    alike = speech.label.copy()
    for row, one in enumerate(speech.utterances):
        if not speech.is_target[row]:
            alike[row] = int(one.speaker) % 2
    found = speakers_tell(dataclasses.replace(speech, label=alike), epochs=1)
    assert found[speech.corpora[0][0]] > 0.5
    assert torch.isfinite(torch.tensor(list(found.values()))).all()
