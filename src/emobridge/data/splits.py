"""Splits into training, validation and test parts: tuples of indices into a sequence of utterances, in ascending order.

Parts share no speaker unless the caller allows it; speakers are told apart by `types.person`, so that "01" of two
corpora are two people. A split depends on the seed and on the utterances, and not on their order.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emobridge.data.manifest import SPLITS
from emobridge.errors import UserError, unknown
from emobridge.types import Utterance, person

Part = tuple[int, ...]
SERAB_SHARES = {"crema-d": (0.7, 0.1, 0.2)}  # of the speakers; of every other corpus 60/20/20
MANY = 10_000  # groups
RESTARTS = 10  # deals, of which the best is taken; with more, all seeds would give the same split


def speaker_of(utterance: Utterance) -> str:
    """The `person` who speaks. Errors: UserError where the speaker is not known."""
    speaker = person(utterance)
    if speaker is None:
        raise UserError(
            f"utterance {utterance.id!r} of {utterance.corpus} has no speaker, by whom labelled speech is split: tell "
            "speakers (of a folder: emobridge scan folder DIR --speaker folder), or give --share-speakers"
        )
    return speaker


def by_ratio(
    utterances: Sequence[Utterance],
    ratios: Sequence[float] = (0.6, 0.2, 0.2),
    *,
    seed: int,
    share_speakers: bool = False,
    by_utterance: Collection[str] = (),
) -> tuple[Part, ...]:
    """A part for each ratio; each has the emotions in the proportions of the whole, as nearly as speakers allow.

    ratios: the shares of the parts, which sum to 1. share_speakers: draw utterances instead of speakers; scores on such
    a split tell nothing about new speakers. by_utterance: corpora of which utterances are drawn.
    Errors: UserError for bad ratios, fewer speakers (or utterances) than parts, and utterances without a speaker.
    """
    if not ratios or min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise UserError(f"the ratios {tuple(ratios)} of a split: expected numbers above 0 that sum to 1")
    if share_speakers:
        groups = [[index] for index in _ordered(utterances)]
        if len(groups) < len(ratios):
            raise UserError(f"{len(ratios)} parts need as many utterances; there are {len(groups)}")
    else:
        groups = _by_speaker(utterances, f"{len(ratios)} parts need", len(ratios), by_utterance)
    return _divide(utterances, groups, ratios, seed)


def by_fold(
    utterances: Sequence[Utterance], folds: int, *, seed: int, by_utterance: Collection[str] = ()
) -> tuple[Part, ...]:
    """`folds` parts without common speakers, alike in size and emotions; each is the test part of a fold.

    by_utterance: corpora that are split by utterance all the same, such as those of a single speaker.
    Errors: UserError for fewer than two folds, fewer speakers than folds, and utterances without a speaker.
    """
    if folds < 2:
        raise UserError(f"{folds} folds: expected 2 or more")
    groups = _by_speaker(utterances, f"{folds} folds need", folds, by_utterance)
    return _divide(utterances, groups, (1 / folds,) * folds, seed)


def count_groups(utterances: Iterable[Utterance], by_utterance: Collection[str] = ()) -> int:
    """In how many pieces utterances are dealt out: speakers, and of the corpora in `by_utterance` utterances."""
    people, alone = set(), 0
    for utterance in utterances:
        if utterance.corpus in by_utterance:
            alone += 1
        else:
            people.add(person(utterance))
    return len(people) + alone


def unlabelled_parts(utterances: Sequence[Utterance], count: int, *, seed: int) -> tuple[Part, ...]:
    """`count` parts of like size; no label is looked at. The parts share no speaker where `parted_by_speaker`.

    Errors: UserError for fewer utterances than parts.
    """
    hidden = [replace(utterance, emotion=None) for utterance in utterances]
    if parted_by_speaker(utterances, count):
        return by_ratio(hidden, (1 / count,) * count, seed=seed)
    if len(utterances) < count:
        raise UserError(f"{count} parts need as many utterances; there are {len(utterances)}")
    order = np.random.default_rng(seed).permutation(_ordered(hidden))
    return tuple(tuple(sorted(part.tolist())) for part in np.array_split(order, count))


def parted_by_speaker(utterances: Sequence[Utterance], count: int) -> bool:
    """Whether all speakers are known, and there are as many as parts."""
    people = {person(utterance) for utterance in utterances}
    return None not in people and len(people) >= count


def leave_one_speaker_out(utterances: Sequence[Utterance]) -> tuple[Part, ...]:
    """A part for each speaker, in the order of their names.

    Errors: UserError for a single speaker, and utterances without a speaker.
    """
    return tuple(tuple(group) for group in _by_speaker(utterances, "leaving one speaker out needs", 2))


def serab(utterances: Sequence[Utterance], *, may_lack_validation: bool = False) -> tuple[Part, Part, Part]:
    """Training, validation and test part of SERAB (Scheidwasser-Clow et al. 2022): speakers 60/20/20, CREMA-D 70/10/20.

    It is the only split: that of the public code, which sorts the speakers' names, shuffles them by NumPy's RandomState
    0 and cuts the list. That code takes for the speaker what is none in ShEMO (the utterance's number) and IEMOCAP (who
    wears the markers); here it is who speaks.
    may_lack_validation: of two speakers, as TESS has them, one trains and one tests, as in that code.
    Errors: UserError for fewer speakers than a part each needs, utterances of several corpora or without a speaker.
    """
    corpora = sorted({utterance.corpus for utterance in utterances})
    if len(corpora) > 1:
        raise UserError(f"SERAB splits one corpus at a time, got {', '.join(corpora)}")
    groups = _by_speaker(utterances, "the split of SERAB needs", 2 if may_lack_validation else 3)
    order = np.arange(len(groups))
    np.random.RandomState(0).shuffle(order)
    training, validation, _ = SERAB_SHARES.get(corpora[0], (0.6, 0.2, 0.2))
    # The sum of two shares, as there: 0.7 + 0.1 is a little below 0.8.
    first, second = int(training * len(order)), int((training + validation) * len(order))
    parts = (order[:first], order[first:second], order[second:])
    if not all(map(len, parts[::2] if may_lack_validation else parts)):
        raise UserError(f"the split of SERAB: {len(groups)} speakers of {corpora[0]} are too few for its three parts")
    train, held_out, test = (tuple(sorted(row for group in part for row in groups[group])) for part in parts)
    return train, held_out, test


def predefined(utterances: Sequence[Utterance]) -> tuple[Part, Part, Part]:
    """Training, validation and test part as the column `split` has them; they may share speakers.

    Errors: UserError for an utterance without a split or with an unknown one, and for a part without utterances.
    """
    parts: dict[str, list[int]] = {split: [] for split in SPLITS}
    for index, utterance in enumerate(utterances):
        if utterance.split is None:
            raise UserError(f"utterance {utterance.id!r} has no split; expected one of {', '.join(SPLITS)}")
        if utterance.split not in SPLITS:
            raise UserError(f"utterance {utterance.id!r}: {unknown('split', utterance.split, SPLITS)}")
        parts[utterance.split].append(index)
    for split, part in parts.items():
        if not part:
            raise UserError(f"no utterance has the split {split!r}; expected some with each of {', '.join(SPLITS)}")
    train, validation, test = (tuple(parts[split]) for split in SPLITS)
    return train, validation, test


def label_budgets(utterances: Sequence[Utterance], sizes: Sequence[int], *, seed: int) -> dict[int, Part]:
    """For each size a set of that many labelled utterances; smaller sets lie inside larger ones.

    Emotions are equally frequent (counts differ by 1 at most) until the utterances of a rare emotion are used up.
    Errors: UserError for a size below 0 or above the number of labelled utterances.
    """
    rng = np.random.default_rng(seed)
    classes: dict[str, list[int]] = {}
    for index in _ordered(utterances):
        emotion = utterances[index].emotion
        if emotion is not None:
            classes.setdefault(emotion, []).append(index)
    labelled = sum(map(len, classes.values()))
    for size in sizes:
        if not 0 <= size <= labelled:
            valid = f"0 to {labelled}, the number of labels" if labelled else "0, for there are no labels"
            raise UserError(f"a budget of {size} labelled utterances: expected {valid}")
    queues = [list(rng.permutation(classes[emotion])) for emotion in sorted(classes)]
    drawn: list[int] = []  # in the order of drawing: each budget is a beginning of it
    while any(queues) and len(drawn) < max(sizes, default=0):
        drawn += [int(queues[which].pop()) for which in rng.permutation(len(queues)) if queues[which]]
    return {size: tuple(sorted(drawn[:size])) for size in sizes}


def equal_sample(utterances: Sequence[Utterance], emotions: Sequence[str], count: int, *, seed: int = 0) -> Part:
    """`count` utterances of each emotion, or as many as the rarest emotion has.

    Of an emotion the speakers have equally many, until the utterances of some are used up. A smaller count draws
    some of what a larger one does. Errors: UserError for an emotion without utterances.
    """
    counts = Counter(emotion for utterance in utterances if (emotion := utterance.emotion) and emotion in emotions)
    for emotion in emotions:
        if not counts[emotion]:
            raise UserError(f"a sample of {count} utterances of each emotion: there is none of {emotion}")
    size, rng = min(count, *counts.values()), np.random.default_rng(seed)
    shuffled: dict[tuple[str, str], list[int]] = {}  # of each emotion and speaker
    for row in rng.permutation(_ordered(utterances)).tolist():
        utterance = utterances[row]
        if utterance.emotion in counts:
            shuffled.setdefault((utterance.emotion or "", person(utterance) or ""), []).append(row)
    drawn: list[int] = []
    for emotion in sorted(set(emotions)):
        of_emotion = [shuffled[key] for key in sorted(shuffled) if key[0] == emotion]
        turns = itertools.zip_longest(*(of_emotion[index] for index in rng.permutation(len(of_emotion))))
        drawn += [row for turn in turns for row in turn if row is not None][:size]
    return tuple(sorted(drawn))


def _ordered(utterances: Sequence[Utterance]) -> list[int]:
    """Indices in an order that does not depend on the order of the utterances."""
    keys = [(u.corpus, u.id, u.path, u.start) for u in utterances]
    return sorted(range(len(utterances)), key=keys.__getitem__)


def _by_speaker(
    utterances: Sequence[Utterance], what: str, needed: int, by_utterance: Collection[str] = ()
) -> list[list[int]]:
    """The indices of each speaker, in the order of their names. Errors: UserError where there are fewer than `needed`.

    what: the subject and verb of the error, such as "3 folds need". by_utterance: corpora whose utterances stand alone.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, utterance in enumerate(utterances):
        alone = utterance.corpus in by_utterance
        key = (
            (utterance.corpus, utterance.id, utterance.path, utterance.start or 0.0)
            if alone
            else (speaker_of(utterance),)
        )
        groups.setdefault(key, []).append(index)
    if len(groups) < needed:
        corpora = ", ".join(sorted({utterance.corpus for utterance in utterances})) or "no corpus"
        single = "; with a single speaker nothing can be claimed of others" if len(groups) == 1 else ""
        raise UserError(f"{what} {needed} speakers, but there are {len(groups)} ({corpora}){single}")
    return [groups[key] for key in sorted(groups)]


def _divide(
    utterances: Sequence[Utterance], groups: Sequence[Sequence[int]], ratios: Sequence[float], seed: int
) -> tuple[Part, ...]:
    """Deal G groups out to P parts so that the count of each emotion in a part is near its ratio of the total."""
    emotions = sorted({u.emotion or "" for u in utterances})
    counts = []
    for group in groups:
        own = Counter(utterances[index].emotion or "" for index in group)
        counts.append(tuple(own[emotion] for emotion in emotions))
    deal = _best_deal if len(groups) < MANY else _best_deal.__wrapped__  # which would fill the memory
    parts = deal(tuple(counts), tuple(ratios), seed)
    return tuple(
        tuple(sorted(index for which, group in zip(parts, groups) if which == part for index in group))
        for part in range(len(ratios))
    )


@functools.lru_cache(maxsize=16)
def _best_deal(counts: tuple[tuple[int, ...], ...], ratios: tuple[float, ...], seed: int) -> tuple[int, ...]:
    """The part of each group with `counts` of emotions: the best of some deals.

    Of the same speech it is asked for several times in a run.
    """
    rng = np.random.default_rng(seed)
    restarts = RESTARTS if len(counts) < MANY else 1  # with so many to deal, the first is good enough
    deals = (_deal(np.asarray(counts, dtype=np.float64), np.asarray(ratios), rng) for _ in range(restarts))
    _, parts = min(deals, key=lambda deal: deal[0])
    return tuple(parts.tolist())


def _deal(
    counts: NDArray[np.float64], ratios: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, NDArray[np.int64]]:
    """A greedy deal of G groups with `counts` (G, E) in random order: its cost, and the part of each group (G,).

    The cost is chi-squared: the squared differences between actual and expected counts (P, E), over the expected.
    """
    expected = ratios[:, None] * counts.sum(axis=0)
    dealt = np.zeros_like(expected)
    parts = np.full(len(counts), -1)
    order = rng.permutation(len(counts))
    for turn, group in enumerate(order):
        growth = ((2 * (dealt - expected) + counts[group]) * counts[group] / expected).sum(axis=1)
        empty = dealt.sum(axis=1) == 0
        if empty.sum() >= len(order) - turn:  # every remaining group is needed for an empty part
            growth[~empty] = np.inf
        best = np.flatnonzero(growth <= growth.min() + 1e-9)
        parts[group] = rng.choice(best)
        dealt[parts[group]] += counts[group]
    return float(((dealt - expected) ** 2 / expected).sum()), parts
