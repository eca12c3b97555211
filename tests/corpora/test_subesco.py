from collections import Counter

import pytest

from emobridge.corpora import scan, subesco
from emobridge.errors import UserError

ACTORS = ("F_01_OISHI", "F_02_MONIKA", "M_01_NIPUN", "M_02_JOY")


def test_a_fabricated_tree(tmp_path):
    for actor in ACTORS:
        for emotion in subesco.LABELS:
            (tmp_path / f"{actor}_S_10_{emotion}_5.wav").touch()
    (tmp_path / "readme.wav").touch()
    rows = list(scan("subesco", tmp_path))
    assert Counter((row.speaker, row.gender) for row in rows) == {
        ("F_01", "female"): 7,
        ("F_02", "female"): 7,
        ("M_01", "male"): 7,
        ("M_02", "male"): 7,
    }
    assert Counter(row.emotion for row in rows) == dict.fromkeys(subesco.LABELS.values(), 4)
    assert rows[0].id == "F_01_OISHI_S_10_ANGRY_5"
    assert {(row.corpus, row.language, row.text, row.naturalness) for row in rows} == {
        ("subesco", "bn", "sentence 10", "acted")
    }


def test_unknown_emotion_word(tmp_path):
    (tmp_path / "F_02_MONIKA_S_1_BORED_5.wav").touch()
    with pytest.raises(UserError, match=r"F_02_MONIKA_S_1_BORED_5\.wav: unknown emotion code 'BORED'"):
        list(scan("subesco", tmp_path))
