"""The sign, without labels, that adaptation may harm: recognisers adapted to halves of the target disagree.

The target is cut into parts, by speaker where the speakers are known. Each part in turn is held out, the others are cut
into halves, and the method is fitted to either half beside the whole source. Counted is the share of the held-out
utterances that both label alike, over all parts and seeds. No label of the target is looked at, so that the sign is the
same where there are some. It costs two fits a part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from emobridge import registry
from emobridge.data.speech import ALL_BUT_ONE, Fold, Speech, everything
from emobridge.data.splits import Part, parted_by_speaker, unlabelled_parts
from emobridge.methods.base import BASELINE
from emobridge.scores.base import Condition
from emobridge.scores.calibration import temperature_of_confidence
from emobridge.scores.harm import AGREEMENT, HarmSign, agreement, reasons_of
from emobridge.scores.measures.base import Floats
from emobridge.study.run import Runner
from emobridge.training.case import Case
from emobridge.types import Score

LEAST_PARTS = 3  # two halves, and what both label


@dataclass(frozen=True, slots=True)
class Measured:
    """The sign of a case, and what it is of each seed."""

    sign: HarmSign
    by_seed: tuple[float, ...] = ()  # the agreement of each seed


def compares_halves(rule: str, case: Case) -> bool:
    """Whether a rule of `settings.HARM_SIGNS` has halves compared for a case; auto does for heads of a closed form."""
    return rule == "always" or (rule == "auto" and bool(registry.load("heads", case.head.name).closed_form))


def measure_harm(
    runner: Runner, case: Case, compare: bool, progress: Callable[[int, int], None] = lambda done, count: None
) -> Measured | None:
    """The sign of a case; None of one that adapts to no unlabelled audio, sees target labels, or has no emotions.

    compare: whether halves are compared; without it the number of utterances alone is looked at.
    """
    method = case.make_method()
    adapts = case.method.name != BASELINE and "target_audio" in method.needs | method.takes
    if not adapts or case.target_labels != "0" or not case.labels:
        return None
    seeds = range(runner.split.seeds) if compare else ()
    cuts = [(seed, halves) for seed in seeds for halves in _cuts(runner, case, seed)]
    pairs: list[tuple[Floats, Floats]] = []
    for done, (seed, halves) in enumerate(cuts):
        first, second = (runner.fit(case, seed, half).probabilities for half in halves)
        pairs.append((first, second))
        progress(done + 1, len(cuts))
    return _measured(runner, case, cuts, pairs)


def harm_scores(measured: Measured, condition: Condition, labels: Sequence[str]) -> tuple[Score, ...]:
    """The agreement of halves as rows of scores.json: one a seed, and their mean; none where nothing was compared."""
    seeds = [(str(seed), value) for seed, value in enumerate(measured.by_seed)]
    seeds += [("all", measured.sign.agreement)] * bool(seeds)
    shared = {name: getattr(condition, name) for name in Condition.__slots__}
    return tuple(
        Score(
            **shared,
            seed=seed,
            measure=AGREEMENT,
            labels=",".join(labels),
            value=value,
            low=float("nan"),
            high=float("nan"),
            n=measured.sign.compared,
        )
        for seed, value in seeds
    )


def _measured(
    runner: Runner, case: Case, cuts: Sequence[tuple[int, tuple[Fold, Fold]]], pairs: Sequence[tuple[Floats, Floats]]
) -> Measured:
    """The sign of what was compared; without any comparison that of the number of utterances."""
    seeds = sorted({seed for seed, _ in cuts})
    by_seed = []
    for seed in seeds:
        own = [pair for (index, _), pair in zip(cuts, pairs) if index == seed]
        by_seed.append(agreement(*(np.concatenate(side) for side in zip(*own))))
    folds = [fold for seed in range(runner.split.seeds) for fold in runner.folds(seed, case.validation)]
    target = everything(runner.speech, runner.split, 0, case.validation).target
    agreed = float(np.mean(by_seed)) if by_seed else float("nan")
    compared = np.concatenate([p for pair in pairs for p in pair]) if pairs else np.empty((0, len(case.labels)))
    sign = HarmSign(
        utterances=min((len(fold.target) for fold in folds if fold.target_test), default=len(target)),
        agreement=agreed,
        temperature=temperature_of_confidence(compared, agreed),
        compared=len(target) if by_seed else 0,
        halves_of="speakers" if _is_parted_by_speaker(runner.speech, target) else "utterances",
    )
    answers = {int(label) for pair in pairs for p in pair for label in p.argmax(1)}
    only_label = case.labels[answers.pop()] if len(answers) == 1 else ""
    return Measured(replace(sign, reasons=reasons_of(sign, only_label)), tuple(by_seed))


def _cuts(runner: Runner, case: Case, seed: int) -> list[tuple[Fold, Fold]]:
    """Two folds for each held-out part of the target: each adapts to half of the others. None of few utterances."""
    speech = runner.speech
    whole = everything(speech, runner.split, seed, case.validation)
    cuts = []
    for part in _parts(speech, whole.target, seed):
        held_out = set(part)
        rows = tuple(row for row in whole.target if row not in held_out)
        halves = unlabelled_parts([speech.utterances[row] for row in rows], 2, seed=seed)
        first, second = (
            replace(whole, target=tuple(rows[index] for index in half), target_test=part) for half in halves
        )
        cuts.append((first, second))
    return cuts


def _parts(speech: Speech, rows: Part, seed: int) -> tuple[Part, ...]:
    """The parts that are held out in turn; none where there are too few utterances."""
    utterances = [speech.utterances[row] for row in rows]
    counts = [count for count in (ALL_BUT_ONE, LEAST_PARTS) if parted_by_speaker(utterances, count)]
    count = next(iter(counts), min(ALL_BUT_ONE, len(rows)))
    if count < LEAST_PARTS:
        return ()
    return tuple(tuple(rows[index] for index in part) for part in unlabelled_parts(utterances, count, seed=seed))


def _is_parted_by_speaker(speech: Speech, rows: Part) -> bool:
    return parted_by_speaker([speech.utterances[row] for row in rows], LEAST_PARTS)
