"""A layer-wise study: each clip is encoded once, streaming says the same, nothing leaks, and it resumes."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from emobridge.encoders.logmel import Logmel
from emobridge.encoders.whisper import Whisper
from emobridge.errors import UserError
from emobridge.probe import trainer
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


def predictions(study):
    """UnitPredictions by unit, corpus and seed."""
    return {
        (unit.weights, unit.corpus, unit.normalise, unit.head, unit.layers, part.corpus, part.seed): part
        for unit, parts in ((outcome.unit, outcome.predictions) for outcome in study.outcomes)
        for part in parts
    }


def assert_same(first, second, tolerance=1e-6):
    assert first.keys() == second.keys()
    for key, part in first.items():
        np.testing.assert_array_equal(part.rows, second[key].rows)
        np.testing.assert_array_equal(part.probes, second[key].probes)
        np.testing.assert_allclose(part.probabilities, second[key].probabilities, atol=tolerance, err_msg=str(key))


def test_a_whole_study_passes_each_clip_through_the_encoder_once(asked, passes):
    """Three heads, all layers, two norms, folds, seeds, own and other corpus: the encoder hears each clip once."""
    study = probe(asked(normalise=("none", "speaker")))
    assert len(passes) == CLIPS and set(passes.values()) == {1}
    units = {(outcome.unit.corpus, outcome.unit.normalise, outcome.unit.head) for outcome in study.outcomes}
    assert len(units) == 2 * 2 * 3
    assert all(one.probabilities.shape[1] == 16 for one in predictions(study).values())


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
    assert_same(predictions(stored), predictions(streamed), 1e-3)


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
    for key, one in predictions(before).items():
        if key[1] != "en" or key[5] != "en":
            continue
        again = predictions(after)[key]
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
    whole = predictions(probe(asked(out=str(tmp_path / "whole"))))
    fits, fit = [], trainer.fit_probes

    def stopping(*args, **options):
        if len(fits) == 3:
            raise KeyboardInterrupt
        fits.append(1)
        return fit(*args, **options)

    monkeypatch.setattr(trainer, "fit_probes", stopping)
    with pytest.raises(KeyboardInterrupt):
        probe(asked())
    finished = list((tmp_path / "study" / "work").glob("*.safetensors"))
    assert len(finished) == 3
    finished[0].write_bytes(finished[0].read_bytes()[:50])  # and one was cut short
    again = []
    monkeypatch.setattr(trainer, "fit_probes", lambda *args, **options: again.append(1) or fit(*args, **options))
    assert probe(asked()).outcomes
    assert_same(predictions(probe(asked())), whole, 0)
    assert len(again) == len({path.name for path in (tmp_path / "whole" / "work").iterdir()}) - 2


@pytest.fixture
def fits(monkeypatch):
    """The number of units that were trained in each study: a call of `fits()` tells it and begins anew."""
    count, fit = [0], trainer.fit_probes

    def counting(stacks, *args, **options):
        count[0] += 1
        return fit(stacks, *args, **options)

    monkeypatch.setattr(trainer, "fit_probes", counting)

    def take():
        number, count[0] = count[0], 0
        return number

    return take


def test_a_flipped_bit_in_a_finished_unit_trains_it_again(asked, tmp_path, fits):
    settings = asked(heads=("single",), head_options=(), corpora=asked().corpora[:1])
    whole = predictions(probe(settings))
    assert fits() == 1
    (path,) = (tmp_path / "study" / "work").glob("*.safetensors")
    content = path.read_bytes()
    for place in (9, len(content) // 3, len(content) - 1):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert_same(predictions(probe(settings)), whole, 0)
        assert fits() == 1, place
    probe(settings)
    assert fits() == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 3}, 2),
        ({"learning_rates": (0.1,)}, 2),
        ({"seeds": 1}, 2),
        ({"class_weights": False}, 2),
        ({"heads": ("single", "linear")}, 2),
        ({"normalise": ("none", "speaker")}, 2),
        ({"settings": ("mono", "trans", "cross", "other")}, 2),
        ({"head_options": ("input_dropout=0.5",)}, 2),
        ({"head_options": ("hidden=8",), "heads": ("single", "linear")}, 2),  # an option that single does not have
        ({"normalise": ("raw",)}, 2),
        ({"longest": 0.1}, 2),
        ({"split": "80/10/10", "folds": 1, "patience": 2, "validate_by": "ua", "plateau": 1}, 2),
        ({"layers": ("0", "1", "2")}, 0),
        ({"segment": 0.1}, 0),
        ({"frames": "streamed"}, 0),
        ({"crop": 0.5}, 0),
        ({"jobs": 2}, 0),
    ],
)
def test_a_unit_is_trained_again_where_something_changes_that_it_depends_on(asked, fits, changes, expected):
    """Of two corpora; the encoder's name and the place of the manifests are nothing that it depends on."""
    settings = asked(heads=("single",), head_options=(), settings=("mono", "trans"))
    probe(settings)
    assert fits() == 2
    probe(replace(settings, **changes))
    assert fits() == expected


def test_units_do_not_depend_on_names_and_places(asked, fits, recorded, tiny_encoder, tmp_path):
    settings = asked(heads=("single",), head_options=(), corpora=asked().corpora[:1])
    first = probe(settings)
    rows = [json.loads(line) for line in Path(settings.corpora[0]).read_text().splitlines()]
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(recorded, elsewhere)
    for row in rows:
        row |= {"id": f"new-{row['id']}", "path": str(elsewhere / Path(row["path"]).name), "text": "words"}
    (elsewhere / "en.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fits()
    second = probe(replace(settings, corpora=(str(elsewhere / "en.jsonl"),), encoders=(f"other={tiny_encoder}",)))
    assert fits() == 0
    assert {outcome.unit.encoder for outcome in second.outcomes} == {"other"}
    assert_same(predictions(first), predictions(second), 0)


def test_changed_audio_of_the_same_size_and_time_is_noticed(asked, fits, recorded):
    settings = asked(heads=("single",), head_options=(), corpora=asked().corpora[:1])
    before = predictions(probe(settings))
    loud, soft = recorded / "en-a-anger-0.wav", recorded / "en-a-sadness-0.wav"
    stat = loud.stat()
    loud.write_bytes(soft.read_bytes())
    os.utime(loud, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    fits()
    after = predictions(probe(settings))
    assert fits() == 1
    assert any(not np.array_equal(before[key].probabilities, after[key].probabilities) for key in before)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(asked, tmp_path):
    """Units of several heads and corpora, streamed ones too, and the floors of other encoders."""
    settings = asked(frames="streamed", heads=("single", "nonlinear"), floors=True, epochs=1)
    single = probe(settings)
    double = probe(replace(settings, jobs=2, out=str(tmp_path / "double")))
    assert [outcome.unit for outcome in single.outcomes] == [outcome.unit for outcome in double.outcomes]
    assert_same(predictions(single), predictions(double), 0)
    for first, second in zip(single.outcomes, double.outcomes):
        for name in ("epochs", "rates", "losses"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    names = [{path.name for path in (tmp_path / out / "work").iterdir()} for out in ("study", "double")]
    assert names[0] == names[1]


SIZES_OF_ONE = {
    "a fold and a seed": {"split": "80/10/10", "folds": 1, "seeds": 1, "floors": True},
    "a layer": {"layers": ("1",)},
    "an epoch": {"epochs": 1},
    "a clip in a batch": {"batch_size": 1},
    "all": {"split": "80/10/10", "folds": 1, "seeds": 1, "layers": ("1",), "epochs": 1, "batch_size": 1},
}


@pytest.mark.parametrize(
    "case",
    [name if name == "all" else pytest.param(name, marks=pytest.mark.slow) for name in SIZES_OF_ONE],
)
def test_a_size_of_one_is_a_size(asked, case):
    """Every head, norm and pair of corpora; and each probe differs from one that was never trained."""
    settings = asked(
        heads=("single", "linear", "nonlinear", "attentive", "multilayer"),
        normalise=("none", "speaker"),
        learning_rates=(3e-2,),
        **SIZES_OF_ONE[case],
    )
    trained = predictions(probe(settings))
    untrained = predictions(probe(replace(settings, learning_rates=(1e-12,))))
    for key, part in trained.items():
        assert np.isfinite(part.probabilities).all()
        for layer, other in zip(part.probabilities, untrained[key].probabilities):
            assert np.abs(layer - other).max() > 1e-4, key


def test_a_lone_probe_of_two_layers_learns(asked):
    """One fold, one seed, one layer: the linear head tells loud anger from soft sadness."""
    settings = asked(
        encoders=("logmel",),
        heads=("linear", "single"),
        head_options=(),
        split="80/10/10",
        folds=1,
        seeds=1,
        epochs=30,
        learning_rates=(1e-2,),
        corpora=asked().corpora[:1],
    )
    for outcome in probe(settings).outcomes:
        (part,) = outcome.predictions
        assert part.probabilities.shape == (1, 4, 2)
        assert (part.probabilities[0].max(1) > 0.6).all()
        assert len(set(part.probabilities[0].argmax(1))) == 2


def test_a_single_speaker_and_single_utterances(asked, recorded):
    """Two utterances of one speaker, an emotion each, which is the least that a probe can learn from."""
    path = recorded / "en.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(row) for row in rows if row["speaker"] == "a"))
    settings = asked(corpora=(str(path),), share_speakers=True, normalise=("none", "corpus", "speaker"))
    for part in predictions(probe(settings)).values():
        assert np.isfinite(part.probabilities).all() and sorted(part.rows.tolist()) == [0, 1, 2, 3]
    with pytest.raises(UserError, match="with a single speaker nothing can be claimed of others"):
        probe(asked(corpora=(str(path),)))


def test_validation_losses_are_kept_where_there_is_a_validation_part(asked):
    few = {"heads": ("single", "multilayer"), "corpora": asked().corpora[:1]}
    for outcome in probe(asked(**few)).outcomes:
        assert np.isnan(outcome.losses).all()
    for changes in ({"split": "80/10/10"}, {"patience": 1, "folds": 3}):
        for outcome in probe(asked(**few, **changes)).outcomes:
            assert outcome.losses.shape == outcome.epochs.shape and np.isfinite(outcome.losses).all()


def test_only_pairs_that_the_settings_name_are_trained(asked, tiny_encoder):
    """By its name the encoder knows English alone: for mono nothing is trained on the other corpus."""
    settings = asked(encoders=(f"wav2vec2-base-en={tiny_encoder}",), settings=("mono",))
    assert {outcome.unit.corpus for outcome in probe(settings).outcomes} == {"en"}


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
    seeds = {(key[0], key[6]) for key in predictions(study)}
    assert ("random", 1) not in seeds and ("pretrained", 1) in seeds, "a floor takes one seed"


def test_a_learning_rate_is_chosen_on_validation_losses(asked):
    study = probe(asked(heads=("single",), head_options=(), learning_rates=(1e-9, 0.05), patience=2, folds=4, epochs=8))
    rates = np.concatenate([one.rates.ravel() for one in study.outcomes])
    assert set(rates.tolist()) == {np.float32(0.05)}, "one that learns nothing is never the best here"


def test_layers_by_name(asked):
    study = probe(asked(layers=("1",), heads=("single",), head_options=()))
    assert {outcome.unit.layers for outcome in study.outcomes} == {("1",)}
    with pytest.raises(UserError, match=r"unknown layer of encoder wb '3'"):
        probe(asked(layers=("3",)))


def test_a_file_that_cannot_be_read_is_left_out_and_told(asked, recorded):
    bad = next(recorded.glob("en-a-anger-0.wav"))
    bad.write_bytes(b"RIFF")
    study = probe(asked(heads=("single",), head_options=()))
    assert [name for name, _ in study.skipped] == ["en-a-anger-0"]
    assert len(study.corpora[0].utterances) == 15
    with pytest.raises(UserError, match="en-a-anger-0"):
        probe(asked(heads=("single",), head_options=(), out=str(Path(recorded) / "strict")), strict=True)


def test_a_clip_that_the_last_encoder_makes_nothing_finite_of_trains_no_probe(asked, recorded, monkeypatch):
    """Log-mel, the last of the floors, gives NaN for one clip: it is left out for all encoders, and named."""
    encode, sour = Logmel.encode, soundfile.read(recorded / "en-a-anger-0.wav", dtype="float32")[0][:100]

    def spoiled(self, wave, lengths):
        hidden, frames = encode(self, wave, lengths)
        is_sour = [np.array_equal(row[:100].numpy(), sour) for row in wave]
        return torch.where(torch.tensor(is_sour)[None, :, None, None], torch.nan, hidden), frames

    monkeypatch.setattr(Logmel, "encode", spoiled)
    study = probe(asked(heads=("single",), head_options=(), floors=True))
    assert [name for name, _ in study.skipped] == ["en-a-anger-0"] and "not finite" in study.skipped[0][1]
    assert len(study.outcomes) and len({outcome.unit.encoder for outcome in study.outcomes}) > 1
    assert all(np.isfinite(part.probabilities).all() for part in predictions(study).values())
    assert sum(len(corpus.utterances) for corpus in study.corpora) == CLIPS - 1


def test_a_corpus_twice_and_an_encoder_without_its_weights(asked, recorded, tiny_encoder, tmp_path):
    with pytest.raises(UserError, match="two manifests are of the corpus en"):
        probe(asked(corpora=(str(recorded / "en.jsonl"), f"{recorded}/./en.jsonl")))
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    (lacking / "config.json").write_text((tiny_encoder / "config.json").read_text())
    with pytest.raises(UserError, match="holds no weights"):
        probe(asked(encoders=(str(lacking),)))


SOLVED = {"heads": ("discriminant", "ridge"), "head_options": ("components=6",)}


def test_solved_heads_run_on_every_pair_and_are_not_solved_twice(asked, passes, monkeypatch):
    settings = asked(**SOLVED, normalise=("none", "speaker"))
    study = probe(settings)
    assert {outcome.unit.head for outcome in study.outcomes} == {"discriminant", "ridge"}
    pairs = {(outcome.unit.corpus, part.corpus) for outcome in study.outcomes for part in outcome.predictions}
    assert len(pairs) == 4
    assert all((outcome.epochs == 0).all() and np.isnan(outcome.rates).all() for outcome in study.outcomes)
    assert len(passes) == CLIPS and set(passes.values()) == {1}
    monkeypatch.setattr(trainer, "solve_probes", lambda *_: pytest.fail("solved again"))
    again = probe(replace(settings, epochs=7))  # which such heads do not have
    assert_same(predictions(study), predictions(again))


def test_validation_chooses_among_layers_of_solved_heads(asked):
    study = probe(asked(**SOLVED, split="80/10/10", share_speakers=True, folds=1))
    assert all(np.isfinite(outcome.losses).all() for outcome in study.outcomes)


def test_solved_heads_stand_beside_trained_ones_that_stop_early(asked):
    study = probe(asked(heads=("single", "discriminant"), head_options=(), folds=3, patience=1))
    by_head = {outcome.unit.head: outcome for outcome in study.outcomes}
    assert (by_head["discriminant"].epochs == 0).all() and (by_head["single"].epochs > 0).all()
    assert np.isfinite(by_head["discriminant"].losses).all()
