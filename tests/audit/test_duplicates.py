"""Copies of every kind are found, and nothing else is; benchmarks/duplicates.py measures it on whole corpora."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emobridge.audit.duplicates import duplicates, find_copies
from emobridge.audit.fingerprint import fingerprint
from emobridge.audit.hearing import decode_manifest
from emobridge.data.audio import read_audio
from emobridge.types import Utterance

RATE = 16_000
CLIPS = 3
TWO_TEXTS = (
    "tri-f3-n1",
    "tri-f3-n2",
)  # of EMOVO: one recording, trimmed, under both; their waveforms correlate at 0.98


@pytest.fixture(scope="module")
def copies():
    """The module of the benchmarks that makes copies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        yield importlib.import_module("_copies")


@pytest.fixture(scope="module")
def speech(copies):
    return [copies.synthetic_speech(seed, 2.5) for seed in range(CLIPS)]


def findings_of(rows, waves):
    """The findings on manifests, dicts of ids to utterances; waves by path."""

    def read(utterance):
        return np.array_split(np.asarray(waves[utterance.path], dtype=np.float32), 3)

    return list(duplicates([decode_manifest(n, tuple(r), read, lambda: None, details=True) for n, r in rows.items()]))


def matched(waves):
    """The pairs of indices that are copies of each other."""
    prints = [fingerprint(np.asarray(wave, dtype=np.float32)) for wave in waves]
    return {(a, b) for a, b, _ in find_copies(prints)[0]}


def test_every_kind_of_copy_is_found(copies, speech, tmp_path):
    originals = [fingerprint(wave) for wave in speech]
    for kind in copies.KINDS:
        files = [copies.write_copy(tmp_path / f"{number}", wave, kind) for number, wave in enumerate(speech)]
        prints = originals + [fingerprint(read_audio(file)) for file in files]
        assert {(a, b) for a, b, _ in find_copies(prints)[0]} == {(n, CLIPS + n) for n in range(CLIPS)}, kind


def test_a_part_of_a_recording(speech):
    rows = {"c": [Utterance(name, "c", name, speaker=name) for name in ("long", "part")]}
    (finding,) = findings_of(rows, {"long": np.concatenate(speech), "part": speech[2]})
    start = sum(map(len, speech[:2])) / RATE
    assert finding.message.endswith(f"long ~ part (one is a part of the other, offset -{start:.2f} s)")


def test_what_the_finding_says(speech):
    wave, other = speech[:2]
    waves = {"a": wave, "b": -0.1 * wave[4800:], "c": other, "d": 0.5 * other, "e": other}
    rows = [Utterance(name, "x", name, speaker="1", emotion="anger") for name in waves]
    warning, near = findings_of({"m": rows}, waves)
    assert (warning.kind, warning.ids) == ("duplicate audio", ("c", "e"))
    assert (near.kind, near.severity) == ("near-duplicate audio", "warning")
    pairs = "a ~ b (offset -0.30 s, gain -20 dB, inverted), c ~ d (gain -6 dB)"
    assert near.message == f"m: 2 recording(s) have changed copies: {pairs}"
    assert near.ids == ("a", "b", "c", "e", "d")


def test_contradictions_make_errors(speech):
    rows = [Utterance(name, "x", name, speaker="1", emotion="anger") for name in "ab"]
    waves = {"a": speech[0], "b": speech[0][3000:]}
    for change, words in (
        ({"emotion": "fear"}, "with different emotions"),
        ({"speaker": "2"}, "with different speakers"),
    ):
        (finding,) = findings_of({"m": [rows[0], replace(rows[1], **change)]}, waves)
        assert finding.severity == "error" and f"have changed copies {words}: a ~ b" in finding.message
    (finding,) = findings_of({"m": rows[:1], "n": rows[1:]}, waves)
    assert finding.severity == "error" and finding.message.startswith("m and n: 1 recording(s)")
    assert "in several manifests" in finding.message


def test_a_hundred_copies_are_one_recording(speech):
    """Two of them, of different speakers, that no pair need link: the group contradicts itself."""
    waves = {str(number): speech[0][97 * number :] for number in range(100)}
    rows = [Utterance(name, "x", name, speaker={"0": "a", "99": "b"}.get(name)) for name in waves]
    (finding,) = findings_of({"m": rows}, waves)
    assert finding.message.startswith("m: 1 recording(s) have changed copies with different speakers: ")
    assert set(finding.ids) == set(waves) and finding.message.endswith(" and 96 more")


def padded(wave, before, after=0.4):
    return np.concatenate([np.zeros(round(before * RATE)), wave, np.zeros(round(after * RATE))])


def test_emptiness_is_no_likeness():
    """Silence, tones, hum, clicks and noise: other lengths, phases and places, three of each."""
    rng, time = np.random.default_rng(0), np.arange(2 * RATE) / RATE
    waves = [np.eye(1, RATE, at)[0] for at in (100, 5000)]
    for number in range(3):
        before, length = 0.3 + 0.1 * number, RATE + 1600 * number
        hum = sum(0.1 / k * np.sin(2 * np.pi * 50 * k * time + number * k) for k in range(1, 20))
        steady = padded(np.convolve(rng.normal(0, 0.1, 2 * RATE), np.hanning(20), "same"), 0.5)  # of one colour
        waves += [np.zeros(length), np.full(length, 0.1), rng.integers(-1, 2, RATE) / 32768]
        waves += [hum[:length] + rng.normal(0, 1e-3, length), padded(0.3 * np.sign(hum[:RATE]), before)]
        waves += [rng.normal(0, 0.1, 2 * RATE), padded(rng.normal(0, 0.1, RATE), before), steady]
        waves += [(np.arange(RATE) % 1600 == 100 * number) * 0.9]  # clicks, ten a second
        for pitch in (100, 440, 3000):
            tone = 0.3 * np.sin(2 * np.pi * pitch * time + number)
            waves += [tone[:length], padded(tone[:RATE], before), tone * (1 + np.sin(30 * time + number))]
    assert matched(waves) == set()


def test_silence_and_snippets_are_not_compared(speech):
    waves = {
        "a": np.zeros(RATE),
        "b": np.zeros(RATE + 100),
        "c": speech[0][8000:12000],
        "d": 0.5 * speech[0][8000:12000],
    }
    assert findings_of({"m": [Utterance(name, "x", name) for name in waves]}, waves) == []


def test_another_tempo_or_pitch_is_not_found(speech):
    from scipy.signal import resample

    assert matched([speech[0], resample(speech[0], round(len(speech[0]) * 1.05))]) == set()


def test_real_copies_and_real_repetitions(shared, copies, tmp_path):
    """Every actor says each sentence twice with each emotion, and none is taken for the other."""
    files = sorted((shared / "corpora" / "ravdess" / "Actor_13").glob("*.flac"))[::2][:24]
    files += sorted((shared / "corpora" / "emodb" / "wav").glob("03a0*.flac"))[:12]
    waves = [read_audio(file) for file in files]
    assert matched(waves) == set()
    kinds = list(copies.KINDS)
    made = [copies.write_copy(tmp_path / str(n), wave, kinds[n % len(kinds)]) for n, wave in enumerate(waves)]
    assert matched([*waves, *map(read_audio, made)]) == {(n, len(waves) + n) for n in range(len(waves))}


def test_what_the_corpora_hold_twice(shared):
    files = sorted((shared / "corpora" / "emovo" / "f3").glob("tri-*.flac"))
    names = [file.stem for file in files]
    pairs = {(names[a], names[b]) for a, b in matched([soundfile.read(file)[0] for file in files])}
    assert pairs == {TWO_TEXTS}
