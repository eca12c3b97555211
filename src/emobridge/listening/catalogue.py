"""The texts of the listening test in each language that its pages have: `messages/LANGUAGE.json`, key -> text.

A key is a page and what the text is there ("rate.play"), or stands for a value: `question.NAME`, `choice.NAME.VALUE`,
`emotion.NAME`. A text may have places for values: "Recording {position} of {count}".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from types import MappingProxyType

from emobridge.languages import english_names, primary_language

INTERFACES = ("en", "de", "it", "zh")  # languages of the pages
_LONGEST_HEADER = 1000  # characters of Accept-Language that are read


@cache
def messages(lang: str) -> Mapping[str, str]:
    """All texts of a language of INTERFACES, by key. Errors: KeyError for another language."""
    if lang not in INTERFACES:
        raise KeyError(f"the pages have no language {lang!r}, only {', '.join(INTERFACES)}")
    file = resources.files("emobridge") / "listening" / "messages" / f"{lang}.json"
    return MappingProxyType(json.loads(file.read_text(encoding="utf-8")))


def text(lang: str, key: str, **values: object) -> str:
    """The text of a key with its values filled in. It is plain text: a page escapes it.

    Errors: KeyError for a language, a key or a place for a value that is not there.

    >>> text("de", "rate.progress", position=3, count=48)
    'Aufnahme 3 von 48'
    """
    return messages(lang)[key].format(**values)


def has(key: str) -> bool:
    """Whether there is a text for the key.

    >>> has("emotion.anger"), has("emotion.hunger")
    (True, False)
    """
    return key in messages(INTERFACES[0])


def text_or(lang: str, key: str, otherwise: str) -> str:
    """The text of a key; `otherwise` where there is none, as for an answer that only a user's study has."""
    return messages(lang)[key] if has(key) else otherwise


def best_language(accept_language_header: str, offered: Sequence[str]) -> str:
    """Which of the offered languages a browser likes best, by its header Accept-Language (RFC 9110 section 12.5.4).

    The first that is offered is taken where the header names none of them, or cannot be read.

    >>> best_language("fr, zh-TW;q=0.8, de;q=0.9", ("en", "zh")), best_language("", ("it", "en"))
    ('zh', 'it')
    """
    by_language = {primary_language(tag): tag for tag in reversed(offered)}
    best, weight = offered[0], 0.0
    for part in accept_language_header[:_LONGEST_HEADER].split(","):
        tag, _, parameter = part.partition(";")
        language, quality = primary_language(tag.strip()), _quality(parameter)
        if language in by_language and quality > weight:
            best, weight = by_language[language], quality
    return best


def _quality(parameter: str) -> float:
    """The weight that `q=` gives: 1 where there is none, 0 for what is not a number from 0 to 1."""
    name, _, number = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        quality = float(number)
    except ValueError:
        return 0.0
    return quality if name.strip().lower() == "q" and 0 <= quality <= 1 else 0.0


def language_choices(lang: str) -> list[tuple[str, str]]:
    """Languages that somebody may speak, as (code, name): those of the pages, all others by name, none of them.

    The pages' own are named in the page's language. The others have their English names here; a browser with script
    shows its own names for them.
    """
    others = [(code, name) for code, name in english_names().items() if code not in INTERFACES]
    head, last = ([(code, text(lang, f"language.{code}")) for code in codes] for codes in (INTERFACES, ("mis",)))
    return head + sorted(others, key=lambda pair: pair[1]) + last
