"""The batch nuclear norm (Cui et al. 2020)."""

from __future__ import annotations

import numpy as np

from emobridge.scores.validators.base import Floats, Validator, View, mean_over_seeds


class Bnm(Validator):
    """The sum of the singular values of P (N, C) over its bound sqrt(N C), in (0, 1]; the mean over seeds.

    High where predictions are sure and of many classes.
    """

    name = "bnm"

    def judge(self, view: View) -> float:
        """In (0, 1]."""
        return mean_over_seeds(_nuclear_norm, view)


def _nuclear_norm(p: Floats) -> float:
    return float(np.linalg.norm(p, "nuc") / np.sqrt(p.size))
