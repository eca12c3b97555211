"""Plug-ins are found by name, wherever they are, and checked when they are loaded."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import emobridge
from emobridge import registry
from emobridge.errors import UserError
from emobridge.methods.dann import Dann
from emobridge.methods.source_only import SourceOnly

KINDS = tuple(registry.KINDS)
PROTOCOL = registry.KINDS["methods"].protocol
PLUGINS = [(kind, name) for kind in KINDS for name in registry.names(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_of_the_files(kind):
    folder = Path(emobridge.__file__).parent / (registry.KINDS[kind].folder or kind)
    stems = {path.stem for path in folder.iterdir() if path.suffix == ".py" and path.stem != "base"}
    assert {name.replace("-", "_") for name in registry.names(kind)} == {s for s in stems if not s.startswith("_")}
    assert list(registry.names(kind)) == sorted(registry.names(kind))


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plugin_keeps_its_protocol_and_is_named_as_its_file(kind, name):
    if name == "opensmile":
        pytest.importorskip("opensmile")
    plugin = registry.load(kind, name)
    assert all(hasattr(plugin, attribute) for attribute in registry.KINDS[kind].protocol)
    assert plugin.__doc__ or importlib.import_module(plugin.__module__).__doc__
    if not registry.KINDS[kind].is_module:
        assert plugin.name.lower().replace(" ", "-") == name and registry.load(kind, plugin) is plugin
        assert registry.load(kind, name.replace("-", "_")) is plugin


def test_unknown_names_and_kinds_name_the_nearest():
    with pytest.raises(UserError, match="did you mean 'linear'"):
        registry.load("heads", "linaer")
    with pytest.raises(UserError, match="did you mean 'pseudo-labels'"):
        registry.load("methods", "pseudo-label")
    with pytest.raises(UserError, match="did you mean 'heads'"):
        registry.names("head")
    for name in ("", "_base", "__init__", "../settings", "emobridge.heads.linear", "Linear "):
        with pytest.raises(UserError, match="unknown head"):
            registry.load("heads", name)


@pytest.fixture
def fabricated(tmp_path, monkeypatch):
    """Write a plug-in into a folder that the registry takes for its own."""

    def write(kind: str, stem: str, source: str) -> None:
        folder = tmp_path / kind
        folder.mkdir(exist_ok=True)
        (folder / f"{stem}.py").write_text(source)
        package = importlib.import_module(f"emobridge.{kind}")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.setattr(registry, "__file__", str(tmp_path / "registry.py"))
        monkeypatch.delitem(importlib.sys.modules, f"emobridge.{kind}.{stem}", raising=False)
        importlib.invalidate_caches()
        registry._names_in.cache_clear()  # it takes the folder of an installed package for fixed

    yield write
    for name in [name for name in importlib.sys.modules if "fabricated" in name]:
        del importlib.sys.modules[name]


# A method that keeps the protocol and is called "fabricated".
METHOD = "class FabricatedMethod:\n    name = 'fabricated'\n" + "".join(
    f"    {attribute} = None\n" for attribute in PROTOCOL if attribute != "name"
)


@pytest.mark.parametrize("lacking", PROTOCOL)
def test_a_plugin_that_lacks_an_attribute_is_told_which(fabricated, lacking):
    fabricated("methods", "fabricated_method", re.sub(f"    {lacking} = .*\n", "", METHOD))
    assert registry.names("methods") == ("fabricated-method",)
    with pytest.raises(UserError, match=f"methods/fabricated_method.py lacks '{lacking}'"):
        registry.load("methods", "fabricated-method")


def test_one_file_is_all_that_a_plugin_needs(fabricated):
    fabricated("methods", "fabricated_method", METHOD)
    assert registry.load("methods", "fabricated-method").__name__ == "FabricatedMethod"


def test_a_corpus_is_a_module(fabricated):
    fabricated("corpora", "fabricated_corpus", "LANGUAGES = LABELS = LICENCE = CITATION = scan = None")
    with pytest.raises(UserError, match="lacks 'OBTAIN'"):
        registry.load("corpora", "fabricated-corpus")


def test_a_format_is_a_module(fabricated):
    fabricated("formats", "fabricated_format", "LOSES = ()\nwrite = None")
    with pytest.raises(UserError, match="lacks 'read'"):
        registry.load("formats", "fabricated-format")


def test_a_plugin_without_its_class_is_told_so(fabricated):
    fabricated("heads", "fabricated_head", "class Fabricated: ...")
    with pytest.raises(UserError, match="has no class FabricatedHead"):
        registry.load("heads", "fabricated-head")


def test_a_missing_package_says_what_to_install_and_a_bug_of_ours_does_not(fabricated):
    fabricated("heads", "fabricated_head", "import no_such_package.deeper")
    with pytest.raises(UserError, match="needs the package 'no_such_package'"):
        registry.load("heads", "fabricated-head")
    fabricated("heads", "fabricated_other", "import emobridge.no_such_room")
    with pytest.raises(ModuleNotFoundError, match="no_such_room"):
        registry.load("heads", "fabricated-other")


MINE = METHOD.replace("FabricatedMethod", "Mine").replace("'fabricated'", "'mine'")
OTHER = MINE.replace("Mine", "Other").replace("'mine'", "'other'")
CORPUS = "LANGUAGES = LABELS = LICENCE = CITATION = OBTAIN = scan = None\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder, from which nothing stays imported."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        if str(tmp_path) in str(getattr(module, "__file__", None)) or str(tmp_path) in str(
            getattr(module, "__path__", None)
        ):
            del sys.modules[name]


def test_a_file_holds_a_plugin(folder):
    (folder / "mine.py").write_text(MINE)
    plugin = registry.load("methods", "./mine.py")
    assert plugin.name == registry.name_of("methods", "mine.py") == "mine"
    for name in ("mine.py", "mine.py:Mine", str(folder / "mine.py"), "../" + folder.name + "/./mine.py:Mine"):
        assert registry.load("methods", name).name == "mine"
    assert registry.load("methods", "./mine.py") is plugin is registry.load("methods", f"{folder}/mine.py:Mine")
    assert "mine" not in registry.names("methods")
    (folder / "mine.py").write_text(MINE + "\n")
    assert registry.load("methods", "mine.py") is not plugin, "what was changed is read anew"
    assert inspect.getsource(registry.load("methods", "mine.py")).startswith("class Mine")


def test_a_file_may_hold_other_classes_and_what_it_imports(folder):
    extra = "from emobridge.methods.dann import Dann\nclass Helper: ...\nclass _Hidden(Dann): ...\n"
    (folder / "mine.py").write_text(extra + MINE)
    assert registry.load("methods", "mine.py").__name__ == "Mine"
    (folder / "two.py").write_text(MINE + OTHER)
    with pytest.raises(UserError, match=r"several classes .*: \./two\.py:Mine, \./two\.py:Other"):
        registry.load("methods", "./two.py")
    assert registry.load("methods", "./two.py:Other").name == "other"


def test_a_module_holds_a_plugin_in_the_working_folder_too(folder):
    (folder / "package").mkdir()
    (folder / "package" / "mine.py").write_text(MINE)
    (folder / "alone.py").write_text(MINE)
    (folder / "package" / "calls.py").write_text(CORPUS)
    before = list(sys.path)
    assert registry.load("methods", "package.mine:Mine").name == "mine"
    assert registry.load("methods", "alone:Mine").name == "mine"
    assert registry.load("corpora", "package.calls").LANGUAGES is None
    assert registry.name_of("corpora", "package.calls") == registry.name_of("corpora", "package/calls.py") == "calls"
    assert sys.path == before


def test_python_may_pass_a_class_an_object_or_a_module():
    assert registry.load("methods", Dann) is Dann
    dann = Dann(strength=0.5)
    assert registry.load("methods", dann) is dann
    emodb = registry.load("corpora", "emodb")
    assert registry.load("corpora", emodb) is emodb

    class Mine(Dann):
        name = "mine"

    assert registry.load("methods", Mine) is Mine
    with pytest.raises(UserError, match=r"test_registry\..*Bare lacks 'name' and 'needs'"):
        registry.load("methods", type("Bare", (), {}))
    with pytest.raises(UserError, match="int lacks 'name'"):
        registry.load("methods", 3)


BROKEN = {
    "a syntax error": ("class Mine(:\n", r"mine\.py, line 1: SyntaxError: "),
    "an error on import": ("import os\n\nx = 1 / 0\n", r"mine\.py, line 3: ZeroDivisionError: division by zero$"),
    "an error further in": ("def f():\n    raise KeyError('a\\nb')\nf()\n", r"mine\.py, line 2: KeyError: 'a"),
    "an error of another module": ("import json\njson.loads('')\n", r"mine\.py, \w+\.py, line \d+: JSONDecodeError: "),
    "an exit": ("raise SystemExit(3)\n", r"mine\.py, line 1: SystemExit: 3$"),
    "a missing package": ("import no_such_package\n", r"mine\.py, line 1: ModuleNotFoundError: .*no_such_package"),
    "no class": ("x = 1\n", r"mine\.py: no class that could be a method$"),
    "nothing": ("", r"mine\.py: no class that could be a method$"),
    "two things missing": (
        re.sub("    (loss|needs) = .*\n", "", MINE),
        r"mine\.py, Mine lacks 'needs' and 'loss', which the methods protocol asks for$",
    ),
    "the nearest of two": (
        "class Helper: ...\n" + MINE.replace("    loss = None\n", ""),
        r"mine\.py, Mine lacks 'loss'",
    ),
    "a name of ours": (MINE.replace("'mine'", "'dann'"), r"mine\.py, Mine: name: 'dann' is a built-in method"),
    "an inherited name": (
        "from emobridge.methods.dann import Dann\nclass Mine(Dann):\n    name = Dann.name\n",
        r"mine\.py, Mine: name: 'dann' is a built-in method",
    ),
    "an abstract method": (
        "from emobridge.methods.base import Method\nclass Mine(Method): ...\n",
        r"mine\.py, Mine lacks 'loss', which the methods protocol asks for$",
    ),
    "no name": (MINE.replace("'mine'", "None"), r"mine\.py, Mine: name: expected a text, got None$"),
    "bytes": ("x = 1\0\n", r"mine\.py: (ValueError|SyntaxError): source code"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_with_a_file_is_one_line(folder, content, message):
    (folder / "mine.py").write_text(content)
    for _ in range(2):
        with pytest.raises(UserError, match=message) as caught:
            registry.load("methods", "./mine.py")
        assert len(str(caught.value).splitlines()) == 1 and str(caught.value).startswith("./mine.py")


def test_a_file_that_fails_is_not_half_imported(folder):
    (folder / "mine.py").write_text(MINE + "x = 1 / 0\n")
    before = set(sys.modules)
    with pytest.raises(UserError, match="ZeroDivisionError"):
        registry.load("methods", "mine.py")
    assert set(sys.modules) == before
    (folder / "mine.py").write_text(MINE)
    assert registry.load("methods", "mine.py").name == "mine"


def test_what_is_not_there_names_the_nearest(folder):
    (folder / "mine.py").write_text(MINE)
    (folder / "latin.py").write_bytes(b"x = '\xe9'\n")
    for name, message in {
        "./mien.py": r"\./mien\.py: no such file; did you mean 'mine\.py'\?",
        "nowhere/x.py": r"nowhere/x\.py: no such file$",
        "mine.py/x.py": r"mine\.py/x\.py: cannot be read \(Not a directory\)",
        "mine.py:Mien": r"mine\.py: unknown class 'Mien': did you mean 'Mine'",
        "mine:Mien": r"mine: unknown class 'Mien': did you mean 'Mine'",
        "no_such_package:Mine": r"no_such_package:Mine: no module 'no_such_package'$",
        "mine.deeper:Mine": r"mine\.deeper:Mine: no module 'mine\.deeper'$",
        "latin.py": r"latin\.py.*SyntaxError: .*utf-8",
    }.items():
        with pytest.raises(UserError, match=message) as caught:
            registry.load("methods", name)
        assert len(str(caught.value).splitlines()) == 1
    (folder / "folder.py").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        registry.load("methods", "folder.py")


@pytest.fixture
def installed(monkeypatch):
    """Make entry points of installed packages, (name, value) each."""

    def install(kind, *points):
        group = f"emobridge.{kind}"
        entry_points = tuple(EntryPoint(name, value, group) for name, value in points)
        monkeypatch.setattr(registry, "_installed", lambda name, path: entry_points if name == group else ())

    return install


def test_an_entry_point_is_a_plugin(folder, installed):
    (folder / "their_package.py").write_text(MINE + CORPUS)
    installed("methods", ("their-method", "their_package:Mine"))
    assert "their-method" in registry.names("methods") and "dann" in registry.names("methods")
    assert registry.load("methods", "their-method") is registry.load("methods", "their_method")
    assert registry.load("methods", "their-method").name == "mine"
    with pytest.raises(UserError, match="did you mean 'their-method'"):
        registry.load("methods", "their-metod")
    installed("corpora", ("theirs", "their_package"))
    assert registry.load("corpora", "theirs").LANGUAGES is None


def test_an_entry_point_that_cannot_be_used_says_so(folder, installed):
    (folder / "their_package.py").write_text("class Mine: ...")
    for points, message in {
        (("dann", "theirs:Mine"),): "package theirs: its method 'dann' has the name of a built-in one",
        (("soft_pseudo_labels", "theirs:Mine"),): "its method 'soft-pseudo-labels' has the name of a built-in one",
        (("a", "one:Mine"), ("a", "two:Mine")): "package one and package two: both have the method 'a'",
    }.items():
        installed("methods", *points)
        with pytest.raises(UserError, match=message):
            registry.names("methods")
        with pytest.raises(UserError, match=message):
            registry.load("methods", "a")
    installed("methods", ("a", "no_such_package:Mine"), ("b", "their_package:Mine"), ("c", "their_package:Yours"))
    for name, message in {
        "a": "package no_such_package, no_such_package:Mine: no module 'no_such_package'",
        "b": "package their_package, their_package:Mine, Mine lacks 'name' and",
        "c": "unknown class 'Yours'",
    }.items():
        with pytest.raises(UserError, match=message):
            registry.load("methods", name)


def test_entry_points_of_an_installed_package_are_found(tmp_path):
    """Through importlib.metadata itself, as pip leaves a package."""
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[emobridge.methods]\nmine = theirs:Mine\n")
    (tmp_path / "theirs.py").write_text(MINE)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from emobridge import registry
assert "mine" in registry.names("methods")
assert "theirs" not in sys.modules, "listing imports nothing"
assert registry.load("methods", "mine").__module__ == "theirs"
print(registry.identity("methods", "mine"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("mine@"), done.stderr


def test_an_identity_is_that_of_the_source(folder):
    identity = registry.identity
    assert identity("methods", "dann") == identity("methods", Dann) == "dann"
    assert identity("methods", "soft_pseudo_labels") == "soft-pseudo-labels"
    assert identity("corpora", "emodb") == identity("corpora", registry.load("corpora", "emodb")) == "emodb"
    (folder / "mine.py").write_text(MINE)
    first = identity("methods", "./mine.py")
    assert first.startswith("mine@") and first == identity("methods", "mine.py:Mine")
    assert first == identity("methods", registry.load("methods", "./mine.py")), "the class is as good as its name"
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "copy.py").write_text(MINE)
    assert identity("methods", "elsewhere/copy.py") == first, "the same wherever the file lies"
    (folder / "mine.py").write_text(MINE + "# other\n")
    second = identity("methods", "./mine.py")
    assert second != first
    (folder / "mine.py").write_text(MINE)
    assert identity("methods", "./mine.py") == first
    (folder / "two.py").write_text(MINE + MINE.replace("Mine", "Other"))
    assert identity("methods", "two.py:Mine") != identity("methods", "two.py:Other"), "though both are named mine"
    (folder / "calls.py").write_text(CORPUS)
    assert identity("corpora", "calls.py").startswith("calls@")


def test_the_identity_of_what_was_loaded_does_not_follow_its_file(folder):
    (folder / "mine.py").write_text(MINE)
    first, plugin = registry.identity("methods", "mine.py"), registry.load("methods", "mine.py")
    (folder / "mine.py").write_text(MINE + "# other\n")
    assert registry.identity("methods", plugin) == first


def test_the_identity_of_an_object_has_its_attributes():
    identity = registry.identity
    assert identity("methods", Dann(strength=0.5)) == identity("methods", Dann(strength=0.5))
    assert identity("methods", Dann(strength=0.5)) != identity("methods", Dann()) != identity("methods", Dann)
    thing = SourceOnly()
    thing.classes, thing.table = frozenset({"b", "a"}), {"x": [1, (2.0, None)]}
    again = SourceOnly()
    again.table, again.classes = {"x": [1, (2.0, None)]}, frozenset({"a", "b"})
    assert identity("methods", thing) == identity("methods", again)
    thing.weight = again.weight = object()
    assert identity("methods", thing) == identity("methods", thing)
    again.weight = object()
    assert identity("methods", thing) != identity("methods", again), "nobody can tell them to be equal"


def test_the_identity_of_what_has_no_source_is_its_own():
    space = {"Dann": Dann}
    exec("class Mine(Dann):\n    name = 'mine'\n    __module__ = 'nowhere'", space)
    exec("class Other(Dann):\n    name = 'mine'\n    __module__ = 'nowhere'", space)
    assert registry.identity("methods", space["Mine"]) == registry.identity("methods", space["Mine"])
    assert registry.identity("methods", space["Mine"]) != registry.identity("methods", space["Other"])


def test_a_name_out_of_a_file_runs_no_code(folder):
    """A bundle or a manifest may come from anybody."""
    for name in ("evil.py", "harm.py"):
        (folder / name).write_text(f"import pathlib\npathlib.Path('ran').touch()\n{MINE}{CORPUS}")
    for name in ("./evil.py", "evil.py:Mine", "evil:Mine"):
        with pytest.raises(UserError, match=rf"bundle: the method '{re.escape(name)}' is code from outside"):
            registry.load_listed("methods", name, "bundle")
    with pytest.raises(UserError, match=r"^the corpus 'harm\.py' is code"):
        registry.load_listed("corpora", "harm.py")
    with pytest.raises(UserError, match=r"the corpus 'os\.path' is code"):
        registry.load_listed("corpora", "os.path")
    assert not (folder / "ran").exists()
    with pytest.raises(UserError, match="bundle: unknown method 'dan': did you mean 'dann'"):
        registry.load_listed("methods", "dan", "bundle")
    assert registry.load_listed("methods", "soft_pseudo_labels").name == "soft-pseudo-labels"
    plugin = registry.load("methods", "./evil.py")
    assert registry.load_listed("methods", "./evil.py") is plugin, "a user's choice in this process"
    with pytest.raises(UserError, match="is code from outside"):
        registry.load_listed("methods", "./harm.py")


def test_what_load_would_look_for(folder):
    for name in ("logmel", "hf_ssl", "./mine.py", "mine.py:Mine", "package.module:Class"):
        assert registry.is_name("encoders", name)
    for name in (
        "openai/whisper-tiny.en",
        "whisper-tiny.en",
        "./folder",
        "/models/wb",
        "facebook/w@refs/pr/2",
        "a.b",
    ):
        assert not registry.is_name("encoders", name)
    assert registry.is_name("corpora", "package.calls")
