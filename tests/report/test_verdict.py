"""The paragraph at the top says what the numbers say, for gains, losses and nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from emobridge.audit.confound import Confound
from emobridge.literature.record import FOUR
from emobridge.report.record import CollapsedSystem, Difference, Floor
from emobridge.report.verdict import conclusion, headline_measure, verdict, warnings_of
from emobridge.scores.base import Estimate

CONFOUND = Confound("emodb.jsonl", "loudness and length", FOUR, 320, 10, 0.5, 0.4, 0.6, 0.25)


def gap(record, value, low, high):
    estimate = Estimate("UA difference", value, low, high, 320, "speakers")
    difference = Difference(method="pseudo-labels", before="source-only", side="target", estimate=estimate)
    return verdict(replace(record, differences=(difference,)))


def mean(record, method, side="target", measure="UA"):
    rows = (r for r in record.scores if (r.method, r.side, r.measure, r.seed) == (method, side, measure, "all"))
    return next(rows)


def test_it_names_both_systems_with_intervals_and_chance(record):
    text = verdict(record)
    for method, meaning in (
        ("source-only", "unweighted accuracy: the mean of the recalls of the labels; 95 % interval over speakers "),
        ("pseudo-labels", ""),
    ):
        row = mean(record, method)
        interval = f"{100 * row.low:.1f} to {100 * row.high:.1f}"
        assert f"{method} reaches {100 * row.value:.1f} % UA ({meaning}{interval})" in text
    assert "Chance over 4 labels is 25.0 %" in text
    assert "emodb, de; 320 utterances scored" in text
    assert "not shown to be above chance" not in text


def test_it_tells_gain_loss_and_nothing_apart(record):
    assert "+5.0 points (+1.0 to +9.0): a gain" in gap(record, 0.05, 0.01, 0.09)
    assert "-5.0 points (-9.0 to -1.0): adaptation made it WORSE; use source-only" in gap(record, -0.05, -0.09, -0.01)
    assert "no difference is shown" in gap(record, 0.05, -0.01, 0.11)


def test_the_difference_is_that_of_the_chosen_method_and_not_of_another_candidate(record):
    estimate = Estimate("UA difference", -0.2, -0.3, -0.1, 320, "speakers")
    other = Difference(method="dann", before="source-only", side="target", estimate=estimate)
    text = verdict(replace(record, differences=(other, *record.differences)))
    assert text == verdict(record) and "dann" not in text
    assert " minus " not in verdict(replace(record, differences=(other,)))


def test_it_says_when_chance_is_not_beaten(record):
    rows = tuple(replace(row, low=0.2) if row == mean(record, "pseudo-labels") else row for row in record.scores)
    assert "pseudo-labels is not shown to be above chance" in verdict(replace(record, scores=rows))


@pytest.mark.parametrize(
    ("value", "low", "start"), [(0.2, 0.1, "NO BETTER THAN CHANCE"), (0.3, 0.2, "NOT ABOVE CHANCE")]
)
def test_what_makes_a_score_meaningless_comes_first_and_the_gravest_first_of_all(record, value, low, start):
    row = mean(record, "pseudo-labels")
    rows = tuple(replace(other, value=value, low=low) if other == row else other for other in record.scores)
    poor = replace(record, scores=rows, floors=(Floor("target", CONFOUND),))
    collapse = CollapsedSystem(method="pseudo-labels", side="target", predictions="anger for all 320 utterances")
    for text in (verdict(poor), conclusion(poor)):
        assert text.startswith(f"{start}: pseudo-labels ")
        assert text.index(start) < text.index("BELOW THE FLOOR") < text.index(" minus ")
        assert "25.0 %" in text[: text.index("BELOW")]
    assert verdict(replace(poor, collapsed=(collapse,))).startswith("COLLAPSED: pseudo-labels")
    other = replace(collapse, method="source-only"), replace(collapse, side="source")
    assert verdict(replace(poor, collapsed=other)).startswith(start), "they are of other scores"


def test_no_attribute_is_predicted_better_than_by_chance(record):
    rows = tuple(
        replace(row, measure="CCC arousal", value=-0.1, low=-0.2, high=0.1)
        for row in record.scores
        if row.measure == "UA" and row.side == "target"
    )
    text = verdict(replace(record, scores=rows, differences=(), labels=(), attributes=("arousal",)))
    assert text.startswith("NO BETTER THAN CHANCE: pseudo-labels reaches -0.100 CCC arousal, and guessing 0.000.")


def test_the_bundle_is_named_with_the_verdict(record):
    reason = "pseudo-labels is worse on the target"
    held = replace(record, bundle_method="source-only", bundle_reason=reason)
    for text in (verdict(held), conclusion(held)):
        assert text.endswith(f"The bundle holds source-only: {reason}.")
    assert "use source-only" not in gap(held, -0.05, -0.09, -0.01), "it is there already"
    assert "made it WORSE. " in gap(held, -0.05, -0.09, -0.01)


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
    found = warnings_of(record)
    assert found[0] == "The target has 12 utterances whose speaker is not known."
    assert any("loudness and length already gives 52.0 % UA" in line for line in found)
    assert not any("speakers were scored" in line for line in found)
    assert warnings_of(synthetic)[0].startswith("SYNTHETIC")
    weak = tuple(replace(confound, low=0.3) for confound in record.audit.confounds)
    assert not any(
        "loudness" in line for line in warnings_of(replace(record, audit=replace(record.audit, confounds=weak)))
    )
    errors = tuple(replace(finding, severity="error") for finding in record.audit.findings)
    message = record.audit.findings[1].message
    assert message in warnings_of(replace(record, audit=replace(record.audit, findings=errors)))
    assert message not in found
    speechless = tuple(replace(finding, kind="no speech", severity="warning") for finding in record.audit.findings)
    assert message in warnings_of(replace(record, audit=replace(record.audit, findings=speechless)))


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_score_below_its_floor_says_so_first(record, side):
    row = mean(record, "pseudo-labels")
    for ua, below in ((row.value + 0.01, side == "target"), (row.value - 0.01, False)):
        text = verdict(replace(record, floors=(Floor(side, replace(CONFOUND, ua=ua)),)))
        assert text.startswith("BELOW THE FLOOR: ") == below == ("FLOOR" in text)
        if below:
            first = text[: text.index("On the target")]
            assert f"{100 * ua:.1f} %" in first and f"pseudo-labels does ({100 * row.value:.1f} %)" in first
    short = (Floor("target", replace(CONFOUND, features="length", ua=0.99)),)
    assert "FLOOR" not in verdict(replace(record, floors=short)), "the floor is that of loudness and length"


def test_a_system_that_gives_one_label_for_all_is_a_warning(record, synthetic):
    predictions = "anger for all 320 utterances in 2 of 3 seeds"
    collapsed = (CollapsedSystem(method="pseudo-labels", side="target", predictions=predictions),)
    line = (
        "COLLAPSED: pseudo-labels predicts anger for all 320 utterances in 2 of 3 seeds on the target: "
        "it has learnt nothing that tells them apart."
    )
    assert warnings_of(replace(record, collapsed=collapsed))[0] == line
    assert warnings_of(replace(synthetic, collapsed=collapsed))[1] == line
    assert not any("COLLAPSED" in warning for warning in warnings_of(record))


def test_intervals_over_few_speakers_need_no_warning_and_those_over_utterances_do(record):
    few = tuple(r for r in record.scores if "speaker" not in r.measure or r.measure[-2:] in ("03", "04"))
    assert not any("interval" in line for line in warnings_of(replace(record, scores=few)))
    for over in ("utterances", "speakers and utterances"):
        lines = warnings_of(replace(record, scores=few, intervals_over=over))
        assert any("count as speakers of their own: intervals are too narrow" in line for line in lines)


def test_a_single_speaker_shows_nothing(record):
    """There is no interval: a score is not shown to be above chance, nor a method to be better."""
    nothing = {"low": float("nan"), "high": float("nan")}
    alone = replace(
        record,
        scores=tuple(replace(row, **nothing) if row.side == "target" else row for row in record.scores),
        differences=tuple(replace(gap, estimate=replace(gap.estimate, **nothing)) for gap in record.differences),
    )
    text = verdict(alone)
    assert "of the labels; no interval)" in text and "is not shown to be above chance" in text
    assert re.search(
        r"is [+-][\d.]+ points \(no interval\): no difference is shown, since there is no interval\.", text
    )
    lines = [line for line in warnings_of(alone) if "interval" in line]
    assert lines == ["Scores on the target have no interval: that takes two speakers or more."]
