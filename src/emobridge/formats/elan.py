"""ELAN: its .eaf files (https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf) and tab-delimited text.

    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/> ...
    <TIER TIER_ID="emotion@anna" PARTICIPANT="Anna"> <ANNOTATION>
      <ALIGNABLE_ANNOTATION TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"> <ANNOTATION_VALUE>anger</ANNOTATION_VALUE> ...
    emotion<TAB><TAB>00:00:00.500<TAB>0.5<TAB>00:00:02.000<TAB>2.0<TAB>00:00:01.500<TAB>1.5<TAB>anger

Times in an .eaf are milliseconds, counted from TIME_ORIGIN of the recording; an annotation that refers to another one
has the time of that one. The speaker is the participant of the tier, else what follows "@" in its name. The recording
is the audio file that the .eaf names, by its relative path where it has one.

A line of the text export has the tier, the participant (unless either was switched off), begin, end and duration, each
in one or several of the notations hh:mm:ss.ms, seconds (with a point) and milliseconds (without), and the value. An
export with a header and a column for each tier is read too. It does not name the recording: that is the audio file of
the same name beside it, in `root`, or what the option `audio` names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from emobridge.corpora import AUDIO_SUFFIXES
from emobridge.data.encodings import read_text
from emobridge.data.intake import Intake
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._segments import (
    Annotations,
    LabelledStretch,
    annotation_files,
    choose_tiers,
    first_present,
    speaker_of_tier,
)
from emobridge.types import Utterance

DEEPEST = 16  # tiers below one another; ELAN's users have three or four
NOTATIONS = {  # of a time in the text export
    "clock": re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:[.,]\d+)?)"),
    "seconds": re.compile(r"\d{1,9}[.,]\d+"),
    "milliseconds": re.compile(r"\d{1,12}"),
    "frames": re.compile(r"\d{1,4}:\d\d:\d\d[:;]\d\d"),  # of a video, whose rate the export does not tell
}
CHECKED = 0.01  # s by which begin + duration may miss the end, when each is rounded


def read(
    path: Path, *, intake: Intake, tier: str | None = None, speaker: str | None = None, audio: str | None = None
) -> Iterator[Utterance]:
    """The labelled stretches of an .eaf or .txt file, or of all .eaf files in a folder and below.

    tier: the tiers with the emotions, joined by commas; by default those with "emo" in their name, or the only one.
    speaker: "tier" or "file" where the name of the tier or the file is the speaker. audio: the recording of the only
    file. Further options: those of `data.intake.Intake`; the default corpus is the name of the folder.
    Errors: UserError for what is no such file, an unknown tier, a stretch outside the recording, and where the
    recording is not found.
    """
    annotations = Annotations(path, intake, audio, speaker)
    for file in annotation_files(path, ".eaf"):
        recording, segments = stretches(file, tier, annotations.tally, intake.root)
        yield from annotations.utterances(file, segments, recording)
    annotations.finish()


def stretches(
    file: Path, tier: str | None, tally: Tally, root: str | None = None
) -> tuple[str | None, list[LabelledStretch]]:
    """The recording that a file names, relative to it or to `root`, and its labelled stretches.

    The recording is None where the file names none. tier: as of `read`. Errors: UserError, as there.
    """
    recording = None
    if file.suffix.lower() == ".eaf":
        document = _parse(file)
        recording, origin = _media(document, root or str(file.parent), str(file))
        segments = list(_eaf_segments(document, origin, file, tally))
        tiers = [element.get("TIER_ID", "") for element in document.iter("TIER")]
    else:
        segments = list(_text_segments(file))
        tiers = list(dict.fromkeys(segment.tier for segment in segments))
    chosen = choose_tiers(tiers, tier, str(file))
    for name in tiers:
        if name not in chosen:
            tally.add(f"tier {name!r}, not read", str(file))
    return recording, [part for part in segments if part.tier in chosen]


class _NoDoctype(ElementTree.TreeBuilder):
    """Builds a tree, and refuses a document type, whose entities could be expanded to any size."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise UserError("has a document type (DOCTYPE), which no file of ELAN has")


def _parse(file: Path) -> ElementTree.Element:
    """The tree of an .eaf file. Errors: UserError for what is none."""
    try:
        root = ElementTree.parse(file, ElementTree.XMLParser(target=_NoDoctype())).getroot()
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{file}: not valid XML ({error}); expected an .eaf file of ELAN") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise UserError(f"{file}: <{root.tag[:40]}> where <ANNOTATION_DOCUMENT> is expected, as in a file of ELAN")
    return root


def _media(document: ElementTree.Element, folder: str, where: str) -> tuple[str | None, float]:
    """The recording that an .eaf names, None where it names none, and the time (s) in it at which time 0 is."""
    for media in document.iter("MEDIA_DESCRIPTOR"):
        names = [
            os.path.normpath(unquote(urlsplit(url.replace("\\", "/")).path))
            for attribute in ("RELATIVE_MEDIA_URL", "MEDIA_URL")
            if (url := media.get(attribute))
        ]
        if names and os.path.splitext(names[0])[1].lower() in AUDIO_SUFFIXES:
            name = first_present(folder, *names, os.path.basename(names[0]))
            is_moved = os.path.isabs(name) and not os.path.isfile(name)  # the path of another computer
            origin = _milliseconds(media.get("TIME_ORIGIN") or "0", where)
            return os.path.basename(name) if is_moved else name, origin
    return None, 0.0


def _eaf_segments(document: ElementTree.Element, origin: float, file: Path, tally: Tally) -> Iterator[LabelledStretch]:
    slots = {
        slot.get("TIME_SLOT_ID"): _milliseconds(slot.get("TIME_VALUE", ""), f"{file}: {slot.get('TIME_SLOT_ID')}")
        for slot in document.iter("TIME_SLOT")
        if slot.get("TIME_VALUE") is not None
    }
    annotations = {element.get("ANNOTATION_ID"): element for element in document.iter("ALIGNABLE_ANNOTATION")}
    parents = {
        element.get("ANNOTATION_ID"): element.get("ANNOTATION_REF") for element in document.iter("REF_ANNOTATION")
    }
    for tier in document.iter("TIER"):
        name = tier.get("TIER_ID", "")
        person = (tier.get("PARTICIPANT") or "").strip() or speaker_of_tier(name)
        for element in (*tier.iter("ALIGNABLE_ANNOTATION"), *tier.iter("REF_ANNOTATION")):
            where = f"{file}: {name} {element.get('ANNOTATION_ID', '')}"
            key = element.get("ANNOTATION_ID")
            for _ in range(DEEPEST):
                key = parents.get(key, key)
            timed = annotations.get(key)
            times = [slots.get(timed.get(f"TIME_SLOT_REF{number}")) for number in (1, 2)] if timed is not None else []
            if len(times) < 2 or times[0] is None or times[1] is None:
                tally.add("annotations without a time of their own, left out", where)
                continue
            label = (element.findtext("ANNOTATION_VALUE") or "").strip()
            yield LabelledStretch(where, label, origin + times[0], origin + times[1], name, person)


def _milliseconds(text: str, where: str) -> float:
    """Seconds of a whole number of milliseconds. Errors: UserError that begins with `where`."""
    try:
        return int(text) / 1000
    except (ValueError, OverflowError):
        raise UserError(f"{where}: {text[:40]!r} is no time; expected a whole number of milliseconds") from None


def _text_segments(file: Path) -> Iterator[LabelledStretch]:
    """The segments of a tab-delimited export, in the order of its lines."""
    header: list[str] = []
    for number, line in enumerate(read_text(file).split("\n"), 1):
        cells = line.split("\t")
        if not line.strip():
            continue
        if number == 1 and any(cell.strip().lower().startswith("begin time") for cell in cells):
            header = [cell.strip() for cell in cells]
        elif header:
            yield from _named_cells(header, cells, f"{file}:{number}")
        else:
            yield _plain_cells(cells, f"{file}:{number}")


def _plain_cells(cells: Sequence[str], where: str) -> LabelledStretch:
    """The segment of a line without a header: [tier, [participant,]] times, value."""
    first = next((index for index, cell in enumerate(cells) if _notation(cell)), len(cells))
    last = first
    while last < len(cells) - 1 and _notation(cells[last]):
        last += 1
    if first > 2 or last - first < 2:
        raise UserError(f"{where}: expected tier, participant, begin, end, duration and value, separated by tabs")
    start, end = _start_and_end(cells[first:last], where)
    tier, person = (*(cell.strip() for cell in cells[:first]), "", "")[:2]
    return LabelledStretch(where, cells[last].strip(), start, end, tier, person or speaker_of_tier(tier))


def _named_cells(header: Sequence[str], cells: Sequence[str], where: str) -> Iterator[LabelledStretch]:
    """The segments of a line below a header: one for each tier that has a value in it."""
    if len(cells) != len(header):
        raise UserError(f"{where}: {len(cells)} columns; expected {len(header)} as in the header")
    is_time = [name.lower().startswith(("begin time", "end time", "duration")) for name in header]
    times = [cell for cell, time in zip(cells, is_time) if time]
    start, end = _start_and_end(times, where)
    for name, cell, time in zip(header, cells, is_time):
        if not time and cell.strip():
            yield LabelledStretch(where, cell.strip(), start, end, name, speaker_of_tier(name))


def _start_and_end(cells: Sequence[str], where: str) -> tuple[float, float]:
    """Start and end (s) of the times of a line: begin, end and perhaps duration, each in the same notations."""
    notations = [_notation(cell) for cell in cells]
    for groups in (3, 2):
        size = len(cells) // groups
        if size and notations == notations[:size] * groups:
            index = next((index for index in range(size) if notations[index] not in ("frames", None)), None)
            if index is None:
                break
            start, end, *duration = (_time(cells[index + group * size]) for group in range(groups))
            if duration and abs(start + duration[0] - end) > CHECKED:
                break
            return start, end
    raise UserError(f"{where}: {' '.join(cells)[:60]!r} are no times; expected begin, end and perhaps duration")


def _notation(cell: str) -> str | None:
    return next((name for name, pattern in NOTATIONS.items() if pattern.fullmatch(cell.strip())), None)


def _time(cell: str) -> float:
    """Seconds of a time in one of the notations but frames."""
    text = cell.strip().replace(",", ".")
    if ":" in text:
        hours, minutes, seconds = text.split(":")
        return round(int(hours) * 3600 + int(minutes) * 60 + float(seconds), 3)
    return float(text) if "." in text else int(text) / 1000
