"""Scoring a recogniser on a manifest with labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.inference.predict import Skip
from emobridge.inference.routing import answers, modes, sets_of, stored
from emobridge.metrics import Condition, Evaluation, to_scores
from emobridge.types import Score, Utterance


def evaluate(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    run: str = "evaluate",
    untold: str | None = None,
    store: str | Path | None = None,
    on_skip: Skip | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Scores over the recogniser's labels. Utterances without a label, or with another, are not scored.

    untold: what answers where the language is not known (see `routing`).
    With speaker normalisation a speaker's utterances given here, labelled or not, tell their moments.
    Errors: UserError where no utterance has one of the labels; bad files go to `on_skip`, or raise where there is none.
    """
    spec, branches = recognizer.spec, recognizer.branches
    wanted = modes(recognizer, utterances, untold)
    sets = [sets_of(recognizer, mode) for mode in wanted]
    heard, rows = stored(recognizer, utterances, sets, store, on_skip, on_progress)
    said = answers(recognizer, utterances, {row: wanted[row] for row in rows}, heard)[0] if rows else torch.empty(0)
    labels = [spec.labels[best] for best in said.argmax(1).tolist()] if rows else []
    pairs = zip([utterances[row] for row in rows], labels)
    scored = [(one, label) for one, label in pairs if one.emotion in spec.labels]
    if not scored:
        raise UserError(f"nothing to score: no readable utterance is labelled {', '.join(spec.labels)}")
    evaluation = Evaluation(
        spec.labels,
        tuple(one.emotion for one, _ in scored if one.emotion is not None),
        (tuple(label for _, label in scored),),
        tuple(one.speaker for one, _ in scored),
    )
    sources = dict.fromkeys(corpus for branch in branches for corpus, _ in branch.spec.domains[:-1])
    targets = dict.fromkeys(branch.spec.domains[-1][0] for branch in branches)
    corpora = sorted({one.corpus for one, _ in scored})
    side = "source" if set(corpora) <= set(sources) else "target"
    condition = Condition(
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
    return to_scores(evaluation, condition)
