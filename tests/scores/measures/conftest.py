"""Labels that a system predicts more often right than wrong."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def labels():
    return ["anger", "happiness", "neutral", "sadness"]


@pytest.fixture
def truth(labels):
    return np.random.default_rng(0).choice(labels, 200, p=(0.4, 0.3, 0.2, 0.1)).tolist()


@pytest.fixture
def prediction(labels, truth):
    rng = np.random.default_rng(1)
    return [label if rng.random() < 0.6 else str(rng.choice(labels)) for label in truth]
