"""Whether a folder holds what it is given for."""

from __future__ import annotations

import json

from emobridge.encoders import checkpoint_differences, other_checkpoint, presets

WHISPER = {"model_type": "whisper", "encoder_layers": 12, "d_model": 768, "vocab_size": 51864, "num_hidden_layers": 12}


def folder_of(tmp_path, **config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_checkpoint_itself(tmp_path):
    folder = folder_of(tmp_path, **WHISPER)
    assert checkpoint_differences("whisper-small.en", folder) == ()
    assert other_checkpoint("whisper-small.en", folder) == ""


def test_the_multilingual_one_of_the_same_size(tmp_path):
    folder = folder_of(tmp_path, **WHISPER)
    assert checkpoint_differences("whisper-small", folder) == ("vocabulary: expected 51865, found 51864",)
    assert "no published number stands beside it" in other_checkpoint("whisper-small", folder)


def test_another_size_and_another_family(tmp_path):
    folder = folder_of(tmp_path, model_type="hubert", num_hidden_layers=2, hidden_size=16)
    assert checkpoint_differences("wavlm-large", folder) == (
        "model_type: expected wavlm, found hubert",
        "layers: expected 24, found 2",
        "width: expected 1024, found 16",
    )


def test_a_folder_without_a_configuration(tmp_path):
    assert checkpoint_differences("hubert-base", tmp_path)[0] == "model_type: expected hubert, found nothing"


def test_names_and_places_that_say_nothing(tmp_path):
    assert checkpoint_differences("my-encoder", tmp_path) == ()
    assert checkpoint_differences("hubert-base", tmp_path / "nowhere") == ()


def test_every_preset_has_facts_to_check():
    for preset in presets().values():
        assert preset.model_type or preset.width, preset.name


def test_real_weights_under_their_own_and_another_name(shared):
    weights = shared / "weights"
    assert checkpoint_differences("whisper-base", weights / "whisper-base") == ()
    assert checkpoint_differences("whisper-tiny.en", weights / "whisper-tiny.en") == ()
    assert len(checkpoint_differences("whisper-small.en", weights / "whisper-tiny.en")) == 2
