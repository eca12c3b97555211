"""A list of utterances for a person to label: a CSV file that any spreadsheet opens, and that is read back.

    id, path, start, end, speaker, text, guess, probability, emotion

`emotion` is to be filled in. A row left empty, or filled with "unknown", stays unlabelled, and so does one whose word
says that the person is not sure: "anger?", "?", "-", "skip", "unsure" ... Audio paths are absolute, so that they open
from anywhere; start and end are in seconds, and empty where a file is one utterance.

Spreadsheets change ids: 0012 becomes 12, 03-01 a date. A row labels the utterance of exactly its id; a number whose
zeros are gone labels the only utterance that it can be, and this is told; all else is an error. Where an id was
changed, or other ids are the same number, the file's name in the column `path` must be that of the utterance.
"""

from __future__ import annotations

import ntpath
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge.data.cells import text_of
from emobridge.data.column_names import EXACT_NAME, find_columns, no_column
from emobridge.data.columns import TableOptions
from emobridge.data.encodings import WESTERN
from emobridge.data.labels import UnknownLabel, to_emotion
from emobridge.data.tables import JSON_SUFFIXES, OpenedTable
from emobridge.errors import UserError, count_noun, nearest
from emobridge.files import write_csv
from emobridge.types import Utterance

_ENGLISH = (
    "x skip skipped pass unsure not_sure uncertain unclear ambiguous idk dont_know don't_know cant_tell can't_tell"
)
_OTHERS = "unsicher unklar weiß_nicht weiss_nicht überspringen incerto non_so inseguro no_sé incertain je_ne_sais_pas"
UNSURE = frozenset(f"{_ENGLISH} no_idea {_OTHERS}".split())
LIST_COLUMNS = ("id", "path", "emotion")  # that are read
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTHS_ELSEWHERE = {
    "mrz": 3,
    "mär": 3,
    "mai": 5,
    "okt": 10,
    "dez": 12,
    "gen": 1,
    "mag": 5,
    "giu": 6,
    "lug": 7,
    "ago": 8,
}
MONTHS = {name: number for number, name in enumerate(_MONTHS, 1)} | _MONTHS_ELSEWHERE | {"set": 9, "ott": 10, "dic": 12}


@dataclass(frozen=True, slots=True)
class ToLabel:
    """One row of a list."""

    utterance: Utterance  # with the emotion that was filled in, or None
    guess: str = ""  # the recogniser's label; "" where there is none
    probability: float | None = None  # of the guess, in [0, 1]


@dataclass(frozen=True, slots=True)
class ListedLabel:
    """One label that a person filled in."""

    id: str
    emotion: str  # of data.labels.EMOTIONS
    where: str  # "file:row"
    path: str = ""  # of the audio, as the list has it; "" where it has none


@dataclass(frozen=True, slots=True)
class LabelList:
    """What a person filled in."""

    labels: tuple[ListedLabel, ...] = ()
    notes: tuple[str, ...] = ()  # what the user should know

    def matched(self, utterances: Sequence[Utterance], manifest: str) -> LabelList:
        """The list with the ids of a manifest, where a spreadsheet took their zeros away.

        Errors: UserError for an id that the manifest lacks or that belongs to another file, and one that is labelled
        twice.
        """
        by_id = {utterance.id: utterance for utterance in utterances}
        alike: dict[str, list[str]] = {}
        if any(label.id not in by_id or _number(label.id) for label in self.labels):
            for name in by_id:
                alike.setdefault(_number(name), []).append(name)
        labels, notes = dict[str, ListedLabel](), list(self.notes)
        for label in self.labels:
            name = label.id if label.id in by_id else _changed_id(label, alike, by_id, manifest)
            if name != label.id:
                notes.append(f"{label.where}: the id {label.id!r} was read as {name!r}")
            if name in labels:
                raise UserError(f"{label.where}: {name!r} is labelled twice, in {labels[name].where} too")
            is_doubtful = name != label.id or (_number(name) and len(alike[_number(name)]) > 1)
            if is_doubtful and label.path and _stem(label.path) != _stem(by_id[name].path):
                raise UserError(
                    f"{label.where}: {label.id!r} is {label.path} here, and {by_id[name].path} in {manifest}: did a "
                    "spreadsheet change the id?"
                )
            labels[name] = replace(label, id=name)
        return LabelList(tuple(labels.values()), tuple(notes))


def check_free(path: str | Path) -> None:
    """Errors: UserError where `path` is a list in which something is filled in, or a file that is no list."""
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path}: expected a file that ends in .csv")
    if path.exists() and (filled := sum(bool(emotion) for _, _, _, emotion in _rows(_open(path)))):
        raise UserError(f"{path}: {filled} emotions are filled in there and would be lost: give another --out")


def write_list(path: str | Path, rows: Sequence[ToLabel]) -> None:
    """Write a list, whole or not at all, in the order of `rows`. Errors: as of `check_free`."""
    check_free(path)
    write_csv(
        Path(path),
        [
            {
                "id": row.utterance.id,
                "path": str(Path(row.utterance.path).absolute()),
                "start": f"{row.utterance.start:g}" if row.utterance.start or row.utterance.end is not None else "",
                "end": "" if row.utterance.end is None else f"{row.utterance.end:g}",
                "speaker": row.utterance.speaker,
                "text": row.utterance.text,
                "guess": row.guess,
                "probability": "" if row.probability is None else f"{row.probability:.2f}",
                "emotion": row.utterance.emotion,
            }
            for row in rows
        ],
    )


def language_of(utterances: Iterable[Utterance]) -> str:
    """The language of all utterances, in which a list of them is filled in; "und" where there are several."""
    languages = {utterance.language for utterance in utterances}
    return languages.pop() if len(languages) == 1 else "und"


def read_list(path: str | Path, language: str = "und") -> LabelList:
    """The labels that are filled in, in the order of the rows; any table that has the columns `id` and `emotion`.

    language: BCP 47, of the utterances; it decides what a word means that is of several languages.
    Errors: UserError for a file that is no list, one that names all unknown emotions (with the nearest known ones), an
    id that stands twice, and a list in which nothing is filled in.
    """
    path, labels = Path(path), dict[str, ListedLabel]()
    table = _open(path)
    unknown: dict[str, tuple[str, UserError]] = {}
    counts: Counter[str] = Counter()
    unsure = 0
    for where, name, audio, word in _rows(table):
        if is_unsure(word):
            unsure += 1
            continue
        try:
            emotion = to_emotion(word, language=language)
        except UnknownLabel as error:
            counts[word] += 1
            unknown.setdefault(word, (where, error))
            continue
        if emotion is None:
            continue
        if not name:
            raise UserError(f"{where}: {emotion} is filled in, and the id is empty")
        if name in labels:
            raise UserError(f"{where}: the id {name!r} is labelled twice")
        labels[name] = ListedLabel(name, emotion, where, audio)
    if unknown:
        first, reason = next(iter(unknown.values()))
        more = f"; all unknown words: {', '.join(f'{word!r} ({n})' for word, n in counts.most_common())}"
        raise UserError(f"{first}: {reason}{more if len(unknown) > 1 else ''}")
    if not labels:
        sure = f" ({count_noun(unsure, 'row')} not sure of the label)" if unsure else ""
        raise UserError(f"{path}: nothing is filled in{sure}: write emotions into the column 'emotion'")
    notes = [f"{path}: read as {table.dialect}"] if table.dialect.encoding == WESTERN else []
    notes += [f"{path}: {count_noun(unsure, 'row')} not sure of the label: unlabelled"] if unsure else []
    return LabelList(tuple(labels.values()), tuple(notes))


def count_labels(path: str | Path) -> int:
    """How many labels a list has, whether their words are known or not. Errors: UserError for what is no list."""
    count = 0
    for _, _, _, word in _rows(_open(Path(path))):
        try:
            count += not is_unsure(word) and to_emotion(word) is not None
        except UnknownLabel:  # which `read_list` names, if the language of the utterances does not tell it
            count += 1
    return count


def is_unsure(word: str) -> bool:
    """Whether a word says that the person who labelled is not sure, such as "skip" or "anger?".

    >>> [is_unsure(word) for word in ("anger?", "?", "-", "Not sure", "anger", "")]
    [True, True, True, True, False, False]
    """
    plain = re.sub(r"[\s_]+", "_", word.strip().casefold().replace("\u2019", "'")).rstrip(".!")
    return plain.endswith("?") or plain in UNSURE or (bool(plain) and not plain.strip("-\u2013\u2014_/."))


def with_labels(
    utterances: Sequence[Utterance], listed: Sequence[ListedLabel], labels: Sequence[str], manifest: str
) -> list[Utterance]:
    """The utterances of a manifest with the labels of a list, which was matched with them.

    labels: the emotions that may occur in it.
    Errors: UserError for an emotion that is not of `labels`, and a label of the manifest that is another one.
    """
    rows = {utterance.id: row for row, utterance in enumerate(utterances)}
    labelled = list(utterances)
    for label in listed:
        if label.emotion not in labels:
            raise UserError(
                f"{label.where}: {label.emotion!r} is not among the labels of this run, {', '.join(labels)}: "
                "leave the row empty, or name it with --labels"
            )
        utterance = labelled[rows[label.id]]
        if utterance.emotion not in (None, label.emotion):
            raise UserError(
                f"{label.where}: {label.id!r} is {label.emotion} here, and {utterance.emotion} in {manifest}"
            )
        labelled[rows[label.id]] = replace(utterance, emotion=label.emotion)
    return labelled


def _changed_id(label: ListedLabel, alike: Mapping[str, list[str]], ids: Iterable[str], manifest: str) -> str:
    """The id of the only utterance that a number without its zeros can be. alike: the ids by their number.

    Errors: UserError that says what seems to have happened to the id.
    """
    candidates = alike.get(_number(label.id), []) if _number(label.id) else []
    if len(candidates) == 1:
        return candidates[0]
    missing = f"{label.where}: {manifest} has no utterance {label.id!r}"
    if candidates:
        names = " or ".join(map(repr, candidates[:5]))
        raise UserError(f"{missing}: a spreadsheet may have made it of {names}")
    if re.fullmatch(r"\d+([.,]\d+)?E\+?\d+", label.id, re.IGNORECASE):
        raise UserError(f"{missing}: a spreadsheet seems to have rounded a long number")
    numbers = _numbers_of_date(label.id)
    if numbers:
        dates = sorted(name for name in ids if numbers == _numbers_of_date(name) or _is_date(name, numbers))
        hint = f" of {' or '.join(map(repr, dates[:5]))}" if dates else ""
        raise UserError(f"{missing}: a spreadsheet seems to have made a date{hint}: write the id again, as text")
    guess = nearest(label.id, ids)
    raise UserError(f"{missing}{f': did you mean {guess!r}?' if guess else ''}")


def _number(name: str) -> str:
    """The digits of an id that is a whole number, without zeros at its beginning, or ""; 12.0 is 12."""
    match = re.fullmatch(r"0*(\d+)(?:[.,]0+)?", name)
    return match[1] if match else ""


def _numbers_of_date(name: str) -> frozenset[int]:
    """Day and month of what may be a date that a spreadsheet shows: "03. Jan", "1-Mar", "2026-01-03"; else none."""
    text = name.casefold()
    words = {MONTHS[word[:3]] for word in re.findall(r"[^\W\d_]{3,}", text) if word[:3] in MONTHS}
    digits = [int(digits) for digits in re.findall(r"\d+", text)]
    if words and len(digits) in (1, 2) and len(re.findall(r"[^\W\d_]{3,}", text)) == 1:
        return frozenset({*words, digits[0]})
    if re.fullmatch(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}( .*)?", text):
        return frozenset(number for number in digits[:3] if number <= 31)
    return frozenset()


def _is_date(name: str, numbers: frozenset[int]) -> bool:
    """Whether a spreadsheet may have made a date with these numbers of an id such as "03-01"."""
    match = re.fullmatch(r"(\d{1,2})[-./ ](\d{1,2})(?:[-./ ](\d{1,4}))?", name)
    return match is not None and numbers <= {int(digits) for digits in match.groups() if digits}


def _stem(path: str) -> str:
    """The name of a file, of Windows too, without its suffix."""
    return os.path.splitext(ntpath.basename(path))[0]


def _open(path: Path) -> OpenedTable:
    if path.suffix.lower() in JSON_SUFFIXES:
        raise UserError(f"{path}: expected a list that ends in .csv, as `emobridge suggest` writes it")
    return TableOptions().open(path)


def _rows(table: OpenedTable) -> Iterator[tuple[str, str, str, str]]:
    """Of each row `file:line`, the id, the path of the audio and the word filled in, as they stand there."""
    columns = find_columns(table, {}, {})
    for name in ("id", "emotion"):
        if name not in columns:
            raise no_column(name, table)
    if "path" in columns and columns["path"].closeness != EXACT_NAME:
        del columns["path"]
    for number, row in table.rows():
        where = f"{table.path}:{number}"
        cells = {name: text_of(row[columns[name].name], name, where) or "" for name in LIST_COLUMNS if name in columns}
        yield where, cells["id"], cells.get("path", ""), cells["emotion"]
