"""The corpora of a layer-wise study, and which rows train, validate and test each of its probes."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from emobridge.corpora import utterances_at
from emobridge.data.audio import AudioError, audio_digest, utterance_seconds
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import SPLITS, read_manifest
from emobridge.data.splits import Part, by_fold, by_ratio, count_groups, equal_sample, serab
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
    folds: tuple[Mapping[str, str], ...] = field(default=(), repr=False)  # that it comes with: id -> split

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions of its utterances, in the order of the vocabulary."""
        present = {utterance.emotion for utterance in self.utterances}
        return tuple(emotion for emotion in EMOTIONS if emotion in present)

    @property
    def people(self) -> int:
        """How many known speakers it has."""
        return len({person(utterance) for utterance in self.utterances} - {None})

    def digest(self, *, speakers: bool) -> str:
        """A hash of what training and testing on its features depend on: stretches of recordings, and emotions.

        speakers: and of who speaks, which normalisation by speaker depends on.
        """
        digest = hashlib.sha256()
        for utterance in self.utterances:
            digest.update(audio_digest(utterance.path))
            facts: tuple[object, ...] = (utterance.start, utterance.end, utterance.emotion)
            facts += (person(utterance) if speakers else None,)
            facts += () if utterance.channel is None else (utterance.channel,)  # keys without channels still hold
            digest.update(repr(facts).encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class RowSplit:
    """Rows of a corpus that train, validate and test one probe."""

    train: Part
    validation: Part  # () where nothing is validated
    test: Part


Splits = tuple[tuple[RowSplit, ...], ...]  # of each seed, then of each fold
Rows = tuple[tuple[Part, ...], ...]  # of each seed, then of each fold


def read_corpus(path: str, settings: ProbeSettings) -> Corpus:
    """The utterances of a manifest whose emotion is among `settings.labels`, or a balanced sample of them.

    The sample is drawn once for all seeds: every emotion has as many utterances, those of the rarest if that has fewer.
    Errors: UserError where fewer than two emotions remain, and for a manifest of several corpora or languages.
    """
    rows = [
        utterance
        for utterance in utterances_at(path)
        if utterance.emotion and (not settings.labels or utterance.emotion in settings.labels)
    ]
    emotions = sorted({str(utterance.emotion) for utterance in rows})
    if len(emotions) < 2:
        among = f" of {', '.join(settings.labels)}" if settings.labels else ""
        count = "1 emotion" if emotions else "no emotion"
        raise UserError(f"{path}: has {count}{among}; a probe needs two or more")
    corpora, languages = {row.corpus for row in rows}, {primary_language(row.language) for row in rows}
    for what, values in (("corpus", corpora), ("language", languages)):
        if len(values) > 1:
            raise UserError(f"{path}: holds {what} {', '.join(sorted(values)[:3])}: give each a manifest of its own")
    if settings.longest:
        rows = [_cut(row, settings.longest) for row in rows]
    if settings.sample:
        rows = [rows[row] for row in equal_sample(rows, emotions, settings.sample)]
    folds = read_folds(path, rows) if settings.split == "predefined" else ()
    return Corpus(rows[0].corpus, rows[0].language, tuple(rows), folds)


def _cut(utterance: Utterance, seconds: float) -> Utterance:
    """The utterance, or its first seconds where it is longer; a file without a header that can be read stays whole."""
    try:
        if utterance_seconds(utterance) <= seconds:
            return utterance
    except AudioError:
        return utterance
    start = utterance.start or 0.0
    return replace(utterance, start=start, end=start + seconds)


def read_folds(path: str | Path, rows: Sequence[Utterance]) -> tuple[Mapping[str, str], ...]:
    """The folds that a manifest comes with, each the split of an utterance by its id.

    They are the manifests `fold_path(path, 1)`, 2 and so on; without these the column `split` of `rows` is the only
    fold. Errors: UserError for a fold file without splits, and where there is neither.
    """
    folds: list[Mapping[str, str]] = []
    while (file := fold_path(path, len(folds) + 1)).is_file():
        fold = {utterance.id: utterance.split for utterance in read_manifest(file) if utterance.split}
        if not fold:
            raise UserError(f"{file}: no utterance has a split; expected some to train and some to test")
        folds.append(fold)
    folds = folds or [{utterance.id: utterance.split for utterance in rows if utterance.split}]
    if not folds[0]:
        raise UserError(
            f"{path}: has no predefined split: no utterance has a value in the column 'split', and there is no "
            f"{fold_path(path, 1).name} beside it"
        )
    return tuple(folds)


def fold_path(path: str | Path, number: int) -> Path:
    """Where the splits of a fold stand: beside `emodb.jsonl` the first is `emodb.fold-1.jsonl`.

    >>> fold_path("emodb.jsonl", 2).name
    'emodb.fold-2.jsonl'
    """
    path = Path(path)
    return path.with_name(f"{path.stem}.fold-{number}.jsonl")


def split_corpus(corpus: Corpus, settings: ProbeSettings) -> Splits:
    """The splits of each seed, one a fold.

    split "folds": each fold is the test part once, and the next one validates where training may stop early; a corpus
    of fewer speakers than folds has a fold a speaker. "80/10/10": drawn anew for each fold and seed. "halved": one half
    of each fold validates, and the other is the test part. "serab" and "predefined": the same for every seed; of the
    latter, validation parts are used where training may stop early.
    Errors: UserError for too few speakers, for speakers that are not known, and for a predefined fold without a part.
    """
    rows = corpus.utterances
    if settings.split == "serab":
        return ((RowSplit(*serab(rows)),),) * settings.seeds
    if settings.split == "predefined":
        given = (_predefined(corpus, number, settings.looks_at_validation) for number in range(len(corpus.folds)))
        return (tuple(given),) * settings.seeds
    splits = []
    for seed in range(settings.seeds):
        if settings.split == "80/10/10":
            draws = (seed * settings.folds + fold for fold in range(settings.folds))
            draw = functools.partial(
                by_ratio, rows, (0.8, 0.1, 0.1), share_speakers=settings.share_speakers,
                by_utterance=settings.by_utterance,
            )  # fmt: skip
            parts = [draw(seed=number) for number in draws]
            splits.append(tuple(RowSplit(*three) for three in parts))
            continue
        count = 2 * settings.folds if settings.split == "halved" else settings.folds
        if settings.share_speakers:
            folds = by_ratio(rows, (1 / count,) * count, seed=seed, share_speakers=True)
        else:
            count = max(2, min(count, count_groups(rows, settings.by_utterance)))
            folds = by_fold(rows, count, seed=seed, by_utterance=settings.by_utterance)
        if settings.split == "halved":
            splits.append(tuple(_halves(folds, first) for first in range(0, len(folds) - 1, 2)))
        else:
            splits.append(tuple(_rotate(folds, fold, settings.looks_at_validation) for fold in range(len(folds))))
    return tuple(splits)


def _predefined(corpus: Corpus, number: int, validates: bool) -> RowSplit:
    """The rows of a fold that the corpus comes with. Errors: UserError for a part without utterances."""
    parts: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row, utterance in enumerate(corpus.utterances):
        if split := corpus.folds[number].get(utterance.id):
            parts[split].append(row)
    needed = SPLITS if validates else tuple(split for split in SPLITS if split != "validation")
    for split in needed:
        if not parts[split]:
            hint = ": give patience 0 and plateau 0, which need none" if split == "validation" else ""
            raise UserError(f"{corpus.name}: fold {number + 1} has no utterance of the split {split!r}{hint}")
    train, validation, test = (tuple(parts[split]) for split in SPLITS)
    return RowSplit(train, validation if validates else (), test)


def shared_speakers(corpus: Corpus) -> int:
    """In how many of the predefined folds somebody who trains is tested too."""
    count = 0
    for fold in corpus.folds:
        people = {
            split: {person(row) for row in corpus.utterances if fold.get(row.id) == split} - {None}
            for split in ("train", "test")
        }
        count += bool(people["train"] & people["test"])
    return count


def _rotate(folds: Sequence[Part], fold: int, validates: bool) -> RowSplit:
    """One fold tests, the next one validates if wanted, and the others train."""
    test, validation = folds[fold], folds[(fold + 1) % len(folds)] if validates else ()
    excluded = {*test, *validation}
    train = tuple(sorted(row for part in folds for row in part if row not in excluded))
    return RowSplit(train, validation, test)


def _halves(parts: Sequence[Part], first: int) -> RowSplit:
    """The part `first` tests, the one behind it validates, and all others train."""
    test, validation = parts[first], parts[first + 1]
    train = tuple(sorted({row for part in parts for row in part} - {*test, *validation}))
    return RowSplit(train, validation, test)


def classes_of(corpus: Corpus, labels: Sequence[str]) -> Tensor:
    """(N,) classes, -1 where an emotion is not among `labels`."""
    index = {label: number for number, label in enumerate(labels)}
    return torch.tensor([index.get(str(utterance.emotion), -1) for utterance in corpus.utterances])


def rows_to_test(tested: Corpus, trained: Corpus, splits: Splits, folds: int) -> Rows:
    """Rows of `tested`, whose splits are given, that each seed and fold of `trained` is scored on.

    They are of emotions that `trained` has. Test part k is scored by fold k; where the corpora have unlike numbers of
    folds, by fold k modulo `folds`, so that a seed tests every part once, and with models of its own.
    """
    label = classes_of(tested, trained.emotions)
    rows = []
    for parts in splits:
        by_fold: list[list[int]] = [[] for _ in range(folds)]
        for fold, split in enumerate(parts):
            by_fold[fold % folds] += [row for row in split.test if label[row] >= 0]
        rows.append(tuple(map(tuple, by_fold)))
    return tuple(rows)


def training_sets(corpus: Corpus, splits: Splits, settings: ProbeSettings) -> TrainingSets:
    """What the probes, seeds by folds, train on. Errors: UserError for a fold whose training part has one class."""
    label = classes_of(corpus, corpus.emotions)
    weights, validations = [], []
    for seed, folds in enumerate(splits):
        for fold, split in enumerate(folds):
            rows = torch.tensor(split.train)
            classes = label[rows].unique()
            if len(classes) < 2:
                only = corpus.emotions[int(classes[0])] if len(classes) else "nothing"
                raise UserError(f"{corpus.name}: fold {fold} of seed {seed} trains on {only} alone; try fewer folds")
            weight = torch.zeros(len(label))
            weight[rows] = balanced_weights(Labelled(rows, label[rows]), len(corpus.emotions), settings.class_weights)
            weights.append(weight)
            validation = torch.zeros(len(label), dtype=torch.bool)
            validation[list(split.validation)] = True
            validations.append(validation)
    return TrainingSets(label, torch.stack(weights), torch.stack(validations))


def total_seconds(utterances: Iterable[Utterance]) -> tuple[float, int]:
    """How long some utterances are together, by their files' headers, and how many have no header that can be read."""
    seconds, unread = 0.0, 0
    for utterance in utterances:
        try:
            seconds += utterance_seconds(utterance)
        except AudioError:
            unread += 1
    return seconds, unread
