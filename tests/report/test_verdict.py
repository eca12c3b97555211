"""The paragraph at the top says what the numbers say, for gains, losses and nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emobridge.report.record import Difference
from emobridge.report.verdict import headline_measure, verdict, warnings
from emobridge.scores.base import Estimate


def gap(record, value, low, high):
    found = Difference(
        "target", "source-only", "pseudo-labels", Estimate("UA difference", value, low, high, 320, "speakers")
    )
    return verdict(replace(record, differences=(found,)))


def mean(record, method, side="target", measure="UA"):
    rows = (r for r in record.scores if (r.method, r.side, r.measure, r.seed) == (method, side, measure, "all"))
    return next(rows)


def test_it_names_both_systems_with_intervals_and_chance(record):
    text = verdict(record)
    for method in ("source-only", "pseudo-labels"):
        row = mean(record, method)
        assert f"{method} reaches {100 * row.value:.1f} % UA ({100 * row.low:.1f} to {100 * row.high:.1f})" in text
    assert "Chance over 4 labels is 25.0 %" in text
    assert "emodb, de; 320 utterances scored" in text
    assert "not shown to be above chance" not in text


def test_it_tells_gain_loss_and_nothing_apart(record):
    assert "+5.0 points (+1.0 to +9.0): a gain" in gap(record, 0.05, 0.01, 0.09)
    assert "-5.0 points (-9.0 to -1.0): adaptation made it WORSE; use source-only" in gap(record, -0.05, -0.09, -0.01)
    assert "no difference is shown" in gap(record, 0.05, -0.01, 0.11)


def test_it_says_when_chance_is_not_beaten(record):
    rows = tuple(replace(row, low=0.2) if row == mean(record, "pseudo-labels") else row for row in record.scores)
    assert "pseudo-labels is not shown to be above chance" in verdict(replace(record, scores=rows))


def test_attribute_runs_lead_with_ccc(record):
    rows = tuple(
        replace(row, measure="CCC arousal", value=0.5, low=0.4, high=0.6)
        for row in record.scores
        if row.measure == "UA" and row.side == "target"
    )
    attributes = replace(record, scores=rows, differences=())
    assert headline_measure(attributes) == "CCC arousal"
    text = verdict(attributes)
    assert "pseudo-labels reaches 0.500 CCC arousal (0.400 to 0.600)" in text
    assert "Chance" not in text and "%" not in text.replace("95 %", "")


def test_warnings_hold_what_a_reader_must_know(record, synthetic):
    found = warnings(record)
    assert found[0] == "The target has 12 utterances whose speaker is not known."
    assert any("loudness and length already gives 52.0 % UA" in line for line in found)
    assert not any("speakers were scored" in line for line in found)
    assert warnings(synthetic)[0].startswith("SYNTHETIC")
    weak = tuple(replace(confound, low=0.3) for confound in record.confounds)
    assert not any("loudness" in line for line in warnings(replace(record, confounds=weak)))
    errors = tuple(replace(finding, severity="error") for finding in record.findings)
    assert record.findings[1].message in warnings(replace(record, findings=errors))
    assert record.findings[1].message not in found


@pytest.mark.parametrize(
    ("resampled", "words"), [("speakers", "Only 2 target speakers"), ("utterances", "draw utterances")]
)
def test_intervals_that_are_too_narrow_are_called_so(record, resampled, words):
    few = tuple(r for r in record.scores if "speaker" not in r.measure or r.measure[-2:] in ("03", "04"))
    assert any(words in line for line in warnings(replace(record, scores=few, resampled=resampled)))
