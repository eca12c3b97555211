from collections import Counter

import pytest

from emobridge.corpora import aesdd, scan
from emobridge.errors import UserError

FOLDERS = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"}


def fabricate(root, *names):
    for name in names:
        folder = root / FOLDERS.get(name[0], "other")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.wav").touch()


def test_a_fabricated_tree(tmp_path):
    for speaker in range(1, 7):
        fabricate(tmp_path, *(f"{emotion}{number:02d} ({speaker})" for emotion in FOLDERS for number in range(1, 21)))
    rows = list(scan("aesdd", tmp_path))
    assert Counter((row.speaker, row.emotion) for row in rows) == {
        (str(speaker), emotion): 20 for speaker in range(1, 7) for emotion in aesdd.LABELS.values()
    }
    assert (rows[0].id, rows[0].corpus, rows[0].language, rows[0].text) == ("a01 (1)", "aesdd", "el", None)
    assert {(row.gender, row.naturalness) for row in rows} == {(None, "acted")}


def test_irregular_names(tmp_path):
    """A padded speaker is the same speaker, and a second take an utterance of its own."""
    fabricate(tmp_path, "f10 (01)", "f10 (2)", "s01 (5)a", "s01 (5)b", "a06 (5)", "a06 (5)b", "readme")
    rows = {row.id: (row.speaker, row.emotion) for row in scan("aesdd", tmp_path)}
    assert rows == {
        "a06 (5)": ("5", "anger"),
        "a06 (5)b": ("5", "anger"),
        "f10 (01)": ("1", "fear"),
        "f10 (2)": ("2", "fear"),
        "s01 (5)a": ("5", "sadness"),
        "s01 (5)b": ("5", "sadness"),
    }


def test_unknown_emotion_letter(tmp_path):
    fabricate(tmp_path, "n01 (1)")
    with pytest.raises(UserError, match=r"n01 \(1\)\.wav: unknown emotion code 'n'"):
        list(scan("aesdd", tmp_path))
