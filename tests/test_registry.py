"""Plug-ins are found by file name and checked when they are loaded."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import emobridge
from emobridge import registry
from emobridge.errors import UserError

KINDS = tuple(registry.PROTOCOLS)
PLUGINS = [(kind, name) for kind in KINDS for name in registry.names(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_of_the_files(kind):
    folder = Path(emobridge.__file__).parent / kind
    stems = {path.stem for path in folder.iterdir() if path.suffix == ".py" and path.stem != "base"}
    assert {name.replace("-", "_") for name in registry.names(kind)} == {s for s in stems if not s.startswith("_")}
    assert list(registry.names(kind)) == sorted(registry.names(kind))


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plugin_keeps_its_protocol_and_is_named_as_its_file(kind, name):
    if name == "opensmile":
        pytest.importorskip("opensmile")
    plugin = registry.load(kind, name)
    assert all(hasattr(plugin, attribute) for attribute in registry.PROTOCOLS[kind])
    assert plugin.__doc__ or importlib.import_module(plugin.__module__).__doc__
    if kind not in registry.MODULES:
        assert plugin.name == name
        assert registry.load(kind, name.replace("-", "_")) is plugin


def test_unknown_names_and_kinds_name_the_nearest():
    with pytest.raises(UserError, match="did you mean 'linear'"):
        registry.load("heads", "linaer")
    with pytest.raises(UserError, match="did you mean 'pseudo-labels'"):
        registry.load("methods", "pseudo-label")
    with pytest.raises(UserError, match="did you mean 'heads'"):
        registry.names("head")
    for name in ("", "_base", "__init__", "../settings", "linear.py", "Linear "):
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

    yield write
    for name in [name for name in importlib.sys.modules if "fabricated" in name]:
        del importlib.sys.modules[name]


METHOD = "class FabricatedMethod:\n" + "".join(
    f"    {attribute} = None\n" for attribute in registry.PROTOCOLS["methods"]
)


@pytest.mark.parametrize("lacking", registry.PROTOCOLS["methods"])
def test_a_plugin_that_lacks_an_attribute_is_told_which(fabricated, lacking):
    fabricated("methods", "fabricated_method", METHOD.replace(f"    {lacking} = None\n", ""))
    assert registry.names("methods") == ("fabricated-method",)
    with pytest.raises(TypeError, match=f"methods/fabricated_method.py lacks '{lacking}'"):
        registry.load("methods", "fabricated-method")


def test_one_file_is_all_that_a_plugin_needs(fabricated):
    fabricated("methods", "fabricated_method", METHOD)
    assert registry.load("methods", "fabricated-method").__name__ == "FabricatedMethod"


def test_a_corpus_is_a_module(fabricated):
    fabricated("corpora", "fabricated_corpus", "LANGUAGES = LABELS = LICENCE = CITATION = scan = None")
    with pytest.raises(TypeError, match="lacks 'OBTAIN'"):
        registry.load("corpora", "fabricated-corpus")


def test_a_format_is_a_module(fabricated):
    fabricated("formats", "fabricated_format", "LOSES = ()\nread = None")
    with pytest.raises(TypeError, match="lacks 'write'"):
        registry.load("formats", "fabricated-format")


def test_a_plugin_without_its_class_is_told_so(fabricated):
    fabricated("heads", "fabricated_head", "class Fabricated: ...")
    with pytest.raises(TypeError, match="has no class FabricatedHead"):
        registry.load("heads", "fabricated-head")


def test_a_missing_package_says_what_to_install_and_a_bug_of_ours_does_not(fabricated):
    fabricated("heads", "fabricated_head", "import no_such_package.deeper")
    with pytest.raises(UserError, match="needs the package 'no_such_package'"):
        registry.load("heads", "fabricated-head")
    fabricated("heads", "fabricated_other", "import emobridge.no_such_room")
    with pytest.raises(ModuleNotFoundError, match="no_such_room"):
        registry.load("heads", "fabricated-other")
