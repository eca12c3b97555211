"""The description of a branch, `bundle.json` or `language.json`: written from its Spec, and checked when it is read.

Every field is checked for its type and its choices. A description carries the sha256 of its own content but for the
place of the encoder, which may move; older ones have none.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import emobridge
from emobridge.bundle.branch import Spec
from emobridge.data.attributes import parse_ranges
from emobridge.errors import UserError, unknown
from emobridge.files import is_readable, read_json
from emobridge.settings import choices_of
from emobridge.types import ATTRIBUTES

FORMAT = 3  # of the bundle; a reader refuses a higher one
TAG = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")  # of a language: also the name of its folder
TRAINED_PARTS = ("frozen", "adapters", "end-to-end", "end-to-end+adapters")
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # no name, and no path, has such characters
DIGEST, MOVES = "sha256", frozenset({"sha256", "encoder"})  # the key of the digest, and the keys that it leaves out
SINCE = {  # what older bundles lack
    "attributes": [],
    "attribute_range": "",
    "frames": False,
    "languages": {},
    "reason": "",
    "temperature": 1.0,
    "source_temperature": 1.0,
    "prosody": False,
}


@dataclass(frozen=True, slots=True)
class RouterFacts:
    """What is stored of a router beside its tensors."""

    languages: tuple[str, ...]
    hears_base: bool


@dataclass(frozen=True, slots=True)
class Description:
    """A Spec, and the digests of the files that belong to it."""

    spec: Spec
    tensors: str  # sha256 of model.safetensors
    adapters: str | None = None  # sha256 over the files of the adapters
    languages: Mapping[str, str] = field(default_factory=dict)  # sha256 of each further language's description
    router: RouterFacts | None = None


def write_description(path: Path, description: Description) -> None:
    """Write a description to a path, which a caller makes whole or absent."""
    facts: dict[str, Any] = {"format": FORMAT, "emobridge": emobridge.__version__}
    facts |= {"tensors": description.tensors, "languages": dict(description.languages)}
    if description.adapters is not None:
        facts["adapters"] = description.adapters
    if description.router is not None:
        facts["router"] = dataclasses.asdict(description.router)
    facts |= {key: getattr(description.spec, key) for key in Spec.__slots__}
    facts[DIGEST] = _digest_of(json.loads(json.dumps(facts)))
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_description(path: Path, thing: str) -> Description:
    """The description in a file, of a thing such as "bundle".

    Errors: UserError where there is none, for one of a newer format, a field that is missing, of another type or no
    valid choice, and a description that was changed.
    """
    if not is_readable(path):
        raise UserError(f"{path.parent}: is no {thing} (there is no {path.name})")
    try:
        return _checked(read_json(path))
    except NewerFormat as error:
        raise UserError(f"{path}: {error}") from error
    except (UserError, ValueError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise UserError(f"{path}: is no description of a {thing} ({reason})") from error


class NewerFormat(UserError):
    """A description that only a newer emobridge reads."""


def _checked(facts: Any) -> Description:
    """The description in values from JSON. Errors: UserError and ValueError that name the field."""
    if not isinstance(facts, dict):
        raise ValueError("expected an object of fields")
    version = _field(facts, "format", _whole_number)
    if version > FORMAT:
        raise NewerFormat(
            f"a bundle of format {version} made by emobridge {facts.get('emobridge')}; this one "
            f"({emobridge.__version__}) reads up to {FORMAT}: update emobridge"
        )
    fits = facts.get(DIGEST) in (None, _digest_of(facts))
    facts = SINCE | facts
    spec = Spec(**{key: _field(facts, key, FIELDS[key]) for key in Spec.__slots__})
    if not spec.labels and not spec.attributes:
        raise ValueError("labels: expected one or more, for there are no attributes")
    if len(spec.texts) != len(spec.domains):
        raise ValueError(f"texts: expected {len(spec.domains)} lists, one a domain, got {len(spec.texts)}")
    description = Description(
        spec,
        _field(facts, "tensors", _text),
        _field(facts, "adapters", _text) if "adapters" in facts else None,
        _field(facts, "languages", _languages),
        _field(facts, "router", _router) if "router" in facts else None,
    )
    if not fits:
        raise ValueError("it was changed after it was saved")
    return description


def _digest_of(facts: Mapping[str, Any]) -> str:
    content = {key: value for key, value in facts.items() if key not in MOVES}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------- fields


def _field(facts: Mapping[str, Any], key: str, check: Callable[[Any], Any]) -> Any:
    if key not in facts:
        raise ValueError(f"the field {key!r} is missing")
    try:
        return check(facts[key])
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _refused(expected: str, value: object) -> ValueError:
    return ValueError(f"expected {expected}, got {reprlib.repr(value)}")


def _text(value: object) -> str:
    if not isinstance(value, str) or CONTROL.search(value):
        raise _refused("text", value)
    return value


def _name(value: object) -> str:
    if not _text(value):
        raise _refused("a name", value)
    return str(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _refused("true or false", value)
    return value


def _whole_number(value: object) -> int:
    if type(value) is not int or value < 1:
        raise _refused("a whole number from 1", value)
    return value


def _above_zero(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise _refused("a number above 0", value)
    return float(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _refused("a list of texts", value)
    return tuple(map(_text, value))


def _transcripts(value: object) -> tuple[tuple[str, ...], ...]:
    """Unlike names they may have line breaks."""
    if not isinstance(value, list) or not all(isinstance(texts, list) for texts in value):
        raise _refused("a list of lists", value)
    if not all(isinstance(text, str) for texts in value for text in texts):
        raise _refused("lists of texts", value)
    return tuple(map(tuple, value))


def _names(value: object) -> tuple[str, ...]:
    names = _texts(value)
    if not all(names) or len(set(names)) < len(names):
        raise _refused("different names", value)
    return names


def _some_names(value: object) -> tuple[str, ...]:
    if not (names := _names(value)):
        raise _refused("one name or more", value)
    return names


def _domains(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not value or any(len(_texts(pair)) != 2 for pair in value):
        raise _refused("one pair or more of a corpus and a language", value)
    return tuple((corpus, language) for corpus, language in value)


def _attributes(value: object) -> tuple[str, ...]:
    for name in (names := _names(value)):
        if name not in ATTRIBUTES:
            raise ValueError(str(unknown("attribute", name, ATTRIBUTES)))
    return names


def _range(value: object) -> str:
    if text := _text(value):
        try:
            parse_ranges(text)
        except UserError as error:
            raise ValueError(str(error)) from error
    return text


def _languages(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(map(TAG.fullmatch, value)):
        raise _refused("digests by the name of a language", value)
    return {name: _text(digest) for name, digest in value.items()}


def _router(value: object) -> RouterFacts:
    if not isinstance(value, dict):
        raise _refused("languages and hears_base", value)
    return RouterFacts(_field(value, "languages", _some_names), _field(value, "hears_base", _truth))


def _choice(choices: tuple[str, ...]) -> Callable[[object], str]:
    def check(value: object) -> str:
        if (text := _text(value)) not in choices:
            raise ValueError(str(unknown("choice", text, choices)))
        return text

    return check


def _pattern(pattern: str, expected: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not re.fullmatch(pattern, _text(value), re.ASCII):
            raise _refused(expected, value)
        return str(value)

    return check


FIELDS: dict[str, Callable[[Any], Any]] = {
    "labels": _names,
    "encoder": _name,
    "encoder_options": _texts,
    "digest": _text,
    "trained": _choice(TRAINED_PARTS),
    "layer": _pattern(r"\d{1,4}(\+\d{1,4})*", "layers such as '3' or '2+3+4'"),
    "statistics": _some_names,
    "normalise": _choice(choices_of("normalise")),
    "by_corpus": _texts,
    "texts": _transcripts,
    "align": _choice(choices_of("align")),
    "target_labels": _pattern(r"\d{1,12}|all", "a number or 'all'"),
    "head": _name,
    "head_options": _texts,
    "method": _name,
    "domains": _domains,
    "synthetic": _truth,
    "attributes": _attributes,
    "attribute_range": _range,
    "frames": _truth,
    "reason": _text,
    "temperature": _above_zero,
    "source_temperature": _above_zero,
    "prosody": _truth,
}
