"""CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset: 91 actors (43 women, 48 men), 2014.

They say twelve English sentences in six emotions: 7,442 clips, of them neutral 1,087 and each other emotion
1,271. The label is the emotion that was acted; what the crowd heard or saw is in tables that are not read here;
`gender`, `age`, race and ethnicity (further columns) are from VideoDemographics.csv (ActorID, Age, Sex, Race,
Ethnicity), where that lies beside the folder of the audio.
A name is `AAAA_SSS_EEE_LL`: actor AAAA (1001 to 1091), sentence SSS, emotion EEE and level LL (LO, MD, HI, or XX where
none was asked for; only one of the sentences has the three). One is irregular: 1040_ITH_SAD_X.

The repository has each clip as AudioWAV/*.wav (16 kHz) and as AudioMP3/*.mp3, and hands out small text stubs in their
place unless it is cloned with git-lfs. 1076_MTI_SAD_XX has no sound; 1076_MTI_NEU_XX, 1064_TIE_SAD_XX and
1064_IEO_DIS_MD (a minute of several emotions) have been reported as faulty too. `audit` finds the empty ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emobridge.corpora import GENDERS, corpus_files, emotion_of, unique_utterances
from emobridge.corpora._rows import Row, label_rows
from emobridge.data.ages import years_of
from emobridge.errors import unknown
from emobridge.types import Utterance

LANGUAGES = ("en",)
LABELS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
LICENCE = "Open Database License 1.0; its contents Database Contents License 1.0"
CITATION = (
    "Cao, Cooper, Keutmann, Gur, Nenkova & Verma (2014). CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset. "
    "IEEE Transactions on Affective Computing 5(4), 377-390. doi:10.1109/TAFFC.2014.2336244"
)
OBTAIN = "Clone https://github.com/CheyneyComputerScience/CREMA-D with git-lfs installed; AudioWAV is what is needed."

TEXTS = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
AUDIO = ("mp3", "wav")
NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_[A-Z]{1,2}")


def scan(root: Path, audio: str = "wav") -> Iterator[Utterance]:
    """The clips under `root`: the clone, or its folder AudioWAV.

    audio: "wav" or "mp3", whichever of the two copies of each clip is wanted.
    The speaker is the actor's number, "1001" to "1091"; files with other names are skipped.
    Errors: UserError for an unknown kind of audio or emotion code, a name met twice, and where no clip is found.
    """
    if audio not in AUDIO:
        raise unknown("audio of CREMA-D", str(audio), AUDIO)
    return unique_utterances(
        root, _clips(root, f".{audio}"), layout=f"Audio{audio.upper()}/1001_DFA_ANG_XX.{audio}", obtain=OBTAIN
    )


def _clips(root: Path, suffix: str) -> Iterator[Utterance]:
    people: dict[Path, dict[str, dict[str, Any]]] = {}
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() != suffix:
            continue
        actor, sentence, emotion = match.groups()
        folder = path.absolute().parent.parent
        if folder not in people:
            people[folder] = _people(folder / "VideoDemographics.csv")
        yield Utterance(
            id=path.stem,
            corpus="crema-d",
            path=str(path),
            language="en",
            speaker=actor,
            emotion=emotion_of(emotion, LABELS, path),
            text=TEXTS.get(sentence, sentence),
            naturalness="acted",
            **people[folder].get(actor, {}),
        )


def _people(table: Path) -> dict[str, dict[str, Any]]:
    """Actor -> gender, age and further columns; empty where the file is missing.

    Errors: UserError for a file that is no such table.
    """
    if not table.is_file():
        return {}
    return {row["ActorID"]: _traits(row) for _, row in label_rows(table, "ActorID", "Sex")}


def _traits(row: Row) -> dict[str, Any]:
    extra = ((name.casefold(), row.get(name, "")) for name in ("Ethnicity", "Race"))
    return {
        "gender": GENDERS.get(row["Sex"].casefold()),
        "age": years_of(row.get("Age")),
        "extra": tuple((name, value) for name, value in extra if value),
    }
