"""Extraction on an accelerator, by a stand-in: the CPU, taken for one."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import soundfile
import torch

from emobridge.data import ahead, devices
from emobridge.data.audio import AudioError, read_utterance
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features import encoding, store
from emobridge.features.store import FeatureStore
from emobridge.types import SAMPLE_RATE, Utterance

LENGTHS = (0.9, 0.5, 1.4, 0.5, 2.2, 0.7, 3.1, 0.4)


class Watched(Encoder):
    """Two layers of what a small network makes of each sample's window; notes its batches, and lacks memory."""

    layers, width, frame_rate, window = 2, 6, 100.0, 2.5
    memory = np.inf  # s of speech, padding included
    kind = torch.cuda.OutOfMemoryError

    def __init__(self) -> None:
        super().__init__()
        self.map = torch.nn.Linear(160, 6)
        self.sizes: list[tuple[int, int]] = []

    def encode(self, wave, lengths):
        self.sizes.append(tuple(wave.shape))
        if wave.numel() > self.memory * SAMPLE_RATE:
            raise self.kind("CUDA out of memory. Tried to allocate 2.00 GiB.")
        wave = torch.nn.functional.pad(wave, (0, -wave.shape[1] % 160))
        hidden = self.map(wave.unflatten(1, (-1, 160))).tanh()
        return torch.stack([hidden, hidden.square()]), -(-lengths // 160)


@pytest.fixture
def clips(tmp_path) -> list[Utterance]:
    rng = np.random.default_rng(0)
    for index, seconds in enumerate(LENGTHS):
        soundfile.write(tmp_path / f"{index}.wav", 0.1 * rng.standard_normal(round(seconds * 16_000)), SAMPLE_RATE)
    return [Utterance(f"clip {index}", "c", str(tmp_path / f"{index}.wav")) for index in range(len(LENGTHS))]


def take_for_accelerator(monkeypatch):
    """The CPU counts as an accelerator, as everything that asks sees it."""
    for module in (devices, encoding):
        monkeypatch.setattr(module, "is_accelerator", lambda device: True)


@pytest.fixture
def accelerator(monkeypatch):
    take_for_accelerator(monkeypatch)


def agree(values, expected):
    assert values.shape == expected.shape
    np.testing.assert_allclose(values, expected, atol=devices.TOLERANCE * np.abs(expected).max(), rtol=0)


@pytest.fixture
def on_cpu(clips, tmp_path):
    """The features that the CPU makes, of every encoder clip by clip."""
    return lambda encoder, **options: FeatureStore(tmp_path / "cpu", encoder, **options).extract(clips).values


@pytest.mark.parametrize("name", ["watched", "emotion-cnn", "logmel"])
def test_features_are_those_of_the_cpu(clips, tmp_path, monkeypatch, on_cpu, name):
    encoder = Watched.open(None) if name == "watched" else load_encoder(name)
    expected = on_cpu(encoder)
    take_for_accelerator(monkeypatch)
    extracted = FeatureStore(tmp_path / "gpu", encoder).extract(clips)
    assert extracted.ids == tuple(clip.id for clip in clips) and not extracted.skipped
    agree(extracted.values, expected)


def test_batches_hold_no_more_than_so_many_seconds(clips, tmp_path, monkeypatch, accelerator):
    monkeypatch.setattr(devices, "BATCH_SECONDS", 4.5)
    encoder = Watched.open(None)
    FeatureStore(tmp_path / "gpu", encoder).extract(clips)
    assert sum(rows for rows, _ in encoder.sizes) == len(clips) + 1  # that of 3.1 s has two windows
    assert max(rows * samples for rows, samples in encoder.sizes) <= 4.5 * SAMPLE_RATE
    assert max(rows for rows, _ in encoder.sizes) > 2


def test_batches_are_smaller_where_less_memory_is_free(monkeypatch, accelerator):
    device = torch.device("cpu")
    assert devices.batch_seconds(7, 512, 50.0, device) == devices.BATCH_SECONDS
    monkeypatch.setattr(devices, "free_memory", lambda device: 1e9)
    assert 0 < devices.batch_seconds(33, 1280, 50.0, device) < devices.batch_seconds(7, 512, 50.0, device) < 480


def test_a_clip_longer_than_a_batch_is_a_batch(clips, tmp_path, monkeypatch, accelerator, on_cpu):
    monkeypatch.setattr(devices, "BATCH_SECONDS", 0.1)
    encoder = Watched.open(None)
    FeatureStore(tmp_path / "gpu", encoder).extract(clips)
    assert {rows for rows, _ in encoder.sizes} == {1}


@pytest.mark.parametrize("kind", [torch.cuda.OutOfMemoryError, RuntimeError])
@pytest.mark.parametrize("frames", [False, True])
def test_what_does_not_fit_is_halved_and_nothing_is_lost(clips, tmp_path, monkeypatch, on_cpu, kind, frames):
    encoder = Watched.open(None)
    expected = on_cpu(encoder, frames=frames)
    take_for_accelerator(monkeypatch)
    monkeypatch.setattr(store, "SHARD", 4)
    encoder.memory, encoder.kind, encoder.sizes = 2.6, kind, []
    gpu = FeatureStore(tmp_path / "gpu", encoder, frames=frames)
    agree(gpu.extract(clips).values, expected)
    fails = [size for size in encoder.sizes if np.prod(size) > 2.6 * SAMPLE_RATE]
    assert 1 <= len(fails) <= 3  # later batches are smaller at once
    assert gpu.clip_encoder.seconds <= 2.6
    if frames:
        whole = FeatureStore(tmp_path / "cpu", encoder, frames=True)
        for clip in clips:
            np.testing.assert_allclose(gpu.frames_of(clip), whole.frames_of(clip), atol=1e-3)


def test_a_lone_clip_that_does_not_fit_is_encoded_on_the_cpu(clips, tmp_path, monkeypatch, accelerator, on_cpu):
    encoder = Watched.open(None)
    expected = on_cpu(encoder)
    encoder.memory = 1.0
    moves = []
    monkeypatch.setattr(encoder, "cpu", lambda: (moves.append("cpu"), setattr(encoder, "memory", np.inf)))
    monkeypatch.setattr(encoder, "to", lambda device: (moves.append("back"), setattr(encoder, "memory", 1.0)))
    agree(FeatureStore(tmp_path / "gpu", encoder).extract(clips).values, expected)
    assert moves == ["cpu", "back"] * 3  # the first window of 3.1 s, and the clips of 2.2 s and 1.4 s


def test_a_clip_that_fits_nowhere_is_one_line(clips, tmp_path, accelerator):
    encoder = Watched.open(None)
    encoder.memory = 0.45
    with pytest.raises(UserError, match=r"memory does not suffice for 2\.5 s of speech"):
        FeatureStore(tmp_path / "gpu", encoder).extract(clips)


def test_another_error_of_the_encoder_is_no_lack_of_memory(clips, tmp_path, accelerator):
    encoder = Watched.open(None)
    encoder.encode = lambda wave, lengths: torch.zeros(2) @ torch.zeros(3)
    with pytest.raises(RuntimeError, match="size"):
        FeatureStore(tmp_path / "gpu", encoder).extract(clips)


def test_a_bad_file_is_told_at_its_place(clips, tmp_path, accelerator, on_cpu):
    encoder = Watched.open(None)
    (tmp_path / "text.wav").write_text("no audio")
    cut = tmp_path / "cut.flac"
    soundfile.write(tmp_path / "whole.flac", np.random.default_rng(9).uniform(-1, 1, SAMPLE_RATE), SAMPLE_RATE)
    cut.write_bytes((tmp_path / "whole.flac").read_bytes()[:9000])
    bad = [Utterance("text", "c", str(tmp_path / "text.wav")), Utterance("cut", "c", str(cut))]
    mixed = [*clips[:3], *bad, *clips[3:]]
    extracted = FeatureStore(tmp_path / "gpu", encoder).extract(mixed)
    alone = FeatureStore(tmp_path / "alone", encoder).extract(mixed)
    assert [name for name, _ in extracted.skipped] == ["text", "cut"] and extracted.skipped == alone.skipped
    assert extracted.ids == tuple(clip.id for clip in clips)
    with pytest.raises(AudioError, match="text"):
        FeatureStore(tmp_path / "strict", encoder).extract(mixed, strict=True)
    assert not decoders()


@pytest.mark.parametrize("count", [0, 1])
def test_no_clip_and_one(clips, tmp_path, accelerator, count):
    encoder = Watched.open(None)
    assert FeatureStore(tmp_path / "gpu", encoder).extract(clips[:count]).values.shape == (count, 2, 12)
    assert not decoders()


def test_shards_that_are_there_are_not_decoded(clips, tmp_path, monkeypatch, accelerator):
    monkeypatch.setattr(store, "SHARD", 3)
    encoder = Watched.open(None)
    folder = tmp_path / "gpu"
    first = FeatureStore(folder, encoder).extract(clips)
    gone = sorted(FeatureStore(folder, encoder).folder.glob("*.safetensors"))[0]
    gone.unlink()
    encoder.sizes = []
    again = FeatureStore(folder, encoder).extract(clips)
    assert 0 < sum(rows for rows, _ in encoder.sizes) <= 4
    agree(again.values, first.values)


def test_an_interruption_ends_the_threads(clips, tmp_path, accelerator):
    encoder = Watched.open(None)

    def interrupted(wave, lengths):
        raise KeyboardInterrupt

    encoder.encode = interrupted
    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path / "gpu", encoder).extract(clips)
    assert not decoders()


def decoders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "decoder" in thread.name]


def announced(clips):
    return list(zip(clips, LENGTHS))


def test_what_is_read_ahead_is_what_is_read(clips):
    with ahead.ReadAhead(announced(clips)) as reader:
        for clip in clips[1:4] + clips[6:]:  # some are left out
            np.testing.assert_array_equal(reader.read(clip), read_utterance(clip))
    assert not decoders()


@pytest.mark.parametrize("seconds", [0.0, 1.0, 1e9])
def test_no_more_waits_than_may(clips, monkeypatch, seconds):
    decoded = []
    monkeypatch.setattr(ahead, "read_utterance", lambda clip: decoded.append(clip.id) or np.zeros(1))
    with ahead.ReadAhead(announced(clips), seconds=seconds) as reader:
        reader.read(clips[0])
        deadline = time.monotonic() + 20
        expected = {0.0: 2, 1.0: 3, 1e9: len(clips)}[seconds]  # the first, and then 0.5 s, or 0.5 and 1.4 s
        while len(decoded) < expected and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(decoded) == expected


@pytest.mark.parametrize("error", [SystemExit, MemoryError, RuntimeError])
def test_a_thread_that_is_ended_loses_no_clip(clips, monkeypatch, error):
    main = threading.current_thread()

    def ended(clip):
        if threading.current_thread() is not main:
            raise error
        return read_utterance(clip)

    monkeypatch.setattr(ahead, "read_utterance", ended)
    with ahead.ReadAhead(announced(clips)) as reader:
        for clip in clips:
            np.testing.assert_array_equal(reader.read(clip), read_utterance(clip))
