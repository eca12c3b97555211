from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from forked import end_of, start_forked

from emobridge.data.audio import AudioError, read_audio, read_utterance
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.features import store as features
from emobridge.features.pooling import pool, segments
from emobridge.features.store import FeatureStore, bytes_per_second
from emobridge.types import SAMPLE_RATE, Layers, Utterance


def layers_of(hidden, lengths):
    mask = torch.arange(hidden.shape[2]) < torch.tensor(lengths)[:, None]
    return Layers(hidden, mask, 50.0)


def test_pool_is_numpy_over_each_clips_own_frames():
    hidden = torch.randn(3, 2, 7, 4, generator=torch.Generator().manual_seed(0))
    values = pool(layers_of(hidden, [7, 3]), ("mean", "std", "max", "mean_max"))
    assert values.shape == (3, 2, 16)
    for clip, length in enumerate([7, 3]):
        frames = hidden[:, clip, :length].numpy()
        top = frames.max(1)
        expected = np.concatenate([frames.mean(1), frames.std(1), top, frames.mean(1) + top], axis=1)
        np.testing.assert_allclose(values[:, clip], expected, atol=1e-6)
    with pytest.raises(UserError, match="did you mean 'mean'"):
        pool(layers_of(hidden, [7, 3]), ("men",))


def test_pool_has_finite_gradients_where_nothing_varies():
    hidden = torch.ones(1, 2, 5, 3, requires_grad=True)
    pool(layers_of(hidden, [5, 1]), ("mean", "std", "mean_max")).sum().backward()
    assert torch.isfinite(hidden.grad).all()
    assert (hidden.grad[0, 0] != 0).all() and (hidden.grad[0, 1, 1:] == 0).all()
    varied = torch.randn(1, 1, 5, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: pool(layers_of(h, [4]), ("mean", "std", "max")), varied)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.13, 5.0])
def test_segments_are_means_of_each_clips_own_stretches(seconds):
    hidden = torch.randn(2, 3, 11, 4, generator=torch.Generator().manual_seed(0))
    cut = segments(layers_of(hidden, [11, 1, 6]), seconds)
    size = max(1, round(seconds * 50))
    assert cut.frame_rate == 50 / size
    for clip, length in enumerate([11, 1, 6]):
        frames = hidden[:, clip, :length]
        expected = torch.stack([part.mean(1) for part in frames.split(size, dim=1)], dim=1)
        torch.testing.assert_close(cut.hidden[:, clip, cut.mask[clip]], expected)


def test_segments_hear_nothing_beyond_a_clip_and_leave_the_rest_alone():
    hidden = torch.ones(1, 2, 4, 3)
    hidden[:, 1, 2:] = torch.nan
    hidden.requires_grad_()
    cut = segments(layers_of(hidden, [4, 2]), 0.06)
    assert cut.mask.tolist() == [[True, True], [True, False]] and torch.isfinite(cut.hidden).all()
    cut.hidden.sum().backward()
    assert torch.isfinite(hidden.grad).all()
    for layers, seconds in [(layers_of(hidden, [4, 2]), 0.0), (Layers(hidden, cut.mask, 0.0), 1.0)]:
        assert segments(layers, seconds) is layers


@pytest.fixture
def clips(tmp_path) -> list[Utterance]:
    """Seven good clips of several lengths, one of them a stretch of another's file, and three bad ones."""
    rng = np.random.default_rng(0)
    utterances = []
    for index, seconds in enumerate([0.9, 0.5, 1.4, 0.5, 2.2, 0.7]):
        path = tmp_path / f"{index}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * SAMPLE_RATE)), SAMPLE_RATE)
        utterances.append(Utterance(id=f"clip {index}", corpus="c", path=str(path)))
    utterances.append(Utterance(id="stretch", corpus="c", path=utterances[4].path, start=0.5, end=1.3))
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "cut.flac").write_bytes(_flac(tmp_path)[:9000])
    bad = [("gone", "gone.wav"), ("text", "text.wav"), ("cut", "cut.flac")]
    utterances[2:2] = [Utterance(id=name, corpus="c", path=str(tmp_path / file)) for name, file in bad]
    return utterances


def _flac(folder: Path) -> bytes:
    soundfile.write(folder / "whole.flac", np.random.default_rng(9).uniform(-1, 1, SAMPLE_RATE), SAMPLE_RATE)
    return (folder / "whole.flac").read_bytes()


class Counting(torch.nn.Module):
    """An encoder that counts the clips it is asked for."""

    def __init__(self, encoder):
        super().__init__()
        self.inner, self.count = encoder, 0

    def __getattr__(self, name):
        return super().__getattr__(name) if name in ("inner", "count") else getattr(self.inner, name)

    def forward(self, wave, mask):
        self.count += len(wave)
        return self.inner(wave, mask)


def test_good_clips_come_in_order_and_bad_ones_are_listed(clips, tmp_path):
    encoder = load_encoder("logmel")
    seen = []
    stored = FeatureStore(tmp_path / "store", encoder).extract(clips, on_progress=lambda *n: seen.append(n))
    assert stored.ids == tuple(clip.id for clip in clips if clip.id not in ("gone", "text", "cut"))
    assert [name for name, _ in stored.skipped] == ["gone", "text", "cut"]
    assert all(f"{name}." in reason and "\n" not in reason for name, reason in stored.skipped)
    assert stored.values.shape == (7, 1, 128) and stored.values.dtype == np.float32
    assert seen[-1][0] == seen[-1][1]
    for row, name in enumerate(stored.ids):
        clip = next(clip for clip in clips if clip.id == name)
        wave = read_utterance(clip)
        expected = pool(encoder(*pad([wave])), encoder.statistics)[:, 0]
        np.testing.assert_allclose(stored.values[row], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["gone", "text", "cut"])
def test_strict_raises_on_the_first_bad_file_and_keeps_what_was_stored(clips, tmp_path, name):
    store = FeatureStore(tmp_path / "store", load_encoder("logmel"))
    store.extract(clips[:2])
    with pytest.raises(AudioError, match=f"{name}\\."):
        store.extract([*clips[:2], next(clip for clip in clips if clip.id == name)], strict=True)
    assert len(list(store.folder.glob("*.safetensors"))) == 1


def test_what_is_stored_is_not_computed_again(clips, tmp_path):
    encoder = Counting(load_encoder("logmel"))
    first = FeatureStore(tmp_path / "store", encoder).extract(clips)
    assert encoder.count == 7
    again = FeatureStore(tmp_path / "store", encoder).extract(clips[::-1])
    assert encoder.count == 7
    assert again.ids == first.ids[::-1] and [name for name, _ in again.skipped] == ["cut", "text", "gone"]
    np.testing.assert_array_equal(again.values, first.values[::-1])
    moved = Path(clips[0].path).rename(tmp_path / "moved.wav")
    store = FeatureStore(tmp_path / "store", encoder)
    np.testing.assert_array_equal(store.extract([Utterance("m", "c", str(moved))]).values[0], first.values[0])
    assert encoder.count == 7
    store.extract([Utterance("m", "c", str(moved), end=0.3)])
    assert encoder.count == 8, "another stretch is another clip"
    soundfile.write(moved, np.zeros(20_000), SAMPLE_RATE)
    assert not np.allclose(store.extract([Utterance("m", "c", str(moved))]).values[0], first.values[0])
    assert encoder.count == 9, "and so is a file that has changed"


def test_a_channel_is_a_clip_of_its_own_and_keys_without_one_are_as_before(tmp_path):
    path = tmp_path / "call.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, (SAMPLE_RATE, 2)), SAMPLE_RATE)
    rows = [Utterance(f"{channel}", "c", str(path), channel=channel) for channel in (None, 0, 1)]
    store = FeatureStore(tmp_path / "store", load_encoder("logmel"))
    values = store.extract(rows).values
    assert not np.allclose(values[0], values[1]) and not np.allclose(values[1], values[2])
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    key = hashlib.sha256(f"{content} 0.0 None".encode()).hexdigest()[:32]
    np.testing.assert_array_equal(
        store.shards.read_rows(store.shards.find([key]), ("0",), values.shape[2])[0], values[0]
    )


def test_numbers_that_are_not_finite_are_skipped_and_not_stored(clips, tmp_path, monkeypatch):
    good, encoder = clips[5:8], load_encoder("logmel")
    encode = type(encoder).encode

    def sour(self, wave, lengths):
        hidden, frames = encode(self, wave, lengths)
        return torch.where((wave[:, 0] == 0.5)[None, :, None, None], torch.inf, hidden), frames

    monkeypatch.setattr(type(encoder), "encode", sour)
    for name, seconds in (("sour", 0.2), ("long", 70.0)):
        wave = np.full(round(seconds * SAMPLE_RATE), 0.25, np.float32)
        wave[60 * SAMPLE_RATE if name == "long" else 0] = 0.5  # the third window begins with it
        soundfile.write(tmp_path / f"{name}.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    bad = [Utterance(name, "c", str(tmp_path / f"{name}.wav")) for name in ("sour", "long")]
    for frames in (False, True):
        store = FeatureStore(tmp_path / "store", encoder, frames=frames)
        features = store.extract([bad[0], *good, bad[1]])
        assert features.ids == tuple(clip.id for clip in good) and np.isfinite(features.values).all()
        message = f"{bad[0].path}: encoder logmel gives numbers that are not finite (NaN or infinity)"
        assert features.skipped[0] == ("sour", message) and features.skipped[1][0] == "long"
        np.testing.assert_array_equal(features.values, store.extract(good).values)
        with pytest.raises(AudioError, match="not finite"):
            store.extract(bad, strict=True)
    with pytest.raises(AudioError, match="not finite"):
        store.frames_of(bad[0])


def test_rows_that_are_not_finite_in_an_older_store_are_skipped_too(clips, tmp_path):
    good, store = clips[5:8], FeatureStore(tmp_path / "store", load_encoder("logmel"))
    write = store.shards.write

    def damaged(keys, tensors):
        tensors["0"][0, 3] = np.nan
        write(keys, tensors)

    store.shards.write = damaged
    keys = [features._key(clip) for clip in good]
    store._compute(good, keys, {}, None, strict=True)
    fresh = FeatureStore(tmp_path / "store", load_encoder("logmel"))
    extracted = fresh.extract(good)
    assert len(extracted.ids) == 2 == len(extracted.values) and np.isfinite(extracted.values).all()
    (skipped,) = extracted.skipped
    assert "not finite" in skipped[1] and {skipped[0], *extracted.ids} == {clip.id for clip in good}
    with pytest.raises(AudioError, match="not finite"):
        fresh.extract(good, strict=True)


def test_a_long_clip_is_read_window_by_window(tmp_path, monkeypatch):
    """Its features are those of the whole, and no more than a window and a piece of it are in memory."""
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(95 * 8000) * 0.1, 8000)
    row, encoder = Utterance("u", "c", str(path)), load_encoder("logmel")
    monkeypatch.setattr(features, "read_utterance", None)
    values = FeatureStore(tmp_path / "store", encoder).extract([row]).values[0]
    wave = read_utterance(row)
    hidden = torch.cat(
        [encoder(*pad([wave[first : first + 480_000]])).hidden[:, 0] for first in range(0, len(wave), 480_000)], 1
    )
    np.testing.assert_allclose(
        values, torch.cat([hidden.mean(1), hidden.std(1, correction=0)], 1), rtol=2e-4, atol=2e-4
    )


def test_the_same_audio_twice_is_computed_once(clips, tmp_path):
    encoder = Counting(load_encoder("logmel"))
    twin = Utterance(id="twin", corpus="d", path=clips[0].path)
    stored = FeatureStore(tmp_path / "store", encoder).extract([clips[0], twin])
    assert encoder.count == 1 and stored.ids == ("clip 0", "twin")
    np.testing.assert_array_equal(stored.values[0], stored.values[1])


def test_other_options_live_in_another_folder(clips, tmp_path):
    stores = [FeatureStore(tmp_path, load_encoder("emotion-cnn", seed=seed)) for seed in (0, 1)]
    first, second = (store.extract(clips[:2]).values for store in stores)
    assert stores[0].folder != stores[1].folder and np.abs(first - second).max() > 1e-3
    about = json.loads((stores[1].folder / "store.json").read_text())
    assert about["encoder"] == "emotion-cnn" and about["options"] == {"seed": 1}


@pytest.mark.parametrize("batch_size", [1, 4])
def test_features_do_not_depend_on_the_batch(clips, tmp_path, batch_size):
    encoder = load_encoder("emotion-cnn")
    together = FeatureStore(tmp_path / "a", encoder, batch_size=batch_size).extract(clips)
    for clip, values in zip([clip for clip in clips if clip.id in together.ids], together.values):
        alone = FeatureStore(tmp_path / clip.id, encoder).extract([clip]).values[0]
        if batch_size == 1:
            np.testing.assert_array_equal(values, alone)
        np.testing.assert_allclose(values, alone, atol=1e-4)


def test_one_layer_is_read_alone(clips, tmp_path):
    encoder = load_encoder("logmel")
    store = FeatureStore(tmp_path / "store", encoder)
    all_layers = store.extract(clips).values
    np.testing.assert_array_equal(store.extract(clips, layer="0").values, all_layers[:, 0])
    with pytest.raises(UserError, match="unknown layer of encoder logmel '1'"):
        store.extract(clips, layer="1")


def test_training_mode_is_left_as_it_was_and_does_not_touch_the_features(clips, tmp_path):
    encoder = load_encoder("emotion-cnn")
    expected = FeatureStore(tmp_path / "a", encoder).extract(clips).values
    got = FeatureStore(tmp_path / "b", encoder.train()).extract(clips).values
    np.testing.assert_array_equal(got, expected)
    assert encoder.training


def test_frames_on_request(clips, tmp_path):
    encoder = load_encoder("logmel")
    store = FeatureStore(tmp_path / "store", encoder, frames=True)
    store.extract(clips)
    clip = clips[0]
    frames = store.frames_of(clip)
    expected = encoder(*pad([read_audio(clip.path)])).hidden[:, 0]
    assert frames.dtype == np.float16 and frames.shape == tuple(expected.shape)
    np.testing.assert_allclose(frames, expected, atol=1e-2)
    np.testing.assert_array_equal(store.frames_of(clip, layer="0"), frames[0])
    with pytest.raises(UserError, match="keeps no frames"):
        FeatureStore(tmp_path / "store", encoder).frames_of(clip)


def test_segments_on_request(clips, tmp_path):
    encoder = load_encoder("logmel")
    plain, whole, cut = (FeatureStore(tmp_path, encoder, **options) for options in KINDS)
    clip = clips[0]
    expected = segments(encoder(*pad([read_audio(clip.path)])), 0.25)
    assert cut.frames_of(clip).shape == (1, 4, 64) == tuple(expected.hidden[:, 0].shape)
    np.testing.assert_allclose(cut.frames_of(clip), expected.hidden[:, 0], atol=1e-2)
    np.testing.assert_array_equal(cut.extract([clip]).values, whole.extract([clip]).values)
    assert len({store.folder for store in (plain, whole, cut)}) == 3
    with pytest.raises(UserError, match="segment -1 of the feature store"):
        FeatureStore(tmp_path, encoder, frames=True, segment=-1)


KINDS = ({}, {"frames": True}, {"frames": True, "segment": 0.25})


def test_the_segment_leaves_the_keys_of_other_stores_alone(tmp_path):
    encoder = load_encoder("logmel")
    assert FeatureStore(tmp_path, encoder, segment=0.5).folder == FeatureStore(tmp_path, encoder).folder
    for frames in (False, True):
        assert '"segment"' not in FeatureStore(tmp_path, encoder, frames=frames)._about
    assert '"segment": 0.5' in FeatureStore(tmp_path, encoder, frames=True, segment=0.5)._about


def test_segments_begin_anew_in_each_window(clips, tmp_path):
    encoder = load_encoder("logmel")
    encoder.window = 1.0
    long = next(clip for clip in clips if clip.id == "clip 4")
    got = FeatureStore(tmp_path, encoder, frames=True, segment=0.4).frames_of(long)
    wave = read_audio(long.path)
    parts = [wave[first : first + SAMPLE_RATE] for first in range(0, len(wave), SAMPLE_RATE)]
    expected = [segments(encoder(*pad([part])), 0.4).hidden[:, 0] for part in parts]
    assert [part.shape[1] for part in expected] == [3, 3, 1]
    np.testing.assert_allclose(got, torch.cat(expected, dim=1), atol=1e-2)


@pytest.mark.parametrize("options", KINDS)
def test_the_size_is_told_before(clips, tmp_path, options):
    store = FeatureStore(tmp_path / "store", load_encoder("logmel"), **options)
    estimate = store.size_of(clips)
    good = store.extract(clips).ids
    taken = sum(path.stat().st_size for path in store.folder.glob("*.safetensors"))
    assert estimate == pytest.approx(taken, rel=0.25) and len(good) == 7
    large = SimpleNamespace(layers=25, width=1024, frame_rate=50.0, statistics=("mean", "std"))
    assert bytes_per_second(large) == 2_560_000 and bytes_per_second(large, False) == 0
    assert bytes_per_second(large, segment=1.0) == 51_200


def test_a_clip_beyond_the_window_is_pooled_as_a_whole(clips, tmp_path):
    for name, statistics in [("logmel", ("mean", "std")), ("logmel", ("mean_max", "max")), ("emotion-cnn", ("mean",))]:
        encoder = load_encoder(name)
        encoder.window, encoder.statistics = 1.0, statistics
        long = [clip for clip in clips if clip.id == "clip 4"]
        got = FeatureStore(tmp_path / f"{name} {statistics}", encoder, frames=True).extract(long).values[0]
        with torch.no_grad():
            expected = pool(encoder(*pad([read_audio(long[0].path)])), statistics)[:, 0]
        np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("harm", ["cut", "empty", "flipped", "no safetensors"])
def test_a_corrupt_shard_is_told_and_computed_again(clips, tmp_path, harm, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 3)
    encoder = Counting(load_encoder("logmel"))
    store = FeatureStore(tmp_path / "store", encoder)
    expected = store.extract(clips)
    shard = sorted(store.folder.glob("*.safetensors"))[1]
    content = shard.read_bytes()
    flipped = content[:-40] + bytes(byte ^ 0x55 for byte in content[-40:])
    shard.write_bytes({"cut": content[:-40], "empty": b"", "flipped": flipped, "no safetensors": b"hello" * 99}[harm])
    encoder.count = 0
    with pytest.warns(UserWarning, match=f"{shard.name}: corrupt"):
        again = FeatureStore(tmp_path / "store", encoder).extract(clips)
    assert 1 <= encoder.count <= 3, "only its clips"
    assert again.ids == expected.ids and again.skipped == expected.skipped
    np.testing.assert_array_equal(again.values, expected.values)


def test_corrupt_frames_are_told_and_computed_again(clips, tmp_path):
    encoder = Counting(load_encoder("logmel"))
    store = FeatureStore(tmp_path / "store", encoder, frames=True)
    store.extract(clips)
    expected = [store.frames_of(clips[0]), store.frames_of(clips[1], layer="0")]
    assert encoder.count == 7, "what is there is read"
    for shard in store.folder.glob("*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.warns(UserWarning, match="corrupt"):
        got = [store.frames_of(clips[0]), store.frames_of(clips[1], layer="0")]
    assert encoder.count == 9
    for frames, other in zip(got, expected):
        np.testing.assert_array_equal(frames, other)


def test_three_runs_at_once_share_one_store(clips, tmp_path):
    paths = sorted(tmp_path.glob("*.wav"))
    everything = [Utterance(id=path.name, corpus="c", path=str(path)) for path in paths]

    def run(step):
        torch.set_num_threads(1)
        features.SHARD = 2
        own = load_encoder("emotion-cnn")
        for _ in range(5):
            FeatureStore(tmp_path / "store", own).extract(everything[::step])

    processes = [start_forked(functools.partial(run, step)) for step in (1, -1, 2)]
    assert [end_of(process) for process in processes] == [0, 0, 0]
    torch.set_num_threads(1)
    encoder = Counting(load_encoder("emotion-cnn"))
    good = [clip for clip in clips if clip.start == 0 and clip.id.startswith("clip")]
    store = FeatureStore(tmp_path / "store", encoder)
    got = store.extract(good).values
    assert encoder.count == 0 and not list(store.folder.glob(".*"))
    np.testing.assert_array_equal(got, FeatureStore(tmp_path / "alone", encoder).extract(good).values)


def test_a_killed_run_continued_gives_the_very_same_features(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 4)
    torch.set_num_threads(1)
    encoder = Counting(load_encoder("emotion-cnn"))
    paths = sorted(path for path in tmp_path.iterdir() if path.is_file())
    everything = [Utterance(id=path.name, corpus="c", path=str(path)) for path in paths]
    expected = FeatureStore(tmp_path / "whole", encoder, batch_size=3).extract(everything)

    def killed():
        def die(done, total):  # this shard is stored, the next is not
            os.kill(os.getpid(), signal.SIGKILL if done == 4 else signal.SIGTERM)

        FeatureStore(tmp_path / "killed", encoder, batch_size=3).extract(everything, on_progress=die)

    assert end_of(start_forked(killed)) == -signal.SIGKILL
    store = FeatureStore(tmp_path / "killed", encoder, batch_size=3)
    assert len(list(store.folder.glob("*.safetensors"))) == 1
    whole, encoder.count = encoder.count, 0
    continued = store.extract(everything)
    assert 0 < encoder.count < whole
    assert continued.ids == expected.ids and continued.skipped == expected.skipped
    np.testing.assert_array_equal(continued.values, expected.values)


def test_a_store_that_cannot_be_written_is_one_line(clips, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        FeatureStore(tmp_path / "file", load_encoder("logmel")).extract(clips)


def denied(*_args, **_options):
    raise PermissionError(errno.EACCES, "Permission denied")


def as_safetensors_says(path, **_options):
    raise FileNotFoundError(f"No such file or directory: {path}")  # of a file that it may not open too


@pytest.fixture
def stored(clips, tmp_path, monkeypatch):
    """An encoder that counts, and the features that a store of three shards has of the clips."""
    monkeypatch.setattr(features, "SHARD", 3)
    encoder = Counting(load_encoder("logmel"))
    values = FeatureStore(tmp_path / "store", encoder).extract(clips).values
    encoder.count = 0
    return encoder, values


@pytest.fixture
def read_only(monkeypatch):
    """Nothing can be written, renamed or removed."""
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("emobridge.files.new_part", denied)
    monkeypatch.setattr(Path, "unlink", denied)
    monkeypatch.setattr(Path, "mkdir", denied)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("where", "instead"),
    [
        ("emobridge.features.shards.safe_open", denied),
        ("emobridge.features.shards.safe_open", as_safetensors_says),
        ("pathlib.Path.open", denied),
        ("os.scandir", denied),
    ],
)
@pytest.mark.parametrize("opened_before", [False, True])
def test_a_store_that_cannot_be_read_is_left_alone(clips, tmp_path, stored, monkeypatch, where, instead, opened_before):
    encoder, values = stored
    store = FeatureStore(tmp_path / "store", encoder)
    if opened_before:
        store.extract(clips)
    whole = {path: path.read_bytes() for path in store.folder.iterdir()}
    good = [clip for clip in clips if clip.id not in ("gone", "text", "cut")]
    features._keys(good, True)  # their files have been read once
    with monkeypatch.context() as patch:
        patch.setattr(where, instead)
        with pytest.raises(UserError, match=r"^[^\n]*cannot be read \(.*\).*--store\)$") as error:
            store.extract(good)
    assert str(store.folder) in str(error.value)
    assert ("belongs to" in str(error.value)) == (instead is denied)
    assert {path: path.read_bytes() for path in store.folder.iterdir()} == whole
    np.testing.assert_array_equal(store.extract(clips).values, values)
    assert encoder.count == 0


@pytest.mark.filterwarnings("error")
def test_two_users_share_a_store(clips, open_folder, other_user):
    """What the owner stored is read; what another user may not read is nobody's to remove, nor to compute again."""
    clips = [clip for clip in clips if clip.id not in ("gone", "text", "cut")]
    moved = []
    for clip in clips[:4]:
        shutil.copy(clip.path, open_folder)
        moved.append(replace(clip, path=str(open_folder / Path(clip.path).name)))
    encoder = Counting(load_encoder("logmel"))
    store = FeatureStore(open_folder / "store", encoder)
    values = store.extract(moved[:3]).values
    encoder.count = 0
    theirs = FeatureStore(open_folder / "store", encoder)
    assert other_user(lambda: theirs.extract(moved[:3]).values.tolist()) == values.tolist()
    said = other_user(lambda: theirs.extract(moved))
    assert said.startswith(f"{store.folder}: cannot be written, and features of some clips are missing; it belongs to ")
    assert said.endswith("(--store)")
    whole = {path: path.read_bytes() for path in store.folder.iterdir()}
    for folder_mode, mode in ((0o777, 0o600), (0o700, 0o644)):
        for path in whole:
            os.chmod(path, mode)
        os.chmod(store.folder, folder_mode)
        said = other_user(lambda: FeatureStore(open_folder / "store", encoder).extract(moved[:3]))
        assert "cannot be read (Permission denied); it belongs to " in said and said.endswith("(--store)")
        assert {path: path.read_bytes() for path in store.folder.iterdir()} == whole


@pytest.mark.filterwarnings("error")
def test_what_a_read_only_store_has_is_read_and_what_it_lacks_is_refused(clips, tmp_path, stored, read_only):
    encoder, values = stored
    (tmp_path / "store" / ".a.part").write_bytes(b"half")
    store = FeatureStore(tmp_path / "store", encoder)
    np.testing.assert_array_equal(store.extract(clips).values, values)
    new = Utterance(id="new", corpus="c", path=clips[0].path, end=0.3)
    with pytest.raises(UserError, match=r"cannot be written, and features .* are missing; it belongs to .*--store"):
        store.extract([*clips, new])
    assert encoder.count == 0, "nothing is computed that cannot be stored"


def test_a_damaged_shard_of_a_read_only_store_is_told_once(clips, tmp_path, stored, read_only):
    encoder, _ = stored
    store = FeatureStore(tmp_path / "store", encoder)
    shard = sorted(store.folder.glob("*.safetensors"))[0]
    content = shard.read_bytes()
    shard.write_bytes(content[:-9] + bytes(byte ^ 1 for byte in content[-9:]))
    with pytest.warns(UserWarning, match="corrupt") as warned, pytest.raises(UserError, match="cannot be written"):
        store.extract(clips)
    assert len(warned) == 1 and shard.exists()


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("samples", [1, 400])
def test_the_smallest_store(tmp_path, samples, frames):
    """One utterance, one layer, one dimension, one frame."""
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.5), SAMPLE_RATE)
    encoder = load_encoder("logmel", frames="all")
    encoder.front.filters = encoder.front.filters[:1]
    encoder.width, encoder.statistics = 1, ("mean",)
    store = FeatureStore(tmp_path, encoder, frames=frames, segment=10.0 if frames else 0.0)
    clip = Utterance("a", "c", str(tmp_path / "a.wav"))
    for _ in range(2):
        values = store.extract([clip]).values
        assert values.shape == (1, 1, 1) and np.isfinite(values).all()
        if frames:
            np.testing.assert_allclose(store.frames_of(clip)[:, 0], values[0], rtol=1e-3)
    assert store.extract([]).values.shape == (0, 1, 1)


@pytest.fixture
def layered(source):
    """An encoder of several layers."""
    torch.set_num_threads(1)
    encoder = load_encoder(source("whisper"))
    assert encoder.layers > 2
    return encoder


def good_of(clips):
    """Those that can be read; of each the encoder takes one window."""
    return [clip for clip in clips if clip.id not in ("gone", "text", "cut", "clip 4")]


@pytest.mark.parametrize("count", [0, 1, 6])
def test_a_store_that_ends_at_a_layer_has_the_rows_of_a_full_one(clips, tmp_path, layered, count):
    good = good_of(clips)[:count]
    part = FeatureStore(tmp_path / "part", layered, last_layer=1)
    rows = part.extract(good, layer=("0", "1"))
    whole = FeatureStore(tmp_path / "whole", layered)
    np.testing.assert_array_equal(rows.values, whole.extract(good, layer=("0", "1")).values)
    assert rows.values.shape[:2] == (count, 2) and layered.last_layer == layered.layers - 1
    with pytest.raises(UserError, match="layer of encoder whisper"):
        part.extract(good, layer="2")


def test_a_part_is_never_taken_for_the_whole_nor_for_another_part(clips, tmp_path, layered):
    good = good_of(clips)
    encoder = Counting(layered)
    stores = [FeatureStore(tmp_path, encoder, last_layer=layer) for layer in (0, 1, None)]
    assert len({store.folder for store in stores}) == 3
    assert FeatureStore(tmp_path, encoder, last_layer=layered.layers - 1).folder == stores[2].folder
    for store in stores:
        encoder.count = 0
        store.extract(good)
        assert encoder.count == len(good)
    assert stores[2].extract(good).values.shape[1] == layered.layers


def test_what_a_full_store_has_is_not_computed_for_a_part(clips, tmp_path, layered):
    good = good_of(clips)
    encoder = Counting(layered)
    expected = FeatureStore(tmp_path / "whole", encoder).extract(good, layer=("1",)).values
    FeatureStore(tmp_path / "store", encoder).extract(good[2:5])
    encoder.count = 0
    part = FeatureStore(tmp_path / "store", encoder, last_layer=1)
    assert part.lacks(good) and not part.lacks(good[2:5])
    np.testing.assert_array_equal(part.extract(good, layer=("1",)).values, expected)
    assert encoder.count == len(good) - 3
    shard = next(part.whole.folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])  # damaged: computed again, for the part
    with pytest.warns(UserWarning, match="corrupt"):
        again = FeatureStore(tmp_path / "store", encoder, last_layer=1).extract(good, layer=("1",))
    np.testing.assert_array_equal(again.values, expected)
    assert encoder.count == len(good)


@pytest.mark.parametrize("layer", [-1, 99])
def test_a_last_layer_that_is_not_there_is_refused(tmp_path, layered, layer):
    with pytest.raises(ValueError, match="expected 0 to"):
        FeatureStore(tmp_path, layered, last_layer=layer)


def test_rows_of_half_precision_are_rounded_and_have_a_folder_of_their_own(clips, tmp_path):
    encoder = load_encoder("logmel")
    whole = FeatureStore(tmp_path, encoder)
    half = FeatureStore(tmp_path, encoder, half=True)
    assert whole.folder != half.folder
    expected, rounded = whole.extract(clips), half.extract(clips)
    assert rounded.values.dtype == np.float32 and rounded.ids == expected.ids
    np.testing.assert_array_equal(rounded.values, expected.values.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(rounded.values, expected.values, rtol=2**-11, atol=3e-8)
    assert not np.array_equal(rounded.values, expected.values)
    np.testing.assert_array_equal(FeatureStore(tmp_path, encoder, half=True).extract(clips).values, rounded.values)
    assert half.size_of(clips) == pytest.approx(whole.size_of(clips) / 2)


def test_rows_of_half_precision_stay_finite(clips, tmp_path, monkeypatch):
    encoder = load_encoder("logmel")
    store = FeatureStore(tmp_path, encoder, half=True)
    encode = store.clip_encoder.encode

    def large(windows):
        values, frames = encode(windows)
        return values * 0 + 1e6, frames

    monkeypatch.setattr(store.clip_encoder, "encode", large)
    assert (store.extract(clips[:1]).values == 65504).all()
