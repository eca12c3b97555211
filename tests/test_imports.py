"""Imports point one way, and what is light stays light."""

from __future__ import annotations

import ast
import functools
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import emobridge

ROOT = Path(emobridge.__file__).parent
# A room is a folder of the package; its modules at the root are the ground, but for those named here. A room may import
# the ground, rooms of the lines above its own, and itself.
GROUND = "ground"
LEVELS = (
    (GROUND,),
    ("settings", "cache", "web"),
    ("data",),
    ("heads", "encoders", "literature"),
    ("methods",),
    ("adapters", "phones"),
    ("scores", "corpora", "features"),
    ("audit", "formats", "bundle", "scale"),
    ("training", "inference"),
    ("diarization",),
    ("report",),
    ("study",),
    ("probe", "listening"),
    ("recipes", "serve"),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
MODULES = {
    ".".join(("emobridge", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def room_of(module: str) -> str:
    name = [*module.split("."), ""][1]
    return name if name in LEVEL or ((ROOT / name).is_dir() and name) else GROUND


def last_name(node: ast.AST) -> str:
    """The name of a plain name, or the last one of a dotted name."""
    return getattr(node, "attr", getattr(node, "id", ""))


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Everything in a module, lazy imports in functions too, but what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING":
            yield from statements(ast.Module(node.orelse, []))
        else:
            yield node
            yield from statements(node)


@functools.cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules of emobridge that a source imports."""
    for node in statements(tree):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import, which hides where it points: {ast.unparse(node)}"
            names = [f"{node.module}.{name.name}" for name in node.names]
            names = [name if name in MODULES else node.module for name in names]
        elif isinstance(node, ast.Call) and last_name(node.func) == "import_module":
            constant = isinstance(node.args[0], ast.Constant)
            names = [node.args[0].value] if constant else []  # the registry's, by a name that is made
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "emobridge")


def arrows_back(module: str, tree: ast.AST) -> list[str]:
    room = room_of(module)
    return [name for name in imported(tree) if room_of(name) != room and LEVEL[room_of(name)] >= LEVEL[room]]


def private_names(module: str) -> list[str]:
    """What a module imports that is private to another room."""
    room = room_of(module)
    names = []
    for node in ast.walk(tree_of(module)):
        if (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").startswith("emobridge")
            and room_of(node.module) != room
        ):
            parts = [*node.module.split(".")[1:], *(name.name for name in node.names)]
            names += [f"{node.module}: {part}" for part in parts if part.startswith("_") and part != "__version__"]
    return names


def test_every_room_has_a_level():
    assert {room_of(module) for module in MODULES} <= set(LEVEL), "give each room a place in LEVELS"


def test_imports_point_one_way():
    back = {module: arrows_back(module, tree_of(module)) for module in MODULES}
    assert not {module: names for module, names in back.items() if names}, "these may not be below the module"


def test_no_private_name_crosses_a_room():
    private = {module: private_names(module) for module in MODULES}
    assert not {module: names for module, names in private.items() if names}


@pytest.mark.parametrize(
    "source",
    [
        "from emobridge.training.loop import fit",
        "import emobridge.training.loop",
        "from emobridge.training import loop",
        "def late():\n    from emobridge.training.loop import fit",
        "class A:\n    import emobridge.training.loop as t",
        "try:\n    import x\nexcept ImportError:\n    from emobridge.training import loop",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from emobridge.training import loop",
        "import importlib\nimportlib.import_module('emobridge.training.loop')",
    ],
)
def test_the_check_sees_an_arrow_that_points_back(source):
    assert arrows_back("emobridge.heads.linear", ast.parse(source)) == ["emobridge.training.loop"]


def test_the_check_lets_annotations_and_arrows_forward_pass():
    source = "if TYPE_CHECKING:\n    from emobridge.training.loop import fit\nfrom emobridge.errors import UserError"
    assert arrows_back("emobridge.heads.linear", ast.parse(source)) == []


def test_a_room_is_named_once():
    rooms = [room for rooms in LEVELS for room in rooms]
    assert len(rooms) == len(set(rooms))


@pytest.mark.parametrize("name", emobridge.__all__)
def test_every_public_name_is_there(name):
    assert getattr(emobridge, name) is not None
    assert name in dir(emobridge)


def test_a_name_that_is_not_public():
    with pytest.raises(AttributeError, match="adopt"):
        emobridge.adopt  # noqa: B018


HEAVY = ("torch", "transformers", "sklearn", "huggingface_hub", "matplotlib", "jinja2")
SLOW = (  # of the libraries that only a part of some work needs; scipy's take 0.2 to 0.5 s each
    *HEAVY[1:],
    *("peft", "accelerate", "pandas", "av", "onnxruntime", "openvino", "ray", "opensmile"),
    *("scipy.stats", "scipy.signal", "scipy.optimize", "scipy.sparse"),
)


def loaded_by(*codes: str, heavy: tuple[str, ...] = HEAVY) -> list[set[str]]:
    """The heavy packages that a fresh process holds after each of some codes, one after the other."""
    tell = f"\nimport sys\nprint('LOADED', *[name for name in {heavy} if name in sys.modules])\n"
    code = "".join(code + tell for code in codes)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    loaded = [set(line[1:]) for line in lines if line[:1] == ["LOADED"]]
    assert len(loaded) == len(codes)
    return loaded


def test_the_light_rooms_leave_torch_unimported(tmp_path):
    audio = tmp_path / "a.wav"
    manifest = tmp_path / "m.jsonl"
    code = f"""
import emobridge
dir(emobridge)
emobridge.Utterance, emobridge.UserError, emobridge.Adapt, emobridge.Prediction, emobridge.Score
from emobridge import registry
for kind in registry.KINDS:
    registry.names(kind)
for kind in ("corpora", "formats"):
    for name in registry.names(kind):
        registry.load(kind, name)
from emobridge.data import labels, splits
from emobridge.data.manifest import read_manifest, write_manifest
write_manifest({str(manifest)!r}, [emobridge.Utterance("a", "c", {str(audio)!r})])
assert len(list(read_manifest({str(manifest)!r}))) == 1
import emobridge.settings, emobridge.options, emobridge.progress
import emobridge.scores.classes, emobridge.literature.published
from emobridge.recipes import recipe
[recipe.read_recipe(name) for name in recipe.recipe_names()]
from emobridge.corpora import scan
from emobridge.encoders import languages_of, presets
assert languages_of("wavlm-base") == presets()["wavlm-base"].languages
try:
    list(scan("emovo", {str(tmp_path)!r}))
except emobridge.UserError:
    pass
"""
    assert loaded_by(code) == [set()]


def test_the_help_leaves_torch_unimported():
    code = """
import runpy, sys
sys.argv = ["emobridge", "--help"]
try:
    runpy.run_module("emobridge.cli.main", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""
    assert loaded_by(code) == [set()]


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (
            (
                "emobridge.audit.findings",
                "emobridge.report.audit, emobridge.report.write",
                "emobridge.inference.output, emobridge.report.timeline",
                "emobridge.serve.serving, emobridge.serve.engine, emobridge.serve.sources",
            ),
            set(),
        ),
        (
            (
                "emobridge.bundle, emobridge.inference.predictions, emobridge.inference.evaluate",
                "emobridge.encoders.whisper, emobridge.encoders.ast, emobridge.encoders.hf_ssl",
                "emobridge.study.adapt, emobridge.study.budget, emobridge.study.suggest",
                "emobridge.probe.run, emobridge.recipes.replication",
            ),
            {"torch"},
        ),
    ],
    ids=["light", "torch"],
)
def test_what_a_command_imports_before_its_work_leaves_slow_libraries_unimported(modules, expected):
    """One process imports them in turn: what is not there after the last of them is imported by none."""
    loaded = loaded_by(*(f"import {names}" for names in modules), heavy=("torch", *SLOW))
    assert dict(zip(modules, loaded, strict=True)) == dict.fromkeys(modules, expected)


def test_no_circle_of_modules():
    """Within a room too; imports inside functions may close one, they run late."""
    sorter = graphlib.TopologicalSorter()
    for module in MODULES:
        at_once = [node for node in tree_of(module).body if not isinstance(node, ast.FunctionDef)]
        sorter.add(module, *imported(ast.Module(at_once, [])))
    assert len(list(sorter.static_order())) == len(MODULES)
