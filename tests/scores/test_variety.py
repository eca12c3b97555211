"""How much emotions vary inside speakers or texts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emobridge.scores.variety import (
    LEAST_FREEDOM,
    LEAST_VARIETY,
    Variety,
    least_variety,
    variety,
    variety_of_labels,
    within_shares,
)


def by_hand(x, group):
    """The share of the variance inside groups, as the textbook has it."""
    names = np.unique(group)
    sizes = np.array([np.sum(group == name) for name in names])
    means = np.array([x[group == name].mean(0) for name in names])
    within = sum(np.square(x[group == name] - mean).sum() for name, mean in zip(names, means)) / (len(x) - len(names))
    between = (sizes * np.square(means - x.mean(0)).sum(1)).sum() / (len(names) - 1)
    evenness = (len(x) - (sizes**2).sum() / len(x)) / (len(names) - 1)
    return within / (within + max((between - within) / evenness, 0))


@given(st.integers(3, 6), st.integers(1, 4), st.integers(10, 60), st.floats(0, 2), st.integers(0, 99))
def test_shares_are_those_of_the_textbook_whichever_group_is_left_out(groups, width, count, apart, seed):
    random = np.random.default_rng(seed)
    group = np.concatenate([np.arange(groups), random.integers(groups, size=count)])
    x = random.normal(size=(len(group), width)) + apart * random.normal(size=(groups, width))[group]
    expected = [by_hand(x, group), *(by_hand(x[group != name], group[group != name]) for name in range(groups))]
    assert within_shares(x, group) == pytest.approx(expected)


def test_shares_where_nothing_varies_or_can_be_estimated_are_one():
    assert within_shares(np.zeros((6, 2)), np.array([0, 0, 0, 1, 1, 1])).tolist() == [1, 1, 1]
    assert within_shares(np.eye(3), np.arange(3)).tolist() == [1, 1, 1, 1], "an utterance each"
    assert within_shares(np.eye(3), np.zeros(3, np.int64)).tolist() == [1, 1], "one speaker"


@given(st.integers(2, 6), st.integers(2, 5), st.integers(20, 200), st.integers(0, 99))
def test_where_speaker_and_emotion_are_independent_it_is_about_one(speakers, classes, count, seed):
    """However few utterances a speaker has: each share is 1 in expectation, less what is cut off above."""
    random = np.random.default_rng(seed)
    draws = [
        variety_of_labels(
            [f"emotion {label}" for label in random.integers(classes, size=count)],
            [str(speaker) for speaker in random.integers(speakers, size=count)],
        ).value
        for _ in range(8)
    ]
    assert np.mean(draws) > 0.85


@pytest.mark.parametrize(("emotions", "share"), [(1, 0), (2, 2 / 3), (3, 8 / 9), (4, 1)])
def test_speakers_that_show_some_of_four_emotions(emotions, share):
    """Of 40 speakers: the variance inside one with m emotions is 1 - 1/m, and that of all 1 - 1/4."""
    speakers = [(name, (name + place) % 4) for name in range(40) for place in range(emotions) for _ in range(12)]
    found = variety_of_labels([f"emotion {label}" for _, label in speakers], [f"{name}" for name, _ in speakers])
    assert found.value == pytest.approx(share, abs=0.03)


def test_voices_in_the_scores_are_not_taken_for_emotions():
    """Scores that hold as much of the voice as features do: little of their variance is inside speakers."""
    random = np.random.default_rng(0)
    speaker = np.repeat(np.arange(8), 20)
    features = random.normal(size=(8, 6))[speaker] + random.normal(size=(160, 6))
    names = [str(name) for name in speaker]
    scores = features[:, :2]
    assert variety(scores, names, features).value > 1.3 * variety(scores, names).value
    label = np.eye(2)[speaker % 2]
    assert variety(scores + 4 * label, names, features + np.pad(4 * label, ((0, 0), (0, 4)))).value < 0.5


def test_one_odd_speaker_does_not_decide():
    random = np.random.default_rng(1)
    speaker = np.repeat(np.arange(6), 20)
    scores = random.normal(size=(120, 2)) + 4.0 * (speaker == 0)[:, None]
    names = [str(name) for name in speaker]
    assert variety(scores, names).value > 1.5 * within_shares(scores, speaker)[0]
    assert variety(np.eye(3)[speaker % 3], names).value < 1e-9, "but what all do shows without each of them"


def test_what_is_too_little_to_judge_has_no_variety():
    labels = ["anger", "sadness"] * 10
    assert variety_of_labels(labels, ["a"] * 20) is None, "one speaker"
    assert variety_of_labels(labels, [None] * 20) is None, "none that is known"
    assert variety_of_labels(labels, [str(n) for n in range(20)]) is None, "an utterance each"
    assert variety_of_labels([None] * 20, ["a", "b"] * 10) is None, "no labels"
    few = LEAST_FREEDOM + 1
    assert variety_of_labels(labels[:few], ["a", "a", "b"][:2] + ["b"] * (few - 2)) is None
    assert variety_of_labels(labels[: few + 1], ["a", "a"] + ["b"] * (few - 1)) is not None
    assert variety_of_labels([*labels, None], [*("a", "b", "b", "a") * 5, None]).value == pytest.approx(1)


def test_the_fewer_the_utterances_the_lower_variety_may_be():
    assert least_variety(10**8) == pytest.approx(LEAST_VARIETY, abs=1e-3)
    assert least_variety(50) == pytest.approx(LEAST_VARIETY - 0.1) and least_variety(50, 1.0) == pytest.approx(0.9)
    assert Variety(0.85, 400).is_low and not Variety(0.85, 50).is_low


@pytest.mark.parametrize("at_once", [1, 7, 1 << 24])
def test_shares_do_not_depend_on_how_many_columns_are_in_memory(monkeypatch, at_once):
    rng = np.random.default_rng(0)
    x, group = rng.normal(size=(40, 9)).astype(np.float32), np.arange(40) % 5
    expected = within_shares(x, group)
    monkeypatch.setattr("emobridge.scores.variety.AT_ONCE", at_once)
    assert np.allclose(within_shares(x, group), expected, rtol=1e-12)


def test_false_alarms_and_hits_of_weak_recognisers_that_also_hear_voices():
    """At most 1 in 20 where all speakers show all emotions, 9 in 10 where each shows one."""
    random = np.random.default_rng(0)
    alarms = {False: [], True: []}
    for speakers, each in itertools.product((6, 10, 24), (5, 12)):
        for few in [False] * 30 + [True] * 10:
            speaker = np.repeat(np.arange(speakers), each)
            emotion = speaker % 4 if few else random.integers(4, size=len(speaker))
            signal = 1.2 * np.eye(4)[emotion] @ random.standard_normal((4, 12))
            voices = 0.7 * random.standard_normal((speakers, 12))[speaker]
            features = signal + voices + random.standard_normal((len(speaker), 12))
            scores = features @ random.standard_normal((12, 12)) * 0.1 + signal  # no better than that
            alarms[few].append(variety(scores, [str(name) for name in speaker], features).is_low)
    assert np.mean(alarms[False]) <= 0.05 and np.mean(alarms[True]) >= 0.9
