from collections import Counter

import pytest

from emobridge.corpora import savee, scan
from emobridge.errors import UserError

CLIPS = [f"{emotion}{n:02d}" for emotion in savee.LABELS for n in range(1, 31 if emotion == "n" else 16)]


def fabricate(root, form):
    for speaker in savee.SPEAKERS:
        for clip in CLIPS:
            path = root / form.format(speaker=speaker, clip=clip)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@pytest.mark.parametrize("form", ["AudioData/{speaker}/{clip}.wav", "ALL/{speaker}_{clip}.wav"])
def test_a_whole_distribution_in_either_layout(tmp_path, form):
    fabricate(tmp_path, form)
    (tmp_path / "a01.wav").touch()  # of nobody
    rows = list(scan("savee", tmp_path))
    others = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    assert Counter(row.emotion for row in rows) == {"neutral": 120} | dict.fromkeys(others, 60)
    assert Counter(row.speaker for row in rows) == dict.fromkeys(("DC", "JE", "JK", "KL"), 120)
    by_name = {row.id: row for row in rows}
    assert (by_name["KL_sa07"].speaker, by_name["KL_sa07"].emotion) == ("KL", "sadness")
    assert (by_name["DC_su15"].speaker, by_name["DC_su15"].emotion) == ("DC", "surprise")
    assert {(row.corpus, row.language) for row in rows} == {("savee", "en")}
    assert {(row.gender, row.naturalness) for row in rows} == {("male", "acted")}


def test_a_speakers_folder_is_a_root(tmp_path, monkeypatch):
    fabricate(tmp_path, "{speaker}/{clip}.wav")
    monkeypatch.chdir(tmp_path / "JE")
    assert {row.speaker for row in scan("savee", ".")} == {"JE"}


def test_unknown_emotion_code(tmp_path):
    (tmp_path / "DC_x01.wav").touch()
    with pytest.raises(UserError, match=r"DC_x01\.wav: unknown emotion code 'x'"):
        list(scan("savee", tmp_path))
