import pytest

from emobridge.corpora import emozionalmente, scan
from emobridge.errors import UserError

SAMPLES = """\
file_name,sentence,sentence_language,actor,emotion_expressed
1613655062436.wav,"Un cavallo fenomenale, gigante",it,user1,joy
1619253465089.wav,È arrivata la posta,it,user1,neutrality
1613063132088.wav,È arrivata la posta,it,user2,anger
9999999999999.wav,È arrivata la posta,it,user2,fear
"""
USERS = "username,age,gender,mother_tongue\nuser1,31,female,it\nuser2,44,male,it\nuser3,20,other,it\n"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "emozionalmente_dataset"
    (folder / "audio").mkdir(parents=True)
    (folder / "metadata" / "split").mkdir(parents=True)
    (folder / "metadata" / "samples.csv").write_text(SAMPLES, encoding="utf-8")
    (folder / "metadata" / "users.csv").write_text(USERS, encoding="utf-8")
    for name in ("1613655062436", "1619253465089", "1613063132088"):
        (folder / "audio" / f"{name}.wav").touch()
    return folder


def test_a_fabricated_tree(root):
    reading = scan("emozionalmente", root)
    rows = list(reading)
    assert [(row.id, row.speaker, row.gender, row.emotion, row.split) for row in rows] == [
        ("1613655062436", "user1", "female", "happiness", None),
        ("1619253465089", "user1", "female", "neutral", None),
        ("1613063132088", "user2", "male", "anger", None),
    ]
    assert (rows[0].text, rows[0].path) == ("Un cavallo fenomenale, gigante", str(root / "audio/1613655062436.wav"))
    assert [row.age for row in rows] == [31, 31, 44]
    assert {(row.corpus, row.language, row.naturalness) for row in rows} == {("emozionalmente", "it", "acted")}
    assert "left out rows of samples.csv without a recording: 1 file (9999999999999.wav)" in reading.lines()
    assert list(scan("emozionalmente", root.parent)) == rows, "the folder above does too"


def test_the_split_of_later_versions(root):
    header, *lines = SAMPLES.splitlines()
    for line, name in zip(lines, emozionalmente.SPLIT_OF):
        (root / "metadata" / "split" / f"{name}.csv").write_text(f"{header}\n{line}\n", encoding="utf-8")
    assert [row.split for row in scan("emozionalmente", root)] == ["train", "validation", "test"]


def test_without_the_table_of_users(root):
    (root / "metadata" / "users.csv").unlink()
    assert {row.gender for row in scan("emozionalmente", root)} == {None}


def test_unknown_label_and_missing_column(root):
    table = root / "metadata" / "samples.csv"
    table.write_text(SAMPLES.replace(",joy", ",joi"), encoding="utf-8")
    with pytest.raises(UserError, match="'joi'"):
        list(scan("emozionalmente", root))
    assert [row.emotion for row in scan("emozionalmente", root, others="drop")] == ["neutral", "anger"]
    table.write_text(SAMPLES.replace("actor", "speaker"), encoding="utf-8")
    with pytest.raises(UserError, match=r"samples\.csv: no column 'actor' \(columns: file_name, sentence"):
        list(scan("emozionalmente", root))
