"""Statistics in two views of a clip, and in the columns that they have among all."""

from __future__ import annotations

import pytest
import torch

from emobridge.features.pooling import in_columns, views_of


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


def test_statistics_stand_in_the_columns_that_they_have_among_all():
    every, values = ("mean", "std", "max"), torch.arange(1.0, 13.0).reshape(2, 6)
    assert torch.equal(in_columns(values, every, every), values)
    two = in_columns(values, ("max", "mean"), every)
    assert torch.equal(two, torch.cat([values[:, 3:], torch.zeros(2, 3), values[:, :3]], 1))
    assert torch.equal(in_columns(values, ("std",), every)[:, 6:12], values)
