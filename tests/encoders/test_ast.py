from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from transformers import ASTFeatureExtractor, AutoFeatureExtractor, AutoModel

from emobridge.bundle import made_head
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.methods.base import Labelled, Task
from emobridge.methods.source_only import SourceOnly
from emobridge.training.inputs import FrontEnd, Recordings
from emobridge.training.loop import Plan, fit
from emobridge.types import SAMPLE_RATE, Utterance

TINY = {"hidden_size": 8, "layers": 2, "heads": 2, "max_length": 48}


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.9])
def test_agrees_with_transformers(source, seconds):
    wave = noise(seconds) + 0.2
    extractor = ASTFeatureExtractor.from_pretrained(source("ast"))
    values = extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
    encoder = load_encoder(source("ast"))
    frames = torch.tensor([1 + (len(wave) - 400) // 160])
    torch.testing.assert_close(encoder.spectrogram(torch.from_numpy(wave)[None], frames), values, atol=2e-4, rtol=0)
    theirs = AutoModel.from_pretrained(source("ast")).eval()
    with torch.no_grad():
        expected = theirs(values, output_hidden_states=True)
        layers = encoder(*pad([wave]))
    assert len(layers.hidden) == len(expected.hidden_states) == 3
    count = layers.hidden.shape[2]
    assert count == 1 + (int(frames) - 16) // 10
    for got, state in zip(layers.hidden, (*expected.hidden_states[:-1], expected.last_hidden_state)):
        patches = state[0, 2:].reshape(12, 18, 16)[:, :count].mean(0)
        torch.testing.assert_close(got[0], patches, atol=1e-3, rtol=1e-3)


def test_the_front_end_agrees_on_real_speech(shared):
    path = next((shared / "corpora" / "ravdess").rglob("*.flac"))
    wave, _ = soundfile.read(path, dtype="float32")
    expected = ASTFeatureExtractor()(wave, sampling_rate=SAMPLE_RATE, return_tensors="np").input_values
    encoder = load_encoder("ast", **{**TINY, "max_length": 1024})
    got = encoder.spectrogram(torch.from_numpy(wave)[None], torch.tensor([1 + (len(wave) - 400) // 160]))
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_from_scratch_with_the_published_sizes():
    encoder = load_encoder("ast", layers=1)
    assert encoder.window == 10.24 and encoder.width == 768 and encoder.frame_rate == 10.0
    assert encoder.model.embeddings.position_embeddings.shape == (1, 1214, 768)
    assert encoder.model.layers[0].mlp.fc1.out_features == 3072
    assert encoder.options == {
        "max_length": 1024,
        "hidden_size": 768,
        "layers": 1,
        "heads": 12,
        "weights": "random",
        "seed": 0,
    }


def test_seeds_give_other_weights():
    digests = [load_encoder("ast", seed=seed, **TINY).digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"heads": 3, "hidden_size": 16}, "hidden_size 16 of encoder ast: expected a multiple of its 3 heads"),
        ({"max_length": 8}, "max_length 8 of encoder ast: expected a whole number from 16"),
        ({"layers": -1}, "layers -1 of encoder ast"),
        ({"hidden_size": "wide"}, "encoder ast: hidden_size: expected a whole number, got 'wide'"),
        ({"lairs": 2}, "did you mean 'layers'"),
    ],
)
def test_bad_sizes(options, match):
    with pytest.raises(UserError, match=match):
        load_encoder("ast", **options)


def test_a_folder_has_its_own_sizes(source):
    with pytest.raises(UserError, match=r"layers of encoder ast: cannot be set for .*, which has its own"):
        load_encoder(source("ast"), layers=3)


def test_it_is_trained_end_to_end_from_recordings(tmp_path):
    """Every weight moves, through the loop that trains."""
    utterances = []
    for number in range(8):
        hertz = 200 if number % 2 else 1500
        wave = np.sin(2 * np.pi * hertz * np.arange(6000) / SAMPLE_RATE) + noise(0.375, number)
        soundfile.write(tmp_path / f"{number}.wav", 0.3 * wave, SAMPLE_RATE)
        path = str(tmp_path / f"{number}.wav")
        utterances.append(Utterance(str(number), "c", path, speaker=str(number // 2)))
    encoder = load_encoder("ast", seed=1, **TINY)
    before = {name: tensor.clone() for name, tensor in encoder.named_parameters()}
    front = FrontEnd(encoder, (2,), ("mean",), crop=0.375)
    inputs = Recordings(front, utterances, domain_of=[0] * 8, corpora=(("c", "en"),), target=1)
    task = Task(inputs, 2, Labelled(torch.arange(8), torch.arange(8) % 2), None, None)
    log = fit(
        task, SourceOnly(), made_head("linear", (), 8, 2), Plan(epochs=15, batch_size=4, learning_rate=0.01), seed=0
    )
    still = [name for name, tensor in encoder.named_parameters() if torch.equal(tensor, before[name])]
    assert not still
    losses = [point.value for point in log if "loss" in point.term or "entropy" in point.term]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    "settings", [{"do_normalize": False}, {"mean": -5.0, "std": 3.0}, {}], ids=["raw", "moments", "usual"]
)
@pytest.mark.parametrize("nested", [True, False])
def test_the_spectrogram_is_standardised_as_the_preprocessor_says(source, tmp_path, settings, nested):
    folder = shutil.copytree(source("ast"), tmp_path / "model")
    extractor = ASTFeatureExtractor(max_length=192, **settings)
    extractor.save_pretrained(folder)
    if nested:  # as release 5 saves it within a processor
        content = {"feature_extractor": json.loads((folder / "preprocessor_config.json").read_text())}
        (folder / "processor_config.json").write_text(json.dumps(content))
        (folder / "preprocessor_config.json").write_text(json.dumps({"mean": 7.0}))
    wave = (0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype(np.float32)
    expected = AutoFeatureExtractor.from_pretrained(folder)(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    encoder = load_encoder(folder)
    got = encoder.spectrogram(torch.from_numpy(wave)[None], torch.tensor([98]))
    torch.testing.assert_close(got, expected.input_values, atol=1e-3, rtol=0)
    assert ("mean" in encoder.options) == bool(settings)


def test_a_preprocessor_of_other_sizes_is_one_line(source, tmp_path):
    folder = shutil.copytree(source("ast"), tmp_path / "model")
    for content, message in (
        ({"num_mel_bins": 64}, "num_mel_bins 64; expected 128"),
        ({"std": 0}, "std 0; expected a number above 0"),
        ({"mean": "low"}, "mean 'low'; expected a number"),
    ):
        (folder / "preprocessor_config.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match=message):
            load_encoder(folder)


def test_the_two_tokens_of_a_clip(source):
    plain, encoder = load_encoder("ast", **TINY), load_encoder("ast", **TINY, tokens=True)
    wave, mask = torch.randn(2, 3200), torch.ones(2, 3200, dtype=torch.bool)
    layers = encoder(wave, mask)
    assert layers.hidden.shape[1:3] == (2, 1) and encoder.frame_rate == 0
    frames = plain.spectrogram(wave, torch.tensor([18, 18]))
    out = plain.model(frames, output_hidden_states=True)
    expected = nn.functional.layer_norm(out.last_hidden_state[:, :2].mean(1), (plain.width,))
    torch.testing.assert_close(layers.hidden[-1, :, 0], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(layers.hidden[0, :, 0], out.hidden_states[0][:, :2].mean(1), atol=1e-5, rtol=1e-4)
    assert encoder.digest != plain.digest and encoder.options["tokens"] is True
    with pytest.raises(UserError, match="tokens of encoder ast: cannot be set"):
        load_encoder(source("ast"), tokens=True)


def test_positions_and_tokens_begin_as_their_authors_draw_them():
    embeddings = load_encoder("ast", **TINY).model.embeddings
    for name in ("position_embeddings", "cls_token", "distillation_token"):
        values = getattr(embeddings, name).detach()
        assert 0 < values.abs().max() <= 2 and float(values.std()) == pytest.approx(0.02, rel=0.5), name


def test_masks_of_the_spectrogram_are_of_training_alone():
    encoder = load_encoder("ast", **TINY, frequency_mask=48, time_mask=8)
    wave, frames = torch.randn(64, 16000), torch.full((64,), 98).clamp(max=encoder.max_length)
    whole = encoder.spectrogram(wave, frames)
    torch.testing.assert_close(load_encoder("ast", **TINY).spectrogram(wave, frames), whole)
    encoder.train()
    torch.manual_seed(0)
    cut = encoder.spectrogram(wave, frames) != whole
    bands, stretches = cut.all(1).sum(1), cut.all(2).sum(1)
    assert bands.max() < 48 and bands.float().mean() == pytest.approx(23.5, abs=5) and len(bands.unique()) > 10
    assert stretches.max() < 8 and stretches.float().mean() == pytest.approx(3.5, abs=1)
    zero = -encoder.moments[0] / (2 * encoder.moments[1])
    torch.manual_seed(0)
    torch.testing.assert_close(encoder.spectrogram(wave, frames)[cut], torch.full((int(cut.sum()),), zero))
