"""Means of frames inside phones: by hand, in shards, once, and with bad input."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from emobridge.data.audio import AudioError, read_utterance
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.features.phone_means import PhoneMeans, frame_seconds, phone_means
from emobridge.phones.base import PHONE_CLASSES, Alignment, Phone
from emobridge.types import Utterance

P = len(PHONE_CLASSES)


def phone(start, end, ipa, kind=None):
    return Phone(start, end, ipa, kind or ("vowel" if ipa in "aɛəiou" else "consonant"), ipa)


@pytest.fixture
def clips(tmp_path):
    """Utterances of noise, 1.0 s, 0.5 s and 2.6 s long (beyond the encoder's window of 2 s), and their alignments."""
    rng = np.random.default_rng(0)
    utterances = []
    for index, seconds in enumerate((1.0, 0.5, 2.6)):
        path = tmp_path / f"{index}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(round(16000 * seconds)), 16000)
        utterances.append(Utterance(str(index), "en", str(path)))
    alignments = {
        "0": Alignment((phone(0.1, 0.205, "a"), phone(0.205, 0.21, "t"), phone(0.3, 0.4, "aɪ", "vowel"))),
        "2": Alignment((phone(0.0, 0.5, "s"), phone(1.9, 2.1, "i"))),
    }
    return utterances, alignments


@pytest.fixture
def encoder(tiny_encoder):
    return load_encoder(str(tiny_encoder))


def frames_of(encoder, utterance):
    wave = torch.from_numpy(read_utterance(utterance))[None]
    with torch.inference_mode():
        return encoder(wave, torch.ones_like(wave, dtype=torch.bool)).hidden[:, 0].numpy()


def test_seconds_of_each_frame_by_hand():
    seconds = frame_seconds(Alignment((phone(0.03, 0.05, "a"), phone(0.05, 0.055, "t"))), 4, 50.0)
    row = PHONE_CLASSES.index
    np.testing.assert_allclose(seconds[row("a")], [0, 0.01, 0.01, 0], atol=1e-12)
    np.testing.assert_allclose(seconds[row("vowel")], seconds[row("a")])
    np.testing.assert_allclose(seconds[row("consonant")], [0, 0, 0.005, 0], atol=1e-12)
    assert not seconds[row("i")].any()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0.05, 0.5, [0, 0, 0.01, 0.02]), (0.08, 0.1, [0] * 4), (9.0, 9.5, [0] * 4), (0.0, 0.001, [0.001, 0, 0, 0])],
)
def test_what_lies_behind_the_end_counts_nothing(start, end, expected):
    seconds = frame_seconds(Alignment((phone(start, end, "a"),)), 4, 50.0)
    np.testing.assert_allclose(seconds[PHONE_CLASSES.index("a")], expected, atol=1e-12)


def test_pauses_belong_to_no_class():
    assert not frame_seconds(Alignment((Phone(0.0, 1.0, "", "pause", "sil"),)), 4, 50.0).any()


def test_means_are_numpys(encoder, clips, tmp_path):
    utterances, alignments = clips
    values = phone_means(encoder, utterances, alignments, tmp_path / "store")
    assert values.shape == (3, P, encoder.layers, encoder.width) and values.dtype == torch.float32
    assert values[1].isnan().all(), "it has no alignment"
    hidden = frames_of(encoder, utterances[0])
    weights = np.zeros(hidden.shape[1])
    weights[5:10], weights[10] = 0.02, 0.005
    expected = (hidden * weights[:, None]).sum(1) / weights.sum()
    a, vowel = (PHONE_CLASSES.index(name) for name in ("a", "vowel"))
    np.testing.assert_allclose(values[0, a], expected, atol=2e-3)
    weights[15:20] = 0.02
    np.testing.assert_allclose(values[0, vowel], (hidden * weights[:, None]).sum(1) / weights.sum(), atol=2e-3)
    np.testing.assert_allclose(values[0, PHONE_CLASSES.index("consonant")], hidden[:, 10], atol=2e-3)
    assert values[0, PHONE_CLASSES.index("i")].isnan().all()


def test_a_phone_across_two_windows_of_a_long_clip(encoder, clips):
    utterances, alignments = clips
    values = phone_means(encoder, utterances[2:], alignments)
    hidden = frames_of(encoder, utterances[2])
    np.testing.assert_allclose(values[0, PHONE_CLASSES.index("i")], hidden[:, 95:105].mean(1), atol=2e-3)


def test_the_store_is_read_and_not_computed_again(encoder, clips, tmp_path, monkeypatch):
    utterances, alignments = clips
    first = phone_means(encoder, utterances, alignments, tmp_path)
    monkeypatch.setattr(type(encoder), "forward", None)
    again = phone_means(encoder, utterances[::-1], alignments, tmp_path)
    assert torch.equal(first.nan_to_num(9), again.flip(0).nan_to_num(9))
    means = PhoneMeans(encoder, utterances, alignments, tmp_path)
    means.fill()
    part = means.read([2, 0], layers=[1])
    assert torch.equal(part.nan_to_num(9), first[[2, 0]][:, :, 1:2].nan_to_num(9))
    assert means.read([]).shape == (0, P, encoder.layers, encoder.width)


def test_another_alignment_is_another_key(encoder, clips, tmp_path):
    utterances, alignments = clips
    first = phone_means(encoder, utterances[:1], alignments, tmp_path)
    moved = {"0": Alignment((phone(0.5, 0.6, "a"),))}
    assert not torch.equal(first, phone_means(encoder, utterances[:1], moved, tmp_path))
    assert torch.equal(first.nan_to_num(9), phone_means(encoder, utterances[:1], alignments, tmp_path).nan_to_num(9))
    both = [utterances[0], Utterance("again", "en", utterances[0].path)]
    values = phone_means(encoder, both, alignments | {"again": moved["0"]}, tmp_path / "other")
    assert not torch.equal(values[0, 0], values[1, 0]), "one clip under two ids, each with phones of its own"


def test_a_damaged_shard_is_computed_again(encoder, clips, tmp_path):
    utterances, alignments = clips
    first = phone_means(encoder, utterances, alignments, tmp_path)
    means = PhoneMeans(encoder, utterances, alignments, tmp_path)
    means.fill()
    shard = next(means.folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.warns(UserWarning, match="corrupt"):
        again = means.read(range(3))
    assert torch.equal(first.nan_to_num(9), again.nan_to_num(9))


def test_bad_files_are_skipped_and_listed_or_raise(encoder, clips, tmp_path):
    utterances, alignments = clips
    (tmp_path / "bad.wav").write_bytes(b"RIFF no sound")
    rows = [
        utterances[0],
        Utterance("bad", "en", str(tmp_path / "bad.wav")),
        Utterance("gone", "en", str(tmp_path / "gone.wav")),
    ]
    alignments = alignments | {"bad": alignments["0"], "gone": alignments["0"]}
    with pytest.raises(AudioError):
        phone_means(encoder, rows, alignments)
    skipped = []
    values = phone_means(encoder, rows, alignments, on_skip=lambda name, reason: skipped.append(name))
    assert sorted(skipped) == ["bad", "gone"]
    assert values[1:].isnan().all() and values[0, 0].isfinite().all()


@pytest.mark.parametrize("count", [0, 1])
def test_few_utterances(encoder, clips, count):
    utterances, _ = clips
    values = phone_means(encoder, utterances[:count], {})
    assert values.shape == (count, P, encoder.layers, encoder.width) and values.isnan().all()


def test_one_frame_a_clip_has_no_phones():
    with pytest.raises(UserError, match="one frame a clip"):
        phone_means(load_encoder("prosody"), [], {})
