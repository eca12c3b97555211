from collections import Counter

import pytest

from emobridge.corpora import emovo, scan
from emobridge.errors import UserError


def test_a_fabricated_tree(tmp_path):
    for speaker in ("f1", "m3"):
        (tmp_path / speaker).mkdir()
        for emotion in emovo.LABELS:
            for text in emovo.TEXTS:
                (tmp_path / speaker / f"{emotion}-{speaker}-{text}.wav").touch()
    rows = list(scan("emovo", tmp_path))
    assert Counter((row.speaker, row.emotion) for row in rows) == {
        (speaker, emotion): 14 for speaker in ("f1", "m3") for emotion in emovo.LABELS.values()
    }
    by_name = {row.id: row for row in rows}
    assert by_name["gio-m3-d1"].emotion == "happiness"
    assert by_name["gio-m3-d1"].text == "Sabato sera cosa farà?"
    assert {row.language for row in rows} == {"it"}
    assert {(row.speaker, row.gender, row.naturalness) for row in rows} == {
        ("f1", "female", "acted"),
        ("m3", "male", "acted"),
    }


def test_unknown_emotion_code(tmp_path):
    (tmp_path / "noi-f1-b1.wav").touch()
    with pytest.raises(UserError, match=r"noi-f1-b1\.wav: unknown emotion code 'noi'"):
        list(scan("emovo", tmp_path))


def test_the_real_corpus(shared):
    rows = list(scan("emovo", shared / "corpora" / "emovo"))
    assert Counter(row.emotion for row in rows) == dict.fromkeys(emovo.LABELS.values(), 84)
    assert Counter(row.speaker for row in rows) == dict.fromkeys(("f1", "f2", "f3", "m1", "m2", "m3"), 98)
    assert Counter(row.text for row in rows) == dict.fromkeys(emovo.TEXTS.values(), 42)
