"""The TextGrids of Praat (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html), long and short.

`phones.textgrid` reads both. An interval without text is no utterance, and a point has no length. A tier named
"emotion@anna" tells the speaker. A TextGrid does not name its recording: it is the audio file of the same name beside
it, in `root`, or what the option `audio` names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emobridge.data.intake import Intake
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._segments import Annotations, LabelledStretch, annotation_files, choose_tiers, speaker_of_tier
from emobridge.phones.textgrid import POINTS, Tier, read_tiers
from emobridge.types import Utterance


def read(
    path: Path, *, intake: Intake, tier: str | None = None, speaker: str | None = None, audio: str | None = None
) -> Iterator[Utterance]:
    """The labelled intervals of a TextGrid, or of all in a folder and below.

    tier: the tiers with the emotions, joined by commas; by default those with "emo" in their name, or the only one.
    speaker: "tier" or "file" where the name of the tier or the file is the speaker. audio: the recording of the only
    file. Further options: those of `data.intake.Intake`; the default corpus is the
    name of the folder.
    Errors: UserError for what is no TextGrid in text, an unknown tier or one of points, an interval that ends after the
    recording, and where the recording is not found.
    """
    annotations = Annotations(path, intake, audio, speaker)
    for file in annotation_files(path, ".textgrid"):
        yield from annotations.utterances(file, stretches(file, tier, annotations.tally))
    annotations.finish()


def stretches(file: Path, tier: str | None, tally: Tally) -> list[LabelledStretch]:
    """The labelled intervals of a TextGrid. tier: as of `read`. Errors: UserError, as there."""
    tiers = read_tiers(file)
    chosen = choose_tiers([part.name for part in tiers], tier, str(file))
    for part in tiers:
        if part.name not in chosen:
            tally.add(f"tier {part.name!r}, not read", str(file))
    return [segment for part in tiers if part.name in chosen for segment in _segments(part, file)]


def _segments(tier: Tier, file: Path) -> Iterator[LabelledStretch]:
    if tier.kind == POINTS:
        raise UserError(f"{file}: the tier {tier.name!r} is one of points, which have no length; choose tier=...")
    for number, (start, end, text) in enumerate(tier.intervals, 1):
        if text.strip():
            where = f"{file}: {tier.name} {number}"
            yield LabelledStretch(where, text.strip(), start, end, tier.name, speaker_of_tier(tier.name))
