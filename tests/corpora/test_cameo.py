import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError

HEADER = "file_id,emotion,transcription,speaker_id,gender,age,dataset,language,license\n"
CAFE = """\
e80234c7.flac,neutral,Cinq pumas fiers et passionnés,cafe_12,female,37,CaFE,French,CC BY-NC-SA 4.0
a1b2c3d4.flac,surprise,Un cheval fou dans mon jardin,cafe_01,male,46,CaFE,French,CC BY-NC-SA 4.0
"""
RESD = "0f0f0f0f.flac,enthusiasm,Привет,resd_32,,,RESD,Russian,MIT\n"


@pytest.fixture
def root(tmp_path):
    for name, text in (("cafe", CAFE), ("resd", RESD)):
        folder = tmp_path / "CAMEO" / name
        folder.mkdir(parents=True)
        (folder / "metadata.csv").write_text(HEADER + text, encoding="utf-8")
        for line in text.splitlines():
            (folder / line.partition(",")[0]).touch()
    return tmp_path / "CAMEO"


def test_a_fabricated_copy(root):
    rows = list(scan("cameo", root))
    assert {row.speaker: row.age for row in rows} == {"cafe_12": 37, "cafe_01": 46, "resd_32": None}
    assert [(row.id, row.corpus, row.language, row.speaker, row.gender, row.emotion) for row in rows] == [
        ("CaFE/e80234c7", "cameo-cafe", "fr", "cafe_12", "female", "neutral"),
        ("CaFE/a1b2c3d4", "cameo-cafe", "fr", "cafe_01", "male", "surprise"),
        ("RESD/0f0f0f0f", "cameo-resd", "ru", "resd_32", None, "other"),
    ]
    assert [row.text for row in rows] == ["Cinq pumas fiers et passionnés", "Un cheval fou dans mon jardin", "Привет"]
    assert [row.id for row in scan("cameo", root / "cafe")] == ["CaFE/e80234c7", "CaFE/a1b2c3d4"]


def test_a_column_of_splits(root):
    header, rows = HEADER.replace("license", "license,split"), CAFE.replace("4.0\n", "4.0,dev\n")
    (root / "cafe" / "metadata.csv").write_text(header + rows, encoding="utf-8")
    assert {row.split for row in scan("cameo", root / "cafe")} == {"validation"}


def test_unknown_labels_are_named_at_once(root):
    (root / "resd" / "metadata.csv").write_text(HEADER + RESD.replace("enthusiasm", "glee"), encoding="utf-8")
    with pytest.raises(UserError, match="'glee'"):
        list(scan("cameo", root))
    assert len(list(scan("cameo", root, labels="glee=happiness"))) == 3
