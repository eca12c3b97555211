"""Languages: what counts as one, and how their tags are written.

A language is written as a BCP 47 tag ("de", "zh-TW", "und" where it is not known). The same language has many spellings
(zh, zho, chi, cmn, zh_TW, zh-Hans-CN), so two tags are compared by `primary_language` and by nothing else. Whatever a
person writes for a language, a tag or a name, becomes a tag by `language_tag`.

`languages.csv` has every language with a code of two letters (ISO 639-1): its other codes (ISO 639-2, 639-3 and
retired ones), the languages that it encompasses as a macro-language (ISO 639-3), and its names. `language_codes.txt`
has the codes of ISO 639-3, to tell a code from a misspelt one.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from types import MappingProxyType

from emobridge.errors import UserError, nearest

_NOT_KNOWN = frozenset({"none", "null", "n/a", "n.a.", "<na>", "unknown", "unspecified", "undetermined", "?"})
_MISSING = {"nan": ("zh-nan", "Min Nan Chinese"), "na": ("nau", "Nauru")}
# Marks of Latin, Greek, Cyrillic, Hebrew, Arabic and Devanagari letters; white space, hyphens and what is not seen.
_DROPPED = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u093c"
    "\\s_\\-\u00ad\u200b-\u200f\u2060\ufeff]"
)
_ALIKE = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ي": "ی", "ى": "ی", "ك": "ک",
                        "ة": "ه"})  # fmt: skip
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
    """A language, by its tag or its name, as a tag in its usual spelling.

    The tag has hyphens, usual case, and two letters where a code has such a twin. Members of a macro-language keep
    their code (cmn stays cmn), for they say more. The spelling of an operating system ("de_DE.UTF-8") is understood,
    and so are names in English and in the language itself ("Italian", "italiano"). A word that says that there is no
    answer ("none", "n/a", "unknown") is "und". Errors: UserError for what is no code of ISO 639 and no name, with the
    language that it nearly names; and for "na" and "nan", which are languages and what tables write for no value.

    >>> language_tag("zh_hant_tw"), language_tag("deu"), language_tag("cmn"), language_tag("Deutsch")
    ('zh-Hant-TW', 'de', 'cmn', 'de')
    """
    word, plain = folded(text), _plain(text)
    if word in _NOT_KNOWN:
        return "und"
    if plain in _MISSING:
        code, language = _MISSING[plain]
        raise UserError(f"language {text!r}: is it {language} ({code!r}), or no value? Write {code!r}, or leave it out")
    code, *subtags = plain.split("-")
    if not _TAG.fullmatch(plain) or not _is_code(code):
        is_name = len(word) > 3 or not word.isascii()  # "jp" and "gr" are codes of countries, for hints alone
        if is_name and word in _folded_names():
            return _folded_names()[word]
        raise _no_language(text, code, word)
    tag = _codes().get(code, code)
    for before, subtag in zip((code, *subtags), subtags):
        tag += "-" + (subtag if len(before) == 1 else _cased(subtag))
    return tag


def language_name(tag: str) -> str:
    """The English name of a language, or its tag where it has none here.

    >>> language_name("it-IT"), language_name("gsw")
    ('Italian', 'gsw')
    """
    return english_names().get(primary_language(tag), tag)


def folded(text: str) -> str:
    """A word for comparisons: without case, diacritics, spaces, hyphens and underscores, and with one letter for those
    that are written alike (Arabic and Persian yeh and kaf, Turkish i with and without a dot).

    >>> folded("KIZGIN") == folded("kızgın"), folded("Dégoût"), folded("İğrenme"), folded("pleasant_surprise")
    (True, 'degout', 'igrenme', 'pleasantsurprise')
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", _DROPPED.sub("", decomposed).translate(_ALIKE))


def _no_language(text: str, code: str, word: str) -> UserError:
    name = code if code in _names() else nearest(word, _folded_names(), cutoff=0.75)
    tag = _names().get(name or "") or _folded_names().get(name or "")
    hint = f"did you mean {tag!r} ({english_names()[tag]})? " if tag else ""
    return UserError(f"language {text!r}: {hint}expected a BCP 47 tag such as 'de' or 'zh-TW', or a name")


def _is_code(code: str) -> bool:
    """Whether ISO 639 has the code or leaves it to its users, qaa to qtz. x begins tags of one's own."""
    return code == "x" or "qaa" <= code <= "qtz" or code in _codes() or code in _all_codes()


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
def _folded_names() -> Mapping[str, str]:
    return MappingProxyType({folded(name): code for name, code in _names().items()})


@cache
def _all_codes() -> frozenset[str]:
    text = resources.files("emobridge").joinpath("language_codes.txt").read_text(encoding="utf-8")
    codes = frozenset(line[0] + pair for line in text.splitlines() for pair in line[2:].split())
    return codes | _wholes().keys() | {row["code"] for row in _rows()} | {"und", "mul", "mis", "zxx"}


@cache
def english_names() -> Mapping[str, str]:
    """Every language with a code of two letters: the code -> the English name."""
    return MappingProxyType({row["code"]: row["names"].partition("|")[0] for row in _rows()})
