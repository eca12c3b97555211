"""Options given as words ("threshold=0.7") for the keyword parameters of a plug-in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from emobridge.errors import UserError, unknown

Pairs = str | Mapping[str, str] | None
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read_options(words: Iterable[str]) -> dict[str, str | int | float | bool]:
    """Each "name=value" as a pair; values that look like numbers or truth values become such.

    >>> read_options(["padding=full", "threshold=0.7", "rebalance=no"])
    {'padding': 'full', 'threshold': 0.7, 'rebalance': False}
    """
    options: dict[str, str | int | float | bool] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UserError(f"option {word!r}: expected NAME=VALUE")
        options[name.replace("-", "_")] = _value(value)
    return options


def _value(text: str) -> str | int | float | bool:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def pairs(option: Pairs, name: str) -> dict[str, str]:
    """The mapping in an option such as "path=file,emotion=label"; a mapping is taken as it is, None is empty.

    Errors: UserError that begins with the option's `name`.

    >>> pairs("W=anger, exc=happiness", "labels")
    {'W': 'anger', 'exc': 'happiness'}
    """
    if option is None or isinstance(option, Mapping):
        return dict(option or {})
    found = {}
    for pair in str(option).split(","):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals and value):
            raise UserError(f"{name}: expected pairs such as 'path=file,emotion=label', not {pair!r}")
        found[key] = value
    return found


def options_of(factory: Callable[..., Any]) -> dict[str, Any]:
    """The options of a plug-in, which are its keyword parameters, and their defaults."""
    parameters = inspect.signature(factory).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


def made(thing: str, factory: Callable[..., Any], words: Iterable[str], **given: Any) -> Any:
    """`factory(**given, **options)`, where the options must be keyword parameters of `factory`.

    Errors: UserError for an option that it does not have, a value of another kind than its default's, and one that it
    refuses.
    """
    options = read_options(words)
    known = {name: default for name, default in options_of(factory).items() if name not in given}
    for name, value in options.items():
        if name not in known:
            raise unknown(f"option of {thing}", name, known) if known else UserError(f"{thing} has no options")
        if not _fits(value, type(known[name])):
            raise UserError(f"{thing}: {name}: expected {type(known[name]).__name__}, got {value!r}")
    try:
        return factory(**given, **options)
    except (TypeError, ValueError, RuntimeError) as error:  # torch raises the last for sizes below zero
        raise UserError(f"{thing}: {' '.join(str(error).split())}") from error


def _fits(value: object, kind: type) -> bool:
    """Whether a value is of the kind of the default; a whole number will do for a fraction, and anything for None."""
    return type(value) is kind or (kind is float and type(value) is int) or kind not in (str, int, float, bool)
