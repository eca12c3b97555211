"""The way of a listener through a study: its steps, drawn anew for each listener and then fixed.

questions -> check -> practice-0 .. -> item-0 .. (a break between two blocks) -> end

Ours, where Han et al. (ICASSP 2025) say nothing: each block of items holds as many of each emotion, of each language
and of both together as may be; the order of blocks, and of items within a block, is random; attention checks stand in
even stretches, neither first nor last in theirs. No item comes twice.
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from emobridge.listening.records import ListeningStudy

QUESTIONS, AUDIO_CHECK, PRACTICE, ITEM, BREAK, END = "questions", "check", "practice", "item", "break", "end"
_TRIES = 4000  # exchanges of two cells between two blocks: far more than a study of 1,000 items needs


@dataclass(frozen=True, slots=True)
class ListeningStep:
    """A page that a listener comes to."""

    name: str  # such as "item-3"; no two steps of a listener have the same
    item: str = ""  # id of the item that is judged

    @property
    def kind(self) -> str:
        """What the page is: one of the constants above. Attention checks are items: they must look the same.

        >>> ListeningStep("item-3").kind, ListeningStep("end").kind
        ('item', 'end')
        """
        return self.name.partition("-")[0]

    @property
    def number(self) -> int:
        """Its number among the steps of its kind, from 0."""
        return int(self.name.partition("-")[2] or 0)


def draw_steps(study: ListeningStudy, number: int) -> tuple[ListeningStep, ...]:
    """All steps of the listener with this number, from 1, in their order; the same for the same study and number.

    What the items are is part of the seed: from seed and number alone a listener could find out by this function which
    places in a block hold the same emotion.
    """
    items = " ".join(f"{item.id} {item.emotion} {item.utterance}" for item in study.items)
    draw = random.Random(f"{study.seed} {number} {items}")
    practice = [item.id for item in study.items if item.kind == "practice"]
    steps = [ListeningStep(QUESTIONS)] if study.questions else []
    steps += [
        ListeningStep(AUDIO_CHECK),
        *(ListeningStep(f"{PRACTICE}-{position}", item) for position, item in enumerate(practice)),
    ]
    blocks = _with_attention(_draw_blocks(study, draw), _ids(study, "attention"), draw)
    position = 0
    for turn, block in enumerate(blocks):
        if turn:
            steps.append(ListeningStep(f"{BREAK}-{turn - 1}"))
        for item in block:
            steps.append(ListeningStep(f"{ITEM}-{position}", item))
            position += 1
    return (*steps, ListeningStep(END))


def _ids(study: ListeningStudy, kind: str) -> list[str]:
    return [item.id for item in study.items if item.kind == kind]


def _draw_blocks(study: ListeningStudy, draw: random.Random) -> list[list[str]]:
    """The ids of the items in random order, block by block."""
    cells: dict[tuple[str, str], list[str]] = {}
    for item in study.items:
        if item.kind == "item":
            cells.setdefault((item.emotion, item.language), []).append(item.id)
    shares = [dict(share) for share in _shares(tuple((cell, len(ids)) for cell, ids in cells.items()), study.block)]
    draw.shuffle(shares)
    for ids in cells.values():
        draw.shuffle(ids)
    blocks = []
    for share in shares:
        block = [cells[cell].pop() for cell in cells for _ in range(share.get(cell, 0))]
        draw.shuffle(block)
        blocks.append(block)
    return blocks


@functools.lru_cache(maxsize=16)
def _shares(counts: tuple[tuple[tuple[str, str], int], ...], block: int) -> tuple[Counter[tuple[str, str]], ...]:
    """How many items of each cell (emotion, language) each block holds: the same for all listeners.

    counts: cells and the number of their items. Cells are dealt in turn, so that blocks and cells are even; exchanges
    of what is uneven then make emotions and languages so.
    """
    total = sum(count for _, count in counts)
    number = max(1, -(-total // max(1, block)))
    shares: list[Counter[tuple[str, str]]] = [Counter() for _ in range(number)]
    turn = 0
    for cell, count in sorted(counts):
        for _ in range(count):
            shares[turn % number][cell] += 1
            turn += 1
    draw = random.Random(0)
    for _ in range(_TRIES if number > 1 else 0):
        first, second = draw.sample(shares, 2)
        give = draw.choice(sorted(first.elements()))
        take = draw.choice(sorted(second.elements()))
        before = _unevenness(first) + _unevenness(second)
        _exchange(first, second, give, take)
        if _unevenness(first) + _unevenness(second) > before:
            _exchange(first, second, take, give)
    return tuple(shares)


def _exchange(first: Counter[tuple[str, str]], second: Counter[tuple[str, str]], give: object, take: object) -> None:
    for block, lost, got in ((first, give, take), (second, take, give)):
        block[lost] -= 1  # type: ignore[index]
        block[got] += 1  # type: ignore[index]


def _unevenness(block: Counter[tuple[str, str]]) -> int:
    """The sum of squared counts of cells, emotions and languages, least where all blocks have like counts.

    Cells weigh most: an exchange may not make them uneven for the sake of an emotion.
    """
    emotions: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for (emotion, language), count in block.items():
        emotions[emotion] += count
        languages[language] += count
    cells = sum(count * count for count in block.values())
    return 8 * cells + sum(count * count for part in (emotions, languages) for count in part.values())


def _with_attention(blocks: Sequence[list[str]], checks: list[str], draw: random.Random) -> list[list[str]]:
    """The blocks with the attention checks: each in the middle half of its stretch of the items."""
    draw.shuffle(checks)
    total = sum(map(len, blocks))
    stretch = total / max(1, len(checks))
    before = [int(stretch * (turn + draw.uniform(0.25, 0.75)) + 0.5) for turn in range(len(checks))]
    mixed, done, waiting = [], 0, list(zip(before, checks))
    for block in blocks:
        items: list[str] = []
        for item in block:
            while waiting and waiting[0][0] <= done and done:
                items.append(waiting.pop(0)[1])
            items.append(item)
            done += 1
        mixed.append(items)
    mixed[-1] += [check for _, check in waiting]
    return mixed
