"""What `predict` is to answer: manifests, tables, folders and audio files as utterances, read in one way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from emobridge.corpora import scan
from emobridge.corpora.folder import plain_utterances, speaker_rule
from emobridge.data.audio import AudioError, channel_count
from emobridge.data.manifest import read_manifest
from emobridge.data.tables import TABLE_SUFFIXES
from emobridge.languages import language_tag
from emobridge.settings import Answering
from emobridge.types import Utterance

FILES = "files"  # the corpus of audio files that are given by themselves
BY_FILE = ("file", "channel")  # rules of speakers by which each channel of a file is a speaker of its own


def utterances_of(
    paths: Iterable[str | Path],
    *,
    speakers: str = "unknown",
    language: str | None = None,
    channels: str = "mix",
    on_note: Callable[[str], None] | None = None,
) -> Iterator[Utterance]:
    """The utterances of manifests (.jsonl), tables (.csv, .tsv ...), folders (all audio files below) and audio files.

    Folders are named as by `scan folder`: the folder is the corpus, and an id is the corpus and the path below.
    speakers, for files and folders: "unknown", "one", or a rule of `corpora.folder`: "file", "folder", "channel", a
    pattern. language: its tag or name, where a row tells none. channels: as `Answering.channels`; with speakers by file
    each channel that is answered by itself is a speaker. on_note: gets the lines that say how a table was read.
    Errors: UserError. Audio files are opened for their number of channels alone, and what cannot be read is passed on.
    """
    spoken = language_tag(language) if language else "und"
    if speakers != "one":
        speaker_rule(speakers)  # a mistake in it is told, whatever is read
    settings = Answering(channels="each" if speakers == "channel" else channels)
    for path in map(Path, paths):
        is_plain = False
        if path.suffix.lower() == ".jsonl":
            utterances = read_manifest(path)
        elif path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
            utterances = _table_rows(path, on_note)
        else:
            is_plain = True
            utterances = plain_utterances(path, corpus=FILES, speaker=speakers, on_note=on_note)
        for utterance in utterances:
            if utterance.language == "und":
                utterance = replace(utterance, language=spoken)
            yield from by_channel(utterance, settings, own_speakers=is_plain and speakers in BY_FILE)


def by_channel(utterance: Utterance, settings: Answering, *, own_speakers: bool = False) -> list[Utterance]:
    """The utterance once for each channel that is answered; as it is where it names one, or cannot be read.

    own_speakers: each channel is a speaker of its own.
    """
    if utterance.channel is not None or settings.channels == "mix":
        return [utterance]
    try:
        channels = settings.channels_of(channel_count(utterance.path))
    except AudioError:
        return [utterance]
    apart = own_speakers and utterance.speaker is not None and len(channels) > 1
    return [
        replace(utterance, channel=channel, speaker=f"{utterance.speaker}#{channel}" if apart else utterance.speaker)
        for channel in channels
    ]


def _table_rows(path: Path, on_note: Callable[[str], None] | None) -> Iterator[Utterance]:
    """The utterances of a table without their labels, which need not be known here."""
    reading = scan("table", path, others="unlabelled")
    for utterance in reading:
        yield replace(utterance, emotion=None)
    if on_note is not None:
        for line in reading.lines():
            on_note(f"{path}: {line}")
