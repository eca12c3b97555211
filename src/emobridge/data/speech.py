"""Who trains, adapts and is scored: two sides of speech, cut into folds by speaker, and the labels that may be seen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from emobridge.data.splits import Part, by_fold, by_ratio, count_groups, label_budgets, predefined, serab
from emobridge.errors import UserError
from emobridge.settings import Split, layer_names
from emobridge.types import Utterance, person, short_repr

if TYPE_CHECKING:
    from emobridge.features.source_moments import SourceMoments
    from emobridge.phones.base import Alignment

UNLABELLED = -1
RATED = "rated"  # in place of an emotion, where attributes alone are the labels
ALL_BUT_ONE = 5  # parts of the speakers where a single split holds one part out


@short_repr
@dataclass(frozen=True, slots=True)
class SpeechPhones:
    """The phones of N utterances, for methods that go by them."""

    names: tuple[str, ...]  # P classes, of phones.PHONE_CLASSES
    present: np.ndarray  # (N, P) bool: whether the utterance has a phone of the class
    means: Tensor | None  # (N, P, V, D) of stored features, NaN where it has none; None where an encoder is trained
    alignments: tuple[Alignment | None, ...] = ()  # N where an encoder is trained, else ()

    def content(self, row: int) -> bytes:
        """All that is known of the phones of one utterance."""
        return repr(self.alignments[row]).encode() if self.means is None else self.means[row].numpy().tobytes()

    def of(self, rows: list[int]) -> SpeechPhones:
        """Those of some rows alone."""
        means = None if self.means is None else self.means[rows]
        alignments = tuple(self.alignments[row] for row in rows) if self.alignments else ()
        return SpeechPhones(self.names, self.present[rows], means, alignments)


@short_repr
@dataclass(frozen=True, slots=True)
class Speech:
    """All utterances of a run: those of the sources, corpus by corpus, then those of the target."""

    utterances: tuple[Utterance, ...]  # N
    label: np.ndarray  # (N,) int64 in [0, C), or UNLABELLED; without emotions 0 where an attribute is known
    domain_of: np.ndarray  # (N,) int64: the index of its source corpus, or `target`
    target: int  # the number of source corpora
    features: Tensor | None = (
        None  # (N, V, D) of V layers and their views, or (N, D), pooled, not normalised; None of a trained encoder
    )
    visible: frozenset[str] | None = None  # ids: the only target labels that may be seen; None: any within the budget
    items: frozenset[str] = frozenset()  # ids of what is kept apart: in no part of a fold, and labelled in every one
    attributes: np.ndarray | None = None  # (N, K) in [-1, 1], NaN where not known; None where none are learnt
    layers: tuple[str, ...] = ()  # names of the V layers; () where a case takes the features as they are
    views: int = 1  # of each layer, pooled over other frames; all layers of one view stand before those of the next
    source_moments: SourceMoments | None = None  # in place of source utterances, of which there are none then
    phones: SpeechPhones | None = None

    @property
    def is_target(self) -> np.ndarray:
        """(N,) bool."""
        mask: np.ndarray = self.domain_of == self.target
        return mask

    @property
    def is_item(self) -> np.ndarray:
        """(N,) bool: what is kept apart."""
        return np.array([utterance.id in self.items for utterance in self.utterances], dtype=bool)

    def of(self, rows: Sequence[int] | np.ndarray) -> Speech:
        """The utterances of some rows alone."""
        chosen = list(rows)
        return replace(
            self,
            utterances=tuple(self.utterances[row] for row in chosen),
            label=self.label[chosen],
            domain_of=self.domain_of[chosen],
            features=None if self.features is None else self.features[chosen],
            attributes=None if self.attributes is None else self.attributes[chosen],
            phones=None if self.phones is None else self.phones.of(chosen),
        )

    def at(self, layer: str, views: int = 1) -> Speech:
        """The same speech with the features (N, views * V', D) of the layers in a name such as "2+3+4" alone.

        views: how many of them, from the first one on.
        """
        names = layer_names(layer)
        if self.features is None or not self.layers or (names, views) == (self.layers, self.views):
            return self
        count = len(self.layers)
        columns = [view * count + self.layers.index(name) for view in range(views) for name in names]
        first, end = columns[0], columns[0] + len(columns)
        # Layers side by side are a view: a copy of each layer would be all features once more.
        chosen = self.features[:, first:end] if columns == list(range(first, end)) else self.features[:, columns]
        phones = self.phones
        if phones is not None and phones.means is not None:
            phones = replace(phones, means=phones.means[:, :, [self.layers.index(name) for name in names]])
        return replace(self, features=chosen, layers=names, views=views, phones=phones)

    @property
    def absent(self) -> tuple[tuple[str, str], ...]:
        """Name and language of the source corpora of which only moments are there."""
        return () if self.source_moments is None else self.source_moments.corpora

    @property
    def corpora(self) -> tuple[tuple[str, str], ...]:
        """Name and language of the corpora, in the order of `domain_of`."""
        firsts = [self.utterances[row] for row in np.unique(self.domain_of, return_index=True)[1]]
        return (*self.absent, *((utterance.corpus, utterance.language) for utterance in firsts))


@short_repr
@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of a Speech: what is trained on and what is scored, without common speakers."""

    source: Part
    source_test: Part
    target: Part  # its audio adapts; its labels only within the budget
    target_test: Part
    validation: Part = ()  # speakers of the source, or of both sides, that tell the best epoch
    items: Part = ()  # of both sides, labelled by the model of every fold beside its test parts


def folds_of(speech: Speech, split: Split, seed: int, validation: str = "none") -> tuple[Fold, ...]:
    """The folds of one seed; a target without labels adapts whole and is not scored.

    validation: whose speakers are held out of training to validate: "none", "source" or "both" sides.
    Errors: UserError where a side has too few speakers, or none that are known.
    """
    source = np.flatnonzero(~speech.is_target & ~speech.is_item)
    target = np.flatnonzero(speech.is_target & ~speech.is_item)
    items = tuple(np.flatnonzero(speech.is_item).tolist())
    if split.is_fixed:
        return (replace(_fixed(speech, source, target, split, validation), items=items),)
    scored = _scored(speech, target, split)
    unscored = np.setdiff1d(target, scored)  # adapts only, and only in folds where its speaker is not scored
    count = count_folds(speech, split, validation) or ALL_BUT_ONE
    halves = _halves(split, validation)
    source_parts = _parts(speech, source, count, split, seed, halves[0])
    target_parts = _parts(speech, scored, count, split, seed, halves[1])
    folds = []
    for index in range(count if split.folds else 1):
        (source_held, test), (target_held, target_test) = source_parts[index], target_parts[index]
        held_out = {*target_held, *target_test}
        people = set() if split.transductive else _people(speech, held_out, split)
        adapts = [row for row in scored.tolist() if split.transductive or row not in held_out]
        adapts += [row for row in unscored.tolist() if person(speech.utterances[row]) not in people]
        not_train = {*source_held, *test}
        train = tuple(row for row in source.tolist() if row not in not_train)
        fold = Fold(train, test, tuple(sorted(adapts)), target_test, (*source_held, *target_held), items)
        folds.append(fold if split.halved else _with_validation(speech, fold, split, seed, validation))
    return tuple(folds)


def count_folds(speech: Speech, split: Split, validation: str = "none") -> int:
    """How many folds `folds_of` gives: as many as the split has, or as there are speakers for; 0 is one split.

    Errors: UserError where halves of folds are too few speakers.
    """
    count = split.folds
    if count and not split.share_speakers:
        source = np.flatnonzero(~speech.is_target & ~speech.is_item)
        scored = _scored(speech, np.flatnonzero(speech.is_target & ~speech.is_item), split)
        for rows, halved in ((source, split.halved), (scored, _halves(split, validation)[1])):
            if len(rows):
                count = min(count, _most_folds(speech, rows, split, halved))
    return count


def _halves(split: Split, validation: str) -> tuple[bool, bool]:
    """Whether half of each fold validates, of the source and of the target."""
    return split.halved and validation != "none", split.halved and validation == "both"


def _fixed(speech: Speech, source: np.ndarray, target: np.ndarray, split: Split, validation: str) -> Fold:
    """A split that is the same for every seed; without early stopping nothing validates.

    Errors: UserError as `splits.predefined` and `splits.serab` have them.
    """
    labelled = _scored(speech, target, split)
    scored = set(labelled.tolist())
    train, source_held, test = _three_parts(speech, source, split)
    adapts, target_held, target_test = _three_parts(speech, target if split.predefined else labelled, split)
    if split.serab:  # unlabelled speech adapts where its speaker neither validates nor is scored
        apart = {person(speech.utterances[row]) for row in (*target_held, *target_test)} - {None}
        others = [row for row in target.tolist() if row not in scored]
        adapts = (*adapts, *(row for row in others if person(speech.utterances[row]) not in apart))
    held_out = () if validation == "none" else source_held
    if validation == "both":
        held_out += tuple(row for row in target_held if row in scored)
    target_test = tuple(row for row in target_test if row in scored)
    return Fold(train, test, tuple(sorted(adapts)), target_test, held_out)


def _three_parts(speech: Speech, rows: np.ndarray, split: Split) -> tuple[Part, Part, Part]:
    """The rows that train, validate and test: as the column `split` says, or as SERAB splits each corpus."""
    if not len(rows):
        return (), (), ()
    domains = speech.domain_of[rows]
    parts: tuple[list[int], ...] = ([], [], [])
    for together in [rows] if split.predefined else [rows[domains == domain] for domain in np.unique(domains)]:
        utterances = [speech.utterances[row] for row in together]
        divided = predefined(utterances) if split.predefined else serab(utterances, may_lack_validation=True)
        for part, indices in zip(parts, divided):
            part += together[list(indices)].tolist()
    return tuple(parts[0]), tuple(parts[1]), tuple(parts[2])


def _scored(speech: Speech, target: np.ndarray, split: Split) -> np.ndarray:
    """The labelled target rows.

    None where a person gave all labels, and the speakers cannot be told apart or are only one.
    """
    scored: np.ndarray = target[speech.label[target] != UNLABELLED]
    listed = speech.visible
    if split.share_speakers or listed is None or {speech.utterances[row].id for row in scored} - listed:
        return scored
    people = {person(speech.utterances[row]) for row in scored}
    return scored[:0] if None in people or len(people) < 2 else scored


def everything(speech: Speech, split: Split, seed: int, validation: str = "none") -> Fold:
    """The fold that scores nothing and so holds nothing out: what the bundle is made from."""
    source, target = (np.flatnonzero((speech.is_target == side) & ~speech.is_item) for side in (False, True))
    fold = Fold(tuple(source.tolist()), (), tuple(target.tolist()), ())
    return _with_validation(speech, fold, split, seed, validation)


def _with_validation(speech: Speech, fold: Fold, split: Split, seed: int, validation: str) -> Fold:
    """The fold with a fifth of its training speakers as validation; as it is without early stopping.

    Of the target, where both sides validate, the labelled utterances do, and nothing of their speakers adapts.
    """
    if validation == "none":
        return fold
    if split.is_fixed:
        held_out = set(_three_parts(speech, np.asarray(fold.source, dtype=np.int64), split)[1])
        source = tuple(row for row in fold.source if row not in held_out)
        return replace(fold, source=source, validation=tuple(sorted(held_out)))
    source, source_held = _without_a_fifth(speech, fold.source, split, seed) if fold.source else ((), ())
    labelled = budget(speech, fold, "all", seed) if validation == "both" else ()
    if not labelled:
        return replace(fold, source=source, validation=source_held)
    _, target_held = _without_a_fifth(speech, labelled, split, seed)
    held_out = set(target_held)
    people = _people(speech, held_out, split)
    adapts = [row for row in fold.target if row not in held_out and person(speech.utterances[row]) not in people]
    return replace(fold, source=source, target=tuple(adapts), validation=(*source_held, *target_held))


def _without_a_fifth(speech: Speech, rows: Part, split: Split, seed: int) -> tuple[Part, Part]:
    """The rows without, and of, a fifth of their speakers."""
    utterances = [speech.utterances[row] for row in rows]
    training, held_out = by_ratio(
        utterances, (0.8, 0.2), seed=seed, share_speakers=split.share_speakers, by_utterance=split.by_utterance
    )
    return tuple(rows[index] for index in training), tuple(rows[index] for index in held_out)


def budget(speech: Speech, fold: Fold, amount: str, seed: int) -> Part:
    """The rows of the target whose labels may be seen: `amount` of those that adapt, or "all" of them.

    Smaller budgets lie inside larger ones. Where a person gave labels, only these are seen, and all of them when
    `amount` is their number: those whose speaker is not scored. Errors: UserError where there are not so many labels.
    """
    tested = set(fold.target_test)  # in a transductive fold these adapt too, and never with their labels
    rows = [row for row in fold.target if speech.label[row] != UNLABELLED and row not in tested]
    if speech.visible is not None:
        rows = [row for row in rows if speech.utterances[row].id in speech.visible]
    if amount == "all" or (speech.visible is not None and int(amount) >= len(speech.visible)):
        return tuple(rows)
    if not int(amount):
        return ()
    utterances = [speech.utterances[row] for row in rows]
    utterances = [replace(utterance, emotion=utterance.emotion or RATED) for utterance in utterances]
    try:
        chosen = label_budgets(utterances, (int(amount),), seed=seed)[int(amount)]
    except UserError as error:
        raise UserError(f"target_labels: {error}") from error
    return tuple(rows[index] for index in chosen)


def largest_budget(speech: Speech, split: Split, validation: str = "none") -> int:
    """The largest number of target labels that every fold of every seed has."""
    folds = [(fold, seed) for seed in range(split.seeds) for fold in folds_of(speech, split, seed, validation)]
    return min(len(budget(speech, fold, "all", seed)) for fold, seed in folds)


def _most_folds(speech: Speech, rows: np.ndarray, split: Split, halved: bool) -> int:
    """How many folds the speakers of some rows allow. Errors: UserError where halves of folds are too few speakers."""
    utterances = [speech.utterances[row] for row in rows]
    groups = count_groups(utterances, split.by_utterance)
    if halved and groups < 4:
        corpora = ", ".join(sorted({row.corpus for row in utterances}))
        raise UserError(f"halved: 2 halved folds need 4 speakers, but there are {groups} ({corpora})")
    return groups // 2 if halved else groups


def _people(speech: Speech, rows: Collection[int], split: Split) -> set[str | None]:
    """The known speakers of some rows, but for those of corpora that are split by utterance."""
    utterances = (speech.utterances[row] for row in rows)
    return {person(row) for row in utterances if not split.shares_speakers(row.corpus)} - {None}


def _parts(
    speech: Speech, rows: np.ndarray, count: int, split: Split, seed: int, halved: bool
) -> tuple[tuple[Part, Part], ...]:
    """What each fold holds out of one side: to validate, where the folds are halved, and to test."""
    if not len(rows):
        return (((), ()),) * count
    utterances = [speech.utterances[row] for row in rows]
    count = 2 * count if halved else count
    if split.share_speakers:
        parts = by_ratio(utterances, (1 / count,) * count, seed=seed, share_speakers=True)
    else:
        parts = by_fold(utterances, max(count, 2), seed=seed, by_utterance=split.by_utterance)
    of_rows = [tuple(rows[list(part)].tolist()) for part in parts]
    return tuple(zip(of_rows[1::2], of_rows[::2])) if halved else tuple(((), part) for part in of_rows)
