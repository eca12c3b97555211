"""Entropy of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Probabilities = TypeVar("Probabilities", NDArray[np.float64], "Tensor")
TINY = 1e-12  # probabilities below count as this in the logarithm, so that 0 log 0 is 0


def entropy(p: Probabilities) -> Probabilities:
    """-sum_c p_c log p_c in nats: an array or a tensor (..., C) -> (...), in [0, log C].

    >>> float(entropy(np.array([0.5, 0.5])))  # log 2
    0.6931471805599453
    """
    clipped = p.clip(min=TINY)
    nats: Probabilities = -(p * (np.log(clipped) if isinstance(clipped, np.ndarray) else clipped.log())).sum(-1)
    return nats
