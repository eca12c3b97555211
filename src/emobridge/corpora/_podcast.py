"""The label table that MSP-Podcast and the corpora collected after its protocol share.

`Labels/labels_consensus.csv` has a row a recording, with the columns FileName, EmoClass (a letter), EmoAct, EmoVal and
EmoDom (means over raters, on a scale of 1 to 7), SpkrID, Gender and Split_Set; the recordings are in `Audios`. SpkrID
and Gender may be "Unknown" or lacking.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from emobridge.corpora import GENDERS, corpus_files, files_like
from emobridge.corpora._rows import label_rows
from emobridge.data.labels import to_emotion
from emobridge.errors import UserError, unknown
from emobridge.types import Range, Utterance

EMOTION_CLASSES = {
    "A": "anger",
    "S": "sadness",
    "H": "happiness",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
    "O": "other",
}
RATING_RANGE = Range(1, 7)
NO_AGREEMENT = "X"  # of the raters: unlabelled
REQUIRED_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "Split_Set")
# The second is how some releases of MSP-Podcast spell it.
TABLES = tuple(
    f"{folder}Labels/{name}.csv" for name in ("labels_consensus", "labels_concensus") for folder in ("", "*/")
)


def clips(root: Path, *, corpus: str, language: str, splits: Mapping[str, str | None]) -> Iterator[Utterance]:
    """The recordings that the label table below `root` lists and that exist, in the table's order.

    splits: a value of Split_Set -> the split of emobridge; None leaves the recording out.
    Errors: UserError `file:row` for an unknown emotion, split or number and for a missing column.
    """
    for table in files_like(root, *TABLES)[:1]:
        audio = {path.name: path for path in corpus_files(table.parent.parent / "Audios")}
        for where, row in label_rows(table, *REQUIRED_COLUMNS):
            if row["Split_Set"] not in splits:
                raise UserError(f"{where}: {unknown('Split_Set', row['Split_Set'], splits)}")
            split, path = splits[row["Split_Set"]], audio.get(row["FileName"])
            if split is None or path is None:
                continue
            speaker = row.get("SpkrID", "")
            yield Utterance(
                id=path.stem,
                corpus=corpus,
                path=str(path),
                language=language,
                speaker=None if speaker in ("", "Unknown") else speaker,
                emotion=_emotion(row["EmoClass"], where),
                arousal=_number(row, "EmoAct", where),
                valence=_number(row, "EmoVal", where),
                dominance=_number(row, "EmoDom", where),
                split=split,
                gender=GENDERS.get(row.get("Gender", "").casefold()),
                naturalness="natural",
            )


def _emotion(code: str, where: str) -> str | None:
    if code == NO_AGREEMENT:
        return None
    try:
        return to_emotion(code, EMOTION_CLASSES)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _number(row: Mapping[str, str], column: str, where: str) -> float | None:
    text = row[column]
    try:
        value = float(text or "nan")
    except ValueError:
        raise UserError(f"{where}: {column} is {text!r}; expected a number from 1 to 7") from None
    return value if math.isfinite(value) else None
