"""A recogniser's windows: statistics as those of each stretch by itself, and answers as those of `predict`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from emobridge.data.prosody import prosody
from emobridge.diarization.base import FrameModel
from emobridge.diarization.windowed import WindowedRecognizer, sliding_statistics
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.pooling import pool
from emobridge.inference.predict import predict
from emobridge.types import SAMPLE_RATE, Layers, Utterance

EVERY = ("mean", "std", "max", "mean_max", "speech_mean")


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32)


def spoken(language: str) -> Utterance:
    return Utterance("u", "files", "u.wav", language=language)


@pytest.mark.parametrize("frames", [1, 7, 40])
@pytest.mark.parametrize(("block", "half"), [(1, 0), (1, 3), (5, 0), (5, 2), (8, 40)])
@pytest.mark.parametrize("over_speech", [False, True])
def test_statistics_are_those_of_each_stretch_by_itself(frames, block, half, over_speech):
    generator = torch.Generator().manual_seed(frames)
    hidden = torch.randn(2, 1, frames, 3, generator=generator)
    speech = torch.rand(1, frames, generator=generator) < 0.3
    mask = torch.ones(1, frames, dtype=torch.bool)
    layers = Layers(hidden, mask, 50.0, speech, over_speech)
    pooled = sliding_statistics(layers, EVERY, block, half)
    assert pooled.shape == (2, -(-frames // block), 3 * len(EVERY))
    for number in range(pooled.shape[1]):
        span = slice(max(0, (number - half) * block), (number + half + 1) * block)
        inside = speech[:, span] if speech[:, span].any() else mask[:, span]
        part = Layers(hidden[:, :, span], mask[:, span], 50.0, inside, over_speech)
        assert torch.allclose(pooled[:, number], pool(part, EVERY)[:, 0], atol=1e-5)


@pytest.mark.parametrize("encoder", ["whisper", "hubert-base", "byol-s", "logmel", "emotion-cnn", "ast"])
def test_every_encoder_of_frames_answers_in_the_shape_of_the_protocol(made, encoder):
    statistics = {"logmel": ("mean", "std"), "byol-s": ("mean_max",)}.get(encoder, ("mean",))
    layer = "1+2" if encoder in ("whisper", "hubert-base") else "0"
    model = WindowedRecognizer(made("de", name=encoder, adapters="", layer=layer, statistics=statistics))
    assert isinstance(model, FrameModel) and model.labels == ("anger", "sadness", "neutral")
    for seconds in (0.001, 0.13, 1.0, 1.9, model.longest):
        values = model.frame_probabilities(sound(seconds))
        assert values.shape == (max(1, round(seconds * model.frame_rate)), 3)
        assert np.allclose(values.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"statistics": ("mean", "std")}, {"temperature": 3.0}, {"prosody": True}])
def test_a_clip_within_one_stretch_is_answered_as_predict_answers_it(made, changes, tmp_path, all_speech):
    import soundfile

    recognizer = with_prosody(made) if "prosody" in changes else made("de", **changes)
    wave = sound(0.31)
    soundfile.write(tmp_path / "a.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    model = WindowedRecognizer(recognizer)
    for about in ({}, {"language": "en"}, {"corpus": "ravdess"}, {"language": "de"}):
        utterance = dataclasses.replace(Utterance("a", "files", str(tmp_path / "a.wav")), **about)
        (expected,) = predict(recognizer, [utterance])
        values = model.answering(utterance, 2.0).frame_probabilities(wave)
        assert values[1] == pytest.approx(expected.probabilities, abs=1e-5)
    languages = {tuple(model.answering(spoken(tag), 2.0).frame_probabilities(wave)[0]) for tag in ("en", "de")}
    assert len(languages) == 2, "each language has moments of its own"


def with_prosody(made):
    """A recogniser with prosody beside its features, from one without."""
    from emobridge.bundle import Recognizer, made_head
    from emobridge.features.normalisation import Domain

    plain = made("de", adapters="")
    spec, count = dataclasses.replace(plain.spec, prosody=True), len(prosody(sound(0.5)))
    shape = (2, plain.encoder.width + count)
    domains = [Domain(*names, torch.randn(shape), torch.rand(shape) + 0.5, prosody=count) for names in spec.domains]
    head = made_head("single", (), shape[0] * shape[1], 3)
    return Recognizer(spec, plain.encoder, domains, head)


def test_heads_of_frames_see_the_frames_of_each_stretch(made):
    recognizer = made("de", adapters="", frames=True)
    model, wave = WindowedRecognizer(recognizer), sound(2.0)
    values = model.frame_probabilities(wave)
    layers = recognizer.encoder(torch.from_numpy(wave)[None], torch.ones(1, len(wave), dtype=torch.bool))
    frames = layers.hidden[1:, 0].transpose(0, 1).flatten(1)  # (100, 2 * 16); a block is 5 frames, a stretch 7 blocks
    expected = recognizer.last.answers_to_frames(frames[None, 35:70], recognizer.domain())[0]
    assert values[10] == pytest.approx(expected.tolist(), abs=1e-5)


def test_each_language_has_its_branch_with_its_adapters(made):
    first, second = made("de"), made("it", seed=1)
    joined = first.join(second)
    model, wave = WindowedRecognizer(joined), sound(1.0)
    assert model.language == "it"
    for single, language in ((first, "de"), (second, "it")):
        expected = WindowedRecognizer(single).frame_probabilities(wave)
        chosen = model.answering(spoken(language), 2.0)
        assert chosen.language == language
        assert np.allclose(chosen.frame_probabilities(wave), expected, atol=1e-5)
    assert model.answering(spoken("und"), 2.0).language == "it"
    with pytest.raises(UserError, match="language 'fr': not one of this recogniser's"):
        model.answering(spoken("fr"), 2.0)


class Lone(Encoder):
    """One frame a clip."""

    layers, width = 1, 4

    def encode(self, wave, lengths):
        return torch.zeros(1, len(wave), 1, 4), torch.ones_like(lengths)


def test_recognisers_that_cannot_are_refused_in_a_line(made):
    with pytest.raises(UserError, match="tells attributes alone"):
        WindowedRecognizer(made("de", labels=(), attributes=("arousal",)))
    lone = made("de", encoder=Lone.open(None), adapters="", layer="0")
    with pytest.raises(UserError, match="encoder lone yields one frame a clip"):
        WindowedRecognizer(lone)
    for window in (0.4, 10.5):
        with pytest.raises(UserError, match=r"window: expected 0.5 to 10 s with this recogniser, got"):
            WindowedRecognizer(made("de"), window=window)
