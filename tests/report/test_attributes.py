"""Attributes in a report: CCC as it is, and no number of constructed ones without a word of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emobridge.report.attributes import attribute_section
from emobridge.report.model_card import model_card
from emobridge.report.page import page_of
from emobridge.report.record import Difference
from emobridge.report.terminal import table
from emobridge.report.verdict import headline_measure, verdict, warnings_of
from emobridge.report.write import markdown
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import Condition

NAMES = ("arousal", "valence")


@pytest.fixture
def rated(record):
    """The record with attributes of thirty utterances of six speakers: the second system is nearer the truth."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, (30, 2))
    truth[:10, 1] = np.nan
    speakers = tuple(str(row % 6) for row in range(30))
    own = {
        method: AttributeEvaluation(
            NAMES, truth, np.nan_to_num(truth) + noise * rng.standard_normal((2, 30, 2)), speakers
        )
        for method, noise in (("source-only", 0.6), ("pseudo-labels", 0.2))
    }
    rows = list(record.scores)
    for method, found in own.items():
        one = next(row for row in record.scores if row.method == method and row.side == "target")
        names = Condition.__slots__
        rows += found.scores(Condition(**{name: getattr(one, name) for name in names}))
    gaps = own["pseudo-labels"].difference(own["source-only"])
    changes = {"attributes": NAMES, "scores": tuple(rows)}
    changes["differences"] = (
        *record.differences,
        *(Difference(method="pseudo-labels", before="source-only", side="target", estimate=gap) for gap in gaps),
    )
    return replace(record, **changes)


def test_ccc_of_each_attribute_with_its_interval_and_n(rated):
    first, second = attribute_section(rated).blocks
    assert [row[:3] for row in first.rows] == [
        (method, "target", name) for method in ("source-only", "pseudo-labels") for name in (*NAMES, "mean")
    ]
    wanted = next(
        row for row in rated.scores if (row.method, row.measure, row.seed) == ("pseudo-labels", "CCC valence", "all")
    )
    value, n, seeds = first.rows[4][3:]
    assert value == f"{wanted.value:.3f} ({wanted.low:.3f} to {wanted.high:.3f})" and n == "20"
    assert len(seeds.split(", ")) == 2
    assert [row[2] for row in second.rows] == [*NAMES, "mean"]
    assert all(row[3].startswith("+0.") for row in second.rows)
    for one in (first, second):
        assert "per cent" not in one.caption.lower() and "SYNTHETIC" not in one.caption


def test_the_table_of_scores_in_per_cent_has_no_ccc(rated, record):
    scores = next(section for section in page_of(rated).sections if section.title == "Scores")
    plain = next(section for section in page_of(record).sections if section.title == "Scores")
    assert scores == plain
    assert attribute_section(record) is None


def test_attributes_alone_lead(rated):
    alone = replace(
        rated,
        labels=(),
        differences=tuple(gap for gap in rated.differences if gap.measure != "UA"),
        confusions=(),
        published=(),
        scores=tuple(row for row in rated.scores if row.measure.startswith("CCC")),
    )
    assert headline_measure(alone) == "CCC mean"
    text = verdict(alone)
    assert "CCC mean" in text and "pseudo-labels minus source-only" in text and ": a gain" in text
    assert "points" not in text and "Chance" not in text
    titles = [section.title for section in page_of(alone).sections]
    assert "Attributes" in titles and not {"Scores", "Recall by class", "Confusions"} & set(titles)
    card = model_card(alone)
    assert "Attributes, in this order: arousal, valence" in card and "Labels, in this order" not in card
    assert "| system | scored on | CCC mean | CCC arousal | CCC valence | n | seeds |" in card
    lines = table(alone).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        f"CCC of {name}, in [-1, 1]; 95 % intervals; seeds averaged" for name in NAMES
    ]
    single = replace(alone, scores=tuple(replace(row, low=float("nan"), high=float("nan")) for row in alone.scores))
    assert any("Scores on the target have no interval" in line for line in warnings_of(single))
    assert "(no interval)" in model_card(single) and "[no interval]" in table(single)


def test_constructed_attributes_are_named_everywhere(rated):
    page = markdown(page_of(rated))
    assert "CONSTRUCTED" not in page
    made = replace(rated, constructed=True)
    assert warnings_of(made)[0].startswith("CONSTRUCTED attributes: level, pitch and rate")
    captions = [
        line for line in markdown(page_of(made)).splitlines() if line.startswith("*") and not line.startswith("**")
    ]
    assert captions and all(line.startswith("*CONSTRUCTED attributes. ") for line in captions)
    assert "*CONSTRUCTED attributes. Mean over seeds" in model_card(made)
    assert table(replace(made, synthetic=True)).startswith("SYNTHETIC. CONSTRUCTED. UA over")
