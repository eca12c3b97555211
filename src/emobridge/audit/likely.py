"""Likely copies among N clips, in time that is nearly linear in the length of their sound.

The subfingerprints of all clips are sorted four times, each time with another quarter of their bits first, and each is
compared with the next six of other clips alone (the sorted tables of Manku, Jain & Das Sarma 2007). Somewhere in a
copy, a quarter and more of the bits are as they were. Where two subfingerprints are alike, those before and after them
are compared too. A recording that is there a thousand times links its copies from one to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from emobridge.audit.fingerprint import Fingerprint

BITS = 32
ORDERS = 4  # sortings
NEXT = 6  # subfingerprints that each is compared with in a sorting
NEAR = 6  # bits in which two subfingerprints may differ
PROBES = tuple(
    hops for hops in range(-48, 49, 6) if hops
)  # from two subfingerprints to others of their clips, up to 1 s
ALIKE = 0.32  # of the bits at the probes may differ: 0.5 by chance, 0.1 to 0.31 in copies at 7 to 24 kbit/s
LEAST_PROBES = 3  # probes that must lie in active hops of both clips
PAIRS_AT_ONCE = 500_000  # pairs of subfingerprints at a time

Index = NDArray[np.int64]


def likely_copies(prints: Sequence[Fingerprint]) -> Iterator[Index]:
    """Chunks of rows, each (M, 3): clips a < b, and the lag in hops: what is in a at hop t is in b at about t + lag.

    A row may come again in a later chunk.
    """
    if len(prints) > 1:
        table = _Words(prints)
        yield from (table.lags(first, second) for first, second in _near_pairs(table))


class _Words:
    """The subfingerprints of all clips, one after the other: H hops."""

    def __init__(self, prints: Sequence[Fingerprint]) -> None:
        sizes = [len(item.subfingerprints) for item in prints]
        self.subfingerprints = np.concatenate([item.subfingerprints for item in prints])  # (H,)
        self.active = np.concatenate([item.active for item in prints])  # (H,)
        self.clip = np.repeat(np.arange(len(prints), dtype=np.int32), sizes)  # (H,)
        self.start = np.cumsum([0, *sizes])  # of each clip

    def indexed(self) -> Index:
        """The active hops, without those whose subfingerprint is that of the hop before."""
        repeated = (self.subfingerprints[1:] == self.subfingerprints[:-1]) & (self.clip[1:] == self.clip[:-1])
        return np.flatnonzero(self.active & ~np.concatenate([[False], repeated]))

    def lags(self, first: Index, second: Index) -> Index:
        """(M, 3) as `likely_copies` yields them, of pairs of hops about which other subfingerprints are alike too."""
        differing, compared = np.zeros(len(first), dtype=np.int64), np.zeros(len(first), dtype=np.int64)
        for probe in PROBES:
            there = [np.clip(hops + probe, 0, len(self.subfingerprints) - 1) for hops in (first, second)]
            inside = np.ones(len(first), dtype=bool)
            for hops, other in zip((first, second), there):
                inside &= self.active[other] & (self.clip[other] == self.clip[hops])
            differing += np.where(inside, bits_set(self.subfingerprints[there[0]] ^ self.subfingerprints[there[1]]), 0)
            compared += inside
        alike = (compared >= LEAST_PROBES) & (differing <= ALIKE * BITS * compared)
        a, b = np.minimum(first, second)[alike], np.maximum(first, second)[alike]
        clips = self.clip[a], self.clip[b]
        rows = np.stack([*clips, (b - self.start[clips[1]]) - (a - self.start[clips[0]])], axis=1)
        return np.unique(rows.astype(np.int64), axis=0)


def _near_pairs(table: _Words) -> Iterator[tuple[Index, Index]]:
    """Pairs of hops of two clips with nearly the same subfingerprint, in chunks."""
    hops = table.indexed()
    for order in range(ORDERS):
        subfingerprints, shift = table.subfingerprints[hops], BITS // ORDERS * order
        rotated = (
            subfingerprints << np.uint32(shift) | subfingerprints >> np.uint32(BITS - shift)
            if shift
            else subfingerprints
        )
        by_word = hops[np.argsort(rotated, kind="stable")]
        for step in range(1, NEXT + 1):
            for begin in range(0, len(by_word) - step, PAIRS_AT_ONCE):
                first = by_word[begin : min(begin + PAIRS_AT_ONCE, len(by_word) - step)]
                second = by_word[begin + step : begin + step + len(first)]
                near = bits_set(table.subfingerprints[first] ^ table.subfingerprints[second]) <= NEAR
                near &= table.clip[first] != table.clip[second]
                yield first[near], second[near]


def bits_set(subfingerprints: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """How many bits of each subfingerprint are 1."""
    return np.asarray(BITS_SET[subfingerprints & np.uint32(0xFFFF)] + BITS_SET[subfingerprints >> np.uint32(16)])


BITS_SET = np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)
