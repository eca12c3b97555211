"""A layer-wise study: each clip is encoded once, streaming says the same, nothing leaks, and it resumes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from emobridge.encoders.whisper import Whisper
from emobridge.errors import UserError
from emobridge.probe import trainer
from emobridge.probe.encoders import layer_names, named, open_encoders, options_for_head
from emobridge.probe.run import probe

CLIPS = 32  # in the two corpora


@pytest.fixture
def passes(monkeypatch):
    """How often each clip, known by its samples, went through an encoder."""
    counted: Counter[bytes] = Counter()
    encode = Whisper.encode

    def counting(self, wave, lengths):
        counted.update(row[:length].numpy().tobytes() for row, length in zip(wave, lengths))
        return encode(self, wave, lengths)

    monkeypatch.setattr(Whisper, "encode", counting)
    return counted


def said(study):
    """Probabilities by unit, corpus and seed."""
    return {
        (one.unit.weights, one.unit.corpus, one.unit.normalise, one.unit.head, one.unit.layers, t.corpus, t.seed): t
        for one in study.outcomes
        for t in one.tested
    }


def same(first, second, tolerance=1e-6):
    assert first.keys() == second.keys()
    for key, one in first.items():
        np.testing.assert_array_equal(one.rows, second[key].rows)
        np.testing.assert_allclose(one.probabilities, second[key].probabilities, atol=tolerance, err_msg=str(key))


def test_a_whole_study_passes_each_clip_through_the_encoder_once(asked, passes):
    """Three heads, all layers, two norms, folds, seeds, own and other corpus: the encoder hears each clip once."""
    study = probe(asked(normalise=("none", "speaker")))
    assert len(passes) == CLIPS and set(passes.values()) == {1}
    units = {(one.unit.corpus, one.unit.normalise, one.unit.head) for one in study.outcomes}
    assert len(units) == 2 * 2 * 3
    assert all(one.probabilities.shape[1] == 16 for one in said(study).values())


def test_streaming_costs_a_pass_an_epoch_whatever_it_feeds(asked, passes):
    """One pass for pooled features, one for moments; for each of two corpora the tests, and its own two epochs.

    Two norms, two heads, three layers, two folds and two seeds share them.
    """
    settings = asked(frames="streamed", normalise=("none", "speaker"))
    probe(settings)
    assert len(passes) == CLIPS
    most = 1 + 1 + settings.epochs + 2
    assert set(passes.values()) <= {most, most - 1}, "a batch asked for twice running is encoded once"


def test_streamed_is_stored(asked, tmp_path):
    """But for the half precision of stored frames."""
    stored = probe(asked(normalise=("none", "speaker")))
    streamed = probe(asked(normalise=("none", "speaker"), frames="streamed", out=str(tmp_path / "other")))
    same(said(stored), said(streamed), 1e-3)


def test_frames_that_find_no_room_are_streamed(asked, passes):
    probe(asked(disk=0.0))
    assert max(passes.values()) > 1


def test_labels_of_the_test_part_do_not_reach_its_probes(asked, recorded):
    """With all labels of one speaker turned round, what probes that are tested on that speaker say is the same."""
    before = probe(asked(heads=("single", "multilayer"), normalise=("none", "speaker")))
    path = recorded / "en.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    other = {"anger": "sadness", "sadness": "anger"}
    for row in rows:
        if row["speaker"] == "a":
            row["emotion"] = other[row["emotion"]]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    after = probe(asked(heads=("single", "multilayer"), normalise=("none", "speaker")))
    changed = 0
    speakers = [row["speaker"] for row in rows]
    for key, one in said(before).items():
        if key[1] != "en" or key[5] != "en":
            continue
        again = said(after)[key]
        np.testing.assert_array_equal(one.rows, again.rows)
        half = len(one.rows) // 2
        for fold in (slice(0, half), slice(half, None)):
            tested = {speakers[row] for row in one.rows[fold]}
            values = one.probabilities[:, fold], again.probabilities[:, fold]
            if "a" in tested:
                np.testing.assert_allclose(*values, atol=1e-6)
            else:
                changed += not np.allclose(*values, atol=1e-4)
    assert changed, "else nothing was trained on these labels at all"


def test_an_interrupted_study_goes_on_with_the_same_result(asked, tmp_path, monkeypatch):
    whole = said(probe(asked(out=str(tmp_path / "whole"))))
    fits, fit = [], trainer.fit

    def stopping(*given, **named):
        if len(fits) == 3:
            raise KeyboardInterrupt
        fits.append(1)
        return fit(*given, **named)

    monkeypatch.setattr(trainer, "fit", stopping)
    with pytest.raises(KeyboardInterrupt):
        probe(asked())
    kept = list((tmp_path / "study" / "work").glob("*.safetensors"))
    assert len(kept) == 3
    kept[0].write_bytes(kept[0].read_bytes()[:50])  # and one was cut short
    again = []
    monkeypatch.setattr(trainer, "fit", lambda *given, **named: again.append(1) or fit(*given, **named))
    assert probe(asked()).outcomes
    same(said(probe(asked())), whole, 0)
    assert len(again) == len({path.name for path in (tmp_path / "whole" / "work").iterdir()}) - 2


def test_finished_work_of_other_settings_is_not_taken_for_this(asked, tmp_path):
    first = said(probe(asked(heads=("single",), head_options=())))
    for changes in ({"epochs": 3}, {"learning_rates": (0.1,)}, {"seeds": 1}, {"class_weights": False, "epochs": 5}):
        other = said(probe(asked(heads=("single",), head_options=(), **changes)))
        key = next(iter(first))
        assert changes == {"seeds": 1} or not np.array_equal(other[key].probabilities, first[key].probabilities)


def test_the_floors_are_the_same_encoder_with_random_weights_and_log_mel(asked):
    study = probe(asked(floors=True, heads=("single", "nonlinear")))
    kinds = {(one.unit.encoder, one.unit.weights): set() for one in study.outcomes}
    for one in study.outcomes:
        kinds[one.unit.encoder, one.unit.weights].add(one.unit.head)
    assert kinds == {
        ("wb", "pretrained"): {"single", "nonlinear"},
        ("wb", "random"): {"single", "nonlinear"},
        ("logmel", "none"): {"single"},
    }
    seeds = {(key[0], key[6]) for key in said(study)}
    assert ("random", 1) not in seeds and ("pretrained", 1) in seeds, "a floor takes one seed"


def test_a_learning_rate_is_chosen_on_validation_losses(asked):
    study = probe(asked(heads=("single",), head_options=(), learning_rates=(1e-9, 0.05), patience=2, folds=4, epochs=8))
    rates = np.concatenate([one.rates.ravel() for one in study.outcomes])
    assert set(rates.tolist()) == {np.float32(0.05)}, "one that learns nothing is never the best here"


def test_layers_by_name(asked, tiny_encoder):
    listener = next(open_encoders(asked()))
    assert layer_names(asked(), listener.encoder, "wb") == ("0", "1", "2")
    study = probe(asked(layers=("1",), heads=("single",), head_options=()))
    assert {one.unit.layers for one in study.outcomes} == {("1",)}
    with pytest.raises(UserError, match=r"unknown layer of encoder wb '3'"):
        probe(asked(layers=("3",)))


def test_names_of_encoders(tiny_encoder, tmp_path, monkeypatch):
    assert named(f"wb={tiny_encoder}") == ("wb", str(tiny_encoder))
    assert named(str(tiny_encoder)) == ("tiny-whisper", str(tiny_encoder))
    assert named("openai/whisper-base") == ("openai/whisper-base", "openai/whisper-base")
    monkeypatch.chdir(tiny_encoder)
    assert named(".") == ("tiny-whisper", ".")


def test_options_reach_the_heads_that_have_them(asked):
    settings = asked(head_options=("hidden=8", "dropout=0.5"))
    assert options_for_head(settings, "single") == ()
    assert options_for_head(settings, "multilayer") == ("hidden=8", "dropout=0.5")
    with pytest.raises(UserError, match="did you mean 'dropout'"):
        probe(asked(head_options=("dropuot=0.5",)))


def test_a_file_that_cannot_be_read_is_left_out_and_told(asked, recorded):
    bad = next(recorded.glob("en-a-anger-0.wav"))
    bad.write_bytes(b"RIFF")
    study = probe(asked(heads=("single",), head_options=()))
    assert [name for name, _ in study.skipped] == ["en-a-anger-0"]
    assert len(study.corpora[0].utterances) == 15
    with pytest.raises(UserError, match="en-a-anger-0"):
        probe(asked(heads=("single",), head_options=(), out=str(Path(recorded) / "strict")), strict=True)


def test_a_corpus_twice_and_an_encoder_without_its_weights(asked, recorded, tiny_encoder, tmp_path):
    with pytest.raises(UserError, match="two manifests are of the corpus en"):
        probe(asked(corpora=(str(recorded / "en.jsonl"), f"{recorded}/./en.jsonl")))
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    (lacking / "config.json").write_text((tiny_encoder / "config.json").read_text())
    with pytest.raises(UserError, match="holds no weights"):
        probe(asked(encoders=(str(lacking),)))


@pytest.mark.parametrize("inside", [False, True])
def test_moments_of_training_rows_are_those_of_the_normalisation(inside):
    from emobridge.features.normalisation import fit_domain, moments
    from emobridge.probe.splits import Split

    generator = torch.Generator().manual_seed(0)
    values = 20 + torch.randn(2, 9, 5, generator=generator) * torch.tensor([1.0, 2.0, 3.0, 1e-4, 0.0])
    within = torch.rand(2, 9, 5, generator=generator) if inside else None
    cuts = [Split((0, 1, 2, 5, 7), (), ()), Split((3, 4, 8), (), ())]
    mean, deviation = trainer.training_moments(values, within, cuts)
    for layer, x in enumerate(values):
        for number, cut in enumerate(cuts):
            rows = list(cut.train)
            domain = fit_domain("", "", x[rows], None if within is None else within[layer, rows])
            expected = moments(x[:1], domain, None)
            torch.testing.assert_close(mean[layer, number], expected[0][0], atol=1e-4, rtol=1e-5)
            torch.testing.assert_close(deviation[layer, number], expected[1][0], atol=1e-4, rtol=1e-4)
