"""The section on a choice without target labels: validators, and how they rank against the truth."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from emobridge.report.choice import choice_section, ranks
from emobridge.report.record import CandidateRow


def test_how_well_validators_rank(record):
    rows = tuple(
        CandidateRow(name, (("good", value), ("bad", -value), ("flat", 1.0)), value, False)
        for name, value in (("a", 0.3), ("b", 0.5), ("c", 0.4))
    )
    rank = dict(ranks(rows))
    assert (rank["good"], rank["bad"]) == (pytest.approx(1), pytest.approx(-1)) and np.isnan(rank["flat"])
    section = choice_section(replace(record, candidates=rows, validator="good"))
    assert section.blocks[0].rows[1] == ("b", "0.500", "-0.500", "1.000", "50.0")
    assert json.loads(json.dumps(section.blocks[1].rows))[0] == ["good", "+1.00"]
    assert "The method was chosen by: good." in section.blocks[0].caption
    assert choice_section(record) is None
