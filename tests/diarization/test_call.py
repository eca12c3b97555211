"""Rows and the sound that they are about, as records of recordings."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from sounds import RATE, syllables

from emobridge.data.audio import AudioError
from emobridge.diarization import call
from emobridge.diarization.call import call_records
from emobridge.errors import UserError
from emobridge.types import Prediction

LABELS = ("anger", "neutral")


def row(path, start, end, channel=None, p=0.75):
    return Prediction(path.name, start, end, LABELS, (p, 1 - p), path=str(path), channel=channel)


@pytest.fixture
def stereo(tmp_path):
    """A call of 2 s: a voice in each channel, one after the other."""
    voice, path = syllables(1), tmp_path / "call.wav"
    silence = np.zeros(RATE, np.float32)
    wave = np.stack([np.concatenate([voice, silence]), np.concatenate([silence, voice])], 1)
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    return path


def test_a_record_holds_each_channel_and_the_sound(stereo, tmp_path):
    rows = [row(stereo, 1, 2, 1), row(stereo, 0, 1, 0), row(stereo, 0, 1, 1, 0.5)]
    (record,) = call_records(rows, tmp_path / "page.html", synthetic=True)
    assert (record.name, record.seconds, record.synthetic, record.audio_file) == ("call.wav", 2, True, "")
    assert [channel.channel for channel in record.channels] == [0, 1]
    assert [r.start for r in record.channels[1].rows] == [0, 1], "rows are in order of time"
    for channel, loud in zip(record.channels, (slice(20), slice(20, 40))):
        assert channel.picture.high[loud].max() > 0.2 and channel.picture.high.sum() == channel.picture.high[loud].sum()
    played, rate = soundfile.read(io.BytesIO(record.audio))
    assert rate == RATE and played.shape == (2 * RATE, 2)
    shift = np.correlate(played[:, 0], syllables(1)).argmax()
    assert shift < 0.01 * RATE, "the copy begins where the recording does"


def test_a_long_recording_is_copied_beside_the_page(stereo, tmp_path, monkeypatch):
    monkeypatch.setattr(call, "EMBEDDED", 1.0)
    other = tmp_path / "of today" / "call.wav"
    other.parent.mkdir()
    soundfile.write(other, syllables(0.8)[::2], 8000)
    records = list(call_records([row(stereo, 0, 1), row(other, 0, 0.4)], tmp_path / "out" / "my calls.html"))
    assert [bool(record.audio) for record in records] == [False, True]
    assert [record.name for record in records] == [str(stereo), str(other)], "call.wav would be either"
    suffix = call.COPY_FORMAT[0].lower()
    assert records[0].audio_file == f"my%20calls-audio/call.{suffix}"
    copy = tmp_path / "out" / "my calls-audio" / f"call.{suffix}"
    assert soundfile.info(copy).channels == 2 and soundfile.info(copy).duration == pytest.approx(2, abs=0.1)
    monkeypatch.setattr(call, "MOST_EMBEDDED", 0.5)
    assert not next(iter(call_records([row(other, 0, 0.4)], tmp_path / "page.html"))).audio


def test_without_audio_nothing_can_be_played(stereo, tmp_path):
    (record,) = call_records([row(stereo, 0, 1)], tmp_path / "p.html", with_audio=False)
    assert not record.audio and not record.audio_file and sorted(tmp_path.iterdir()) == [stereo]


def test_three_channels_are_played_as_their_mean(tmp_path):
    path = tmp_path / "three.flac"
    soundfile.write(path, np.stack([syllables(0.5)] * 3, 1), RATE)
    (record,) = call_records([row(path, 0, 0.5, 2)], tmp_path / "p.html")
    assert soundfile.info(io.BytesIO(record.audio)).channels == 1


def test_files_that_are_gone_or_cannot_be_written(stereo, tmp_path, monkeypatch):
    rows, skipped = [row(tmp_path / "gone.wav", 0, 1), row(stereo, 0, 1)], []
    records = list(call_records(rows, tmp_path / "p.html", on_skip=lambda *pair: skipped.append(pair)))
    assert len(records) == 1 and skipped[0][0].endswith("gone.wav") and "no such file" in skipped[0][1]
    with pytest.raises(AudioError, match=r"gone\.wav"):
        list(call_records(rows, tmp_path / "p.html"))
    monkeypatch.setattr(call, "EMBEDDED", 0.0)
    (tmp_path / "p-audio").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match=r"p-audio.*cannot be written"):
        list(call_records([row(stereo, 0, 1)], tmp_path / "p.html"))


def test_a_page_of_very_many_recordings_shows_the_first(stereo, tmp_path, monkeypatch):
    monkeypatch.setattr(call, "MOST_RECORDINGS", 1)
    other, notes = tmp_path / "other.wav", []
    other.write_bytes(stereo.read_bytes())
    rows = [row(stereo, 0, 1), row(other, 0, 1)]
    (record,) = call_records(rows, tmp_path / "p.html", on_note=notes.append)
    assert record.name == "call.wav" and notes == ["the page shows the first 1 of 2 recordings"]
