"""Scoring a recogniser on a manifest with labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emobridge.bundle import Exposure, Recognizer
from emobridge.corpora import attribute_ranges, rows_of
from emobridge.data.attributes import OTHERS, attributes_of, check_corpora, parse_ranges
from emobridge.data.groups import check_columns
from emobridge.data.threads import one_thread
from emobridge.errors import UserError
from emobridge.inference.features import Skip, stored_features
from emobridge.inference.routing import answers, modes_of, sets_of, unfamiliarity
from emobridge.inference.shared import BundleProcesses, apart
from emobridge.progress import Progress
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import BaseEvaluation, Condition
from emobridge.scores.by_group import gap_warnings, results_by_group
from emobridge.scores.classes import Evaluation
from emobridge.scores.groups import GroupResult, Scorable
from emobridge.scores.measures.base import PER_CENT, measure_of
from emobridge.settings import Grouping
from emobridge.types import ATTRIBUTES, Score, Utterance, person_labels, short_repr

UNFAMILIAR = 0.25  # share of unfamiliar utterances that is worth a line: of ordinary ones about 0.05 are
UNSEEN_SPLIT = "new speakers of the manifest"  # the split of a score over those alone


@short_repr
@dataclass(frozen=True, slots=True)
class Evaluated:
    """A recogniser's answers beside the truth: an evaluation of emotions, of attributes, or both."""

    condition: Condition
    evaluations: tuple[Scorable, ...]
    exposure: Exposure
    unseen: tuple[Scorable, ...] = ()  # of utterances of new speakers alone, where others were scored too
    by_group: tuple[tuple[GroupResult, ...], ...] = ()  # of each of `evaluations`
    unfamiliar: float = 0.0  # share of the scored utterances whose unfamiliarity is above 1: see features.familiarity

    def scores(self, run: str = "evaluate") -> list[Score]:
        """Rows for `scores.json`: of all utterances, then of those of new speakers alone. run: the name they bear."""
        whole = replace(self.condition, run=run, seen=self.exposure.gravest)
        unseen = replace(whole, split=UNSEEN_SPLIT, seen=self.exposure.of_the_unseen)
        rows = [row for evaluation in self.evaluations for row in evaluation.scores(whole)]
        rows += [row for results in self.by_group for result in results for row in result.rows(whole)]
        return [*rows, *(row for evaluation in self.unseen for row in evaluation.scores(unseen))]

    @property
    def first_warnings(self) -> tuple[str, ...]:
        """What makes the scores meaningless, a line each: what the recogniser had seen, collapse, chance."""
        lines = list(self.exposure.warnings)
        for evaluation in self.evaluations:
            if evaluation.collapsed:
                lines.append(f"the recogniser tells nothing apart here: it predicts {evaluation.collapsed}")
            else:
                lines += _against_chance(evaluation)
        return tuple(lines)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before quoting a score: first of all what makes it meaningless."""
        lines = list(self.first_warnings)
        for evaluation in self.evaluations:
            if isinstance(evaluation, Evaluation) and len(labels := set(evaluation.truth)) == 1:
                lines.append(f"all utterances are labelled {labels.pop()}: UA is the recall of that label alone")
        if any(None in evaluation.speakers for evaluation in self.evaluations):
            lines.append("utterances without a known speaker count as speakers of their own: intervals are too narrow")
        if any(None not in (names := set(evaluation.speakers)) and len(names) == 1 for evaluation in self.evaluations):
            lines.append("a single speaker was scored: there is no interval over speakers")
        lines += [line for results in self.by_group for line in gap_warnings(results)]
        if self.unfamiliar > UNFAMILIAR:
            lines.append(
                f"{100 * self.unfamiliar:.0f} % of the utterances are unlike the speech that the recogniser was "
                "trained on (unfamiliarity above 1): other rooms, microphones, noise or another kind of speech"
            )
        return tuple(lines)


def evaluate(
    recognizer: Recognizer | BundleProcesses,
    utterances: str | Path | Iterable[Utterance],
    *,
    run: str = "evaluate",
    **options: Any,
) -> list[Score]:
    """Scores over the recogniser's labels, and CCC of its attributes, as rows that name the `run`; see `evaluated`.

    `seen` of a row says whether the recogniser was trained on what it scores. Where that is so of some utterances, rows
    of new speakers alone follow those of all. options: those of `evaluated`, by name.
    """
    return evaluated(recognizer, utterances, **options).scores(run)


@one_thread()
def evaluated(
    recognizer: Recognizer | BundleProcesses,
    utterances: str | Path | Iterable[Utterance],
    *,
    untold: str | None = None,
    attribute_range: str = "",
    groups: Grouping | None = None,
    store: str | Path | None = None,
    on_skip: Skip | None = None,
    on_progress: Progress | None = None,
) -> Evaluated:
    """The answers to all utterances that have one of the recogniser's labels, or an attribute that it predicts.

    utterances: or the path of a manifest, a table or a folder of class folders.
    With speaker normalisation all utterances of a speaker count for the speaker's moments, labelled or not. A speaker
    is one of a corpus: where several corpora are scored together, the speakers' names begin with the corpus.
    untold: what answers where the language is not known (see `routing`). attribute_range: the scale of corpora that
    declare none, such as "1..7", or scales by corpus, "calls=1..5"; they go before the recogniser's own. groups: the
    columns by which scores are told apart, by default gender and age.
    Features of a recogniser with processes (`BundleProcesses`) are computed by these; the scores are the same.
    Errors: UserError where no utterance has one of the labels or attributes, for attributes outside their range, and
    for a column of groups that no labelled utterance has;
    bad files go to `on_skip`, or raise where there is none.
    """
    recognizer, processes = apart(recognizer)
    utterances, groups = rows_of(utterances), groups or Grouping()
    _check_groups(recognizer, utterances, groups)
    truth = _attributes(recognizer, utterances, attribute_range)
    modes = modes_of(recognizer, utterances, untold)
    sets = [sets_of(recognizer, mode) for mode in modes]
    features, rows = stored_features(recognizer, utterances, sets, store, on_skip, on_progress, processes)
    labels = recognizer.labels
    count = len(labels)
    values, measured = torch.empty(0, count + len(recognizer.attributes)), list[float | None]()
    if rows:
        answered = {row: modes[row] for row in rows}
        values, answered_by = answers(recognizer, utterances, answered, features)
        measured = unfamiliarity(recognizer, utterances, answered, features, answered_by)
    read, truth = [utterances[row] for row in rows], truth[rows]
    labelled = [index for index, utterance in enumerate(read) if utterance.emotion in labels]
    rated = _rated(truth)
    if not labelled and not rated:
        names = ", ".join((*labels, *recognizer.attributes))
        hint = "; CCC takes two utterances with the same attribute" if not np.isnan(truth).all() else ""
        raise UserError(f"nothing to score: no readable utterance is labelled {names}{hint}")
    scored = sorted({*labelled, *rated})
    condition = _condition(recognizer, sorted({read[row].corpus for row in scored}))
    exposure = recognizer.exposure([read[row] for row in scored])
    new = [scored[index] for index in exposure.unseen]
    unseen = _evaluations(recognizer, read, truth, values, new) if len(new) < len(scored) else ()
    unfamiliar = sum((measured[row] or 0.0) > 1 for row in scored) / len(scored)
    evaluations = _evaluations(recognizer, read, truth, values, scored)
    by_group = tuple(results_by_group(evaluation, read, groups) for evaluation in evaluations)
    return Evaluated(condition, evaluations, exposure, unseen, by_group, unfamiliar)


def _check_groups(recognizer: Recognizer, utterances: Sequence[Utterance], grouping: Grouping) -> None:
    """Errors: UserError for a column that no utterance has that may be scored."""
    if grouping.groups:
        names = recognizer.attributes
        scored = [
            row
            for row in utterances
            if row.emotion in recognizer.labels or any(getattr(row, name) is not None for name in names)
        ]
        check_columns(grouping.groups, scored)


def _evaluations(
    recognizer: Recognizer, read: Sequence[Utterance], truth: np.ndarray, values: torch.Tensor, rows: Sequence[int]
) -> tuple[Scorable, ...]:
    """Of emotions and of attributes, as far as some rows have them. truth: (N, K). values: (N, C + K)."""
    labels = recognizer.labels
    count = len(labels)
    labelled = [row for row in rows if read[row].emotion in labels]
    rated = [rows[index] for index in _rated(truth[rows])]
    evaluations: list[Scorable] = []
    if labelled:
        emotions = tuple(str(read[row].emotion) for row in labelled)
        predicted = tuple(labels[best] for best in values[labelled, :count].argmax(1).tolist())
        people = person_labels([read[row] for row in labelled])
        evaluations.append(Evaluation(labels, emotions, (predicted,), people, utterances=tuple(labelled)))
    if rated:
        regressed = values[rated, count:].double().numpy()[None]
        people = person_labels([read[row] for row in rated])
        evaluations.append(
            AttributeEvaluation(recognizer.attributes, truth[rated], regressed, people, utterances=tuple(rated))
        )
    return tuple(evaluations)


def _against_chance(evaluation: BaseEvaluation) -> Iterator[str]:
    """A line for each leading score that is not above what guessing reaches."""
    chance, lead = evaluation.chance, evaluation.lead
    if chance is None or (isinstance(evaluation, Evaluation) and len(set(evaluation.truth)) == 1):
        return  # guessing the only label is always right
    end = " %" if lead.unit == PER_CENT else ""
    for row in evaluation.estimates(details=False):
        if measure_of(row.measure).name != lead.name or row.measure.endswith(" mean"):
            continue
        if row.value <= chance:
            value = f"{lead.number(row.value)}{end}"
            yield f"no better than chance: {row.measure} is {value}, and guessing reaches {lead.number(chance)}{end}"
        elif row.low <= chance:
            yield f"not shown to be above chance: the interval of {row.measure} holds {lead.number(chance)}{end}"


def _rated(truth: np.ndarray) -> list[int]:
    """The rows of (N, K) with an attribute; none where no attribute is known of two rows, which CCC takes."""
    rated = ~np.isnan(truth)
    return np.flatnonzero(rated.any(1)).tolist() if rated.sum(0).max(initial=0) > 1 else []


def _condition(recognizer: Recognizer, corpora: list[str]) -> Condition:
    """What was scored: the side is "source" where all corpora are among the recogniser's sources."""
    spec, branches = recognizer.spec, recognizer.branches
    sources = dict.fromkeys(corpus for branch in branches for corpus, _ in branch.spec.domains[:-1])
    targets = dict.fromkeys(branch.spec.domains[-1][0] for branch in branches)
    side = "source" if set(corpora) <= set(sources) else "target"
    return Condition(
        run="evaluate",
        method=",".join(dict.fromkeys(branch.spec.method for branch in branches)),
        encoder=Path(spec.encoder).name,
        layer=spec.layer,
        normalisation=",".join(dict.fromkeys(branch.spec.normalisation for branch in branches)),
        source="+".join(sources),
        target="+".join(targets) if side == "source" else "+".join(corpora),
        target_labels=",".join(dict.fromkeys(branch.spec.target_labels for branch in branches)),
        split="all of the manifest",
        side=side,
        head=",".join(dict.fromkeys(branch.spec.head for branch in branches)),
    )


def _attributes(recognizer: Recognizer, utterances: Sequence[Utterance], attribute_range: str) -> np.ndarray:
    """(N, K) of the attributes that the recogniser predicts, in [-1, 1]; NaN where one is not known."""
    names = recognizer.attributes
    if not names:
        return np.empty((len(utterances), 0))
    ranges = parse_ranges(attribute_range)
    check_corpora(ranges, utterances)
    if OTHERS not in ranges:
        ranges = parse_ranges(recognizer.spec.attribute_range) | ranges
    values = attributes_of(utterances, attribute_ranges(utterances, ranges))
    return values[:, [ATTRIBUTES.index(name) for name in names]]
