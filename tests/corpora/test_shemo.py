import pytest

from emobridge.corpora import scan, shemo
from emobridge.errors import UserError


@pytest.fixture
def root(tmp_path):
    for name in ("female/F21N37", "female/F14A09", "female/F03S02", "male/M02F01", "male/M02H101", "male/M14W01"):
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "male" / "notes.wav").touch()
    return tmp_path


def test_a_fabricated_tree(root):
    """The first letter is the gender, the other the emotion: F is female here and fear there."""
    rows = list(scan("shemo", root))
    assert [(row.id, row.speaker, row.emotion) for row in rows] == [
        ("F03S02", "F03", "sadness"),
        ("F14A09", "F14", "anger"),
        ("F21N37", "F21", "neutral"),
        ("M02F01", "M02", "fear"),
        ("M02H101", "M02", "happiness"),
        ("M14W01", "M14", "surprise"),
    ]
    assert {row.emotion for row in rows} == set(shemo.LABELS.values())
    assert [row.gender for row in rows] == ["female"] * 3 + ["male"] * 3
    assert {row.naturalness for row in rows} == {"acted"}
    assert {(row.corpus, row.language, row.text) for row in rows} == {("shemo", "fa", None)}


def test_unknown_emotion_letter(root):
    (root / "male" / "M02D01.wav").touch()
    with pytest.raises(UserError, match=r"M02D01\.wav: unknown emotion code 'D'"):
        list(scan("shemo", root))
