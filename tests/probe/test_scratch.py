"""Models from scratch: they learn, never from the test part, and go on where they were stopped."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from emobridge.errors import UserError
from emobridge.probe import scratch
from emobridge.probe.report import data_seen
from emobridge.probe.run import probe
from emobridge.probe.scoring import score_study
from emobridge.probe.scratch_training import rates_of, training_of
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import read_corpus, split_corpus
from emobridge.training.loop import Plan

AST = ("hidden_size=16", "layers=1", "heads=2", "max_length=32")


@pytest.fixture
def asked(recorded):
    """Settings of a small study, with changes."""

    def make(**changes):
        plain = {
            "corpora": (str(recorded / "en.jsonl"),),
            "scratch": ("ast",),
            "scratch_options": AST,
            "heads": ("single",),
            "labels": ("anger", "sadness"),
            "learning_rates": (3e-3,),
            "batch_size": 4,
            "epochs": 3,
            "folds": 2,
            "seeds": 1,
            "floors": False,
            "out": str(recorded / "out"),
            "store": str(recorded / "store"),
        }
        return ProbeSettings(**{**plain, **changes})

    return make


def scratch_scores(study):
    return [row for row in score_study(study).scores if row.method == "trained from scratch"]


def run(settings):
    return list(scratch.outcomes(settings, [read_corpus(path, settings) for path in settings.corpora]))


def same(one, two):
    """To the last bit."""
    assert one.unit == two.unit and np.array_equal(one.epochs, two.epochs) and np.array_equal(one.rates, two.rates)
    for a, b in zip(one.predictions, two.predictions, strict=True):
        assert (a.corpus, a.seed) == (b.corpus, b.seed)
        np.testing.assert_array_equal(a.rows, b.rows)
        np.testing.assert_array_equal(a.probabilities, b.probabilities)


@pytest.mark.parametrize("name", ["ast", "emotion-cnn"])
def test_it_learns_to_tell_emotions_of_speakers_that_it_never_heard(asked, name):
    study = probe(asked(scratch=(name,), scratch_options=AST if name == "ast" else (), epochs=15))
    (found,) = [row for row in scratch_scores(study) if row.measure == "UA" and row.seed == "0"]
    assert found.value > 0.8 and found.n == 16
    assert (found.encoder, found.layer, found.head, found.normalisation) == (name, "end", "", "none")
    assert found.setting == "in language"
    (outcome,) = [outcome for outcome in study.outcomes if outcome.unit.weights == "scratch"]
    assert outcome.epochs.tolist() == [[15, 15]]
    assert any(
        text.endswith("by which the encoder was trained end to end from random weights") for text in data_seen(study)
    )


def test_outcomes_are_like_those_of_probes(asked, recorded):
    corpora = (str(recorded / "en.jsonl"), str(recorded / "xx.jsonl"))
    settings = asked(corpora=corpora, settings=("mono", "cross"), seeds=2, epochs=1)
    study = probe(settings)
    probed = {one.unit.corpus: one for one in study.outcomes if one.unit.weights == "none"}
    found = {one.unit.corpus: one for one in study.outcomes if one.unit.weights == "scratch"}
    assert list(found) == ["en", "xx"]
    for name, one in found.items():
        assert one.epochs.shape == one.rates.shape == (1, 4) and one.layer_weights is None
        other = {(part.corpus, part.seed): part for part in probed[name].predictions}
        assert {(part.corpus, part.seed) for part in one.predictions} == set(other)
        for part in one.predictions:
            np.testing.assert_array_equal(part.rows, other[part.corpus, part.seed].rows)
            assert part.probabilities.shape == (1, 16, 2)
            np.testing.assert_allclose(part.probabilities.sum(2), 1, atol=1e-5)
    kinds = {(row.source, row.target): row.setting for row in scratch_scores(study)}
    assert kinds[("en", "en")] == "in language" and kinds[("en", "xx")] == "cross"


def test_an_encoder_of_known_languages_has_none_from_scratch(asked):
    study = probe(asked(epochs=1))
    told = replace(study, languages=(("ast", ("en",)), *study.languages))
    assert {row.setting for row in scratch_scores(told)} == {"in language"}


def test_the_loop_is_handed_no_test_utterance_and_no_label_beside_them(asked, monkeypatch):
    settings = asked(folds=4, patience=1, epochs=1)
    corpus = read_corpus(settings.corpora[0], settings)
    fit, cuts, seen = scratch.fit, list(split_corpus(corpus, settings)[0]), []

    def noted(task, method, head, plan, **more):
        inputs, known = more["validation"]
        cut = cuts[len(seen)]
        seen.append(cut)
        for one, rows in ((task.inputs, cut.train), (inputs, cut.validation)):
            assert [u.id for u in one.utterances] == [corpus.utterances[row].id for row in rows]
            assert all(u.emotion is None for u in one.utterances)
        assert task.labelled_target is None and task.target is None
        assert known.label.tolist() == [int(corpus.utterances[row].emotion == "sadness") for row in cut.validation]
        assert plan == Plan(1, 4, 3e-3, 1.0, 1, weight_decay=1e-4, betas=(0.9, 0.98))
        return fit(task, method, head, plan, **more)

    monkeypatch.setattr(scratch, "fit", noted)
    run(settings)
    assert seen == cuts


def test_labels_of_the_test_part_change_nothing(asked):
    settings = asked()
    corpus = read_corpus(settings.corpora[0], settings)
    cut = split_corpus(corpus, settings)[0][0]
    other = {"anger": "sadness", "sadness": "anger"}
    swapped = list(corpus.utterances)
    for row in cut.test:
        swapped[row] = replace(swapped[row], emotion=other[swapped[row].emotion])
    one = scratch.learn(settings, "ast", corpus, cut, seed=0)
    two = scratch.learn(settings, "ast", replace(corpus, utterances=tuple(swapped)), cut, seed=0)
    for part in ("encoder", "head"):
        weights = getattr(one, part).state_dict(), getattr(two, part).state_dict()
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    # Those of the training part do.
    for row in cut.train[:3]:
        swapped[row] = replace(swapped[row], emotion=other[swapped[row].emotion])
    three = scratch.learn(settings, "ast", replace(corpus, utterances=tuple(swapped)), cut, seed=0)
    assert not torch.equal(one.head.output.weight, three.head.output.weight)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("stop", [3, 6])
def test_a_study_that_was_stopped_goes_on_and_ends_the_same(asked, recorded, monkeypatch, stop):
    """Stopped in the first model and at the begin of the second, with a checkpoint after every epoch."""
    settings = asked(epochs=4)
    (whole,) = run(replace(settings, out=str(recorded / "whole")))
    fit, epochs = scratch.fit, []

    def stopping(task, method, head, plan, *, workspace, **more):
        def counted(epoch, total):
            workspace.on_epoch(epoch, total)
            epochs.append(epoch)
            if len(epochs) == stop:
                raise Interrupted

        often = replace(plan, checkpoint_every=0)
        return fit(task, method, head, often, workspace=replace(workspace, on_epoch=counted), **more)

    monkeypatch.setattr(scratch, "fit", stopping)
    with pytest.raises(Interrupted):
        run(settings)
    work = recorded / "out" / "work"
    assert len(list(work.glob("*.safetensors"))) == stop // 4 and len(list(work.glob("*.checkpoint"))) == 1
    (found,) = run(settings)
    same(found, whole)
    assert epochs == [*range(1, 5), *range(1, 5)][:stop] + [*range(1, 5), *range(1, 5)][stop - 1 :], (
        "only the last again"
    )
    assert not list(work.glob("*.checkpoint"))
    monkeypatch.setattr(scratch, "fit", None)
    same(run(settings)[0], whole)


@pytest.mark.parametrize(
    "changes",
    [{"crop": 0.2}, {"epochs": 1}, {"scratch_options": (*AST[:3], "max_length=48")}, {"class_weights": False}],
)
def test_what_changes_a_model_trains_it_anew(asked, monkeypatch, changes):
    run(asked())
    monkeypatch.setattr(scratch, "fit", None)
    with pytest.raises(TypeError):
        run(asked(**changes))
    run(asked(layers=("0",), encoders=("emotion-cnn",), heads=("linear",)))  # of the probes alone


def test_models_of_more_seeds_are_added(asked, monkeypatch):
    (one,) = run(asked())
    fit, count = scratch.fit, []
    monkeypatch.setattr(scratch, "fit", lambda *given, **more: count.append(1) or fit(*given, **more))
    (two,) = run(asked(seeds=2))
    assert len(count) == 2
    np.testing.assert_array_equal(one.predictions[0].probabilities, two.predictions[0].probabilities)
    assert not np.array_equal(two.predictions[0].probabilities, two.predictions[1].probabilities)


def test_early_stopping_and_the_choice_of_a_rate(asked):
    settings = asked(
        folds=4, patience=2, epochs=8, learning_rates=(1e-9, 1e-2), scratch=("emotion-cnn",), scratch_options=()
    )
    corpus = read_corpus(settings.corpora[0], settings)
    calls = []
    learnt = scratch.learn(
        settings,
        "emotion-cnn",
        corpus,
        split_corpus(corpus, settings)[0][0],
        seed=0,
        on_epoch=lambda *both: calls.append(both),
    )
    assert learnt.rate == 1e-2 and 1 <= learnt.epoch <= 8 and learnt.loss < 0.69
    assert calls == sorted(calls) and {total for _, total in calls} == {16} and calls[-1][0] > 8


def test_batch_norms_get_crops_of_one_length_and_others_whole_clips(asked):
    settings = asked(scratch=("ast", "emotion-cnn"))
    corpus = read_corpus(settings.corpora[0], settings)
    lengths = {}
    for name in settings.scratch:
        for crop in (0.0, 0.2):
            encoder = scratch.untrained(settings, name, seed=0)
            inputs = scratch._recordings(replace(settings, crop=crop), encoder, corpus, [0])
            lengths[name, crop] = len(inputs._wave(0, 0))
    assert lengths == {("ast", 0.0): 4800, ("ast", 0.2): 3200, ("emotion-cnn", 0.0): 32000, ("emotion-cnn", 0.2): 3200}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"scratch": ("asst",)}, "unknown encoder 'asst': did you mean 'ast'"),
        (
            {"scratch": ("logmel",), "scratch_options": ()},
            "scratch: encoder logmel has no weights that could be trained",
        ),
        ({"scratch": ("whisper",), "scratch_options": ()}, "scratch: encoder whisper needs weights: a folder"),
        (
            {"scratch_options": ("hidden-sise=8",)},
            "unknown option of scratch ast 'hidden_sise': did you mean 'hidden_size'",
        ),
        ({"scratch": ("emotion-cnn",)}, "scratch emotion-cnn takes no options, but got 'hidden_size'"),
        ({"scratch_options": ("seed=8",)}, "unknown option of scratch ast 'seed'"),
        ({"scratch_options": ("hidden_size=15", "heads=2")}, "scratch: hidden_size 15 of encoder ast"),
        ({"scratch": ("ast", "ast")}, "scratch: ast stands twice"),
        ({"crop": -1.0}, "crop: expected 0 or more"),
    ],
)
def test_mistakes_are_found_before_anything_long(asked, changes, match):
    with pytest.raises(UserError, match=match):
        probe(asked(**changes))


OWN = ("epochs=4", "batch_size=8", "accumulate=2", "learning_rate=2e-3", "decay=0.85", "decay_from=2", "decay_every=1",
       "beta1=0.95", "beta2=0.999", "weight_decay=5e-7", "mixup=0.6", "loss=binary", "class_weights=no", "patience=4",
       "validate_by=ua")  # fmt: skip


def test_an_encoder_trains_by_a_recipe_of_its_own(asked, monkeypatch):
    """As Gong et al. 2021 train the AST: nothing of the probes' hyper-parameters reaches the loop."""
    options = (*AST, "tokens=yes", "frequency_mask=16", "time_mask=8")
    settings = asked(scratch_training=OWN, scratch_options=options, split="80/10/10", folds=1)
    fit, seen = scratch.fit, []

    def noted(task, method, head, plan, **more):
        seen.append((task, method, plan, more["validation"]))
        return fit(task, method, head, plan, **more)

    monkeypatch.setattr(scratch, "fit", noted)
    (outcome,) = run(settings)
    ((task, method, plan, validation),) = seen
    assert plan == Plan(
        4, 8, 2e-3, 0.85, 4, "ua", weight_decay=5e-7, betas=(0.95, 0.999), accumulate=2, decay_from=2, decay_every=1
    )
    assert (method.kind, task.inputs.mixup, task.class_weights) == ("binary", 0.6, False) and validation is not None
    assert validation[0].mixup == 0 and task.inputs.encoder.masks == (16, 8)
    assert outcome.rates.tolist() == [[2e-3]] and 1 <= outcome.epochs[0, 0] <= 4
    monkeypatch.setattr(scratch, "fit", None)
    run(settings)  # from the files
    with pytest.raises(TypeError):
        run(replace(settings, scratch_training=(*OWN, "mixup=0.5")))


def test_a_later_word_of_a_recipe_wins_and_what_is_not_said_is_the_probes(asked):
    training = training_of(asked(scratch_training=("epochs=9", "epochs=1"), weight_decay=0.5))
    assert (training.epochs, training.weight_decay, training.batch_size) == (1, 0.5, 4)
    assert rates_of(asked(), training) == (3e-3,)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("epoch=3",), "unknown option of scratch_training 'epoch': did you mean 'epochs'"),
        (("epochs=0",), "scratch_training: epochs: expected 1 or more, got 0"),
        (("mixup=1.5",), r"scratch_training: mixup: expected a number in \[0, 1\], got 1.5"),
        (("loss=bce",), "unknown loss of scratch_training 'bce'"),
        (("epochs=many",), "scratch_training: epochs: expected a whole number, got 'many'"),
        (("patience=3",), "split has no validation part"),
    ],
)
def test_a_recipe_that_makes_no_sense(asked, words, match):
    with pytest.raises(UserError, match=match):
        probe(asked(scratch_training=words))


def test_from_the_command_line(recorded, cli, monkeypatch):
    def shown(settings, command, *, strict):
        rows = scratch_scores(probe(settings, strict=strict))
        return json.dumps([settings.crop, *sorted({(row.encoder, row.layer, row.source) for row in rows})])

    monkeypatch.setattr("emobridge.probe.report.run_and_report", shown)
    words = ["probe", "--corpus", recorded / "en.jsonl", "--heads", "single", "--no-floors", "--folds", 2, "--seeds", 1]
    words += ["--scratch", "ast", "--scratch", "emotion-cnn", "--crop", 0.3, "--epochs", 1, "--out", recorded / "out"]
    for option in AST:
        words += ["--scratch-option", option]
    done = cli(*words)
    assert done.code == 0, done.err
    assert json.loads(done.out) == [0.3, ["ast", "end", "en"], ["emotion-cnn", "end", "en"]]
