from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE

NAMES = ["wav2vec2-base", "wav2vec2-large", "hubert-base", "hubert-large", "wavlm-base", "wavlm-large"]


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.3 + 0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_lone_clip_is_what_transformers_makes_of_it(source, name):
    wave = noise(SAMPLE_RATE)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=name.endswith("large"))
    values = extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
    model = AutoModel.from_pretrained(source(name), attn_implementation="eager").eval()
    with torch.no_grad():
        expected = model(values, output_hidden_states=True)
        layers = load_encoder(source(name))(*pad([wave]))
    assert layers.hidden.shape[0] == len(expected.hidden_states) == 3
    for got, state in zip(layers.hidden[:-1], expected.hidden_states):
        torch.testing.assert_close(got, state, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(layers.hidden[-1], expected.last_hidden_state, atol=1e-4, rtol=1e-4)


def test_the_clip_norm_is_what_keeps_padding_out(source):
    """The stock group norm does let it in: without this, the ragged tests of the contract would prove nothing."""
    encoder = load_encoder(source("wav2vec2-base"))
    waves = [noise(8000), noise(16000, seed=1)]
    with torch.no_grad():
        alone = encoder(*pad(waves[:1])).hidden[:, 0]
        encoder.norm.forward = lambda hidden: torch.nn.functional.group_norm(
            hidden, hidden.shape[1], encoder.norm.weight, encoder.norm.bias, encoder.norm.eps
        )
        padded = encoder(*pad(waves))
    assert (padded.hidden[:, 0, padded.mask[0]] - alone).abs().max() > 1e-2


def test_long_clips_go_through_in_stretches(source):
    encoder = load_encoder(source("hubert-base"), max_seconds=1)
    assert encoder.options == {"max_seconds": 1.0}
    with torch.no_grad():
        layers = encoder(*pad([noise(40_000)]))
    stretch = encoder(*pad([noise(16_000)])).hidden.shape[2]
    assert 2 * stretch < layers.hidden.shape[2] < 3 * stretch


@pytest.mark.parametrize("value", [0, -1, float("nan"), "long", True])
def test_bad_max_seconds(source, value):
    with pytest.raises(UserError, match="max_seconds"):
        load_encoder(source("hubert-base"), max_seconds=value)


def test_weights_that_do_not_fit_are_one_line(source, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(source("wavlm-large"), folder)
    weights = load_file(folder / "model.safetensors")
    name = "encoder.layers.1.attention.q_proj.weight"
    save_file({key: value for key, value in weights.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"lack the tensor 'encoder.layers.1.attention.q_proj.weight' and 0 more"):
        load_encoder(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(UserError, match=r"expected model.safetensors; pytorch_model.bin is a pickle"):
        load_encoder(folder)


def test_normalisation_without_a_preprocessor_config(source, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(source("wav2vec2-large"), folder)
    assert load_encoder(folder).normalises
    (folder / "preprocessor_config.json").unlink()
    assert load_encoder(folder).normalises
    (Path(folder) / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    assert not load_encoder(folder).normalises
