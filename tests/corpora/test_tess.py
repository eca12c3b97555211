from collections import Counter

import pytest

from emobridge.corpora import scan, tess
from emobridge.errors import UserError

FOLDERS = {"OAF": ("OAF_Pleasant_surprise", "OAF_{}"), "YAF": ("YAF_pleasant_surprised", "YAF_{}")}


def fabricate(root):
    for speaker, (surprise, other) in FOLDERS.items():
        for emotion in tess.LABELS:
            folder = root / (surprise if emotion == "ps" else other.format(emotion))
            folder.mkdir(parents=True)
            for word in ("back", "bite", "youth"):
                misspelt = (speaker, word, emotion) == ("OAF", "bite", "neutral")
                (folder / f"{'OA' if misspelt else speaker}_{word}_{emotion}.wav").touch()


def test_a_fabricated_tree(tmp_path):
    fabricate(tmp_path)
    rows = list(scan("tess", tmp_path))
    assert Counter((row.speaker, row.emotion) for row in rows) == {
        (speaker, emotion): 3 for speaker in ("OAF", "YAF") for emotion in tess.LABELS.values()
    }
    by_name = {row.id: row for row in rows}
    assert by_name["YAF_youth_ps"].emotion == "surprise"
    assert by_name["YAF_youth_ps"].text == "Say the word youth"
    assert (by_name["OA_bite_neutral"].speaker, by_name["OA_bite_neutral"].emotion) == ("OAF", "neutral")
    assert {(row.corpus, row.language) for row in rows} == {("tess", "en")}
    assert {(row.gender, row.naturalness) for row in rows} == {("female", "acted")}


def test_the_corpus_within_itself(tmp_path):
    fabricate(tmp_path / "TESS")
    fabricate(tmp_path / "TESS" / "TESS")
    with pytest.raises(UserError, match="is there twice"):
        list(scan("tess", tmp_path))
    assert len(list(scan("tess", tmp_path / "TESS" / "TESS"))) == 42


def test_unknown_emotion_word(tmp_path):
    (tmp_path / "OAF_back_surprised.wav").touch()
    with pytest.raises(UserError, match=r"OAF_back_surprised\.wav: unknown emotion code 'surprised'"):
        list(scan("tess", tmp_path))
