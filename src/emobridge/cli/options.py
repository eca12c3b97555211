"""Options of a command, made from the fields of a request: name, type, help, choices and default stand in the field."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Annotated, Any

import typer

from emobridge.errors import UserError
from emobridge.settings import default_of, flag_of, from_mapping, options_of_record, read_mapping

TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool}
FILE = "settings_file"  # the parameter of a command that holds the path of a file of options
PANELS = ("Data", "Encoder", "Method", "Training", "Evaluation", "Output")  # in the order of the help


def command_from(
    kind: type[Any],
    name: str,
    run: Callable[[Any, bool, tuple[str, ...]], None],
    *,
    without: tuple[str, ...] = (),
    file_flag: str = "",
    reads_files: bool = True,
) -> Any:
    """A function that typer takes for a command: its options make a request of `kind`, which `run` gets.

    run: is called with the request, whether to stop at the first file that cannot be read, and the names of the
    options on the command line. without: fields that the command does not offer. file_flag: the option that names a
    TOML file of options; "" is none. reads_files: whether the command has --strict. The options that a newcomer needs
    come first, the rest in named panels.
    """

    def command(**values: Any) -> None:
        strict = values.pop("strict", False)
        names = tuple(key for key, value in values.items() if value is not None and key != FILE)
        run(request_from(kind, name, values), strict, names)

    options = {key: item for key, (_, item) in options_of_record(kind).items() if key not in without}
    ordered = sorted(options, key=lambda key: _order(options[key]))
    parameters = [_parameter(kind, key, options[key]) for key in ordered]
    if file_flag:
        file_help = "TOML file of options. Options on the command line win."
        option = typer.Option(file_flag, help=file_help, rich_help_panel="Output")
        parameters.append(_keyword(FILE, Annotated[Path | None, option], None))
    if reads_files:
        strict_help = "Stop at the first file that cannot be read, instead of leaving it out."
        strict = typer.Option("--strict", help=strict_help, rich_help_panel="Data" if file_flag else None)
        parameters.append(_keyword("strict", Annotated[bool, strict], False))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = run.__doc__
    command.__name__ = name
    return command


def request_from(kind: type[Any], name: str, values: dict[str, Any]) -> Any:
    """The request in the options of a command, over those of the file of --settings.

    Errors: UserError for an unknown key of the file and for a bad value.
    """
    path = values.pop(FILE, None)
    options = options_of_record(kind)
    merged: dict[str, Any] = _flat(kind, read_mapping(path)) if path else {}
    for key, value in values.items():
        if value is not None:
            merged[key] = _value(options[key][1], value)
    for key, (_, item) in options.items():
        required = item.metadata["required"]
        if (item.default is MISSING or required) and not merged.get(key) and not merged.get(item.metadata["unless"]):
            alternative = f", or {key!r} in {path or 'a TOML file of settings'}" if required else ""
            raise UserError(f"{name}: expected {flag_of(key, item)} {item.metadata['metavar']}".rstrip() + alternative)
    where = str(path or name)
    try:
        return from_mapping(merged, where, kind)
    except UserError as error:
        option = re.split(r"\W", str(error).removeprefix("unknown "), maxsplit=1)[0]
        if path is None or str(error).startswith(where) or values.get(option) is not None:
            raise
        raise UserError(f"{where}: {error}") from error


def split_words(text: str) -> list[str]:
    """The words in a text with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _flat(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values of a file without its tables, so that options may replace them one by one."""
    parts = {part for part, _ in options_of_record(kind).values() if part}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= value if key in parts and isinstance(value, dict) else {key: value}
    return flat


def _value(item: Field[Any], value: Any) -> Any:
    """The value of a field from what the command line has for it."""
    if not str(item.type).startswith("tuple[") or item.metadata["repeat"]:
        return value
    parts = split_words(value)
    if "float" in str(item.type):
        try:
            return [float(part) for part in parts]
        except ValueError as error:
            raise UserError(f"{item.name}: expected numbers with commas, got {value!r}") from error
    return [] if parts == ["none"] and "none" not in item.metadata["choices"] and _may_be_none(item) else parts


def _may_be_none(item: Field[Any]) -> bool:
    """Whether the word "none" stands for an empty list."""
    return str(item.type).endswith("| None")


def _parameter(kind: type[Any], key: str, item: Field[Any]) -> inspect.Parameter:
    hint, facts = str(item.type), item.metadata
    plain: Any = TYPES.get(hint, str)
    if hint.startswith("tuple[") and facts["repeat"]:
        plain = list[str]
    if facts["argument"]:
        required: Any = ... if item.default is MISSING else None
        argument = typer.Argument(help=facts["help"], metavar=key.upper(), show_default=False)
        return _keyword(key, Annotated[plain, argument], required)
    flag = flag_of(key, item)
    names = (f"{flag}/--no-{flag[2:]}",) if hint == "bool" else (flag,)
    panel = None if facts["first"] or not facts["panel"] else _panel(item)
    option = typer.Option(
        *names, help=help_of(kind, key, item), rich_help_panel=panel, metavar=facts["metavar"] or None
    )
    return _keyword(key, Annotated[plain | None, option], None)


def help_of(kind: type[Any], key: str, item: Field[Any]) -> str:
    """The help of an option: the field's sentence, its choices and its default."""
    default = default_of(kind, key)
    choices = item.metadata["choices"]
    text = item.metadata["help"]
    if choices:
        text += f" One of {', '.join(choices)}."
    if default is MISSING or item.metadata["required"]:
        return f"{text} (required)"
    if default in (None, "", ()) or isinstance(default, bool):
        state = {True: " (default on)", False: " (default off)"}.get(default, "") if isinstance(default, bool) else ""
        return f"{text}{state}"
    values = default if isinstance(default, tuple) else (default,)
    shown = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    return f"{text} (default {shown})"


def _order(item: Field[Any]) -> tuple[bool, bool, bool, int]:
    """Arguments, then what a newcomer needs, the required options first, then the panels."""
    facts = item.metadata
    panel = PANELS.index(facts["panel"]) if facts["panel"] else -1
    return not facts["argument"], not facts["first"], not facts["required"], panel


def _panel(item: Field[Any]) -> str:
    return str(item.metadata["panel"])


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
