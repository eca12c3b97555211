"""How the package is built, in numbers: rooms, arrows between them, names, long parameter lists.

    python benchmarks/house.py [--root CHECKOUT] [--json]

It reads the source under CHECKOUT/src and imports none of it, so that it measures an old checkout as well. What it
counts:

- rooms: a folder of the package is a room. Modules at the root of the package that import at run time nothing of the
  package but each other are together the room "ground"; every other module at the root is a room of its own.
- floors: rooms on the longest chain of arrows. An arrow is an import at run time, inside functions too; imports that
  only a type checker sees are none. circles: groups of rooms that reach each other by arrows.
- wide functions: more than 8 parameters, `self` and `cls` left out, `*args` and `**kwargs` counted as one each.
  Functions of the command line, all of whose parameters are annotated with typer.Option or typer.Argument, are listed
  apart.
- stop words: the share of bound names that, without underscores around them, are on the list STOP_WORDS. Bound names
  are those of functions, classes and parameters, and every assignment to a plain name (fields of records too).
- names in two rooms: public names of functions, classes and variables at module level that two or more rooms define.
  Three kinds count once however many rooms have them: names that a plug-in must have, which is every name that two
  plug-in modules of one folder define (LABELS, scan, read, write ...); the class of a plug-in, which is named after
  its file; and commands, which bear the name of the function that they call.
- private imports: modules that import a name or a module beginning with "_" from another room, or read `module._name`
  of one. `__version__` is not private.
"""

from __future__ import annotations

import argparse
import ast
import graphlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

STOP_WORDS = frozenset(
    (
        "one", "some", "mine", "said", "told", "own", "made", "found", "asked", "kept", "wanted", "given", "words",
        "heard", "left", "every", "once", "few", "place", "known", "beside", "named", "each", "rest",
    )
)  # fmt: skip
MOST_PARAMETERS = 8
GROUND = "ground"
PLUG_INS = (  # folders whose modules are plug-ins
    "adapters", "corpora", "encoders", "formats", "heads", "methods", "scores/measures",
)  # fmt: skip
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    """A parsed module. `name`: dotted, with the package in front; a package's `__init__` has the package's name."""

    name: str
    path: Path  # relative to the package
    tree: ast.Module
    nodes: tuple[ast.AST, ...]  # all of the tree
    lines: int

    @property
    def is_at_root(self) -> bool:
        return len(self.path.parts) == 1

    @property
    def is_plug_in(self) -> bool:
        """Whether the module is a plug-in, rather than the base or a private helper of plug-ins."""
        return (
            self.path.parent.as_posix() in PLUG_INS and self.path.stem != "base" and not self.path.stem.startswith("_")
        )


@dataclass(frozen=True)
class House:
    """The measurements of a package."""

    root_modules: tuple[str, ...]
    files: int
    lines: int
    rooms: tuple[str, ...]
    floors: int
    circles: tuple[tuple[str, ...], ...]
    wide_functions: tuple[str, ...]
    wide_commands: tuple[str, ...]
    stop_words: Counter[str]
    bound_names: int
    shared_names: Mapping[str, tuple[str, ...]]  # a name and the rooms that define it
    private_imports: Mapping[str, tuple[str, ...]]  # a module and the private names that it imports
    comprehensions: int

    @property
    def stop_share(self) -> float:
        """In per cent of the bound names."""
        return 100 * self.stop_words.total() / max(self.bound_names, 1)

    @property
    def comprehension_density(self) -> float:
        """Comprehensions and generator expressions per 100 lines."""
        return 100 * self.comprehensions / max(self.lines, 1)

    @property
    def numbers(self) -> dict[str, float]:
        """Each measurement by its name in the table."""
        return {
            "modules at the root": len(self.root_modules),
            "files": self.files,
            "lines": self.lines,
            "rooms": len(self.rooms),
            "floors": self.floors,
            "circles": len(self.circles),
            "functions of more than 8 parameters": len(self.wide_functions),
            "commands of more than 8 parameters": len(self.wide_commands),
            "stop words among bound names, %": round(self.stop_share, 2),
            "public names in two rooms": len(self.shared_names),
            "modules with private imports": len(self.private_imports),
            "comprehensions per 100 lines": round(self.comprehension_density, 2),
        }


def read_modules(root: Path) -> tuple[Module, ...]:
    """The modules of the one package under `root`/src. Errors: SystemExit where there is none, or several."""
    packages = sorted(path.parent for path in (root / "src").glob("*/__init__.py"))
    if len(packages) != 1:
        raise SystemExit(f"{root / 'src'}: expected one package, found {len(packages)}")
    modules = []
    for path in sorted(packages[0].rglob("*.py")):
        inside = path.relative_to(packages[0])
        name = ".".join((packages[0].name, *inside.with_suffix("").parts)).removesuffix(".__init__")
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        modules.append(Module(name, inside, tree, tuple(ast.walk(tree)), len(text.splitlines())))
    return tuple(modules)


def measure(modules: Iterable[Module]) -> House:
    """All measurements of a package."""
    modules = tuple(modules)
    rooms = rooms_of(modules)
    arrows = arrows_between(modules, rooms)
    circles = circles_of(arrows)
    functions, commands = wide_functions(modules)
    stop_words, bound = stop_words_of(modules)
    return House(
        root_modules=tuple(module.name for module in modules if module.is_at_root),
        files=len(modules),
        lines=sum(module.lines for module in modules),
        rooms=tuple(sorted(set(rooms.values()))),
        floors=0 if circles else floors_of(arrows),
        circles=circles,
        wide_functions=functions,
        wide_commands=commands,
        stop_words=stop_words,
        bound_names=bound,
        shared_names=shared_names(modules, rooms),
        private_imports=private_imports(modules, rooms),
        comprehensions=sum(isinstance(node, COMPREHENSIONS) for module in modules for node in module.nodes),
    )


def rooms_of(modules: Iterable[Module]) -> dict[str, str]:
    """The room of each module, by the module's name."""
    modules = tuple(modules)
    names = {module.name for module in modules}
    ground = {module.name for module in modules if module.is_at_root}
    imports = {module.name: set(imported_modules(module, names)) for module in modules if module.is_at_root}
    while True:
        outside = {name for name in ground if not imports[name] <= ground}
        if not outside:
            break
        ground -= outside
    rooms = {}
    for module in modules:
        if module.name in ground:
            rooms[module.name] = GROUND
        else:
            rooms[module.name] = module.path.parts[0].removesuffix(".py")
    return rooms


def imported_modules(module: Module, names: set[str]) -> Iterator[str]:
    """The modules of the package that a module imports at run time."""
    for node in run_time_nodes(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in names:
                    yield full
                elif node.module in names:
                    yield str(node.module)


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from run_time_nodes(ast.Module(node.orelse, []))
        else:
            yield node
            yield from run_time_nodes(node)


def arrows_between(modules: Iterable[Module], rooms: Mapping[str, str]) -> dict[str, set[str]]:
    """The rooms that each room imports."""
    arrows: dict[str, set[str]] = {room: set() for room in rooms.values()}
    for module in modules:
        room = rooms[module.name]
        arrows[room] |= {rooms[name] for name in imported_modules(module, set(rooms))} - {room}
    return arrows


def circles_of(arrows: Mapping[str, set[str]]) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more rooms that reach each other."""
    reached = {}
    for room in arrows:
        reached[room], ahead = set(), [room]
        while ahead:
            new = arrows[ahead.pop()] - reached[room]
            reached[room] |= new
            ahead.extend(new)
    groups = {
        tuple(sorted(other for other in reached[room] if room in reached[other]))
        for room in arrows
        if room in reached[room]
    }
    return tuple(sorted(groups))


def floors_of(arrows: Mapping[str, set[str]]) -> int:
    """How many rooms the longest chain of arrows has."""
    floor: dict[str, int] = {}
    for room in graphlib.TopologicalSorter(arrows).static_order():
        floor[room] = 1 + max((floor[below] for below in arrows[room]), default=0)
    return max(floor.values(), default=0)


def wide_functions(modules: Iterable[Module]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Functions, and apart from them commands, of more than MOST_PARAMETERS parameters: "path: name (count)"."""
    modules = tuple(modules)
    option_types = {name for module in modules for name in option_aliases(module.tree)}
    functions, commands = [], []
    for module in modules:
        for node in module.nodes:
            if isinstance(node, FUNCTIONS) and count_parameters(node) > MOST_PARAMETERS:
                line = f"{module.path.as_posix()}: {node.name} ({count_parameters(node)})"
                (commands if is_command(node, option_types) else functions).append(line)
    return tuple(functions), tuple(commands)


def count_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """`self` and `cls` left out."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    gathered = [arguments.vararg, arguments.kwarg]
    return sum(argument.arg not in ("self", "cls") for argument in plain) + sum(item is not None for item in gathered)


def option_aliases(tree: ast.Module) -> Iterator[str]:
    """Names at module level for a type of a command's parameter: `Name = Annotated[str, typer.Argument(...)]`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and is_option(node.value, frozenset()):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def is_option(annotation: ast.expr | None, option_types: Iterable[str]) -> bool:
    """Whether an annotation makes its parameter an option or an argument of a command."""
    if isinstance(annotation, ast.Name):
        return annotation.id in option_types
    if not isinstance(annotation, ast.Subscript) or not ast.unparse(annotation.value).endswith("Annotated"):
        return False
    calls = (node for node in ast.walk(annotation.slice) if isinstance(node, ast.Call))
    return any(ast.unparse(call.func) in ("typer.Option", "typer.Argument") for call in calls)


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef, option_types: Iterable[str]) -> bool:
    """Whether all parameters of a function are options or arguments of the command line, and it has any."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = [item.annotation for item in arguments if ast.unparse(item.annotation or item) != "typer.Context"]
    return bool(annotations) and all(is_option(annotation, option_types) for annotation in annotations)


def stop_words_of(modules: Iterable[Module]) -> tuple[Counter[str], int]:
    """How often each stop word is a bound name, and the number of all bound names."""
    bound = Counter(name.strip("_") for module in modules for name in bound_names(module.nodes))
    return Counter({name: count for name, count in bound.items() if name in STOP_WORDS}), bound.total()


def bound_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Names of functions, classes, parameters and assigned variables, as often as they are bound."""
    for node in nodes:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def shared_names(modules: Iterable[Module], rooms: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Public names at module level that two or more rooms define, with these rooms."""
    modules = tuple(modules)
    option_types = {name for module in modules for name in option_aliases(module.tree)}
    protocol = protocol_names(modules)
    defined = defaultdict(set)
    for module in modules:
        for name, node in definitions(module.tree):
            if name.startswith("_") or (isinstance(node, FUNCTIONS) and is_registered(node, option_types)):
                continue
            is_protocol = module.is_plug_in and (name in protocol or name == class_of(module.path.stem))
            defined[name].add("plug-ins" if is_protocol else rooms[module.name])
    return {name: tuple(sorted(where)) for name, where in sorted(defined.items()) if len(where) > 1}


def is_registered(function: ast.FunctionDef | ast.AsyncFunctionDef, option_types: Iterable[str]) -> bool:
    """Whether a function is a command: decorated as such, or by its parameters."""
    decorators = (ast.unparse(decorator) for decorator in function.decorator_list)
    return any(".command(" in decorator for decorator in decorators) or is_command(function, option_types)


def protocol_names(modules: Iterable[Module]) -> set[str]:
    """Names that two plug-in modules of one folder define."""
    count = Counter(
        (module.path.parent, name)
        for module in modules
        if module.is_plug_in
        for name in {name for name, _ in definitions(module.tree)}
    )
    return {name for (_, name), times in count.items() if times > 1}


def class_of(stem: str) -> str:
    """The class that the registry looks for in a plug-in's file."""
    return "".join(part.capitalize() for part in stem.split("_"))


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Functions, classes and variables at module level, with the statements that define them."""
    for node in tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from ((item.id, node) for item in ast.walk(target) if isinstance(item, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node


def private_imports(modules: Iterable[Module], rooms: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Modules that use a private name of another room, with these names."""
    crossing = {}
    for module in modules:
        names = {name for name, owner in private_uses(module, rooms) if owner != rooms[module.name]}
        if names:
            crossing[module.name] = tuple(sorted(names))
    return crossing


def private_uses(module: Module, rooms: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Private names of the package that a module imports or reads as an attribute of a module, each with its room."""
    bound: dict[str, str] = {}  # a local name and the module of the package that it is
    for node in module.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in rooms:
                    if alias.asname:
                        bound[alias.asname] = alias.name
                    if has_private_part(alias.name):
                        yield alias.name, rooms[alias.name]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in rooms:
                    bound[alias.asname or alias.name] = full
                owner = full if full in rooms else str(node.module)
                if owner in rooms and has_private_part(full):
                    yield full, rooms[owner]
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
            owner = bound[node.value.id]
            if is_private(node.attr):
                yield f"{owner}.{node.attr}", rooms[owner]


def has_private_part(dotted: str) -> bool:
    return any(map(is_private, dotted.split(".")))


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def details(house: House) -> list[str]:
    """What stands behind the numbers, a line each."""
    lines = [f"wide function: {line}" for line in house.wide_functions]
    lines += [f"wide command: {line}" for line in house.wide_commands]
    lines += [f"circle: {' '.join(circle)}" for circle in house.circles]
    lines += [f"private: {module} imports {', '.join(names)}" for module, names in house.private_imports.items()]
    lines += [f"in two rooms: {name} ({', '.join(where)})" for name, where in house.shared_names.items()]
    frequent = " ".join(f"{name} {count}" for name, count in house.stop_words.most_common())
    return [*lines, f"stop words: {frequent or 'none'}", f"rooms: {' '.join(house.rooms)}"]


def main(arguments: list[str] | None = None) -> int:
    """Print the table, and under it what the counts consist of."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="a checkout (default: this one)")
    parser.add_argument("--json", action="store_true", help="print the numbers and what stands behind them as JSON")
    options = parser.parse_args(arguments)
    house = measure(read_modules(options.root))
    if options.json:
        print(json.dumps({"numbers": house.numbers, "details": details(house)}, indent=1))
        return 0
    width = max(map(len, house.numbers))
    for name, value in house.numbers.items():
        print(f"{name:<{width}}  {value:>8g}")
    print("", *details(house), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
