"""A folder of an encoder may come from anybody: what it says is bounded and checked before anything is made by it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from emobridge.encoders import load_encoder
from emobridge.errors import UserError


@pytest.fixture
def changed(source, tmp_path):
    """A function that copies an encoder's folder with other values in its config.json; `...` takes a key out."""

    def change(name, file="config.json", **values):
        folder = tmp_path / "changed"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source(name), folder)
        content = json.loads((folder / file).read_text()) | values
        content = {key: value for key, value in content.items() if value is not ...}
        (folder / file).write_text(json.dumps(content))
        return folder

    return change


WRONG = {
    "a million layers": (
        "wav2vec2-base",
        {"num_hidden_layers": 1_000_000},
        "layers: expected a number up to",
    ),
    "more layers than stored": (
        "wav2vec2-base",
        {"num_hidden_layers": 150},
        "the weights lack the tensor",
    ),
    "a wide model": ("wav2vec2-base", {"hidden_size": 100_000}, r"describes \d+ weights, and the files hold"),
    "an endless number": ("hubert-base", {"intermediate_size": 10**400}, "intermediate_size: expected a number up to"),
    "no number": ("wavlm-large", {"hidden_size": "wide"}, "cannot be loaded"),
    "a list": ("wavlm-base", {"num_attention_heads": [2, 2]}, "cannot be loaded"),
    "not finite": ("hubert-large", {"layer_norm_eps": float("nan")}, "layer_norm_eps: expected a finite number"),
    "kernels and strides": ("wav2vec2-base", {"conv_kernel": [10, 3]}, "cannot be loaded"),
    "no stride": ("wav2vec2-base", {"conv_stride": [5, 0, 4]}, "conv_stride: expected numbers from 1"),
    "another function": ("wav2vec2-large", {"hidden_act": "~"}, "cannot be loaded"),
    "no heads": ("ast", {"num_attention_heads": 0}, "cannot be loaded"),
    "a long spectrogram": ("ast", {"max_length": 900_000}, r"describes \d+ weights, and the files hold"),
    "layers of whisper": ("whisper", {"encoder_layers": 10**6}, "encoder_layers: expected a number up to"),
    "no layers": ("whisper", {"encoder_layers": 0}, "encoder_layers: expected a whole number from 1"),
    "half a head": ("whisper", {"encoder_attention_heads": 1.5}, "encoder_attention_heads: expected a whole number"),
    "heads that do not divide": ("whisper", {"encoder_attention_heads": 5}, "d_model: expected a multiple of 2 and of"),
    "no width": ("whisper", {"d_model": ...}, "lacks 'd_model'"),
    "many bands": ("whisper", {"num_mel_bins": 900_000}, "num_mel_bins: expected a whole number from 1 to 1000"),
    "a longer table": ("whisper", {"max_source_positions": 900_000}, "'embed_positions.weight' has shape"),
    "no truth": ("whisper", {"scale_embedding": "yes"}, "scale_embedding: expected true or false"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_is_one_line_at_once(changed, case):
    name, values, message = WRONG[case]
    folder, began = changed(name, **values), time.process_time()
    with pytest.raises(UserError, match=message) as caught:
        load_encoder(folder)
    assert str(folder) in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert time.process_time() - began < 3


@pytest.mark.parametrize("name", ["whisper", "wav2vec2-base", "ast"])
def test_random_weights_are_bounded_too(changed, name):
    width = {"whisper": "d_model"}.get(name, "hidden_size")
    with pytest.raises(UserError, match=r"describes .* weights; expected 4e\+09 at most"):
        load_encoder(changed(name, **{width: 900_000}), weights="random")


@pytest.mark.parametrize(("key", "value"), [("mean", "x"), ("std", 0), ("std", 10**400), ("mean", [1]), ("std", None)])
def test_wrong_moments_are_one_line(changed, key, value):
    with pytest.raises(UserError, match=f"has {key} .*; expected a number"):
        load_encoder(changed("ast", "preprocessor_config.json", **{key: value}))


@pytest.mark.parametrize("text", ["[" * 3000, "[]", '{"model_type": "whisper", "model_type": "ast"}', "\ufeff{}", "1"])
def test_what_is_no_object_is_one_line(changed, text):
    folder = changed("whisper")
    (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json: ") as caught:
        load_encoder(folder)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {"a": 1}}, {"weight_map": {"a": ["x"]}}])
def test_an_index_without_files_is_one_line(changed, index):
    folder = changed("whisper")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"index\.json: weight_map: expected the file of each tensor"):
        load_encoder(folder)


def test_an_index_leads_nowhere_else(changed):
    folder = changed("whisper")
    (folder / "model.safetensors").rename(folder.parent / "a.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../a.safetensors"}}')
    with pytest.raises(UserError, match=r"expected names of \.safetensors files in this folder"):
        load_encoder(folder)


def test_a_smaller_configuration_than_the_weights_is_refused_or_is_the_smaller_model(changed, source):
    """Whisper's decoder is not used, and the last blocks need not be: what is used fits."""
    encoder, whole = load_encoder(changed("whisper", encoder_layers=1)), load_encoder(source("whisper"))
    assert encoder.layers == 2 and torch.equal(encoder.blocks[0].fc1.weight, whole.blocks[0].fc1.weight)
    assert encoder.digest != whole.digest


def test_the_configuration_is_part_of_the_digest(changed, source):
    """The same weights with other heads, or on another input, give other features: a store must not mix them."""
    for name, file, key, value in (
        ("whisper", "config.json", "encoder_attention_heads", 1),
        ("wav2vec2-base", "preprocessor_config.json", "do_normalize", True),
        ("ast", "preprocessor_config.json", "std", 9.0),
    ):
        plain = load_encoder(source(name))
        other = load_encoder(changed(name, file, **{key: value}))
        assert other.weights_digest == plain.weights_digest and other.digest != plain.digest
        same = load_encoder(changed(name, "config.json", transformers_version="9", _name_or_path="x"))
        assert same.digest == plain.digest
        assert other.has_digest(plain.weights_digest), "as bundles had it that were made before"
        assert not other.has_digest(plain.digest) and not other.has_digest("")


def test_weights_in_two_files(source, tmp_path):
    tensors = load_file(Path(source("whisper")) / "model.safetensors")
    shutil.copy(Path(source("whisper")) / "config.json", tmp_path)
    files = {name: f"model-{number % 2 + 1}-of-2.safetensors" for number, name in enumerate(sorted(tensors))}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in tensors if files[name] == file}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    one, two = load_encoder(source("whisper")), load_encoder(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values()))


@pytest.mark.parametrize("name", ["whisper", "wav2vec2-base", "ast", "byol-s"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(source, tmp_path, name, value):
    shutil.copytree(source(name), tmp_path / "e")
    path = tmp_path / "e" / "model.safetensors"
    tensors = load_file(path)
    harmed = next(key for key, tensor in sorted(tensors.items()) if tensor.ndim > 1 and "decoder" not in key)
    tensors[harmed].view(-1)[1] = value
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the tensor '.*' holds numbers that are not finite"):
        load_encoder(tmp_path / "e")
