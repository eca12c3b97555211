"""The onnx-int8 engine: near the torch one, kept in the cache, part of the store's key, never trained."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from emobridge.data.batching import pad
from emobridge.encoders import _onnx, load_encoder
from emobridge.errors import UserError
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore
from emobridge.types import SAMPLE_RATE

NAMES = ["hubert-base", "hubert-large", "wav2vec2-base", "wav2vec2-large", "wavlm-base", "wavlm-large", "whisper"]


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(seconds * SAMPLE_RATE)) + 0.02).astype(np.float32)


def pooled(encoder, waves):
    with torch.no_grad():
        return pool(encoder(*pad(waves)), ("mean", "std"))


@pytest.mark.parametrize("name", NAMES)
def test_clips_of_any_length_are_near_those_of_torch(source, cache, name):
    """Also clips shorter and longer than the example of the export, in a ragged batch, and beyond the window."""
    options = {} if name == "whisper" else {"max_seconds": 2.0}
    plain, quick = load_encoder(source(name), **options), load_encoder(source(name), engine="onnx-int8", **options)
    waves = [noise(0.4), noise(1.9, 1), noise(0.05, 2), noise(4.7, 3)]
    expected, got = pooled(plain, waves), pooled(quick, waves)
    assert got.shape == expected.shape
    assert torch.nn.functional.cosine_similarity(got, expected, dim=2).min() > 0.999
    assert not torch.equal(got, expected), "the weights are rounded"
    for row, wave in enumerate(waves):
        torch.testing.assert_close(got[:, row], pooled(quick, [wave])[:, 0], atol=1e-6, rtol=1e-6)


def test_without_rounding_the_export_is_the_model(source, cache):
    """What is left in single precision agrees to the last digits: the folded norm is exact."""
    encoder = load_encoder(source("wav2vec2-base"))
    wave = torch.from_numpy(noise(1.3))[None]
    with torch.no_grad():
        expected = encoder(wave, torch.ones_like(wave, dtype=torch.bool)).hidden
        with encoder.exportable() as (graph, _):
            torch.testing.assert_close(torch.stack(graph(wave)), expected, atol=1e-4, rtol=1e-4)
            sizes = {"axis": 1, "layers": len(expected), "needed": (len(expected) - 1, False)}
            engine = _onnx.engine_of("onnx-int8", "exact", {}, (graph, wave), **sizes, exact=("",))
        torch.testing.assert_close(engine.run([wave]), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(encoder(wave, torch.ones_like(wave, dtype=torch.bool)).hidden, expected)


def test_padding_full(source, cache):
    plain, quick = (load_encoder(source("whisper"), padding="full", **more) for more in ({}, {"engine": "onnx-int8"}))
    expected, got = pooled(plain, [noise(0.7)]), pooled(quick, [noise(0.7)])
    assert torch.nn.functional.cosine_similarity(got, expected, dim=2).min() > 0.999


def test_it_is_exported_once_and_anew_where_the_file_is_damaged(source, cache, monkeypatch):
    expected = pooled(load_encoder(source("whisper"), engine="onnx-int8"), [noise(0.5)])
    exported = []
    export = _onnx.write_graph
    monkeypatch.setattr(_onnx, "write_graph", lambda *arguments: (exported.append(arguments[0]), export(*arguments)))
    torch.testing.assert_close(pooled(load_encoder(source("whisper"), engine="onnx-int8"), [noise(0.5)]), expected)
    assert not exported
    for path in (cache / "onnx").glob("whisper-*.onnx"):
        path.write_bytes(path.read_bytes()[:1000])
    torch.testing.assert_close(pooled(load_encoder(source("whisper"), engine="onnx-int8"), [noise(0.5)]), expected)
    assert len(exported) == 1
    load_encoder(source("whisper"), engine="onnx-int8", weights="random")
    assert len(exported) == 2, "other weights"


def test_the_engine_is_in_the_key_of_the_store_only_where_it_is_not_torch(source, cache, tmp_path):
    plain, torch_engine, quick = (
        load_encoder(source("whisper"), **o) for o in ({}, {"engine": "torch"}, {"engine": "onnx-int8"})
    )
    assert plain.options == torch_engine.options == {"padding": "clip"}
    assert quick.options == {"padding": "clip", "engine": "onnx-int8"} and quick.digest == plain.digest
    assert FeatureStore(tmp_path, quick).folder != FeatureStore(tmp_path, plain).folder


@pytest.mark.parametrize("name", ["whisper", "hubert-base"])
def test_it_cannot_be_trained(source, cache, name):
    encoder = load_encoder(source(name), engine="onnx-int8").train()
    with pytest.raises(UserError, match="with engine onnx-int8: cannot be trained"):
        encoder(*pad([noise(0.5)]))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_packages_the_error_says_what_to_install(source, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"needs the package {package}: pip install 'emobridge\[onnx\]'"):
        load_encoder(source("whisper"), engine="onnx-int8")


def test_a_misspelt_engine(source):
    with pytest.raises(UserError, match="unknown engine of encoder whisper 'onnx-int4': did you mean 'onnx-int8'"):
        load_encoder(source("whisper"), engine="onnx-int4")


@pytest.mark.slow
def test_real_speech_is_near_in_every_layer(shared, cache):
    from emobridge.data.audio import read_audio

    clips = [read_audio(str(path)) for path in sorted((shared / "corpora" / "emodb").rglob("*.flac"))[::60]]
    plain, quick = (load_encoder(shared / "weights" / "whisper-base", **o) for o in ({}, {"engine": "onnx-int8"}))
    expected, got = (torch.cat([pooled(encoder, [clip]) for clip in clips], dim=1) for encoder in (plain, quick))
    means = slice(0, plain.width)
    near = torch.nn.functional.cosine_similarity(got[..., means], expected[..., means], dim=2)
    assert near.mean(1).min() > 0.999 and near.min() > 0.995
