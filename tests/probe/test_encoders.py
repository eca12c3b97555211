"""The encoders and head options of a study, as settings name them."""

from __future__ import annotations

import pytest

from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.probe.encoders import (
    encoder_languages,
    heads_for,
    options_for_head,
    parse_encoder,
    probed_encoders,
    probed_layers,
)


def test_names_of_encoders(tiny_encoder, monkeypatch):
    assert parse_encoder(f"wb={tiny_encoder}") == ("wb", str(tiny_encoder))
    assert parse_encoder(str(tiny_encoder)) == ("tiny-whisper", str(tiny_encoder))
    assert parse_encoder("openai/whisper-base") == ("openai/whisper-base", "openai/whisper-base")
    monkeypatch.chdir(tiny_encoder)
    assert parse_encoder(".") == ("tiny-whisper", ".")


def test_each_encoder_is_followed_by_its_floor_and_log_mel_comes_last(asked):
    encoders = list(probed_encoders(asked(floors=True)))
    assert [(one.title, one.weights, one.is_floor) for one in encoders] == [
        ("wb", "pretrained", False),
        ("wb with random weights", "random", True),
        ("logmel", "none", True),
    ]
    trained, random, logmel = (one.open() for one in encoders)
    assert trained.digest != random.digest and logmel.name == "logmel"
    assert (encoders[1].layers, encoders[1].width) == (trained.layers, trained.width) == (3, 16)
    (lone,) = probed_encoders(asked(encoders=("logmel",), floors=True))
    assert not lone.is_floor and lone.statistics == len(load_encoder("logmel").statistics)
    assert [one.name for one in probed_encoders(asked())] == ["wb"]


def test_an_encoder_that_is_not_here_is_described_by_its_preset(asked, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    settings = asked(encoders=("whisper-small", "someone/unknown"), floors=True)
    encoders = {(one.name, one.weights): one for one in probed_encoders(settings, may_lack=True)}
    small = encoders["whisper-small", "pretrained"]
    assert (small.layers, small.width, small.absent_at) == (13, 768, "openai/whisper-small on the hub")
    assert encoders["someone/unknown", "pretrained"].layers == 0
    assert ("someone/unknown", "random") not in encoders


def test_options_go_to_the_encoders_that_have_them(asked):
    settings = asked(encoder_options=("padding=full",), encoders=(*asked().encoders, "logmel"))
    whisper, logmel = (one.open() for one in probed_encoders(settings))
    assert whisper.options["padding"] == "full" and "padding" not in logmel.options


def test_layers(asked):
    (encoder,) = probed_encoders(asked())
    assert probed_layers(asked(), encoder) == ("0", "1", "2")
    assert probed_layers(asked(layers=("last",)), encoder) == ("2",)
    assert probed_layers(asked(layers=("last", "0", "2")), encoder) == ("2", "0")
    with pytest.raises(UserError, match="unknown layer of encoder wb 'lst': did you mean 'last'"):
        probed_layers(asked(layers=("lst",)), encoder)


def test_log_mel_statistics_get_no_head_that_needs_frames(asked):
    wb, logmel = (one for one in probed_encoders(asked(floors=True)) if one.weights != "random")
    settings = asked(heads=("nonlinear", "linear"))
    assert heads_for(settings, wb) == ("nonlinear", "linear")
    assert heads_for(settings, logmel) == ("linear",)
    assert heads_for(asked(heads=("nonlinear",)), logmel) == ("single",)


def test_options_reach_the_heads_that_have_them(asked):
    settings = asked(head_options=("hidden=8", "dropout=0.5"))
    assert options_for_head(settings, "single") == ()
    assert options_for_head(settings, "multilayer") == ("hidden=8", "dropout=0.5")
    with pytest.raises(UserError, match="did you mean 'dropout'"):
        options_for_head(asked(head_options=("dropuot=0.5",)), "single")


def test_languages_of_pre_training(asked, tiny_encoder):
    settings = asked(encoders=(f"wav2vec2-base-en={tiny_encoder}", f"wb={tiny_encoder}", "whisper-small"))
    assert encoder_languages(settings) == {"wav2vec2-base-en": ("en",), "wb": (), "whisper-small": ("mul",)}
