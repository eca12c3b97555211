"""The entropy that all rooms use, against SciPy and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy as referee

from emobridge.scores.entropy import entropy


def test_it_is_that_of_scipy_and_of_torch():
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 5))
    assert entropy(p) == pytest.approx(referee(p, axis=-1))
    tensor = torch.from_numpy(p)
    assert torch.allclose(entropy(tensor), torch.special.entr(tensor).sum(-1))


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_its_bounds(kind):
    assert float(entropy(kind([1.0, 0.0, 0.0]))) == pytest.approx(0, abs=1e-9)
    assert float(entropy(kind([0.25] * 4))) == pytest.approx(math.log(4))
    assert float(entropy(kind([1.0]))) == 0, "a single class"
    assert entropy(kind([[0.5, 0.5]])).shape == (1,)


def test_gradients_flow():
    p = torch.tensor([0.7, 0.3, 0.0], requires_grad=True)
    entropy(p).backward()
    assert torch.isfinite(p.grad).all()
