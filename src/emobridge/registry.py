"""Plug-ins, found by name.

A plug-in is one file in the folder of its kind: `methods/pseudo_labels.py` is the method "pseudo-labels" and holds the
class `PseudoLabels`. A corpus or a format has no class: its module is the plug-in. Listing names imports nothing.

A plug-in may also be somebody else's. Wherever a name is expected, these do as well:

    NAME                     an entry point of the group "emobridge.methods" (or "emobridge.corpora" ...)
    package.module:Class     anything that Python can import; the working folder counts
    ./file.py:Class          a file; ":Class" may be left out where one class alone keeps the protocol
    the class, or an object  in Python; after `register` its name will do
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from emobridge.errors import UserError, nearest, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plug-in."""

    singular: str
    protocol: tuple[str, ...]  # the attributes that each plug-in has, checked when it is loaded
    is_module: bool = False  # the plug-in is a module, not a class
    folder: str = ""  # below the package; "" is the name of the kind


KINDS: dict[str, Kind] = {
    "corpora": Kind("corpus", ("scan", "LANGUAGES", "LABELS", "LICENCE", "CITATION", "OBTAIN"), is_module=True),
    "formats": Kind("format", ("read",), is_module=True),
    "encoders": Kind("encoder", ("name", "statistics", "claims", "open", "forward")),
    "heads": Kind("head", ("name", "needs_frames", "all_layers", "layered", "closed_form", "represent", "forward")),
    "adapters": Kind("adapter", ("name", "replaces", "attach", "detach", "parameters", "save", "load")),
    "methods": Kind(
        "method", ("name", "needs", "takes", "head", "stages", "closed_form", "prepare", "examples", "loss", "settle")
    ),
    "measures": Kind(
        "measure",
        ("name", "long_name", "of", "unit", "range", "digits", "order", "chance", "value"),
        folder="scores/measures",
    ),
}

_FILE = re.compile(r"(?P<location>.+\.py)(?::(?P<name>\w+))?", re.DOTALL)
_CLASS = re.compile(r"(?P<location>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<name>\w+)")
_MODULE = re.compile(r"(?P<location>[^\W\d]\w*(?:\.[^\W\d]\w*)+)(?P<name>)")
_ABSENT = object()
_files: dict[tuple[str, str], ModuleType] = {}  # loaded files, by their path and the digest of their content
_registered: dict[str, dict[str, Any]] = {}  # plug-ins by kind and name
_trusted: set[tuple[str, str]] = set()  # kinds and names of files and modules that a user chose to load
_tokens: dict[int, tuple[object, str]] = {}  # by id, objects without a text of their own; they are held, so none moves


def plugin_name(class_name: str) -> str:
    """The name of a plug-in by that of its class.

    >>> plugin_name("SoftPseudoLabels")
    'soft-pseudo-labels'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", class_name).lower()


def names(kind: str) -> tuple[str, ...]:
    """The built-in plug-ins of a kind, those of entry points and registered ones, by name, in alphabetical order.

    Errors: UserError for an unknown kind, and where two plug-ins have one name.
    """
    return tuple(sorted((*_built_in(kind), *_entry_points(kind), *_registered.get(kind, ()))))


def register(kind: str, plugin: Any) -> Any:
    """Make a plug-in known by its name in this process, as if it were built in; the loaded plug-in comes back.

    plugin: whatever `load` takes. Errors: UserError as `load`, and for a name that another plug-in has.
    """
    loaded = load(kind, plugin)
    name = name_of(kind, loaded)
    if _registered.setdefault(kind, {}).get(name) is not loaded:
        if name.replace("_", "-") in names(kind):
            raise UserError(f"{_location_of(loaded)}: {name!r} is the name of another {KINDS[kind].singular}")
        _registered[kind][name] = loaded
    return loaded


def load(kind: str, plugin: Any) -> Any:
    """The class (of a corpus or a format: the module) of a plug-in, given by any of its names; see the module's top.

    A class or an object comes back as it is, once it was checked.
    Errors: UserError for an unknown name or kind, for what cannot be imported, and for a plug-in that lacks something
    or has the name of a built-in one.
    """
    if not isinstance(plugin, str):
        return _checked(kind, plugin, _location_of(plugin))
    name = plugin.replace("_", "-")
    if name in _built_in(kind):
        return _load_built_in(kind, name)
    if plugin in _registered.get(kind, ()):
        return _registered[kind][plugin]
    if name in _entry_points(kind):
        return _load_entry_point(kind, _entry_points(kind)[name])
    if match := _FILE.fullmatch(plugin):
        loaded = _choose(kind, _load_file(match["location"]), match["name"], match["location"])
        _trusted.add((kind, plugin))
        return loaded
    if match := _importable(kind, plugin):
        loaded = _choose(kind, _import(match["location"], plugin), match["name"], match["location"])
        _trusted.add((kind, plugin))
        return loaded
    raise unknown(KINDS[kind].singular, plugin, names(kind))


def load_listed(kind: str, name: str, where: str = "") -> Any:
    """`load` for names that were read from a file, such as a bundle or a manifest: no file or module is run for them.

    They are those in `names`, and the files and modules that were loaded in this process before.
    where: the file, which begins the error. Errors: UserError as `load`, and for a name that would run other code.
    """
    if name.replace("_", "-") in names(kind) or name in names(kind) or (kind, name) in _trusted:
        return load(kind, name)
    start = f"{where}: " if where else ""
    if is_name(kind, name):
        raise UserError(
            f"{start}the {KINDS[kind].singular} {name!r} is code from outside the package, which is not run unasked; "
            f"if you trust it: emobridge.registry.load({kind!r}, {name!r}) before"
        )
    raise UserError(f"{start}{unknown(KINDS[kind].singular, name, names(kind))}")


def is_name(kind: str, plugin: str) -> bool:
    """Whether `load` would look for such a plug-in: a name, a file, or something to import.

    >>> is_name("encoders", "logmel"), is_name("encoders", "./mine.py"), is_name("encoders", "openai/whisper-base")
    (True, True, False)
    """
    if {plugin, plugin.replace("_", "-")} & set(names(kind)):
        return True
    return bool(_FILE.fullmatch(plugin) or _importable(kind, plugin))


def name_of(kind: str, plugin: Any) -> str:
    """The name of a plug-in in tables: its `name`; a module is named after its file. Errors: UserError as `load`.

    >>> name_of("methods", "emobridge.methods.dann:Dann"), name_of("corpora", "emobridge.corpora.crema_d")
    ('dann', 'crema-d')
    """
    loaded = load(kind, plugin)
    if isinstance(loaded, ModuleType):
        return Path(loaded.__file__ or loaded.__name__).stem.replace("_", "-")
    return str(loaded.name)


def identity(kind: str, plugin: Any) -> str:
    """A text that changes when the plug-in does, for the keys of caches. Errors: UserError as `load`.

    A built-in plug-in is its name. To any other name the digest of its source is added: of the file that holds it, and
    of no other file. Of an object its attributes count too. What has no source to be read, or attributes that are no
    plain values, is new in each process, so that nothing stale is ever found for it.

    >>> identity("methods", "soft_pseudo_labels")
    'soft-pseudo-labels'
    """
    loaded = load(kind, plugin)
    factory: Any = loaded if inspect.isclass(loaded) or inspect.ismodule(loaded) else type(loaded)
    text = name_of(kind, loaded)
    if not _is_built_in(kind, factory):
        text = f"{text}@{_digest(factory)}"
    if loaded is factory:
        return text
    return f"{text}({_plain(vars(loaded)) if hasattr(loaded, '__dict__') else _token(loaded)})"


def _built_in(kind: str) -> tuple[str, ...]:
    if kind not in KINDS:
        raise unknown("kind of plug-in", kind, KINDS)
    return _names_in(__file__, _folder(kind))


@functools.cache
def _names_in(here: str, folder: str) -> tuple[str, ...]:
    """The plug-ins of a folder of the package, read once: a run asks for them thousands of times."""
    stems = (path.stem for path in (Path(here).parent / folder).glob("*.py"))
    return tuple(stem.replace("_", "-") for stem in stems if not stem.startswith("_") and stem != "base")


def _importable(kind: str, plugin: str) -> re.Match[str] | None:
    """Whether a text is "package.module:Class", or of a kind whose plug-ins are modules "package.module"."""
    match = _CLASS.fullmatch(plugin)
    return _MODULE.fullmatch(plugin) if match is None and KINDS[kind].is_module else match


def _folder(kind: str) -> str:
    return KINDS[kind].folder or kind


def _load_built_in(kind: str, name: str) -> Any:
    stem = name.replace("-", "_")
    location = f"emobridge/{_folder(kind)}/{stem}.py"
    try:
        module = importlib.import_module(f"emobridge.{_folder(kind).replace('/', '.')}.{stem}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("emobridge"):
            raise
        raise UserError(f"{name} needs the package {error.name!r}: pip install 'emobridge[{name}]'") from error
    if KINDS[kind].is_module:
        return _checked(kind, module, location)
    class_name = "".join(part.capitalize() for part in stem.split("_"))
    if not hasattr(module, class_name):
        raise UserError(f"{location} has no class {class_name}")
    return _checked(kind, getattr(module, class_name), location)


def _entry_points(kind: str) -> dict[str, EntryPoint]:
    """The entry points of a kind by name. Errors: UserError where two, or one and a built-in plug-in, share a name."""
    points: dict[str, EntryPoint] = {}
    for point in _installed(f"emobridge.{kind}", tuple(sys.path)):
        name = point.name.replace("_", "-")
        other = points.get(name)
        if name in _built_in(kind):
            raise UserError(f"{_package(point)}: its {KINDS[kind].singular} {name!r} has the name of a built-in one")
        if other is not None and other.value != point.value:
            raise UserError(f"{_package(other)} and {_package(point)}: both have the {KINDS[kind].singular} {name!r}")
        points[name] = point
    return points


@functools.cache
def _installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points of a group, for a state of sys.path."""
    return tuple(_all_installed(path).select(group=group))


@functools.lru_cache(maxsize=1)
def _all_installed(path: tuple[str, ...]) -> Any:
    """All entry points, read once for each state of sys.path: that takes milliseconds a package."""
    from importlib.metadata import entry_points

    return entry_points()


def _package(point: EntryPoint) -> str:
    return f"package {point.dist.name if point.dist else point.module}"


def _load_entry_point(kind: str, point: EntryPoint) -> Any:
    location = f"{_package(point)}, {point.value}"
    return _choose(kind, _import(point.module, location), point.attr, location)


def _import(module: str, location: str) -> ModuleType:
    """A module by name, the working folder counting. Errors: UserError for one that cannot be imported."""
    with _working_folder(), _as_user_error(location):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(f"{error.name}.")):
                raise UserError(f"{location}: no module {error.name!r}") from error
            raise


@contextlib.contextmanager
def _working_folder() -> Iterator[None]:
    """The working folder behind all others where Python looks for modules, as with `python -m`."""
    folder = os.getcwd()
    importlib.invalidate_caches()
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.reverse()
        sys.path.remove(folder)
        sys.path.reverse()


def _load_file(location: str) -> ModuleType:
    """The module in a file; the same one where path and content are those of one that was loaded before."""
    path = Path(location).expanduser().absolute()
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        guess = nearest(path.name, (other.name for other in path.parent.glob("*.py")))
        raise UserError(f"{location}: no such file{f'; did you mean {guess!r}?' if guess else ''}") from error
    except OSError as error:
        raise UserError(f"{location}: cannot be read ({error.strerror or error})") from error
    key = str(path), hashlib.sha256(content).hexdigest()
    if key in _files:
        return _files[key]
    module = ModuleType(f"emobridge_file_{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    try:
        with _as_user_error(location):
            exec(compile(content, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    _files[key] = module
    return module


@contextlib.contextmanager
def _as_user_error(location: str) -> Iterator[None]:
    """Whatever goes wrong when somebody else's module is imported, as one line that begins with `location`."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) if not isinstance(error, SyntaxError) else error.msg
        line = _line_of(error)
        raise UserError(f"{location}{f', {line}' if line else ''}: {type(error).__name__}: {reason}") from error


def _line_of(error: BaseException) -> str:
    """Where an import failed, such as "line 3"; with the file's name where that is another one."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}" if error.lineno else ""
    lines, trace = [], error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name not in (__file__, importlib.__file__) and not name.startswith("<frozen importlib"):
            lines.append((name, trace.tb_lineno))
        trace = trace.tb_next
    if not lines:
        return ""
    name, number = lines[-1]
    return f"line {number}" if name == lines[0][0] else f"{Path(name).name}, line {number}"


def _choose(kind: str, module: ModuleType, name: str | None, location: str) -> Any:
    """What a module holds under a name; without one the module itself, or the only class that keeps the protocol."""
    singular = KINDS[kind].singular
    classes = {key: value for key, value in vars(module).items() if inspect.isclass(value)}
    if name:
        if not hasattr(module, name):
            raise UserError(
                f"{location}: {unknown('class', name, classes)}" if classes else f"{location}: no class {name!r}"
            )
        return _checked(kind, getattr(module, name), f"{location}, {name}")
    if KINDS[kind].is_module:
        return _checked(kind, module, location)
    candidates = [
        value for key, value in classes.items() if value.__module__ == module.__name__ and not key.startswith("_")
    ]
    complete = [value for value in candidates if not _missing(kind, value)]
    if len(complete) > 1:
        choices = ", ".join(f"{location}:{value.__name__}" for value in complete)
        raise UserError(f"{location}: several classes could be the {singular}; name the class: {choices}")
    if not candidates:
        raise UserError(f"{location}: no class that could be a {singular}")
    best = complete[0] if complete else min(candidates, key=lambda value: len(_missing(kind, value)))
    return _checked(kind, best, f"{location}, {best.__name__}")


def _missing(kind: str, plugin: Any) -> tuple[str, ...]:
    if kind not in KINDS:
        raise unknown("kind of plug-in", kind, KINDS)
    return tuple(attribute for attribute in KINDS[kind].protocol if not _has(plugin, attribute))


def _has(plugin: Any, attribute: str) -> bool:
    """Whether a plug-in has an attribute, and not only the promise of one."""
    value = getattr(plugin, attribute, _ABSENT)
    return value is not _ABSENT and not getattr(value, "__isabstractmethod__", False)


def _checked(kind: str, plugin: Any, location: str) -> Any:
    """The plug-in. Errors: UserError naming what it lacks, and for the name of a built-in plug-in."""
    missing = _missing(kind, plugin)
    if missing:
        lacks = " and ".join(map(repr, missing))
        raise UserError(f"{location} lacks {lacks}, which the {kind} protocol asks for")
    if KINDS[kind].is_module:
        return plugin
    name = plugin.name
    if not isinstance(name, str) or not name:
        raise UserError(f"{location}: name: expected a text, got {name!r}")
    factory = plugin if inspect.isclass(plugin) else type(plugin)
    if name in _built_in(kind) and not _is_built_in(kind, factory):
        raise UserError(f"{location}: name: {name!r} is a built-in {KINDS[kind].singular}; choose another name")
    return plugin


def _is_built_in(kind: str, factory: Any) -> bool:
    module = factory.__name__ if isinstance(factory, ModuleType) else factory.__module__
    folder, _, stem = module.rpartition(".")
    return folder == f"emobridge.{_folder(kind).replace('/', '.')}" and stem.replace("_", "-") in _built_in(kind)


def _location_of(plugin: Any) -> str:
    """What an object is called in an error."""
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    factory = plugin if inspect.isclass(plugin) else type(plugin)
    return f"{factory.__module__}.{factory.__qualname__}"


@functools.cache
def _digest(factory: Any) -> str:
    """A digest of a class's name and the source of its module (in a notebook, its own source); a token without source.

    Of the source as it is when first asked for: a file that changes afterwards leaves what was loaded as it is.
    """
    module = factory if isinstance(factory, ModuleType) else sys.modules.get(factory.__module__)
    qualified = getattr(factory, "__qualname__", "")
    for (_, content), loaded in _files.items():
        if loaded is module:
            return hashlib.sha256(f"{qualified}\n{content}".encode()).hexdigest()[:32]
    holder: Any
    for holder in (module, factory):
        with contextlib.suppress(OSError, TypeError):
            return hashlib.sha256(f"{qualified}\n{inspect.getsource(holder)}".encode()).hexdigest()[:32]
    return _token(factory)


def _token(value: object) -> str:
    """A text for an object that is its own in all processes, the same each time."""
    return _tokens.setdefault(id(value), (value, os.urandom(16).hex()))[1]


def _plain(value: Any) -> str:
    """A text of plain values and collections of them; a token of anything else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(sorted(f"{_plain(key)}: {_plain(item)}" for key, item in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "set(" + ", ".join(sorted(map(_plain, value))) + ")"
    return repr(value) if value is None or type(value) in (bool, int, float, str, bytes) else _token(value)
