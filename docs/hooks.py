"""Pages of the site that are made from the package while it is built, so that they are never stale.

mkdocs calls `on_config` and `on_files`: a page for each command with all its options, one for the plug-ins, one for the
corpora, and one for the public names of Python.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import emobridge
from emobridge import registry
from emobridge.cli.main import app
from emobridge.corpora import describe
from emobridge.options import options_of, parameters_of

COMMANDS = "commands"  # the folder of their pages
# What `cli.options.help_of` appends to the sentence of an option.
_ENDING = re.compile(r" \((?:default (?P<default>.*)|(?P<required>required))\)$", re.DOTALL)
_PAPER_TAG = re.compile(r"; (?:\"\w+\" in )?methods [A-E](?=[):])|,? methods [A-E](?=[),.])| \(methods [A-E]\)")
_CHOICES = re.compile(r" One of (?P<choices>[\w+, -]+)\.$")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put a page for each command below "Commands" in the navigation, by the panels of `emobridge --help`."""
    for entry in config.nav or []:
        if "Commands" in entry:
            panels: dict[str, list[dict[str, str]]] = {}
            for name, _ in commands():
                panels.setdefault(_panel_of(name), []).append({name: page_of(name)})
            entry["Commands"] += [{panel: items} for panel, items in panels.items()]
    return config


def _panel_of(name: str) -> str:
    """The panel of the help that shows a command, or its group."""
    first = typer.main.get_command(app).commands[name.split()[0]]  # type: ignore[attr-defined]
    return str(getattr(first, "rich_help_panel", "") or "Other")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """The path below docs/ and the Markdown of each page."""
    for name, command in commands():
        yield page_of(name), command_page(name, command)
    for path, make in SINGLE.items():
        yield path, make()


def made_names() -> Iterator[str]:
    """The paths below docs/ of the pages, without making them."""
    yield from (page_of(name) for name, _ in commands())
    yield from SINGLE


def page_of(name: str) -> str:
    """The path below docs/ of a command's page."""
    return f"{COMMANDS}/{name.replace(' ', '-')}.md"


def commands() -> Iterator[tuple[str, Any]]:
    """The name of each command, with that of its group, and what typer made of it."""
    yield from _leaves("", typer.main.get_command(app))


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name.strip(), command
        return
    for part, inner in command.commands.items():
        yield from _leaves(f"{name} {part}", inner)


def command_page(name: str, command: Any) -> str:
    """What a command does, and a table of its options for each panel of its help."""
    arguments = [_argument(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join(("emobridge", name, *arguments, "[OPTIONS]"))
    parts = [f"# emobridge {name}\n\n{_sentence(command.help)}\n\n```\n{usage}\n```\n"]
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        panels.setdefault(getattr(parameter, "rich_help_panel", None) or "", []).append(parameter)
    for panel, parameters in panels.items():
        rows = (_option_row(parameter) for parameter in parameters)
        heading = f"## {panel}\n\n" if panel else ""
        parts.append(heading + _table(("option", "what it does", "default", "choices"), rows))
    return "\n".join(parts)


def _option_row(parameter: Any) -> tuple[str, str, str, str]:
    """The cells of an option: its names, what it does, its default and its choices."""
    text = " ".join((parameter.help or "").split())
    default, choices = _plain_default(parameter), ""
    if ending := _ENDING.search(text):
        text, default = text[: ending.start()], ending["default"] or "required"
    if found := _CHOICES.search(text):
        text, choices = text[: found.start()], found["choices"]
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [_argument(parameter)]
    metavar = f" {parameter.metavar}" if parameter.metavar and parameter.param_type_name == "option" else ""
    shown = ", ".join(f"`{option}{metavar}`" for option in names)
    listed = ", ".join(f"`{choice}`" for choice in choices.split(", ") if choice)
    return shown, _sentence(text), default if default == "required" else _code(default), listed


def _argument(parameter: Any) -> str:
    """What stands for an argument in the usage of its command; dots say that it may be several."""
    return str(parameter.metavar or parameter.name).upper() + "..." * (parameter.nargs == -1)


def _plain_default(parameter: Any) -> str:
    """The default of an option whose help does not say it."""
    if parameter.required:
        return "required"
    value = parameter.default
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None or callable(value) or value == () else str(value)


def plugins_page() -> str:
    """Every plug-in of every kind but the corpora: its name, its options and what it is."""
    parts = [
        "# Methods, heads, encoders and other plug-ins\n",
        "What `--method`, `--head`, `--encoder`, `--adapters` and the formats of `import` and `export` may be, and the "
        "options of each (`--method-option NAME=VALUE` and so on). Your own plug-in is one file: "
        "[extending](../extending.md).\n",
    ]
    for kind in ("methods", "heads", "encoders", "adapters", "measures", "formats"):
        rows = (_plugin_row(kind, name) for name in registry.names(kind))
        parts.append(f"## {kind.capitalize()}\n\n" + _table(("name", "what it is", "options and defaults"), rows))
    return "\n".join(parts)


def _plugin_row(kind: str, name: str) -> tuple[str, str, str]:
    loaded = registry.load(kind, name)
    module = loaded if inspect.ismodule(loaded) else sys.modules[loaded.__module__]
    options = _module_options(loaded) if inspect.ismodule(loaded) else options_of(loaded)
    shown = ", ".join(f"`{key}={_text(value)}`" for key, value in options.items())
    return f"`{name}`", _summary(module), shown


def _module_options(module: ModuleType) -> dict[str, Any]:
    """The options of a corpus or a format: those of the functions that read and write it."""
    functions = [getattr(module, name) for name in ("scan", "read", "write") if hasattr(module, name)]
    options = {key: value.default for function in functions for key, value in parameters_of(function).items()}
    return {key: value for key, value in options.items() if key != "intake"}


def _summary(module: ModuleType) -> str:
    """The first paragraph of a module's docstring, without the tags by which the code names groups of papers."""
    text = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
    return _sentence(_PAPER_TAG.sub("", text))


def _text(value: Any) -> str:
    return "" if value is None or value is inspect.Parameter.empty else str(value)


def corpora_page() -> str:
    """What `emobridge corpora` lists, and the options of each corpus."""
    parts = [
        "# Corpora that scan knows\n",
        "`emobridge scan NAME FOLDER -o corpus.jsonl` writes the manifest of a copy that you have. The terms are those "
        "of the corpora's owners as they were when this was written: read the current ones. A corpus that is not here "
        "is read as a `folder` or a `table` ([your speech](../guide/speech.md)).\n",
    ]
    parts += [_corpus(name) for name in registry.names("corpora")]
    return "\n".join(parts)


def _corpus(name: str) -> str:
    about, module = describe(name), registry.load("corpora", name)
    options = ", ".join(f"`{key}`" for key in _module_options(module))
    facts = {
        "languages": _sentence(", ".join(about.languages) or "any"),
        "emotions": _sentence(", ".join(about.emotions)),
        "attributes": _sentence(f"rated from {about.attributes}" if about.attributes else ""),
        "licence": _sentence(about.licence),
        "where to get it": _sentence(about.obtain)
        + (f" `emobridge download {name}` too." if about.downloadable else ""),
        "cite": _sentence(about.citation),
        "options": options,
    }
    lines = [f"- **{key}**: {value}" for key, value in facts.items() if value]
    return "\n".join((f"## {name}\n", _summary(module), "", *lines, ""))


def public_page() -> str:
    """The public names of `emobridge`, for mkdocstrings to fill in."""
    parts = [
        "# Public names of emobridge\n",
        "What `from emobridge import ...` offers. [emobridge in Python](python.md) shows how they work together; the "
        "options that `adapt`, `budget` and `predict` take by name are those of the [commands](commands/adapt.md). "
        "A user's mistake raises `UserError`.\n",
    ]
    for name, module in sorted(emobridge._PUBLIC.items(), key=lambda item: item[0].casefold()):
        loaded = getattr(importlib.import_module(module), name)
        home = module if inspect.ismodule(loaded) else loaded.__module__
        parts.append(f"::: {home}.{name}\n    options:\n      heading_level: 2\n")
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(map(_cell, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _sentence(text: str | None) -> str:
    """Plain text as Markdown that shows it as it is: angle brackets and stars are no markup."""
    return re.sub(r"(`[^`]*`)|([<>*_])", lambda found: found[1] or f"\\{found[2]}", (text or "").strip())


SINGLE = {
    f"{COMMANDS}/plugins.md": plugins_page,
    f"{COMMANDS}/corpora-list.md": corpora_page,
    "reference.md": public_page,
}
