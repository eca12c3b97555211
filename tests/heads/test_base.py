"""Principal components."""

from __future__ import annotations

import pytest
import torch

from emobridge.heads import base
from emobridge.heads.base import principal_components


@pytest.mark.parametrize("at_once", [1, 7, 50])
@pytest.mark.parametrize("shape", [(50, 6), (1, 1), (7, 50)])
def test_components_of_many_rows_are_taken_a_part_at_a_time(monkeypatch, at_once, shape):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 3
    expected = principal_components(x, 4)
    z = expected.of(x)
    monkeypatch.setattr(base, "ROWS_AT_ONCE", at_once)
    parts = principal_components(x, 4)
    assert torch.allclose(parts.of(x).abs(), z.abs(), atol=1e-4)  # the sign of a direction is free
    assert torch.allclose(parts.mean, expected.mean)
