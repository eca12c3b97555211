"""From what a run made to its record: what it says, and that the numbers are those of the predictions."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from emobridge.data.speech import folds_of
from emobridge.encoders import load_encoder
from emobridge.heads.single import Single
from emobridge.scores.classes import Evaluation
from emobridge.scores.measures.ua import Ua
from emobridge.settings import Adapt
from emobridge.study.cases import Decision, draft
from emobridge.study.prepare import Prepared
from emobridge.study.protocol import saw
from emobridge.study.record import record_of, scored_in
from emobridge.study.run import Answers, FitLog, Predicted
from emobridge.study.train import Adapted
from emobridge.training.checkpoints import LogPoint
from emobridge.training.cost import StageCost
from emobridge.training.inputs import domains_of

LABELS = ("anger", "sadness")
DEFAULTS = {"source": ("en.jsonl",), "target": "xx.jsonl", "labels": LABELS, "layer": "0", "seeds": 2, "folds": 2}
DEFAULTS |= {"method": "pseudo-labels"}


def requested(**options):
    return Adapt.of(**(DEFAULTS | options))


def cases_of(request):
    """The cases of a request, the baseline first; without the dropout that `decide` adds."""
    return draft(request, load_encoder("logmel"))


@pytest.fixture
def made(toy_speech):
    """A function to make a finished run without training: each prediction is right but for every `wrong`-th one.

    logs, layer, layer_scores, skipped, left_out: as the run has them.
    """

    def make(request=None, *, wrong=4, speech=None, logs=(), layer="0", layer_scores=(), skipped=(), left_out=0):
        request = request or requested()
        speech = speech or toy_speech()
        cases = tuple(replace(case, layer=layer) for case in cases_of(request))
        answers = []
        for case in cases:
            step = wrong if case.method.name != "source-only" else 2
            parts = [part for seed in range(request.split.seeds) for part in predict(case, seed, request, speech, step)]
            answers.append(Answers(case, tuple(parts), tuple(log for log in logs if log.method == case.method.name)))
        chosen = cases[-1]
        corpora = dict.fromkeys((utterance.corpus, utterance.language) for utterance in speech.utterances)
        spec = SimpleNamespace(encoder="somewhere/logmel", reason="", domains=tuple(corpora), trained_parts=frozenset())
        domains = domains_of(speech.features, speech.domain_of, speech.corpora, chosen.normalise, speech.target)
        recognizer = SimpleNamespace(spec=spec, domains=domains, head=Single(speech.features.shape[1], 2))
        prepared = Prepared(cases, speech, load_encoder("logmel"), skipped, left_out)
        return Adapted(request, prepared, Decision(cases, layer_scores), tuple(answers), chosen, chosen, recognizer)

    def predict(case, seed, request, speech, step):
        folds = folds_of(speech, request.split, seed)
        for side in ("source", "target"):
            scored = (speech.is_target == (side == "target")) & (speech.label >= 0)
            tests = [getattr(fold, f"{side}_test") for fold in folds]
            rows = np.sort(np.concatenate(tests).astype(int))
            assert request.split.folds == 0 or rows.tolist() == np.flatnonzero(scored).tolist()
            if not len(rows):
                continue
            numbers = {row: number for number, test in enumerate(tests) for row in test}
            best = speech.label[rows].copy()
            best[seed::step] ^= 1
            fold_numbers = np.array([numbers[row] for row in rows])
            yield Predicted(case.method.name, seed, side, rows, np.eye(2)[best], fold_numbers)

    return make


def evaluation(adapted, method, side):
    """The evaluation of emotions of one system on one side."""
    (result,) = [
        system.evaluation
        for system in scored_in(adapted)
        if (system.condition.method, system.condition.side) == (method, side)
        and isinstance(system.evaluation, Evaluation)
    ]
    return result


def record(adapted):
    return record_of(adapted, None, "emobridge adapt ...")


def test_scores_on_what_was_picked_to_be_labelled_say_so(made, toy_speech):
    picked = "picked to be labelled"
    speech = toy_speech()
    ids = [utterance.id for utterance, is_target in zip(speech.utterances, speech.is_target) if is_target]
    all_listed, four_listed = (replace(speech, visible=frozenset(names)) for names in (ids, ids[:4]))
    assert any(picked in warning for warning in record(made(speech=all_listed)).warnings)
    for other in (speech, four_listed):
        assert not any(picked in warning for warning in record(made(speech=other)).warnings)


def test_scores_are_those_of_the_predictions(made):
    adapted = made()
    rows = record(adapted).scores
    for method in ("source-only", "pseudo-labels"):
        (answers,) = [answers for answers in adapted.answers if answers.method == method]
        for part in answers.predicted:
            if part.side != "target":
                continue
            truth = [LABELS[adapted.speech.label[row]] for row in part.rows]
            predictions = [LABELS[best] for best in part.probabilities.argmax(1)]
            (row,) = [
                row
                for row in rows
                if (row.method, row.side, row.measure, row.seed) == (method, "target", "UA", str(part.seed))
            ]
            assert row.value == pytest.approx(Ua()(truth, predictions, labels=LABELS))
            assert row.n == 24


def test_every_row_carries_its_condition(made):
    for row in record(made(requested(out="somewhere/mine"))).scores:
        assert (row.run, row.encoder, row.layer, row.normalisation) == ("mine", "logmel", "0", "speaker+coral")
        assert (row.source, row.target, row.target_labels, row.split) == ("en", "xx", "0", "2 folds by speaker")
        assert row.labels == "anger,sadness"


def test_the_difference_is_paired_and_has_the_right_sign(made):
    better = record(made())
    (gap,) = [gap for gap in better.differences if gap.side == "target"]
    assert (gap.before, gap.method) == ("source-only", "pseudo-labels")
    mean = {
        row.method: row.value for row in better.scores if (row.side, row.measure, row.seed) == ("target", "UA", "all")
    }
    assert gap.estimate.value == pytest.approx(mean["pseudo-labels"] - mean["source-only"])
    assert gap.estimate.value > 0
    assert record(made(requested(method="source-only"))).differences == ()


def test_confusions_count_every_seed(made):
    confusions = {(confusion.method, confusion.side): confusion for confusion in record(made()).confusions}
    assert len(confusions) == 4
    counts = np.array(confusions["source-only", "target"].counts)
    assert counts.sum() == 2 * 24
    assert counts.trace() == 2 * 12, "of each seed every second one was made wrong"
    assert (counts.sum(axis=1) == [24, 24]).all(), "rows are the truth"


def sentences_of(request):
    """What the last case of a request saw."""
    return saw(cases_of(request)[-1], request.data, request.split)


def test_what_the_method_saw(made):
    request = requested(pool="closed")
    text = " ".join(sentences_of(request))
    for words in (
        "the labelled utterances of the source's training speakers",
        "the unlabelled audio of the target's training speakers",
        "no label of the target",
        "those of the scored target speakers too",
        "CORAL alignment used the unlabelled audio of the target's training speakers",
        "only utterances of anger, sadness (chosen BY LABEL)",
    ):
        assert words in text
    systems = {system.method: system for system in record(made(request)).systems}
    assert systems["pseudo-labels"].saw == sentences_of(request)
    assert systems["source-only"].saw == sentences_of(requested(method="source-only", pool="closed"))
    assert any("CORAL alignment used" in sentence for sentence in systems["source-only"].saw)


def test_how_the_scored_were_held_out(made):
    assert "2 folds by speaker on both sides" in record(made()).held_out
    assert "on everything" in record(made()).held_out
    study = record(made(requested(transductive=True)))
    assert "adapted to (transductive)" in study.held_out and "no scored speaker was trained on" not in study.held_out
    assert {row.split for row in study.scores} == {"2 folds by speaker, transductive"}
    assert {row.split for row in record(made(requested(pool="closed"))).scores} == {
        "2 folds by speaker, target chosen by label"
    }
    shared = requested(share_speakers=True)
    assert "SPEAKERS ARE SHARED" in record(made(shared)).held_out
    study = record(made(shared))
    assert {row.split for row in study.scores} == {"by utterance"}
    assert any("speakers are shared" in warning for warning in study.warnings)


def test_folds_are_as_many_as_there_were(made):
    study = record(made(requested(folds=9)))
    assert study.held_out.startswith("Scores are from 4 folds")
    assert {row.split for row in study.scores} == {"4 folds by speaker"}
    assert "there are speakers for 4 folds, not for 9" in study.warnings
    assert not any("folds" in warning for warning in record(made()).warnings)


def test_one_split_a_seed_scores_other_speakers_and_all_of_them_count(made, toy_speech):
    adapted = made(requested(folds=0, seeds=3), wrong=3, speech=toy_speech(speakers=10))
    scored = [part.rows for part in adapted.answers[-1].predicted if part.side == "target"]
    assert any(not np.array_equal(scored[0], rows) for rows in scored)
    pooled = evaluation(adapted, "pseudo-labels", "target")
    assert len(pooled.predictions) == 1
    assert len(pooled.truth) == len(pooled.speakers) == sum(map(len, scored))
    assert {row.split for row in record(adapted).scores} == {"one split by speaker"}


def test_a_target_without_labels_is_said_not_to_be_scored(made, toy_speech):
    speech = toy_speech()
    label = np.where(speech.is_target, -1, speech.label)
    study = record(made(speech=replace(speech, label=label)))
    assert {row.side for row in study.scores} == {"source"}
    assert "The target has no labels to score." in study.held_out
    assert not any("is labelled" in warning for warning in study.warnings)


def test_a_label_that_the_target_lacks_is_a_warning(made, toy_speech):
    speech = toy_speech()
    rows = [row for row in range(len(speech.label)) if not (speech.is_target[row] and speech.label[row] == 1)]
    without_sadness = replace(
        speech,
        utterances=tuple(speech.utterances[row] for row in rows),
        label=speech.label[rows],
        domain_of=speech.domain_of[rows],
        features=speech.features[rows],
    )
    warning = "no target utterance is labelled sadness: UA is over the other labels"
    assert warning in record(made(speech=without_sadness)).warnings


def test_what_was_left_out_is_told(made, toy_speech):
    speech = toy_speech()
    utterances = tuple(replace(row, speaker=None) if n == 0 else row for n, row in enumerate(speech.utterances))
    points = (LogPoint(10, "pseudo-labelled share", 0.0),), (LogPoint(10, "pseudo-labelled classes", 1),)
    logs = tuple(FitLog("pseudo-labels", 0, fold, part, ()) for fold, part in enumerate(points))
    facts = {"logs": logs, "left_out": 7, "skipped": (("u1", "u1.wav: is empty"),)}
    nameless = replace(speech, utterances=utterances)
    study = record(made(requested(share_speakers=True), speech=nameless, **facts))
    text = "\n".join(study.warnings)
    assert "7 target utterances of other emotions were left out, by their labels" in text
    assert "1 utterances could not be read" in text
    assert "1 utterances have no speaker" in text
    assert "no target utterance was sure enough to be pseudo-labelled" in text
    assert "all sure target utterances were of one emotion: their labels were not used" in text
    assert study.skipped == ("u1: u1.wav: is empty",)
    by_corpus = made(requested(share_speakers=True, normalise="corpus"), speech=nameless, **facts)
    assert not any("have no speaker" in warning for warning in record(by_corpus).warnings)


def test_published_numbers_are_those_of_the_corpora_and_labels(made, toy_speech):
    four = ("anger", "happiness", "neutral", "sadness")
    speech = toy_speech()

    def renamed(source: str, target: str):
        pairs = {"xx": (target, "de-DE")}
        rows = tuple((row, *pairs.get(row.corpus, (source, "en"))) for row in speech.utterances)
        utterances = tuple(replace(row, corpus=corpus, language=language) for row, corpus, language in rows)
        return replace(speech, utterances=utterances)

    def published(request, speech):
        return record(made(request, speech=speech)).published

    rows = published(requested(labels=four), renamed("ravdess", "emodb"))
    assert {(row.source_language, row.target) for row in rows} == {("en", "emodb")}
    assert all(set(row.labels) == set(four) for row in rows)
    assert published(requested(), renamed("ravdess", "emodb")) == (), "none has two labels"
    for source, target in (("ravdess", "demo-de"), ("demo-en", "demo-de"), ("ravdess", "calls")):
        assert published(requested(labels=four), renamed(source, target)) == ()


def test_corpora_are_counted_side_by_side(made, toy_speech):
    speech = toy_speech(sources=("en", "us"), speakers=(3, 4, 5), extra=1)
    study = record(made(speech=speech))
    assert [(row.side, row.corpus, row.language, row.utterances, row.speakers) for row in study.corpora] == [
        ("source", "en", "en", 18, 3),
        ("source", "us", "us", 24, 4),
        ("target", "xx", "xx", 35, 5),
    ]
    assert dict(study.corpora[2].counts) == {"anger": 15, "sadness": 15, "unlabelled": 5}
    assert {row.source for row in study.scores} == {"en+us"}
    assert not study.synthetic


def test_speakers_of_two_sources_with_one_name_are_two_people(made, toy_speech):
    adapted = made(speech=toy_speech(sources=("en", "us"), speakers=3))
    names = set(evaluation(adapted, "source-only", "source").speakers)
    assert names == {f"{corpus} {number}" for corpus in ("en", "us") for number in range(3)}
    assert set(evaluation(adapted, "source-only", "target").speakers) == {"0", "1", "2"}


def test_speakers_of_two_target_corpora_with_one_name_are_two_people(made, toy_speech):
    """The two are one side of the run, which does not make one person of the speakers 0 of both."""
    speech = toy_speech(speakers=(4, 8))
    moved = [row.corpus == "xx" and int(row.speaker) > 3 for row in speech.utterances]
    speakers = [str(int(row.speaker) - 4) if move else row.speaker for row, move in zip(speech.utterances, moved)]
    utterances = tuple(
        replace(row, corpus="yy" if move else row.corpus, speaker=speaker)
        for row, move, speaker in zip(speech.utterances, moved, speakers)
    )
    adapted = made(speech=replace(speech, utterances=utterances))
    people = {f"{corpus} {number}" for corpus in ("xx", "yy") for number in range(4)}
    assert set(evaluation(adapted, "source-only", "target").speakers) == people
    (target,) = [row for row in record(adapted).corpora if row.side == "target"]
    assert target.corpus == "xx+yy" and target.speakers == 8


def test_made_speech_is_named(made, toy_speech):
    speech = toy_speech()
    named = tuple(replace(row, corpus=f"demo-{row.corpus}") for row in speech.utterances)
    assert record(made(speech=replace(speech, utterances=named))).synthetic


def test_curves_are_means_over_folds(made):
    logs = tuple(
        FitLog("pseudo-labels", 0, fold, tuple(LogPoint(n, "cross-entropy", fold + n) for n in range(2)), ())
        for fold in range(2)
    )
    curves = record(made(logs=logs)).curves
    assert [(point.run, point.epoch, point.value) for point in curves] == [
        ("pseudo-labels, seed 0", 0, 0.5),
        ("pseudo-labels, seed 0", 1, 1.5),
    ]


def test_costs_are_means_over_fits_and_memory_is_the_most(made):
    trained = (("head", 10),)
    costs = [StageCost(1, trained, 10, seconds, 2 * seconds, memory) for seconds, memory in ((1.0, 50), (3.0, 20))]
    logs = tuple(FitLog("pseudo-labels", 0, fold, (), (cost,)) for fold, cost in enumerate(costs))
    (row,) = record(made(logs=logs)).costs
    assert (row.method, row.stage, row.trained, row.weights) == ("pseudo-labels", 1, trained, 10)
    assert (row.seconds, row.cpu, row.memory) == (2.0, 4.0, 50)
    assert (row.target_labels, row.normalisation) == ("0", "speaker+coral")


def test_the_layer_that_was_chosen_is_marked(made):
    choice = record(made(layer="2", layer_scores=(("1", 0.5), ("2", 0.6)))).layer_choice
    assert [(row.layer, row.value, row.chosen) for row in choice] == [("1", 0.5, False), ("2", 0.6, True)]


def test_settings_are_as_they_were_decided(made):
    rows = dict(record(made(requested(layer="middle"), layer="3")).settings)
    assert (rows["layer"], rows["head"], rows["statistics"]) == ("3", "single", "mean, std")
    assert (rows["source"], rows["seeds"], rows["guard"]) == ("en.jsonl", "2", "True")
