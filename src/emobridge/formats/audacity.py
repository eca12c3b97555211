"""The label tracks of Audacity (https://manual.audacityteam.org/man/importing_and_exporting_labels.html).

    0.500000<TAB>2.000000<TAB>anger
    \\<TAB>120.0<TAB>4000.0

A line has the start, the end (s) and the label, which may be missing; start and end of a point label are equal, and a
point has nothing to hear. A line that begins with a backslash has the frequencies of the label before it. A label track
does not name its recording: it is the audio file of the same name beside it (interview.txt, interview.wav), in `root`,
or what the option `audio` names. One file is one track, so that no speakers are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from emobridge.data.encodings import read_text
from emobridge.data.intake import Intake
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._segments import Annotations, LabelledStretch, annotation_files, find_audio
from emobridge.types import Utterance


def read(path: Path, *, intake: Intake, audio: str | None = None) -> Iterator[Utterance]:
    """The labelled stretches of a label track, or of those .txt files in a folder that have a recording.

    audio: the recording of the only track. Further options: those of `data.intake.Intake`; the default corpus is the
    name of the folder.
    Errors: UserError naming `file:line` for what is no label, for a stretch outside the recording, and where the
    recording is not found.
    """
    annotations = Annotations(path, intake, audio)
    for file in annotation_files(path, ".txt"):
        folder = Path(intake.root) if intake.root else file.parent
        if path.is_dir() and not find_audio(folder, file.stem):
            annotations.tally.add("text files without a recording of their name, left out", str(file))
            continue
        yield from annotations.utterances(file, list(stretches(file, annotations.tally)))
    annotations.finish()


def label_line(start: float, end: float, label: str) -> str:
    """The line of a label; start, end in seconds."""
    return f"{start:.6f}\t{end:.6f}\t{label}\n"


def stretches(file: Path, tally: Tally) -> Iterator[LabelledStretch]:
    """The labelled stretches of a label track. Errors: UserError naming `file:line` for what is no label."""
    for number, line in enumerate(read_text(file).split("\n"), 1):
        where = f"{file}:{number}"
        if not line.strip() or line.startswith("\\"):
            continue
        first, second, label = (*line.split("\t", 2), "", "")[:3]
        start, end = _seconds(first, where), _seconds(second, where)
        if start == end:
            tally.add("point labels, which have no length, left out", where)
        else:
            yield LabelledStretch(where, label.strip(), start, end)


def _seconds(text: str, where: str) -> float:
    try:
        seconds = float(text.replace(",", "."))  # some systems write a decimal comma
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UserError(f"{where}: {text[:40]!r} is no time; expected start, end and label, separated by tabs")
    return seconds
