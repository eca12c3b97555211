import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError

# The spaces before the speakers are in the published table.
TABLE = """\
file_id	emotion	raw_text	normalized_text	speaker_id	gender	age
WR0_surprised_64.wav	surprised	Ucho wykrywa dźwięki.	ucho wykrywa dźwięki	        WR0	male	23
EB0_neutral_13.wav	neutral	„Ród smoka” to serial.	„ród smoka” to serial	        EB0	female	27
MP0_sadness_79.wav	sadness	Mleko.	mleko	        MP0	male	24
"""


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "nEMO"
    (root / "samples").mkdir(parents=True)
    for name in ("WR0_surprised_64", "EB0_neutral_13"):
        (root / "samples" / f"{name}.wav").touch()
    (root / "data.tsv").write_text(TABLE, encoding="utf-8")
    return root


def test_a_fabricated_clone(root):
    reading = scan("nemo", root)
    rows = list(reading)
    assert [(row.id, row.speaker, row.gender, row.emotion, row.text) for row in rows] == [
        ("WR0_surprised_64", "WR0", "male", "surprise", "Ucho wykrywa dźwięki."),
        ("EB0_neutral_13", "EB0", "female", "neutral", "„Ród smoka” to serial."),
    ]
    assert [row.age for row in rows] == [23, 27]
    assert {(row.corpus, row.language, row.naturalness) for row in rows} == {("nemo", "pl", "acted")}
    assert reading.lines()[1] == "left out rows of data.tsv without a recording: 1 file (MP0_sadness_79.wav)"
    assert list(scan("nemo", root.parent)) == rows, "the folder above does too"


def test_a_mistaken_table_is_one_line(root):
    (root / "data.tsv").write_text(TABLE.replace("\t", ","), encoding="utf-8")
    with pytest.raises(UserError, match=r"data\.tsv: no column 'file_id'"):
        list(scan("nemo", root))
