"""A validator: how good a recogniser may be, judged without target labels.

It sees the probabilities that the system and its rivals give unlabelled target utterances, and how well the system does
on labelled source speech. No validator is always right: the report shows how well the ranking of each agrees with the
true one. A validator is one file of this folder, or a class that a plug-in names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emobridge import registry

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a validator sees of a system."""

    probabilities: tuple[Floats, ...]  # of each seed, (N, C): of N target utterances, held-out ones where there are
    rivals: tuple[tuple[Floats, ...], ...] = ()  # the same of every other system
    source_ua: float = float("nan")  # in [0, 1], on held-out speakers of the source


class Validator:
    """Gives a system a number, the higher the better."""

    name: str
    least_seeds: int = 1  # seeds that it needs

    def judge(self, view: View) -> float:
        """The number; NaN where it is not defined."""
        raise NotImplementedError(f"validator {self.name} has no formula")


def validators() -> tuple[Validator, ...]:
    """All of them, by name."""
    return _loaded(registry.names("validators"))


def judge(view: View) -> dict[str, float]:
    """What every validator says of a system, by its name."""
    return {validator.name: validator.judge(view) for validator in validators()}


def mean_over_seeds(formula: Callable[[Floats], float], view: View) -> float:
    """The mean of a formula on the probabilities (N, C) of each seed."""
    return float(np.mean([formula(np.asarray(p)) for p in view.probabilities]))


@lru_cache(maxsize=8)
def _loaded(names: tuple[str, ...]) -> tuple[Validator, ...]:
    """An instance of each validator; loaded again when other plug-ins are there."""
    return tuple(registry.load("validators", name)() for name in names)
