"""Which field of an utterance a column of a table holds, by its name.

Case, spaces, hyphens, underscores and a unit at the end are put aside: "Start Time (ms)" is start_time, in ms. A name
is exact (that of the field), close (it can mean little else) or loose (`label`, `class`); the closest is taken.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from emobridge.data.cells import UNITS
from emobridge.data.labels import to_emotion
from emobridge.data.manifest import COLUMNS
from emobridge.data.tables import OpenedTable
from emobridge.errors import UserError, unknown

TIMES = ("start", "end", "duration")  # s; duration is no field of an utterance, and makes its end
TABLE_FIELDS = (*COLUMNS, *(("duration",) if "duration" not in COLUMNS else ()))
EXACT_NAME, CLOSE_NAME, LOOSE_NAME = 0, 1, 2
NAMES_SHOWN = 12  # names that a line shows
LONGEST_SHOWN = 40  # characters of each
_SAMPLES = ("sample", "samples", "frame", "frames")

_CLOSE = {
    "path": "file filename filepath audiofilepath audiopath audiofile audiofilename wav wavpath wavfile wavfilename "
    "clippath filelocation datei dateiname dateipfad pfad fichier archivo arquivo percorso",
    "emotion": "emotions emotionlabel emotionclass emotioncategory emotionname emoclass emo emolabel perceivedemotion "
    "émotion emoción emocion emoção emozione duygu",
    "speaker": "speakerid speakername spk spkid spkr spkrid clientid sprecher sprecherid locuteur hablante parlante "
    "konuşmacı",
    "language": "lang locale languagecode langcode languageid langid sprache langue idioma lingua",
    "start": "starttime begin begintime onset onsettime tmin xmin anfang beginn",
    "end": "endtime stop stoptime tmax xmax offsettime ende",
    "duration": "dur durationtime dauer",
    "text": "sentence transcript transcription utterance utterancetext words orthography satz",
    "gender": "sex geschlecht genre género genero sesso cinsiyet",
    "age": "speakerage ageyears agegroup agerange alter âge edad età idade yaş",
    "split": "splitset datasplit partition",
    "corpus": "dataset database corpusname datasetname korpus",
    "arousal": "activation emoact",
    "valence": "emoval",
    "dominance": "emodom",
    "phones": "phonealignment",
    "id": "uttid utteranceid segmentid clipid sampleid uid",
}
_LOOSE = {
    "path": "audio clip recording sound soundfile utterancefile",
    "emotion": "label labels category class target",
    "speaker": "actor actorid subject subjectid talker talkerid caller callerid participant participantid person voice",
    "start": "offset",
    "duration": "length seconds len",
    "split": "set subset",
    "id": "key utt",
}
_SHORT = (("a", "v", "d"), ("act", "val", "dom"))  # arousal, valence, dominance, where two of them stand together


@dataclass(frozen=True, slots=True)
class ColumnName:
    """What the name of a column says."""

    name: str
    field: str  # of TABLE_FIELDS, or "" where it says nothing
    closeness: int = EXACT_NAME
    per_second: int | None = None  # of times: how many of the unit that it names are a second
    counts_samples: bool = False  # of times: it counts samples or frames, whose rate a table does not tell


def fold_name(name: str) -> str:
    """A column's name without case, spaces and signs.

    >>> fold_name("Emotion-Label"), fold_name(" SpkrID")
    ('emotionlabel', 'spkrid')
    """
    return "".join(_name_words(name))


def understand_name(name: str) -> ColumnName:
    """What the name of one column says by itself.

    >>> understand_name("Start (ms)").field, understand_name("Start (ms)").per_second, understand_name("mood").field
    ('start', 1000, '')
    """
    words = _name_words(name)
    match = _field_of("".join(words))
    if match is not None:
        return ColumnName(name, *match)
    last = words[-1] if words else ""
    if last in UNITS or last in _SAMPLES:
        base = words[:-2] if len(words) > 1 and words[-2] == "in" else words[:-1]
        match = _field_of("".join(base))
        if match is not None and match[0] in TIMES:
            return ColumnName(name, *match, UNITS.get(last), last in _SAMPLES)
        if (
            base
            and base[-1] == "time"
            and _field_of("".join(base[:-1])) in (("start", EXACT_NAME), ("end", EXACT_NAME))
        ):
            return ColumnName(name, base[0], CLOSE_NAME, UNITS.get(last), last in _SAMPLES)
    return ColumnName(name, "")


def understand_names(names: Iterable[str]) -> list[ColumnName]:
    """What the names of a table's columns say together.

    `offset` is the start, as in NeMo, but the end beside an `onset`. Single letters are arousal, valence and dominance
    where two of them stand together.
    """
    columns = [understand_name(name) for name in names]
    folded = {fold_name(column.name) for column in columns}
    attributes = {
        short: field
        for family in _SHORT
        for short, field in zip(family, ("arousal", "valence", "dominance"))
        if len(folded.intersection(family)) > 1
    }
    result = []
    for column in columns:
        name = fold_name(column.name)
        if name == "offset" and "onset" in folded:
            column = ColumnName(column.name, "end", CLOSE_NAME, column.per_second)
        elif not column.field and name in attributes:
            column = ColumnName(column.name, attributes[name], LOOSE_NAME)
        result.append(column)
    return result


def is_column_name(name: str) -> bool:
    """Whether a text is the name of a column that is understood."""
    return bool(name) and bool(understand_name(name).field)


def find_columns(table: OpenedTable, user: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, ColumnName]:
    """Field -> column, in the order of TABLE_FIELDS.

    user: what the user says; the column "none" is none. defaults: of a tool that names them so, where they are there.
    Errors: UserError for a column of the user's that is not there, two columns that may both be a field, two of one
    name, and times in samples.
    """
    names = [*table.columns, *sorted(table.repeated)]
    mapping = {**{name: column for name, column in defaults.items() if column in names}, **user}
    columns: dict[str, ColumnName] = {}
    for name, column in mapping.items():
        if column in names or column != "none":
            columns[name] = replace(
                understand_name(exact_name(column, names, table.path)), field=name, closeness=EXACT_NAME
            )
    used = {column.name for column in columns.values()}
    free = [column for column in understand_names(names) if column.name not in used]
    for name in TABLE_FIELDS:
        candidates = [column for column in free if column.field == name]
        if candidates and name not in mapping:
            columns[name] = _closest(name, candidates, table)
    for name, choice in columns.items():
        if choice.name in table.repeated:
            raise UserError(
                f"{table.path}: two columns are named {choice.name!r}, and {name} is read from it: rename one"
            )
    _check_times(columns, free, table.path)
    return {name: columns[name] for name in TABLE_FIELDS if name in columns}


def no_column(name: str, table: OpenedTable) -> UserError:
    """The error for a table that lacks a column for a field; where the first row looks like data, it says so."""
    names = [*table.columns, *sorted(table.repeated)]
    is_data = any(re.search(r"\w\.(wav|mp3|flac|ogg|m4a)$|^\d+[.,]\d+$", column.lower()) for column in names)
    hint = "; does the table lack a header?" if is_data else ""
    columns = f"columns: {shown_names(names)}" if names else "it is empty"
    return UserError(f"{table.path}: no column {name!r} ({columns}){hint}")


def soft_columns(names: Iterable[str], labels: Mapping[str, str]) -> dict[str, str]:
    """The columns that are named as emotions, and the emotions, where there are two or more.

    labels: what the user says that words mean.
    """
    soft = {}
    for name in names:
        try:
            emotion = to_emotion(name, labels)
        except UserError:
            continue
        if emotion is not None:
            soft[name] = emotion
    return soft if len(soft) > 1 else {}


def shown_names(names: Mapping[str, Any] | tuple[str, ...] | list[str]) -> str:
    """Some names for a message, and how many more there are."""
    shown = ", ".join(map(_on_one_line, list(names)[:NAMES_SHOWN]))
    return f"{shown} and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else shown


def _on_one_line(name: str) -> str:
    name = name if len(name) <= LONGEST_SHOWN else name[:LONGEST_SHOWN] + "..."
    return name if name.isprintable() else ascii(name)


def exact_name(column: str, names: list[str], path: Path) -> str:
    """The column that a user names, spaces and case aside. Errors: UserError."""
    if column in names:
        return column
    alike = [name for name in names if fold_name(name) == fold_name(column)]
    if len(alike) == 1:
        return alike[0]
    raise UserError(f"{path}: {unknown('column', column, names)}")


def _closest(name: str, candidates: list[ColumnName], table: OpenedTable) -> ColumnName:
    literal = [column for column in candidates if column.name == name]
    nearest = min(column.closeness for column in candidates)
    best = literal or [column for column in candidates if column.closeness == nearest]
    if len(best) > 1:
        both = " and ".join(repr(column.name) for column in best)
        raise UserError(
            f'{table.path}: columns {both} may both be the {name}: name one with columns="{name}={best[0].name}"'
        )
    return best[0]


def _check_times(columns: Mapping[str, ColumnName], free: list[ColumnName], path: Path) -> None:
    """Errors: UserError where the times of stretches would be lost."""
    for column in columns.values():
        if column.counts_samples and column.field in ("start", "end"):
            raise UserError(
                f"{path}: {column.name!r} counts samples: write seconds, or read whole files with "
                f'columns="{column.field}=none"'
            )
    offsets = [column.name for column in free if fold_name(column.name) == "offset"]
    if offsets and "start" in columns and columns["start"].name not in offsets and not {"end", "duration"} & {*columns}:
        raise UserError(
            f"{path}: columns {columns['start'].name!r} and {offsets[0]!r}: is the second one the end? "
            f'columns="end={offsets[0]}", or columns="start={offsets[0]}"'
        )


def _name_words(name: str) -> list[str]:
    """The words of a name: "startTime_ms" is start, time, ms."""
    text = unicodedata.normalize("NFKC", name)
    text = re.sub(r"(?<=[a-z\d])(?=[A-Z])", " ", text)
    return [word for word in re.split(r"[^\w]+|_+", text.casefold()) if word]


@cache
def _all_names() -> dict[str, tuple[str, int]]:
    names = {fold_name(field): (field, EXACT_NAME) for field in TABLE_FIELDS}
    for closeness, synonyms in ((CLOSE_NAME, _CLOSE), (LOOSE_NAME, _LOOSE)):
        for field, words in synonyms.items():
            if field in TABLE_FIELDS:
                names.update((fold_name(word), (field, closeness)) for word in words.split())
    return names


def _field_of(folded: str) -> tuple[str, int] | None:
    return _all_names().get(folded)
