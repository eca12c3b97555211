"""The tables of labels that corpora bring: encodings, and mistakes in one line."""

from __future__ import annotations

import pytest

from emobridge.corpora._rows import label_rows
from emobridge.errors import UserError

TEXT = "name, label \na, wütend \nb,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path, encoding):
    table = tmp_path / "t.csv"
    table.write_bytes(TEXT.encode(encoding))
    assert list(label_rows(table, "name", "label")) == [
        (f"{table}:2", {"name": "a", "label": "wütend"}),
        (f"{table}:3", {"name": "b", "label": ""}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"no column 'name' \(it is empty\)"),
        (b"file,label\n", r"no column 'name' \(columns: file, label\)"),
        (b"name,label\na\n", "t.csv:2: expected 2 columns as in the header"),
        (b"name,label\na,b,c\n", "t.csv:2: expected 2 columns as in the header"),
        (b'name,label\n"a,b\n', "cannot be read as a row"),
        (b"name,label\n\x81,b\n", "neither UTF-8 nor"),
        (b"name,label\n" + b"a" * 200_000 + b",b\n", "cannot be read as a row"),
        (b"\xff\xfen", "not utf-16 text"),
    ],
)
def test_a_mistaken_table_is_one_line(tmp_path, content, message):
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        list(label_rows(table, "name"))
    assert str(error.value).startswith(str(table)) and "\n" not in str(error.value)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        list(label_rows(tmp_path, "name"))
