"""A folder of alignments that are made: a TextGrid an utterance, with the tiers phones, words and the text itself."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from emobridge.data.audio import read_utterance
from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.phones.aligner import AlignedText, align, spoken_text
from emobridge.phones.espeak import paths
from emobridge.phones.speaking import voice_of
from emobridge.phones.textgrid import INTERVALS, Tier, read_tiers, textgrid_text, without_gaps
from emobridge.progress import Progress
from emobridge.types import SAMPLE_RATE, Utterance

GRID_SUFFIX = ".TextGrid"
LONGEST_NAME = 150  # bytes of a file's name before its suffix
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%]|^\.')
# What corpora have for a text where only the number of the sentence is known.
_SENTENCE_CODE = re.compile(r"sentence \d+|[a-z]{1,3}\d+")
SkipRow = Callable[[str, str], None]  # gets the id of an utterance and the reason why it has no alignment


@dataclasses.dataclass(frozen=True, slots=True)
class _Reading:
    """An utterance whose text can be spoken."""

    row: int
    utterance: Utterance
    voice: str
    text: str


def align_utterances(
    utterances: Sequence[Utterance],
    folder: str | Path,
    *,
    on_skip: SkipRow | None = None,
    on_progress: Progress = lambda done, total: None,
) -> list[Utterance]:
    """Align utterances that have a text and a language, and return all of them in their order with `phones` set.

    Each gets a TextGrid in the folder, in the times of its audio file; those without one keep what they had. A text is
    spoken once for all its readings. What an earlier run left is kept, but where the text, the voice or the recording
    has changed. on_skip: gets what is left out; without it, the first such utterance is an error.
    Errors: UserError where espeak-ng is not installed or the folder cannot be written.
    """
    paths()
    aligned = list(utterances)
    readings = list(_readings(utterances, on_skip))
    done = len(utterances) - len(readings)
    readings.sort(key=lambda reading: (reading.voice, reading.text))
    for (voice, text), group in groupby(readings, key=lambda reading: (reading.voice, reading.text)):
        spoken, problem = None, ""
        for reading in group:
            path = Path(folder) / file_name(reading.utterance.id)
            try:
                if not _is_finished(path, reading):
                    if problem:
                        raise UserError(problem)
                    if spoken is None:
                        try:
                            spoken = spoken_text(text, voice)
                        except UserError as error:
                            problem = str(error)
                            raise
                    wave = read_utterance(reading.utterance)
                    _write(path, reading, align(spoken, wave), len(wave) / SAMPLE_RATE)
                aligned[reading.row] = dataclasses.replace(reading.utterance, phones=os.path.abspath(path))
            except UserError as error:
                _skip(on_skip, reading.utterance, str(error))
            done += 1
            on_progress(done, len(utterances))
    return aligned


def file_name(name: str) -> str:
    """The name of the TextGrid of an utterance by its id, which may have any characters and length.

    >>> file_name("03a01Fa"), file_name("a/b: c")
    ('03a01Fa.TextGrid', 'a%2Fb%3A c.TextGrid')
    """
    plain = _FORBIDDEN.sub(lambda match: f"%{ord(match[0]):02X}", name)
    if len(plain.encode()) > LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        plain = f"{plain.encode()[:LONGEST_NAME].decode(errors='ignore')}-{digest}"
    return plain + GRID_SUFFIX


def _readings(utterances: Sequence[Utterance], on_skip: SkipRow | None) -> Iterator[_Reading]:
    for row, utterance in enumerate(utterances):
        text = " ".join((utterance.text or "").split())
        try:
            if not text:
                raise UserError("has no text")
            if _SENTENCE_CODE.fullmatch(text):
                raise UserError(f"the text {text!r} is the number of a sentence, not what is said")
            if utterance.language == "und":
                raise UserError("its language is not known")
            voice = voice_of(utterance.language)
        except UserError as error:
            _skip(on_skip, utterance, str(error))
        else:
            yield _Reading(row, utterance, voice, text)


def _skip(on_skip: SkipRow | None, utterance: Utterance, reason: str) -> None:
    if on_skip is None:
        raise UserError(f"{utterance.id}: {reason}")
    on_skip(utterance.id, reason)


def _text_tier(reading: _Reading) -> str:
    return f"text ({reading.voice})"


def _is_finished(path: Path, reading: _Reading) -> bool:
    """Whether the file has the alignment of this text in this voice, and is younger than the recording."""
    try:
        if path.stat().st_mtime_ns < os.stat(reading.utterance.path).st_mtime_ns:
            return False
        tiers = read_tiers(path)
    except (UserError, OSError):
        return False
    texts = [text for tier in tiers if tier.name == _text_tier(reading) for _, _, text in tier.intervals if text]
    return texts == [reading.text]


def _write(path: Path, reading: _Reading, aligned: AlignedText, seconds: float) -> None:
    start = reading.utterance.start
    end = start + seconds
    tiers = {
        "phones": [(phone.start, phone.end, phone.ipa) for phone in aligned.phones.phones],
        "words": list(aligned.words),
        _text_tier(reading): [(0.0, seconds, reading.text)],
    }
    shifted = {name: [(a + start, b + start, text) for a, b, text in parts] for name, parts in tiers.items()}
    grid = [Tier(INTERVALS, name, without_gaps(parts, end)) for name, parts in shifted.items()]
    with whole_file(path) as temporary:
        temporary.write_text(textgrid_text(grid, end), encoding="utf-8", newline="\n")
