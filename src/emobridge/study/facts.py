"""From evaluations to the facts of a record: scores, differences, changes, confusions, collapsed systems."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from emobridge import registry
from emobridge.data.speech import Speech
from emobridge.methods.base import BASELINE
from emobridge.report.record import SIDES, Change, CollapsedSystem, Confusion, Difference
from emobridge.scores.base import DIFFERENCE, BaseEvaluation, Condition
from emobridge.scores.groups import Scorable
from emobridge.study.run import Answers
from emobridge.types import Score


@dataclass(frozen=True, slots=True)
class Scored:
    """One system on one side of a study: its condition and its evaluation over all seeds."""

    condition: Condition
    evaluation: Scorable
    normalise: str  # without the alignment, which a method that trains an encoder does without

    @property
    def peers(self) -> tuple[str, str, str, str]:
        """Scored systems that differ in the method alone share this; a paired comparison is between such."""
        return self.condition.target_labels, self.normalise, self.condition.side, self.evaluation.of


def scores_of(scored: Sequence[Scored]) -> tuple[Score, ...]:
    """The rows of scores.json: all measures of each system, for each seed and for the mean over seeds."""
    return tuple(row for system in scored for row in system.evaluation.scores(system.condition))


def differences_of(scored: Sequence[Scored]) -> tuple[Difference, ...]:
    """Each method minus the baseline with the same labels and normalisation, paired by speaker."""
    baselines = {system.peers: system.evaluation for system in scored if system.condition.method == BASELINE}
    return tuple(
        Difference(
            method=system.condition.method,
            before=BASELINE,
            side=system.condition.side,
            estimate=estimate,
            target_labels=system.condition.target_labels,
            normalisation=system.condition.normalisation,
        )
        for system in scored
        if system.condition.method != BASELINE and system.peers in baselines
        for estimate in system.evaluation.difference(baselines[system.peers])
    )


def changes_of(scored: Sequence[Scored]) -> tuple[Change, ...]:
    """What the last stage of each method with several stages changed.

    It is compared with the method that ends where its last stage begins, which saw no target label (or the same ones,
    where it needs some); with the baseline where that method was not run.
    """
    methods = tuple(dict.fromkeys(system.condition.method for system in scored))
    evaluations = {(system.condition.method, system.peers): system.evaluation for system in scored}
    changes: list[Change] = []
    for system in scored:
        if not is_staged(system.condition.method):
            continue
        before = begins_as(system.condition.method, methods)
        unlabelled = ("0", *system.peers[1:])
        for method, peers in ((before, unlabelled), (before, system.peers), (BASELINE, system.peers)):
            if (method, peers) in evaluations:
                changes += _changes(system, method, evaluations[method, peers])
                break
    return tuple(changes)


def is_staged(method: str) -> bool:
    """Whether a method has a stage before its last."""
    return len(registry.load("methods", method).stages) > 1


def begins_as(method: str, others: Collection[str]) -> str:
    """The method among `others` that ends where the last stage of `method` begins; else the baseline."""
    stages = registry.load("methods", method).stages[:-1]
    return next((other for other in others if registry.load("methods", other).stages == stages), BASELINE)


def confusions_of(scored: Sequence[Scored]) -> tuple[Confusion, ...]:
    """The confusion counts of each system, summed over seeds; none of attributes."""
    return tuple(
        Confusion(
            method=system.condition.method,
            side=system.condition.side,
            labels=system.evaluation.label_set,
            counts=tuple(tuple(int(count) for count in row) for row in counts),
            target_labels=system.condition.target_labels,
            normalisation=system.condition.normalisation,
        )
        for system in scored
        if (counts := system.evaluation.confusion()) is not None
    )


def item_confusions(speech: Speech, answers: Sequence[Answers], labels: Sequence[str]) -> tuple[Confusion, ...]:
    """The counts of what is kept apart, by side: an utterance counts once for the model of each fold and seed.

    As in Table III of Han et al., ICASSP 2025: five models, twelve utterances an emotion, counts that sum to 60.
    """
    confusions = []
    for system in answers:
        for side in SIDES if labels else ():
            counts = np.zeros((len(labels), len(labels)), dtype=int)
            for part in system.items:
                here = speech.is_target[part.rows] == (side == "target")
                np.add.at(counts, (speech.label[part.rows[here]], part.probabilities[here].argmax(1)), 1)
            if counts.any():
                confusions.append(
                    Confusion(
                        method=system.method,
                        side=side,
                        labels=tuple(labels),
                        counts=tuple(tuple(map(int, row)) for row in counts),
                        target_labels=system.case.target_labels,
                        normalisation=system.case.normalisation,
                    )
                )
    return tuple(confusions)


def collapsed_of(scored: Sequence[Scored]) -> tuple[CollapsedSystem, ...]:
    """The systems whose predictions do not vary where the truth does."""
    return tuple(
        CollapsedSystem(
            method=system.condition.method,
            side=system.condition.side,
            predictions=predictions,
            target_labels=system.condition.target_labels,
            normalisation=system.condition.normalisation,
        )
        for system in scored
        if (predictions := system.evaluation.collapsed) is not None
    )


def intervals_over(scored: Sequence[Scored]) -> str:
    """What the intervals take as independent: see `BaseEvaluation.intervals_over`."""
    kinds = {system.evaluation.intervals_over for system in scored} or {"speakers"}
    return kinds.pop() if len(kinds) == 1 else "speakers and utterances"


def _changes(system: Scored, before: str, old: BaseEvaluation) -> list[Change]:
    """A change in the leading measure (of attributes: of each); `before` is the method of `old`."""
    values_before, values_after = old.values(), system.evaluation.values()
    changes = []
    for estimate in system.evaluation.difference(old):
        measure = estimate.measure.removesuffix(DIFFERENCE)
        if not measure.endswith(" mean"):
            change = Change(
                method=system.condition.method,
                before=before,
                side=system.condition.side,
                values=(values_before[measure], values_after[measure]),
                estimate=estimate,
                target_labels=system.condition.target_labels,
                normalisation=system.condition.normalisation,
            )
            changes.append(change)
    return changes
