"""The lines of a text file in whatever encoding a program saved it, and which encoding that is.

UTF-8 and UTF-16 are recognised, UTF-16 without a byte order mark too. Other text counts as Windows' Western European
(cp1252) where it can be such; text of other alphabets is refused until its encoding is named, for it would be read as
other letters without a word.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from emobridge.errors import UserError
from emobridge.files import unreadable

WESTERN = "cp1252"
LONGEST_TEXT_LINE = 1 << 24  # characters: a longer line is no row of a table
_SAMPLE = 1 << 16  # bytes in which a byte order mark or the zeros of UTF-16 show
_BLOCK = 1 << 20  # bytes read at a time
_MARKS = (  # UTF-32 before UTF-16, whose mark is the beginning of its own
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # what cp1252 has no character for
_RUN = re.compile(rb"[\x80-\xff]{3,}")  # words without a plain letter: Cyrillic, Arabic, Chinese ...
# Within a word these are capitals with a caron, or OE, in cp1252, and a-umlaut, e-acute, a-ring, u-umlaut of a Mac.
_MAC = re.compile(rb"[a-z][\x8a\x8c\x8e\x9f][a-z]")


def find_encoding(path: Path, encoding: str | None = None) -> str:
    """The name of a text file's encoding as Python has it; `encoding` is what the user says, and goes before all.

    Memory does not grow with the file. Errors: UserError for a file that cannot be read, an unknown encoding, and text
    that is neither UTF-8, UTF-16 nor Western European.
    """
    if encoding is not None:
        return _checked(encoding)
    try:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
        for mark, name in _MARKS:
            if sample.startswith(mark):
                return name
        wide = _wide_encoding(sample)
        if wide:
            return wide
        good, bad = _utf8_counts(path)
        if not bad:
            return "utf-8"
        if good >= bad:
            raise UserError(
                f"{path}:{_bad_line(path)}: not UTF-8, as other lines are: save it as UTF-8, or name encoding="
            )
        _check_western(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return WESTERN


def text_lines(path: Path, encoding: str, longest: int | None = None) -> Iterator[str]:
    """The lines of a text file with their ends, without a byte order mark; memory holds one line at a time.

    longest: characters of a line, by default LONGEST_TEXT_LINE; -1 is any number, for a file that may be one line.

    Errors: UserError naming `file:line` for text that is not of this encoding, a NUL byte, and an endless line.
    """
    number, longest = 0, LONGEST_TEXT_LINE if longest is None else longest
    try:
        with path.open(encoding=encoding, newline="") as file:
            while line := file.readline(longest):
                number += 1
                if "\0" in line:
                    raise UserError(f"{path}:{number}: holds a NUL byte: no text, or in another encoding")
                if len(line) == longest and line[-1] not in "\r\n":
                    raise UserError(f"{path}:{number}: a line of more than {longest:,} characters")
                yield line.lstrip("\ufeff") if number == 1 else line
    except UnicodeError as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{path}: not {encoding} text in line {number + 1} or soon after ({reason}); name its encoding, such as "
            "encoding=cp1252, or save it as UTF-8"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def read_text(path: Path) -> str:
    """The content of a text file, UTF-8, UTF-16 or Western European. Errors: UserError for one that cannot be read."""
    return "".join(text_lines(path, find_encoding(path), longest=-1)).replace("\r\n", "\n").replace("\r", "\n")


def _checked(encoding: str) -> str:
    try:
        "a".encode(encoding)  # a codec that is not of text, such as hex, is refused too
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise UserError(f"encoding: unknown encoding {encoding!r}; expected a name such as utf-8 or cp1251") from error
    return "utf-8-sig" if name == "utf-8" else name


def _wide_encoding(sample: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of digits, commas and plain letters is zero, and none of the others."""
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > half * 0.25 and even <= half * 0.01:
        return "utf-16-le"
    return "utf-16-be" if even > half * 0.25 and odd <= half * 0.01 else None


def _utf8_counts(path: Path) -> tuple[int, int]:
    """How many characters beyond ASCII are proper UTF-8, and how many bytes are not."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    good = bad = 0
    with path.open("rb") as file:
        block = None
        while block != b"":
            block = file.read(_BLOCK)
            text = decoder.decode(block, final=not block)
            if not text.isascii():
                wrong = len(re.findall("[\udc80-\udcff]", text))
                good += len(re.findall("[^\0-\x7f]", text)) - wrong
                bad += wrong
    return good, bad


def _bad_line(path: Path) -> int:
    """The first line that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _check_western(path: Path) -> None:
    """Errors: UserError for bytes that cp1252 lacks, for words of another alphabet, and for a Mac's letters."""
    beyond = runs = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if _UNDEFINED.search(block) or _MAC.search(block):
                raise _unclear(path, "is neither UTF-8 nor Windows' Western European text")
            beyond += len(block) - len(block.translate(None, bytes(range(128, 256))))
            runs += sum(len(run) for run in _RUN.findall(block))
    if runs > beyond / 2:
        raise _unclear(path, "is neither UTF-8 nor Western European text")


def _unclear(path: Path, problem: str) -> UserError:
    return UserError(
        f"{path}: {problem}: name its encoding, such as encoding=cp1251 (Cyrillic), cp1256 (Arabic), gbk or mac-roman, "
        "or save it as UTF-8"
    )
