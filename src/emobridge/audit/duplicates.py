"""Recordings that are there more than once, sample for sample or changed.

Changed copies are found by `audit.fingerprint`: at another rate, coded, louder or quieter, clipped, inverted, with an
offset or light noise, trimmed, padded, or as a part of a longer recording. Those that are played faster or slower, or
transposed, are not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from emobridge.audit.coherence import COVERED, Match, match_clips
from emobridge.audit.finding import Finding, first_names
from emobridge.audit.fingerprint import Fingerprint
from emobridge.audit.hearing import DecodedManifest
from emobridge.audit.likely import likely_copies
from emobridge.types import Utterance, person

OFFSET = 0.02  # s, from which on a message names it
GAIN = 1.0  # dB, likewise

ManifestRow = tuple[str, Utterance]  # of the manifest of this name
Copy = tuple[int, int, Match]  # clips a < b and how they match


def duplicates(decoded: Sequence[DecodedManifest]) -> Iterator[Finding]:
    """Findings of equal recordings ("duplicate audio") and of changed copies ("near-duplicate audio")."""
    copies: dict[bytes, list[ManifestRow]] = defaultdict(list)
    prints: dict[bytes, Fingerprint] = {}  # equal recordings are compared with others once
    for manifest in decoded:
        for digest, row, item in zip(manifest.digests, manifest.rows, manifest.prints):
            if digest:
                copies[digest].append((manifest.name, row))
            if item is not None:
                prints[digest] = item
    yield from _equal(members for members in copies.values() if len(members) > 1)
    clips = [copies[digest] for digest in prints]
    yield from _changed(clips, *find_copies(list(prints.values())))


def find_copies(prints: Sequence[Fingerprint]) -> tuple[list[Copy], Groups]:
    """Pairs of copies among clips, and the groups that they make; of k copies of one recording there are k - 1 pairs.

    A part and its whole are a pair, but no group: other parts of the whole are no copies of the part.
    """
    groups = Groups(len(prints))
    copies: list[Copy] = []
    tried: set[tuple[int, int, int]] = set()
    for rows in likely_copies(prints):
        for a, b, lag in map(tuple, rows.tolist()):
            if (a, b, lag) in tried or groups.of(a) == groups.of(b):
                continue
            tried.add((a, b, lag))
            match = match_clips(prints[a], prints[b], lag)
            if match is None or match.evidence < 1:
                continue
            copies.append((a, b, match))
            if match.share >= COVERED:
                groups.join(a, b)
    return copies, groups


class Groups:
    """Which of N things belong together, as pairs of them are joined."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def of(self, item: int) -> int:
        """The number of the group that an item belongs to."""
        while self._parent[item] != item:
            self._parent[item] = item = self._parent[self._parent[item]]
        return item

    def join(self, a: int, b: int) -> None:
        """Make one group of those of a and b."""
        self._parent[self.of(b)] = self.of(a)


def _equal(groups: Iterator[list[ManifestRow]]) -> Iterator[Finding]:
    kinds: dict[tuple[str, str], list[list[Utterance]]] = defaultdict(list)
    for members in groups:
        kinds[_where(members), _contradictions(members)].append([row for _, row in members])
    for (where, how), group in kinds.items():
        pairs = first_names([" = ".join(row.id for row in rows) for rows in group])
        message = f"{where}: {len(group)} recording(s) are there more than once{f' {how}' if how else ''}: {pairs}"
        ids = tuple(row.id for rows in group for row in rows)
        yield Finding("duplicate audio", "error" if how else "warning", message, ids)


def _changed(clips: Sequence[list[ManifestRow]], copies: Sequence[Copy], groups: Groups) -> Iterator[Finding]:
    """clips: the rows of each clip that `copies` are numbered by."""
    members: dict[tuple[int, ...], dict[int, None]] = defaultdict(dict)  # clips, of a group or of a part and its whole
    pairs: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for a, b, match in copies:
        key: tuple[int, ...] = (groups.of(a),) if match.share >= COVERED else (a, b)
        members[key] |= {a: None, b: None}
        pairs[key].append(f"{clips[a][0][1].id} ~ {clips[b][0][1].id}{_difference(match)}")
    kinds: dict[tuple[str, str], list[tuple[list[ManifestRow], list[str]]]] = defaultdict(list)
    for key, indices in members.items():
        rows = [row for index in indices for row in clips[index]]
        kinds[_where(rows), _contradictions(rows)].append((rows, pairs[key]))
    for (where, how), recordings in kinds.items():
        names = first_names([pair for _, pairs_of in recordings for pair in pairs_of])
        message = f"{where}: {len(recordings)} recording(s) have changed copies{f' {how}' if how else ''}: {names}"
        ids = tuple(dict.fromkeys(row.id for rows, _ in recordings for _, row in rows))
        yield Finding("near-duplicate audio", "error" if how else "warning", message, ids)


def _difference(match: Match) -> str:
    """How the second of two copies differs from the first, in brackets; "" where that is not known."""
    facts = {
        "one is a part of the other": match.share < COVERED,
        f"offset {match.lag:+.2f} s": abs(match.lag) >= OFFSET,
        f"gain {match.gain:+.0f} dB": abs(match.gain) >= GAIN,
        "inverted": match.inverted,
    }
    parts = ", ".join(fact for fact, holds in facts.items() if holds)
    return f" ({parts})" if parts else ""


def _where(members: Sequence[ManifestRow]) -> str:
    return " and ".join(dict.fromkeys(name for name, _ in members))


def _contradictions(members: Sequence[ManifestRow]) -> str:
    """How the rows of one recording contradict each other; "" where they do not. An unknown speaker is no other."""
    facts = {
        "with different emotions": len({row.emotion for _, row in members}) > 1,
        "with different speakers": len({person(row) for _, row in members} - {None}) > 1,
        "in several manifests": len({name for name, _ in members}) > 1,
    }
    return ", ".join(fact for fact, holds in facts.items() if holds)
