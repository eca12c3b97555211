from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

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
