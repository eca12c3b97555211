"""The trained frame model: what a step sees, and what comes out of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.diarization.base import FrameModel
from emobridge.diarization.frame_model import (
    DiarizerSpec,
    check_frames,
    check_layers,
    count_steps,
    make_head,
    means_around,
    resolve_layer,
    speech_steps,
    standardised,
    step_features,
)
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE


def spec_of(**options):
    return DiarizerSpec(**({"labels": ("anger", "neutral"), "encoder": "logmel"} | options))


@pytest.mark.parametrize("samples", [1, 160, 799, 801, 16000, 24001])
def test_it_keeps_the_protocol(tiny_diarizer, tone, samples):
    model = tiny_diarizer()
    assert isinstance(model, FrameModel)
    assert model.labels == ("neutral", "anger", "sadness")
    assert model.longest == 2.0  # the window of the tiny encoder
    assert model.context == 0.5
    assert tiny_diarizer(window=1.0).longest == 1.0
    probabilities = model.frame_probabilities(tone(2.0)[:samples])
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (max(1, round(samples / SAMPLE_RATE * model.frame_rate)), 3)
    assert probabilities.sum(1) == pytest.approx(1.0, abs=1e-6)


def test_silence_has_an_answer_too(tiny_diarizer):
    assert np.isfinite(tiny_diarizer().frame_probabilities(np.zeros(SAMPLE_RATE, dtype=np.float32))).all()


def test_what_lies_beyond_the_radius_is_not_in_a_mean():
    hidden = torch.arange(50.0).reshape(1, 50, 1)  # frames of 50 Hz, each its own number
    x = means_around(hidden, 50.0, 10, spec_of(radii=(0.05, 0.21)))
    assert x.shape == (10, 2)
    # Step 5 is about 0.55 s: frames 25 to 29 have their middles within 0.05 s of it, 17 to 37 within 0.21 s.
    assert x[5].tolist() == pytest.approx([27.0, 27.0])
    assert x[0].tolist() == pytest.approx([2.0, 6.0])  # 0 to 4, and 0 to 12: as far as the sound goes
    assert x[9, 0] == pytest.approx(47.0)


def test_layers_and_radii_lie_side_by_side():
    hidden = torch.randn(2, 7, 3)
    x = means_around(hidden, 10.0, 7, spec_of(radii=(0.05, 1.0), layer="0+1"))
    assert x.shape == (7, 12)
    assert torch.allclose(x[4], torch.cat([hidden[0, 4], hidden[1, 4], hidden[0].mean(0), hidden[1].mean(0)]))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_fewer_frames_than_steps(frames):
    x = means_around(torch.arange(float(frames)).reshape(1, frames, 1), 2.0, 20, spec_of(radii=(0.05,)))
    assert x[0, 0] == 0
    assert x[-1, 0] == frames - 1
    assert (x[1:] >= x[:-1]).all()


def test_features_are_standardised():
    features = 3.0 + 5.0 * torch.randn(50, 4)
    x = standardised(features, features.mean(0), features.std(0, correction=0))
    assert torch.allclose(x.mean(0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(x.square().mean(0), torch.ones(4), atol=1e-5)
    assert torch.isfinite(standardised(features[:1], features[0], torch.zeros(4))).all()  # of a single step


def test_steps_with_speech(tone):
    wave = np.concatenate([tone(0.5), np.zeros(SAMPLE_RATE // 2, dtype=np.float32), tone(0.3)])
    assert speech_steps(wave, 10.0).tolist() == [True] * 5 + [False] * 5 + [True] * 3
    assert speech_steps(wave[1:2], 10.0).tolist() == [True]
    assert len(speech_steps(wave, 3.7)) == count_steps(len(wave), 3.7)


def test_an_answer_does_not_depend_on_the_mode_that_the_encoder_was_left_in(tiny_diarizer, tone):
    model, wave = tiny_diarizer(layer="0+2", frame_rate=20.0), tone(1.0)
    assert np.array_equal(model.frame_probabilities(wave), model.frame_probabilities(wave))
    assert step_features(model.encoder, model.spec, wave).shape == (20, 2 * 2 * 16)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"labels": ("anger",)}, "labels: expected two or more"),
        ({"labels": ("anger", "anger")}, "labels: expected two or more different"),
        ({"encoder": ""}, "encoder"),
        ({"layer": "two"}, "layer: expected layers such as 3"),
        ({"layer": "1++2"}, "layer"),
        ({"frame_rate": 0.0}, "frame_rate: expected above 0 and at most 100"),
        ({"frame_rate": float("nan")}, "frame_rate"),
        ({"temperature": -1.0}, "temperature"),
        ({"radii": ()}, "radii"),
        ({"radii": (0.2, 0.0)}, "radii"),
        ({"window": 31.0}, "window: expected seconds above 0 and at most 30"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(words, message):
    with pytest.raises(UserError, match=message):
        spec_of(**words)


def test_what_cannot_be_a_diarizer_is_refused(tiny_encoder):
    with pytest.raises(UserError, match="one frame a clip"):
        check_frames(load_encoder("prosody"), spec_of(encoder="prosody"))
    encoder = load_encoder(tiny_encoder)
    check_frames(encoder, spec_of(window=0.5))
    with pytest.raises(UserError, match="frame_rate: 1 Hz leaves no answer in a window of 2 s"):
        check_frames(encoder, spec_of(frame_rate=1.0))
    with pytest.raises(UserError, match=r"unknown layer .*'9'.*one of 0, 1, 2"):
        check_layers(encoder, spec_of(layer="1+9"))
    with pytest.raises(UserError, match="one by one"):
        make_head(spec_of(head="multilayer"), 16)
    with pytest.raises(UserError, match="expected a number such as 3"):
        resolve_layer("best", encoder)
    assert resolve_layer("middle", encoder) == "0+1+2"
    assert resolve_layer("2", encoder) == "2"


def test_numbers_that_are_not_finite_are_told(tiny_diarizer, tone, monkeypatch):
    model = tiny_diarizer()
    monkeypatch.setattr(
        type(model.encoder),
        "encode",
        lambda self, wave, lengths: (torch.full((3, 1, 5, 16), torch.nan), torch.tensor([5])),
    )
    with pytest.raises(UserError, match="not finite"):
        model.frame_probabilities(tone(0.1))
