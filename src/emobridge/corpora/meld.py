"""MELD, the Multimodal EmotionLines Dataset: the TV series Friends, with an emotion for each utterance, 2019.

13,708 utterances of 1,433 dialogues, labelled by three people who saw them; nearly half are neutral (about 6,400 of
them), disgust and fear are rare. Laughter of an audience and music lie under the voices.
`train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv` have a row an utterance: Utterance, Speaker, Emotion
(joy, sadness ...), Dialogue_ID, Utterance_ID ... The clips are MP4 videos, `dia0_utt3.mp4`, in `train_splits`,
`dev_splits_complete` and `output_repeated_splits_test`; copies with the sound alone (.wav, .flac) are read too, before
the videos. Videos need the extra for FFmpeg. In the test set some have a second file, `final_videos_testdia0_utt3.mp4`,
which repairs the first, and is taken. dia125_utt3 of train is broken, dia110_utt7 of dev is missing.

StartTime and EndTime ("00:16:16,059") are times in the episode, not in the clip, which is cut already: they are not
used. The six friends are in all three splits, so that A SCORE ON THEM SAYS NOTHING OF NEW SPEAKERS. Names such as "All"
or "Ross and Joey" are no single speaker, and these utterances have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import files_like, no_corpus
from emobridge.corpora._rows import Row, label_rows, recorded_rows
from emobridge.data.intake import Intake
from emobridge.types import Utterance

LANGUAGES = ("en",)
LABELS = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
}
LICENCE = "GPL 3.0 for the annotation; the series has an owner of its own: for research"
CITATION = (
    "Poria, Hazarika, Majumder, Naik, Cambria & Mihalcea (2019). MELD: A multimodal multi-party dataset for emotion "
    "recognition in conversations. ACL 2019, 527-536. doi:10.18653/v1/P19-1050"
)
OBTAIN = "Get MELD.Raw.tar.gz by the link at https://github.com/declare-lab/MELD and unpack it and the archives in it."

SPLIT_OF = {"train": "train", "dev": "validation", "test": "test"}
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
SUFFIXES = (".wav", ".flac", ".mp4")
SEVERAL = re.compile(r"all|both|everyone|everybody|others|guys|girls|men|women|.* and .*|.*[,/&].*", re.IGNORECASE)
TABLE_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def scan(root: Path, *, intake: Intake) -> Iterator[Utterance]:
    """The clips that the tables of the three splits list and that exist; tables may be up to two folders below `root`.

    The speaker is the role, as "Joey". Options: those of `data.intake.Intake`.
    Errors: UserError for a malformed row (`file:row`), a missing column, and where no clip is found.
    """
    yield from _clips(root, intake)
    if not intake.rows:
        raise no_corpus(root, layout="train_sent_emo.csv and train_splits/dia0_utt0.mp4", obtain=OBTAIN)


def _clips(root: Path, intake: Intake) -> Iterator[Utterance]:
    for name, split in SPLIT_OF.items():
        table_name = f"{name}_sent_emo.csv"
        for table in files_like(root, table_name, f"*/{table_name}", f"*/*/{table_name}")[:1]:
            folder = _folder(root, FOLDERS[name])
            rows = label_rows(table, *TABLE_COLUMNS)
            paths = ((where, row, _clip(folder, row)) for where, row in rows)
            for where, row, path in recorded_rows(table, paths, intake):
                speaker = row["Speaker"]
                values = {
                    "id": f"{name}_dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}",
                    "corpus": "meld",
                    "path": str(path),
                    "language": "en",
                    "speaker": None if SEVERAL.fullmatch(speaker) else speaker,
                    "emotion": row["Emotion"],
                    "split": split,
                    "text": row["Utterance"],
                    "naturalness": "acted",
                }
                yield from intake.utterances(values, where, "", LABELS)


def _folder(root: Path, name: str) -> Path:
    """The folder of the clips of a split: the first of this name, up to three folders below `root`."""
    patterns = (name, f"*/{name}", f"*/*/{name}", f"*/*/*/{name}")
    folders = (path for pattern in patterns for path in sorted(root.glob(pattern)) if path.is_dir())
    return next(folders, root / name)


def _clip(folder: Path, row: Row) -> Path:
    """The clip of a row; that of its name as published where there is none."""
    name = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
    names = [f"{stem}{suffix}" for stem in (f"final_videos_test{name}", name) for suffix in SUFFIXES]
    return next((path for path in (folder / file for file in names) if path.is_file()), folder / f"{name}.mp4")
