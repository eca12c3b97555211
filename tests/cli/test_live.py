"""`emobridge live` reads standard input and a microphone, which is a stand-in here."""

from __future__ import annotations

import io
import itertools
import json
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from frame_models import LoudModel
from sounds import syllables

VOICE = np.concatenate([0.3 * syllables(2), np.zeros(16_000, np.float32), 2 * syllables(1.5, seed=1)])


@pytest.fixture
def model(monkeypatch):
    """The model that every bundle holds."""
    model = LoudModel()
    files = SimpleNamespace(load_frame_model=lambda folder, *, encoder, device: model)
    monkeypatch.setitem(sys.modules, "emobridge.diarization.files", files)
    return model


@pytest.fixture
def live(cli, model, monkeypatch):
    """A function that pipes bytes into the command."""

    def run(data: bytes, *words, terminal=False):
        stdin = SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data)), isatty=lambda: terminal)
        monkeypatch.setattr(sys, "stdin", stdin)
        return cli("live", "bundle", "-", "--detector", "energy", *words)

    return run


def s16(wave):
    return (np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()


def test_raw_pcm_gets_a_line_for_each_second(live):
    done = live(s16(VOICE))
    lines = [line.split()[:2] for line in done.out.splitlines()]
    assert lines == [["0:00:01.0", "sadness"], ["0:00:02.0", "sadness"], ["0:00:03.0", "no"],
                     ["0:00:04.0", "anger"], ["0:00:04.5", "anger"]]  # fmt: skip
    assert done.code == 0 and "SYNTHETIC" in done.err
    assert "note: 5 answers of 1 s, computed in 0." in done.err


def test_rows_are_those_of_predict_and_the_format_of_the_input_does_not_matter(live):
    rows = [json.loads(line) for line in live(s16(VOICE), "--format", "jsonl").out.splitlines()]
    assert [row["label"] for row in rows] == ["sadness", "sadness", None, "anger", "anger"]
    assert rows[2]["reason"] == "no speech" and rows[0]["id"] == "standard input"
    assert {row["trained_on"] for row in rows} == {"SYNTHETIC"}
    stereo = np.stack([0 * VOICE, VOICE], 1).astype("<f4").tobytes()
    words = ("--encoding", "f32le", "--input-channels", "2", "--channel", "1", "--format", "jsonl")
    other = [json.loads(line) for line in live(stereo + b"\1\2\3", *words).out.splitlines()]
    assert [row["label"] for row in other] == [row["label"] for row in rows] and other[0]["channel"] == 1
    slow = live(s16(VOICE), "--rate", "8000", "--every", "2", "--abstain-below", "0.999")
    assert slow.out.count("unsure") == 2 and len(slow.out.splitlines()) == 5


@pytest.mark.parametrize(
    ("data", "words", "message"),
    [
        (b"", (), "standard input: ended before a frame of 2 bytes"),
        (b"RIFF\0\0\0\0WAVE", (), "standard input: is a WAV file"),
        (b"\0\0", ("--channel", "1"), "channel 1: expected 0 to 0"),
        (b"\0\0", ("--channel", "left"), "channel: expected mix, or a number from 0"),
        (b"\0\0", ("--encoding", "s16"), "did you mean 's16le'"),
        (b"\0\0", ("--rate", "10"), "rate: expected 1000 to 384000 Hz"),
        (b"\0\0", ("--every", "0.01"), "every: expected 0.1 or more"),
        (b"\0\0", ("--every", "61"), "every: expected at most 60 s"),
    ],
)
def test_mistakes_are_one_line(live, data, words, message):
    done = live(data, *words)
    assert done.code == 2 and message in done.err and "Traceback" not in done.err
    assert len([line for line in done.complaints if not line.startswith("note")]) == 1


def test_what_is_missing_or_no_source(live, cli, monkeypatch):
    assert "is a terminal" in live(b"", terminal=True).err
    assert "expected BUNDLE" in cli("live").err
    monkeypatch.setattr(sys, "stdin", None)
    done = cli("live", "bundle", "-")
    assert done.code == 2 and done.err == "emobridge: standard input: is closed; expected raw PCM\n"
    done = cli("live", "bundle", "call.wav")
    assert done.code == 2 and "call.wav: expected - (standard input)" in done.err


def test_ctrl_c_is_a_clean_end(cli, model, monkeypatch):
    def read1(size):
        if data:
            return data.pop()
        raise KeyboardInterrupt

    data = [s16(VOICE)]
    stdin = SimpleNamespace(buffer=SimpleNamespace(read1=read1), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    done = cli("live", "bundle", "-", "--detector", "energy")
    assert done.code == 0 and len(done.out.splitlines()) == 4 and "4 answers" in done.err


class Sounddevice(SimpleNamespace):
    """A stand-in of the package: two devices, the second one records `wave` faster than time passes."""

    PortAudioError = RuntimeError
    default = SimpleNamespace(device=(1, 0))

    def query_devices(self):
        speaker = {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 44100.0}
        return [speaker, {"name": "USB Mic", "max_input_channels": 8, "default_samplerate": 16000.0}][: self.devices]

    def InputStream(self, *, samplerate, channels, device, dtype, blocksize, callback, finished_callback):
        assert (device, dtype, channels) == (1, "float32", 2)

        def record():
            for first in range(0, len(self.wave), blocksize):
                block = self.wave[first : first + blocksize]
                callback(np.stack([block, block], 1), len(block), None, None)
                time.sleep(self.pause)
            finished_callback()

        return SimpleNamespace(start=threading.Thread(target=record).start, close=lambda: None)


@pytest.fixture
def sounddevice(monkeypatch):
    module = Sounddevice(devices=2, wave=VOICE, pause=0.01)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_a_microphone_is_answered(cli, model, sounddevice):
    done = cli("live", "bundle", "--input-device", "usb", "--detector", "energy", "--format", "jsonl")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["label"] for row in rows] == ["sadness", "sadness", None, "anger", "anger"]
    assert rows[0]["id"] == "microphone" and done.code == 0
    listed = cli("live", "--list-devices")
    assert listed.out.split() == ["*", "1", "USB", "Mic", "(8", "channels,", "16000", "Hz)"]


def test_a_slow_machine_skips_ahead(cli, model, sounddevice):
    compute = model.frame_probabilities
    model.frame_probabilities = lambda wave: (time.sleep(0.15), compute(wave))[1]
    sounddevice.pause, sounddevice.wave = 0.002, np.tile(syllables(2), 8)
    done = cli("live", "bundle", "--detector", "energy", "--format", "jsonl")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert "s of sound are skipped: this machine answers more slowly" in done.err
    assert 1 < len(rows) < 14 and rows[-1]["end"] > 8, "times go on over what was skipped"
    assert all(a["end"] <= b["start"] for a, b in itertools.pairwise(rows))


def test_no_microphone_and_no_package(cli, model, sounddevice, monkeypatch):
    done = cli("live", "bundle", "--input-device", "usbb")
    assert done.code == 2 and "no microphone 'usbb': expected one of 1 (USB Mic)" in done.err
    sounddevice.devices = 1
    for words in (("bundle",), ("--list-devices",)):
        done = cli("live", *words)
        assert done.code == 2 and "no microphone was found; sound from elsewhere comes by a pipe" in done.err
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = cli("live", "bundle")
    assert done.code == 2 and "pip install 'emobridge[live]'" in done.err and len(done.complaints) == 1
