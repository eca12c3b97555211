from collections import Counter

import pytest

from emobridge.corpora import cafe, scan
from emobridge.errors import UserError

FOLDERS = dict(zip(cafe.LABELS, ("Colère", "Dégoût", "Joie", "Neutre", "Peur", "Surprise", "Tristesse")))


def fabricate(root, suffix="wav", actors=12):
    for emotion, folder in FOLDERS.items():
        for level, subfolder in ((1, "."),) if emotion == "N" else ((1, "Faible"), (2, "Fort")):
            (root / folder / subfolder).mkdir(parents=True, exist_ok=True)
            for actor in range(1, actors + 1):
                for sentence in cafe.TEXTS:
                    name = f"{actor:02d}-{emotion}-{level}-{sentence}.{suffix}"
                    (root / folder / subfolder / name).touch()


def test_a_whole_distribution(tmp_path):
    fabricate(tmp_path / "CaFE_48k")
    rows = list(scan("cafe", tmp_path))
    others = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    assert Counter(row.emotion for row in rows) == {"neutral": 72} | dict.fromkeys(others, 144)
    assert Counter(row.speaker for row in rows) == {f"{actor:02d}": 78 for actor in range(1, 13)}
    by_name = {row.id: row for row in rows}
    assert by_name["03-J-2-6"].emotion == "happiness"
    assert by_name["03-J-2-6"].text == "Six ours aimants domestiqués"
    assert {(row.corpus, row.language) for row in rows} == {("cafe", "fr-CA")}
    assert {row.speaker for row in rows if row.gender == "female"} == {"02", "04", "06", "08", "10", "12"}
    assert {(row.gender, row.naturalness) for row in rows} == {("male", "acted"), ("female", "acted")}


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_one_rate_is_scanned_and_not_both(tmp_path, suffix):
    fabricate(tmp_path / "CaFE_48k", actors=1)
    fabricate(tmp_path / "CaFE_192k_1", suffix, actors=1)
    with pytest.raises(UserError, match=r"is there twice .* point to the folder that holds one of them"):
        list(scan("cafe", tmp_path))
    assert len(list(scan("cafe", tmp_path / "CaFE_192k_1"))) == 78


def test_unknown_emotion_letter(tmp_path):
    (tmp_path / "01-A-1-1.wav").touch()
    with pytest.raises(UserError, match=r"01-A-1-1\.wav: unknown emotion code 'A'"):
        list(scan("cafe", tmp_path))
