"""The sign, without labels, that adaptation may harm: recognisers adapted to halves of the target disagree.

The target is cut into parts, by speaker where the speakers are known. Each part in turn is held out, the others are cut
into halves, and the method is fitted to either half beside the whole source. Counted is the share of the held-out
utterances that both label alike, over all parts. No label of the target is looked at, so that the sign is the same
where there are some. It costs two fits a part, by seed 0 alone: other draws of the halves differ by a few hundredths,
and with all seeds it would take as long as the fits that are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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

SEED = 0  # of the halves, and of the fits to them
LEAST_PARTS = 3  # two halves, and what both label


def compares_halves(rule: str, case: Case) -> bool:
    """Whether a rule of `settings.HARM_SIGNS` has halves compared for a case; auto does for heads of a closed form."""
    return rule == "always" or (rule == "auto" and bool(registry.load("heads", case.head.name).closed_form))


def measure_harm(
    runner: Runner, case: Case, compare: bool, progress: Callable[[int, int], None] = lambda done, count: None
) -> HarmSign | None:
    """The sign of a case; None of one that adapts to no unlabelled audio, sees target labels, or has no emotions.

    compare: whether halves are compared; without it the number of utterances alone is looked at.
    """
    method = case.make_method()
    adapts = case.method.name != BASELINE and "target_audio" in method.needs | method.takes
    if not adapts or case.target_labels != "0" or not case.labels:
        return None
    cuts = _cuts(runner, case) if compare else []
    pairs: list[tuple[Floats, Floats]] = []
    for done, (first, second) in enumerate(cuts):
        pairs.append((runner.fit(case, SEED, first).probabilities, runner.fit(case, SEED, second).probabilities))
        progress(done + 1, len(cuts))
    return _sign_of(runner, case, pairs)


def harm_scores(sign: HarmSign, condition: Condition, labels: Sequence[str]) -> tuple[Score, ...]:
    """The agreement of halves as a row of scores.json; none where nothing was compared."""
    if not sign.compared:
        return ()
    shared = {name: getattr(condition, name) for name in Condition.__slots__}
    row = Score(
        **shared,
        seed=str(SEED),
        measure=AGREEMENT,
        labels=",".join(labels),
        value=sign.agreement,
        low=float("nan"),
        high=float("nan"),
        n=sign.compared,
    )
    return (row,)


def _sign_of(runner: Runner, case: Case, pairs: Sequence[tuple[Floats, Floats]]) -> HarmSign:
    """The sign of what was compared; without any comparison that of the number of utterances."""
    folds = [fold for seed in range(runner.split.seeds) for fold in runner.folds(seed, case.validation)]
    target = everything(runner.speech, runner.split, SEED, case.validation).target
    sides = [np.concatenate(side) for side in zip(*pairs)] or [np.empty((0, len(case.labels)))] * 2
    agreed, answers = agreement(sides[0], sides[1]), np.concatenate(sides)
    sign = HarmSign(
        utterances=min((len(fold.target) for fold in folds if fold.target_test), default=len(target)),
        agreement=agreed,
        temperature=temperature_of_confidence(answers, agreed),
        compared=len(target) if pairs else 0,
        halves_of="speakers" if _is_parted_by_speaker(runner.speech, target) else "utterances",
    )
    classes = np.unique(answers.argmax(1))
    return replace(sign, reasons=reasons_of(sign, case.labels[classes[0]] if len(classes) == 1 else ""))


def _cuts(runner: Runner, case: Case) -> list[tuple[Fold, Fold]]:
    """Two folds for each held-out part of the target: each adapts to half of the others. None of few utterances."""
    speech = runner.speech
    whole = everything(speech, runner.split, SEED, case.validation)
    cuts = []
    for part in _parts(speech, whole.target):
        held_out = set(part)
        rows = tuple(row for row in whole.target if row not in held_out)
        halves = unlabelled_parts([speech.utterances[row] for row in rows], 2, seed=SEED)
        first, second = (
            replace(whole, target=tuple(rows[index] for index in half), target_test=part) for half in halves
        )
        cuts.append((first, second))
    return cuts


def _parts(speech: Speech, rows: Part) -> tuple[Part, ...]:
    """The parts that are held out in turn; none where there are too few utterances."""
    utterances = [speech.utterances[row] for row in rows]
    counts = [count for count in (ALL_BUT_ONE, LEAST_PARTS) if parted_by_speaker(utterances, count)]
    count = next(iter(counts), min(ALL_BUT_ONE, len(rows)))
    if count < LEAST_PARTS:
        return ()
    return tuple(tuple(rows[index] for index in part) for part in unlabelled_parts(utterances, count, seed=SEED))


def _is_parted_by_speaker(speech: Speech, rows: Part) -> bool:
    return parted_by_speaker([speech.utterances[row] for row in rows], LEAST_PARTS)
