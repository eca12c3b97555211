"""From recordings to rows: windows without seams, channels, pauses, what cannot be read, memory."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import soundfile

from emobridge.data.audio import AudioError
from emobridge.data.manifest import write_manifest
from emobridge.diarization.timeline import diarize, frame_windows, joined_frames
from emobridge.diarization.windowed import WindowedRecognizer
from emobridge.errors import UserError
from emobridge.inference.journal import Journal
from emobridge.settings import Diarizing
from emobridge.types import SAMPLE_RATE, Utterance


class LevelModel:
    """Tells loud (anger) from quiet (sadness) by the samples within `context` s of a frame, and no others."""

    labels, synthetic = ("anger", "neutral", "sadness"), False

    def __init__(self, frame_rate: float = 10.0, context: float = 0.2, longest: float = 3.0) -> None:
        self.frame_rate, self.context, self.longest = frame_rate, context, longest
        self.waves: list[int] = []  # lengths

    def frame_probabilities(self, wave):
        assert 0 < len(wave) <= self.longest * SAMPLE_RATE
        self.waves.append(len(wave))
        count = max(1, round(len(wave) / SAMPLE_RATE * self.frame_rate))
        rows = []
        for frame in range(count):
            first = round((frame / self.frame_rate - self.context) * SAMPLE_RATE)
            last = round(((frame + 1) / self.frame_rate + self.context) * SAMPLE_RATE)
            level = float(np.abs(wave[max(0, first) : last]).mean())
            anger = min(1.0, level / 0.4)
            rows.append([0.8 * anger, 0.2, 0.8 * (1 - anger)])
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def sounding(monkeypatch):
    """What is not zero counts as speech."""
    from emobridge.inference import segments

    def find(pieces, **_):
        loud = np.flatnonzero(np.concatenate(list(pieces)))
        if not len(loud):
            return []
        parts = np.split(loud, np.flatnonzero(np.diff(loud) > 1600) + 1)
        ends = [(part[0] / SAMPLE_RATE, (part[-1] + 1) / SAMPLE_RATE) for part in parts]
        return [(max(0.0, start - segments.PADDING), end + segments.PADDING) for start, end in ends]

    monkeypatch.setattr(segments, "speech_segments", find)


def steps(*levels: tuple[float, float]) -> np.ndarray:
    """A square wave in stretches of (level, seconds)."""
    parts = [np.full(round(seconds * SAMPLE_RATE), level, dtype=np.float32) for level, seconds in levels]
    wave = np.concatenate(parts)
    wave[1::2] *= -1
    return wave


LOUD, QUIET = 0.4, 0.02


@pytest.fixture
def call(tmp_path):
    """A stereo call: channel 0 is quiet, then loud, then pauses, then is quiet; channel 1 is silent."""
    wave = steps((QUIET, 3.0), (LOUD, 2.0), (0.0, 1.5), (QUIET, 2.0), (0.0, 0.75))
    path = tmp_path / "call.wav"
    soundfile.write(path, np.stack([wave, 0 * wave], 1), SAMPLE_RATE)
    return path


@pytest.mark.parametrize("frame_rate", [3.7, 10.0, 12.5, 50.0])
@pytest.mark.parametrize("seconds", [0.02, 2.4, 3.0, 3.01, 8.77, 31.0])
@pytest.mark.parametrize("size", [1000, 16000, 10**6])
def test_frames_do_not_depend_on_windows_or_pieces(frame_rate, seconds, size):
    rng = np.random.default_rng(0)
    wave = rng.uniform(-1, 1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    wave *= np.repeat(rng.uniform(0, 1, 400), 1600)[: len(wave)]
    pieces = [wave[first : first + size] for first in range(0, len(wave), size)]
    model = LevelModel(frame_rate)
    parts = list(joined_frames(model, pieces))
    firsts = np.cumsum([0, *(len(values) for _, values in parts[:-1])])
    assert [first for first, _ in parts] == firsts.tolist()
    expected = LevelModel(frame_rate, longest=1000.0).frame_probabilities(wave)
    joined = np.concatenate([values for _, values in parts])
    assert joined.shape == expected.shape
    assert np.abs(joined - expected).max() < 1e-3
    assert max(model.waves) <= 3 * SAMPLE_RATE and (seconds <= 3.0) == (len(parts) == 1)


def test_windows_without_speech_are_not_computed():
    wave, model = steps((LOUD, 60.0)), LevelModel()
    parts = np.concatenate([values for _, values in joined_frames(model, [wave], [(30.0, 31.0)])])
    assert len(parts) == 600 and len(model.waves) <= 2
    assert np.allclose(parts[:200], 1 / 3) and np.allclose(parts[300:310], [0.8, 0.2, 0.0])


def test_a_context_beyond_the_longest_sound_is_cut():
    wave, model = steps((LOUD, 7.0), (QUIET, 7.0)), LevelModel(context=2.0)
    joined = np.concatenate([values for _, values in joined_frames(model, [wave])])
    assert joined.shape == (140, 3) and max(model.waves) <= 3 * SAMPLE_RATE
    assert np.allclose(joined[:45], [0.8, 0.2, 0.0], atol=1e-3) and joined[-45:, 2].min() > 0.7


def test_no_sound_has_no_frames():
    assert list(joined_frames(LevelModel(), [])) == [] == list(joined_frames(LevelModel(), [np.empty(0, np.float32)]))


def test_frame_windows_tell_times_of_the_file(call):
    utterance = Utterance("u", "files", str(call), start=1.0, end=9.0)
    starts = [start for start, _ in frame_windows(LevelModel(), utterance)]
    assert starts[0] == 1.0 and starts == sorted(starts) and starts[-1] < 9.0


def spans(rows) -> list[tuple[float, float, str]]:
    return [(round(row.start, 2), round(row.end, 2), row.label or row.reason) for row in rows]


def test_a_call_becomes_rows_of_each_channel(call, sounding):
    rows = list(diarize(LevelModel(), call, Diarizing(channels="each")))
    expected = [
        (0, 3, "sadness"),
        (3, 5, "anger"),
        (5, 6.5, "no speech"),
        (6.5, 8.5, "sadness"),
        (8.5, 9.25, "no speech"),
    ]
    assert spans(row for row in rows if row.channel == 0) == expected
    assert spans(row for row in rows if row.channel == 1) == [(0, 9.25, "no speech")]
    assert all(row.labels == LevelModel.labels and row.path == str(call) for row in rows)
    for row in rows:
        assert (sum(row.probabilities) == pytest.approx(1)) if row.label else row.probabilities == ()


def test_mixed_channels_are_noted(call, sounding):
    notes = []
    rows = list(diarize(LevelModel(), call, on_note=notes.append))
    assert {row.channel for row in rows} == {None}
    assert len(notes) == 1 and "were mixed into one" in notes[0]


@pytest.mark.parametrize("seconds", [0.3, 0.97, 4.0, 9.04])
def test_rows_tile_the_utterance_to_its_very_end(tmp_path, sounding, seconds):
    soundfile.write(tmp_path / "a.wav", steps((QUIET, seconds)), SAMPLE_RATE)
    rows = list(diarize(LevelModel(), tmp_path / "a.wav"))
    assert rows[0].start == 0.0 and rows[-1].end == pytest.approx(seconds, abs=1e-9)
    assert all(before.end == after.start for before, after in itertools.pairwise(rows))
    assert {row.label for row in rows} == {"sadness"}


def test_a_stretch_of_a_manifest_keeps_the_times_of_the_file(call, sounding, tmp_path):
    row = Utterance("part", "calls", str(call), start=2.0, end=7.5, channel=0, language="de")
    write_manifest(tmp_path / "rows.jsonl", [row])
    rows = list(diarize(LevelModel(), tmp_path / "rows.jsonl"))
    expected = [(2, 3, "sadness"), (3, 5, "anger"), (5, 6.5, "no speech"), (6.5, 7.5, "sadness")]
    assert spans(rows) == expected
    assert {(row.id, row.channel, row.language) for row in rows} == {("part", 0, "de")}


def test_too_short_and_silent_recordings_have_one_row_without_a_label(tmp_path, sounding):
    soundfile.write(tmp_path / "short.wav", steps((LOUD, 0.2)), SAMPLE_RATE)
    soundfile.write(tmp_path / "silent.wav", steps((0.0, 5.0)), SAMPLE_RATE)
    rows = list(diarize(LevelModel(), tmp_path))
    assert [(row.id.rpartition("/")[2], row.reason) for row in rows] == [
        ("short.wav", "too short"),
        ("silent.wav", "no speech"),
    ]
    assert not any(row.label or row.probabilities for row in rows)


def test_chosen_labels_share_all_probability_and_unsure_rows_have_none(call, sounding):
    model = LevelModel()
    rows = list(diarize(model, call, Diarizing(channels="0", labels=("Sadness", "neutral"))))
    assert {row.labels for row in rows} == {("neutral", "sadness")}
    assert [row.label for row in rows][:2] == ["sadness", "neutral"] and rows[0].end == pytest.approx(3.0, abs=0.2)
    unsure = list(diarize(model, call, Diarizing(channels="0", abstain_below=0.9)))
    assert {row.label for row in unsure} == {None}
    assert unsure[0].reason.startswith("unsure: 0.7") and unsure[0].probabilities
    for labels, message in ((("anxiety", "anger"), "unknown label"), (("anger",), "expected two or more")):
        with pytest.raises(UserError, match=message):
            list(diarize(model, call, Diarizing(labels=labels)))


def test_probabilities_that_are_not_finite_have_a_reason(call, sounding):
    class Broken(LevelModel):
        def frame_probabilities(self, wave):
            values = super().frame_probabilities(wave)
            values[values[:, 0] > 0.5] = np.nan
            return values

    rows = list(diarize(Broken(), call, Diarizing(channels="0")))
    assert [row.label or row.reason for row in rows][:2] == ["sadness", "not finite"]
    assert (rows[1].start, rows[1].end) == pytest.approx((3.0, 5.0), abs=0.3) and not rows[1].probabilities
    assert "not finite" not in {row.reason for row in rows[2:]}


def test_one_that_cannot_be_read_is_skipped_or_raises(call, sounding, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF and no more")
    skipped = []
    rows = list(diarize(LevelModel(), [tmp_path / "bad.wav", call], on_skip=lambda *about: skipped.append(about)))
    assert {row.path for row in rows} == {str(call)} and len(skipped) == 1 and "bad.wav" in skipped[0][1]
    with pytest.raises(AudioError, match=r"bad\.wav"):
        list(diarize(LevelModel(), tmp_path / "bad.wav"))


def test_an_interrupted_run_goes_on(call, sounding, tmp_path):
    units = [call, Utterance("second", "files", str(call), channel=0)]
    whole = list(diarize(LevelModel(), units))
    model = LevelModel()
    with Journal(tmp_path / "journal", "key") as journal:
        rows = diarize(model, units, journal=journal)
        first = next(rows)
        rows.close()
    before = len(model.waves)
    with Journal(tmp_path / "journal", "key") as journal:
        again = list(diarize(model, units, journal=journal))
    assert again == whole and again[0] == first
    assert len(model.waves) - before == before, "the second unit alone was computed"


def test_a_recogniser_is_a_model_of_timelines(made, call, sounding):
    recognizer = made("de").join(made("it", seed=1))
    rows = list(diarize(WindowedRecognizer(recognizer), Utterance("u", "files", str(call), channel=0, language="de")))
    assert {row.answered_by for row in rows if row.label} == {"de"} and rows[-1].answered_by == ""
    with pytest.raises(UserError, match="language 'fr'"):
        list(diarize(WindowedRecognizer(recognizer), Utterance("u", "files", str(call), language="fr")))
    notes = []
    list(
        diarize(WindowedRecognizer(made("de")), Utterance("u", "files", str(call), language="fr"), on_note=notes.append)
    )
    assert any("1 recording of 1 in a language that this bundle has no head for (fr)" in note for note in notes)
    with pytest.raises(UserError, match="window: expected"):
        list(diarize(WindowedRecognizer(recognizer), call, Diarizing(window=0.1)))
    with pytest.raises(UserError, match="window: this model hears 2 s at once"):
        list(diarize(LevelModel(longest=2.0), call, Diarizing(window=3.0)))


def test_progress_is_told_in_seconds(call, sounding):
    reports = []
    list(diarize(LevelModel(), call, on_progress=lambda done, total: reports.append((done, total))))
    assert reports[-1] == (9, 10) and reports == sorted(reports)


def test_settings_are_checked_and_read_by_name():
    assert Diarizing.of(shortest=0.5, labels=None) == dataclasses.replace(Diarizing(), shortest=0.5)
    for changes, message in (
        ({"shortest": -1}, "shortest"),
        ({"window": 0}, "window"),
        ({"channels": "left"}, "choice of channels"),
        ({"abstain_below": 2}, "abstain_below"),
        ({"detector": "sileroo"}, "detector"),
    ):
        with pytest.raises(UserError, match=message):
            Diarizing(**changes)
