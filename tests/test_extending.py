"""docs/extending.md: what it shows runs as it stands there, and is as short as it says."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from emobridge import registry
from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.formats import export, import_

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
CODE = [text for language, text in BLOCKS if language == "python"]
FILES = {text.split()[1]: text for text in CODE if text.startswith("# ")}
PYTHON = [text for text in CODE if not text.startswith("# ")]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
QUICK = ("--folds", "2", "--seeds", "1", "--epochs", "2")


@pytest.fixture
def folder(recorded, monkeypatch):
    """A working folder as the page has it: two manifests, their recordings, and the files that it shows."""
    work = recorded
    shutil.copytree(recorded, work / "recordings", ignore=shutil.ignore_patterns("*.jsonl"))
    for path in (work / "recordings").glob("xx-*"):
        path.rename(path.with_name(path.name.replace("xx", "de", 1)))  # names begin with a language
    for name, text in FILES.items():
        (work / name).write_text(text)
    monkeypatch.chdir(work)
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(work / "cache"))
    monkeypatch.setattr(registry, "_registered", {})
    before = set(sys.modules)
    yield work
    for name in set(sys.modules) - before:
        if str(work) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_plugin_of_ones_own_is_short():
    assert set(FILES) == {"mean_match.py", "nearest_mean.py", "calls.py", "bands.py", "g_mean.py"}
    for name, text in FILES.items():
        assert len(text.splitlines()) < 40, name


@pytest.mark.parametrize("index", range(len(PYTHON)))
def test_the_python_of_the_page_runs(folder, index):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(PYTHON[index], f"extending.md, block {index}", "exec"), {})
    assert printed.getvalue().strip()


COMMANDS_AFTER = {"predict": next(line for line in COMMANDS if "--encoder ./bands.py" in line)}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_page_run(folder, cli, monkeypatch, line):
    words = shlex.split(line)
    assert words[0] == "emobridge"
    if words[1] in COMMANDS_AFTER:
        assert cli(*shlex.split(COMMANDS_AFTER[words[1]])[1:], *QUICK).code == 0
    done = cli(*words[1:], *(QUICK if words[1] == "adapt" else ()))
    assert done.code == 0, done.err
    if words[1] == "scan":
        rows = list(read_manifest(folder / "calls.jsonl"))
        assert {row.language for row in rows} == {"en"} and {row.emotion for row in rows} == {"anger", "sadness"}
    elif words[1] == "predict":
        assert '"label"' in done.out
        monkeypatch.setattr(registry, "_trusted", set())  # as in another process
        refused = cli(*words[1:-2])
        assert refused.code == 2 and "give the encoder (--encoder)" in refused.complaints[-1], refused.err
    else:
        assert (folder / "run" / "bundle").is_dir()


def test_the_package_of_the_page_is_found(folder, monkeypatch):
    (text,) = (text for language, text in BLOCKS if language == "toml")
    groups = tomllib.loads(text)["project"]["entry-points"]
    about = folder / "our_plugins-1.dist-info"
    about.mkdir()
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: our-plugins\nVersion: 1\n")
    monkeypatch.syspath_prepend(folder)
    for group, points in groups.items():
        kind = group.removeprefix("emobridge.")
        for name in points:
            assert name in registry.names(kind)
            registry.load(kind, name)
    from emobridge.scores.measures.base import all_measures

    assert "G-mean" in {measure.name for measure in all_measures("classes")}


def test_the_measure_is_the_geometric_mean(folder):
    g_mean = registry.load("measures", "./g_mean.py")()
    truth = ["anger", "joy", "joy", "anger"]
    assert g_mean(truth, truth, labels=["anger", "joy"]) == 1
    assert g_mean(truth, ["anger", "joy", "anger", "anger"], labels=["anger", "joy"]) == pytest.approx(0.5**0.5)
    assert g_mean(truth, ["anger"] * 4, labels=["anger", "joy"]) == 0
    assert g_mean(truth[1:3], ["joy", "anger"], labels=["anger", "joy"]) == pytest.approx(0.5), "anger is left out"


def test_the_encoder_is_what_load_encoder_promises(folder):
    import torch

    encoder = load_encoder("./bands.py", bands="40")
    assert encoder.width == 40 and encoder.options == {"bands": 40} and not encoder.training
    wave, mask = torch.randn(2, 16000), torch.arange(16000) < torch.tensor([[16000], [200]])
    layers = encoder(wave, mask)
    assert layers.hidden.shape == (1, 2, 49, 40) and layers.mask.sum(1).tolist() == [49, 1]
    alone = encoder(wave[1:], mask[1:])
    torch.testing.assert_close(alone.hidden[0, 0, 0], layers.hidden[0, 1, 0])
    again = load_encoder(registry.load("encoders", "./bands.py"), bands=40)
    assert again.digest == encoder.digest and len(again.digest) == 64
    assert load_encoder(encoder) is encoder
    (folder / "bands.py").write_text(FILES["bands.py"] + "# other\n")
    assert load_encoder("./bands.py", bands=40).digest != encoder.digest, "an edited file has other features"
    with pytest.raises(UserError, match="unknown option of encoder bands 'band': did you mean 'bands'"):
        load_encoder("./bands.py", band=3)
    with pytest.raises(UserError, match="encoder bands: bands: expected a whole number, got 'x'"):
        load_encoder("./bands.py", bands="x")
    with pytest.raises(UserError, match=r"bend\.py: no such file"):
        load_encoder("./bend.py")


def test_corpora_and_formats_of_ones_own(folder):
    rows = list(scan("./calls.py", "recordings"))
    assert rows == list(scan("calls.py", Path("recordings"), language="")) and len(rows) == 32
    assert {row.speaker for row in rows} == set("abcd")
    with pytest.raises(UserError, match=r"the corpus '\./calls\.py' 'lang': did you mean 'language'"):
        scan("./calls.py", "recordings", lang="en")
    (folder / "ours.py").write_text(
        "from emobridge.types import Utterance\n"
        "LOSES = ('text',)\n"
        "def read(path, *, corpus: str = 'x'):\n"
        "    for line in path.read_text().splitlines():\n"
        "        yield Utterance(line, corpus, str(path.parent / line))\n"
        "def write(path, utterances):\n"
        "    path.write_text('\\n'.join(row.id for row in utterances))\n"
        "    return path\n"
    )
    done = export("./ours.py", folder / "list.txt", rows)
    assert done.count == 32
    back = list(import_("./ours.py", folder / "list.txt", corpus="no"))
    assert [row.id for row in back] == [row.id for row in rows] and back[0].corpus == "no"


def test_a_registered_plugin_is_known_by_its_name(folder):
    plugin = registry.register("methods", "./mean_match.py")
    assert "mean-match" in registry.names("methods") and registry.is_name("methods", "mean-match")
    assert registry.load("methods", "mean-match") is plugin is registry.register("methods", plugin)
    assert registry.identity("methods", "mean-match") == registry.identity("methods", "./mean_match.py")
    other = type("MeanMatch", (plugin,), {})
    with pytest.raises(UserError, match="'mean-match' is the name of another method"):
        registry.register("methods", other)
    with pytest.raises(UserError, match="'dann' is a built-in method"):
        registry.register("methods", type("Dann", (plugin,), {}))


def test_the_method_draws_means_together(folder):
    from emobridge import fit_arrays

    X = np.concatenate([np.random.default_rng(0).normal(0, 1, (20, 4)), np.random.default_rng(1).normal(3, 1, (20, 4))])
    y, domain = np.tile(["a", "b"], 20), np.repeat([0, 1], 20)
    distance = {}
    for strength in (0.0, 10.0):
        recognizer = fit_arrays(
            X, y, domain, "./mean_match.py", method_options={"strength": strength}, learning_rate=0.01, epochs=50
        )
        hidden = recognizer.model_.represent(recognizer.model_.head.projection.weight.new_tensor(X))
        distance[strength] = float((hidden[:20].mean(0) - hidden[20:].mean(0)).norm().detach())
    assert distance[10.0] < 0.5 * distance[0.0]


def test_an_edited_method_is_trained_anew(folder, cli):
    words = [*shlex.split(COMMANDS[0])[1:], *QUICK]
    scores = []
    for old, new in (("", ""), ("", ""), ("square().mean()", "abs().sum() * 50")):
        text = (folder / "mean_match.py").read_text()
        (folder / "mean_match.py").write_text(text.replace(old, new) if old else text)
        assert cli(*words).code == 0
        rows = json.loads((folder / "run" / "scores.json").read_text())
        scores.append([row for row in rows if row["method"] != "source-only"])
    assert scores[0] == scores[1] and scores[0]
    assert scores[2] != scores[0]
