import unicodedata

import pytest

from emobridge.corpora import oreau, scan
from emobridge.errors import UserError

EITHER = ("f/sessj/10a02Ja", "m/sesss/07z03Sa", "m/sessd/16a20Da")  # of listeners' choice
FIRST = ("m/sessc/40a05Ca", "f/sessn/42a11Na", "m/sessp/08a01Pa", "m/sesst/36a06Ta")


@pytest.fixture(params=["NFC", "NFD"])
def root(request, tmp_path):
    for version, names in (("01", (*EITHER, *FIRST)), ("02", EITHER)):
        for name in names:
            path = tmp_path / unicodedata.normalize(request.param, f"OréauFR_{version}") / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path


def test_a_fabricated_tree(root):
    rows = list(scan("oreau", root))
    assert {row.id: (row.speaker, row.emotion) for row in rows} == {
        "10a02Ja": ("10", "happiness"),
        "42a11Na": ("42", "neutral"),
        "07z03Sa": ("07", "surprise"),
        "16a20Da": ("16", "disgust"),
        "40a05Ca": ("40", "anger"),
        "08a01Pa": ("08", "fear"),
        "36a06Ta": ("36", "sadness"),
    }
    assert {row.emotion for row in rows} == set(oreau.LABELS.values())
    for row in rows:
        assert (row.gender, row.naturalness) == ({"f": "female", "m": "male"}[row.path.split("/")[-3]], "acted")
    assert {(row.corpus, row.language) for row in rows} == {("oreau", "fr")}


def test_the_version_is_chosen(root):
    second = [row.id for row in scan("oreau", root, version=2)]
    assert sorted(second) == sorted(name[-7:] for name in EITHER)
    (inner,) = (folder for folder in root.iterdir() if folder.name.endswith("2"))
    assert [row.id for row in scan("oreau", inner)] == second
    with pytest.raises(UserError, match="unknown version of Oréau '3'"):
        scan("oreau", root, version=3)


def test_unknown_emotion_letter(tmp_path):
    (tmp_path / "10a02Aa.wav").touch()
    with pytest.raises(UserError, match=r"10a02Aa\.wav: unknown emotion code 'A'"):
        list(scan("oreau", tmp_path))
