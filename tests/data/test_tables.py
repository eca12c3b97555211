"""Tables of JSON, and what is no table; text is in test_dialects, Excel in test_workbooks."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emobridge.data import json_rows
from emobridge.data.tables import open_table
from emobridge.errors import UserError
from emobridge.files import escape_cell, unescape_cell, write_csv

values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
keys = st.text(max_size=4)
objects = st.dictionaries(keys, values | st.lists(values, max_size=2) | st.dictionaries(keys, values, max_size=2))
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@given(st.lists(objects, max_size=5))
@quick
def test_a_list_is_read_in_pieces_of_any_size(tmp_path, chunk, indent, rows):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=True), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_CHUNK", chunk)
        assert [row for _, row in open_table(path).rows()] == rows


@pytest.mark.parametrize("name", ["t.jsonl", "t.JSON", "t.ndjson", "t.txt"])
def test_lines_and_lists_are_known_by_their_content(tmp_path, name):
    path = tmp_path / name
    path.write_text('\n{"path": "a.wav"}\n\n{"emotion": "joy", "path": "b.wav"}\n')
    table = open_table(path)
    assert table.columns == ("path", "emotion")
    assert list(table.rows()) == [(2, {"path": "a.wav"}), (4, {"emotion": "joy", "path": "b.wav"})]
    path.write_text('[\n {"path": "a.wav"},\n {"path": "b.wav"}\n]\n')
    assert list(open_table(path).rows()) == [(2, {"path": "a.wav"}), (3, {"path": "b.wav"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n[1]\n', r"t\.json:2: expected a JSON object, not list"),
        ('{"a": 1, "a": 2}', r"t\.json:1: not valid JSON \(the key 'a' stands twice"),
        ('{\n"a": 1\n}', r"t\.json:1: not valid JSON"),
        ("[" * 100_000, r"t\.json:1: not valid JSON"),
        ('{"a": ' * 100_000, r"t\.json:1: not valid JSON"),
        ('{"a": 1' + "0" * 5000 + "}", r"t\.json:1: not valid JSON"),
        ('[{"a": 1},\n 2]', r"t\.json:2: expected a JSON object, not int"),
        ('[{"a": 1}\n {"a": 2}]', r"t\.json:2: not valid JSON \(expected ',', got '\{'\)"),
        ('[{"a": 1},\n', r"t\.json:2: not valid JSON"),
        ('[{"a": 1}\n', r"t\.json:2: not valid JSON \(the list has no end\)"),
        ('[{"a": 1}] x', r"t\.json:1: expected nothing after the list's '\]'"),
        ("\n".join(json.dumps({f"k{row}": 1}) for row in range(1001)), "more than 1000 different keys"),
    ],
)
def test_bad_json_is_one_line(tmp_path, text, message):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        list(open_table(path).rows())
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel file"),
        (b"PAR1", "a Parquet file"),
        (b"\x1f\x8b\x08", "compressed: unpack it"),
        (b"PK\x03\x04", "neither text nor an Excel file"),
        (b"RIFF\x00\x00", "an audio file"),
        (b"path\n\0\1\2\n", "holds a NUL byte"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, start, message):
    (tmp_path / "t.csv").write_bytes(start)
    with pytest.raises(UserError, match=message):
        open_table(tmp_path / "t.csv")
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UserError, match="cannot be read"):
            open_table(path)


def test_a_second_header_and_columns_of_one_name_are_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("path,x,x,\na,1,2,3\npath,x,x,\nb,1,2,3\n".replace(",3", ","))
    table = open_table(path)
    assert (table.columns, table.repeated) == (("path",), {"x"})
    assert list(table.rows()) == [(2, {"path": "a"}), (4, {"path": "b"})]
    assert table.notes == ["the header stands 2 times: the later ones were left out"]


@given(st.text(st.sampled_from("'=+-@\t\r\n1.,ea＝"), max_size=8))
@settings(max_examples=300)
def test_an_escaped_cell_runs_nowhere_and_comes_back(text):
    cell = escape_cell(text)
    assert unescape_cell(cell) == text
    assert not cell or cell[0] not in "=@\t\r＝"
    if cell[:1] in ("+", "-"):
        assert not set(cell[1:]) & set("=+-@'") or "e" in cell, "a plain number"


@given(st.lists(st.text(st.sampled_from("'=+-@1.,;\"ea"), max_size=6), min_size=1, max_size=4))
@quick
def test_a_table_of_cells_comes_back(tmp_path, texts):
    path = tmp_path / "t.csv"
    write_csv(path, [{"path": f"{row}", "text": text} for row, text in enumerate(texts)])
    assert [row["text"] for _, row in open_table(path, quoting="standard").rows()] == texts
