"""The method chosen without target labels, `--method auto`: all candidates are run, and a validator picks one.

What a validator sees is what each candidate says of target speakers, whose labels it does not see (of held-out ones
where the target has labels to hold out), and how well it does on held-out speakers of the source. See `validators`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emobridge import registry
from emobridge.data.speech import Fold, Speech, folds_of
from emobridge.errors import UserError
from emobridge.methods.base import BASELINE
from emobridge.scores.validators.base import View, judge
from emobridge.settings import Settings
from emobridge.study.run import Predicted, Runner, Work, unweighted
from emobridge.training.checkpoints import LogPoint
from emobridge.training.tasks import Matrices

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One method, what it said, and what the validators make of it."""

    settings: Settings
    predicted: tuple[Predicted, ...]
    log: tuple[tuple[str, LogPoint], ...]
    judged: tuple[tuple[str, float], ...] = ()  # by validator; higher is better

    @property
    def method(self) -> str:
        """Its name."""
        return self.settings.method


def methods_of(settings: Settings) -> tuple[str, ...]:
    """The methods to run: the one asked for, or all candidates, the baseline first.

    Errors: UserError for options of a method where it is not known which.
    """
    if settings.method != AUTO:
        return (settings.method,)
    if settings.method_options:
        raise UserError(f"method auto: has no options; give {settings.method_options[0]} to a method by its name")
    least = registry.load("validators", settings.validator).least_seeds
    if settings.seeds < least:
        raise UserError(
            f"validator {settings.validator}: compares seeds; give --seeds {least} or more, or --validator source"
        )
    if not settings.candidates:
        raise UserError("candidates: expected at least one method")
    return tuple(dict.fromkeys((BASELINE, *settings.candidates)))


def run_candidates(
    cells: Sequence[Settings], speech: Speech, digest: str, report: Callable[[int, int], None]
) -> tuple[Candidate, ...]:
    """Run each of the settings, which differ in method and head only, and judge them."""
    runs: list[tuple[Candidate, list[np.ndarray]]] = []
    matrices: list[Matrices] = [{} for _ in range(cells[0].seeds)]
    for cell in cells:
        predicted: list[Predicted] = []
        log: list[tuple[str, LogPoint]] = []
        said: list[np.ndarray] = []
        for seed, known in enumerate(matrices):
            runner = Runner(cell, speech, Work(Path(cell.out) / "work", cell, speech, digest), known)
            folds = folds_of(speech, cell, seed)
            predicted += runner.system(cell.method, seed, folds)
            log += runner.log
            said.append(_of_target(runner, predicted, cell.method, seed, folds))
            report(len(runs) * len(matrices) + seed + 1, len(cells) * len(matrices))
        runs.append((Candidate(cell, tuple(predicted), tuple(log)), said))
    judged = []
    for candidate, p in runs:
        rivals = tuple(tuple(others) for _, others in runs if others is not p)
        verdicts = judge(View(tuple(p), rivals, _source_ua(candidate, speech)))
        judged.append(replace(candidate, judged=tuple(verdicts.items())))
    return tuple(judged)


def best(candidates: Sequence[Candidate], validator: str) -> Candidate:
    """The candidate that the validator ranks first; of equal ones the first. What is not known ranks last."""

    def rank(one: Candidate) -> float:
        value = dict(one.judged)[validator]
        return -math.inf if math.isnan(value) else value

    return max(candidates, key=rank)


def _of_target(
    runner: Runner, predicted: Sequence[Predicted], method: str, seed: int, folds: Sequence[Fold]
) -> np.ndarray:
    """(N, C) of the held-out target speakers; where none are, as the target has no labels, of those that adapted."""
    held = [one for one in predicted if one.side == "target" and one.seed == seed]
    if held:
        return held[0].probabilities.astype(np.float64)
    fold = replace(folds[0], source_test=(), target_test=folds[0].target)
    return runner.said(method, seed, len(folds), fold).probabilities.astype(np.float64)


def _source_ua(one: Candidate, speech: Speech) -> float:
    return unweighted(speech, [each for each in one.predicted if each.side == "source"], one.settings.labels)
