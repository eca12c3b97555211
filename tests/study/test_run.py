"""Fits of a run: what is finished is not done again, and says the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.settings import Settings
from emobridge.study import run as room
from emobridge.study.run import Predicted, Runner, Work, made_method, systems_of
from emobridge.training import stages
from emobridge.training.checkpoints import LogPoint


def settings(**changes) -> Settings:
    plain = {
        "source": ("a",),
        "target": "b",
        "labels": ("anger", "sadness"),
        "statistics": ("mean",),
        "layer": "0",
        "head": "single",
    }
    plain |= {"seeds": 2, "folds": 2, "epochs": 3, "learning_rate": 0.01, "method": "pseudo-labels"}
    return Settings(**{**plain, **changes})


@pytest.fixture
def speech(toy_speech):
    return toy_speech(extra=1, width=64)


@pytest.fixture
def fits(monkeypatch):
    """How many fits there were."""
    calls = []
    original = stages.fit
    monkeypatch.setattr(stages, "fit", lambda *given, **named: calls.append(named) or original(*given, **named))
    return calls


def clear(speech):
    """With features that tell the class without a doubt, in an order in which no two speakers are alike."""
    order = np.random.default_rng(0).permutation(len(speech.label))
    order = order[np.argsort(speech.domain_of[order], kind="stable")]
    return replace(
        speech,
        utterances=tuple(speech.utterances[row] for row in order),
        label=speech.label[order],
        features=(torch.from_numpy(2.0 * speech.label - 1).float()[:, None] + 0.1 * speech.features)[order],
    )


def same(one: tuple[Predicted, ...], two: tuple[Predicted, ...]) -> bool:
    def key(said: Predicted) -> tuple:
        return said.method, said.seed, said.side, said.rows.tolist(), said.probabilities.tolist()

    return [key(said) for said in one] == [key(said) for said in two]


def test_the_baseline_comes_first_and_once():
    assert systems_of(settings()) == ("source-only", "pseudo-labels")
    assert systems_of(settings(method="source-only")) == ("source-only",)


def test_options_are_the_methods_and_not_the_baselines():
    options = settings(method_options=("threshold=0.9",))
    assert made_method("pseudo-labels", options).threshold == 0.9
    assert made_method("source-only", options).rebalance is True
    with pytest.raises(UserError, match="unknown option of method pseudo-labels 'treshold': did you mean 'threshold'"):
        made_method("pseudo-labels", settings(method_options=("treshold=0.9",)))
    with pytest.raises(UserError, match="did you mean 'pseudo-labels'"):
        made_method("pseudo-label", settings(method="pseudo-label"))


def test_a_method_that_cannot_use_target_labels_says_so(monkeypatch):
    monkeypatch.setattr(PseudoLabels, "takes", frozenset())
    assert made_method("pseudo-labels", settings())
    for amount in ("25", "all"):
        with pytest.raises(UserError, match="method pseudo-labels cannot use target labels: give --target-labels 0"):
            made_method("pseudo-labels", settings(target_labels=amount))


def test_every_system_seed_and_side_says_something_of_each_utterance_once(speech):
    said = Runner(settings(), speech).run()
    assert [(one.method, one.seed, one.side) for one in said] == [
        (method, seed, side)
        for seed in (0, 1)
        for method in ("source-only", "pseudo-labels")
        for side in ("source", "target")
    ]
    for one in said:
        is_side = speech.is_target == (one.side == "target")
        assert one.rows.tolist() == np.flatnonzero(is_side & (speech.label >= 0)).tolist()
        assert one.probabilities.shape == (len(one.rows), 2)
        np.testing.assert_allclose(one.probabilities.sum(1), 1, rtol=1e-5)


def test_predictions_belong_to_their_rows(toy_speech):
    speech = clear(toy_speech(speakers=5))
    for one in Runner(settings(seeds=1, folds=3, epochs=30, learning_rate=0.05, align="none"), speech).run():
        assert one.probabilities.argmax(1).tolist() == speech.label[one.rows].tolist()


def test_progress_counts_every_fit_once(speech):
    seen = []
    Runner(settings(), speech).run(lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in range(1, 9)]


def test_the_log_names_its_fit(speech):
    runner = Runner(settings(seeds=1), speech)
    runner.run()
    assert {name for name, _ in runner.log} == {
        f"{method}, seed 0, fold {fold}" for method in ("source-only", "pseudo-labels") for fold in (0, 1)
    }
    assert all(isinstance(point, LogPoint) for _, point in runner.log) and len(runner.log) == 4 * 3


def test_a_second_run_reads_what_the_first_wrote(speech, tmp_path, fits):
    def runner() -> Runner:
        return Runner(settings(), speech, Work(tmp_path, settings(), speech, "digest"))

    first = runner()
    said = first.run()
    assert len(fits) == 8
    second = runner()
    assert same(second.run(), said) and len(fits) == 8
    assert second.log == first.log, "also what it logged"
    assert not list(tmp_path.glob("*.checkpoint*"))
    assert same(Runner(settings(), speech).run(), said), "as one without a folder"


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_a_fit_whose_file_is_damaged_is_done_again(speech, tmp_path, fits, damage):
    work = Work(tmp_path, settings(), speech, "digest")
    said = Runner(settings(), speech, work).run()
    path = work.said("pseudo-labels-seed1-fold0")
    path.write_bytes(path.read_bytes()[:-7] if damage is None else damage)
    del fits[:]
    assert same(Runner(settings(), speech, work).run(), said) and len(fits) == 1


def test_an_interrupted_run_does_only_what_is_left(speech, tmp_path, monkeypatch, fits):
    work = Work(tmp_path, settings(), speech, "digest")
    whole = Runner(settings(), speech).run()
    del fits[:]

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(settings(), speech, work).run(stop)
    assert len(fits) == 3
    assert same(Runner(settings(), speech, work).run(), whole) and len(fits) == 8


def test_other_settings_speech_or_weights_are_another_run(speech, tmp_path):
    def key(options=None, some=None, digest="digest") -> str:
        return Work(tmp_path, options or settings(), some or speech, digest).key

    utterances, label = list(speech.utterances), speech.label.copy()
    utterances[3] = replace(utterances[3], speaker="9")
    label[3] = 1 - label[3]
    features = speech.features.clone()
    features[3, 0] += 1e-3
    keys = [
        key(),
        key(digest="other"),
        *(key(settings(**change)) for change in ({"epochs": 4}, {"head": "nonlinear"}, {"target_labels": "2"})),
        key(some=replace(speech, utterances=tuple(utterances))),
        key(some=replace(speech, label=label)),
        key(some=replace(speech, features=features)),
    ]
    assert len(set(keys)) == len(keys)
    assert key(settings(out="elsewhere", store="there")) == key()


def test_the_final_recogniser_is_trained_on_everything(speech):
    encoder, speech = load_encoder("logmel"), clear(speech)
    options = settings(epochs=20, learning_rate=0.05, seeds=1)
    one = Runner(options, speech).final(encoder)
    assert one.spec.method == "pseudo-labels" and one.spec.digest == encoder.digest and one.spec.trained == "frozen"
    assert one.spec.domains == (("en", "en"), ("xx", "xx")) and not one.spec.synthetic
    target = np.flatnonzero(speech.is_target)
    torch.testing.assert_close(one.domains[-1].mean, speech.features[target].mean(0))
    speakers = [f"xx\0{speech.utterances[row].speaker}" for row in target]
    pooled = torch.cat([speech.features[target], torch.full((len(target), 64), 1e9)], 1)
    said = one.probabilities(pooled, one.domains[-1], speakers).argmax(1).numpy()
    known = speech.label[target] >= 0
    assert (said == speech.label[target])[known].mean() > 0.9
    again = Runner(options, speech).final(encoder)
    assert torch.equal(again.head.state_dict()["output.weight"], one.head.state_dict()["output.weight"])


def test_speech_that_a_machine_made_is_told(toy_speech):
    speech = toy_speech(sources=("demo-en",), width=64)
    assert Runner(settings(epochs=1), speech).final(load_encoder("logmel")).spec.synthetic


def test_a_folder_of_weights_is_remembered_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wavlm").mkdir()
    (tmp_path / "logmel").mkdir()
    assert room._lasting("wavlm") == str(tmp_path / "wavlm")
    assert room._lasting("facebook/wav2vec2-base") == "facebook/wav2vec2-base"
    assert room._lasting("logmel") == "logmel", "load_encoder takes the plug-in before a folder of its name"


def test_a_target_without_labels_has_predictions_of_the_source_only(toy_speech):
    speech = toy_speech(extra=2)
    speech = replace(speech, label=np.where(speech.is_target, -1, speech.label))
    assert {one.side for one in Runner(settings(seeds=1), speech).run()} == {"source"}


BOTH = ("arousal", "valence")


def rated(speech):
    """Arousal is the second of the features, squeezed, and valence less the third; no emotion tells either."""
    attributes = np.tanh(speech.features.numpy()[:, 1:3].astype(float)) * [1, -1]
    return replace(speech, attributes=attributes)


def test_attributes_of_all_folds_are_in_the_order_of_the_rows(speech):
    """The truth is told by one feature each: what is said of held-out speakers goes with it, row by row."""
    x = np.random.default_rng(0).standard_normal((len(speech.label), 2))
    speech = replace(speech, features=torch.from_numpy(x).float(), attributes=np.tanh(x) * [1, -1])
    changes = {"epochs": 60, "learning_rate": 0.1, "normalise": "none", "align": "none"}
    asked = settings(attributes=BOTH, method="source-only", seeds=1, **changes)
    for one in Runner(asked, speech).run():
        assert one.attributes.shape == (len(one.rows), 2)
        found = room.attribute_evaluation_of(speech, BOTH, [one])
        assert found.truth.tolist() == speech.attributes[one.rows].tolist()
        values = found.values()
        assert min(values["CCC arousal"], values["CCC valence"]) > 0.8
    assert room.attribute_evaluation_of(replace(speech, attributes=None), BOTH, [one]) is None
    assert room.attribute_evaluation_of(replace(speech, attributes=speech.attributes * np.nan), BOTH, [one]) is None


def test_what_was_said_of_attributes_is_read_again(speech, tmp_path, fits):
    speech = rated(speech)
    asked = settings(attributes=BOTH, seeds=1)
    first = Runner(asked, speech, Work(tmp_path, asked, speech, "digest")).run()
    done = len(fits)
    again = Runner(asked, speech, Work(tmp_path, asked, speech, "digest")).run()
    assert len(fits) == done
    for one, two in zip(first, again):
        assert np.array_equal(one.attributes, two.attributes) and np.array_equal(one.probabilities, two.probabilities)
    other = replace(speech, attributes=-speech.attributes)
    assert Work(tmp_path, asked, speech, "digest").key != Work(tmp_path, asked, other, "digest").key


def test_a_file_of_a_fit_without_attributes_is_read(speech, tmp_path):
    work = Work(tmp_path, settings(), speech, "digest")
    save_file({"probabilities": np.eye(2)}, work.said("old"), metadata={"log": "[]"})
    said, log = work.read("old")
    assert said.attributes is None and said.probabilities.tolist() == [[1, 0], [0, 1]] and log == ()


def test_attributes_alone(speech):
    """Without emotions: one class, no cross-entropy, and only methods that do not go by emotions."""
    speech = rated(speech)
    speech = replace(speech, label=np.zeros_like(speech.label))
    asked = settings(labels=(), attributes=BOTH, method="dann", head="linear", seeds=1)
    runner = Runner(asked, speech)
    for one in runner.run():
        assert one.probabilities.tolist() == [[1.0]] * len(one.rows) and one.attributes.shape == (len(one.rows), 2)
        assert room.evaluation_of(speech, (), [one]) is None
    assert {point.term for _, point in runner.log} == {"1 - CCC arousal", "1 - CCC valence", "domain"}
    for method in ("pseudo-labels", "soft-pseudo-labels", "fluda", "nnpm"):
        with pytest.raises(UserError, match=f"method {method} goes by emotions, and labels are none"):
            made_method(method, replace(asked, method=method))


def test_the_recogniser_has_the_regressor_and_its_scale(speech):
    speech = rated(speech)
    asked = settings(attributes=BOTH, attribute_range="1..7", epochs=1)
    one = Runner(asked, speech).final(load_encoder("logmel"))
    assert one.attributes == BOTH and one.spec.attribute_range == "1..7" and str(one.scale) == "1..7"
    assert one.branches[0].regressor.weight.shape == (2, 64)
