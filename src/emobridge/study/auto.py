"""The method chosen without target labels, `--method auto`: all candidates are run, and a validator picks one.

A validator sees what each candidate says of target speakers whose labels it does not see (held-out ones where the
target has labels to score), and how well it does on held-out speakers of the source. See `scores.validators`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from emobridge.scores.validators.base import View, judge
from emobridge.study.evaluations import ua_of
from emobridge.study.run import Answers, Runner


@dataclass(frozen=True, slots=True)
class Candidate:
    """One method with its answers, and what the validators make of it."""

    answers: Answers
    judged: tuple[tuple[str, float], ...]  # by validator; higher is better

    @property
    def method(self) -> str:
        """Its name."""
        return self.answers.method


def judge_candidates(runner: Runner, answers: Sequence[Answers]) -> tuple[Candidate, ...]:
    """What every validator makes of each system."""
    probabilities = [_on_target(runner, system) for system in answers]
    candidates = []
    for system, own in zip(answers, probabilities):
        source = [part for part in system.predicted if part.side == "source"]
        source_ua = ua_of(runner.speech, source, system.case.labels)
        rivals = tuple(other for other in probabilities if other is not own)
        candidates.append(Candidate(system, tuple(judge(View(own, rivals, source_ua)).items())))
    return tuple(candidates)


def best(candidates: Sequence[Candidate], validator: str) -> Candidate:
    """The candidate that the validator ranks first; of equal ones the first. What is not known ranks last."""

    def rank(candidate: Candidate) -> float:
        value = dict(candidate.judged)[validator]
        return -math.inf if math.isnan(value) else value

    return max(candidates, key=rank)


def _on_target(runner: Runner, answers: Answers) -> tuple[np.ndarray, ...]:
    """(N, C) a seed, of the scored target speakers; where none are, as the target has no labels, of the adapting."""
    case, seeds = answers.case, range(runner.split.seeds)
    predicted = {part.seed: part.probabilities for part in answers.predicted if part.side == "target"}
    for seed in seeds:
        if seed not in predicted:
            fold = runner.folds(seed, case.validation)[0]
            fold = replace(fold, source_test=(), target_test=fold.target)
            predicted[seed] = runner.fit(case, seed, fold).probabilities
    return tuple(predicted[seed].astype(np.float64) for seed in seeds)
