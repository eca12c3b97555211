"""Text in the encodings that programs save it in, and what is refused before it becomes other letters."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emobridge.data import encodings
from emobridge.data.encodings import find_encoding, text_lines
from emobridge.errors import UserError

TEXT = "path;emotion\nwütend.wav;Ärger\nça.wav;joy\n"


@pytest.mark.parametrize(
    ("saved", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
        ("latin-1", "cp1252"),
    ],
)
def test_an_encoding_is_recognised_and_read(tmp_path, saved, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.encode(saved))
    assert find_encoding(path) == encoding
    assert "".join(text_lines(path, encoding)) == TEXT


@pytest.mark.parametrize(
    ("text", "saved"),
    [
        ("path;emotion\nзлость.wav;злость\n", "cp1251"),
        ("path;emotion\nغضب.wav;غضب\n", "cp1256"),
        ("path;emotion\n愤怒.wav;高兴的\n", "gbk"),
        ("path;emotion\na.wav;wütend\n", "mac-roman"),
        ("path;emotion\na.wav;Ärger über\n", "cp850"),
    ],
)
def test_other_alphabets_are_refused_until_their_encoding_is_told(tmp_path, text, saved):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(saved))
    with pytest.raises(UserError, match=r"name its encoding, such as encoding=cp1251"):
        find_encoding(path)
    assert "".join(text_lines(path, find_encoding(path, saved))) == text


def test_lines_that_are_not_utf_8_among_lines_that_are(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("path\nä.wav\n".encode() + "ö.wav\n".encode("cp1252"))
    with pytest.raises(UserError, match=r"t\.csv:3: not UTF-8, as other lines are"):
        find_encoding(path)


def test_a_character_between_two_blocks_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "_BLOCK", 3)
    path = tmp_path / "t.csv"
    for text in ("aäöü", "aaäö", "äää"):
        path.write_text(text, encoding="utf-8")
        assert find_encoding(path) == "utf-8"
    path.write_bytes("aaä".encode()[:-1])
    assert find_encoding(path) != "utf-8", "it ends within a character"


@pytest.mark.parametrize("name", ["banana", "hex", "rot13", ""])
def test_an_unknown_encoding_is_one_line(tmp_path, name):
    with pytest.raises(UserError, match="unknown encoding"):
        find_encoding(tmp_path / "t.csv", name)


def test_what_is_no_text_is_named_with_its_line(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(b"path\na.wav\nb\0.wav\n")
    with pytest.raises(UserError, match=r"t\.csv:3: holds a NUL byte"):
        list(text_lines(path, find_encoding(path)))
    path.write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(UserError, match=r"not utf-8 text in line 1 or soon after"):
        list(text_lines(path, find_encoding(path, "ascii") and "utf-8"))
    monkeypatch.setattr(encodings, "LONGEST_LINE", 10)
    path.write_bytes(b"path\n" + b"a" * 11)
    with pytest.raises(UserError, match=r"t\.csv:2: a line of more than 10 characters"):
        list(text_lines(path, "utf-8"))
    with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
        find_encoding(tmp_path / "none.csv")


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\ufeff"), max_size=30))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_utf_8_is_never_taken_for_another(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert "".join(text_lines(path, find_encoding(path))) == text
