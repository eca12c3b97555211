"""`emobridge adapt` at the command line: its help, its options, and the folder that it leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

import emobridge
from emobridge.cli.options import PANELS
from emobridge.settings import Adapt, default_of, flag_of, from_mapping, options_of_record, read_mapping

FIRST = (
    "--source", "--target", "--labels", "--target-labels", "--encoder", "--layer", "--normalise", "--method", "--seeds",
    "--out",
)  # fmt: skip
DATE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


@pytest.fixture
def help_panels(cli, monkeypatch):
    """A function to read the help of a command: by panel the options and their texts, both in order."""
    monkeypatch.setenv("COLUMNS", "400")  # each text is a line
    monkeypatch.setenv("TERMINAL_WIDTH", "400")

    def read(command):
        ran = cli(command, "--help")
        assert ran.code == 0, ran.err
        panels: dict[str, dict[str, str]] = {}
        for line in ran.out.splitlines():
            if title := re.match(r"[╭+]\W (\w+) ", line):
                panels[title[1]] = {}
            elif option := re.match(r"\W+(--[\w-]+) (.*)", line):
                panels[list(panels)[-1]][option[1]] = option[2]
        return panels

    return read


@pytest.fixture
def requested(cli, monkeypatch):
    """A function to read the request that a command line makes, which is not run."""
    requests = []

    def adapt(request, *, strict):
        requests.append(request)
        return SimpleNamespace(prepared=SimpleNamespace(skipped=()), lines=())

    monkeypatch.setattr("emobridge.study.adapt.adapt", adapt)

    def read(*words):
        ran = cli("adapt", "--source", "en.jsonl", "--target", "xx.jsonl", *words)
        assert ran.code == 0, ran.err
        return requests.pop()

    return read


@pytest.fixture
def words(recorded):
    """The words of a quick run, and more behind them."""

    def make(*more):
        start = ("adapt", "--source", recorded / "en.jsonl", "--target", recorded / "xx.jsonl", "--seeds", "1")
        return (*start, "--folds", "2", "--epochs", "3", "--out", recorded / "run", *more)

    return make


def test_the_help_shows_what_a_newcomer_needs_and_then_the_panels(help_panels):
    panels = help_panels("adapt")
    assert list(panels) == ["Options", *PANELS]
    assert list(panels["Options"]) == [*FIRST, "--help"]
    assert list(PANELS) == ["Data", "Encoder", "Method", "Training", "Evaluation", "Output"]


def in_help(value):
    return f"{value:g}" if isinstance(value, float) else value


@pytest.mark.parametrize("command", ["adapt", "budget"])
def test_every_field_is_an_option_and_the_help_has_its_default(help_panels, command):
    kind = {"adapt": Adapt, "budget": emobridge.Budget}[command]
    panels = help_panels(command)
    texts = {option: text for panel in panels.values() for option, text in panel.items()}
    left_out = ("from_bundle", "method", "target_labels", "normalise", "bundle", "harm_sign", "clips")
    left_out = left_out if command == "budget" else ()
    fields = {name: item for name, (_, item) in options_of_record(kind).items() if name not in left_out}
    assert set(texts) == {flag_of(name, item) for name, item in fields.items()} | {"--settings", "--strict", "--help"}
    for name, item in fields.items():
        text, default = texts[flag_of(name, item)], default_of(kind, name)
        assert item.metadata["help"] in text
        if item.metadata["choices"]:
            assert f"One of {', '.join(item.metadata['choices'])}." in text
        if isinstance(default, bool):
            assert text.rstrip(" │|").endswith(f"(default {'on' if default else 'off'})")
        elif isinstance(default, tuple) and default:
            assert text.rstrip(" │|").endswith(f"(default {', '.join(map(in_help, default))})")
        elif default not in (None, "", ()):
            (shown,) = re.findall(r"\(default ([^()]*)\)", text)
            assert type(default)(shown) == default, name
        first = name in {word[2:].replace("-", "_") for word in FIRST} or item.metadata["first"]
        assert (flag_of(name, item) in panels["Options"]) == first
        assert first or flag_of(name, item) in panels[item.metadata["panel"]]


@pytest.mark.parametrize("command", ["adapt", "budget", "probe"])
def test_no_help_is_cut_on_a_narrow_terminal(cli, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    ran = cli(command, "--help")
    assert ran.code == 0 and "…" not in ran.out


def test_without_options_a_request_has_the_defaults_of_the_records(requested):
    assert requested() == Adapt.of(source=["en.jsonl"], target="xx.jsonl")


def test_every_option_reaches_its_field(requested):
    request = requested(
        "--labels", "anger,sadness", "--decay", "0.9", "--no-guard", "--no-class-weights", "--transductive",
        "--source", "us.jsonl", "--statistic", "mean", "--statistic", "std", "--method", "dann",
        "--learning-rate", "0.01", "--patience", "3", "--validate-by", "ua", "--jobs", "2",
    )  # fmt: skip
    assert request == Adapt.of(
        source=["en.jsonl", "us.jsonl"], target="xx.jsonl", labels=["anger", "sadness"], decay=0.9, guard=False,
        class_weights=False, transductive=True, statistics=["mean", "std"], method="dann", learning_rate=0.01,
        patience=3, validate_by="ua", jobs=2,
    )  # fmt: skip
    assert request.training.decay == 0.9


def test_choices_fold_case(requested, cli):
    request = requested("--normalise", "Speaker+Text", "--align", "NONE", "--pool", "Closed", "--engine", "Torch")
    assert (request.features.normalise, request.features.align) == ("speaker+text", "none")
    assert (request.data.pool, request.features.engine) == ("closed", "torch")
    ran = cli("adapt", "--source", "en.jsonl", "--target", "xx.jsonl", "--normalise", "Speakers")
    assert ran.code == 2 and len(ran.complaints) == 1
    assert ran.complaints[0].startswith("emobridge: unknown normalise 'Speakers': did you mean 'speaker'?")


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
def test_python_leaves_the_folder_that_the_command_leaves(recorded, tmp_path, monkeypatch):
    """Byte for byte but the date: two working folders and processes, and the same words in both."""
    folders = tmp_path / "command", tmp_path / "python"
    for folder in folders:
        folder.mkdir()
    (source, target), store = (str(recorded / f"{name}.jsonl") for name in ("en", "xx")), str(tmp_path / "features")
    words = ("--source", source, "--target", target, "--labels", "anger,sadness", "--method", "pseudo-labels")
    words += ("--seeds", "1", "--folds", "2", "--epochs", "3", "--out", "mine", "--store", store)
    ran = subprocess.run(
        [sys.executable, "-m", "emobridge", "adapt", *words],
        cwd=folders[0],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    monkeypatch.chdir(folders[1])
    adapted = emobridge.adapt(
        source=[source], target=target, labels=["anger", "sadness"], method="pseudo-labels", seeds=1, folds=2, epochs=3,
        out="mine", store=store,
    )  # fmt: skip
    assert "\n".join(adapted.lines) + "\n" == ran.stdout
    command, python = (
        {
            path.relative_to(folder).as_posix(): DATE.sub(b"DATE", path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        for folder in folders
    )
    names = {"report.html", "report.md", "report.json", "scores.json", "settings.toml"}
    names |= {f"bundle/{name}" for name in ("bundle.json", "model.safetensors", "README.md")}
    assert {f"mine/{name}" for name in names} <= set(command) == set(python)
    written = [name for name in command if not name.startswith("mine/work/")]  # there metadata have no order
    assert [name for name in written if command[name] != python[name]] == []
    path = "mine/settings.toml"
    assert from_mapping(read_mapping(path), path, Adapt) == adapted.request


def test_a_folder_with_work_of_an_earlier_version_is_refused(recorded, cli, words):
    """What it holds has other keys, and is not mixed with new work."""
    work = recorded / "run" / "work"
    work.mkdir(parents=True)
    (work / "0123456789abcdef01234567.safetensors").write_bytes(b"old")
    budget = ("budget", *words()[1:], "--budgets", "0")
    for command in (words(), budget):
        ran = cli(*command)
        assert ran.code == 2 and len(ran.complaints) == 1, ran.err
        assert ran.complaints[0].startswith(f"emobridge: {work}: holds work of an earlier version of emobridge")
        assert "give another --out, or delete this folder" in ran.complaints[0]
    assert [path.name for path in work.iterdir()] == ["0123456789abcdef01234567.safetensors"]
    assert not (recorded / "run" / "report.html").exists()


def test_a_system_that_says_one_class_for_everything_is_told(recorded, cli, words):
    """Every recording of the target is the same: nothing in it can tell the emotions apart."""
    same = (recorded / "en-a-anger-0.wav").read_bytes()
    for path in recorded.glob("xx-*.wav"):
        path.write_bytes(same)
    ran = cli(*words("--method", "pseudo-labels", "--normalise", "none", "--align", "none", "--epochs", "30"))
    assert ran.code == 0, ran.err
    warning, collapsed, *_ = ran.out.splitlines()
    assert warning.startswith("ADAPTATION MAY HARM: it has only 8 unlabelled utterances")
    assert collapsed.startswith("COLLAPSED: pseudo-labels")
    page = (recorded / "run" / "report.md").read_text()
    html = (recorded / "run" / "report.html").read_text()
    for method in ("source-only", "pseudo-labels"):
        warning = (
            f"COLLAPSED: {method} predicts anger for all 16 utterances on the target: "
            "it has learnt nothing that tells them apart."
        )
        assert ran.out.count(warning) == 1, (
            "said once: of the adapted system first of all, of the baseline as a warning"
        )
        assert warning in page and warning in html
    record = json.loads((recorded / "run" / "report.json").read_text())["record"]
    assert [(row["method"], row["side"]) for row in record["collapsed"]] == [
        ("source-only", "target"),
        ("pseudo-labels", "target"),
    ], "and not on the source"
    ran = cli("budget", *words()[1:], "--methods", "dann", "--budgets", "0", "--normalise", "none", "--align", "none")
    assert ran.code == 0, ran.err
    assert "COLLAPSED: dann predicts anger for all 16 utterances on the target" in ran.out
