"""A measure of a user's own, one class, stands in every table of a run without another line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emobridge import registry
from emobridge.report.attributes import attribute_section
from emobridge.report.page import page_of
from emobridge.report.write import markdown
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import Condition
from emobridge.scores.classes import Evaluation
from emobridge.scores.confusion import recall_by_class
from emobridge.scores.measures.base import AttributeMeasure, ClassMeasure


class WorstRecall(ClassMeasure):
    """The recall of the class that is recalled least, in [0, 1]."""

    name = "worst recall"
    digits = 0
    order = 1

    def value(self, counts):
        return recall_by_class(counts).min(-1)


class Bias(AttributeMeasure):
    """The mean error, in [-2, 2] on the scale [-1, 1]."""

    name = "bias"
    range = (-2.0, 2.0)
    digits = 2

    def value(self, counts):
        return (counts[..., 2] - counts[..., 1]) / counts[..., 0]


@pytest.fixture
def plugged(monkeypatch):
    plain_names, plain_load = registry.names, registry.load
    extra = {"worst-recall": WorstRecall, "bias": Bias}
    monkeypatch.setattr(
        registry, "names", lambda kind: (*plain_names(kind), *extra) if kind == "measures" else plain_names(kind)
    )
    monkeypatch.setattr(registry, "load", lambda kind, name: extra.get(name) or plain_load(kind, name))


def scored(record, evaluation):
    condition = Condition(
        "demo", "pseudo-labels", "whisper-base", "4", "speaker", "ravdess", "emodb", "0", "test", "target"
    )
    return replace(record, scores=(*record.scores, *evaluation.scores(condition)))


def test_one_of_classes_stands_in_the_table_of_scores(plugged, record):
    bare = replace(record, scores=(), differences=(), confusions=())
    data = Evaluation(
        ("anger", "sadness"),
        ("anger", "sadness") * 4,
        (("anger", "sadness", "sadness", "sadness") * 2,),
        tuple("ab" * 4),
    )
    page = page_of(scored(replace(bare, labels=data.labels), data))
    table = next(section for section in page.sections if section.title == "Scores").blocks[0]
    assert table.columns[2:7] == ("UA", "WA", "worst recall", "F1 macro", "F1 weighted")
    assert table.rows[0][4].startswith("50 (")
    assert "| worst recall |" in markdown(page)


def test_one_of_attributes_stands_in_theirs(plugged, record):
    rng = np.random.default_rng(0)
    truth = rng.uniform(-0.5, 0.5, (8, 2))
    data = AttributeEvaluation(("arousal", "valence"), truth, truth[None] + 0.25, tuple("abcd" * 2))
    shown = scored(replace(record, attributes=data.names, scores=()), data)
    table = attribute_section(shown).blocks[0]
    assert table.columns == ("system", "scored on", "attribute", "CCC", "bias", "n", "CCC of each seed")
    assert all(row[4].startswith("0.25 (") for row in table.rows)
    assert "CCC in [-1, 1], bias in [-2, 2], mean over seeds" in table.caption
    titles = [section.title for section in page_of(shown).sections]
    assert "Attributes" in titles and "Scores" not in titles
