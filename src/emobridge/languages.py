"""Languages: what counts as one, and how their tags are written.

A language is written as a BCP 47 tag ("de", "zh-TW", "und" where it is not known). The same language has many spellings
(zh, zho, chi, cmn, zh_TW, zh-Hans-CN), so two tags are compared by `primary_language` and by nothing else.

`languages.csv` has every language with a code of two letters (ISO 639-1): its other codes (ISO 639-2, 639-3 and
retired ones), the languages that it encompasses as a macro-language (ISO 639-3), and its names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from types import MappingProxyType

from emobridge.errors import UserError, nearest

_TAG = re.compile(r"(?:[a-z]{2,3}|x(?=-))(?:-[a-z0-9]{1,8})*")


def primary_language(tag: str) -> str:
    """The language of a tag, whatever its region, script, spelling or case: two tags of one language give one answer.

    It has two letters where ISO 639-1 has such a code, else three. A member of a macro-language counts as the whole,
    because corpora and encoders seldom say more: Mandarin (cmn) and Cantonese (yue) are zh, Egyptian Arabic (arz) is
    ar, Bokmål (nb) is no. Members that have their own code of two letters stay apart (Indonesian is not Malay; Croatian
    is not Serbian), but for nb and nn of no, and tw of ak. Text that is no tag is returned in lower case.

    >>> [primary_language(tag) for tag in ("zh_TW", "cmn", "chi", "DEU", "pt-BR", "gsw", "und")]
    ['zh', 'zh', 'zh', 'de', 'pt', 'gsw', 'und']
    """
    text = _plain(tag)
    code = text.partition("-")[0].strip()
    if code == "x":  # a private tag, which has no language of its own
        return text
    code = _codes().get(code, code)
    return _wholes().get(code, code)


@lru_cache(maxsize=4096)
def language_tag(text: str) -> str:
    """A language as a tag in its usual spelling: hyphens, usual case, and two letters where a code has such a twin.

    Members of a macro-language keep their code (cmn stays cmn), for they say more. The spelling of an operating system
    ("de_DE.UTF-8") is understood. Errors: UserError for text that is no tag, with the code of the language that it
    names or nearly names.

    >>> language_tag("zh_hant_tw"), language_tag("deu"), language_tag("cmn")
    ('zh-Hant-TW', 'de', 'cmn')
    """
    plain = _plain(text)
    code, *subtags = plain.split("-")
    if not _TAG.fullmatch(plain) or (len(code) == 2 and code in _names()):
        name = code if code in _names() else nearest(plain, _names())
        hint = f"did you mean {_names()[name]!r} ({_english()[_names()[name]]})? " if name else ""
        raise UserError(f"language {text!r}: {hint}expected a BCP 47 tag such as 'de' or 'zh-TW'")
    tag = _codes().get(code, code)
    for before, subtag in zip((code, *subtags), subtags):
        tag += "-" + (subtag if len(before) == 1 else _cased(subtag))
    return tag


def language_named(name: str) -> str | None:
    """The code of a language by its name, English or its own: "polish" is "pl". None for a name that is not known.

    >>> language_named("Polish"), language_named("italiano"), language_named("pl")
    ('pl', 'it', None)
    """
    return _names().get(_plain(name))


def _plain(text: str) -> str:
    """Text in lower case with hyphens, without the encoding that an operating system puts behind a language."""
    return re.split(r"[.@]", text.casefold())[0].strip().replace("_", "-")


def _cased(subtag: str) -> str:
    """A region in capitals, a script with a capital, all else as it is: by its length, as RFC 5646 section 2.1.1."""
    return subtag.upper() if len(subtag) == 2 else subtag.title() if len(subtag) == 4 and subtag.isalpha() else subtag


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = resources.files("emobridge").joinpath("languages.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def _codes() -> Mapping[str, str]:
    """Every other code of a language -> its code of two letters."""
    return MappingProxyType({code: row["code"] for row in _rows() for code in row["codes"].split()})


@cache
def _wholes() -> Mapping[str, str]:
    """A member of a macro-language -> the macro-language."""
    return MappingProxyType({code: row["code"] for row in _rows() for code in row["members"].split()})


@cache
def _names() -> Mapping[str, str]:
    """A language's name in lower case -> its code. Countries' codes that are often taken for it are names too."""
    names = {name.casefold(): row["code"] for row in _rows() for name in row["names"].split("|")}
    return MappingProxyType(names)


@cache
def _english() -> Mapping[str, str]:
    """A code -> the language's English name."""
    return MappingProxyType({row["code"]: row["names"].partition("|")[0] for row in _rows()})
