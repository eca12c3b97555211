"""How old a speaker is, from what stands in tables."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.data.ages import years_of


@pytest.mark.parametrize(
    ("cell", "years"),
    [
        ("31", 31.0),
        (" 31,5 ", 31.5),
        ("31 years", 31.0),
        ("31y", 31.0),
        (31, 31.0),
        (np.int64(31), 31.0),
        ("teens", 15.0),
        ("Thirties", 35.0),
        ("fourties", 45.0),
        ("forties", 45.0),
        ("30s", 35.0),
        ("20-29", 25.0),
        ("20 to 29", 25.0),
        ("60+", 60.0),
        ("29-20", None),
        ("", None),
        ("unknown", None),
        ("1980", None),
        ("-1", None),
        (0, None),
        (float("nan"), None),
        (True, None),
        (None, None),
        (["31"], None),
    ],
)
def test_cells_of_ages(cell, years):
    assert years_of(cell) == years
