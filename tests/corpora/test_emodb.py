from collections import Counter

import pytest

from emobridge.corpora import emodb, scan
from emobridge.errors import UserError


@pytest.fixture
def root(tmp_path):
    for name in ("wav/03a01Fa.wav", "wav/16b10Wb.wav", "wav/readme.wav", "lablaut/03a01Faxx.lablaut"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_a_fabricated_tree(root):
    first, second = scan("emodb", root)
    assert (first.id, first.language, first.speaker, first.emotion) == ("03a01Fa", "de", "03", "happiness")
    assert first.text == "Der Lappen liegt auf dem Eisschrank."
    assert first.phones == str(root / "lablaut" / "03a01Faxx.lablaut")
    assert (second.speaker, second.emotion, second.phones) == ("16", "anger", None)
    assert [(row.gender, row.naturalness) for row in (first, second)] == [("male", "acted"), ("female", "acted")]
    assert [row.phones for row in scan("emodb", root / "wav")] == [first.phones, None]


def test_unknown_emotion_letter(root):
    (root / "wav" / "03a01Xa.wav").touch()
    with pytest.raises(UserError, match=r"03a01Xa\.wav: unknown emotion code 'X'"):
        list(scan("emodb", root))


def test_the_real_corpus(shared):
    rows = list(scan("emodb", shared / "corpora" / "emodb"))
    counts = Counter(row.emotion for row in rows)
    complete = ("anger", "neutral", "happiness", "sadness")  # the others are there in part
    assert [counts[emotion] for emotion in complete] == [127, 79, 71, 62]
    assert len(rows) == 362
    assert {row.speaker: row.age for row in rows}["08"] == 34
    assert {row.speaker for row in rows if row.gender == "female"} == {"08", "09", "13", "14", "16"}
    assert {row.speaker for row in rows} == {"03", "08", "09", "10", "11", "12", "13", "14", "15", "16"}
    assert {row.text for row in rows} == set(emodb.TEXTS.values()) and len(emodb.TEXTS) == 10
    assert sum(row.phones is not None for row in rows) > 300
