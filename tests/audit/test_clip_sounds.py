"""A second audit of the same files decodes nothing, and finds the same."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from sounds import RATE, syllables

from emobridge.audit import clip_sounds, hearing
from emobridge.audit.clip_sounds import ClipSound
from emobridge.audit.findings import audit
from emobridge.audit.fingerprint import fingerprint
from emobridge.data import notes
from emobridge.data.audio import utterance_pieces
from emobridge.types import Utterance


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def decoded(monkeypatch):
    """The ids of utterances that were decoded."""
    ids = []

    def count(row, read, details):
        ids.append(row.id)
        return decode(row, read, details)

    decode = hearing._decoded
    monkeypatch.setattr(hearing, "_decoded", count)
    return ids


@pytest.fixture
def rows(tmp_path):
    """Voices, two stretches and a channel of one of them, a copy, silence, too short a clip, and two bad ones."""
    waves = {f"v{n}": syllables(1, pitch=100.0 + 20 * n, seed=n) for n in range(4)}
    waves |= {"copy": 0.5 * waves["v1"], "silent": np.zeros(RATE), "short": waves["v0"][: RATE // 10]}
    waves["stereo"] = np.stack([waves["v2"], -waves["v3"]], 1)
    for name, wave in waves.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no audio")
    for path in tmp_path.glob("*.wav"):
        os.utime(path, (time.time() - 60,) * 2)
    utterances = [
        Utterance(name, "c", str(tmp_path / f"{name}.wav"), language="de", speaker=name[:1], emotion="anger")
        for name in (*waves, "text", "gone")
    ]
    voice, stereo = utterances[2], utterances[7]
    stretches = [replace(voice, id="start", end=0.5), replace(voice, id="end", start=0.5)]
    return [*utterances, *stretches, replace(stereo, id="left", channel=0), replace(stereo, id="right", channel=1)]


def next_process():
    notes.open_notes().flush()
    notes._open.clear()
    notes._digests.clear()


def test_a_second_audit_decodes_nothing_and_finds_the_same(rows, decoded):
    first = audit({"c": rows})
    assert sorted(decoded) == sorted(row.id for row in rows)
    decoded.clear()
    next_process()
    assert audit({"c": rows}) == first
    assert decoded == ["text", "gone"], "what cannot be read may be readable by now"
    assert audit({"c": rows}, read=lambda row: utterance_pieces(row)) == first, "as one that decodes it all"
    assert len(decoded) == 2 + len(rows)


def test_a_changed_file_is_decoded_again(rows, decoded, tmp_path):
    audit({"c": rows[:3]})
    decoded.clear()
    next_process()
    soundfile.write(tmp_path / "v1.wav", syllables(1, pitch=333.0, seed=9), RATE, subtype="FLOAT")
    result = audit({"c": rows[:3]})
    assert decoded == ["v1"]
    assert result == audit({"c": rows[:3]}, read=lambda row: utterance_pieces(row))


def test_a_damaged_note_is_none(rows, decoded, tmp_path):
    first = audit({"c": rows[:3]})
    next_process()
    path = tmp_path / "cache" / notes.NOTES_FILE
    path.write_bytes(path.read_bytes()[:4096])
    decoded.clear()
    assert audit({"c": rows[:3]}) == first
    assert len(decoded) == 3


def test_a_file_that_changes_while_it_is_decoded_is_not_noted(rows, decoded, monkeypatch, tmp_path):
    other = syllables(1, pitch=333.0, seed=9)
    decode = hearing._decoded

    def changing(row, read, details):
        soundfile.write(row.path, other, RATE, subtype="FLOAT")
        return decode(row, read, details)

    content = (tmp_path / "v1.wav").read_bytes()
    monkeypatch.setattr(hearing, "_decoded", changing)
    audit({"c": rows[1:2]})
    monkeypatch.setattr(hearing, "_decoded", decode)
    (tmp_path / "v1.wav").write_bytes(content)
    next_process()
    assert audit({"c": rows[1:2]}) == audit({"c": rows[1:2]}, read=lambda row: utterance_pieces(row))


@pytest.mark.parametrize("seconds", [0.01, 0.3, 1.0, 3.3])
def test_a_sound_reads_as_it_was_written(seconds):
    wave = syllables(4, pitch=150.0, seed=1)[: round(seconds * RATE)].astype(np.float32)
    sound = ClipSound(-20.5, -1.25, seconds, 0.125, 0.25, b"0123456789abcdef", "its header says ü", fingerprint(wave))
    again = clip_sounds._unpacked(clip_sounds._packed(sound))
    assert replace(again, fingerprint=None) == replace(sound, fingerprint=None)
    assert (again.fingerprint is None) == (seconds < 0.3)
    if sound.fingerprint is not None:
        for name in ("subfingerprints", "levels", "signs"):
            value, expected = getattr(again.fingerprint, name), getattr(sound.fingerprint, name)
            assert value.dtype == expected.dtype
            np.testing.assert_array_equal(value, expected)
