"""The temperature of a system: what gives it, what must never enter it, and how it is judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from emobridge.data.speech import UNLABELLED, folds_of
from emobridge.encoders import load_encoder
from emobridge.scores.calibration import expected_calibration_error, fit_temperature, tempered
from emobridge.settings import Adapt, Split
from emobridge.study.calibration import HeldOut, calibrations_of, temperature_lines, temperatures_of
from emobridge.study.cases import draft
from emobridge.study.run import Answers, Predicted, Runner
from emobridge.study.train import train

DEFAULTS = {"source": ("en.jsonl",), "target": "xx.jsonl", "labels": ("anger", "sadness"), "layer": "0"}
SPLIT = Split(folds=2, seeds=2)


def answers_of(speech, split=SPLIT, **options) -> Answers:
    """Random answers, too sure of themselves, to all that a split holds out; they do not depend on any label."""
    case = draft(Adapt.of(**(DEFAULTS | {"method": "pseudo-labels"} | options)), load_encoder("logmel"))[-1]
    p = np.random.default_rng(1).dirichlet([0.2, 0.2], (split.seeds, len(speech.label))).astype(np.float32)
    predicted = []
    for seed in range(split.seeds):
        folds = folds_of(speech, split, seed)
        for side in ("source", "target"):
            rows = np.sort(np.concatenate([getattr(fold, f"{side}_test") for fold in folds]).astype(int))
            if len(rows):
                predicted.append(Predicted("pseudo-labels", seed, side, rows, p[seed, rows], np.zeros(len(rows), int)))
    return Answers(case, tuple(predicted), ())


def temperature(speech, answers, side="target") -> float:
    return dict(zip(("target", "source"), temperatures_of(Runner(speech, SPLIT, None), answers)))[side]


def other_labels(speech, rows):
    """The same speech with other emotions in some rows."""
    label = speech.label.copy()
    label[rows] = 1 - label[rows]
    return replace(speech, label=label)


def test_it_is_that_of_the_held_out_answers_of_the_source(toy_speech):
    speech = toy_speech(each=6)
    answers = answers_of(speech)
    p, truth = (
        np.concatenate([take(part) for part in answers.predicted if part.side == "source"])
        for take in (lambda part: part.probabilities, lambda part: speech.label[part.rows])
    )
    assert temperature(speech, answers) == pytest.approx(fit_temperature(p, truth), rel=1e-3)
    assert temperature(speech, answers) > 2, "they are too sure"
    for row in calibrations_of(speech, SPLIT, [answers]):
        assert row.temperature == temperature(speech, answers)
        assert row.fitted_on == "held-out speakers of the source"


@pytest.mark.parametrize("method", ["source-only", "pseudo-labels", "dann"])
def test_no_label_of_the_target_enters_it_where_the_method_sees_none(toy_speech, method):
    speech = toy_speech()
    answers = answers_of(speech, method=method)
    changed = other_labels(speech, np.flatnonzero(speech.is_target))
    assert temperature(changed, answers) == temperature(speech, answers)
    assert temperature(other_labels(speech, [0]), answers) != temperature(speech, answers)


def test_of_a_filled_list_its_labels_enter_and_no_others(toy_speech):
    speech = toy_speech(each=6)
    target = np.flatnonzero(speech.is_target)
    listed = target[::5]
    speech = replace(speech, visible=frozenset(speech.utterances[row].id for row in listed))
    answers = answers_of(speech, target_labels=str(len(listed)))
    before = temperature(speech, answers)
    assert temperature(other_labels(speech, np.setdiff1d(target, listed)), answers) == before
    assert temperature(other_labels(speech, listed), answers) != before
    assert temperature(other_labels(speech, target), answers, "source") == temperature(speech, answers, "source")
    on_target, on_source = calibrations_of(speech, SPLIT, [answers])
    words = f"held-out speakers of the source and held-out answers to {len(listed)} labelled utterances of the target"
    assert (on_target.fitted_on, on_source.fitted_on) == (words, "held-out speakers of the source")
    lines = temperature_lines(speech, SPLIT, answers)
    assert lines[0] == f"temperature of answers to the target: {before:.2f}, fitted on {words}"


def test_without_a_label_of_the_target_no_answer_becomes_surer(toy_speech):
    speech = toy_speech(each=6)
    answers = answers_of(speech)
    modest = replace(
        answers,
        predicted=tuple(
            replace(part, probabilities=0.6 * np.eye(2)[speech.label[part.rows]] + 0.2) for part in answers.predicted
        ),
    )  # always right, and 80 per cent sure
    assert temperature(speech, modest) == 1 and temperature(speech, modest, "source") < 0.5
    on_target, on_source = calibrations_of(speech, SPLIT, [modest])
    assert on_target.after.confidence == pytest.approx(0.8) and on_source.after.confidence > 0.95
    case = replace(answers.case, target_labels="all")
    assert temperature(speech, replace(modest, case=case)) < 0.5, "labels of the target speak for it"


def test_all_labels_of_the_target_enter_where_the_method_sees_them_all(toy_speech):
    speech = toy_speech()
    (row, _) = calibrations_of(speech, SPLIT, [answers_of(speech, target_labels="all")])
    assert "24 labelled utterances of the target" in row.fitted_on


def test_of_a_budget_that_each_fold_draws_for_itself_the_source_alone_counts(toy_speech):
    speech = toy_speech()
    answers = answers_of(speech, target_labels="4")
    target = np.flatnonzero(speech.is_target)
    assert temperature(other_labels(speech, target), answers) == temperature(speech, answers)
    assert calibrations_of(speech, SPLIT, [answers])[0].fitted_on == "held-out speakers of the source"


def test_a_side_of_few_labels_weighs_as_much_as_the_other():
    rng = np.random.default_rng(0)
    p, is_target = rng.dirichlet([0.3, 0.3], 1000), np.arange(1000) < 50
    truth = np.where(is_target, p.argmax(1), rng.integers(2, size=1000))  # the target is right, the source a guess
    every = np.ones(1000, bool)
    both, source = (
        HeldOut(np.arange(1000), p, truth, is_target, rows, np.arange(1000) % 10).temperature("target")
        for rows in (every, ~is_target)
    )
    copies = np.concatenate([np.flatnonzero(~is_target), np.tile(np.flatnonzero(is_target), 19)])
    assert both == pytest.approx(fit_temperature(p[copies], truth[copies]), rel=0.02) and both < source / 2


def test_a_speaker_s_own_answers_do_not_judge_them(toy_speech):
    rng = np.random.default_rng(0)
    p, part, every = rng.dirichlet([0.3, 0.3], 60), np.arange(60) % 3, np.ones(60, bool)
    truth = rng.integers(2, size=60)
    source = HeldOut(np.arange(60), p, truth, ~every, every, part)
    first = source.tempered("source")
    expected = tempered(p[part == 1], fit_temperature(p[part != 1], truth[part != 1]))
    np.testing.assert_allclose(first[part == 1], expected, rtol=1e-3)
    changed = replace(source, truth=np.where(part == 1, 1 - truth, truth)).tempered("source")
    np.testing.assert_array_equal(changed[part == 1], first[part == 1])
    assert not np.allclose(changed[part == 0], first[part == 0])


def test_numbers_of_the_record_are_those_of_the_answers(toy_speech):
    speech = toy_speech(each=6)
    answers = answers_of(speech)
    target, source = calibrations_of(speech, SPLIT, [answers])
    assert (target.side, source.side, target.method, target.target_labels) == ("target", "source", "pseudo-labels", "0")
    for row in (target, source):
        parts = [part for part in answers.predicted if part.side == row.side]
        p = np.concatenate([part.probabilities for part in parts]).astype(np.float64)
        truth = np.concatenate([speech.label[part.rows] for part in parts])
        assert row.n == len(p) == 96 and row.accuracy == pytest.approx((p.argmax(1) == truth).mean())
        assert row.before.confidence == pytest.approx(p.max(1).mean())
        assert row.before.error == pytest.approx(expected_calibration_error(p, truth))
        assert row.after.error < row.before.error and row.after.coverage[0] == (1.0, pytest.approx(row.accuracy))
        assert sum(part.n for part in row.after.curve) == 96
    after = tempered(p, source.temperature)  # near, and not the same: each speaker is judged by the others
    assert source.after.confidence == pytest.approx(after.max(1).mean(), abs=0.1)


def test_a_target_without_labels_has_no_row_and_a_single_split_of_two_seeds_has_all_answers(toy_speech):
    speech = toy_speech()
    unlabelled = replace(speech, label=np.where(speech.is_target, UNLABELLED, speech.label))
    (row,) = calibrations_of(unlabelled, SPLIT, [answers_of(unlabelled)])
    assert row.side == "source"
    speech, single = toy_speech(speakers=10), Split(folds=0, seeds=2)
    for row in calibrations_of(speech, single, [answers_of(speech, single)]):
        assert row.n == 24 and row.after is not None, "two speakers of each seed"


def test_of_a_single_speaker_there_is_no_honest_after(toy_speech):
    speech, single = toy_speech(speakers=5), Split(folds=0, seeds=1)
    answers = answers_of(speech, single)
    target, source = calibrations_of(speech, single, [answers])
    assert source.after is None and source.temperature > 0
    assert target.after is not None, "another speaker of the source gave its temperature"


def test_speakers_who_are_not_known_are_each_their_own_in_every_seed(toy_speech):
    speech = toy_speech()
    nameless = replace(speech, utterances=tuple(replace(row, speaker=None) for row in speech.utterances))
    shared = Split(folds=2, seeds=2, share_speakers=True)
    (_, row) = calibrations_of(nameless, shared, [answers_of(nameless, shared)])
    assert row.fitted_on == "held-out utterances of the source" and row.after is not None


def test_without_emotions_or_answers_there_is_nothing_to_calibrate(toy_speech):
    speech = toy_speech()
    answers = answers_of(speech)
    bare = replace(answers, case=replace(answers.case, labels=(), attributes=("arousal",)))
    nothing = replace(answers, predicted=())
    for none in (bare, nothing):
        assert temperatures_of(Runner(speech, SPLIT, None), none) == (1, 1)
        assert temperature_lines(speech, SPLIT, none) == () == calibrations_of(speech, SPLIT, [none])


def test_the_bundle_has_it_and_nothing_that_is_trained_or_scored_does(recorded, tmp_path, monkeypatch):
    options = {"source": (str(recorded / "en.jsonl"),), "target": str(recorded / "xx.jsonl"), "epochs": 4}
    options |= {"labels": ("anger", "sadness"), "seeds": 1, "folds": 2, "guard": False, "method": "pseudo-labels"}
    options |= {"store": str(tmp_path / "store"), "target_labels": "all"}
    adapted = train(Adapt.of(**options, out=str(tmp_path / "a")))
    split = adapted.request.split
    (own,) = [answers for answers in adapted.answers if answers.case == adapted.chosen]
    expected = temperatures_of(Runner(adapted.speech, split, None), own)
    spec = adapted.recognizer.spec
    assert (spec.temperature, spec.source_temperature) == expected and 1 not in expected
    monkeypatch.setattr("emobridge.study.train.temperatures_of", lambda *_: (1.0, 1.0))
    plain = train(Adapt.of(**options, out=str(tmp_path / "b")))
    for name, tensor in adapted.recognizer.head.state_dict().items():
        assert torch.equal(tensor, plain.recognizer.head.state_dict()[name])
    fits = [{path.name for path in (tmp_path / name / "work").rglob("*.safetensors")} for name in "ab"]
    assert fits[0] == fits[1] and len(fits[0]) >= 4
    for first, second in zip(adapted.answers, plain.answers):
        for before, after in zip(first.predicted, second.predicted):
            np.testing.assert_array_equal(before.probabilities, after.probabilities)
    x = torch.randn(9, 1, 128)
    for domain, value in ((-1, expected[0]), (0, expected[1])):
        hot, cold = (
            each.recognizer.probabilities(x, each.recognizer.domains[domain], None) for each in (adapted, plain)
        )
        np.testing.assert_allclose(hot.numpy(), tempered(cold.numpy(), value), atol=1e-5)
        assert torch.equal(hot.argmax(1), cold.argmax(1))


def test_the_agreement_of_halves_may_ask_for_more_doubt(toy_speech):
    """Of the target alone, and only for more than the source asks for."""
    speech = toy_speech(each=6)
    answers = answers_of(speech)
    plain = dict(zip(("target", "source"), temperatures_of(Runner(speech, SPLIT, None), answers)))
    for agreed in (1.0, 0.5 * (1 + plain["target"]), 3 * plain["target"]):
        target, source = temperatures_of(Runner(speech, SPLIT, None), answers, agreed)
        assert (target, source) == (max(plain["target"], agreed), plain["source"])
    line = temperature_lines(speech, SPLIT, answers, 3 * plain["target"])[0]
    assert line.endswith("fitted on the agreement of recognisers adapted to halves of the target")
    row = calibrations_of(speech, SPLIT, [answers], {answers.case: 3 * plain["target"]})[0]
    assert row.temperature == 3 * plain["target"]
