"""A table in any dialect and encoding is read as it was written, or refused: no row is lost or merged in silence."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emobridge.data.column_names import is_column_name
from emobridge.data.tables import open_table
from emobridge.errors import UserError

NAMES = ("path", "emotion", "speaker", "sentence", "notes", "age", "locale")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252")
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
plain = st.text(st.sampled_from("abcä ö.-?!"), max_size=6)
marked = st.text(st.sampled_from('abä "".,;|'), max_size=8)
long_text = st.text(st.sampled_from('ab "",;\t|\n'), max_size=12)


def tables(cells, columns):
    """Headers and rows whose first cell is a path."""

    def rows(count):
        row = st.lists(cells, min_size=count - 1, max_size=count - 1)
        return st.tuples(st.just(NAMES[:count]), st.lists(row, min_size=1, max_size=6))

    return st.integers(*columns).flatmap(rows)


def content(header, rows, delimiter, quoting):
    """The table as text, and as it is to be read: a path in each row, and no spaces around a cell."""
    full = [[f"{number}.wav", *row] for number, row in enumerate(rows)]
    if quoting == csv.QUOTE_NONE:
        text = "".join(delimiter.join(row) + "\n" for row in [list(header), *full])
    else:
        file = io.StringIO()
        csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([header, *full])
        text = file.getvalue()
    return text, [dict(zip(header, map(str.strip, row))) for row in full]


def read(path, **options):
    return [row for _, row in open_table(path, is_name=is_column_name, **options).rows()]


def read_or_ask(path, **answer):
    """The rows, or where the user is asked the rows by the answer; the question must name the option."""
    try:
        return read(path)
    except UserError as error:
        question = str(error)
    assert all(f"{name}=" in question for name in answer)
    return read(path, **answer)


def without_marks(row):
    return {name: cell.replace('"', "").strip() for name, cell in row.items()}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(tables(plain, (1, 7)))
@quick
def test_plain_cells_come_back_in_every_dialect_and_encoding(tmp_path, encoding, delimiter, table):
    text, expected = content(*table, delimiter, csv.QUOTE_NONE)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    rows = read_or_ask(tmp_path / "t.csv", encoding=encoding)  # words of umlauts alone look like another alphabet
    assert rows == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@given(tables(long_text, (2, 7)))
@quick
def test_quoted_cells_come_back_or_the_user_is_asked(tmp_path, delimiter, quoting, table):
    header, cells = table
    if delimiter in "\t|":  # no prose holds these
        cells = [[cell.replace(delimiter, "") for cell in row] for row in cells]
    text, expected = content(header, cells, delimiter, quoting)
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert read_or_ask(path, quoting="standard") == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(tables(marked, (2, 7)))
@quick
def test_lone_quotation_marks_in_a_table_without_quoting_merge_no_rows(tmp_path, delimiter, table):
    header, rows = table
    rows = [[cell.replace(delimiter, "") for cell in row] for row in rows]
    text, expected = content(header, rows, delimiter, csv.QUOTE_NONE)
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert list(map(without_marks, read_or_ask(path, quoting="none"))) == list(map(without_marks, expected))


VALIDATED = (
    "client_id\tpath\tsentence\temotion\tage\tgender\tlocale\n"
    's1\tcv_1.mp3\tGuten Tag.\tneutral\t\t\tde\ns1\tcv_2.mp3\t"Geh weg,\twut\t\t\tde\n'
    's2\tcv_3.mp3\tDas freut mich.\tfreude\t\t\tde\ns3\tcv_5.mp3\tflüsterte sie leise."\tangst\t\t\tde\n'
)


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_a_sentence_that_opens_with_a_quotation_mark_swallows_no_row(tmp_path, delimiter):
    path = tmp_path / "validated.tsv"
    path.write_text(VALIDATED.replace(",", "").replace("\t", delimiter), encoding="utf-8")
    rows = read(path)
    assert [row["emotion"] for row in rows] == ["neutral", "wut", "freude", "angst"]
    assert "quotation marks are text" in str(open_table(path, is_name=is_column_name).dialect)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'path\temotion\ttext\na\tjoy\t"x\nb\tsad\ty\tz"\nc\tsad\tz\n',
            r"t\.csv:2: .*rows by themselves.*quoting=none",
        ),
        ('path,text\na,"hello\nyou, there"\n', r"t\.csv: 1 rows or 2: .*quoting=standard or quoting=none"),
        ('path,emotion\na,"joy\nb,sad,x\n', r"t\.csv:3: expected 2 columns .*not 3; does"),
        ("path,emotion\na,joy\nb\n", r"t\.csv:3: expected 2 columns as in the header \(line 1\), not 1$"),
        (
            "t\n\npath,emotion\n\na,joy\n\nb,joy,c\n",
            r"t\.csv:7: expected 2 columns as in the header \(line 3\), not 3$",
        ),
        ('path,text\na,"' + "x" * 200_000 + '"\n', r"t\.csv:2: cannot be read as a row \(field larger"),
    ],
)
def test_where_two_readings_are_possible_or_none_the_user_is_told(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path / "t.csv")
    assert "\n" not in str(error.value)


def test_a_row_that_breaks_the_dialect_late_is_named_before_anything_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("path;emotion\n" + "a.wav;joy\n" * 5000 + "b.wav;joy;x\n")
    with pytest.raises(UserError, match=r"t\.csv:5002: expected 2 columns"):
        open_table(path, is_name=is_column_name)


@pytest.mark.parametrize(
    ("text", "shown", "line"),
    [
        ("path,emotion\na,joy\n", "utf-8 text, commas between columns", 2),
        ("sep=;\npath;emotion\na;joy\n", "utf-8 text, semicolons between columns, header in line 2", 3),
        ('"sep=\\t"\npath\temotion\na\tjoy\n', "utf-8 text, tabs between columns, header in line 2", 3),
        (
            "Studie;;\n;;\npath;emotion;\n;;\na;joy;\n;;\n",
            "utf-8 text, semicolons between columns, header in line 3, 1 row",
            5,
        ),
        ("\n\nStudie 3, Teil 2\npath,emotion\na,joy\n", "header in line 4, 1 row above it left out", 5),
        ("path;start\na;0,5\n", "semicolons between columns, decimal commas", 2),
        ('path;start\na;"0,5"\n', "quotation marks enclose text, decimal commas", 2),
        ("path;start\na;0.5\n", "utf-8 text, semicolons between columns", 2),
        ("path\na\n", "utf-8 text", 2),
        ('path,emotion\na,joy\n""\n', "quotation marks enclose text", 2),
        ('"Studie\n3"\npath,emotion\na,joy\n', "quotation marks enclose text, header in line 3", 4),
        ("path^emotion\na^joy\n", "'path^emotion'", 0),
    ],
)
def test_a_dialect_is_named(tmp_path, text, shown, line):
    path = tmp_path / "t.csv"
    path.write_text(text)
    table = open_table(path, is_name=is_column_name)
    if line:
        assert shown in str(table.dialect)
        assert [number for number, _ in table.rows()] == [line]
        assert next(table.rows())[1]["path"] == "a"
    else:
        assert table.columns == ("path^emotion",)
        assert open_table(path, is_name=is_column_name, delimiter="^").columns == ("path", "emotion")


@pytest.mark.parametrize(("option", "value"), [("delimiter", "comma,"), ("delimiter", "a"), ("quoting", "nono")])
def test_an_unknown_option_is_one_line(tmp_path, option, value):
    (tmp_path / "t.csv").write_text("path\na\n")
    with pytest.raises(UserError, match=f"unknown {option}"):
        read(tmp_path / "t.csv", **{option: value})
