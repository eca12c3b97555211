"""How the clips of a corpus are cut into units of work, each of which makes one shard of a feature store.

The cut is the same whoever makes it: one process, several, or machines that share a store. It takes no look at what
files hold, so that each of many machines may cut a large corpus and read its own share alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from emobridge.data.audio import AudioError, utterance_seconds
from emobridge.types import Utterance


def cut_units(utterances: Sequence[Utterance], size: int, *, strict: bool = False) -> list[list[int]]:
    """The rows of each unit of up to `size` clips, the longest clips first; clips of one length in order of their path.

    A stretch of a file that stands twice is in one unit, once. A file is opened only where its row has no end; rows
    whose length cannot be read come last. Errors: AudioError for such a row with `strict`.
    """
    rows: dict[tuple[object, ...], int] = {}
    for row, utterance in enumerate(utterances):
        rows.setdefault(_stretch(utterance), row)
    order = sorted(rows.values(), key=lambda row: (-_seconds(utterances[row], strict), _stretch(utterances[row])))
    return [order[first : first + size] for first in range(0, len(order), size)]


def _seconds(utterance: Utterance, strict: bool) -> float:
    try:
        seconds = utterance_seconds(utterance)
    except AudioError:
        if strict:
            raise
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0  # what has no order would make the cut depend on the rows' order


def _stretch(utterance: Utterance) -> tuple[str, float, float, int]:
    """Where a clip is, in an order of its own. No end and no channel stand before all others."""
    end = -1.0 if utterance.end is None else float(utterance.end)
    channel = -1 if utterance.channel is None else utterance.channel
    return utterance.path, float(utterance.start), end, channel
