"""ESD, the Emotional Speech Dataset: ten speakers of Mandarin and ten of English, Singapore 2021.

Each says 350 sentences in five emotions (neutral, happy, angry, sad, surprise), 17,500 clips a language; it was made
for voice conversion. Speakers 0001 to 0010 speak Mandarin, 0011 to 0020 English (five women and five men of each, as
its readme lists them), and all of a language say the same sentences. A clip is `SSSS/Emotion/SSSS_NNNNNN.wav`, or in an
older distribution `SSSS/Emotion/split/SSSS_NNNNNN.wav` with the splits train, evaluation and test: those hold the same
speakers, so that a score on them says nothing of new ones. The emotion is that of the folder. (The number tells it too:
1-350 neutral, then angry, happy, sad, surprise.)

`SSSS/SSSS.txt` has the texts, a line a clip: name, text, emotion. Contrary to what one would expect it is in another
encoding from speaker to speaker (UTF-16, GB 18030, ASCII), some lines are parted by spaces and not tabs, and the
emotion's word is Chinese for some speakers; lines that are not understood leave their clips without a text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.corpora import corpus_files, emotion_of, unique_utterances
from emobridge.errors import unknown
from emobridge.languages import language_tag, primary_language
from emobridge.types import Utterance

LANGUAGES = ("zh", "en")
LABELS = {
    "Neutral": "neutral",
    "Angry": "anger",
    "Happy": "happiness",
    "Sad": "sadness",
    "Surprise": "surprise",
}
LICENCE = "free for research; cite the papers"
CITATION = (
    "Zhou, Sisman, Liu & Li (2022). Emotional voice conversion: Theory, databases and ESD. Speech Communication 137, "
    "1-18; and by the same (2021). Seen and unseen emotional style transfer for voice conversion with a new emotional "
    "speech dataset. ICASSP 2021, 920-924. doi:10.1109/ICASSP39728.2021.9413391"
)
OBTAIN = "Get it by the link at https://github.com/HLTSingapore/Emotional-Speech-Data and unpack it."

SPLIT_OF = {"train": "train", "evaluation": "validation", "test": "test"}
WOMEN = frozenset(f"{number:04}" for number in (1, 2, 3, 7, 9, 15, 16, 17, 18, 19))
NAME = re.compile(r"(0(?:00[1-9]|01\d|020))_\d{6}")
LINE = re.compile(r"(\d{4}_\d{6})\s+(\S.*)")
EMOTION_WORDS = frozenset(word.casefold() for word in LABELS) | {"中立", "生气", "快乐", "伤心", "惊喜"}


def scan(root: Path, *, language: str = "all") -> Iterator[Utterance]:
    """The clips under `root`, which holds the folders 0001 to 0020 (or some of them) at any depth.

    language: "zh", "en", or "all" for both. The speaker is the number of the names; files with other names are skipped.
    Errors: UserError for another language, a clip in a folder that is no emotion, a name met twice, and where no clip
    is found.
    """
    chosen = language if language == "all" else primary_language(language_tag(language))
    if chosen not in (*LANGUAGES, "all"):
        raise unknown("language of ESD", language, (*LANGUAGES, "all"))
    return unique_utterances(root, _clips(root, chosen), layout="0011/Angry/0011_000351.wav", obtain=OBTAIN)


def _clips(root: Path, chosen: str) -> Iterator[Utterance]:
    texts: dict[Path, dict[str, str]] = {}
    for path in corpus_files(root):
        match = NAME.fullmatch(path.stem)
        if match is None:
            continue
        speaker = match[1]
        language = "zh" if int(speaker) <= 10 else "en"
        if chosen not in (language, "all"):
            continue
        split = SPLIT_OF.get(path.parent.name)
        folder = path.parent.parent if split else path.parent
        table = folder.parent / f"{speaker}.txt"
        if table not in texts:
            texts[table] = _texts(table)
        yield Utterance(
            id=path.stem,
            corpus="esd",
            path=str(path),
            language=language,
            speaker=speaker,
            emotion=emotion_of(folder.name, LABELS, path),
            split=split,
            text=texts[table].get(path.stem),
            gender="female" if speaker in WOMEN else "male",
            naturalness="acted",
        )


def _texts(table: Path) -> dict[str, str]:
    """Clip -> text of one speaker; empty where the file is missing."""
    if not table.is_file():
        return {}
    texts = {}
    for line in _decoded(table.read_bytes()).splitlines():
        match = LINE.fullmatch(line.strip())
        if match is not None:
            *sentence, last = re.split(r"(\s+)", match[2])
            texts[match[1]] = "".join(sentence).strip() if last.casefold() in EMOTION_WORDS else match[2]
    return texts


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030", errors="replace")
