"""PAVOQUE: expressive German of one trained actor and singer, DFKI and Saarland University 2007.

He speaks as himself (neutral, the largest part) and as four characters: happy (Poppy, cheerful), sad (Obadiah, gloomy),
angry (Spike, aggressive) and poker (Max, cool). Poker is a style and no emotion: it becomes "other". With one speaker
NOTHING SPEAKER-INDEPENDENT CAN BE CLAIMED: no split by speaker exists, and what is learnt is this voice.

Release 0.2 has one recording a style, `pavoque-<style>.flac`, and beside it `pavoque-<style>.yaml`: a list with prompt,
text, style, start and end (in seconds of the recording) and segments (phones) of each utterance. Its README tells of
an earlier layout, a file an utterance in tar archives with .lab files. The outtakes (pavoque-outtakes.yaml) are left
out. An utterance is named as the corpus's own build does, `prompt-style`: the same prompts recur in several styles.
Not verified against a copy: the layout is that of the corpus's build script and of programs that read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emobridge.corpora import files_like, unique_utterances
from emobridge.errors import UserError, unknown
from emobridge.types import Utterance

LANGUAGES = ("de",)
LABELS = {
    "neutral": "neutral",
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "poker": "other",
}
LICENCE = "CC BY-NC-SA 3.0 (one speaker: nothing speaker-independent can be claimed)"
CITATION = (
    "Steiner, Schröder & Klepp (2013). The PAVOQUE corpus as a resource for analysis and synthesis of expressive "
    "speech. Phonetik & Phonologie 9."
)
OBTAIN = (
    "Get pavoque-STYLE.yaml of each style from https://github.com/marytts/pavoque-data and pavoque-STYLE.flac from "
    "its release v0.2 into one folder."
)

SPEAKER = "stefan"
AUDIO = (".flac", ".wav")


def scan(root: Path) -> Iterator[Utterance]:
    """The utterances of the styles under `root` (or one folder below) that are there, stretches of long recordings.

    A YAML file without its recording (.flac or .wav) is skipped.
    Errors: UserError for a file that is no such YAML, an utterance without what it needs or of an unknown style (the
    error names the file and the utterance), one met twice, and where no style is found.
    """
    return unique_utterances(
        root, _utterances(root), layout="pavoque-happy.yaml with pavoque-happy.flac", obtain=OBTAIN
    )


def _utterances(root: Path) -> Iterator[Utterance]:
    for path in files_like(root, "pavoque-*.yaml", "*/pavoque-*.yaml"):
        recording = next((path.with_suffix(end) for end in AUDIO if path.with_suffix(end).is_file()), None)
        if path.stem.removeprefix("pavoque-") not in LABELS or recording is None:
            continue
        for number, entry in enumerate(_entries(path), 1):
            where = f"{path}: utterance {number}"
            prompt, style = str(_value(entry, "prompt", where)), str(_value(entry, "style", where))
            if style not in LABELS:
                raise UserError(f"{where}: {unknown('style', style, LABELS)}")
            start, end = _seconds(entry, "start", where), _seconds(entry, "end", where)
            if not 0 <= start < end:
                raise UserError(f"{where}: it goes from {start:g} to {end:g} s; expected a start before its end")
            yield Utterance(
                id=f"{prompt}-{style}",
                corpus="pavoque",
                path=str(recording),
                start=start,
                end=end,
                language="de",
                speaker=SPEAKER,
                emotion=LABELS[style],
                text=str(entry["text"]) if entry.get("text") else None,
                gender="male",
                naturalness="acted",
            )


def _entries(path: Path) -> list[Any]:
    import yaml

    # Safe loading: plain values, no objects. The one in C reads the same and is some ten times faster.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        entries = yaml.load(path.read_bytes(), Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as the month 13 in a date
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not isinstance(entries, list):
        raise UserError(f"{path}: expected a list of utterances, not {type(entries).__name__}")
    return entries


def _value(entry: Any, key: str, where: str) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if value is None or value == "":
        raise UserError(f"{where}: no {key!r}; expected prompt, style, start and end of each")
    return value


def _seconds(entry: Any, key: str, where: str) -> float:
    value = _value(entry, key, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: {key!r} is {value!r}; expected seconds")
    try:
        return float(value)
    except OverflowError:
        raise UserError(f"{where}: {key!r} is too large a number; expected seconds") from None
