from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def hidden(encoder, wave):
    with torch.no_grad():
        return encoder(*pad([wave])).hidden[:, 0]


@pytest.mark.parametrize("weights", [pytest.param("whisper-base", marks=pytest.mark.slow), "whisper-tiny.en"])
def test_agrees_with_the_original(shared, weights):
    """In double precision where single is not near enough: on one processor it alone is 1.05e-3 away."""
    folder = shared / "weights" / weights
    encoder = load_encoder(folder, padding="full")
    for signal in ("noise", "tone220", "chirp"):
        wave, _ = soundfile.read(folder / "reference" / f"{signal}.wav", dtype="float64")
        expected = np.load(folder / "reference" / f"{signal}_encoder.npy")
        last = hidden(encoder.float(), wave.astype(np.float32))[-1].numpy()
        if np.abs(last - expected).max() > 1e-3:
            exact = hidden(encoder.double(), wave)[-1].numpy()
            assert np.abs(exact - expected).max() <= 1e-3
            assert np.abs(last - exact).max() <= 1e-4 * np.abs(exact).max()
        mel = encoder.double().log_mel(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))[0, :, :200]
        assert np.abs(mel.numpy() - np.load(folder / "reference" / f"{signal}_logmel.npy")).max() <= 1e-3


@pytest.mark.parametrize("seconds", [0.5, 1.99, 2.0])
def test_agrees_with_transformers_in_every_layer(source, seconds):
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    encoder = load_encoder(source("whisper"), padding="full")
    with open(source("whisper") + "/config.json") as file:
        theirs = WhisperEncoder(WhisperConfig(**json.load(file))).eval()
    weights = load_file(source("whisper") + "/model.safetensors")
    prefix = "model.encoder."
    theirs.load_state_dict({k.removeprefix(prefix): v.float() for k, v in weights.items() if k.startswith(prefix)})
    wave = noise(seconds)
    features = WhisperFeatureExtractor(chunk_length=2)(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.no_grad():
        expected = theirs(features.input_features, output_hidden_states=True).hidden_states
    got = hidden(encoder, wave)
    assert len(got) == len(expected) == 3
    for layer, state in zip(got, expected):
        torch.testing.assert_close(layer, state[0, : len(layer)], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seconds", [0.3, 0.713, 1.2])
def test_the_log_mel_of_a_clip_is_that_of_the_padded_clip(source, seconds):
    wave = noise(seconds)
    wave[-50:] = 3.0  # a click at the very end, heard best in the frames after the clip
    waves, mask = pad([wave, noise(1.5)])
    frames = 2 * -(-len(wave) // 320)
    clip = load_encoder(source("whisper")).log_mel(waves, mask.sum(1))
    full = load_encoder(source("whisper"), padding="full").log_mel(waves, mask.sum(1))
    torch.testing.assert_close(clip[0, :, :frames], full[0, :, :frames], atol=1e-5, rtol=0)
    assert not clip[0, :, frames:].any()


def test_padding_full_is_not_padding_clip_and_has_the_same_frames(source):
    clip, full = (hidden(load_encoder(source("whisper"), padding=padding), noise(1.0)) for padding in ("clip", "full"))
    assert clip.shape == full.shape == (3, 50, 16)
    assert (clip - full).abs().max() > 1e-2


@pytest.mark.parametrize("prefix", ["model.encoder.", "encoder."])
@pytest.mark.parametrize("sharded", [False, True])
def test_prefixes_and_shards(source, tmp_path, prefix, sharded):
    expected = hidden(load_encoder(source("whisper")), noise(0.5))
    weights = load_file(source("whisper") + "/model.safetensors")
    weights = {name.replace("model.encoder.", prefix): tensor for name, tensor in weights.items()}
    with open(source("whisper") + "/config.json") as file:
        (tmp_path / "config.json").write_text(file.read())
    if sharded:
        names = sorted(weights)
        shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
        for shard, in_shard in shards.items():
            save_file({name: weights[name] for name in in_shard}, tmp_path / shard)
        index = {name: shard for shard, in_shard in shards.items() for name in in_shard}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    else:
        save_file(weights, tmp_path / "model.safetensors")
    torch.testing.assert_close(hidden(load_encoder(tmp_path), noise(0.5)), expected)


def copy(source, folder, config=None, drop=(), replace=None):
    weights = load_file(source("whisper") + "/model.safetensors")
    weights = {name: tensor for name, tensor in weights.items() if not name.endswith(drop or "nothing")}
    save_file(weights | (replace or {}), folder / "model.safetensors")
    with open(source("whisper") + "/config.json") as file:
        (folder / "config.json").write_text(json.dumps(json.load(file) | (config or {})))
    return folder


def test_bad_weights_are_one_line(source, tmp_path):
    with pytest.raises(UserError, match=r"lack the tensor 'blocks.1.fc1.weight'"):
        load_encoder(copy(source, tmp_path, drop="encoder.layers.1.fc1.weight"))
    with pytest.raises(UserError, match=r"'conv1.bias' has shape \(3,\), expected \(16,\)"):
        load_encoder(copy(source, tmp_path, replace={"model.encoder.conv1.bias": torch.zeros(3)}))
    with pytest.raises(UserError, match="activation_function: expected 'gelu', got 'relu'"):
        load_encoder(copy(source, tmp_path, config={"activation_function": "relu"}))
    with pytest.raises(UserError, match="unknown padding of encoder whisper 'clp': did you mean 'clip'"):
        load_encoder(source("whisper"), padding="clp")
    with pytest.raises(UserError, match="whisper needs weights"):
        load_encoder("whisper")


def test_random_weights_are_spread_as_those_of_transformers(source, tmp_path):
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = json.loads(Path(source("whisper"), "config.json").read_text()) | {"d_model": 64, "encoder_ffn_dim": 256}
    (tmp_path / "config.json").write_text(json.dumps(config))
    ours = load_encoder(tmp_path, weights="random", seed=2)
    theirs = {
        key.replace("layers.", "blocks."): tensor
        for key, tensor in WhisperEncoder(WhisperConfig(**config)).state_dict().items()
    }
    assert theirs.keys() == ours.state_dict().keys()
    torch.testing.assert_close(ours.embed_positions.weight, theirs["embed_positions.weight"])
    for key, weight in ours.state_dict().items():
        assert float(weight.std()) == pytest.approx(float(theirs[key].std()), rel=0.15, abs=1e-6), key
        assert float(weight.mean()) == pytest.approx(float(theirs[key].mean()), abs=2e-3), key
    assert not ours.embed_positions.weight.requires_grad


def test_a_preprocessor_of_another_front_end_is_one_line(source, tmp_path):
    folder = shutil.copytree(source("whisper"), tmp_path / "model")
    for name, content in (
        ("preprocessor_config.json", {"hop_length": 320}),
        ("processor_config.json", {"feature_extractor": {"hop_length": 320}}),
    ):
        (folder / name).write_text(json.dumps(content))
        with pytest.raises(UserError, match="its preprocessor has hop_length 320; expected 160"):
            load_encoder(folder)
        (folder / name).write_text(json.dumps({"feature_extractor": {"hop_length": 160}}))
        assert load_encoder(folder).name == "whisper"


def test_weights_in_memory_do_not_change_with_their_file(source, tmp_path):
    folder = copy(source, tmp_path)
    encoder = load_encoder(folder)
    expected = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    path = folder / "model.safetensors"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))
    assert expected and all(torch.equal(encoder.state_dict()[name], tensor) for name, tensor in expected.items())


@pytest.mark.slow
def test_opening_an_encoder_leaves_the_compiler_of_torch_unimported(source):
    """It takes two seconds, and comes in where initial numbers are drawn on the device "meta"."""
    code = "import sys; from emobridge.encoders import load_encoder; load_encoder(sys.argv[1])"
    code += "; assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code, source("whisper")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
