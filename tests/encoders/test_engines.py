"""Engines: each layer is near that of torch, the choice is made once, and what is not exact has its own key."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import sys

import pytest
import torch

from emobridge.data import machine
from emobridge.data.batching import pad
from emobridge.encoders import _engines, load_encoder
from emobridge.encoders.base import pooled_by
from emobridge.errors import UserError
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore
from emobridge.types import SAMPLE_RATE
from tests.encoders.test_onnx import NAMES, noise

LEAST = {"onnx": 0.99999, "torch-bf16": 0.999}  # cosine; tiny random models have large outliers


def layers(encoder, wave):
    wave = torch.from_numpy(wave)[None]
    with torch.no_grad():
        return encoder(wave, torch.ones_like(wave, dtype=torch.bool)).hidden


@pytest.fixture
def measured(cache, tmp_path, monkeypatch):
    """The names of what is measured, which always finds onnx faster; a cache folder of its own."""
    names = []
    monkeypatch.setenv("EMOBRIDGE_ENGINE", "")
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path))
    monkeypatch.setattr(_engines, "_measure", lambda: names.append("engine") or "onnx")
    _engines._fastest.cache_clear()
    yield names
    _engines._fastest.cache_clear()


@pytest.mark.parametrize("engine", LEAST)
@pytest.mark.parametrize("name", NAMES)
def test_each_layer_is_near_that_of_torch(source, cache, name, engine):
    """Clips of one frame, of other lengths than the example of the export, and beyond the window."""
    if engine != "onnx" and not machine.has_bf16():
        pytest.skip("this processor has no bf16")
    options = {} if name == "whisper" else {"max_seconds": 2.0}
    plain, quick = (load_encoder(source(name), engine=word, **options) for word in ("torch", engine))
    for wave in (noise(0.02), noise(0.4, 1), noise(4.7, 2)):
        expected, hidden = layers(plain, wave), layers(quick, wave)
        assert hidden.shape == expected.shape and hidden.dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(hidden.flatten(1), expected.flatten(1), dim=1)
        assert cosine.min() > LEAST[engine], f"layers {cosine}"


@pytest.mark.parametrize("name", NAMES)
def test_where_only_means_are_wanted_the_graph_takes_them(source, cache, name):
    """Of a ragged batch, up to each layer; a clip beyond the window gives its frames as ever."""
    options = {} if name == "whisper" else {"max_seconds": 2.0}
    plain, quick = (load_encoder(source(name), engine=word, **options) for word in ("torch", "onnx"))
    for waves in ([noise(0.02)], [noise(0.4, 1), noise(1.1, 2)], [noise(4.7, 3)]):
        batch = pad(waves)
        for last in range(quick.layers):
            quick.stop_after(last)
            with torch.no_grad(), pooled_by(quick, ("mean",)):
                encoded = quick(*batch)
                assert (encoded.hidden.shape[2] == 1) == (batch[0].shape[1] <= quick.window * SAMPLE_RATE)
                expected = pool(plain(*batch), ("mean",))[: last + 1]
                torch.testing.assert_close(pool(encoded, ("mean",)), expected, atol=1e-4, rtol=1e-4)


def test_the_last_map_of_a_block_comes_behind_the_mean(source, cache):
    import onnx

    encoder = load_encoder(source("whisper"), engine="onnx")
    engine, mel = encoder.engines.engine, torch.zeros(1, encoder.conv1.in_channels, 40)
    engine.run([mel], 1, means=True)
    graph = onnx.load(engine.path.with_suffix(".2.means.onnx")).graph
    last = [node for node in graph.node if node.op_type == "MatMul"][-1]
    (shape,) = [tuple(weight.dims) for weight in graph.initializer if weight.name == last.input[1]]
    fc2 = encoder.blocks[0].fc2
    assert last.input[0] == "mean_of_layer_1_y" and shape == (fc2.in_features, fc2.out_features)


def test_frames_behind_a_clip_are_no_part_of_its_mean(source, cache):
    plain, quick = (load_encoder(source("whisper"), padding="full", engine=word) for word in ("torch", "onnx"))
    batch = pad([noise(0.4)])
    with torch.no_grad(), pooled_by(quick, ("mean",)):
        means = pool(quick(*batch), ("mean",))
        torch.testing.assert_close(means, pool(plain(*batch), ("mean",)), atol=1e-4, rtol=1e-4)


def test_only_plain_means_are_taken_in_the_graph(source, cache):
    """Of another statistic, and over speech, the frames are needed; which of them hold speech only for the latter."""
    encoder = load_encoder(source("whisper"), engine="onnx")
    spoken = load_encoder(source("whisper"), engine="onnx", frames="speech")
    batch = pad([noise(0.4)])
    with torch.no_grad():
        for wanted, frames, tells_speech in (
            (("mean",), 1, False),
            (("std",), 20, False),
            (("mean", "speech_mean"), 20, True),
            (None, 20, True),
        ):
            with pooled_by(encoder, wanted):
                encoded = encoder(*batch)
            assert encoded.hidden.shape[2] == frames and (encoded.speech is not None) == tells_speech
        with pooled_by(spoken, ("mean",)):
            assert spoken(*batch).hidden.shape[2] == 20


def test_layers_behind_the_last_one_needed_are_not_computed(source, cache):
    encoder = load_encoder(source("whisper"), engine="onnx")
    mel = torch.zeros(1, encoder.conv1.in_channels, 40)
    whole, part = encoder.engines.engine.run([mel]), encoder.engines.engine.run([mel], 0)
    assert len(whole) == encoder.layers and len(part) == 1
    assert len(encoder.engines.engine.sessions[1, False].get_outputs()) == 1, "of a whole graph all is computed"
    torch.testing.assert_close(part, whole[:1])


@pytest.mark.parametrize("name", ["hubert-base", "whisper"])
def test_an_encoder_that_stops_early_when_it_is_exported(source, measured, name):
    """The graph has all layers nevertheless, and serves encoders that stop elsewhere."""
    early, later, plain = (
        load_encoder(source(name)),
        load_encoder(source(name)),
        load_encoder(source(name), engine="torch"),
    )
    early.stop_after(1)
    first, whole, expected = (layers(encoder, noise(0.4)) for encoder in (early, later, plain))
    assert early.engines.engine and later.engines.engine and early.last_layer == 1
    assert len(first) == 2 and len(whole) == plain.layers
    torch.testing.assert_close(first, whole[:2])
    torch.testing.assert_close(whole, expected, atol=1e-4, rtol=1e-4)


def test_the_graph_of_the_first_layers_is_cut_once(source, measured, tmp_path, monkeypatch):
    import onnx.utils

    cuts, cut = [], onnx.utils.Extractor
    monkeypatch.setattr(onnx.utils, "Extractor", lambda model: cuts.append(1) or cut(model))

    def first_layers():
        encoder = load_encoder(source("whisper"))
        encoder.stop_after(0)
        return layers(encoder, noise(0.4))

    expected = first_layers()
    assert torch.equal(first_layers(), expected) and len(cuts) == 1
    (part,) = (tmp_path / "onnx").glob("whisper-*.1.onnx")
    part.write_bytes(part.read_bytes()[:1000])
    assert torch.equal(first_layers(), expected) and len(cuts) == 2, "a damaged one is made anew"


def test_openvino_on_real_weights_and_up_to_a_layer(shared, cache):
    pytest.importorskip("openvino")
    if not machine.has_bf16():
        pytest.skip("this processor has no bf16")
    folder = shared / "weights" / "whisper-base"
    plain, quick = (load_encoder(folder, engine=engine) for engine in ("torch", "openvino"))
    assert quick.options["engine"] == "openvino"
    for wave in (noise(0.02), noise(0.7, 1), noise(2.0, 2)):
        expected, hidden = layers(plain, wave), layers(quick, wave)
        cosine = torch.nn.functional.cosine_similarity(hidden.flatten(1), expected.flatten(1), dim=1)
        assert cosine.min() > 0.998, "of noise; speech is nearer"
    mel = torch.zeros(1, 80, 40)
    part = quick.engines.engine.run([mel], 2)
    assert len(part) == 3
    torch.testing.assert_close(part, quick.engines.engine.run([mel])[:3], atol=0.1, rtol=0.1)


def test_openvino_that_gives_other_features_is_refused(source, cache, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(_engines, "has_bf16", lambda: True)
    monkeypatch.setitem(_engines.LEAST_COSINE, "openvino", 1.1)
    with pytest.raises(UserError, match=r"engine openvino: features of this encoder differ .*; give engine=torch"):
        load_encoder(source("whisper"), engine="openvino")


def test_exact_engines_share_a_store_and_others_do_not(source, cache, tmp_path):
    words = ["auto", "torch", "onnx", "onnx-int8"] + ["torch-bf16"] * machine.has_bf16()
    folders = {word: FeatureStore(tmp_path, load_encoder(source("whisper"), engine=word)).folder for word in words}
    assert folders["auto"] == folders["torch"] == folders["onnx"]
    assert len(set(folders.values())) == len(words) - 2


def test_auto_is_measured_once_told_once_and_remembered(source, measured, capsys):
    encoder, plain = load_encoder(source("whisper")), load_encoder(source("whisper"), engine="torch")
    assert not measured, "nothing is measured before a clip comes"
    for _ in range(2):
        torch.testing.assert_close(layers(encoder, noise(0.5)), layers(plain, noise(0.5)), atol=1e-4, rtol=1e-4)
    assert encoder.engines.engine is not None and plain.engines.engine is None
    _engines._fastest.cache_clear()  # as another process
    assert _engines.fastest_engine() == "onnx" and measured == ["engine"]
    assert capsys.readouterr().err.count("note: engine onnx") == 2, "once a process"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"choice": "fast"}', b"\xff\xfe"])
def test_a_damaged_measurement_is_made_again(measured, tmp_path, content):
    assert _engines.fastest_engine() == "onnx"
    (path,) = (tmp_path / "machine").iterdir()
    path.write_bytes(content)
    _engines._fastest.cache_clear()
    assert _engines.fastest_engine() == "onnx" and len(measured) == 2


def test_auto_leaves_trained_changed_and_copied_encoders_to_torch(source, measured):
    encoder = load_encoder(source("whisper"))
    wave, lengths = torch.from_numpy(noise(0.5))[None], torch.tensor([8000])
    assert encoder.encode(wave, lengths)[0].requires_grad, "gradients flow"
    encoder.train()(wave, torch.ones_like(wave, dtype=torch.bool))
    encoder.eval()
    with torch.no_grad():
        assert encoder.engines.engine_for(encoder, wave) is not None
        for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
            assert other.engines.engine_for(other, wave) is None
        encoder.layer_norm.bias.add_(1.0)
        changed = encoder.encode(wave, lengths)[0]
        assert encoder.engines.engine_for(encoder, wave) is None
        plain = load_encoder(source("whisper"), engine="torch").encode(wave, lengths)[0]
    assert (changed[-1] - plain[-1]).mean() > 0.9


def test_without_the_package_auto_is_torch(source, measured, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert _engines.fastest_engine() == "torch" and not measured
    assert layers(load_encoder(source("whisper")), noise(0.3)).isfinite().all()


def test_a_graph_that_cannot_be_made_leaves_auto_with_torch_and_says_so(source, measured, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(_engines._onnx, "write_graph", fail)
    encoder = load_encoder(source("whisper"))
    assert layers(encoder, noise(0.3)).isfinite().all()
    layers(encoder, noise(0.3))
    assert capsys.readouterr().err.count("note: engine torch: whisper cannot be run by onnx (no such operator)") == 1


@pytest.mark.parametrize("engine", ["openvino", "torch-bf16"])
def test_a_processor_without_bf16(source, monkeypatch, engine):
    monkeypatch.setattr(_engines, "has_bf16", lambda: False)
    with pytest.raises(UserError, match=rf"engine {engine}: this processor has no bf16 .*; give engine=onnx"):
        load_encoder(source("whisper"), engine=engine)


def test_without_openvino_the_error_says_what_to_install(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(_engines, "has_bf16", lambda: True)
    with pytest.raises(UserError, match=r"needs the package openvino: pip install 'emobridge\[openvino\]'"):
        load_encoder(source("whisper"), engine="openvino")


def test_an_engine_that_the_environment_misspells(monkeypatch):
    monkeypatch.setenv("EMOBRIDGE_ENGINE", "onx")
    with pytest.raises(UserError, match="EMOBRIDGE_ENGINE: expected torch or onnx, got 'onx'"):
        _engines.fastest_engine()


def _sum_of_layers(folder, results):
    results.put(float(layers(load_encoder(folder, engine="onnx"), noise(0.3)).sum()))


@pytest.mark.slow
def test_two_processes_export_at_the_same_time(source, measured, tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    processes = [context.Process(target=_sum_of_layers, args=(source("whisper"), results)) for _ in range(2)]
    for process in processes:
        process.start()
    sums = [results.get() for _ in processes]
    for process in processes:
        process.join()
    assert sums[0] == sums[1] and len(list((tmp_path / "onnx").iterdir())) == 1


def test_the_measurement_itself(cache):
    assert _engines._measure() in ("torch", "onnx")


def test_training_precision_is_measured_only_where_the_processor_has_bf16(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOBRIDGE_PRECISION", "")
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path))
    measured = []
    monkeypatch.setattr(machine, "_measure_training", lambda: measured.append(1) or "bf16")
    for has, expected in ((False, "fp32"), (True, "bf16"), (True, "bf16")):
        monkeypatch.setattr(machine, "has_bf16", lambda has=has: has)
        machine.training_precision.cache_clear()
        assert machine.training_precision() == expected
    assert len(measured) == 1
    machine.training_precision.cache_clear()


@pytest.mark.slow
def test_the_measurement_of_training():
    assert machine._measure_training() in ("fp32", "bf16")
