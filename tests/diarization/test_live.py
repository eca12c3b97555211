"""Answers as sound comes: the same ones however it is cut, in constant memory."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from frame_models import LoudModel
from sounds import RATE, syllables

from emobridge.diarization.live import Gap, live_answers, mono_pieces
from emobridge.errors import UserError
from emobridge.settings import Live

ENERGY = Live(detector="energy")


def cut(wave, sizes):
    """A wave (T,) or (T, channels) in blocks of these sizes, again and again."""
    first, sizes = 0, itertools.cycle(sizes)
    while first < len(wave):
        size = next(sizes)
        yield wave[first : first + size]
        first += size


def answered(wave, settings=ENERGY, rate=RATE, sizes=(1600,), channel=None, model=None):
    """The answers to a wave that comes in blocks."""
    blocks = cut(wave[:, None] if wave.ndim == 1 else wave, sizes)
    return list(live_answers(model or LoudModel(), mono_pieces(blocks, rate, channel), settings))


def quiet_then_loud():
    return np.concatenate([0.3 * syllables(3), np.zeros(3 * RATE, np.float32), 2 * syllables(2.5, seed=1)])


def test_an_answer_for_each_second_and_none_without_speech():
    answers = answered(quiet_then_loud())
    assert [(a.start, a.end) for a in answers] == [(k, k + 1) for k in range(8)] + [(8, 8.5)]
    assert [a.label for a in answers] == ["sadness"] * 3 + [None] * 3 + ["anger"] * 3
    assert {a.reason for a in answers[3:6]} == {"no speech"}
    assert all(sum(a.probabilities) == pytest.approx(1) for a in answers if a.label)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_answers_do_not_depend_on_the_blocks(rate):
    wave = quiet_then_loud()[: 8 * rate]
    whole = answered(wave, rate=rate, sizes=(len(wave),))
    assert whole == answered(wave, rate=rate, sizes=(1, 7, 4001, 333)) == answered(wave, rate=rate, sizes=(rate,))
    assert whole[-1].end == pytest.approx(len(wave) / rate, abs=1e-4)


def test_a_resampled_source_is_answered_as_at_16_khz():
    time = np.arange(4 * 44100) / 44100
    voice = np.interp(time, np.arange(4 * RATE) / RATE, 2 * syllables(4))
    labels = [a.label for a in answered(voice.astype(np.float32), rate=44100)]
    assert labels == [a.label for a in answered(2 * syllables(4))] == ["anger"] * 4


def test_the_last_piece_may_be_too_short():
    *_, last = answered(syllables(2.1))
    assert (last.start, last.end, last.reason, last.probabilities) == (2, 2.1, "too short", ())
    assert len(answered(syllables(1)[:1])) == 1, "a size of 1 is a size"
    assert answered(np.zeros(0, np.float32)) == []


def test_stretches_of_other_lengths():
    answers = answered(syllables(2), Live(every=0.25, detector="energy"))
    assert [a.end for a in answers] == [0.25 * k for k in range(1, 9)]
    with pytest.raises(UserError, match="every: expected at most 60 s"):
        Live(every=61)


def test_a_stretch_that_is_longer_than_the_model_takes_has_several_windows():
    wave = np.concatenate([2 * syllables(5), 0.1 * syllables(5, seed=1)])
    model = LoudModel(longest=2.0)
    answers = answered(wave, Live(every=5, detector="energy"), model=model)
    assert [(a.end, a.label) for a in answers] == [(5, "anger"), (10, "sadness")]
    assert max(model.lengths) <= 2 and answers == answered(wave, Live(every=5, detector="energy"))


def test_only_the_sound_that_frames_depend_on_is_encoded_again():
    model = LoudModel(context=0.5)
    answered(syllables(4), model=model)
    assert model.lengths == [1.0, 1.5, 1.5, 1.5]
    model = LoudModel(context=20, longest=3)
    answered(syllables(5), model=model)
    assert model.lengths == [1, 2, 3, 3, 3]
    model = LoudModel(context=20)
    answered(syllables(4), Live(context=1, detector="energy"), model=model)
    assert model.lengths == [1, 2, 2, 2]


def test_unsure_answers_have_a_reason():
    answers = answered(syllables(2), Live(abstain_below=0.99, detector="energy"))
    assert all(a.label is None and a.reason.startswith("unsure: 0.") and a.probabilities for a in answers)
    with pytest.raises(UserError, match="abstain_below"):
        Live(abstain_below=1.5)


def test_a_channel_or_the_mean_of_all():
    voice = syllables(2)
    stereo = np.stack([2 * voice, 0 * voice], 1)
    assert [a.label for a in answered(stereo, channel=0)] == ["anger", "anger"]
    assert [a.reason for a in answered(stereo, channel=1)] == ["no speech", "no speech"]
    assert answered(np.stack([voice, voice], 1)) == answered(voice)


def test_samples_that_are_no_numbers_count_as_silence():
    voice, notes = syllables(3), []
    voice[20_000], voice[20_001], voice[20_002] = np.nan, np.inf, 1e30
    pieces = mono_pieces(cut(voice[:, None], (1600,)), RATE, on_note=notes.append)
    answers = list(live_answers(LoudModel(), pieces, ENERGY))
    voice[20_000:20_003] = 0
    assert answers == answered(voice)
    assert notes == ["at 1.250 s: samples that are no numbers; they count as silence"]
    assert {a.reason for a in answered(np.full(RATE, np.nan, np.float32))} == {"no speech"}


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_after_a_gap_a_new_stretch_begins(rate):
    voice = np.zeros((round(1.5 * rate), 1), np.float32)
    loud = np.repeat(2 * syllables(1, seed=1), rate // RATE)[:, None]
    model = LoudModel()
    pieces = mono_pieces([voice, Gap(10.0), loud], rate)
    answers = list(live_answers(model, pieces, ENERGY))
    assert [(a.start, a.end) for a in answers] == [(0, 1), (11.5, 12.5)]
    assert answers[1].label == "anger" and model.lengths == [1.0], "nothing of before the gap"


@pytest.mark.parametrize("rate", [0, -8000, 10**9])
def test_a_rate_that_no_source_has(rate):
    with pytest.raises(UserError, match="rate: expected 1000 to 384000 Hz"):
        next(mono_pieces([], rate))


def test_memory_does_not_grow():
    second = syllables(1)[:, None]

    def peak(seconds):
        pieces = mono_pieces(itertools.repeat(second, seconds), 44_100)
        tracemalloc.start()
        count = sum(1 for _ in live_answers(LoudModel(), pieces, ENERGY))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == pytest.approx(seconds * RATE / 44_100, abs=1.1)
        return size

    peak(20)
    assert peak(200) < 1.1 * peak(40)
