from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)

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


@pytest.mark.parametrize("name", ["wav2vec2-base", "wav2vec2-large"])
@pytest.mark.parametrize("normalises", [True, False])
@pytest.mark.parametrize("saved", ["processor", "extractor"])
@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_it_is_normalised_as_the_library_saved_it(source, tmp_path, name, normalises, saved, gain):
    """Release 5 saves a processor's settings in one nested file; an extractor alone, and older releases, in its own."""
    folder = shutil.copytree(source(name), tmp_path / "model")
    (folder / "preprocessor_config.json").unlink()
    extractor = Wav2Vec2FeatureExtractor(do_normalize=normalises)
    if saved == "extractor":
        extractor.save_pretrained(folder)
    else:
        (folder / "preprocessor_config.json").write_text(
            json.dumps({"do_normalize": not normalises})
        )  # the nested wins
        (tmp_path / "vocab.json").write_text(json.dumps({"<pad>": 0, "<unk>": 1, "|": 2, "a": 3}))
        tokenizer = Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
        Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
        if not (folder / "processor_config.json").exists() or "feature_extractor" not in json.loads(
            (folder / "processor_config.json").read_text()
        ):
            pytest.skip("a release of transformers that saves no nested file")
    wave = gain * noise(SAMPLE_RATE)
    library = AutoFeatureExtractor.from_pretrained(folder)
    values = library(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    encoder = load_encoder(folder)
    with torch.no_grad():
        expected = model(values).last_hidden_state
        torch.testing.assert_close(encoder(*pad([wave])).hidden[-1], expected, atol=1e-4, rtol=1e-4)
    assert encoder.normalises == normalises
    assert ("do_normalize" in encoder.options) == (normalises != name.endswith("large")), (
        "features have keys of their own"
    )


def test_a_preprocessor_that_does_not_fit_is_one_line(source, tmp_path):
    folder = shutil.copytree(source("wav2vec2-base"), tmp_path / "model")
    for content, message in (
        ({"sampling_rate": 8000}, "its preprocessor has sampling_rate 8000; expected 16000"),
        ({"do_normalize": "yes"}, "its preprocessor has do_normalize 'yes'; expected true or false"),
    ):
        (folder / "preprocessor_config.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match=message):
            load_encoder(folder)
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": [1]}))
    with pytest.raises(UserError, match="feature_extractor: expected a JSON object"):
        load_encoder(folder)
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": "Wav2Vec2Processor"}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16000}))
    assert load_encoder(folder).normalises, "the library's default"
