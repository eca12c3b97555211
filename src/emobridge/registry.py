"""Plug-ins, found by file name.

A plug-in is one file in the folder of its kind. `methods/pseudo_labels.py` is the method "pseudo-labels" and holds the
class `PseudoLabels`; a corpus or a format has no class: its module is the plug-in. Listing names imports nothing.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from emobridge.errors import UserError, unknown

# What each kind must have, checked when it is loaded.
PROTOCOLS: dict[str, tuple[str, ...]] = {
    "corpora": ("scan", "LANGUAGES", "LABELS", "LICENCE", "CITATION", "OBTAIN"),
    "formats": ("read", "write", "LOSES"),
    "encoders": ("name", "statistics", "claims", "open", "forward"),
    "heads": ("name", "needs_frames", "all_layers", "represent", "forward"),
    "adapters": ("name", "replaces", "attach", "detach", "parameters", "save", "load"),
    "methods": ("name", "needs", "takes", "head", "stages", "prepare", "examples", "loss"),
}

SINGULAR = {
    "corpora": "corpus",
    "formats": "format",
    "encoders": "encoder",
    "heads": "head",
    "adapters": "adapter",
    "methods": "method",
}
MODULES = frozenset({"corpora", "formats"})  # kinds whose plug-ins are modules


def plugin_name(class_name: str) -> str:
    """The name of a plug-in by that of its class.

    >>> plugin_name("SoftPseudoLabels")
    'soft-pseudo-labels'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", class_name).lower()


def names(kind: str) -> tuple[str, ...]:
    """The plug-ins of a kind, by name, in alphabetical order."""
    if kind not in PROTOCOLS:
        raise unknown("kind of plug-in", kind, PROTOCOLS)
    folder = Path(__file__).parent / kind
    files = (path.stem for path in folder.glob("*.py"))
    return tuple(sorted(stem.replace("_", "-") for stem in files if not stem.startswith("_") and stem != "base"))


def load(kind: str, name: str) -> Any:
    """The class (of a corpus or a format: the module) of one plug-in.

    Errors: UserError for an unknown name or kind; TypeError for a file that falls short of its protocol.
    """
    if name.replace("_", "-") not in names(kind):
        raise unknown(SINGULAR[kind], name, names(kind))
    stem = name.replace("-", "_")
    try:
        module = importlib.import_module(f"emobridge.{kind}.{stem}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("emobridge"):
            raise
        raise UserError(f"{name} needs the package {error.name!r}: pip install 'emobridge[{name}]'") from error
    if kind in MODULES:
        plugin: Any = module
    else:
        wanted = "".join(part.capitalize() for part in stem.split("_"))
        plugin = getattr(module, wanted, None)
        if plugin is None:
            raise TypeError(f"emobridge/{kind}/{stem}.py has no class {wanted}")
    for attribute in PROTOCOLS[kind]:
        if not hasattr(plugin, attribute):
            raise TypeError(f"emobridge/{kind}/{stem}.py lacks {attribute!r}, which the {kind} protocol asks for")
    return plugin
