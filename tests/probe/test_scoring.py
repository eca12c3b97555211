"""Scores of a study, recomputed by hand: rows of scores.json, floors, chosen layers and collapsed probes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from emobridge.probe.run import Study
from emobridge.probe.scoring import LOUDNESS, VALIDATION, describe_split, floors_of, join_layers, score_study
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, read_corpus
from emobridge.probe.units import Outcome, ProbeUnit, UnitPredictions
from emobridge.scores.files import read_scores, write_scores
from emobridge.scores.measures.ua import Ua
from emobridge.types import Utterance

LABELS = ("anger", "happiness")
TRUTH = (0, 0, 0, 1, 1, 1)


def corpus(name="a", language="de"):
    rows = [
        Utterance(f"{name}{n}", name, f"{name}{n}.wav", language=language, speaker=str(n % 3), emotion=LABELS[TRUTH[n]])
        for n in range(6)
    ]
    return Corpus(name, language, tuple(rows))


def one_hot(*layers):
    """(L', M, 2) probabilities, a row of classes a layer."""
    return np.stack([np.eye(2)[list(classes)] for classes in layers]).astype(np.float32)


def predictions(seed, rows, *layers, probes=None, tested="a"):
    probes = np.zeros(len(rows)) if probes is None else np.array(probes)
    return UnitPredictions(tested, seed, np.array(rows), probes.astype(int), one_hot(*layers))


def outcome(*parts, layers=("0", "1"), losses=None, weights="pretrained", **changes):
    unit = ProbeUnit("e", weights, "a", "none", "single", layers, **changes)
    size = len(parts[0].probabilities)
    losses = np.full((size, 2), np.nan) if losses is None else np.array(losses)
    return Outcome(unit, parts, np.full((size, 2), 7), np.full((size, 2), 1e-3), losses)


def study(*outcomes, corpora=None, languages=("de",), **changes):
    kinds = ("mono", "trans", "cross", "other")
    settings = ProbeSettings(corpora=("a.jsonl",), encoders=("e",), settings=kinds, floors=False, **changes)
    return Study(settings, corpora or (corpus(),), outcomes, (("e", languages),), ())


def ua(scored):
    return {(row.layer, row.seed): row for row in scored.scores if row.measure == "UA"}


def test_scores_by_hand():
    """Rows come fold by fold, not in order; layer 1 is always right in seed 0, layer 0 predicts anger throughout."""
    rows = [4, 1, 0, 5, 3, 2]
    right = [TRUTH[row] for row in rows]
    wrong = [1 - value if row in (0, 3) else value for row, value in zip(rows, right)]
    scored = score_study(study(outcome(predictions(0, rows, [0] * 6, right), predictions(1, rows, [0] * 6, wrong))))
    values = ua(scored)
    assert values["0", "0"].value == 0.5 and values["1", "0"].value == 1.0
    truth = tuple(LABELS[value] for value in TRUTH)
    predicted = tuple(LABELS[1 - value] if row in (0, 3) else LABELS[value] for row, value in enumerate(TRUTH))
    assert values["1", "1"].value == pytest.approx(Ua()(truth, predicted, labels=LABELS))
    every = values["1", "all"]
    assert every.value == pytest.approx((1 + values["1", "1"].value) / 2)
    assert every.n == 6 and every.low <= every.value <= every.high
    assert {row.measure for row in scored.scores} == {"UA", "WA", "F1 macro", "F1 weighted"}
    assert not scored.has_unknown_speakers and not scored.choices


def test_the_fields_of_a_row(tmp_path):
    """Mono and cross, an encoder as it is, with random weights, and from scratch; and back from the file."""
    rows = list(range(6))
    two = (corpus(), corpus("b", "en"))
    here = predictions(0, rows, TRUTH, TRUTH)
    there = predictions(0, rows, TRUTH, TRUTH, tested="b")
    lone = Outcome(
        ProbeUnit("e", "scratch", "a", "none", "none", ("end",)), (predictions(0, rows, TRUTH),),
        *(np.ones((1, 1)) for _ in range(3)),
    )  # fmt: skip
    scored = score_study(
        study(outcome(here, there), outcome(here, weights="random"), lone, corpora=two, out="x/name", seeds=1)
    )
    first = scored.scores[0]
    assert (first.run, first.method, first.encoder, first.layer, first.head) == ("name", "probe", "e", "0", "single")
    assert (first.source, first.target, first.side, first.target_labels) == ("a", "a", "target", "all")
    assert (first.setting, first.split, first.labels) == ("mono", "5 folds by speaker", "anger,happiness")
    kinds = {(row.method, row.head, row.layer, row.target, row.target_labels, row.setting) for row in scored.scores}
    assert ("probe", "single", "1", "b", "0", "cross") in kinds
    assert ("probe, random weights", "single", "0", "a", "all", "mono") in kinds
    assert ("trained from scratch", "", "end", "a", "all", "in language") in kinds
    keys = Counter(
        (row.source, row.target, row.method, row.layer, row.head, row.seed, row.measure) for row in scored.scores
    )
    assert set(keys.values()) == {1}
    write_scores(tmp_path / "scores.json", scored.scores)
    assert read_scores(tmp_path / "scores.json") == scored.scores


def test_seeds_that_test_other_utterances_are_scored_together():
    parts = (
        predictions(0, [0, 3], [0, 1], [0, 1]),
        predictions(1, [1, 4, 5], [1, 1, 1], [0, 1, 1]),
    )
    scored = score_study(study(outcome(*parts)))
    rows = [row for row in scored.scores if (row.measure, row.layer) == ("WA", "0")]
    assert {(row.seed, row.n, round(row.value, 3)) for row in rows} == {("0", 2, 1.0), ("1", 3, 0.667), ("all", 5, 0.8)}


def test_a_head_of_all_layers_has_the_layer_all_whatever_their_number():
    for layers in (("0",), ("0", "1", "2")):
        scored = score_study(study(outcome(predictions(0, range(6), TRUTH), layers=layers, all_layers=True)))
        assert {row.layer for row in scored.scores} == {"all"}
    scored = score_study(study(outcome(predictions(0, range(6), TRUTH), layers=("0",))))
    assert {row.layer for row in scored.scores} == {"0"}


def test_validation_chooses_a_layer_for_each_probe():
    """Probe 0 tests the first half and takes layer 1, probe 1 the second half and takes layer 0; both are right."""
    good, bad = [0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]
    layers = [bad[:3] + good[3:], good[:3] + bad[3:]]
    part = predictions(0, range(6), *layers, probes=[0, 0, 0, 1, 1, 1])
    scored = score_study(study(outcome(part, losses=[[0.9, 0.1], [0.2, 0.8]])))
    values = ua(scored)
    assert values["0", "all"].value == values["1", "all"].value == 0.5
    assert values[VALIDATION, "all"].value == 1.0 and values[VALIDATION, "0"].value == 1.0
    (choice,) = scored.choices
    assert choice.score == values[VALIDATION, "all"] and choice.counts == (("1", 1), ("0", 1))
    swapped = score_study(study(outcome(part, losses=[[0.1, 0.9], [0.8, 0.2]])))
    assert ua(swapped)[VALIDATION, "all"].value == 0.0


def test_nothing_is_chosen_without_validation_or_of_a_single_layer():
    part = predictions(0, range(6), TRUTH, TRUTH)
    assert not score_study(study(outcome(part, losses=[[0.1, np.nan], [0.2, 0.3]]))).choices
    lone = outcome(predictions(0, range(6), TRUTH), layers=("3",), losses=[[0.1, 0.2]])
    scored = score_study(study(lone))
    assert not scored.choices and {row.layer for row in scored.scores} == {"3"}


def test_layers_that_were_trained_after_the_others_are_scored_with_them():
    """Of layers in two units the choice is among all, and the rows are those of one unit."""
    whole = outcome(predictions(0, range(6), [0] * 6, TRUTH), losses=[[0.5, 0.5], [0.1, 0.1]])
    parts = [
        outcome(predictions(0, range(6), classes), layers=(layer,), losses=[losses])
        for layer, classes, losses in (("0", [0] * 6, [0.5, 0.5]), ("1", TRUTH, [0.1, 0.1]))
    ]
    (joined,) = join_layers(parts)
    assert joined.unit == whole.unit
    assert score_study(study(*parts)) == score_study(study(whole))


def test_a_collapsed_probe_is_told_and_one_that_is_not_is_not():
    scored = score_study(
        study(outcome(predictions(0, range(6), [0] * 6, TRUTH), predictions(1, range(6), TRUTH, TRUTH)))
    )
    (collapse,) = scored.collapsed
    assert (collapse.condition.layer, collapse.condition.head, collapse.seed) == ("0", "single", "0")
    assert collapse.prediction == "anger for all 6 utterances"
    folds = predictions(0, [0, 3, 1, 4, 2, 5], [1, 1, 0, 1, 0, 1], [0, 1] * 3, probes=[0, 0, 1, 1, 2, 2])
    (collapse,) = score_study(study(outcome(folds))).collapsed
    assert collapse.prediction == "happiness for all utterances of 1 of 3 folds"
    lone = predictions(0, [0], [0], [0])
    assert not score_study(study(outcome(lone))).collapsed, "of a single utterance nothing can be told"


def test_a_single_utterance_is_scored():
    scored = score_study(study(outcome(predictions(0, [3], [1], [0]))))
    values = ua(scored)
    assert values["0", "all"].value == 1 and values["1", "all"].value == 0 and values["0", "all"].n == 1
    assert np.isnan([values["0", "all"].low, values["0", "all"].high]).all(), "a single speaker"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "5 folds by speaker"),
        ({"share_speakers": True}, "5 folds by utterance"),
        ({"split": "halved", "by_utterance": ("b",)}, "5 halved folds by speaker, b by utterance"),
        ({"split": "80/10/10", "folds": 1}, "80/10/10 by speaker, 1 draw"),
        ({"split": "80/10/10", "folds": 3}, "80/10/10 by speaker, 3 draws"),
    ],
)
def test_a_split_in_words(changes, expected):
    assert describe_split(ProbeSettings(corpora=("a",), **changes)) == expected


def test_floors_of_the_recorded_speech(recorded):
    """Anger is loud there: loudness tells all, chance half. Of one speaker there is chance alone."""
    settings = ProbeSettings(corpora=(str(recorded / "en.jsonl"),))
    speech = read_corpus(settings.corpora[0], settings)
    value = {row.method: row.value for row in floors_of(Study(settings, (speech,), (), (), ()))}
    assert value["chance"] == 0.5 and value[LOUDNESS] > 0.9
    lone = Corpus("en", "en", tuple(row for row in speech.utterances if row.speaker == "a"))
    assert [row.method for row in floors_of(Study(settings, (lone,), (), (), ()))] == ["chance"]
