import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError

NAMES = ("Anger_C_A_abajo", "Disgust_F_B_asqueroso", "Neutral_M_A_buenas noches", "Sadness_F_A_hoy_no")


def test_a_fabricated_tree(tmp_path):
    folder = tmp_path / "Mexican Emotional Speech Database (MESD)"
    folder.mkdir()
    for name in (*NAMES, "Happiness_F_B_L1_abuso", "readme"):
        (folder / f"{name}.wav").touch()
    rows = list(scan("mesd", tmp_path))
    assert [(row.id, row.emotion, row.gender, row.text) for row in rows] == [
        ("Anger_C_A_abajo", "anger", None, "abajo"),
        ("Disgust_F_B_asqueroso", "disgust", "female", "asqueroso"),
        ("Neutral_M_A_buenas noches", "neutral", "male", "buenas noches"),
        ("Sadness_F_A_hoy_no", "sadness", "female", "hoy no"),
    ]
    assert {(row.corpus, row.language, row.speaker, row.naturalness) for row in rows} == {
        ("mesd", "es-MX", None, "acted")
    }


def test_that_nobody_knows_who_speaks_is_said(tmp_path):
    (tmp_path / "Anger_C_A_abajo.wav").touch()
    reading = scan("mesd", tmp_path)
    list(reading)
    assert "the speakers of 1 of 1 utterances are not known" in reading.lines()[1]


def test_unknown_emotion_word(tmp_path):
    (tmp_path / "Joy_C_A_abajo.wav").touch()
    with pytest.raises(UserError, match=r"Joy_C_A_abajo\.wav: unknown emotion code 'Joy'"):
        list(scan("mesd", tmp_path))
