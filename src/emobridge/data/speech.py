"""Who trains, adapts and is scored: two sides of speech, cut into folds by speaker, and the labels that may be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from emobridge.data.splits import Part, by_fold, by_ratio, label_budgets, predefined
from emobridge.errors import UserError
from emobridge.settings import Settings
from emobridge.types import Utterance, person

UNLABELLED = -1
RATED = "rated"  # in place of an emotion, where attributes alone are the labels


@dataclass(frozen=True, slots=True)
class Speech:
    """All utterances of a run: those of the sources, corpus by corpus, then those of the target."""

    utterances: tuple[Utterance, ...]  # N
    label: np.ndarray  # (N,) int64 in [0, C), or UNLABELLED; without emotions 0 where an attribute is known
    domain_of: np.ndarray  # (N,) int64: the place of its source corpus, or `target`
    target: int  # the number of source corpora
    features: Tensor | None = None  # (N, V, D) of V layers or (N, D), pooled, not normalised; None of a trained encoder
    given: frozenset[str] | None = None  # ids: the only target labels that may be seen; None: any within the budget
    attributes: np.ndarray | None = None  # (N, K) in [-1, 1], NaN where not known; None where none are learnt

    @property
    def is_target(self) -> np.ndarray:
        """(N,) bool."""
        mask: np.ndarray = self.domain_of == self.target
        return mask

    def of(self, rows: Sequence[int] | np.ndarray) -> Speech:
        """Some of the utterances alone."""
        some = list(rows)
        return replace(
            self,
            utterances=tuple(self.utterances[row] for row in some),
            label=self.label[some],
            domain_of=self.domain_of[some],
            features=None if self.features is None else self.features[some],
            attributes=None if self.attributes is None else self.attributes[some],
        )

    @property
    def corpora(self) -> tuple[tuple[str, str], ...]:
        """Name and language of the corpora, in the order of `domain_of`."""
        firsts = [self.utterances[row] for row in np.unique(self.domain_of, return_index=True)[1]]
        return tuple((one.corpus, one.language) for one in firsts)


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of a Speech: what is trained on and what is scored, without common speakers."""

    source: Part
    source_test: Part
    target: Part  # its audio adapts; its labels only within the budget
    target_test: Part
    validation: Part = ()  # speakers of the source, or of both sides, that tell the best epoch


def folds_of(speech: Speech, settings: Settings, seed: int) -> tuple[Fold, ...]:
    """The folds of one seed; a target without labels adapts whole and is not scored.

    Errors: UserError where a side has too few speakers, or none that are known.
    """
    source = np.flatnonzero(~speech.is_target)
    target = np.flatnonzero(speech.is_target)
    if settings.predefined:
        return (_given(speech, source, target, settings),)
    scored = _scored(speech, target, settings)
    rest = np.setdiff1d(target, scored)  # adapts only, and only in folds where its speaker is not scored
    count = settings.folds or 5
    if settings.folds and not settings.share_speakers:
        count = min(count, _speakers(speech, source), _speakers(speech, scored) if len(scored) else count)
    source_parts = _parts(speech, source, count, settings, seed)
    target_parts = _parts(speech, scored, count, settings, seed) if len(scored) else ((),) * count
    folds = []
    for place in range(count if settings.folds else 1):
        test = set(source_parts[place])
        target_test = set(target_parts[place])
        heard = {person(speech.utterances[row]) for row in target_test} - {None}
        held = set() if settings.share_speakers or settings.transductive else heard
        adapts = [row for row in scored if settings.transductive or row not in target_test]
        adapts += [row for row in rest if person(speech.utterances[row]) not in held]
        train = tuple(int(row) for row in source if row not in test)
        fold = Fold(train, tuple(sorted(test)), tuple(map(int, sorted(adapts))), tuple(sorted(target_test)))
        folds.append(_apart(speech, fold, settings, seed))
    return tuple(folds)


def _given(speech: Speech, source: np.ndarray, target: np.ndarray, settings: Settings) -> Fold:
    """The split that the corpora come with, the same for every seed; validation without patience is not used at all.

    Errors: UserError as `splits.predefined` has them.
    """
    parts = [predefined([speech.utterances[row] for row in rows]) for rows in (source, target)]
    (train, held, test), (adapts, apart, heard) = (
        tuple(tuple(int(rows[place]) for place in part) for part in three)
        for rows, three in zip((source, target), parts)
    )
    scored = set(_scored(speech, target, settings).tolist())
    validation = held if settings.patience else ()
    if settings.patience and settings.validate == "both":
        validation += tuple(row for row in apart if row in scored)
    return Fold(train, test, adapts, tuple(row for row in heard if row in scored), validation)


def _scored(speech: Speech, target: np.ndarray, settings: Settings) -> np.ndarray:
    """The labelled ones; none where a person gave all labels, and of speakers who cannot be told apart or are one."""
    scored: np.ndarray = target[speech.label[target] != UNLABELLED]
    if settings.share_speakers or speech.given is None or {speech.utterances[row].id for row in scored} - speech.given:
        return scored
    people = {person(speech.utterances[row]) for row in scored}
    return scored[:0] if None in people or len(people) < 2 else scored


def everything(speech: Speech, settings: Settings, seed: int) -> Fold:
    """The fold that scores nothing and so holds nothing out: what the bundle is made from."""
    source, target = np.flatnonzero(~speech.is_target), np.flatnonzero(speech.is_target)
    return _apart(speech, Fold(tuple(source.tolist()), (), tuple(target.tolist()), ()), settings, seed)


def _apart(speech: Speech, fold: Fold, settings: Settings, seed: int) -> Fold:
    """The fold with a fifth of its training speakers as validation: none without early stopping.

    Of the target, where asked for, their labelled utterances validate, and nothing of theirs adapts.
    """
    if not settings.patience:
        return fold
    if settings.predefined:
        mine = {row for row in fold.source if speech.utterances[row].split == "validation"}
        kept = tuple(row for row in fold.source if row not in mine)
        return replace(fold, source=kept, validation=tuple(sorted(mine)))
    source, validation = _fifth(speech, fold.source, settings, seed)
    labelled = budget(speech, fold, "all", seed) if settings.validate == "both" else ()
    if not labelled:
        return replace(fold, source=source, validation=validation)
    _, apart = _fifth(speech, labelled, settings, seed)
    held = set() if settings.share_speakers else {person(speech.utterances[row]) for row in apart} - {None}
    adapts = [row for row in fold.target if row not in apart and person(speech.utterances[row]) not in held]
    return replace(fold, source=source, target=tuple(adapts), validation=(*validation, *apart))


def _fifth(speech: Speech, rows: Part, settings: Settings, seed: int) -> tuple[Part, Part]:
    """The rows without, and of, a fifth of their speakers."""
    some = [speech.utterances[row] for row in rows]
    kept, apart = by_ratio(some, (0.8, 0.2), seed=seed, share_speakers=settings.share_speakers)
    return tuple(rows[place] for place in kept), tuple(rows[place] for place in apart)


def budget(speech: Speech, fold: Fold, amount: str, seed: int) -> Part:
    """The rows of the target whose labels may be seen: `amount` of those that adapt, or "all" of them.

    Smaller budgets lie inside larger ones. Where a person gave labels, only these are seen, and all of them when
    `amount` is their number: those whose speaker is not scored. Errors: UserError where there are not so many labels.
    """
    held = set(fold.target_test)  # in a transductive fold these adapt too, and never with their labels
    rows = [row for row in fold.target if speech.label[row] != UNLABELLED and row not in held]
    if speech.given is not None:
        rows = [row for row in rows if speech.utterances[row].id in speech.given]
    if amount == "all" or (speech.given is not None and int(amount) >= len(speech.given)):
        return tuple(rows)
    if not int(amount):
        return ()
    some = [speech.utterances[row] for row in rows]
    some = [replace(one, emotion=one.emotion or RATED) for one in some]
    try:
        chosen = label_budgets(some, (int(amount),), seed=seed)[int(amount)]
    except UserError as error:
        raise UserError(f"target_labels: {error}") from error
    return tuple(rows[place] for place in chosen)


def largest_budget(speech: Speech, settings: Settings, seeds: Sequence[int]) -> int:
    """The largest number of target labels that every fold of these seeds has."""
    folds = [(fold, seed) for seed in seeds for fold in folds_of(speech, settings, seed)]
    return min(len(budget(speech, fold, "all", seed)) for fold, seed in folds)


def _speakers(speech: Speech, rows: np.ndarray) -> int:
    return len({person(speech.utterances[row]) for row in rows})


def _parts(speech: Speech, rows: np.ndarray, count: int, settings: Settings, seed: int) -> tuple[Part, ...]:
    """The test parts of the folds."""
    some = [speech.utterances[row] for row in rows]
    if settings.share_speakers:
        parts = by_ratio(some, (1 / count,) * count, seed=seed, share_speakers=True)
    else:
        parts = by_fold(some, max(count, 2), seed=seed)
    return tuple(tuple(int(rows[place]) for place in part) for part in parts)
