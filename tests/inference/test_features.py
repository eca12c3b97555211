"""A recogniser with prosody gives one answer: alone, in a batch, from a store, from arrays, saved, part by part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from emobridge.bundle import Recognizer, features_width
from emobridge.data.audio import read_utterance
from emobridge.data.manifest import read_manifest
from emobridge.data.prosody import PROSODY
from emobridge.errors import UserError
from emobridge.inference.evaluate import evaluate
from emobridge.inference.features import encode, stored_features
from emobridge.inference.predict import predict
from emobridge.settings import Adapt, Answering
from emobridge.study.adapt import adapt
from emobridge.study.suggest import suggest
from emobridge.study.train import train

pytestmark = pytest.mark.usefixtures("all_speech")


@pytest.fixture(scope="module")
def options(_recorded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prosody")
    values = {"source": [str(_recorded / "en.jsonl")], "target": str(_recorded / "xx.jsonl"), "epochs": 8, "seeds": 1}
    values |= {"labels": ["anger", "sadness"], "folds": 2, "store": str(folder / "store"), "method": "pseudo-labels"}
    return values | {"out": str(folder / "run"), "prosody": True}


@pytest.fixture(scope="module")
def finished_run(options):
    return adapt(**options)


@pytest.fixture
def recognizer(finished_run, options):
    return Recognizer.load(f"{options['out']}/bundle")


@pytest.fixture
def rows(recorded):
    return list(read_manifest(recorded / "xx.jsonl"))


def probabilities(predictions):
    return [prediction.probabilities for prediction in predictions]


def test_the_bundle_is_what_was_trained(finished_run, recognizer, options):
    spec = recognizer.spec
    assert spec.prosody and spec == finished_run.recognizer.spec
    width = features_width(recognizer.encoder, prosody=True)
    assert width == 128 + len(PROSODY) == recognizer.head.output.in_features
    assert all(domain.prosody == len(PROSODY) for domain in recognizer.domains)
    assert recognizer.last.familiarity is not None
    assert all(answers.case.prosody for answers in finished_run.answers), "the baseline has it too"
    for page in ("bundle/README.md", "report.md"):
        assert "18 numbers of each clip" in (Path(options["out"]) / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker", "speaker+text"])
@pytest.mark.parametrize("statistic", [(), ("std",)])
def test_every_normalisation_and_choice_of_statistics_works(options, tmp_path, normalise, statistic):
    changes = {
        "normalise": normalise,
        "statistics": statistic,
        "out": str(tmp_path),
        "epochs": 1,
        "method": "source-only",
    }
    recognizer = train(Adapt.of(**options | changes)).recognizer
    assert recognizer.head.output.in_features == 64 * len(statistic or (1, 2)) + len(PROSODY)


@pytest.mark.parametrize("statistic", ["mean", "std"])
def test_what_no_head_sees_is_not_computed(options, rows, tmp_path, statistic):
    changes = {"statistics": (statistic,), "prosody": False, "method": "source-only", "epochs": 1, "out": str(tmp_path)}
    recognizer = train(Adapt.of(**options | changes)).recognizer
    features, order = stored_features(recognizer, rows, [[None]] * len(rows), tmp_path / "store")
    stored = torch.stack([features[None][row] for row in order])
    computed = torch.stack(encode(recognizer, [read_utterance(rows[row]) for row in order], [None] * len(order)))
    assert computed.shape == stored.shape and computed.count_nonzero() <= computed.numel() / 2 < stored.count_nonzero()
    torch.testing.assert_close(recognizer.select(computed), recognizer.select(stored), atol=1e-5, rtol=1e-5)


def test_prosody_alone_is_an_encoder(options, rows, tmp_path):
    changes = {"encoder": "prosody", "prosody": False, "out": str(tmp_path), "method": "source-only"}
    recognizer = train(Adapt.of(**options | changes)).recognizer
    assert recognizer.head.output.in_features == len(PROSODY) and not recognizer.spec.prosody
    assert len(list(predict(recognizer, rows))) == len(rows)


def test_one_answer_from_files_arrays_batches_stores_and_the_saved_bundle(finished_run, recognizer, rows, tmp_path):
    settings = Answering(statistics="stored")
    together = probabilities(predict(recognizer, rows, settings))
    assert probabilities(predict(finished_run.recognizer, rows, settings)) == together
    assert [probabilities(predict(recognizer, [row], settings))[0] for row in rows] == together
    paths = probabilities(predict(recognizer, [row.path for row in rows], Answering(statistics="stored")))
    waves = [read_utterance(row) for row in rows]
    assert probabilities(recognizer.predict(waves, sample_rate=16000, language="xh")) == paths
    features, order = stored_features(recognizer, rows, [[None]] * len(rows), tmp_path)
    direct = encode(recognizer, [read_utterance(rows[row]) for row in order], [None] * len(order))
    for row, values in zip(order, direct):
        torch.testing.assert_close(features[None][row], values, atol=1e-5, rtol=1e-5)
        assert torch.equal(features[None][row][:, 128:], values[:, 128:])


def test_the_level_of_a_speakers_recordings_is_taken_out_with_the_speaker(recognizer, rows):
    """Recordings that are all 20 dB fainter: nothing but the mean of the level moves, and that for every one alike."""
    utterances = [replace(row, speaker="somebody new") for row in rows]
    sets = [[None]] * len(rows)
    features, _ = stored_features(recognizer, utterances, sets, None)
    before = torch.stack(list(features[None].values()))
    for row in rows:
        soundfile.write(row.path, 0.1 * read_utterance(row), 16000, subtype="FLOAT")
    features, _ = stored_features(recognizer, utterances, sets, None)
    moved = torch.stack(list(features[None].values())) - before
    level = 128 + PROSODY.index("mean of level")
    torch.testing.assert_close(moved[..., level], torch.full_like(moved[..., level], -20), atol=0.01, rtol=0)
    moved[..., level] = 0
    assert moved.abs().max() < 0.01


def test_scores_and_suggestions_see_the_same(recognizer, rows, tmp_path):
    scores = evaluate(recognizer, rows, store=tmp_path)
    assert any(row.measure == "UA" for row in scores)
    free = [replace(row, emotion=None, speaker=f"new {row.speaker}") for row in rows]
    assert len(suggest(recognizer, free, count=3, store=tmp_path)) == 3


def test_each_part_of_a_long_recording_has_its_own_prosody(recognizer, rows, tmp_path):
    wave = np.concatenate([read_utterance(row) for row in rows] * 3)
    soundfile.write(tmp_path / "long.wav", wave, 16000, subtype="FLOAT")
    parts = list(predict(recognizer, [str(tmp_path / "long.wav")], Answering(segments="windows", window=0.5)))
    assert len(parts) > 3
    for part in parts[:3]:
        own = wave[round(part.start * 16000) : round(part.end * 16000)]
        (expected,) = recognizer.predict([own], sample_rate=16000)
        assert part.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_a_recogniser_with_prosody_joins_no_other(recognizer, finished):
    with pytest.raises(UserError, match=r"language|prosody"):
        recognizer.join(Recognizer.load(finished / "bundle"), replace=True)


def test_without_prosody_none_is_computed(finished, rows, tmp_path):
    plain = Recognizer.load(finished / "bundle")
    assert not plain.spec.prosody
    evaluate(plain, rows, store=tmp_path / "store")
    assert [path.name.partition("-")[0] for path in (tmp_path / "store").iterdir()] == ["logmel"]
