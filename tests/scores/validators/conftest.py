"""Probabilities of four utterances that are sure, unsure, or all of one class."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.scores.validators.base import View


@pytest.fixture
def sure():
    return np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])


@pytest.fixture
def unsure():
    return np.full((4, 2), 0.5)


@pytest.fixture
def collapsed():
    return np.tile([1.0, 0.0], (4, 1))


@pytest.fixture
def judged():
    """What a validator says of the probabilities of some seeds."""
    return lambda validator, *seeds: validator.judge(View(tuple(seeds)))


@pytest.fixture(params=[(2, 2, 0.1), (12, 6, 8.0), (5, 3, 1.0), (7, 4, 3.0), (3, 1, 1.0)])
def random_probabilities(request):
    """(N, C), flat to peaked."""
    n, classes, scale = request.param
    z = scale * np.random.default_rng(n).normal(size=(n, classes))
    return np.exp(z) / np.exp(z).sum(1, keepdims=True)
