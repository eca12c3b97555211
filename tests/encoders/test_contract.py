"""What holds for every encoder: tiny random ones of each family go through the same tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from emobridge import registry
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.encoders.base import stopped_after
from emobridge.errors import UserError
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore
from emobridge.types import SAMPLE_RATE

# Each with an option other than the default. Base models have group norm, large ones layer norm.
ENCODERS = {
    "ast": {"weights": "random"},
    "byol-s": {"standardisation": "clip"},
    "emotion-cnn": {"seed": 1},
    "hubert-base": {"max_seconds": 1.0},
    "hubert-large": {"max_seconds": 1.0},
    "logmel": {},
    "opensmile": {},
    "prosody": {},
    "wav2vec2-base": {"max_seconds": 1.0},
    "wav2vec2-large": {"max_seconds": 1.0},
    "wavlm-base": {"max_seconds": 1.0},
    "wavlm-large": {"max_seconds": 1.0},
    "whisper": {"padding": "full"},
}


@pytest.fixture(params=ENCODERS)
def tiny(request, source):
    torch.set_num_threads(1)
    return load_encoder(source(request.param))


def clips(*seconds: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(round(s * SAMPLE_RATE))).astype(np.float32) for s in seconds]


def pooled(encoder, waves):
    with torch.no_grad():
        return pool(encoder(*pad(waves)), encoder.statistics)


def test_every_registered_encoder_is_tested():
    of_transformers = {"hubert-base", "hubert-large", "wav2vec2-base", "wav2vec2-large", "wavlm-base", "wavlm-large"}
    assert set(registry.names("encoders")) == ENCODERS.keys() - of_transformers | {"hf-ssl"}


def test_shapes_and_mask(tiny):
    waves = clips(1.5, 0.7)
    with torch.no_grad():
        layers = tiny(*pad(waves))
    count, batch, frames, width = layers.hidden.shape
    assert (count, batch, width) == (tiny.layers, 2, tiny.width)
    assert layers.hidden.dtype == torch.float32 and layers.mask.dtype == torch.bool
    assert layers.mask.shape == (2, frames) and layers.mask[0].all()
    assert layers.frame_rate == tiny.frame_rate
    counts = layers.mask.sum(1).tolist()
    if tiny.frame_rate:
        assert counts == pytest.approx([1.5 * tiny.frame_rate, 0.7 * tiny.frame_rate], abs=2)
        assert (layers.mask[1].int().diff() <= 0).all(), "the frames of a clip come first"
    else:
        assert counts == [1, 1]


def test_a_clip_alone_is_the_clip_in_a_ragged_batch(tiny):
    waves = clips(0.6, 1.31, 0.02, 1.0)
    together = pooled(tiny, waves)
    for row, wave in enumerate(waves):
        alone = pooled(tiny, [wave])[:, 0]
        scale = max(1.0, float(alone.abs().max()))
        assert (together[:, row] - alone).abs().max() <= 1e-4 * scale


def test_what_lies_under_the_mask_is_not_heard(tiny):
    wave, mask = pad(clips(1.2, 0.6))
    with torch.no_grad():
        expected = pool(tiny(wave, mask), tiny.statistics)
        dirty = torch.where(mask, wave, torch.full_like(wave, 7.0))
        longer = torch.nn.functional.pad(dirty, (0, 5000), value=3.0)
        got = pool(tiny(longer, torch.nn.functional.pad(mask, (0, 5000))), tiny.statistics)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("samples", [1, 2, 160, 401])
def test_too_short_clips_are_finite(tiny, samples):
    values = pooled(tiny, [np.full(samples, 0.1, np.float32)])
    assert torch.isfinite(values).all()


def test_silence_is_finite(tiny):
    assert torch.isfinite(pooled(tiny, [np.zeros(SAMPLE_RATE, np.float32)])).all()


def test_clips_differ(tiny):
    first, second = pooled(tiny, clips(0.9, 1.0)).unbind(1)
    assert (first - second).abs().max() > 1e-4


def test_a_long_clip_is_encoded_in_windows_and_in_a_batch_as_alone(tiny):
    if tiny.window is None:
        pytest.skip("takes clips of any length at once")
    tiny.window = 1.0
    waves = clips(2.6, 0.8, 1.0)
    with torch.no_grad():
        together, alone = tiny(*pad(waves)), tiny(*pad(waves[:1]))
        pieces = [tiny(*pad([waves[0][first : first + SAMPLE_RATE]])) for first in range(0, 41600, SAMPLE_RATE)]
    joined = torch.cat([piece.hidden for piece in pieces], dim=2)
    torch.testing.assert_close(alone.hidden, joined, atol=1e-4, rtol=1e-4)
    hidden = together.hidden[:, 0, together.mask[0]]
    torch.testing.assert_close(hidden, alone.hidden[:, 0], atol=1e-4, rtol=1e-4)
    short = tiny(*pad(waves[1:2]))
    hidden = together.hidden[:, 1, together.mask[1]]
    torch.testing.assert_close(hidden, short.hidden[:, 0], atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_weight(tiny):
    weights = [weight for weight in tiny.parameters() if weight.requires_grad]
    if not weights:
        pytest.skip("has no weights")
    tiny.train()
    torch.manual_seed(0)
    pool(tiny(*pad(clips(1.0, 1.0, 0.9))), tiny.statistics).square().sum().backward()
    lacking = [
        name
        for name, weight in tiny.named_parameters()
        if weight.requires_grad and weight.grad is None and "masked_spec_embed" not in name
    ]
    assert not lacking
    assert all(torch.isfinite(weight.grad).all() for weight in weights if weight.grad is not None)


def hidden(encoder, waves):
    with torch.no_grad():
        return encoder(*pad(waves)).hidden


def test_layers_up_to_the_last_one_are_those_of_a_full_run(tiny):
    tiny.window = tiny.window and 1.0  # the first clip has two windows
    waves = clips(1.3, 0.7)
    for layer in range(tiny.layers):  # before any full run: nothing may be noted of a part that is taken for the whole
        tiny.stop_after(layer)
        assert tiny.last_layer == layer
        part = hidden(tiny, waves)
        tiny.stop_after(None)
        assert tiny.last_layer == tiny.layers - 1
        whole = hidden(tiny, waves)
        assert len(part) == layer + 1 and len(whole) == tiny.layers
        assert torch.equal(part, whole[: layer + 1])


def test_layers_behind_the_last_one_are_not_computed(tiny):
    trunk = tiny.trunk()
    if trunk is None:
        pytest.skip("has no transformer blocks")
    runs = []
    for path in trunk.blocks:
        trunk.module.get_submodule(path).register_forward_hook(lambda *_, path=path: runs.append(path))
    for layer in range(tiny.layers):
        runs.clear()
        with stopped_after(tiny, layer):
            hidden(tiny, clips(0.5))
        assert runs == list(trunk.blocks[:layer])
    assert tiny.last_layer == tiny.layers - 1


@pytest.mark.parametrize("layer", [-1, 99])
def test_a_layer_that_is_not_there_is_refused(tiny, layer):
    with pytest.raises(ValueError, match="expected 0 to"):
        tiny.stop_after(layer)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_digest_is_stable_and_options_are_in_the_key(name, source, tmp_path):
    first, again = load_encoder(source(name)), load_encoder(source(name))
    assert first.digest == again.digest and len(first.digest) == 64
    assert FeatureStore(tmp_path, first).folder == FeatureStore(tmp_path, again).folder
    if ENCODERS[name]:
        other = load_encoder(source(name), **ENCODERS[name])
        assert other.options != first.options
        assert FeatureStore(tmp_path, other).folder != FeatureStore(tmp_path, first).folder


@pytest.mark.parametrize("name", ENCODERS)
def test_an_unknown_option_names_the_nearest(name, source):
    with pytest.raises(UserError, match=r"paddin|takes no options") as caught:
        load_encoder(source(name), paddin="clip")
    if name == "whisper":
        assert "did you mean 'padding'?" in str(caught.value)


WEIGHTED = [name for name, options in ENCODERS.items() if name not in ("emotion-cnn", "logmel", "opensmile", "prosody")]


@pytest.mark.parametrize("name", WEIGHTED)
def test_random_weights_are_those_of_the_seed(name, source, tmp_path):
    plain = load_encoder(source(name))
    first, again, other = (load_encoder(source(name), weights="random", seed=seed) for seed in (3, 3, 4))
    assert first.digest == again.digest and len({plain.digest, first.digest, other.digest}) == 3
    assert first.options == {**plain.options, "weights": "random", "seed": 3}
    assert not {"weights", "seed"} & plain.options.keys(), "the key of stores that were before"
    assert len({FeatureStore(tmp_path, encoder).folder for encoder in (plain, first, again, other)}) == 3
    weights = dict(first.named_parameters())
    assert all(torch.equal(weight, weights[key]) for key, weight in again.named_parameters())
    waves = clips(0.6, 1.31)
    values = pooled(first, waves)
    torch.testing.assert_close(values, pooled(again, waves), rtol=0, atol=0)
    assert values.shape == pooled(plain, waves).shape and torch.isfinite(values).all()
    assert (values - pooled(plain, waves)).abs().max() > 1e-3


@pytest.mark.parametrize("name", WEIGHTED)
def test_random_weights_leave_the_callers_random_numbers_alone(name, source):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_encoder(source(name), weights="random")
    torch.testing.assert_close(torch.rand(2), expected)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_configuration_is_enough_for_random_weights(name, source, tmp_path):
    expected = load_encoder(source(name), weights="random", seed=1).digest
    for file in Path(source(name)).glob("*.json"):
        shutil.copy(file, tmp_path)
    if not (tmp_path / "config.json").exists():  # one size only
        assert load_encoder(name, weights="random", seed=1).digest == expected
        return
    assert load_encoder(tmp_path, weights="random", seed=1).digest == expected
    with pytest.raises(UserError, match="holds no weights"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("name", WEIGHTED)
def test_no_weight_that_is_missing_is_made_up(name, source, tmp_path):
    """Every tensor in turn: a checkpoint without it is refused, and the line names it."""
    folder = shutil.copytree(source(name), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    needed = [key for key in tensors if not any(part in key for part in ("masked_spec_embed", "decoder", "classifier"))]
    for key in needed[:: max(1, len(needed) // 6)]:
        save_file({other: tensor for other, tensor in tensors.items() if other != key}, folder / "model.safetensors")
        with pytest.raises(UserError, match=r"weights lack the tensor|of no known family") as caught:
            load_encoder(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"weights": "rnadom"}, "unknown weights of encoder .* 'rnadom': did you mean 'random'"),
        ({"weights": "random", "seed": -1}, "seed -1 of encoder"),
        ({"weights": "random", "seed": "one"}, "encoder .*: seed: expected a whole number, got 'one'"),
    ],
)
def test_bad_weights_and_seeds(name, source, options, match):
    with pytest.raises(UserError, match=match):
        load_encoder(source(name), **options)
