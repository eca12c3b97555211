"""Scores of a study, recomputed by hand, with their settings, floors and what they saw."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest

from emobridge.files import write_cells
from emobridge.probe.run import Study
from emobridge.probe.scoring import Cell, cells_of, floors_of, setting_of
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus
from emobridge.probe.units import Outcome, Predictions, Unit
from emobridge.scores.measures.ua import Ua
from emobridge.types import Utterance

LABELS = ("anger", "happiness")


def corpus(name="a", language="de", each=6):
    rows = [
        Utterance(
            f"{name}{n}", name, f"{name}{n}.wav", language=language, speaker=str(n % 3), emotion=LABELS[n // 3 % 2]
        )
        for n in range(each)
    ]
    return Corpus(name, language, tuple(rows))


def study(tested, corpora=None, layers=("0", "1"), normalise="none", languages=("de",), **changes):
    corpora = corpora or (corpus(),)
    unit = Unit("e", "pretrained", corpora[0].name, normalise, "single", layers)
    size = tested[0].probabilities.shape[0]
    outcome = Outcome(unit, tuple(tested), np.full((size, 2), 7), np.full((size, 2), 1e-3), None)
    settings = ProbeSettings(
        corpora=("a.jsonl",), encoders=("e",), settings=("mono", "trans", "cross", "other"), **changes
    )
    return Study(settings, corpora, (outcome,), (("e", languages),), ())


def said(*columns):
    """(L', M, 2) probabilities whose larger one is what is said; a row a layer."""
    return np.stack([np.eye(2)[list(row)] for row in columns]).astype(np.float32)


def test_scores_by_hand():
    """Rows come fold by fold, not in order; layer 1 is always right, layer 0 says anger throughout."""
    rows = np.array([4, 1, 0, 5, 3, 2])
    truth = [0, 0, 0, 1, 1, 1]
    right = [truth[row] for row in rows]
    wrong = [1 - value if row in (0, 3) else value for row, value in zip(rows, right)]
    tested = [Predictions("a", 0, rows, said([0] * 6, right)), Predictions("a", 1, rows, said([0] * 6, wrong))]
    cells = cells_of(study(tested))
    value = {(cell.layer, cell.seed): cell for cell in cells if cell.measure == "UA"}
    assert value["0", "0"].value == 0.5
    assert value["1", "0"].value == 1.0
    words = tuple(LABELS[value] for value in truth)
    said_1 = tuple(LABELS[1 - value] if row in (0, 3) else LABELS[value] for row, value in enumerate(truth))
    assert value["1", "1"].value == pytest.approx(Ua()(words, said_1, labels=LABELS))
    assert value["1", "all"].value == pytest.approx((1 + value["1", "1"].value) / 2)
    assert value["1", "all"].n == 6 and value["1", "all"].low <= value["1", "all"].value <= value["1", "all"].high
    assert {cell.measure for cell in cells} == {"UA", "WA", "F1 macro", "F1 weighted"}
    assert {cell.epochs for cell in cells} == {7.0}


def test_seeds_that_test_other_utterances_are_scored_together():
    tested = [
        Predictions("a", 0, np.array([0, 3]), said([0, 1], [0, 1])),
        Predictions("a", 1, np.array([1, 4, 5]), said([1, 1, 1], [0, 1, 1])),
    ]
    cells = [cell for cell in cells_of(study(tested)) if cell.measure == "WA" and cell.layer == "0"]
    assert {(cell.seed, cell.n, round(cell.value, 3)) for cell in cells} == {
        ("0", 2, 1.0),
        ("1", 3, 0.667),
        ("all", 5, 0.8),
    }


def test_a_head_of_all_layers_has_one_row():
    tested = [Predictions("a", 0, np.arange(6), said([0] * 6))]
    assert {cell.layer for cell in cells_of(study(tested))} == {"all"}


@pytest.mark.parametrize(
    ("trained", "tested", "languages", "expected"),
    [
        (("a", "de"), ("a", "de"), ("de",), "mono"),
        (("a", "de"), ("a", "de"), ("en",), "trans"),
        (("a", "zh-TW"), ("a", "zh-TW"), ("cmn",), "mono"),
        (("a", "zho"), ("a", "zho"), ("zh",), "mono"),
        (("a", "zh_TW"), ("b", "cmn"), ("zh",), "other"),
        (("a", "deu"), ("b", "de-AT"), ("de",), "other"),
        (("a", "zh_TW"), ("b", "deu"), ("zho",), "cross"),
        (("a", "de"), ("b", "en"), ("de",), "cross"),
        (("a", "de"), ("b", "de"), ("de",), "other"),
        (("a", "de"), ("b", "en"), ("zh",), "other"),
        (("a", "de"), ("a", "de"), ("mul",), "mono"),
        (("a", "de"), ("b", "en"), ("mul",), "cross"),
        (("a", "de"), ("a", "de"), (), "in language"),
        (("a", "de"), ("b", "en"), (), "cross"),
    ],
)
def test_settings_by_language(trained, tested, languages, expected):
    assert setting_of(corpus(*trained), corpus(*tested), languages) == expected


def test_what_a_probe_saw():
    tested = [Predictions("a", 0, np.arange(6), said([0] * 6))]

    def saw(**changes):
        return cells_of(study(tested, **changes))[0].saw

    assert saw() == "labels and audio of training speakers of a"
    assert "unlabelled audio of all of a, the scored speakers' too" in saw(normalise="speaker")
    assert "labels of validation speakers of a" in saw(patience=2)
    assert "THE SCORED SPEAKERS' TOO" in saw(share_speakers=True)


def test_the_table_is_tidy(tmp_path):
    tested = [Predictions("a", 0, np.arange(6), said([0] * 6, [0, 0, 0, 1, 1, 1]))]
    cells = cells_of(study(tested))
    write_cells(tmp_path / "cells.csv", cells, Cell)
    with (tmp_path / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(cells) == 2 * 2 * 4
    assert list(rows[0]) == list(Cell.__slots__)
    assert [float(row["value"]) for row in rows] == pytest.approx([cell.value for cell in cells], abs=1e-6)
    keys = Counter(tuple(row[key] for key in ("train", "test", "layer", "head", "seed", "measure")) for row in rows)
    assert set(keys.values()) == {1}


def test_floors_of_the_recorded_speech(recorded):
    """Anger is loud there: loudness tells all, chance half."""
    from emobridge.probe.splits import read_corpus

    settings = ProbeSettings(corpora=(str(recorded / "en.jsonl"),))
    found = floors_of(Study(settings, (read_corpus(settings.corpora[0], settings),), (), (), ()))
    value = {floor.what: floor.value for floor in found}
    assert value["chance"] == 0.5 and value["loudness and length"] > 0.9
