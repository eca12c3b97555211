from collections import Counter

import pytest

from emobridge.corpora import emomatch, scan
from emobridge.errors import UserError


def test_a_fabricated_tree(tmp_path):
    for speaker in ("03", "49"):
        for emotion in emomatch.LABELS:
            for sentence in range(1, 13):
                (tmp_path / f"{speaker}_{emotion}_{sentence:02d}.WAV").touch()
    (tmp_path / "leeme.wav").touch()
    rows = list(scan("emomatch", tmp_path))
    assert Counter((row.speaker, row.emotion) for row in rows) == {
        (speaker, emotion): 12 for speaker in ("03", "49") for emotion in emomatch.LABELS.values()
    }
    by_name = {row.id: row for row in rows}
    assert by_name["03_Alegria_02"].emotion == "happiness"
    assert by_name["03_Ira_12"].emotion == "anger"
    assert {(row.corpus, row.language) for row in rows} == {("emomatch", "es")}
    assert {(row.gender, row.naturalness) for row in rows} == {(None, "elicited")}


def test_two_underscores_are_understood(tmp_path):
    (tmp_path / "01_Ira__2.WAV").touch()
    (row,) = scan("emomatch", tmp_path)
    assert (row.id, row.speaker, row.emotion) == ("01_Ira__2", "01", "anger")


def test_unknown_emotion_word(tmp_path):
    (tmp_path / "03_Alegra_02.WAV").touch()
    with pytest.raises(UserError, match=r"unknown emotion code 'Alegra': did you mean 'Alegria'"):
        list(scan("emomatch", tmp_path))
