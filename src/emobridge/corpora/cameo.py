"""CAMEO, the Collection of Multilingual Emotional Speech Corpora: thirteen corpora in eight languages, Poznań 2025.

Bengali, English, French, German, Italian, Polish, Russian and Spanish: CaFE, CREMA-D, EMNS, Emozionalmente, eNTERFACE,
JL-Corpus, MESD, nEMO, Oréau, PAVOQUE, RAVDESS, RESD and SUBESCO, over 41,000 clips with one vocabulary of emotions and
one set of columns: file_id, audio, emotion, transcription, speaker_id, gender, age, dataset, language, license.

The Hugging Face hub has it as parquet files that hold the audio. Save it as files, each corpus in a folder of its own,
with a table beside them (`split` is the name of a corpus there, such as cafe):

    import csv, datasets, pathlib
    folder = pathlib.Path("CAMEO", split)
    folder.mkdir(parents=True)
    rows = datasets.load_dataset("amu-cai/CAMEO", split=split).cast_column("audio", datasets.Audio(decode=False))
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, [name for name in rows.column_names if name != "audio"])
        writer.writeheader()
        for row in rows:
            (folder / row["file_id"]).write_bytes(row.pop("audio")["bytes"])
            writer.writerow(row)

An utterance's corpus is "cameo-" and its data set. Many of these corpora have plug-ins of their own: do not use both.
Speakers have names that no other corpus has, so that splits by speaker are by person; a column `split` (train, dev or
validation, test) is read where a table has it. Emotions that emobridge has no word for become "other".
Not verified against a copy: the columns and splits are those that its card and programs for it name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, files_like, no_corpus
from emobridge.corpora._rows import label_rows, recorded_rows
from emobridge.data.ages import years_of
from emobridge.data.columns import SPLIT_WORDS
from emobridge.data.intake import Intake
from emobridge.types import Utterance

LANGUAGES = ("bn", "en", "fr", "de", "it", "pl", "ru", "es")
_OTHERS = (
    *("anxiety", "apology", "assertiveness", "concern", "encouragement", "enthusiasm", "excitement"),
    *("guilt", "poker", "pride", "sarcasm", "worry"),
)
LABELS = {
    "anger": "anger",
    "boredom": "boredom",
    "calm": "calm",
    "disgust": "disgust",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
    **dict.fromkeys(_OTHERS, "other"),
}
LICENCE = "that of each corpus, in the column `license` of its table"
CITATION = (
    "CAMEO: Collection of multilingual emotional speech corpora (2025). arXiv:2505.11051; and the paper of each corpus"
)
OBTAIN = "Get amu-cai/CAMEO from the Hugging Face hub; python -m pydoc emobridge.corpora.cameo shows how to save it."

METADATA = ("metadata.csv", "*/metadata.csv", "*/*/metadata.csv")
TABLE_COLUMNS = ("file_id", "emotion", "speaker_id", "dataset", "language")


def scan(root: Path, *, intake: Intake) -> Iterator[Utterance]:
    """The clips that the tables metadata.csv, in `root` or up to two folders below, list and that lie beside them.

    Options: those of `data.intake.Intake`.
    Errors: UserError for a malformed row (`file:row`), a missing column, and where no clip is found.
    """
    yield from _clips(root, intake)
    if not intake.rows:
        raise no_corpus(root, layout="cafe/metadata.csv and the clips beside it", obtain=OBTAIN)


def _clips(root: Path, intake: Intake) -> Iterator[Utterance]:
    for table in files_like(root, *METADATA):
        folder = table.parent
        rows = label_rows(table, *TABLE_COLUMNS)
        paths = ((where, row, folder / row["file_id"]) for where, row in rows)
        for where, row, path in recorded_rows(table, paths, intake):
            dataset, split = row["dataset"], row.get("split", "").casefold()
            values = {
                "id": f"{dataset}/{path.stem}",
                "corpus": f"cameo-{dataset.casefold()}",
                "path": str(path),
                "language": row["language"],
                "speaker": row["speaker_id"],
                "emotion": row["emotion"],
                "split": SPLIT_WORDS.get(split, split),
                "text": row.get("transcription"),
                "gender": GENDERS.get(row.get("gender", "").casefold()),
                "age": years_of(row.get("age")),
            }
            yield from intake.utterances(values, where, "", LABELS)
