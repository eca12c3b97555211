"""From what a run made to its record: what is said, and that the numbers are those of the predictions."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from emobridge.data.speech import folds_of
from emobridge.heads.single import Single
from emobridge.scores.classes import Evaluation
from emobridge.scores.measures.ua import Ua
from emobridge.settings import Settings
from emobridge.study.adapt import Adapted
from emobridge.study.protocol import held_out, saw
from emobridge.study.record import record_of, scored_in
from emobridge.study.run import Predicted, systems_of
from emobridge.training.checkpoints import LogPoint
from emobridge.training.inputs import domains_of

LABELS = ("anger", "sadness")


def settings(**values):
    given = {"source": ("en.jsonl",), "target": "xx.jsonl", "labels": LABELS, "layer": "0", "seeds": 2, "folds": 2}
    given |= {"method": "pseudo-labels"}
    return Settings(**(given | values))


@pytest.fixture
def made(toy_speech):
    """A function to make a finished run without training: each prediction is right but for every `wrong`-th one."""

    def make(chosen=None, *, wrong=4, speech=None, **values):
        chosen = chosen or settings()
        speech = speech or toy_speech()
        said = []
        for method in systems_of(chosen):
            for seed in range(chosen.seeds):
                for side in ("source", "target"):
                    scored = (speech.is_target == (side == "target")) & (speech.label >= 0)
                    folds = folds_of(speech, chosen, seed)
                    rows = np.sort(np.concatenate([getattr(fold, f"{side}_test") for fold in folds]).astype(int))
                    assert chosen.folds == 0 or rows.tolist() == np.flatnonzero(scored).tolist()
                    if not len(rows):
                        continue
                    best = speech.label[rows].copy()
                    best[seed :: wrong if method != "source-only" else 2] ^= 1
                    said.append(Predicted(method, seed, side, rows, np.eye(2)[best]))
        normalisation = chosen.normalise if chosen.align == "none" else f"{chosen.normalise}+{chosen.align}"
        corpora = dict.fromkeys((one.corpus, one.language) for one in speech.utterances)
        about = {"normalisation": normalisation, "domains": tuple(corpora), "trained_parts": frozenset()}
        spec = SimpleNamespace(encoder="somewhere/logmel", **about)
        domains = domains_of(speech.features, speech.domain_of, speech.corpora, chosen.normalise, speech.target)
        recognizer = SimpleNamespace(spec=spec, domains=domains, head=Single(speech.features.shape[1], 2))
        given = {"log": (), "layer_scores": (), "skipped": (), "left_out": 0}
        return Adapted(chosen, speech, tuple(said), recognizer=recognizer, **(given | values))

    return make


def evaluation(adapted, method, side):
    """The evaluation of emotions of one system on one side."""
    (found,) = [
        one.evaluation
        for one in scored_in(adapted)
        if (one.condition.method, one.condition.side) == (method, side) and isinstance(one.evaluation, Evaluation)
    ]
    return found


def record(adapted):
    return record_of(adapted, None, "emobridge adapt ...")


def test_scores_on_what_was_picked_to_be_labelled_say_so(made, toy_speech):
    picked = "picked to be labelled"
    speech = toy_speech()
    ids = [one.id for one, is_target in zip(speech.utterances, speech.is_target) if is_target]
    all_of_it, some = (replace(speech, given=frozenset(names)) for names in (ids, ids[:4]))
    assert any(picked in warning for warning in record(made(speech=all_of_it)).warnings)
    assert not any(picked in warning for one in (speech, some) for warning in record(made(speech=one)).warnings)


def test_scores_are_those_of_the_predictions(made):
    adapted = made()
    rows = record(adapted).scores
    for method in ("source-only", "pseudo-labels"):
        for one in adapted.predicted:
            if (one.method, one.side) != (method, "target"):
                continue
            truth = [LABELS[adapted.speech.label[row]] for row in one.rows]
            said = [LABELS[best] for best in one.probabilities.argmax(1)]
            (row,) = [
                row
                for row in rows
                if (row.method, row.side, row.measure, row.seed) == (method, "target", "UA", str(one.seed))
            ]
            assert row.value == pytest.approx(Ua()(truth, said, labels=LABELS))
            assert row.n == 24


def test_every_row_carries_its_condition(made):
    for row in record(made(settings(out="somewhere/mine"))).scores:
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
    assert record(made(settings(method="source-only"))).differences == ()


def test_confusions_count_every_seed(made):
    found = {(one.method, one.side): one for one in record(made()).confusions}
    assert len(found) == 4
    counts = np.array(found["source-only", "target"].counts)
    assert counts.sum() == 2 * 24
    assert counts.trace() == 2 * 12, "of each seed every second one was made wrong"
    assert (counts.sum(axis=1) == [24, 24]).all(), "rows are the truth"


def test_what_the_method_saw(made):
    said = " ".join(saw(settings()))
    for words in (
        "the labelled utterances of the source's training speakers",
        "the unlabelled audio of the target's training speakers",
        "no label of the target",
        "those of the scored target speakers too",
        "CORAL alignment used the unlabelled audio of the target's training speakers, for the baseline as well",
        "only utterances of anger, sadness (chosen by label)",
    ):
        assert words in said
    systems = {system.method: system for system in record(made()).systems}
    assert systems["pseudo-labels"].saw == saw(settings())
    assert systems["source-only"].saw == saw(settings(method="source-only"))


@pytest.mark.parametrize(
    ("values", "there", "absent"),
    [
        (
            {"method": "source-only"},
            "no label of the target",
            "the unlabelled audio of the target's training speakers ",
        ),
        ({"target_labels": "8"}, "the labels of 8 utterances of the target's training speakers", "no label"),
        ({"normalise": "none"}, "the source's training utterances only", "scored target speakers too"),
        (
            {"normalise": "corpus"},
            "normalisation used the unlabelled audio of the source's training speakers",
            "scored",
        ),
        ({"align": "none"}, "speaker normalisation", "CORAL"),
        ({"transductive": True}, "CORAL alignment used the unlabelled audio of all target speakers, the scored", "xx"),
        ({"transductive": True}, "the unlabelled audio of all target speakers, the scored too", "of the target's"),
        ({"transductive": True, "normalise": "corpus"}, "source's training speakers and of all target", "xx"),
        ({"pool": "open"}, "speaker normalisation", "chosen by label"),
    ],
)
def test_what_the_method_saw_follows_the_settings(values, there, absent):
    said = "; ".join(saw(settings(**values)))
    assert there in said
    assert absent not in said


def test_how_the_scored_were_held_out(made):
    assert "2 folds by speaker on both sides" in record(made()).held_out
    assert "on everything" in record(made()).held_out
    assert "one split, a fifth held out" in held_out(settings(folds=0), 0, True)
    heard = record(made(settings(transductive=True)))
    assert "adapted to (transductive)" in heard.held_out and "no scored speaker was trained on" not in heard.held_out
    assert {row.split for row in heard.scores} == {"2 folds by speaker, transductive"}
    shared = settings(share_speakers=True)
    assert "SPEAKERS ARE SHARED" in held_out(shared, 2, True)
    found = record(made(shared))
    assert {row.split for row in found.scores} == {"by utterance"}
    assert any("speakers are shared" in warning for warning in found.warnings)


def test_folds_are_as_many_as_there_were(made):
    found = record(made(settings(folds=9)))
    assert found.held_out.startswith("Scores are from 4 folds")
    assert {row.split for row in found.scores} == {"4 folds by speaker"}
    assert "9 folds were asked for, and there are speakers for 4" in found.warnings
    assert not any("folds" in warning for warning in record(made()).warnings)


def test_one_split_a_seed_scores_other_speakers_and_all_of_them_count(made, toy_speech):
    adapted = made(settings(folds=0, seeds=3), wrong=3, speech=toy_speech(speakers=10))
    scored = [one.rows for one in adapted.predicted if (one.method, one.side) == ("pseudo-labels", "target")]
    assert any(not np.array_equal(scored[0], rows) for rows in scored)
    found = evaluation(adapted, "pseudo-labels", "target")
    assert len(found.predictions) == 1
    assert len(found.truth) == len(found.speakers) == sum(map(len, scored))
    assert {row.split for row in record(adapted).scores} == {"one split by speaker"}


def test_a_target_without_labels_is_said_not_to_be_scored(made, toy_speech):
    speech = toy_speech()
    label = np.where(speech.is_target, -1, speech.label)
    found = record(made(speech=replace(speech, label=label)))
    assert {row.side for row in found.scores} == {"source"}
    assert "The target has no labels to score." in found.held_out
    assert not any("is labelled" in warning for warning in found.warnings)


def test_a_label_that_the_target_lacks_is_a_warning(made, toy_speech):
    speech = toy_speech()
    kept = [row for row in range(len(speech.label)) if not (speech.is_target[row] and speech.label[row] == 1)]
    some = replace(
        speech,
        utterances=tuple(speech.utterances[row] for row in kept),
        label=speech.label[kept],
        domain_of=speech.domain_of[kept],
        features=speech.features[kept],
    )
    assert "no target utterance is labelled sadness: UA is over the other labels" in record(made(speech=some)).warnings


def test_what_was_left_out_is_told(made, toy_speech):
    speech = toy_speech()
    nameless = tuple(replace(one, speaker=None) if n == 0 else one for n, one in enumerate(speech.utterances))
    log = (("pseudo-labels, seed 0, fold 0", LogPoint(10, "pseudo-labelled share", 0.0)),)
    log += (("pseudo-labels, seed 0, fold 1", LogPoint(10, "pseudo-labelled classes", 1)),)
    adapted = made(left_out=7, skipped=(("u1", "u1.wav: is empty"),), log=log)
    adapted = replace(adapted, speech=replace(speech, utterances=nameless), settings=settings(share_speakers=True))
    found = record(adapted)
    said = "\n".join(found.warnings)
    assert "7 target utterances of other emotions were left out, by their labels" in said
    assert "1 utterances could not be read" in said
    assert "1 utterances have no speaker" in said
    assert "no target utterance was sure enough to be pseudo-labelled" in said
    assert "all sure target utterances were of one emotion: their labels were not used" in said
    assert found.skipped == ("u1: u1.wav: is empty",)
    by_corpus = replace(adapted, settings=settings(share_speakers=True, normalise="corpus"))
    assert not any("have no speaker" in warning for warning in record(by_corpus).warnings)


def test_published_numbers_are_those_of_the_languages_and_labels(made, toy_speech):
    four = ("anger", "happiness", "neutral", "sadness")
    speech = toy_speech()
    german = tuple(replace(one, language="de-DE" if one.corpus == "xx" else "en") for one in speech.utterances)
    speech = replace(speech, utterances=german)
    found = record(made(settings(labels=four), speech=speech)).published
    assert found
    assert {(row.source_language, row.target_language.split("-")[0]) for row in found} == {("en", "de")}
    assert all(set(row.labels) == set(four) for row in found)
    assert record(made(speech=speech)).published == (), "none has two labels"


def test_corpora_are_counted_side_by_side(made, toy_speech):
    speech = toy_speech(sources=("en", "us"), speakers=(3, 4, 5), extra=1)
    found = record(made(speech=speech))
    assert [(row.side, row.corpus, row.language, row.utterances, row.speakers) for row in found.corpora] == [
        ("source", "en", "en", 18, 3),
        ("source", "us", "us", 24, 4),
        ("target", "xx", "xx", 35, 5),
    ]
    assert dict(found.corpora[2].counts) == {"anger": 15, "sadness": 15, "unlabelled": 5}
    assert {row.source for row in found.scores} == {"en+us"}
    assert not found.synthetic


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
    named = tuple(replace(one, corpus=f"demo-{one.corpus}") for one in speech.utterances)
    assert record(made(speech=replace(speech, utterances=named))).synthetic


def test_curves_are_means_over_folds(made):
    log = tuple(
        (f"pseudo-labels, seed 0, fold {fold}", LogPoint(epoch, "cross-entropy", fold + epoch))
        for fold in range(2)
        for epoch in range(2)
    )
    curves = record(made(log=log)).curves
    assert [(one.run, one.epoch, one.value) for one in curves] == [
        ("pseudo-labels, seed 0", 0, 0.5),
        ("pseudo-labels, seed 0", 1, 1.5),
    ]


def test_the_layer_that_was_chosen_is_marked(made):
    found = record(made(settings(layer="2"), layer_scores=(("1", 0.5), ("2", 0.6)))).layer_choice
    assert [(one.layer, one.value, one.chosen) for one in found] == [("1", 0.5, False), ("2", 0.6, True)]
