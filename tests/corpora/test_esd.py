from collections import Counter

import pytest

from emobridge.corpora import esd, scan
from emobridge.errors import UserError

FIRST = {"Neutral": 1, "Angry": 351, "Happy": 701, "Sad": 1051, "Surprise": 1401}


def fabricate(root, speaker, splits=("",)):
    """Two clips an emotion (and split) of a speaker, numbered as in the corpus."""
    names = []
    for emotion, first in FIRST.items():
        for index, split in enumerate(splits):
            folder = root / speaker / emotion / split
            folder.mkdir(parents=True)
            for number in (first + 2 * index, first + 2 * index + 1):
                names.append(f"{speaker}_{number:06d}")
                (folder / f"{names[-1]}.wav").touch()
    return names


@pytest.fixture
def root(tmp_path):
    """As it is distributed now: flat emotion folders, and texts in three encodings."""
    folder = tmp_path / "Emotion Speech Dataset"
    fabricate(folder, "0001")
    fabricate(folder, "0003")
    fabricate(folder, "0011")
    chinese = "0001_000001\t打远一看，它们的确很是美丽，\t中立\r\n0001_000351\t打远一看，它们的确很是美丽，\t生气\r\n"
    (folder / "0001" / "0001.txt").write_bytes(chinese.encode("gb18030"))
    (folder / "0003" / "0003.txt").write_bytes(chinese.replace("0001_", "0003_").encode("utf-16"))
    english = "0011_000001\tThe nine the eggs, I keep.\tNeutral\n0011_000351 The nine the eggs, I keep.  Angry\n\nx\n"
    (folder / "0011" / "0011.txt").write_text(english)
    return tmp_path


def test_a_fabricated_tree(root):
    rows = {row.id: row for row in scan("esd", root)}
    assert len(rows) == 3 * 10
    assert Counter(row.emotion for row in rows.values()) == dict.fromkeys(esd.LABELS.values(), 6)
    clip = rows["0011_000351"]
    assert (clip.corpus, clip.speaker, clip.language, clip.emotion, clip.split) == ("esd", "0011", "en", "anger", None)
    assert {row.language for row in rows.values() if row.speaker in ("0001", "0003")} == {"zh"}
    assert {(row.speaker, row.gender, row.naturalness) for row in rows.values()} == {
        ("0001", "female", "acted"),
        ("0003", "female", "acted"),
        ("0011", "male", "acted"),
    }
    assert len(esd.WOMEN) == 10 and sum(speaker <= "0010" for speaker in esd.WOMEN) == 5


def test_texts_are_read_whatever_their_encoding_and_separator(root):
    texts = {row.id: row.text for row in scan("esd", root)}
    for name in ("0001_000001", "0001_000351", "0003_000351"):
        assert texts[name] == "打远一看，它们的确很是美丽，"
    assert texts["0011_000001"] == texts["0011_000351"] == "The nine the eggs, I keep."
    assert texts["0011_000701"] is None


def test_a_text_without_an_emotion_keeps_its_last_word(root):
    (root / "Emotion Speech Dataset" / "0011" / "0011.txt").write_text("0011_000001\tI keep the eggs\n")
    assert next(row.text for row in scan("esd", root) if row.id == "0011_000001") == "I keep the eggs"


def test_languages_are_an_option(root):
    assert {row.speaker for row in scan("esd", root, language="zh")} == {"0001", "0003"}
    assert {row.speaker for row in scan("esd", root, language="en")} == {"0011"}
    for language in ("cmn", "zh_CN", "zho", "Mandarin"):
        assert list(scan("esd", root, language=language)) == list(scan("esd", root, language="zh"))
    with pytest.raises(UserError, match=r"unknown language of ESD 'de': did you mean 'en'\? \(one of all, en, zh\)"):
        scan("esd", root, language="de")


def test_the_older_distribution_has_splits(tmp_path):
    names = fabricate(tmp_path, "0020", splits=("train", "evaluation", "test"))
    rows = list(scan("esd", tmp_path))
    assert {row.id for row in rows} == set(names)
    assert Counter((row.split, row.emotion) for row in rows) == {
        (split, emotion): 2 for split in ("train", "validation", "test") for emotion in esd.LABELS.values()
    }


def test_a_clip_in_another_folder(tmp_path):
    (tmp_path / "0011" / "Angri").mkdir(parents=True)
    (tmp_path / "0011" / "Angri" / "0011_000351.wav").touch()
    with pytest.raises(UserError, match=r"0011_000351\.wav: unknown emotion code 'Angri' \(one of Neutral, Angry"):
        list(scan("esd", tmp_path))


def test_no_speaker_21(tmp_path):
    fabricate(tmp_path, "0021")
    fabricate(tmp_path, "0000")
    with pytest.raises(UserError, match="no file like 0011/Angry"):
        list(scan("esd", tmp_path))
