"""Emozionalmente: 431 Italians who are no actors, recorded over the web at home, Politecnico di Milano 2022.

They say eighteen sentences with seven emotions: 6,902 clips, 986 an emotion, 16 kHz (some 44.1), with noise and
clipping as homes have it. Of five listeners for each clip, 66 % heard what was meant; the label is what was MEANT.

`metadata/samples.csv` has a row a clip: file_name, sentence, actor, emotion_expressed; `metadata/users.csv` the actors:
username, gender, age ...; the clips are in `audio`. From version 1.1 on `metadata/split` has train.csv, dev.csv and
test.csv, a split by speaker. The listeners' answers (metadata/evaluations.csv) are not read.
Not verified against a copy: the columns are those that programs for it read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emobridge.corpora import GENDERS, files_like, no_corpus
from emobridge.corpora._rows import label_rows, recorded_rows
from emobridge.data.ages import years_of
from emobridge.data.intake import Intake
from emobridge.types import Utterance

LANGUAGES = ("it",)
LABELS = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happiness",
    "neutrality": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
}
LICENCE = "CC BY 4.0, says its entry on Zenodo as quoted by others (not verified); cite the paper"
CITATION = (
    "Catania, Wilke & Garzotto (2025). Emozionalmente: A crowdsourced corpus of simulated emotional speech in Italian. "
    "IEEE Transactions on Audio, Speech and Language Processing 33, 1142-1155. doi:10.1109/TASLPRO.2025.3540662"
)
OBTAIN = "Get emozionalmente.zip from https://zenodo.org/records/6569824 (or a later version) and unpack it."

METADATA = tuple(f"{folder}metadata/samples.csv" for folder in ("", "*/", "*/*/"))
SPLIT_OF = {"train": "train", "dev": "validation", "test": "test"}


def scan(root: Path, *, intake: Intake) -> Iterator[Utterance]:
    """The clips that metadata/samples.csv, in `root` or up to two folders below, lists and that exist.

    The speaker is the actor's user name. Options: those of `data.intake.Intake`.
    Errors: UserError for a malformed row (`file:row`), a missing column, and where no clip is found.
    """
    yield from _clips(root, intake)
    if not intake.rows:
        raise no_corpus(root, layout="metadata/samples.csv and audio/1613655062436.wav", obtain=OBTAIN)


def _clips(root: Path, intake: Intake) -> Iterator[Utterance]:
    for table in files_like(root, *METADATA)[:1]:
        folder = table.parent.parent
        actors = _actors(table.parent / "users.csv")
        splits = _splits(table.parent / "split")
        rows = label_rows(table, "file_name", "actor", "emotion_expressed")
        paths = ((where, row, folder / "audio" / row["file_name"]) for where, row in rows)
        for where, row, path in recorded_rows(table, paths, intake):
            values = {
                "id": path.stem,
                "corpus": "emozionalmente",
                "path": str(path),
                "language": "it",
                "speaker": row["actor"],
                "emotion": row["emotion_expressed"],
                "split": splits.get(row["file_name"]),
                "text": row.get("sentence"),
                "naturalness": "acted",
                **actors.get(row["actor"], {}),
            }
            yield from intake.utterances(values, where, "", LABELS)


def _actors(table: Path) -> dict[str, dict[str, Any]]:
    """Actor -> gender and age; empty where the table is missing."""
    rows = label_rows(table, "username", "gender") if table.is_file() else iter(())
    return {
        row["username"]: {"gender": GENDERS.get(row["gender"].casefold()), "age": years_of(row.get("age"))}
        for _, row in rows
    }


def _splits(folder: Path) -> dict[str, str]:
    """File -> split; empty where the tables are missing."""
    tables = {folder / f"{name}.csv": split for name, split in SPLIT_OF.items()}
    return {
        row["file_name"]: split
        for table, split in tables.items()
        if table.is_file()
        for _, row in label_rows(table, "file_name")
    }
