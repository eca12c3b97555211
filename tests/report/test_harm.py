"""The sign of harm in a report: first where it is raised, a remark where it is not, and never against labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emobridge.report.harm import harm_remark, harm_section, harm_warning
from emobridge.report.model_card import model_card
from emobridge.report.terminal import lines_of
from emobridge.report.verdict import verdict
from emobridge.report.write import write_study
from emobridge.scores.files import read_scores
from emobridge.scores.harm import AGREEMENT, HarmSign, reasons_of

STEADY = HarmSign(utterances=270, agreement=0.85, compared=339)


def with_sign(record, **changes):
    sign = replace(STEADY, **changes)
    rows = [replace(record.scores[0], measure=AGREEMENT, side="target", value=sign.agreement, low=np.nan, high=np.nan)]
    return replace(record, harm=replace(sign, reasons=reasons_of(sign)), label_free_scores=tuple(rows))


@pytest.fixture
def worse(record):
    """The record where the labels show no gain."""
    gaps = [replace(gap, estimate=replace(gap.estimate, low=-0.1)) for gap in record.differences]
    return replace(record, differences=tuple(gaps))


def test_a_sign_of_harm_is_the_first_finding(worse, unlabelled):
    for scored_or_not in (worse, unlabelled):
        raised = with_sign(scored_or_not, agreement=0.5, utterances=40)
        warning = harm_warning(raised)
        assert warning.startswith(
            "ADAPTATION MAY HARM: recognisers adapted to halves of the target's speakers agree on"
        )
        assert "only 50.0 % of 339 utterances" in warning and "only 40 unlabelled utterances" in warning
        assert verdict(raised).startswith(warning) and lines_of(raised)[0] == warning
        assert warning.split(": ")[0] in model_card(raised) and not harm_remark(raised)
        made_up = lines_of(replace(raised, synthetic=True))
        assert made_up[0].startswith("SYNTHETIC speech. ADAPTATION MAY HARM")


def test_without_a_sign_it_is_a_remark(worse, unlabelled):
    for scored_or_not in (worse, unlabelled):
        steady = with_sign(scored_or_not)
        assert not harm_warning(steady) and "agree on 85.0 % of 339 utterances" in verdict(steady)
        assert any("Nothing foretells harm by adaptation" in line for line in lines_of(steady))


def test_labels_outdo_the_sign(record):
    assert record.differences[0].estimate.low > 0
    raised = with_sign(record, agreement=0.5)
    assert not harm_warning(raised) and not verdict(raised).startswith("ADAPTATION")
    assert "harm would have been foretold" in verdict(raised) and "the target's labels show a gain" in verdict(raised)


def test_what_was_not_measured_is_not_mentioned(record):
    unmeasured = replace(record, harm=HarmSign(utterances=270))
    assert not harm_warning(unmeasured) and not harm_remark(unmeasured) and harm_section(unmeasured) is None
    assert verdict(record) == verdict(unmeasured) and harm_section(record) is None


def test_agreement_stands_in_scores_json_and_in_no_table_of_scores(worse, tmp_path):
    raised = with_sign(worse, agreement=0.5)
    write_study(tmp_path, raised)
    rows = [row for row in read_scores(tmp_path / "scores.json") if row.measure == AGREEMENT]
    assert [row.value for row in rows] == [0.5] and np.isnan(rows[0].low)
    assert not harm_section(raised).blocks and "50.0 % of 339 utterances" in harm_section(raised).paragraphs[0]
    assert AGREEMENT not in (tmp_path / "report.md").read_text()
