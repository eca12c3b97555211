"""Changes to a file, drawn by a random generator: bits, bytes, lines, cells, encodings, trees of JSON and TOML.

Each change takes the generator, the content and the file's suffix, and returns the new content with a description of
what was changed; None where it does not fit the content.
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import tomli_w

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Changed = tuple[bytes, str]
Change = Callable[[random.Random, bytes, str], "Changed | None"]
TEXTS = ("", ".csv", ".tsv", ".txt", ".stm", ".yaml", ".textgrid", ".eaf", ".scp")
DEEP = 3000  # levels of nesting
LONG = 200_000  # characters of a long text
# Written in place of a value as they stand, so that values are possible that no Python object is written as.
LITERALS = (
    *("1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 5000, "1e400", "-0.0", "1e-400", "-1", "0", "1", "2", "1.5"),
    *("1000000", "2147483648", "9223372036854775807", "9223372036854775808", "1e300", "true", "false", '""', '" "'),
    *('"-1"', '"0"', '"1e6"', '"nan"', '"inf"', '"none"', '"null"', '"../.."', '"/"', '"~"', '"."', "[]", "{}"),
    *('"a\\u0000b"', '"\\u001b[31m"', '"\\n"', '"x\\ty"', '"=1+1"', '"\\u202e"', '"\\u0130"', '"e\\u0301"', '[""]'),
    *("[" * DEEP + "]" * DEEP, '"' + "x" * LONG + '"'),
)
JSON_LITERALS = ("NaN", "Infinity", "-Infinity", "null", '"\\ud800"', '{"a": ' * DEEP + "1" + "}" * DEEP, "[null]")
TOML_LITERALS = ("nan", "inf", "-inf", "1979-05-27T07:32:00Z", "07:32:00", "0xff", "[{}]", "{a.b.c = 1}")
CELLS = (
    *("", " ", '"', "'", "=1+1", "-1", "0", "1e400", "nan", "inf", "1,5", "1.234,5", "NaN", "NULL", "\x00", "\x1b[31m"),
    *("\ud800", "a\tb", "a;b", "a,b", 'a"b', "true", "no", "x" * LONG, "1" + "0" * 400, "../x.wav", "\u202e", "\ufeff"),
)
WORDS = (0, 1, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(draw: random.Random, content: bytes, suffix: str) -> Changed:
    """The content after one to three changes that fit it, and what they were."""
    notes = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        for _ in range(20):
            result = draw.choice(_changes_for(suffix))(draw, content, suffix)
            if result is not None and result[0] != content:
                content = result[0]
                notes.append(result[1])
                break
    return content, "; ".join(notes)


def _changes_for(suffix: str) -> tuple[Change, ...]:
    if suffix == ".safetensors":
        return (*BYTES, tensor_header, tensor_header, tensor_header)
    if suffix in (".json", ".toml"):
        return (*BYTES, *LINES, *ENCODINGS, *[tree] * 12)
    if suffix == ".jsonl":
        return (*BYTES, *LINES, *ENCODINGS, *[json_line] * 10)
    if suffix == ".xlsx":
        return (*BYTES, *[part] * 8)
    if suffix == ".eaf":
        return (*BYTES, *LINES, *ENCODINGS, *[markup] * 8)
    if suffix.casefold() in TEXTS:
        return (*BYTES, *LINES, *ENCODINGS, *[cell] * 8)
    return (*BYTES, number, number, number)


# ---------------------------------------------------------------- bytes


def _span(draw: random.Random, size: int) -> tuple[int, int]:
    first = draw.randrange(size)
    return first, min(size, first + draw.choice((1, 1, 2, 4, 16, 100, 1000)))


def flip(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """One bit."""
    if not content:
        return None
    # Headers say what the rest is: half of all changes go there.
    place = draw.randrange(min(len(content), 64) if draw.random() < 0.5 else len(content))
    changed = bytearray(content)
    changed[place] ^= 1 << draw.randrange(8)
    return bytes(changed), f"bit flipped in byte {place}"


def truncate(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """The end is cut off."""
    size = draw.randrange(len(content)) if content else 0
    return content[:size], f"cut to {size} of {len(content)} bytes"


def delete(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """A stretch is taken out."""
    if not content:
        return None
    first, last = _span(draw, len(content))
    return content[:first] + content[last:], f"bytes {first} to {last} taken out"


def duplicate(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """A stretch stands twice, or the whole file does."""
    if not content:
        return None
    first, last = (0, len(content)) if draw.random() < 0.1 else _span(draw, len(content))
    return content[:last] + content[first:], f"bytes {first} to {last} twice"


def swap(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """Two stretches change places."""
    if len(content) < 4:
        return None
    a, b, c, d = sorted(draw.randrange(len(content) + 1) for _ in range(4))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:], f"bytes {a}.. and {c}.. swapped"


def insert(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """Foreign bytes come in."""
    place = draw.randrange(len(content) + 1)
    piece = draw.choice((b"\0", b"\xff", b"\r", b"\n", b'"', b"\xff\xfe", b"\xef\xbb\xbf", b"\x1a", b"\xed\xa0\x80"))
    piece = draw.randbytes(draw.choice((1, 4, 64))) if draw.random() < 0.3 else piece * draw.choice((1, 1, 2, 300))
    return content[:place] + piece + content[place:], f"{piece[:8]!r} ({len(piece)} bytes) at byte {place}"


def empty(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """Nothing, zeros or noise in place of everything."""
    kind = draw.choice(("nothing", "zeros", "noise"))
    size = min(len(content), 5000)
    return {"nothing": b"", "zeros": bytes(size), "noise": draw.randbytes(size)}[kind], f"{kind} in place of all"


def number(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """An extreme whole number of two, four or eight bytes, mostly in the header."""
    width, order = draw.choice(("H", "I", "I", "Q")), draw.choice("<>")
    size = struct.calcsize(width)
    if len(content) < size:
        return None
    place = draw.randrange(min(len(content), 120) - size + 1) if draw.random() < 0.8 else draw.randrange(len(content))
    value = draw.choice(WORDS) & (256**size - 1)
    changed = content[:place] + struct.pack(order + width, value) + content[place + size :]
    return changed, f"{value} as {order}{width} at byte {place}"


BYTES: tuple[Change, ...] = (flip, flip, flip, truncate, delete, duplicate, swap, insert, empty)


# ---------------------------------------------------------------- lines and cells


def line(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """A line is deleted, doubled, moved, split, joined or emptied, or stands before all others."""
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return None
    place = draw.randrange(len(lines)) if draw.random() < 0.7 else 0
    kind = draw.choice(("deleted", "doubled", "moved", "split", "joined", "emptied", "cut", "title"))
    text = lines[place]
    if kind == "moved":
        lines.pop(place)
        lines.insert(draw.randrange(len(lines) + 1), text)
    else:
        half = draw.randrange(len(text) + 1)
        lines[place : place + 1] = {
            "deleted": [],
            "doubled": [text, text],
            "split": [text[:half] + b"\n", text[half:]],
            "joined": [text.rstrip(b"\r\n")],
            "emptied": [b"\n"],
            "cut": [text[:half] + b"\n"],
            "title": [b"My recordings\n", b"\n", text],
        }[kind]
    return b"".join(lines), f"line {place + 1} {kind}"


LINES: tuple[Change, ...] = (line, line, line)


def cell(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """A cell of a table has another value, is missing or is one more; or a column of the header has another name."""
    text = content.decode("utf-8", "surrogateescape")
    lines = text.splitlines()
    if not lines:
        return None
    delimiter = max(("\t", ";", ",", " "), key=lines[0].count)
    place = draw.randrange(len(lines))
    cells = lines[place].split(delimiter)
    column = draw.randrange(len(cells))
    kind = draw.choice(("value", "value", "value", "missing", "more", "copied", "delimiter"))
    value = draw.choice(CELLS)
    if kind == "value":
        cells[column] = value
    elif kind == "missing":
        cells.pop(column)
    elif kind == "more":
        cells.insert(column, value)
    elif kind == "copied":
        cells[column] = draw.choice(draw.choice(lines).split(delimiter))
    lines[place] = (delimiter if kind != "delimiter" else draw.choice(",;\t|")).join(cells)
    note = f"row {place + 1}, column {column + 1}: {kind} {value[:20]!r}"
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass" if "\ud800" in value else "surrogateescape"), note


# ---------------------------------------------------------------- XML


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 30 if n else "lol" * 30}">' for n in range(8))
VALUES = ("", "-1", "1e400", "9" * 400, "nan", "&a7;", "&#0;", "&#xD800;", "../x.wav", "/", "x" * LONG, "A1048577", "s")


VALUE, TAG, LEAF = r'(?<==")[^"]*(?=")|(?<=>)[^<>]+(?=<)', r"<[^<>]+>", r"<(\w+)[^<>]*>[^<>]*</\1>"


def markup(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """An attribute or a text of XML has another value, an element is gone, twice or deep inside, or entities swell."""
    text = content.decode("utf-8", "replace")
    kind, value = draw.choice(("value", "value", "value", "gone", "twice", "deep", "entities")), draw.choice(VALUES)
    spots = list(re.finditer({"value": VALUE, "gone": TAG}.get(kind, LEAF), text))
    if not spots:
        return None
    spot = draw.choice(spots)
    first, last, old = spot.start(), spot.end(), spot.group()
    if kind == "entities":
        start = text.index("?>") + 2 if "?>" in text else 0
        text = text[:first] + old.replace("</", "&a7;</") + text[last:]
        return f"{text[:start]}<!DOCTYPE x [{BOMB}]>{text[start:]}".encode(), "entities that swell"
    new = {"value": value, "gone": "", "twice": old * 2}.get(kind, f"{'<a>' * DEEP}{old}{'</a>' * DEEP}")
    return (text[:first] + new + text[last:]).encode(), f"{old[:30]!r} {kind}: {new[:30]!r}"


def part(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """As `markup`, in one part of a workbook; or a part is missing, empty or swells when it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # damaged by a change before
        return None
    if not parts:
        return None
    name, kind = draw.choice(list(parts)), draw.choice(("markup",) * 8 + ("missing", "empty", "swells"))
    note = kind
    if kind == "missing":
        del parts[name]
    elif kind == "markup":
        changed = markup(draw, parts[name], ".xml")
        if changed is None:
            return None
        parts[name], note = changed
    else:
        parts[name] = b"" if kind == "empty" else parts[name].replace(b">", b">" + b" " * 30_000_000, 1)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, text in parts.items():
            archive.writestr(zipfile.ZipInfo(other), text, zipfile.ZIP_DEFLATED)
    return packed.getvalue(), f"{name}: {note}"


# ---------------------------------------------------------------- encodings


def encode(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """The same text in another encoding, or with other ends of lines."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    name = draw.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "cp037", "cr"))
    if name == "cr":
        return text.replace("\n", draw.choice(("\r", "\r\n", "\n\r", "\u2028", "\x0b"))).encode(), "other ends of lines"
    return text.encode(name, "replace"), f"as {name}"


ENCODINGS: tuple[Change, ...] = (encode,)


# ---------------------------------------------------------------- trees


def tree(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """A value of a JSON or TOML file is replaced, moved, doubled, deleted or renamed."""
    try:
        value = json.loads(content) if suffix == ".json" else tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    changed = _changed_value(draw, value, toml=suffix == ".toml")
    if changed is None:
        return None
    value, literal, note = changed
    try:
        text = json.dumps(value, indent=1) if suffix == ".json" else tomli_w.dumps(value)
    except (TypeError, ValueError, AttributeError, RecursionError):
        return None
    return _written(text, literal), note


def json_line(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """As `tree`, in one line of a file of JSON lines."""
    lines = content.splitlines()
    if not lines:
        return None
    place = draw.randrange(len(lines))
    try:
        changed = _changed_value(draw, json.loads(lines[place]), toml=False)
    except (ValueError, RecursionError):
        return None
    if changed is None:
        return None
    value, literal, note = changed
    lines[place] = _written(json.dumps(value), literal)
    return b"\n".join(lines) + b"\n", f"line {place + 1}: {note}"


def tensor_header(draw: random.Random, content: bytes, suffix: str) -> Changed | None:
    """As `tree`, in the header of a safetensors file, whose length stays right."""
    if len(content) < 8:
        return None
    (size,) = struct.unpack("<Q", content[:8])
    if size > len(content) - 8:
        return None
    changed = tree(draw, content[8 : 8 + size], ".json")
    if changed is None:
        return None
    return struct.pack("<Q", len(changed[0])) + changed[0] + content[8 + size :], f"header: {changed[1]}"


MARK = "@literal@"
KINDS = ("replaced", "replaced", "replaced", "deleted", "renamed", "other", "doubled", "reversed", "near")


def _written(text: str, literal: str) -> bytes:
    return text.replace(f'"{MARK}"', literal).encode("utf-8", "surrogatepass")


def _changed_value(draw: random.Random, value: Any, *, toml: bool) -> tuple[Any, str, str] | None:
    """A tree in which MARK stands for the literal that is returned with it; and what was changed."""
    places = list(_places(value))
    if not places:
        return None
    parent, key = draw.choice(places)
    literal = draw.choice(LITERALS + (TOML_LITERALS if toml else JSON_LITERALS))
    if toml:
        literal = literal.replace("\\ud800", "\\u0041")
    kind = draw.choice(KINDS)
    shown = f"{key!r} {kind}"
    if kind == "replaced":
        parent[key], shown = MARK, f"{key!r} is {literal[:30]} ({len(literal)} characters)"
    elif kind == "deleted":
        del parent[key]
    elif kind == "renamed" and isinstance(parent, dict):
        parent[draw.choice((str(key) + "x", str(key).upper(), "", "\x00", "toString", "__class__"))] = parent.pop(key)
    elif kind == "other":
        source, other = draw.choice(places)
        if not isinstance(source, dict) or other in source:
            parent[key] = json.loads(json.dumps(source[other], default=str))
        shown = f"{key!r} has the value of {other!r}"
    elif kind == "doubled":
        parent[key] = [parent[key], parent[key]]
    elif kind == "reversed" and isinstance(parent[key], (list, str)):
        parent[key] = parent[key][::-1]
    elif kind == "near" and isinstance(parent[key], (int, float)):
        parent[key] = draw.choice((-1, 2, 0.5)) * parent[key] + draw.choice((-1, 0, 1))
        shown = f"{key!r} is {parent[key]}"
    else:
        return None
    return value, literal, shown


def _places(value: Any) -> Any:
    """Every container and key of a tree."""
    keys = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
