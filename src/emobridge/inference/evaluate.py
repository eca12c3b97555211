"""Scoring a recogniser on a manifest with labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from emobridge.bundle import Recognizer
from emobridge.corpora import attribute_ranges
from emobridge.data.attributes import attributes_of
from emobridge.errors import UserError
from emobridge.inference.predict import Skip
from emobridge.inference.routing import answers, modes, sets_of, stored
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import BaseEvaluation, Condition
from emobridge.scores.classes import Evaluation
from emobridge.types import ATTRIBUTES, Score, Utterance, person_labels


def evaluate(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    run: str = "evaluate",
    untold: str | None = None,
    attribute_range: str = "",
    store: str | Path | None = None,
    on_skip: Skip | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Scores over the recogniser's labels, and CCC of its attributes. Utterances without a label, or with another, are
    not scored by it, nor those without attributes by these.

    untold: what answers where the language is not known (see `routing`). attribute_range: the scale of corpora that
    declare none, such as "1..7"; by default the recogniser's own.
    With speaker normalisation a speaker's utterances given here, labelled or not, tell their moments.
    Errors: UserError where no utterance has one of the labels or attributes, and for attributes outside their range;
    bad files go to `on_skip`, or raise where there is none.
    """
    spec = recognizer.spec
    truth = _attributes(recognizer, utterances, attribute_range)
    wanted = modes(recognizer, utterances, untold)
    sets = [sets_of(recognizer, mode) for mode in wanted]
    heard, rows = stored(recognizer, utterances, sets, store, on_skip, on_progress)
    said = answers(recognizer, utterances, {row: wanted[row] for row in rows}, heard)[0] if rows else torch.empty(0)
    count = len(spec.labels)
    labels = [spec.labels[best] for best in said[:, :count].argmax(1).tolist()] if rows and count else []
    pairs = zip([utterances[row] for row in rows], labels)
    scored = [(one, label) for one, label in pairs if one.emotion in spec.labels]
    rated = [place for place, row in enumerate(rows) if not np.isnan(truth[row]).all()]
    if (~np.isnan(truth[[rows[place] for place in rated]])).sum(0).max(initial=0) < 2:
        rated = []  # no attribute is known of two
    if not scored and not rated:
        wanted_words = ", ".join((*spec.labels, *spec.attributes))
        raise UserError(f"nothing to score: no readable utterance is labelled {wanted_words}")
    corpora = sorted({one.corpus for one, _ in scored} | {utterances[rows[place]].corpus for place in rated})
    condition = _condition(recognizer, corpora, run)
    evaluations: list[BaseEvaluation] = []
    if scored:
        truth_words = tuple(one.emotion for one, _ in scored if one.emotion is not None)
        predictions = (tuple(label for _, label in scored),)
        evaluations.append(Evaluation(spec.labels, truth_words, predictions, person_labels([one for one, _ in scored])))
    if rated:
        own = [rows[place] for place in rated]
        regressed = said[rated, count:].double().numpy()[None]
        speakers = person_labels([utterances[row] for row in own])
        evaluations.append(AttributeEvaluation(spec.attributes, truth[own], regressed, speakers))
    return [row for evaluation in evaluations for row in evaluation.scores(condition)]


def _condition(recognizer: Recognizer, corpora: list[str], run: str) -> Condition:
    """Under which the scored corpora were heard: the source's own ones as source, others as target."""
    spec, branches = recognizer.spec, recognizer.branches
    sources = dict.fromkeys(corpus for branch in branches for corpus, _ in branch.spec.domains[:-1])
    targets = dict.fromkeys(branch.spec.domains[-1][0] for branch in branches)
    side = "source" if set(corpora) <= set(sources) else "target"
    return Condition(
        run=run,
        method=",".join(dict.fromkeys(branch.spec.method for branch in branches)),
        encoder=Path(spec.encoder).name,
        layer=spec.layer,
        normalisation=",".join(dict.fromkeys(branch.spec.normalisation for branch in branches)),
        source="+".join(sources),
        target="+".join(targets) if side == "source" else "+".join(corpora),
        target_labels=",".join(dict.fromkeys(branch.spec.target_labels for branch in branches)),
        split="all of the manifest",
        side=side,
    )


def _attributes(recognizer: Recognizer, utterances: Sequence[Utterance], attribute_range: str) -> np.ndarray:
    """(N, K) of the attributes that the recogniser tells, in [-1, 1]; NaN where one is not known."""
    names = recognizer.attributes
    if not names:
        return np.empty((len(utterances), 0))
    undeclared = attribute_range or recognizer.spec.attribute_range
    found = attributes_of(utterances, attribute_ranges(utterances, undeclared=undeclared))
    return found[:, [ATTRIBUTES.index(name) for name in names]]
