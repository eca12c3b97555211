"""nEMO: nine actors of Polish (four women, five men), Adam Mickiewicz University in Poznań 2024.

They say ninety sentences, which hold all phonemes of Polish, in six emotions: 4,481 clips, a little over three hours.
`data.tsv` has a row a clip: file_id, emotion, raw_text, normalized_text, speaker_id, gender, age; the clips are in
`samples`. A name is `SPEAKER_emotion_sentence.wav`, as WR0_surprised_64. All speakers say the same sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import GENDERS, files_like, no_corpus
from emobridge.corpora._rows import label_rows, recorded_rows
from emobridge.data.ages import years_of
from emobridge.data.intake import Intake
from emobridge.types import Utterance

LANGUAGES = ("pl",)
LABELS = {
    "anger": "anger",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprised": "surprise",
}
LICENCE = "CC BY-NC-SA 4.0"
CITATION = "Christop (2024). nEMO: Dataset of emotional speech in Polish. LREC-COLING 2024. arXiv:2404.06292"
OBTAIN = "Clone https://github.com/amu-cai/nEMO."


def scan(root: Path, *, intake: Intake) -> Iterator[Utterance]:
    """The clips that data.tsv, in `root` or one folder below, lists and that exist.

    The speaker is the one of the table, as "WR0". Options: those of `data.intake.Intake`.
    Errors: UserError for a malformed row (`file:row`), a missing column, and where no clip is found.
    """
    yield from _clips(root, intake)
    if not intake.rows:
        raise no_corpus(root, layout="data.tsv and samples/WR0_surprised_64.wav", obtain=OBTAIN)


def _clips(root: Path, intake: Intake) -> Iterator[Utterance]:
    for table in files_like(root, "data.tsv", "*/data.tsv")[:1]:
        rows = label_rows(table, "file_id", "emotion", "speaker_id", delimiter="tab")
        paths = ((where, row, table.parent / "samples" / row["file_id"]) for where, row in rows)
        for where, row, path in recorded_rows(table, paths, intake):
            values = {
                "id": path.stem,
                "corpus": "nemo",
                "path": str(path),
                "language": "pl",
                "speaker": row["speaker_id"],
                "emotion": row["emotion"],
                "text": row.get("raw_text"),
                "gender": GENDERS.get(row.get("gender", "").casefold()),
                "age": years_of(row.get("age")),
                "naturalness": "acted",
            }
            yield from intake.utterances(values, where, "", LABELS)
