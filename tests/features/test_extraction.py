"""Prosody beside the features of every family of encoders: behind them, in every layer, computed once a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from encoders.test_contract import ENCODERS

from emobridge.data.audio import AudioError, read_utterance
from emobridge.data.prosody import PROSODY, prosody
from emobridge.encoders import load_encoder
from emobridge.encoders import prosody as encoder_module
from emobridge.features.extraction import add_prosody, extract
from emobridge.features.store import FeatureStore
from emobridge.types import Utterance


@pytest.fixture
def utterances(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for name, seconds in (("a", 0.8), ("b", 0.3), ("c", 1.3)):
        wave = np.sin(2 * np.pi * 150 * np.arange(round(16000 * seconds)) / 16000) + rng.standard_normal() * 0.1
        soundfile.write(tmp_path / f"{name}.wav", 0.3 * wave, 16000)
        rows.append(Utterance(id=name, path=str(tmp_path / f"{name}.wav"), corpus="xx", language="xx"))
    return rows


@pytest.fixture
def counted(monkeypatch):
    """The lengths of the waves whose prosody was computed for a store."""
    lengths = []
    monkeypatch.setattr(encoder_module, "prosody", lambda wave: lengths.append(len(wave)) or prosody(wave))
    return lengths


@pytest.mark.parametrize("name", ENCODERS)
def test_prosody_stands_behind_the_features_of_each_layer(name, source, tmp_path, utterances):
    encoder = load_encoder(source(name))
    store = FeatureStore(tmp_path / "store", encoder)
    layers = tuple(map(str, range(encoder.layers)))
    plain = extract(store, utterances, layers=layers, with_prosody=False)
    both = extract(store, utterances, layers=layers, with_prosody=True)
    width = encoder.width * len(encoder.statistics)
    assert both.values.shape == (3, encoder.layers, width + len(PROSODY)) and both.values.dtype == np.float32
    assert np.array_equal(both.values[..., :width], plain.values), "the stored features stay as they are"
    for row, utterance in enumerate(utterances):
        wave = read_utterance(utterance)
        assert (both.values[row, :, width:] == prosody(wave)).all()
        direct = add_prosody(torch.from_numpy(plain.values[row]), wave)
        assert torch.equal(direct, torch.from_numpy(both.values[row]))


def test_prosody_is_computed_once_whatever_the_encoder(source, tmp_path, utterances, counted):
    for name in ("logmel", "whisper", "logmel"):
        store = FeatureStore(tmp_path, load_encoder(source(name)))
        extract(store, utterances, layers=("0",), with_prosody=True)
    assert sorted(counted) == [4800, 12800, 20800]
    alone = FeatureStore(tmp_path, load_encoder("prosody")).extract(utterances, layer="0")
    assert len(counted) == 3 and alone.values.shape == (3, len(PROSODY)), "the encoder of that name shares them"


def test_the_order_and_what_cannot_be_read_are_those_of_the_features(tmp_path, utterances):
    broken = Utterance(id="x", path=str(tmp_path / "x.wav"), corpus="xx", language="xx")
    (tmp_path / "x.wav").write_bytes(b"no sound")
    store = FeatureStore(tmp_path / "store", load_encoder("logmel"))
    rows = [utterances[2], broken, utterances[0]]
    features = extract(store, rows, layers=("0",), with_prosody=True)
    assert features.ids == ("c", "a") and [name for name, _ in features.skipped] == ["x"]
    assert (features.values[0, 0, 128:] == prosody(read_utterance(utterances[2]))).all()
    with pytest.raises(AudioError, match=r"x\.wav"):
        extract(store, rows, layers=("0",), with_prosody=True, strict=True)
    nothing = extract(store, [broken], layers=("0",), with_prosody=True)
    assert nothing.ids == () and nothing.values.shape == (0, 1, 128 + len(PROSODY))


def test_clips_of_the_same_id_have_each_their_own_prosody(tmp_path, utterances):
    store = FeatureStore(tmp_path / "store", load_encoder("logmel"))
    features = extract(store, [replace(row, id="x") for row in utterances], layers=("0",), with_prosody=True)
    assert (features.values[:, 0, 128:] == [prosody(read_utterance(row)) for row in utterances]).all()


def test_a_file_that_is_gone_between_the_two_passes_is_skipped(tmp_path, utterances, monkeypatch):
    store = FeatureStore(tmp_path / "store", load_encoder("logmel"))

    def go(done, count):
        (tmp_path / "b.wav").unlink(missing_ok=True)

    features = extract(store, utterances, layers=("0",), with_prosody=True, on_progress=go)
    assert features.ids == ("a", "c") and [name for name, _ in features.skipped] == ["b"]
    assert len(features.values) == 2


def test_progress_rises_to_the_end(tmp_path, utterances):
    steps = []
    store = FeatureStore(tmp_path / "store", load_encoder("logmel"))
    for _ in range(2):
        extract(store, utterances, layers=("0",), with_prosody=True, on_progress=lambda *step: steps.append(step))
    assert steps == [(3, 6), (6, 6)] * 2
