from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore
from emobridge.types import Utterance

SIGNALS = ("noise", "tone220", "chirp")


@pytest.fixture
def reference(shared):
    return shared / "weights" / "byol-s-512" / "reference"


def test_log_mel_agrees_with_the_original(shared, reference):
    waves, mask = pad([soundfile.read(reference / f"{signal}.wav", dtype="float32")[0] for signal in SIGNALS])
    mel, frames = load_encoder(reference.parent).front(waves, mask.sum(1))
    assert frames.tolist() == [201, 201, 201]
    assert np.abs(mel.numpy() - np.load(reference / "logmel.npy")).max() <= 5e-3  # in silent bins of single precision


@pytest.mark.parametrize("kind", ["cremadstats", "clipstats", "batchstats"])
def test_embeddings_agree_with_the_original(reference, tmp_path, kind):
    mel = np.load(reference / "logmel.npy")
    common = (mel.mean(), mel.std(axis=(1, 2), ddof=1).mean())  # averages of the clips' own numbers
    option = {"cremadstats": "corpus", "clipstats": "clip", "batchstats": f"{common[0]},{common[1]}"}[kind]
    encoder = load_encoder(reference.parent, standardisation=option)
    clips = [Utterance(id=signal, corpus="", path=str(reference / f"{signal}.wav")) for signal in SIGNALS]
    values = FeatureStore(tmp_path, encoder).extract(clips).values
    assert values.shape == (3, 1, 512)
    assert np.abs(values[:, 0] - np.load(reference / f"scene_{kind}.npy")).max() <= 2e-3  # on values up to 45


def test_a_clip_of_odd_length_in_a_batch(source):
    """Pooling drops the last of an odd number of frames of a lone clip; in a batch it must not meet the padding."""
    encoder = load_encoder(source("byol-s"))
    rng = np.random.default_rng(0)
    waves = [(0.1 * rng.standard_normal(length)).astype(np.float32) for length in range(4000, 5600, 160)]
    with torch.no_grad():
        together = pool(encoder(*pad(waves)), encoder.statistics)[0]
        for row, wave in enumerate(waves):
            alone = pool(encoder(*pad([wave])), encoder.statistics)[0, 0]
            torch.testing.assert_close(together[row], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("value", "match"), [("clp", "did you mean 'clip'"), ("1,0", "above zero"), ("1", "MEAN")])
def test_bad_standardisation(source, value, match):
    with pytest.raises(UserError, match=match):
        load_encoder(source("byol-s"), standardisation=value)


WEIGHTS = {512: 600_192, 1024: 1_649_792, 2048: 5_321_856}  # 74,880 of the convolutions; 512 w + w + w w + w


@pytest.mark.parametrize("width", WEIGHTS)
def test_every_released_width_is_trained_end_to_end(width, tmp_path):
    """1024 features have the 1.6 M weights of Agarla et al.; a folder's weights tell their own width."""
    encoder = load_encoder("byol-s", weights="random", width=width, standardisation="clip", seed=1)
    assert sum(weight.numel() for weight in encoder.parameters()) == WEIGHTS[width]
    save_file(encoder.state_dict(), tmp_path / "model.safetensors")
    reread = load_encoder(tmp_path, standardisation="clip")
    assert reread.width == width and "width" not in reread.options
    assert reread.digest != encoder.digest and reread.digest != load_encoder("byol-s", weights="random").digest
    crops = pad([np.random.default_rng(seed).standard_normal(32_000).astype(np.float32) for seed in range(3)])
    before = reread.features[1].running_mean.clone()
    x = pool(reread.train()(*crops), reread.statistics)[0]
    assert x.shape == (3, width)
    x.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in reread.parameters())
    assert not torch.equal(reread.features[1].running_mean, before), "batch norm learns from the crops"
    with torch.no_grad():  # the test is of whole utterances
        whole = reread.eval()(*pad([np.ones(60_000, np.float32)]))
    assert whole.hidden.shape == (1, 1, 47, width)


def test_each_spectrogram_is_standardised_by_itself(source):
    encoder = load_encoder(source("byol-s"), standardisation="clip")
    wave = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    with torch.no_grad():
        mel, frames = encoder.front(*(lambda x, mask: (x, mask.sum(1)))(*pad([wave, wave[:20_000]])))
        own = encoder._standardised(mel, frames)
        for row, count in enumerate(frames.tolist()):
            part = own[row, :, :count]
            assert abs(float(part.mean())) < 1e-4 and float(part.std()) == pytest.approx(1, abs=1e-4)


def test_a_width_that_no_weights_have(source, tmp_path):
    with pytest.raises(UserError, match="holds byol-s with 512 features, and 1024 are asked for"):
        load_encoder(source("byol-s"), width=1024)
    for width in (-1, 1 << 40):
        with pytest.raises(UserError, match=f"width {width} of encoder byol-s"):
            load_encoder("byol-s", weights="random", width=width)
    tensors = load_file(f"{source('byol-s')}/model.safetensors")
    save_file(tensors | {"fc.3.weight": torch.zeros(3, 4)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"fc\.0\.weight"):
        load_encoder(tmp_path)
    save_file(tensors | {"fc.3.weight": torch.zeros(0, 4)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"fc\.3\.weight: expected \(width, width\)"):
        load_encoder(tmp_path)
