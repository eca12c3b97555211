"""Scoring a recogniser on a manifest with labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.features import FeatureStore
from emobridge.files import cache_folder
from emobridge.inference.predict import Skip, predictions
from emobridge.metrics import Condition, Evaluation, to_scores
from emobridge.settings import layers_of
from emobridge.types import Score, Utterance


def evaluate(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    run: str = "evaluate",
    store: str | Path | None = None,
    on_skip: Skip | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Scores over the recogniser's labels. Utterances without a label, or with another, are not scored.

    With speaker normalisation a speaker's utterances given here, labelled or not, tell their moments.
    Errors: UserError where no utterance has one of the labels; bad files go to `on_skip`, or raise where there is none.
    """
    spec = recognizer.spec
    features = FeatureStore(store or cache_folder(), recognizer.encoder).extract(
        utterances, layer=layers_of(spec.layer), on_progress=on_progress, strict=on_skip is None
    )
    if on_skip is not None:
        for name, reason in features.skipped:
            on_skip(name, reason)
    known = {one.id: one for one in utterances}
    read = [known[name] for name in features.ids]
    said = predictions(recognizer, read, torch.from_numpy(features.values)) if read else []
    scored = [(one, prediction) for one, prediction in zip(read, said) if one.emotion in spec.labels]
    if not scored:
        raise UserError(f"nothing to score: no readable utterance is labelled {', '.join(spec.labels)}")
    evaluation = Evaluation(
        spec.labels,
        tuple(one.emotion for one, _ in scored if one.emotion is not None),
        (tuple(prediction.label for _, prediction in scored),),
        tuple(one.speaker for one, _ in scored),
    )
    *sources, target = spec.domains
    corpora = sorted({one.corpus for one, _ in scored})
    side = "source" if set(corpora) <= {corpus for corpus, _ in sources} else "target"
    condition = Condition(
        run=run,
        method=spec.method,
        encoder=Path(spec.encoder).name,
        layer=spec.layer,
        normalisation=spec.normalisation,
        source="+".join(corpus for corpus, _ in sources),
        target=target[0] if side == "source" else "+".join(corpora),
        target_labels=spec.target_labels,
        split="all of the manifest",
        side=side,
    )
    return to_scores(evaluation, condition)
