"""Which parts of a recording are answered, and why others are not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from emobridge.data.activity import DETECTORS, PADDING
from emobridge.data.audio import AudioError
from emobridge.errors import UserError
from emobridge.inference import segments
from emobridge.inference.segments import LONGEST_WHOLE, NO_SPEECH, TOO_LONG, TOO_SHORT, parts_of
from emobridge.settings import Answering, choices_of
from emobridge.types import SAMPLE_RATE, Utterance

SPEECH = [(2.0, 5.0), (10.0, 31.0), (40.0, 40.2)]  # s


@pytest.fixture
def call(tmp_path, monkeypatch):
    """A minute with speech at SPEECH, as far as a row reaches."""
    path = tmp_path / "call.wav"
    soundfile.write(path, np.zeros(60 * 8000), 8000)

    def detect(pieces, *, detector, enough):
        seconds = sum(map(len, pieces)) / SAMPLE_RATE
        return [(start - PADDING, min(end + PADDING, seconds)) for start, end in SPEECH if start < seconds]

    monkeypatch.setattr(segments, "speech_segments", detect)
    return Utterance("call", "files", str(path))


def spans(utterance, **options):
    parts = parts_of(utterance, Answering(**options))
    return [(round(part.utterance.start, 6), round(part.end, 6), part.reason) for part in parts]


def test_stretches_of_speech_and_long_ones_in_equal_parts(call):
    assert spans(call, segments="speech", longest=10.5) == [
        (2.0, 5.0, ""),
        (10.0, 20.5, ""),
        (20.5, 31.0, ""),
        (40.0, 40.2, TOO_SHORT),
    ]
    assert [span[:2] for span in spans(call, segments="speech")[1:4]] == [(10.0, 17.0), (17.0, 24.0), (24.0, 31.0)]


def test_auto_goes_by_length_and_by_times_of_a_row(call):
    assert spans(call) == spans(call, segments="speech")
    assert spans(replace(call, end=29.0)) == [(0.0, 29.0, "")], "a row with its own times stays one"
    assert spans(replace(call, start=1.0, end=9.0)) == [(1.0, 9.0, "")]
    assert len(spans(replace(call, end=45.0))) == 5, "but not an hour"
    assert spans(call, longest=60.0) == [(0.0, 60.0, "")], "a file as long as the longest stretch stays whole"


def test_windows_and_their_share_of_speech(call):
    assert spans(call, segments="windows", window=10.0) == [
        (0.0, 10.0, ""),
        (10.0, 20.0, ""),
        (20.0, 30.0, ""),
        (30.0, 40.0, ""),
        (40.0, 50.0, NO_SPEECH),
        (50.0, 60.0, NO_SPEECH),
    ]
    halves = spans(call, segments="windows", window=10.0, hop=5.0)
    assert [start for start, _, _ in halves] == [5.0 * index for index in range(11)]
    assert spans(call, segments="windows", window=1.0)[40] == (40.0, 41.0, TOO_SHORT)


@pytest.mark.parametrize(("kind", "enough"), [("whole", 6.0), ("auto", math.inf), ("windows", math.inf)])
def test_only_whole_recordings_ask_for_no_more_speech_than_an_answer_needs(call, monkeypatch, kind, enough):
    asked = []
    monkeypatch.setattr(segments, "speech_segments", lambda pieces, *, detector, enough: asked.append(enough) or [])
    parts_of(call, Answering(segments=kind))
    assert asked == [enough]


def test_a_recording_without_speech_is_one_row(tmp_path, call, monkeypatch):
    monkeypatch.setattr(segments, "speech_segments", lambda pieces, **_: [][: len(list(pieces))])
    assert spans(call) == spans(call, segments="speech") == spans(call, segments="whole") == [(0.0, 60.0, NO_SPEECH)]
    for name, samples in (("short", 100), ("one", 1)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(samples), 16000)
        for kind in ("auto", "speech", "windows", "whole"):
            ((_, _, reason),) = spans(Utterance(name, "c", str(tmp_path / f"{name}.wav")), segments=kind)
            assert reason == TOO_SHORT


def test_what_is_whole_is_bounded(tmp_path, all_speech):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(round((LONGEST_WHOLE + 1) * 2000), dtype=np.int16), 2000)
    row = Utterance("long", "c", str(path))
    assert spans(row, segments="whole") == [(0.0, LONGEST_WHOLE + 1, TOO_LONG)]
    assert {reason for _, _, reason in spans(row)} == {""} and len(spans(row)) == 31


def test_no_detector_runs_where_nothing_can_be_answered(tmp_path, monkeypatch):
    path, looked = tmp_path / "long.flac", []
    soundfile.write(path, np.zeros(round((LONGEST_WHOLE + 2) * 2000), dtype=np.int16), 2000)
    row = Utterance("long", "c", str(path))
    monkeypatch.setattr(segments, "speech_segments", lambda pieces, **_: looked.append(len(list(pieces))) or [])
    whole, window = {"segments": "whole"}, {"segments": "windows", "window": LONGEST_WHOLE + 1, "hop": 1.0}
    assert {reason for options in (whole, window) for _, _, reason in spans(row, **options)} == {TOO_LONG}
    assert looked == []
    assert [reason for _, _, reason in spans(replace(row, end=LONGEST_WHOLE), **whole)] == [NO_SPEECH]
    assert len(looked) == 1
    with pytest.raises(AudioError, match="no such file"):
        spans(replace(row, path=str(tmp_path / "gone.wav"), end=LONGEST_WHOLE + 1), **whole)


def test_a_whole_file_keeps_its_end(call):
    (part,) = parts_of(call, Answering(segments="whole"))
    assert part.utterance is call, "its features have the key that training gave them"


@pytest.mark.parametrize("detector", ["energy", "silero"])
@pytest.mark.parametrize("kind", ["speech", "windows", "whole"])
def test_what_is_no_speech_gets_no_answer(tmp_path, detector, kind):
    if detector == "silero":
        pytest.importorskip("silero_vad")
    time = np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).standard_normal(len(time))
    sounds = {
        "silence": np.zeros(len(time)),
        "noise": 0.1 * noise,
        "hiss": 0.001 * noise,
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "hum": 0.2 * sum(np.sin(2 * np.pi * 50 * n * time) / n for n in (1, 2, 3)),
        "chord": 0.1 * sum(np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 277.2, 329.6, 440.0)),
    }
    for name, wave in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, SAMPLE_RATE)
        parts = parts_of(
            Utterance(name, "c", str(tmp_path / f"{name}.wav")), Answering(segments=kind, detector=detector, window=2.0)
        )
        assert [part.reason for part in parts] == [NO_SPEECH] * (3 if kind == "windows" else 1), name


def test_what_cannot_be_read_and_what_cannot_be_asked(tmp_path):
    with pytest.raises(AudioError, match="no such file"):
        parts_of(Utterance("a", "c", str(tmp_path / "a.wav")), Answering())
    for options, message in (
        ({"segments": "window"}, "did you mean 'windows'"),
        ({"hop": 20.0}, "hop: expected at most the window's 10 s"),
        ({"hop": -1.0}, "hop: expected 0 or more"),
        ({"longest": 0.0}, "longest: expected a number above 0"),
        ({"channels": "left"}, "unknown choice of channels 'left'"),
        ({"channels": "0,-1"}, "unknown choice of channels"),
        ({"statistics": "store"}, "did you mean 'stored'"),
        ({"abstain_below": 1.5}, "expected a probability from 0 to 1"),
        ({"abstain_below": float("nan")}, "abstain_below"),
        ({"detector": "sillero"}, "did you mean 'silero'"),
    ):
        with pytest.raises(UserError, match=message):
            Answering(**options)


def test_the_choices_are_those_of_the_rooms():
    assert choices_of("detector", Answering) == DETECTORS
