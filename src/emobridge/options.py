"""The options of plug-ins: their keyword parameters, given as text ("threshold=0.7") or as values.

Text is read by the type of the option: where the default is a text, "no" is Norwegian; where it is a truth value, "no"
is False. An option whose default is None goes by its annotation.
"""

from __future__ import annotations

import collections.abc
import copy
import functools
import inspect
import math
import numbers
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emobridge import registry
from emobridge.errors import UserError, unknown

Pairs = str | Mapping[str, str] | None
Value = str | int | float | bool | tuple[str, ...] | None
_SPECIAL, _ESCAPED = re.compile(r"([,=\\])"), re.compile(r"\\([,=\\])")  # in the texts of `pairs`
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_EXPECTED = {bool: "yes or no", int: "a whole number", float: "a number", str: "text", tuple: "texts, joined by ','"}


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in and its options.

    name: whatever `registry.load` takes: a name, "./file.py", "package.module:Class", or a class or an object itself.
    options: names and values, sorted by name; a mapping is made so. Values are text until `check` has read them.

    >>> print(Plugin("dann", {"strength": 0.5}).check("methods"))
    dann(strength=0.5)
    """

    name: Any
    options: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        values = {name.replace("-", "_"): value for name, value in dict(self.options).items()}
        hashable = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        object.__setattr__(self, "options", tuple(sorted(hashable.items())))

    @classmethod
    def parse(cls, name: Any, assignments: Iterable[str] = ()) -> Plugin:
        """The plug-in with options such as "threshold=0.7". Errors: UserError for what is no NAME=VALUE.

        >>> Plugin.parse("dann", ["strength=0.5"])
        Plugin(name='dann', options=(('strength', '0.5'),))
        """
        return cls(name, tuple(read_options(assignments).items()))

    @property
    def assignments(self) -> tuple[str, ...]:
        """The options as `parse` reads them; None, which is a default, is left out."""
        return tuple(f"{name}={_text(value)}" for name, value in self.options if value is not None)

    def check(self, kind: str) -> Plugin:
        """The plug-in with its options read by their types.

        Errors: UserError for an unknown plug-in or option, and for a value that the option cannot have.
        """
        loaded = registry.load(kind, self.name)
        return Plugin(self.name, tuple(typed_options(self._label(kind), self.options, _parameters(loaded)).items()))

    def make(self, kind: str, **arguments: Any) -> Any:
        """The object, made with `arguments` and the options; of an encoder, opened in the folder `directory`.

        An object that was given as such is copied, so that what one training leaves in it is not in the next.
        Errors: UserError as `check`, for a value that the plug-in refuses, and for options or arguments of an object.
        """
        loaded: Any = registry.load(kind, self.name)
        label = self._label(kind)
        is_class = inspect.isclass(loaded)
        if not is_class:
            if self.options or arguments:
                raise UserError(f"{label}: is an object, made with its options already: give the class")
            return loaded if kind == "encoders" else copy.deepcopy(loaded)
        parameters = _parameters(loaded)
        options = typed_options(label, self.options, {key: parameters[key] for key in parameters.keys() - arguments})
        if kind == "encoders":
            return _call(label, loaded.open, arguments.get("directory"), **options)
        return _call(label, loaded, **arguments, **options)

    def identity(self, kind: str) -> str:
        """For keys of caches: `registry.identity` and all options, those left at their defaults too.

        >>> Plugin("dann").identity("methods") == Plugin.parse("dann", ["strength=0.30"]).identity("methods")
        True
        """
        return f"{registry.identity(kind, self.name)} {self.all_options(kind)!r}"

    def all_options(self, kind: str) -> tuple[tuple[str, Value], ...]:
        """The options and the defaults of all others, sorted by name. Errors: UserError as `check`."""
        loaded = registry.load(kind, self.name)
        defaults = options_of(loaded) if inspect.isclass(loaded) else {}
        return tuple(sorted({**defaults, **dict(self.check(kind).options)}.items()))

    def __str__(self) -> str:
        name = self.name if isinstance(self.name, str) else str(getattr(self.name, "name", self.name))
        return f"{name}({', '.join(self.assignments)})" if self.options else name

    def _label(self, kind: str) -> str:
        return f"{registry.KINDS[kind].singular} {registry.name_of(kind, self.name)}"


def read_options(assignments: Iterable[str]) -> dict[str, Any]:
    """Each "name=value" as a pair of texts; hyphens in the name become underscores.

    >>> read_options(["padding=full", "language=no", "all-classes=0.7"])
    {'padding': 'full', 'language': 'no', 'all_classes': '0.7'}
    """
    options: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise UserError(f"option {assignment!r}: expected NAME=VALUE")
        options[name.replace("-", "_")] = value
    return options


def pairs(option: Pairs, name: str) -> dict[str, str]:
    r"""The mapping in an option such as "path=file,emotion=label"; a mapping is taken as it is, None is empty.

    A comma, an equals sign or a backslash that belongs to a key or a value has a backslash before it.
    Errors: UserError that begins with the option's `name`.

    >>> pairs(r"W=anger, a\,b=happiness", "labels")
    {'W': 'anger', 'a,b': 'happiness'}
    """
    if option is None or isinstance(option, Mapping):
        return dict(option or {})
    mapping = {}
    for pair in _split(str(option), ","):
        parts = _split(pair, "=", most=2)
        key, value = (_ESCAPED.sub(r"\1", part.strip()) for part in (parts[0], parts[-1]))
        if not (key and value and len(parts) == 2):
            raise UserError(f"{name}: expected pairs such as 'path=file,emotion=label', not {pair!r}")
        mapping[key] = value
    return mapping


def joined_pairs(mapping: Mapping[str, str]) -> str:
    r"""The text that `pairs` reads as `mapping`, whose keys and values neither begin nor end with a space.

    >>> print(joined_pairs({"W": "anger", "a,b": "fear"}))
    W=anger,a\,b=fear
    """
    return ",".join("=".join(_SPECIAL.sub(r"\\\1", part) for part in pair) for pair in mapping.items())


def _split(text: str, separator: str, most: int = 0) -> list[str]:
    """The parts of a text between separators that have no backslash before them; at most `most`, or all for 0."""
    parts = [""]
    for piece in re.findall(r"\\[,=\\]|.", text, re.DOTALL):
        if piece == separator and len(parts) != most:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def options_of(factory: Callable[..., Any]) -> dict[str, Any]:
    """The options of a plug-in and their defaults, see `parameters_of`; those of an encoder are in its `defaults`."""
    return {name: parameter.default for name, parameter in _parameters(factory).items()}


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of a class or function: its parameters that are keyword-only or have a default.

    Annotations are evaluated where they can be.
    """
    hashable = isinstance(function, collections.abc.Hashable)  # an object with __call__ may be none
    return dict(_evaluated(function) if hashable else _evaluated.__wrapped__(function))


@functools.cache  # a study asks thousands of times, and evaluating annotations takes a millisecond
def _evaluated(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    signature = inspect.signature(function)
    try:
        hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except Exception:  # an annotation may name what is imported for type checkers alone
        hints = {}
    return {
        name: parameter.replace(annotation=hints.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
        or (parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is not parameter.empty)
    }


def unknown_option(thing: str, option: str, options: Iterable[str]) -> UserError:
    """The error for an option that `thing` does not have.

    >>> str(unknown_option("encoder logmel", "padding", []))
    "encoder logmel takes no options, but got 'padding'"
    """
    options = list(options)
    if not options:
        return UserError(f"{thing} takes no options, but got {option!r}")
    return unknown(f"option of {thing}", option, options)


def typed_options(
    thing: str,
    options: Mapping[str, Any] | Iterable[tuple[str, Any]],
    parameters: Mapping[str, inspect.Parameter] | Mapping[str, Value],
) -> dict[str, Any]:
    """The options with text read by the types of their `parameters`, or by the types of defaults.

    Errors: UserError that begins with `thing` for an unknown option, or a value that is not of the option's type.
    """
    values = {}
    for name, value in dict(options).items():
        if name not in parameters:
            raise unknown_option(thing, name, parameters)
        parameter = parameters[name]
        if not isinstance(parameter, inspect.Parameter):
            parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=parameter)
        values[name] = _typed(f"{thing}: {name}", value, _types(parameter))
    return values


def make_plugin(thing: str, factory: Callable[..., Any], assignments: Iterable[str], **arguments: Any) -> Any:
    """`factory(**arguments, **options)`, where the options must be keyword parameters of `factory`.

    Errors: UserError that begins with `thing`, as `typed_options`, and for values that the factory refuses.
    """
    parameters = {name: value for name, value in parameters_of(factory).items() if name not in arguments}
    return _call(thing, factory, **arguments, **typed_options(thing, read_options(assignments), parameters))


def _parameters(loaded: Any) -> dict[str, inspect.Parameter]:
    """The options of a plug-in that was loaded. An encoder has them in `defaults`, or as parameters of `open`."""
    if isinstance(getattr(loaded, "defaults", None), Mapping) and hasattr(loaded, "open"):
        options = {
            name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            for name, default in loaded.defaults.items()
        }
        parameters = parameters_of(loaded.open).items()
        return options | {name: value for name, value in parameters if value.kind is value.KEYWORD_ONLY}
    return parameters_of(loaded) if callable(loaded) else {}


def _call(thing: str, factory: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return factory(*arguments, **options)
    except (TypeError, ValueError, RuntimeError) as error:  # torch raises the last for sizes below zero
        raise UserError(f"{thing}: {' '.join(str(error).split())}") from error


def _types(parameter: inspect.Parameter) -> tuple[type, ...]:
    """The types that an option's value may have: bool, int, float, str, tuple, NoneType; `object` is any other."""
    default, hint = parameter.default, parameter.annotation
    hints = typing.get_args(hint) if not isinstance(hint, type) and _is_union(hint) else (hint,)
    types = {_plain_type(part) for part in hints}
    if type(default) in (bool, int, float, str):
        return (type(default), *((type(None),) if type(None) in types else ()))
    plain = tuple(kind for kind in (bool, int, float, str, tuple, type(None)) if kind in types)
    return plain if types.issubset(plain) else (*plain, object)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Union or type(hint).__name__ == "UnionType"


def _plain_type(hint: Any) -> Any:
    """A type; tuple for a sequence of texts."""
    sequence = typing.get_origin(hint) in (tuple, list, collections.abc.Sequence, collections.abc.Iterable)
    return tuple if sequence and typing.get_args(hint)[0] is str else hint


def _typed(where: str, value: Any, types: tuple[type, ...]) -> Any:
    """A value of one of the types. Text is read as the first of them that it can be; a whole number is a number too."""
    kinds = tuple(kind for kind in types if kind not in (type(None), object))
    if not kinds or (value is None and type(None) in types) or (object in types and not isinstance(value, str)):
        return value
    for kind in kinds:
        if isinstance(value, str):
            read = _read(value, kind)
        elif kind is tuple and isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
            read = tuple(value)
        else:
            read = _number(value, kind)
        if read is not None:
            return read
    raise UserError(f"{where}: expected {' or '.join(_EXPECTED[kind] for kind in kinds)}, got {value!r}")


def _read(text: str, kind: type) -> Any:
    """Text as a value of a type, or None."""
    if kind is bool:
        return _TRUTH.get(text.lower())
    if kind is tuple:
        return tuple(part.strip() for part in text.split(","))
    try:
        return kind(text)
    except ValueError:
        return None


def _number(value: Any, kind: type) -> Any:
    """A truth value or number, of numpy too, as Python's own of a type; None where it is none."""
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value) if kind is bool else None
    if kind is int and isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if kind is float and isinstance(value, numbers.Real) else None


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value)
    return repr(value) if isinstance(value, float) and math.isfinite(value) else str(value)


def check_least(least: float, **values: float) -> None:
    """Check that options are `least` or more. Errors: ValueError that names the option."""
    for option, value in values.items():
        if not value >= least:
            raise ValueError(f"{option}: expected {least} or more, got {value}")


def check_above(bound: float, **values: float) -> None:
    """Check that options are above `bound`. Errors: ValueError that names the option."""
    for option, value in values.items():
        if not value > bound:
            raise ValueError(f"{option}: expected a number above {bound}, got {value}")


def check_part_of_one(**values: float) -> None:
    """Check that options are in [0, 1]. Errors: ValueError that names the option."""
    for option, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{option}: expected 0 to 1, got {value}")


def check_share(**values: float) -> None:
    """Check that options are in [0, 1). Errors: ValueError that names the option."""
    for option, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{option}: expected 0 <= {option} < 1, got {value}")
