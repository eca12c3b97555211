"""The models of a worker: of every kind, with one encoder for those that have the same."""

from __future__ import annotations

import pytest
import torch

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.inference.predict import predict
from emobridge.serve import models
from emobridge.serve.models import jobs_at_once, load_models, try_models
from emobridge.serve.records import Refused
from emobridge.serve.sources import ModelSource
from emobridge.types import Utterance

ADAPTED = {"adapters": "bottleneck", "words": ("reduction=8",)}


def sources(**folders):
    return [ModelSource(name, folder) for name, folder in folders.items()]


def test_recognisers_of_the_same_encoder_share_it_and_answer_as_alone(bundles, recordings):
    """With adapters in one encoder, and without in another; labels differ, so they cannot be joined."""
    adapted = {"de": bundles("de", **ADAPTED), "it": bundles("it", labels=("joy", "fear"), **ADAPTED)}
    frozen = {"fr": bundles("fr", adapters=""), "es": bundles("es", adapters="", layer="2")}
    loaded = load_models(sources(**adapted, **frozen), "cpu")
    encoders = {name: model.recognizer.encoder for name, model in loaded.items()}
    assert encoders["de"] is encoders["it"] is not encoders["fr"] and encoders["fr"] is encoders["es"]
    utterance = Utterance("a", "files", recordings["mono"])
    for name, folder in (adapted | frozen).items():
        (expected,) = predict(Recognizer.load(folder), [utterance])
        (row,) = predict(loaded[name].recognizer, [utterance])
        assert row.labels == expected.labels
        assert row.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_a_model_with_another_encoder_has_its_own(bundles):
    log_mels = bundles("it", name="logmel", adapters="", layer="0", statistics=("mean", "std"))
    loaded = load_models(sources(fr=bundles("fr", adapters=""), it=log_mels), "cpu")
    assert loaded["fr"].recognizer.encoder is not loaded["it"].recognizer.encoder


def test_a_recogniser_does_not_move_to_another_encoder(bundles):
    recognizer = Recognizer.load(bundles("fr", adapters=""))
    other = Recognizer.load(bundles("it", name="logmel", adapters="", layer="0", statistics=("mean", "std")))
    with pytest.raises(ValueError, match="is another encoder than"):
        recognizer.moved_to(other.encoder)


def test_what_is_told_of_a_model(bundles):
    (model,) = load_models(
        sources(calls=bundles("de", adapters="", attributes=("arousal",), synthetic=True)), "cpu"
    ).values()
    about = model.about
    assert (about.name, about.kind, about.labels) == ("calls", "recogniser", ("anger", "sadness", "neutral"))
    assert (about.attributes, about.languages, about.synthetic) == (("arousal",), ("de", "en"), True)
    assert about.encoder == "whisper"


def test_a_diarizer_shares_the_encoder_and_answers_timelines_alone(bundles, source, tmp_path):
    from emobridge.diarization.files import save_diarizer
    from emobridge.diarization.frame_model import Diarizer, DiarizerSpec, features_of_steps, make_head
    from emobridge.encoders import load_encoder

    encoder = load_encoder(source("whisper"))
    spec = DiarizerSpec(
        labels=("anger", "neutral"), encoder=source("whisper"), digest=encoder.digest, layer="1", window=2.0,
        languages=("de",), synthetic=True,
    )  # fmt: skip
    width = features_of_steps(spec, encoder)
    diarizer = Diarizer(spec, encoder, make_head(spec, width), torch.zeros(width), torch.ones(width))
    folder = str(save_diarizer(tmp_path / "diarizer", diarizer))
    loaded = load_models(sources(fr=bundles("fr", adapters=""), d=folder, de=bundles("de", **ADAPTED)), "cpu")
    assert loaded["d"].about.kind == "diarizer" and loaded["d"].about.languages == ("de",)
    assert loaded["d"].frame_model.encoder is loaded["fr"].recognizer.encoder
    assert loaded["de"].recognizer.encoder is not loaded["fr"].recognizer.encoder  # adapters would be heard
    try_models(list(loaded.values()))
    with pytest.raises(Refused, match="model 'd' is a diarizer"):
        _ = loaded["d"].recognizer


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(UserError, match="is no diarizer"):
        load_models(sources(a=str(tmp_path)), "cpu")
    with pytest.raises(UserError, match="no such folder"):
        load_models(sources(a=str(tmp_path / "gone")), "cpu")


def test_recordings_go_together_on_an_accelerator_alone(bundles, monkeypatch):
    loaded = list(load_models(sources(fr=bundles("fr", adapters="")), "cpu").values())
    assert jobs_at_once(loaded) == 1
    monkeypatch.setattr(models, "is_accelerator", lambda device: True)
    assert jobs_at_once(loaded) == models.JOBS_AT_ONCE > 1
