"""Fits of a run: what is finished is not done again, and says the same."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from forked import fork_pools
from toys import case_of

from emobridge.cache import Cache
from emobridge.data.speech import Speech
from emobridge.encoders import load_encoder
from emobridge.settings import Split
from emobridge.study import run as runs_room
from emobridge.study.evaluations import attribute_evaluation, class_evaluation
from emobridge.study.facts import item_confusions
from emobridge.study.final import train_recognizer
from emobridge.study.run import Answers, Predicted, Runner, run
from emobridge.training import stages
from emobridge.training.case import Case
from emobridge.training.checkpoints import LogPoint
from emobridge.training.cost import StageCost

LAST = {"epochs": 3, "learning_rate": 0.01}


def case(method: str = "pseudo-labels", **changes) -> Case:
    return case_of(method=method, **{**LAST, **changes})


def both(**changes) -> tuple[Case, Case]:
    return case("source-only", **changes), case(**changes)


def runner(speech: Speech, folder=None, **split) -> Runner:
    return Runner(speech, Split(**{"seeds": 2, "folds": 2, **split}), Cache(folder))


@pytest.fixture
def speech(toy_speech):
    return toy_speech(extra=1, width=64)


@pytest.fixture
def fits(monkeypatch):
    """How many fits there were."""
    calls = []
    original = stages.build
    monkeypatch.setattr(stages, "build", lambda *given, **named: calls.append(given) or original(*given, **named))
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


def plain(answers: tuple[Answers, ...]) -> list[tuple]:
    """All that the answers say, as values that compare."""
    return [
        (system.method, part.seed, part.side, part.rows.tolist(), part.folds.tolist(), part.probabilities.tolist())
        for system in answers
        for part in system.predicted
    ]


def predictions(answers: tuple[Answers, ...]) -> list[Predicted]:
    return [part for system in answers for part in system.predicted]


def test_every_system_seed_and_side_says_something_of_each_utterance_once(speech):
    answers = run(runner(speech), both())
    assert [system.method for system in answers] == ["source-only", "pseudo-labels"]
    for system in answers:
        assert [(part.method, part.seed, part.side) for part in system.predicted] == [
            (system.method, seed, side) for seed in (0, 1) for side in ("source", "target")
        ]
    for part in predictions(answers):
        is_side = speech.is_target == (part.side == "target")
        assert part.rows.tolist() == np.flatnonzero(is_side & (speech.label >= 0)).tolist()
        assert part.probabilities.shape == (len(part.rows), 2)
        np.testing.assert_allclose(part.probabilities.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("validate", ["none", "source", "both"])
def test_the_fold_of_a_prediction_is_the_one_that_tested_it(speech, validate):
    changes = {} if validate == "none" else {"patience": 2, "validate": validate}
    runs = runner(speech, folds=3)
    for part in run(runs, [case(**changes)])[0].predicted:
        folds = runs.folds(part.seed, validate)
        for row, number in zip(part.rows, part.folds):
            assert row in getattr(folds[number], f"{part.side}_test")


@pytest.mark.parametrize("split", [{"seeds": 1}, {"folds": 0}, {"seeds": 1, "folds": 0}])
def test_one_seed_or_one_split_is_a_size_too(toy_speech, split):
    (answers,) = run(runner(toy_speech(speakers=5), **split), [case()])
    seeds = split.get("seeds", 2)
    assert [part.seed for part in answers.predicted] == [seed for seed in range(seeds) for _ in range(2)]
    assert all(len(part.rows) for part in answers.predicted)


def test_predictions_belong_to_their_rows(toy_speech):
    speech = clear(toy_speech(speakers=5))
    cases = both(epochs=30, learning_rate=0.05, align="none")
    for part in predictions(run(runner(speech, seeds=1, folds=3), cases)):
        assert part.probabilities.argmax(1).tolist() == speech.label[part.rows].tolist()


@pytest.mark.parametrize("head", ["single", "discriminant"])
def test_progress_counts_every_fit_once(speech, head):
    """Fits that train together count by their share of epochs: four of three epochs each, twice."""
    seen = []
    run(runner(speech), both(head=head), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in ((1, 2, 4, 5, 6, 8) if head == "single" else range(1, 9))]


def test_the_log_names_its_fit(speech):
    answers = run(runner(speech, seeds=1), both())
    logs = [log for system in answers for log in system.logs]
    assert [(log.method, log.seed, log.fold) for log in logs] == [
        (method, 0, fold) for method in ("source-only", "pseudo-labels") for fold in (0, 1)
    ]
    assert all(isinstance(point, LogPoint) for log in logs for point in log.points)
    assert [len(log.points) for log in logs] == [3] * 4 and all(log.costs == () for log in logs)


def test_a_second_run_reads_what_the_first_wrote(speech, tmp_path, fits):
    first = run(runner(speech, tmp_path), both())
    assert len(fits) == 8
    second = run(runner(speech, tmp_path), both())
    assert plain(second) == plain(first) and len(fits) == 8
    assert [system.logs for system in second] == [system.logs for system in first], "also what it logged"
    assert not list(tmp_path.glob("*.checkpoint*"))
    assert plain(run(runner(speech), both())) == plain(first), "as one without a folder"


def test_a_method_beside_it_does_not_train_the_baseline_again(speech, tmp_path, fits):
    """A8: what one study trained is read by another that asks the same, whatever else it asks."""
    run(runner(speech, tmp_path), both())
    del fits[:]
    run(runner(speech, tmp_path), [case("source-only"), case("dann", head="linear")])
    assert len(fits) == 4, "the other method's two seeds and folds"
    run(runner(speech, tmp_path, seeds=3), [case("source-only")])
    assert len(fits) == 6, "a seed more is trained alone"


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_a_fit_whose_file_is_damaged_is_done_again(speech, tmp_path, fits, damage):
    answers = run(runner(speech, tmp_path), both())
    again = runner(speech, tmp_path)
    path = again.cache.path(again.key(case(), 1, again.folds(1, "none")[0]))
    path.write_bytes(path.read_bytes()[:-7] if damage is None else damage)
    del fits[:]
    assert plain(run(again, both())) == plain(answers) and len(fits) == 1


def test_an_interrupted_run_does_only_what_is_left(speech, tmp_path, fits):
    whole = run(runner(speech), both())
    del fits[:]

    def stop(done: int, total: int) -> None:
        if done == 6:  # all fits of the first case are done, and those of the second have begun
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(runner(speech, tmp_path), both(), progress=stop)
    assert len(fits) == 8 and len(list(tmp_path.glob("*.safetensors"))) == 4
    del fits[:]
    assert plain(run(runner(speech, tmp_path), both())) == plain(whole) and len(fits) == 4


@pytest.mark.parametrize("folder", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_processes_say_what_one_says(speech, tmp_path, fits, folder, monkeypatch):
    fork_pools(monkeypatch)
    run_parallel = runs_room.run_parallel

    def pickled(work, units, **options):  # as processes that begin anew get it
        return run_parallel(pickle.loads(pickle.dumps(work)), units, **options)

    monkeypatch.setattr(runs_room, "run_parallel", pickled)
    torch.set_num_threads(1)
    alone = run(runner(speech), both())
    del fits[:]
    seen = []
    runs = runner(speech, tmp_path if folder else None)
    answers = run(runs, both(), jobs=2, progress=lambda done, total: seen.append((done, total)))
    assert plain(answers) == plain(alone) and not fits, "this process trains nothing"
    assert seen == [(done, 4) for done in range(1, 5)], "a case of one seed at a time"
    assert len(list(tmp_path.glob("*.safetensors"))) == (8 if folder else 0)


def test_other_cases_speech_or_seeds_are_other_fits(speech):
    def key(some=speech, seed=0, fold=0, split=None, **changes) -> str:
        runs = runner(some, **(split or {}))
        return runs.key(case(**changes), seed, runs.folds(0, "none")[fold])

    utterances, label = list(speech.utterances), speech.label.copy()
    utterances[3] = replace(utterances[3], speaker="9")
    label[3] = 1 - label[3]
    features = speech.features.clone()
    features[3, 0] += 1e-3
    keys = [
        key(),
        *(key(**change) for change in ({"epochs": 4}, {"head": "nonlinear"}, {"target_labels": "2"}, {"digest": "d"})),
        key(seed=1),
        key(fold=1),
        key(split={"folds": 3}),
        key(some=replace(speech, utterances=tuple(utterances))),
        key(some=replace(speech, label=label)),
        key(some=replace(speech, features=features)),
    ]
    assert len(set(keys)) == len(keys)
    assert key(split={"seeds": 5}) == key(), "how many seeds are run does not matter to any of them"


def test_the_path_of_a_recording_is_none_of_it(speech):
    moved = replace(speech, utterances=tuple(replace(row, path=f"/elsewhere/{row.path}") for row in speech.utterances))
    keys = [runs.key(case(), 0, runs.folds(0, "none")[0]) for runs in (runner(speech), runner(moved))]
    assert keys[0] == keys[1]


def test_the_final_recogniser_is_trained_on_everything(speech):
    encoder, speech = load_encoder("logmel"), clear(speech)
    chosen = case(epochs=20, learning_rate=0.05, digest=encoder.digest)
    recognizer = train_recognizer(runner(speech, seeds=1), chosen, encoder).recognizer
    spec = recognizer.spec
    assert spec.method == "pseudo-labels" and spec.digest == encoder.digest and spec.trained == "frozen"
    assert spec.domains == (("en", "en"), ("xx", "xx")) and not spec.synthetic
    target = np.flatnonzero(speech.is_target)
    torch.testing.assert_close(recognizer.domains[-1].mean, speech.features[target].mean(0))
    speakers = [f"xx\0{speech.utterances[row].speaker}" for row in target]
    pooled = torch.cat([speech.features[target], torch.full((len(target), 64), 1e9)], 1)
    predicted = recognizer.probabilities(pooled, recognizer.domains[-1], speakers).argmax(1).numpy()
    labelled = speech.label[target] >= 0
    assert (predicted == speech.label[target])[labelled].mean() > 0.9
    again = train_recognizer(runner(speech, seeds=1), chosen, encoder).recognizer
    assert torch.equal(again.head.state_dict()["output.weight"], recognizer.head.state_dict()["output.weight"])


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_the_recogniser_knows_what_it_was_trained_and_adapted_on(speech, normalise):
    """Of both sides, each by its corpus, whatever the head sees; features of another kind are beyond the edge."""
    speech = clear(speech)
    recognizer = train_recognizer(
        runner(speech), case(epochs=1, normalise=normalise), load_encoder("logmel")
    ).recognizer
    pooled = torch.cat([speech.features, speech.features], 1)  # mean and deviation, of which the head sees the mean
    for number, domain in enumerate(recognizer.domains):
        rows = torch.from_numpy(speech.domain_of == number)
        scores = recognizer.last.unfamiliarity(recognizer.normalised(pooled[rows], domain, None))
        assert scores.median() < 0.6
        assert (scores > 1).float().mean() < 0.15
        strange = recognizer.normalised(pooled[rows] + 5 * torch.randn(128), domain, None)
        assert (recognizer.last.unfamiliarity(strange) > 1.5).all()


def test_too_little_speech_to_know_it(toy_speech):
    speech = toy_speech(speakers=2, each=2, width=64)
    assert len(speech.utterances) == 16
    assert train_recognizer(runner(speech), case(epochs=1), load_encoder("logmel")).recognizer.last.familiarity is None


def test_speech_that_a_machine_made_is_told(toy_speech):
    speech = toy_speech(sources=("demo-en",), width=64)
    assert train_recognizer(runner(speech), case(epochs=1), load_encoder("logmel")).recognizer.spec.synthetic


def test_a_target_without_labels_has_predictions_of_the_source_only(toy_speech):
    speech = toy_speech(extra=2)
    speech = replace(speech, label=np.where(speech.is_target, -1, speech.label))
    assert {part.side for part in predictions(run(runner(speech, seeds=1), both()))} == {"source"}


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
    for part in predictions(run(runner(speech, seeds=1), [case("source-only", attributes=BOTH, **changes)])):
        assert part.attributes.shape == (len(part.rows), 2)
        evaluation = attribute_evaluation(speech, BOTH, [part])
        assert evaluation.truth.tolist() == speech.attributes[part.rows].tolist()
        values = evaluation.values()
        assert min(values["CCC arousal"], values["CCC valence"]) > 0.8
    assert attribute_evaluation(replace(speech, attributes=None), BOTH, [part]) is None
    assert attribute_evaluation(replace(speech, attributes=speech.attributes * np.nan), BOTH, [part]) is None


def test_what_was_said_of_attributes_is_read_again(speech, tmp_path, fits):
    speech = rated(speech)
    first = predictions(run(runner(speech, tmp_path, seeds=1), both(attributes=BOTH)))
    done = len(fits)
    again = predictions(run(runner(speech, tmp_path, seeds=1), both(attributes=BOTH)))
    assert len(fits) == done == 4
    for before, after in zip(first, again, strict=True):
        assert np.array_equal(before.attributes, after.attributes) and np.array_equal(
            before.probabilities, after.probabilities
        )
    run(runner(replace(speech, attributes=-speech.attributes), tmp_path, seeds=1), both(attributes=BOTH))
    assert len(fits) == 2 * done, "other attributes are another fit"


def test_what_a_fit_cost_is_read_again(speech, tmp_path):
    """A fit without attributes has none, and costs come back as records."""
    runs = runner(speech, tmp_path)
    cost = StageCost(1, (("head", 3), ("lora", 4)), 9, 1.5, 0.5, 7.0)
    log = json.dumps([(0, "cross-entropy", 0.25)])
    costs = [{**{name: getattr(cost, name) for name in cost.__slots__}, "trained": [["head", 3], ["lora", 4]]}]
    runs.cache.write("old", {"probabilities": np.eye(2)}, {"log": log, "costs": json.dumps(costs)})
    fit = runs._read("old")
    assert fit.attributes is None and fit.probabilities.tolist() == [[1, 0], [0, 1]]
    assert fit.log == (LogPoint(0, "cross-entropy", 0.25),) and fit.costs == (cost,)
    assert runs._read("new") is None


def test_attributes_alone(speech):
    """Without emotions: one class, no cross-entropy."""
    speech = rated(speech)
    speech = replace(speech, label=np.zeros_like(speech.label))
    (answers,) = run(runner(speech, seeds=1), [case("dann", labels=(), attributes=BOTH, head="linear")])
    for part in answers.predicted:
        assert part.probabilities.tolist() == [[1.0]] * len(part.rows) and part.attributes.shape == (len(part.rows), 2)
        assert class_evaluation(speech, (), [part]) is None
    assert {point.term for log in answers.logs for point in log.points} == {
        "1 - CCC arousal",
        "1 - CCC valence",
        "domain",
    }


def test_the_recogniser_has_the_regressor_and_its_scale(speech):
    chosen = case(attributes=BOTH, attribute_range="1..7", epochs=1)
    recognizer = train_recognizer(runner(rated(speech)), chosen, load_encoder("logmel")).recognizer
    assert recognizer.attributes == BOTH and recognizer.spec.attribute_range == "1..7"
    assert str(recognizer.scale) == "1..7"
    assert recognizer.branches[0].regressor.weight.shape == (2, 64)


def terms(answers: Answers) -> set[str]:
    return {point.term for log in answers.logs for point in log.points if point.term.startswith("accuracy on ")}


def test_a_trace_changes_nothing_and_notes_accuracy_and_vectors(speech, tmp_path):
    """Training utterances of the target are those with labels; vectors are of each scored row, cached with the fit."""
    plain = case(patience=3, validate="both", target_labels="2")
    traced = replace(plain, training=replace(plain.training, trace=True))
    assert "trace" not in plain.facts()["training"] and plain.key != traced.key
    runs = [run(runner(speech, tmp_path / "cache", folds=0, serab=True), [one])[0] for one in (plain, traced, traced)]
    for one, two in zip(runs[0].predicted, runs[1].predicted, strict=True):
        assert np.array_equal(one.probabilities, two.probabilities)
    assert not terms(runs[0])
    sides = [f"accuracy on {part}, {side}" for part in ("training", "validation") for side in ("source", "target")]
    assert terms(runs[1]) == terms(runs[2]) == set(sides)
    for part, again in zip(runs[1].predicted, runs[2].predicted):
        assert part.represented.shape == (len(part.rows), 64)
        assert np.array_equal(part.represented, again.represented), "from the cache"
    assert all(part.represented is None for part in runs[0].predicted)
    log = [point for point in runs[1].logs[0].points if point.term == sides[3]]
    assert [point.epoch for point in log] == [0, 1, 2] and all(0 <= point.value <= 1 for point in log)


def test_items_are_trained_on_by_no_model_and_labelled_by_every_one(toy_speech):
    """As Table III of Han et al. 2025: five models of twelve utterances an emotion give 60 answers each."""
    speech = toy_speech(speakers=5, each=6)
    items = [row.id for row in speech.utterances if row.id.endswith("-5") and row.speaker in ("0", "1")]
    kept = replace(speech, items=frozenset(items))
    fitting = runner(kept, folds=5)
    for seed in range(2):
        for fold in fitting.folds(seed, "source"):
            seen = {*fold.source, *fold.source_test, *fold.target, *fold.target_test, *fold.validation}
            assert seen == set(np.flatnonzero(~kept.is_item)) and fold.items == tuple(np.flatnonzero(kept.is_item))
    one = case_of(normalise="none", align="none", epochs=3)
    (answers,) = run(fitting, [one])
    assert [part.seed for part in answers.items] == [0, 1]
    assert all(len(part.rows) == 5 * len(items) for part in answers.items)
    scored = {row for part in answers.predicted for row in part.rows}
    assert scored == set(np.flatnonzero(~kept.is_item))
    confusions = item_confusions(kept, (answers,), one.labels)
    assert [confusion.side for confusion in confusions] == ["target", "source"]
    assert all(sum(row) == 2 * 5 * 2 for confusion in confusions for row in confusion.counts), "seeds, folds, speakers"
    first = answers.items[0]
    alone = fitting.fit(one, 0, fitting.folds(0, "none")[3])
    assert (first.probabilities[first.folds == 3] == alone.probabilities[-len(items) :]).all()
    assert run(runner(speech, seeds=1), [one])[0].items == ()
