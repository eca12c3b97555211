"""Parts that are encoded together, by a stand-in: the CPU, taken for an accelerator."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from sounds import syllables

from emobridge.bundle import Recognizer
from emobridge.data import devices
from emobridge.inference import ahead
from emobridge.inference.journal import Journal
from emobridge.inference.predict import predict
from emobridge.settings import Answering
from emobridge.types import Utterance

WINDOWS = Answering(segments="windows", window=1.0)


@pytest.fixture
def recognizer(finished):
    return Recognizer.load(finished / "bundle")


@pytest.fixture
def batches(monkeypatch):
    """The number of waves in each batch."""
    sizes, encode = [], ahead.encode
    monkeypatch.setattr(ahead, "encode", lambda r, waves, sets: sizes.append(len(waves)) or encode(r, waves, sets))
    return sizes


@pytest.fixture
def units(recorded, tmp_path):
    """A long recording between short ones, and two that cannot be read."""
    rng = np.random.default_rng(0)
    rows = []
    for name, seconds in (("a", 0.4), ("long", 6.3), ("b", 0.7), ("c", 1.0)):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(round(seconds * 16_000)), 16_000)
        rows.append(Utterance(name, "files", str(tmp_path / f"{name}.wav")))
    (tmp_path / "text.wav").write_text("no audio")
    return [*rows[:1], Utterance("gone", "files", str(tmp_path / "gone.wav")), *rows[1:3],
            Utterance("text", "files", str(tmp_path / "text.wav")), *rows[3:]]  # fmt: skip


def take_for_accelerator(monkeypatch, seconds=480.0):
    for module in (devices, ahead):
        monkeypatch.setattr(module, "is_accelerator", lambda device: True)
    monkeypatch.setattr(devices, "BATCH_SECONDS", seconds)


def answers(recognizer, units, **options):
    skipped = []
    rows = list(predict(recognizer, units, WINDOWS, on_skip=lambda name, _: skipped.append(name), **options))
    return rows, skipped


def same(rows, expected):
    assert [(row.id, row.start, row.end) for row in rows] == [(row.id, row.start, row.end) for row in expected]
    for row, other in zip(rows, expected):
        np.testing.assert_allclose(row.probabilities, other.probabilities, atol=1e-4)


@pytest.mark.parametrize("seconds", [0.1, 2.5, 480.0])
def test_batches_give_the_answers_of_one_by_one(recognizer, units, batches, monkeypatch, seconds):
    expected, skipped = answers(recognizer, units)
    assert set(batches) == {1} and skipped == ["gone", "text"] and len(expected) == 9
    batches.clear()
    take_for_accelerator(monkeypatch, seconds)
    rows, skipped = answers(recognizer, units)
    same(rows, expected)
    assert skipped == ["gone", "text"] and sum(batches) == len(expected)
    assert max(batches) == {0.1: 1, 2.5: 2, 480.0: 9}[seconds]


def test_what_does_not_fit_is_halved(recognizer, units, batches, monkeypatch):
    expected, _ = answers(recognizer, units)
    take_for_accelerator(monkeypatch)
    encode = ahead.encode

    def lacking(recognizer, waves, sets):
        if len(waves) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return encode(recognizer, waves, sets)

    monkeypatch.setattr(ahead, "encode", lacking)
    batches.clear()
    rows, _ = answers(recognizer, units)
    same(rows, expected)
    assert max(batches) <= 3 and sum(batches) == len(expected)


def test_units_in_the_journal_are_not_encoded_again(recognizer, units, batches, monkeypatch, tmp_path):
    take_for_accelerator(monkeypatch)
    with Journal(tmp_path / "journal", "request") as journal:
        expected, _ = answers(recognizer, units[2:4], journal=journal)
        batches.clear()
        rows, _ = answers(recognizer, units, journal=journal)
    assert [row for row in rows if row.id in ("long", "b")] == expected and sum(batches) == 2


@pytest.mark.parametrize("count", [0, 1])
def test_no_unit_and_one(recognizer, units, monkeypatch, count):
    take_for_accelerator(monkeypatch)
    assert len(answers(recognizer, units[:count])[0]) == count


def test_a_short_recording_is_decoded_once_and_a_long_one_in_pieces(recognizer, tmp_path, monkeypatch):
    calls = []
    for name in ("read_utterance", "utterance_pieces"):
        read = getattr(ahead, name)
        monkeypatch.setattr(ahead, name, lambda row, name=name, read=read: calls.append((name, row.id)) or read(row))
    rows = []
    for name, seconds in (("short", 1.0), ("long", 31.0)):
        soundfile.write(tmp_path / f"{name}.wav", syllables(seconds), 16_000)
        rows.append(Utterance(name, "files", str(tmp_path / f"{name}.wav")))
    whole = Answering(segments="whole", detector="energy")
    assert all(row.label for row in predict(recognizer, rows, whole))
    assert calls == [("read_utterance", "short"), ("utterance_pieces", "long"), ("read_utterance", "long")]
