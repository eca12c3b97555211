"""Statistics in two views of a clip."""

from __future__ import annotations

import pytest

from emobridge.features.pooling import views_of


@pytest.mark.parametrize(
    ("statistics", "views"),
    [
        (("mean",), (("mean",),)),
        (("mean", "speech_mean"), (("mean",), ("speech_mean",))),
        (("speech_mean",), (("speech_mean",),)),
        (("mean", "std", "speech_mean"), (("mean", "std", "speech_mean"),)),
    ],
)
def test_views_are_of_one_width(statistics, views):
    assert views_of(statistics) == views
