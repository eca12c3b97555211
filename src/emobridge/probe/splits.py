"""Corpora of a layer-wise study, and who trains, stops and tests each of its probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import read_manifest
from emobridge.data.splits import Part, by_fold, by_ratio, equal_sample
from emobridge.errors import UserError
from emobridge.languages import primary_language
from emobridge.methods.base import Labelled, balanced_weights
from emobridge.probe.batched import TrainingSets
from emobridge.probe.settings import ProbeSettings
from emobridge.types import Utterance, person


@dataclass(frozen=True, slots=True)
class Corpus:
    """The labelled utterances of one manifest."""

    name: str
    language: str
    utterances: tuple[Utterance, ...]

    @property
    def emotions(self) -> tuple[str, ...]:
        """Those that it has, in the order of the vocabulary."""
        found = {one.emotion for one in self.utterances}
        return tuple(emotion for emotion in EMOTIONS if emotion in found)


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a corpus that train one probe, stop it, and test it."""

    train: Part
    validation: Part
    test: Part


def read_corpus(path: str, settings: ProbeSettings) -> Corpus:
    """The utterances of a manifest that are of the emotions asked for, a balanced sample of them if need be.

    The sample is drawn once for all seeds: every emotion has as many utterances, those of the rarest if that has fewer.
    Errors: UserError where fewer than two emotions are left, and for a manifest of several corpora or languages.
    """
    rows = [
        one for one in read_manifest(path) if one.emotion and (not settings.labels or one.emotion in settings.labels)
    ]
    emotions = sorted({str(one.emotion) for one in rows})
    if len(emotions) < 2:
        wanted = f" of {', '.join(settings.labels)}" if settings.labels else ""
        raise UserError(f"{path}: {len(emotions)} emotions{wanted}: a probe tells two or more apart")
    corpora, languages = {row.corpus for row in rows}, {primary_language(row.language) for row in rows}
    for what, values in (("corpus", corpora), ("language", languages)):
        if len(values) > 1:
            raise UserError(f"{path}: holds {what} {', '.join(sorted(values)[:3])}: give each a manifest of its own")
    if settings.sample:
        rows = [rows[place] for place in equal_sample(rows, emotions, settings.sample)]
    return Corpus(rows[0].corpus, rows[0].language, tuple(rows))


def split_corpus(corpus: Corpus, settings: ProbeSettings) -> tuple[tuple[Split, ...], ...]:
    """The cuts of each seed, one a fold.

    split "folds": each fold is the test part once, the next one validation where there is early stopping; a corpus of
    fewer speakers than folds has a fold a speaker. "80/10/10": drawn anew for each fold and seed.
    Errors: UserError for too few speakers and for speakers that are not known.
    """
    rows = corpus.utterances
    speakers = {person(one) for one in rows}
    found = []
    for seed in range(settings.seeds):
        if settings.split == "80/10/10":
            draws = (seed * settings.folds + fold for fold in range(settings.folds))
            parts = [by_ratio(rows, (0.8, 0.1, 0.1), seed=n, share_speakers=settings.share_speakers) for n in draws]
            found.append(tuple(Split(*three) for three in parts))
            continue
        if settings.share_speakers:
            folds = by_ratio(rows, (1 / settings.folds,) * settings.folds, seed=seed, share_speakers=True)
        else:
            folds = by_fold(rows, max(2, min(settings.folds, len(speakers))), seed=seed)
        found.append(tuple(_rotated(folds, place, bool(settings.patience)) for place in range(len(folds))))
    return tuple(found)


def _rotated(folds: Sequence[Part], place: int, stops: bool) -> Split:
    test, validation = folds[place], folds[(place + 1) % len(folds)] if stops else ()
    held = {*test, *validation}
    train = tuple(sorted(row for fold in folds for row in fold if row not in held))
    return Split(train, validation, test)


def labels_of(corpus: Corpus, labels: Sequence[str]) -> Tensor:
    """(N,) classes, -1 where an emotion is not among `labels`."""
    place = {label: number for number, label in enumerate(labels)}
    return torch.tensor([place.get(str(one.emotion), -1) for one in corpus.utterances])


def corpora_to_test(settings: ProbeSettings, trained: str, corpora: Sequence[str]) -> list[str]:
    """The corpora that what is trained on one is scored on."""
    others = {"cross", "other"} & set(settings.settings)
    own = {"mono", "trans"} & set(settings.settings)
    return [name for name in corpora if (own if name == trained else others)]


def rows_to_test(
    tested: Corpus, trained: Corpus, cuts: Sequence[Sequence[Split]], folds: int
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Rows of `tested`, cut into `cuts`, that each seed and fold of `trained` is scored on; emotions that it learnt.

    Test part k is scored by fold k; where the corpora have unlike numbers of folds, by fold k modulo `folds`, so that a
    seed tests every part once, and with models of its own.
    """
    label = labels_of(tested, trained.emotions)
    found = []
    for parts in cuts:
        mine: list[list[int]] = [[] for _ in range(folds)]
        for place, cut in enumerate(parts):
            mine[place % folds] += [row for row in cut.test if label[row] >= 0]
        found.append(tuple(map(tuple, mine)))
    return tuple(found)


def training_sets(corpus: Corpus, cuts: Sequence[Sequence[Split]], settings: ProbeSettings) -> TrainingSets:
    """What the probes, seeds by folds, train on. Errors: UserError for a fold whose training part has one class."""
    label = labels_of(corpus, corpus.emotions)
    weights, validations = [], []
    for seed, folds in enumerate(cuts):
        for fold, cut in enumerate(folds):
            rows = torch.tensor(cut.train)
            classes = label[rows].unique()
            if len(classes) < 2:
                only = corpus.emotions[int(classes[0])] if len(classes) else "nothing"
                raise UserError(f"{corpus.name}: fold {fold} of seed {seed} trains on {only} alone; try fewer folds")
            weight = torch.zeros(len(label))
            weight[rows] = balanced_weights(Labelled(rows, label[rows]), len(corpus.emotions), settings.class_weights)
            weights.append(weight)
            validation = torch.zeros(len(label), dtype=torch.bool)
            validation[list(cut.validation)] = True
            validations.append(validation)
    return TrainingSets(label, torch.stack(weights), torch.stack(validations))
