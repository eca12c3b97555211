"""How much the speaker tells of the emotion, and what follows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emobridge.harm import THRESHOLD, information, speakers_tell
from emobridge.settings import Settings


def settings(**changes) -> Settings:
    plain = {"source": ("a",), "target": "b", "labels": ("anger", "sadness"), "statistics": ("mean",)}
    plain |= {"layer": "0", "head": "single", "epochs": 30, "learning_rate": 0.02}
    return Settings(**{**plain, **changes})


def test_by_hand():
    # Each speaker has one emotion: all of log 2 is told, less (2 - 1)(2 - 1) / (2 * 8).
    assert information([0] * 4 + [1] * 4, ["a"] * 4 + ["b"] * 4) == pytest.approx(math.log(2) - 1 / 16)
    # Each speaker has both alike: nothing is told.
    assert information([0, 1] * 4, ["a"] * 4 + ["b"] * 4) == pytest.approx(-1 / 16)
    assert information([0, 1], ["a", "a"]) == information([0, 1], ["a", None]) == 0


@given(st.integers(2, 6), st.integers(2, 5), st.integers(0, 99))
def test_where_speaker_and_emotion_are_independent_it_is_near_zero(speakers, classes, seed):
    random = np.random.default_rng(seed)
    emotions = random.integers(classes, size=2000).tolist()
    assert abs(information(emotions, [str(one) for one in random.integers(speakers, size=2000)])) < 0.02


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
    assert speakers_tell(speech, settings())[target] < THRESHOLD
    few = one_sided(speech)
    found = speakers_tell(few, settings())
    assert found[target] > 0.5 > THRESHOLD > found[few.corpora[0][0]]
    hidden = few.label.copy()
    hidden[few.is_target] = -1
    assert speakers_tell(dataclasses.replace(few, label=hidden), settings()) == found


def test_a_source_of_one_emotion_a_speaker_is_told_by_its_labels(toy_speech):
    speech = toy_speech(each=6)
    alike = speech.label.copy()
    for row, one in enumerate(speech.utterances):
        if not speech.is_target[row]:
            alike[row] = int(one.speaker) % 2
    found = speakers_tell(dataclasses.replace(speech, label=alike), settings(epochs=1))
    assert found[speech.corpora[0][0]] > 0.5
    assert torch.isfinite(torch.tensor(list(found.values()))).all()
