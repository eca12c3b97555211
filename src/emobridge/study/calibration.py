"""The temperatures of a system, from answers to utterances that were held out, and how well they serve on each side.

That of answers to the source is fitted on its held-out answers, of all folds and seeds. So is that of answers to the
target, but never below 1 (ours): a recogniser that is too modest on the source is not so in another language, where it
errs more (docs/results/calibration.md). No label of the target enters, unless the method learns from some. Then the
held-out answers to those very utterances count as much as the source: in the folds that test them they were not trained
on. They count only where the folds' fits saw no other label of the target than the final one sees, as with a filled
list or all labels; of a budget that each fold draws for itself, the source alone counts.

Nor is the temperature of answers to the target below that by which mean confidence sinks to the agreement of
recognisers adapted to halves of the target (`study.harm`), where these were compared: two recognisers that are right
agree. After Jiang et al. 2022, "Assessing generalization of SGD via disagreement", where agreement estimates accuracy.
Ours: the larger of the two temperatures.

The probabilities of the fits themselves, which pseudo-labels, the guard and scores go by, stay as they are.

The judgement is by cross-fitting over speakers: an answer is tempered by a temperature that saw no answer to the same
speaker. (With target labels, the fits of other folds were trained on that speaker's: one number hardly shows it.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emobridge.data.speech import UNLABELLED, Speech, budget, everything, folds_of
from emobridge.report.record import SIDES, Calibration, Trust
from emobridge.scores.base import clusters_of
from emobridge.scores.calibration import (
    SHARES,
    accuracy_at_coverage,
    expected_calibration_error,
    fit_temperature,
    reliability_curve,
    tempered,
    top_answers,
)
from emobridge.scores.measures.base import Floats
from emobridge.settings import Split
from emobridge.study.run import Answers, Runner
from emobridge.training.case import Case
from emobridge.types import person

AGREEMENT_OF_HALVES = "the agreement of recognisers adapted to halves of the target"  # as a source of temperatures
CALIBRATION_PARTS = 10  # of the speakers of a side, at most, each judged by a temperature of the others


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The answers of one system to labelled utterances that were held out, both sides and all seeds."""

    row: np.ndarray  # (N,) of the Speech
    p: Floats  # (N, C)
    truth: np.ndarray  # (N,) in [0, C)
    is_target: np.ndarray  # (N,) bool
    is_given: np.ndarray  # (N,) bool: its label may be looked at
    part: np.ndarray  # (N,) in [0, CALIBRATION_PARTS): of the speakers of its side
    agreed: float = 1.0  # the temperature by the agreement of halves of the target; 1 where none were compared

    def on(self, side: str) -> np.ndarray:
        """(N,) bool: the answers of a side."""
        return self.is_target == (side == "target")

    def fitted_on(self, side: str) -> np.ndarray:
        """(N,) bool: the answers that give the temperature of a side."""
        return self.is_given if side == "target" else self.is_given & ~self.is_target

    def temperature(self, side: str, without: np.ndarray | None = None) -> float | None:
        """Fitted on all answers that give it but for `without` (N,) bool; None where none is left."""
        rows = self.fitted_on(side) if without is None else self.fitted_on(side) & ~without
        if not rows.any():
            return self.agreed if side == "target" and self.agreed > 1 else None
        is_target = self.is_target[rows].astype(np.int64)
        weights = 1 / np.bincount(is_target, minlength=2)[is_target]  # the sides weigh the same
        temperature = fit_temperature(self.p[rows], self.truth[rows], weights=weights)
        return temperature if side == "source" or is_target.any() else max(temperature, self.agreed, 1.0)

    def tempered(self, side: str) -> Floats | None:
        """(n, C): the answers of a side by temperatures of other speakers; None where there are none."""
        on_side, values = self.on(side), np.empty_like(self.p)
        takes_part = (self.fitted_on(side) & on_side).any()
        parts = [on_side & (self.part == part) for part in np.unique(self.part[on_side])] if takes_part else [on_side]
        for rows in parts:
            temperature = self.temperature(side, without=rows)
            if temperature is None:
                return None
            values[rows] = tempered(self.p[rows], temperature)
        return values[on_side]


def temperatures_of(runner: Runner, answers: Answers, agreed: float = 1.0) -> tuple[float, float]:
    """The temperatures of the bundle of a case: of its answers to the target, and to the source.

    agreed: the temperature by the agreement of halves of the target, here and below.

    1 where nothing was held out, and where no emotions are learnt.
    """
    held_out = _held_out(runner.speech, runner.split, answers, agreed)
    if held_out is None:
        return 1.0, 1.0
    return held_out.temperature("target") or 1.0, held_out.temperature("source") or 1.0


def calibrations_of(
    speech: Speech, split: Split, systems: Sequence[Answers], agreed: Mapping[Case, float] | None = None
) -> tuple[Calibration, ...]:
    """How far the confidence of each system can be trusted, on each side that has labels, the target first.

    agreed: by case, 1 where it is not there.
    """
    rows = []
    for answers in systems:
        held_out = _held_out(speech, split, answers, (agreed or {}).get(answers.case, 1.0))
        if held_out is not None:
            rows += [_calibration(answers, side, held_out, split) for side in SIDES if held_out.on(side).any()]
    return tuple(rows)


def temperature_lines(speech: Speech, split: Split, answers: Answers, agreed: float = 1.0) -> tuple[str, ...]:
    """`temperatures_of` in words: "temperature of answers to the target: 1.20, fitted on ..."."""
    held_out = _held_out(speech, split, answers, agreed)
    if held_out is None:
        return ()
    lines = []
    for side in SIDES:
        temperature, fitted_on = held_out.temperature(side), _in_words(held_out, side, split)
        how = f"{temperature:.2f}, fitted on {fitted_on}" if temperature else "1, for no answer was held out"
        lines.append(f"temperature of answers to the {side}: {how}")
    return tuple(lines)


def _calibration(answers: Answers, side: str, held_out: HeldOut, split: Split) -> Calibration:
    on_side, temperature = held_out.on(side), held_out.temperature(side)
    p, truth, after = held_out.p[on_side], held_out.truth[on_side], held_out.tempered(side)
    return Calibration(
        method=answers.method,
        side=side,
        target_labels=answers.case.target_labels,
        normalisation=answers.case.normalisation,
        temperature=temperature or 1.0,
        fitted_on=_in_words(held_out, side, split),
        n=len(p),
        accuracy=float(top_answers(p, truth)[1].mean()),
        before=_trust(p, truth),
        after=None if after is None else _trust(after, truth),
    )


def _in_words(held_out: HeldOut, side: str, split: Split) -> str:
    """The answers that give the temperature of a side."""
    rows = held_out.fitted_on(side)
    whose = "utterances" if split.share_speakers or split.predefined else "speakers"
    words = [f"held-out {whose} of the source"] if (rows & ~held_out.is_target).any() else []
    labelled = len(np.unique(held_out.row[rows & held_out.is_target]))
    words += [f"held-out answers to {labelled} labelled utterances of the target"] if labelled else []
    is_by_agreement = side == "target" and not labelled and held_out.temperature(side) == held_out.agreed > 1
    words = [AGREEMENT_OF_HALVES] if is_by_agreement else words
    return " and ".join(words)


def _trust(p: Floats, truth: np.ndarray) -> Trust:
    return Trust(
        confidence=float(top_answers(p, truth)[0].mean()),
        error=expected_calibration_error(p, truth),
        curve=reliability_curve(p, truth),
        coverage=tuple((share, accuracy_at_coverage(p, truth, share)) for share in SHARES),
    )


def _held_out(speech: Speech, split: Split, answers: Answers, agreed: float) -> HeldOut | None:
    """The labelled held-out answers of one system; None where there are none, or no emotions."""
    if not answers.case.labels or not answers.predicted:
        return None
    row = np.concatenate([part.rows for part in answers.predicted])
    p = np.concatenate([part.probabilities for part in answers.predicted]).astype(np.float64)
    labelled = speech.label[row] != UNLABELLED
    row, p = row[labelled], p[labelled]
    if not len(row):
        return None
    is_target = speech.is_target[row]
    is_given = ~is_target | np.isin(row, _seen_target(speech, split, answers))
    part = np.empty(len(row), np.int64)
    for side in (False, True):
        rows = np.flatnonzero(is_target == side)
        people = [person(speech.utterances[index]) for index in row[rows]]
        part[rows] = clusters_of(people, row[rows].tolist())[1] % CALIBRATION_PARTS
    return HeldOut(row, p, speech.label[row], is_target, is_given, part, agreed)


def _seen_target(speech: Speech, split: Split, answers: Answers) -> list[int]:
    """The target rows whose labels the final fit sees; none where the fits of the folds saw others."""
    case, method = answers.case, answers.case.make_method()
    if case.target_labels == "0" or "target_labels" not in method.needs | method.takes:
        return []
    final = everything(speech, split, 0, case.validation)
    seen = set(budget(speech, final, case.target_labels, 0))
    for seed in range(split.seeds):
        for fold in folds_of(speech, split, seed, case.validation):
            if set(budget(speech, fold, case.target_labels, seed)) - seen:
                return []
    return sorted(seen)
