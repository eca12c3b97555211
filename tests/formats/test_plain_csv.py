import csv

import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance


def test_columns_are_the_fields_that_are_filled(tmp_path):
    rows = [
        Utterance("a", "c", str(tmp_path / "wav" / "a.wav"), emotion="anger", text='say "no", please'),
        Utterance("b", "c", "/else/b.wav", start=0.1, phones=str(tmp_path / "b.lab")),
    ]
    done = export("plain-csv", tmp_path / "t.csv", rows)
    assert done.lost == ()
    with done.path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == ["id", "corpus", "path", "start", "emotion", "text", "phones"]
    assert (first["path"], second["path"], second["phones"]) == ("wav/a.wav", "/else/b.wav", "b.lab")
    assert (second["start"], second["emotion"]) == ("0.1", "")
    assert list(import_("plain-csv", done.path)) == rows


def test_any_table_with_a_mapping(tmp_path):
    (tmp_path / "t.csv").write_text("file;mood\n1.wav;W\n")
    (row,) = import_("plain-csv", tmp_path / "t.csv", columns="path=file,emotion=mood", labels="W=anger")
    assert (row.emotion, row.id) == ("anger", "1")
    with pytest.raises(UserError, match=r"t\.csv:2: unknown emotion label 'W'"):
        list(import_("plain-csv", tmp_path / "t.csv", columns="path=file,emotion=mood"))
    with pytest.raises(UserError, match=r"ends in \.csv"):
        export("plain-csv", tmp_path / "t.tsv", [row])
