import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


cell = st.text(st.sampled_from("=+-@'\"1.,;aä"), min_size=1, max_size=6)


@given(st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=4, unique_by=lambda row: row[0]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_cell_is_a_formula_and_all_come_back(tmp_path, cells):
    rows = [
        Utterance(name, "=c", str(tmp_path / f"{number}.wav"), speaker=f"{speaker}s", text=text)
        for number, (name, speaker, text) in enumerate(cells)
    ]
    export("plain-csv", tmp_path / "t.csv", rows)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert all(value[0] not in "=@" for value in row.values() if value)
    assert list(import_("plain-csv", tmp_path / "t.csv", quoting="standard")) == rows
