"""The moments of training rows."""

from __future__ import annotations

import pytest
import torch

from emobridge.features.normalisation import fit_domain, moments
from emobridge.probe.splits import RowSplit
from emobridge.probe.trainer import training_moments


@pytest.mark.parametrize("inside", [False, True])
def test_moments_of_training_rows_are_those_of_the_normalisation(inside):
    generator = torch.Generator().manual_seed(0)
    values = 20 + torch.randn(2, 9, 5, generator=generator) * torch.tensor([1.0, 2.0, 3.0, 1e-4, 0.0])
    within = torch.rand(2, 9, 5, generator=generator) if inside else None
    splits = [RowSplit((0, 1, 2, 5, 7), (), ()), RowSplit((3, 4, 8), (), ())]
    mean, deviation = training_moments(values, within, splits)
    for layer, x in enumerate(values):
        for number, split in enumerate(splits):
            rows = list(split.train)
            domain = fit_domain("", "", x[rows], None if within is None else within[layer, rows])
            expected = moments(x[:1], domain, None)
            torch.testing.assert_close(mean[layer, number], expected[0][0], atol=1e-4, rtol=1e-5)
            torch.testing.assert_close(deviation[layer, number], expected[1][0], atol=1e-4, rtol=1e-4)


def test_a_single_training_row_has_moments():
    """Its deviation is zero, and what is standardised by it stays finite."""
    values = torch.randn(1, 3, 4)
    mean, deviation = training_moments(values, None, [RowSplit((1,), (), (0,))])
    torch.testing.assert_close(mean[0, 0], values[0, 1])
    assert (deviation > 0).all()
