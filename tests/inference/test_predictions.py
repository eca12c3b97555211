"""A recogniser that is called: paths, utterances and arrays go one way, and what comes back is short to print."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import emobridge
from emobridge.data.audio import AudioError
from emobridge.errors import UserError
from emobridge.inference.predictions import Predictions
from emobridge.types import Prediction


@pytest.fixture(scope="module")
def recognizer(finished):
    return emobridge.load(finished / "bundle")


@pytest.fixture(scope="module")
def clip(_recorded):
    return str(_recorded / "xx-a-anger-0.wav")


def values(predictions):
    return [(answer.start, answer.end, answer.label, answer.probabilities) for answer in predictions]


def test_a_path_utterances_and_a_manifest_go_one_way(recognizer, clip, recorded):
    rows = list(emobridge.read_manifest(recorded / "xx.jsonl"))
    alone = recognizer(clip)
    assert len(alone) == 1 and alone[0].label in recognizer.labels and not alone.skipped
    for audio in ([clip], Path(clip), (Path(clip),), iter([clip]), emobridge.Utterance(clip, "files", clip)):
        assert values(recognizer.predict(audio)) == values(alone)
    assert values(emobridge.predict(recognizer, [clip])) == values(emobridge.predict(recognizer, clip)) == values(alone)
    all_rows = recognizer(iter(rows))
    assert values(all_rows) == values(recognizer(recorded / "xx.jsonl")) and len(all_rows) == len(rows) == 16
    assert len(recognizer([clip, rows[0], str(recorded)])) == 2 + 32


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "int32", "tensor", "stereo"])
def test_an_array_is_answered_as_its_file(recognizer, tmp_path, rate, kind):
    dtype = kind if kind in ("float64", "int16", "int32") else "float32"
    wave = 0.4 * np.sin(np.arange(rate) * 900 / rate) + 0.01 * np.random.default_rng(0).standard_normal(rate)
    if kind == "stereo":
        wave = np.stack([wave, np.roll(wave, 99)])
    if dtype.startswith("int"):
        wave = wave * np.iinfo(dtype).max
    wave = np.ascontiguousarray(wave, dtype=dtype)
    subtype = {"int16": "PCM_16", "int32": "PCM_32"}.get(dtype, "FLOAT")
    soundfile.write(tmp_path / "a.wav", wave.T.astype("float32") if subtype == "FLOAT" else wave.T, rate, subtype)
    array = torch.from_numpy(wave).requires_grad_() if kind == "tensor" else wave
    answers = recognizer(array, sample_rate=rate)
    assert values(answers) == values(recognizer(tmp_path / "a.wav"))
    assert [(answer.id, answer.path) for answer in answers] == [("array", "")]


def test_arrays_leave_no_file_and_no_name_of_one(recognizer, clip, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    wave = soundfile.read(clip, dtype="float32")[0]
    answers = recognizer([wave, clip, np.full(9000, np.nan), wave[::-1]], sample_rate=16000)
    assert [answer.id for answer in answers] == ["array 0", clip, "array 3"]
    assert answers.skipped == (("array 2", "array 2: holds samples that are not finite numbers (NaN or infinity)"),)
    with pytest.raises(AudioError, match=r"^array 2: holds samples that are not finite"):
        recognizer([wave, wave, wave * np.inf], sample_rate=16000, strict=True)
    assert not list(tmp_path.iterdir())


WAVE = np.zeros(16000, np.float32)
REFUSED = {
    "no rate": (WAVE, {}, "sample_rate: arrays do not tell theirs; give it in Hz"),
    "a rate of no sound": (WAVE, {"sample_rate": 16000.5}, "sample_rate: expected a whole number of Hz, got 16000.5"),
    "rate 0": (WAVE, {"sample_rate": 0}, "sample_rate: expected a whole number of Hz, got 0"),
    "a word for a rate": (WAVE, {"sample_rate": "16k"}, "sample_rate: expected a whole number of Hz, got '16k'"),
    "too low a rate": (WAVE, {"sample_rate": 10}, "array: sample rate 10 Hz: expected 2000"),
    "channels last": (WAVE[:, None], {"sample_rate": 16000}, r"channels first, got \(16000, 1\): transpose it"),
    "square": (np.zeros((9, 9)), {"sample_rate": 16000}, r"expected \(channels, samples\), .*got \(9, 9\)"),
    "many channels": (np.zeros((99, 999)), {"sample_rate": 16000}, r"channels first, got \(99, 999\)"),
    "three dimensions": (WAVE[None, None], {"sample_rate": 16000}, r"expected the shape \(samples,\) or"),
    "a number": (np.ones(()), {"sample_rate": 16000}, r"expected the shape .* got \(\)"),
    "empty": (WAVE[:0], {"sample_rate": 16000}, r"expected the shape .* got \(0,\)"),
    "truth values": (WAVE > 0, {"sample_rate": 16000}, "expected samples as floats .* got bool"),
    "complex": (WAVE * 1j, {"sample_rate": 16000}, "expected samples as floats .* got complex"),
    "bytes of samples": (WAVE.astype("uint8"), {"sample_rate": 16000}, "or int16 or int32, got uint8"),
    "a list of numbers": ([0.1, 0.2], {}, "got float; sound is given as a numpy array"),
    "a record": ({"array": WAVE, "sampling_rate": 1}, {}, "expected a path, an utterance or an array .* got dict"),
    "bytes": (b"RIFF", {}, "expected a path, an utterance or an array of samples, got bytes"),
    "nothing": (None, {}, "expected a path, an utterance or an array of samples, got NoneType"),
    "a rate for a file": ("a.wav", {"sample_rate": 16000}, "sample_rate: goes with arrays; files tell their own"),
    "no such file": ("nowhere.wav", {}, "nowhere.wav: no such file: nothing predicted"),
    "no such files": (["a.wav", "b.wav"], {}, r"a.wav: no such file \(and 1 more\): nothing predicted"),
    "an option misspelt": ("a.wav", {"segmnts": "windows"}, "did you mean 'segments'"),
    "no such language": ("a.wav", {"language": "Klingonish"}, "'Klingonish'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered_is_one_line(recognizer, name):
    audio, options, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as caught:
        recognizer(audio, **options)
    assert len(str(caught.value).splitlines()) == 1 and tempfile.gettempdir() not in str(caught.value)


def test_one_path_is_not_taken_for_its_letters(recognizer):
    with pytest.raises(AudioError, match=r"^nowhere\.wav: no such file"):
        list(emobridge.predict(recognizer, "nowhere.wav"))
    with pytest.raises(UserError, match=r"recognizer\.predict\(array, sample_rate=16000\)"):
        list(emobridge.predict(recognizer, WAVE))


def test_predictions_are_a_sequence_that_prints_as_a_line(recognizer, recorded):
    answers = recognizer(str(recorded / "xx.jsonl"))
    assert isinstance(answers[2:5], Predictions) and answers[2:5] == Predictions(answers.predictions[2:5])
    assert answers[-1] in answers and next(reversed(answers)) is answers[-1]
    assert re.fullmatch(r"<Predictions: 16 \(\d+ \w+, \d+ \w+\)>", repr(answers)), answers
    labels = tuple(f"label {index}" for index in range(20))
    many = [Prediction(str(row), 0.0, 1.0, labels, tuple(float(row % 20 == k) for k in labels and range(20)))
            for row in range(5000)]  # fmt: skip
    text = repr(Predictions(tuple(many), (("a", "b"),)))
    assert len(text) < 160 and text.startswith("<Predictions: 5,000 (250 label 0") and text.endswith("1 skipped>")
    assert repr(Predictions(())) == "<Predictions: 0>"


def test_options_are_those_of_the_command(recognizer, recorded):
    import pandas

    wave = np.concatenate([soundfile.read(path)[0] for path in sorted(recorded.glob("xx-a-*.wav"))])
    parts = recognizer(wave, sample_rate=16000, segments="windows", window=0.6)
    assert [(part.start, part.end) for part in parts] == [(0.0, 0.6), (0.6, 1.2)]
    stereo = recognizer(np.stack([wave, wave * 0]), sample_rate=16000, channels="each")
    assert [(part.id, part.channel) for part in stereo] == [("array", 0), ("array", 1)]
    table = stereo.to_dataframe()
    assert isinstance(table, pandas.DataFrame) and list(table["channel"]) == [0, 1] and len(table) == 2
