import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError

NAMES = ("Angry/SM1_F10_A010", "Angry/SM4_F48_A0100", "Happy/SF1_F1_H01", "Neutral/SM5_F72_N0100", "Sad/SF10_F1_S01")


def fabricate(root, *names):
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / f"{name}.wav").touch()
    return root


def test_a_fabricated_clone(tmp_path):
    """Names as the repository has them."""
    rows = list(scan("urdu", fabricate(tmp_path, *NAMES, "Sad/readme")))
    assert [(row.id, row.speaker, row.gender, row.emotion) for row in rows] == [
        ("SM1_F10_A010", "SM1", "male", "anger"),
        ("SM4_F48_A0100", "SM4", "male", "anger"),
        ("SF1_F1_H01", "SF1", "female", "happiness"),
        ("SM5_F72_N0100", "SM5", "male", "neutral"),
        ("SF10_F1_S01", "SF10", "female", "sadness"),
    ]
    assert {(row.corpus, row.language, row.text, row.naturalness) for row in rows} == {("urdu", "ur", None, "natural")}


def test_unknown_emotion_letter(tmp_path):
    with pytest.raises(UserError, match=r"SM1_F1_X01\.wav: unknown emotion code 'X'"):
        list(scan("urdu", fabricate(tmp_path, "Angry/SM1_F1_X01")))
