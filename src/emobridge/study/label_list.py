"""A list of utterances for a person to label: a CSV file that any spreadsheet opens, and that is read back.

    id, path, start, end, speaker, text, guess, probability, emotion

`emotion` is to be filled in. A row left empty, or filled with "unknown", stays unlabelled. Audio paths are absolute, so
that they open from anywhere; start and end are in seconds, and empty where a file is one utterance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge.corpora import table
from emobridge.data.labels import to_emotion
from emobridge.errors import UserError, nearest
from emobridge.files import write_csv
from emobridge.types import Utterance


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


def check_free(path: str | Path) -> None:
    """Errors: UserError where `path` is a list in which something is filled in, or a file that is no list."""
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path}: expected a file that ends in .csv")
    if path.exists() and (filled := sum(bool(_cell(row, "emotion")) for _, row in _rows(path))):
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


def read_list(path: str | Path) -> tuple[ListedLabel, ...]:
    """The labels that are filled in, in the order of the rows; commas, semicolons and tabs may part the columns.

    Errors: UserError for a file that is no list, an unknown emotion (with the nearest one), an id that stands twice,
    and a list in which nothing is filled in.
    """
    path, labels = Path(path), dict[str, ListedLabel]()
    for number, row in _rows(path):
        name, where = _cell(row, "id"), f"{path}:{number}"
        try:
            emotion = to_emotion(_cell(row, "emotion"))
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        if emotion is None:
            continue
        if name in labels:
            raise UserError(f"{where}: the id {name!r} is labelled twice")
        labels[name] = ListedLabel(name, emotion, where)
    if not labels:
        raise UserError(f"{path}: nothing is filled in: write emotions into the column 'emotion'")
    return tuple(labels.values())


def with_labels(
    utterances: Sequence[Utterance], listed: Sequence[ListedLabel], labels: Sequence[str], manifest: str
) -> list[Utterance]:
    """The utterances of a manifest with the labels of a list. labels: the emotions that may occur in it.

    Errors: UserError for an id that the manifest lacks, an emotion that is not of `labels`, and a label of the
    manifest that is another one.
    """
    rows = {utterance.id: row for row, utterance in enumerate(utterances)}
    labelled = list(utterances)
    for label in listed:
        if label.id not in rows:
            guess = nearest(label.id, rows)
            hint = f": did you mean {guess!r}?" if guess else ""
            raise UserError(f"{label.where}: {manifest} has no utterance {label.id!r}{hint}")
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


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    if path.suffix.lower() not in table.DELIMITERS:
        raise UserError(f"{path}: expected a list that ends in .csv, as `emobridge suggest` writes it")
    return list(table.table_rows(path, {"id": "id", "emotion": "emotion"}))


def _cell(row: dict[str, str], column: str) -> str:
    return row[column].strip()
