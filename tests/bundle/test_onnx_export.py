"""A graph of ONNX answers as `predict` does, for every encoder, head and adapter, or is refused in one line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from emobridge import registry
from emobridge.bundle import bundle_digest, onnx_graph, onnx_parity
from emobridge.bundle.onnx_parity import bundle_answer
from emobridge.data.audio import read_audio
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.heads.base import Head
from emobridge.types import SAMPLE_RATE

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
onnx = pytest.importorskip("onnx", reason="needs the extra `onnx`")

FAMILIES = ("hubert-base", "hubert-large", "wav2vec2-base", "wav2vec2-large", "wavlm-base", "wavlm-large")
ENCODERS = ("ast", "byol-s", "emotion-cnn", *FAMILIES, "logmel", "whisper")  # of plug-ins that have a graph
REFUSED_ENCODERS = {"opensmile", "prosody"}  # computed by a library, and by steps of numpy
REFUSED_HEADS = {"ensemble"}  # a last digit may send an utterance to another leaf of a tree
HEADS = tuple(name for name in registry.names("heads") if name not in REFUSED_HEADS)
ONE_LAYER = ("byol-s", "emotion-cnn", "logmel")
# Seconds and peaks: shorter than any clip of the export, silent, quiet, loud.
CLIPS = ((0.31, 0.5), (0.4, 0.0), (1.0, 1e-3), (1.83, 1.0))


def clip(seconds: float, peak: float, seed: int = 5) -> np.ndarray:
    """(T,): noise that comes and goes about a tone."""
    rng = np.random.default_rng(seed)
    axis = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * 220 * axis) * np.clip(np.sin(17 * axis), 0, 1) + 0.02 * rng.standard_normal(len(axis))
    return (peak * wave / np.abs(wave).max()).astype(np.float32)


def session_of(folder) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(folder / "model.onnx"))


def answer(session, wave: np.ndarray) -> list[np.ndarray]:
    """Each output for clips (B, T) or (T,)."""
    return session.run(None, {"waveform": np.atleast_2d(wave)})


def check_like_predict(recognizer, folder, tolerance=1e-4, **options) -> None:
    session = session_of(folder)
    for seconds, peak in CLIPS:
        wave = clip(seconds, peak)
        (row,) = recognizer.predict(wave, sample_rate=SAMPLE_RATE, segments="whole", **options)
        got = dict(zip([output.name for output in session.get_outputs()], answer(session, wave)))
        if row.probabilities:
            assert np.abs(got["probabilities"][0] - row.probabilities).max() <= tolerance, (seconds, peak)
        if row.attributes:
            assert np.abs(got["attributes"][0] - row.attributes).max() <= tolerance * 4, (seconds, peak)
        assert row.probabilities or row.attributes, "predict answered nothing"


def options_of(encoder: str) -> dict:
    layer = "0" if encoder in ONE_LAYER else "1+2"
    statistics = {"byol-s": ("mean_max",), "logmel": ("mean", "std")}.get(encoder, ("mean",))
    return {"name": encoder, "adapters": None, "layer": layer, "statistics": statistics}


@pytest.fixture(scope="module")
def plain(made, tmp_path_factory):
    """A recogniser of whisper without adapters, and the folder of its graph."""
    folder = tmp_path_factory.mktemp("plain")
    recognizer = made("xx", adapters=None)
    recognizer.to_onnx(folder)
    return recognizer, folder


@pytest.fixture
def exported(made, tmp_path, all_speech):
    """A function that makes a recogniser and its graph, and compares it with `predict`."""

    def export(**options):
        recognizer = made("xx", **options)
        recognizer.encoder.window = min(recognizer.encoder.window, 2.0)  # so that made sounds are short
        result = recognizer.to_onnx(tmp_path / "out")
        assert result.parity.difference <= 1e-4
        check_like_predict(recognizer, tmp_path / "out")
        return recognizer

    return export


def test_every_encoder_and_head_is_exported_or_refused():
    families = {"hf-ssl" if name in FAMILIES else name for name in ENCODERS}
    assert families | REFUSED_ENCODERS == set(registry.names("encoders"))
    assert {name for name in families | REFUSED_ENCODERS if registry.load("encoders", name).has_graph} == families
    assert {name for name in registry.names("heads") if not registry.load("heads", name).has_graph} == REFUSED_HEADS


# Representatives of the sweeps below.
@pytest.mark.parametrize(
    "options",
    [
        {"adapters": "lora+bottleneck+gating", "words": ("lora.r=2",), "statistics": ("speech_mean",)},
        {**options_of("logmel"), "head": "discriminant", "attributes": ("arousal", "valence")},
        {**options_of("wavlm-base"), "frames": True, "head": "attentive", "temperature": 1.7},
        pytest.param(
            {**options_of("ast"), "head": "nonlinear", "normalise": "speaker", "statistics": ("std", "mean")},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["whisper-adapters", "logmel-attributes", "wavlm-frames", "ast"],
)
def test_representatives(exported, options):
    exported(**options)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_with_every_head(exported, encoder, head):
    exported(**options_of(encoder), head=head)


@pytest.mark.slow
@pytest.mark.parametrize("head", [name for name in HEADS if registry.load("heads", name).needs_frames])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_with_every_head_of_frames(exported, encoder, head):
    options = options_of(encoder)
    exported(**{**options, "statistics": options["statistics"][:1]}, head=head, frames=True)


@pytest.mark.slow
@pytest.mark.parametrize("adapters", [*registry.names("adapters"), "lora+bottleneck+gating+layer-sum"])
@pytest.mark.parametrize("encoder", [*FAMILIES, "whisper"])
def test_every_encoder_with_every_adapter(exported, encoder, adapters):
    words = ("lora.r=2",) if "lora" in adapters else ()
    exported(name=encoder, adapters=adapters, words=words)


@pytest.mark.slow
@pytest.mark.parametrize("statistics", [("mean",), ("std",), ("speech_mean",), ("mean", "std")])
@pytest.mark.parametrize("encoder", [*FAMILIES, "whisper"])
def test_every_statistic(exported, encoder, statistics):
    exported(name=encoder, adapters=None, layer="2", statistics=statistics)


def test_two_views_of_two_layers_whose_logits_are_averaged(made, tmp_path, all_speech):
    """Mean and mean over speech stand as layers beside each other, as closed forms have it."""
    views = {"head": "ridge", "head_options": ("views=2",)}
    recognizer = made("xx", adapters=None, statistics=("mean", "speech_mean"), **views)
    width = recognizer.encoder.width
    domains = [
        replace(domain, mean=domain.mean.reshape(-1, width), deviation=domain.deviation.reshape(-1, width))
        for domain in recognizer.domains
    ]
    recognizer.branches = (replace(recognizer.last, domains=tuple(domains)),)
    recognizer.to_onnx(tmp_path)
    check_like_predict(recognizer, tmp_path)


def test_clips_of_one_length_are_answered_together(plain):
    session = session_of(plain[1])
    clips = np.stack([clip(1.2, peak) for peak in (0.5, 0.0, 1e-3)])
    alone = np.concatenate([answer(session, wave)[0] for wave in clips])
    np.testing.assert_allclose(answer(session, clips)[0], alone, atol=1e-6)
    assert np.ptp(alone, axis=0).max() > 1e-3, "the clips differ"


@pytest.mark.parametrize("samples", [1, 159, 400, 2 * SAMPLE_RATE])
def test_the_shortest_and_the_longest_clip(plain, samples):
    recognizer, folder = plain
    wave = clip(2.0, 0.5)[None, :samples]
    graph = onnx_graph.AnswerGraph(recognizer.encoder, recognizer.last, recognizer.domain(), recognizer.scale)
    expected = bundle_answer(graph, wave)["probabilities"]
    np.testing.assert_allclose(answer(session_of(folder), wave)[0], expected, atol=1e-5)


def test_a_longer_clip_than_the_encoder_takes_is_refused_by_the_runtime(plain):
    session = session_of(plain[1])
    answer(session, clip(2.0, 0.5))
    with pytest.raises(Exception, match="at_most_32000_samples"):
        answer(session, clip(2.001, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["ast", "hubert-base", "logmel"])
def test_every_family_has_a_longest_clip(made, tmp_path, encoder):
    recognizer = made("xx", **options_of(encoder))
    recognizer.encoder.window = 1.5
    recognizer.to_onnx(tmp_path)
    answer(session_of(tmp_path), clip(1.5, 0.5))
    with pytest.raises(Exception, match="at_most_24000_samples"):
        answer(session_of(tmp_path), clip(1.501, 0.5))


def test_the_facts_are_in_the_file_and_beside_it(made, tmp_path):
    recognizer = made("xx", attributes=("arousal",), attribute_range="1..7", synthetic=True)
    result = recognizer.to_onnx(tmp_path)
    facts = json.loads((tmp_path / "labels.json").read_text())
    assert facts["labels"] == ["anger", "sadness", "neutral"] and facts["attributes"] == ["arousal"]
    assert facts["attribute_scale"] == [1.0, 7.0] and facts["synthetic"] is True
    assert (facts["sample_rate"], facts["shortest_seconds"], facts["longest_seconds"]) == (16000, 0.3, 2.0)
    assert facts["licences"]["ravdess"] == "CC BY-NC-SA 4.0" and facts["language"] == "xx"
    stored = session_of(tmp_path).get_modelmeta().custom_metadata_map
    assert stored.keys() == facts.keys()
    assert all(
        value == (stored[key] if isinstance(value, str) else json.loads(stored[key])) for key, value in facts.items()
    )
    assert result.path == tmp_path / "model.onnx" and result.size == result.path.stat().st_size
    page = (tmp_path / "README.md").read_text()
    assert "SYNTHETIC" in page and "anger, sadness, neutral" in page and "at most" not in page


@pytest.mark.slow
def test_the_language_picks_the_branch_and_its_moments(made, tmp_path, all_speech):
    first = made("nl", adapters=None)
    joined = first.join(made("fr", seed=1, adapters=None, encoder=first.encoder))
    for language in ("nl", "fr", "en"):
        result = joined.to_onnx(tmp_path / language, language=language)
        assert result.language == ("fr" if language == "en" else language)
        check_like_predict(joined, tmp_path / language, language=language)
    assert (tmp_path / "nl" / "model.onnx").read_bytes() != (tmp_path / "fr" / "model.onnx").read_bytes()
    joined.to_onnx(tmp_path / "last")
    wave = clip(1.0, 0.5)
    by_default, last = (answer(session_of(tmp_path / name), wave)[0] for name in ("last", "fr"))
    assert np.array_equal(by_default, last)
    with pytest.raises(UserError, match="'zz'"):
        joined.to_onnx(tmp_path / "none", language="zz")
    assert not (tmp_path / "none").exists()


def test_the_encoder_is_as_before(made, tmp_path):
    recognizer = made("xx")
    before = {name: tensor.clone() for name, tensor in recognizer.encoder.state_dict().items()}
    recognizer.to_onnx(tmp_path)
    after = recognizer.encoder.state_dict()
    assert before.keys() == after.keys() and not recognizer.last.adapters.merged
    assert all(torch.allclose(tensor, after[name], atol=1e-6) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"name": "prosody", "layer": "0"},
            "encoder prosody computes what ONNX has no operations for; train with ast, ",
        ),
        ({"prosody": True}, "prosody is computed by .*; train without --prosody"),
        ({"head": "ensemble"}, "head ensemble votes by trees, .*; train with another, such as discriminant"),
    ],
)
def test_what_cannot_be_in_a_graph_is_one_line(made, tmp_path, options, match):
    with pytest.raises(UserError, match=f"^to-onnx: {match}"):
        made("xx", adapters=None, **options).to_onnx(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_engines_and_large_encoders_are_refused(made, tmp_path, monkeypatch):
    recognizer = made("xx", adapters=None)
    monkeypatch.setattr(recognizer.encoder, "engine_choice", "onnx-int8")
    with pytest.raises(UserError, match="engine onnx-int8 rounds the features"):
        recognizer.to_onnx(tmp_path / "out")
    monkeypatch.setattr(recognizer.encoder, "engine_choice", "auto")
    monkeypatch.setattr(onnx_graph, "GRAPH_BYTES", 1000)
    with pytest.raises(UserError, match=r"encoder whisper has 0.0 GB of weights up to layer 1\+2, .* 2 at most"):
        recognizer.to_onnx(tmp_path / "out")


def test_blocks_behind_the_last_layer_do_not_count(made):
    recognizer = made("xx", adapters=None, layer="1")
    (unused,) = onnx_graph.unused_blocks(recognizer.encoder, recognizer.last)
    assert unused is recognizer.encoder.blocks[1]


def test_a_graph_that_answers_otherwise_is_not_written(plain, monkeypatch):
    recognizer, folder = plain
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    answers = onnx_parity.bundle_answer
    monkeypatch.setattr(
        onnx_parity, "bundle_answer", lambda *given: {key: value + 2e-4 for key, value in answers(*given).items()}
    )
    with pytest.raises(UserError, match=r"differs from the bundle by 2.0e-04 on made sounds.*nothing is written"):
        recognizer.to_onnx(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_command_says_how_near_and_how_large_the_file_is(plain, cli, tmp_path):
    bundle = plain[0].save(tmp_path / "bundle", "---\nlicense: other\n---\n\n# The card\n")
    done = cli("to-onnx", bundle, tmp_path / "out")
    assert done.code == 0, done.err
    first, second, third = done.out.splitlines()
    assert first.startswith(f"{tmp_path / 'out' / 'model.onnx'}: xx, ") and first.endswith(" MB")
    assert second.startswith("largest difference from the bundle: ") and "made sounds" in second
    assert third.startswith("CPU seconds a second of sound: ")
    assert json.loads((tmp_path / "out" / "labels.json").read_text())["bundle"] == bundle_digest(bundle)
    page = (tmp_path / "out" / "README.md").read_text()
    assert page.startswith("---\nlicense: other\n---\n\n# Emotions in speech (xx)") and page.endswith("# The card\n")
    refused = cli("to-onnx", bundle, bundle / "bundle.json")
    assert refused.code == 2 and "is a file; expected a folder" in refused.err


def test_real_clips_are_answered_as_by_predict(shared, made, tmp_path):
    encoder = load_encoder(shared / "weights" / "whisper-tiny.en")
    statistics = ("mean", "std", "speech_mean")
    recognizer = made("xx", adapters=None, encoder=encoder, layer="1+3", statistics=statistics, head="discriminant")
    assert recognizer.to_onnx(tmp_path).parity.difference <= 1e-4
    session = session_of(tmp_path)
    for path in sorted((shared / "corpora" / "emodb").rglob("*.flac"))[::120]:
        wave = read_audio(str(path))
        (row,) = recognizer.predict(path, segments="whole", detector="energy")
        assert np.abs(answer(session, wave)[0][0] - row.probabilities).max() <= 1e-4, path.name


class Choosing(Head):
    """A head whose steps ONNX does not have."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.output = torch.nn.Linear(width, classes)

    def represent(self, frames, mask):
        return torch.linalg.matrix_exp(frames.mT @ frames)[:, 0]


def test_a_head_of_ones_own_without_a_graph_is_one_line(made, tmp_path):
    recognizer = made("xx", adapters=None)
    width = recognizer.head.output.in_features
    recognizer.branches = (replace(recognizer.last, head=Choosing(width, 3)),)
    with pytest.raises(UserError, match="head choosing makes no graph that ONNX Runtime can run") as caught:
        recognizer.to_onnx(tmp_path)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_one_line(made, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"to-onnx needs the package {package}: pip install 'emobridge\[onnx\]'"):
        made("xx", adapters=None).to_onnx(tmp_path / "out")
