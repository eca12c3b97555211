"""Who trains, who validates, who tests: tuples of indices into a sequence of utterances, in ascending order.

Parts share no speaker unless that is asked for; a speaker is one of a corpus, so "01" of two corpora are two people.
What comes out depends on the seed and on the utterances, not on the order in which these are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emobridge.data.manifest import SPLITS
from emobridge.errors import UserError, unknown
from emobridge.types import Utterance, person

Part = tuple[int, ...]
RESTARTS = 10  # the best of so many; more would give every seed the same split


def speaker_of(utterance: Utterance) -> str:
    """The `person` who speaks. Errors: UserError where the speaker is not known."""
    speaker = person(utterance)
    if speaker is None:
        raise UserError(f"utterance {utterance.id!r} of {utterance.corpus} has no speaker; expected one for this split")
    return speaker


def by_ratio(
    utterances: Sequence[Utterance],
    ratios: Sequence[float] = (0.6, 0.2, 0.2),
    *,
    seed: int,
    share_speakers: bool = False,
) -> tuple[Part, ...]:
    """One part a ratio (they sum to 1), each with emotions in the proportions of the whole as nearly as speakers allow.

    `share_speakers` draws utterances instead of speakers: scores on such a split say nothing of new speakers.
    Errors: UserError for bad ratios, for fewer speakers (or utterances) than parts and for speakers that are not known.
    """
    if not ratios or min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise UserError(f"the ratios {tuple(ratios)} of a split: expected numbers above 0 that sum to 1")
    if share_speakers:
        groups = [[index] for index in _ordered(utterances)]
        if len(groups) < len(ratios):
            raise UserError(f"{len(ratios)} parts need as many utterances; there are {len(groups)}")
    else:
        groups = _by_speaker(utterances, f"{len(ratios)} parts", len(ratios))
    return _divide(utterances, groups, ratios, seed)


def by_fold(utterances: Sequence[Utterance], folds: int, *, seed: int) -> tuple[Part, ...]:
    """`folds` parts without common speakers, alike in size and emotions; each is the test part of one run.

    Errors: UserError for fewer than two folds, fewer speakers than folds and speakers that are not known.
    """
    if folds < 2:
        raise UserError(f"{folds} folds: expected 2 or more")
    return _divide(utterances, _by_speaker(utterances, f"{folds} folds", folds), (1 / folds,) * folds, seed)


def leave_one_speaker_out(utterances: Sequence[Utterance]) -> tuple[Part, ...]:
    """One part a speaker, in the order of their names. Errors: UserError for one speaker, or unknown ones."""
    return tuple(tuple(group) for group in _by_speaker(utterances, "leaving one speaker out", 2))


def predefined(utterances: Sequence[Utterance]) -> tuple[Part, Part, Part]:
    """Training, validation and test part as the column `split` has them; whether speakers are shared is its affair.

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
    """For each size so many labelled utterances, the smaller sets inside the larger ones.

    Emotions are equally frequent (counts differ by 1 at most) until those of a rare one are used up.
    Errors: UserError for a negative size and for one above the number of labelled utterances.
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
            raise UserError(f"a budget of {size} labelled utterances: expected 0 to {labelled}, which is all there are")
    queues = [list(rng.permutation(classes[emotion])) for emotion in sorted(classes)]
    drawn: list[int] = []  # in the order of drawing: each budget is a beginning of it
    while any(queues):
        drawn += [int(queues[which].pop()) for which in rng.permutation(len(queues)) if queues[which]]
    return {size: tuple(sorted(drawn[:size])) for size in sizes}


def equal_sample(utterances: Sequence[Utterance], emotions: Sequence[str], each: int) -> Part:
    """`each` utterances of every emotion, of the rarest as many as there are and of the others no more, drawn once.

    Errors: UserError for an emotion without utterances.
    """
    counts = {emotion: sum(one.emotion == emotion for one in utterances) for emotion in emotions}
    for emotion, count in counts.items():
        if not count:
            raise UserError(f"a sample of {each} utterances of each emotion: there is none of {emotion}")
    rows = [place for place, one in enumerate(utterances) if one.emotion in counts]
    size = len(counts) * min(each, *counts.values())
    chosen = label_budgets([utterances[row] for row in rows], (size,), seed=0)[size]
    return tuple(rows[place] for place in chosen)


def _ordered(utterances: Sequence[Utterance]) -> list[int]:
    """Indices in an order that does not depend on the one given."""
    keys = [(u.corpus, u.id, u.path, u.start) for u in utterances]
    return sorted(range(len(utterances)), key=keys.__getitem__)


def _by_speaker(utterances: Sequence[Utterance], what: str, needed: int) -> list[list[int]]:
    """The indices of each speaker, in the order of their names. Errors: UserError where they are too few for `what`."""
    groups: dict[str, list[int]] = {}
    for index, utterance in enumerate(utterances):
        groups.setdefault(speaker_of(utterance), []).append(index)
    if len(groups) < needed:
        corpora = ", ".join(sorted({utterance.corpus for utterance in utterances})) or "no corpus"
        lone = "; with a single speaker nothing can be claimed of others" if len(groups) == 1 else ""
        raise UserError(f"{what} need {needed} speakers, but there are {len(groups)} ({corpora}){lone}")
    return [groups[key] for key in sorted(groups)]


def _divide(
    utterances: Sequence[Utterance], groups: Sequence[Sequence[int]], ratios: Sequence[float], seed: int
) -> tuple[Part, ...]:
    """Deal G groups out to P parts so that each emotion's count comes near `ratios` times its total."""
    emotions = sorted({u.emotion or "" for u in utterances})
    counts = np.zeros((len(groups), len(emotions)))
    for row, group in zip(counts, groups):
        for emotion, count in Counter(utterances[index].emotion or "" for index in group).items():
            row[emotions.index(emotion)] = count
    rng = np.random.default_rng(seed)
    restarts = RESTARTS if len(groups) < 10_000 else 1  # with so many to deal, the first is good enough
    deals = (_deal(counts, np.asarray(ratios), rng) for _ in range(restarts))
    _, parts = min(deals, key=lambda deal: deal[0])
    return tuple(
        tuple(sorted(index for which, group in zip(parts, groups) if which == part for index in group))
        for part in range(len(ratios))
    )


def _deal(
    counts: NDArray[np.float64], ratios: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, NDArray[np.int64]]:
    """One greedy deal of G groups with `counts` (G, E) in random order: its cost, and the part of each group (G,).

    The cost is chi-squared: how far counts (P, E) are from the wanted ones, squared, over the wanted ones.
    """
    wanted = ratios[:, None] * counts.sum(axis=0)
    held = np.zeros_like(wanted)
    parts = np.full(len(counts), -1)
    order = rng.permutation(len(counts))
    for dealt, group in enumerate(order):
        growth = ((2 * (held - wanted) + counts[group]) * counts[group] / wanted).sum(axis=1)
        empty = held.sum(axis=1) == 0
        if empty.sum() >= len(order) - dealt:  # as many groups are left as parts are empty
            growth[~empty] = np.inf
        best = np.flatnonzero(growth <= growth.min() + 1e-9)
        parts[group] = rng.choice(best)
        held[parts[group]] += counts[group]
    return float(((held - wanted) ** 2 / wanted).sum()), parts
