"""Alignments of utterances from the files that people have: TextGrids, EMO-DB's labels, CTM, the demo corpora's tables.

Times in a file are those of the utterance's audio file; an utterance that is a stretch of it gets the phones of that
stretch, from its own start. What cannot be used is left out, and counted in notes.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from emobridge.data.audio import END_TOLERANCE, AudioError, utterance_seconds
from emobridge.data.tally import Tally
from emobridge.errors import UserError, count_noun
from emobridge.phones.base import Alignment, Phone
from emobridge.phones.ctm import read_ctm
from emobridge.phones.labels import LABLAUT, guess_notation, ipa_of, kind_of
from emobridge.phones.lablaut import read_lablaut
from emobridge.phones.table import read_phone_table
from emobridge.phones.textgrid import read_phone_tier
from emobridge.progress import report_note
from emobridge.types import Utterance

Interval = tuple[float, float, str]  # start, end (s), label
READERS: dict[str, Callable[[Path], Sequence[Interval] | Mapping[str, Sequence[Interval]]]] = {
    ".textgrid": read_phone_tier,
    ".lablaut": read_lablaut,
    ".ctm": read_ctm,
    ".phones.tsv": read_phone_table,
}
NOTATION = {".lablaut": LABLAUT, ".phones.tsv": "ipa"}  # of other files it is guessed, file by file
LABLAUT_END = "xx"  # of the stem, behind that of the audio file
ROUNDED_TIME = 0.001  # s; what overlaps by less is rounding
LABELS_SHOWN = 10  # unknown labels that are named; the others are counted


def read_alignments(
    utterances: Iterable[Utterance],
    folder: str | Path | None = None,
    on_note: Callable[[str], None] = report_note,
) -> dict[str, Alignment]:
    """The alignments of utterances by their id; those that have none are counted in the notes, and absent.

    folder: of files, at any depth, that are named by the utterance's id or the stem of its audio file, with one of the
    suffixes of READERS, or a file of CTM; it goes before the path in an utterance's `phones`. on_note: gets a line for
    each kind of thing that was left out or mended: phones beyond the end of the audio or over one another, empty
    intervals, unknown labels (with their counts), files that are none of the formats.
    Errors: UserError for a folder that is not there, and where no utterance at all has an alignment.
    """
    utterances = list(utterances)
    reading = _Cleaning()
    files = _Files(Path(folder) if folder is not None else None, reading.tally)
    alignments: dict[str, Alignment] = {}
    for utterance in utterances:
        try:
            where = files.path_of(utterance)
            intervals = [] if where is None else files.intervals(where, utterance)
        except UserError as error:
            reading.tally.add("phone alignments that cannot be read", str(error))
            continue
        if where is None:
            reading.tally.add("utterances without a phone alignment", utterance.id)
            continue
        alignment = reading.alignment(intervals, utterance, where)
        if alignment is None:
            reading.tally.add("phone alignments without a phone that can be used", str(where))
        else:
            alignments[utterance.id] = alignment
    for line in reading.lines():
        on_note(line)
    if not alignments:
        reasons = "; ".join(reading.lines()[:3]) or "there are no utterances"
        raise UserError(f"no phone alignments to use{f' in {folder}' if folder else ''}: {reasons}")
    return alignments


def suffix_of(path: str | Path) -> str | None:
    """The suffix of READERS that a file's name ends in, whatever its case; None for any other file."""
    name = os.path.basename(path).lower()
    return next((suffix for suffix in READERS if name.endswith(suffix)), None)


class _Files:
    """Where the alignment of an utterance is, and what is in it; a CTM file is read once."""

    def __init__(self, folder: Path | None, tally: Tally) -> None:
        self._tally = tally
        self._ctm: dict[Path, Mapping[str, Sequence[Interval]]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        self._shared: list[Path] = []  # CTM files, which hold any number of utterances
        for path in _alignment_files(folder) if folder is not None else ():
            suffix = suffix_of(path)
            if suffix == ".ctm":
                self._shared.append(path)
            elif suffix is not None:
                stem = path.name[: -len(suffix)]
                for name in {stem, stem.removesuffix(LABLAUT_END) if suffix == ".lablaut" else stem}:
                    self._by_stem.setdefault(name, []).append(path)

    def path_of(self, utterance: Utterance) -> Path | None:
        """The file in the folder that has a name of the utterance, or the path in its row; None without either."""
        for name in _names(utterance):
            if name in self._by_stem:
                paths = self._by_stem[name]
                if len(paths) > 1:
                    self._tally.add("utterances with several files of alignments, of which the first is read", name)
                return paths[0]
        for path in self._shared:
            if any(name in self._utterances(path) for name in _names(utterance)):
                return path
        return Path(utterance.phones) if utterance.phones else None

    def intervals(self, path: Path, utterance: Utterance) -> Sequence[Interval]:
        """What the file has for the utterance. Errors: UserError for a file that cannot be read or has no such one."""
        suffix = suffix_of(path)
        if suffix is None:
            raise UserError(f"{path}: of none of the formats {', '.join(READERS)}")
        if suffix != ".ctm":
            alignment = READERS[suffix](path)
            assert not isinstance(alignment, Mapping)
            return alignment
        shared = self._utterances(path)
        for name in _names(utterance):
            if name in shared:
                return shared[name]
        raise UserError(f"{path}: has no utterance {utterance.id!r}")

    def _utterances(self, path: Path) -> Mapping[str, Sequence[Interval]]:
        if path not in self._ctm:
            self._ctm[path] = read_ctm(path)
        return self._ctm[path]


def _alignment_files(folder: Path) -> Iterator[Path]:
    """The folder's files, sorted; of a file, itself. Errors: UserError where there is neither."""
    if folder.is_file():
        yield folder
    elif folder.is_dir():
        yield from sorted(path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file())
    else:
        raise UserError(f"{folder}: no such folder of phone alignments")


def _names(utterance: Utterance) -> tuple[str, str]:
    return utterance.id, os.path.splitext(os.path.basename(utterance.path))[0]


class _Cleaning:
    """Makes alignments of intervals, and counts what is odd."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._unknown: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def alignment(self, intervals: Sequence[Interval], utterance: Utterance, path: Path) -> Alignment | None:
        """The phones in order, within the utterance, none over another; None where nothing is left but pauses."""
        notation = NOTATION.get(suffix_of(path) or "") or guess_notation(label for _, _, label in intervals)
        phones = [phone for interval in intervals if (phone := self._phone(interval, notation, path)) is not None]
        if any(phone.start < before.start for before, phone in itertools.pairwise(phones)):
            self.tally.add("phone alignments that are not in order of time", str(path))
            phones.sort(key=lambda phone: phone.start)
        phones = self._within(self._apart(phones, path), utterance, path)
        return Alignment(tuple(phones)) if any(phone.kind != "pause" for phone in phones) else None

    def lines(self) -> list[str]:
        """What was left out or mended, for a terminal."""
        lines = self.tally.lines()
        if self._unknown:
            names = [
                f"{label[:40]!r} ({count:,}, the first: {self._first[label]})"
                for label, count in self._unknown.most_common(LABELS_SHOWN)
            ]
            more = len(self._unknown) - LABELS_SHOWN
            names += [f"{more:,} more"] if more > 0 else []
            count = count_noun(self._unknown.total(), "interval")
            lines.append(f"left out {count} with unknown phone labels: {', '.join(names)}")
        return lines

    def _phone(self, interval: Interval, notation: str, path: Path) -> Phone | None:
        start, end, label = interval
        if end <= start:
            self.tally.add("empty intervals of phones, left out", str(path))
            return None
        ipa = ipa_of(label, notation)
        kind = None if ipa is None else kind_of(ipa)
        if ipa is None or kind is None:
            self._unknown[label] += 1
            self._first.setdefault(label, str(path))
            return None
        return Phone(start, end, ipa, kind, label)

    def _apart(self, phones: Sequence[Phone], path: Path) -> list[Phone]:
        """A phone that begins inside the one before begins at its end; a phone that then has no length goes."""
        apart: list[Phone] = []
        for phone in phones:
            end = apart[-1].end if apart else phone.start
            if phone.start < end - ROUNDED_TIME:
                self.tally.add("phones that overlap the one before, cut", str(path))
            if phone.start < end:
                phone = dataclasses.replace(phone, start=end)
            if phone.start < phone.end:
                apart.append(phone)
        return apart

    def _within(self, phones: Sequence[Phone], utterance: Utterance, path: Path) -> list[Phone]:
        """The phones in the utterance's stretch of its file, in seconds from its start."""
        last = max((phone.end for phone in phones if phone.end < math.inf), default=0.0)
        try:
            end = utterance.start + utterance_seconds(utterance)
        except AudioError as error:
            self.tally.add("recordings whose length is not known, so that alignments are not cut at it", str(error))
            end = last
        if utterance.end is None and last > end + END_TOLERANCE:
            self.tally.add("phone alignments longer than their audio, cut", f"{path}: {last:.3f} s for {end:.3f} s")
        inside = []
        for phone in phones:
            first, final = max(phone.start, utterance.start), min(phone.end, end)
            if first < final:
                first, final = first - utterance.start, final - utterance.start
                inside.append(dataclasses.replace(phone, start=first, end=final))
        return inside
