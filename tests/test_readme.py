"""README.md and the pages of docs/: links lead somewhere, commands have the options that they give, Python runs."""

from __future__ import annotations

import functools
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

import emobridge
from emobridge.cli.main import app
from emobridge.data.manifest import COLUMNS, EXTRA

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
RESULTS = ROOT / "docs" / "results"
GUIDES = tuple(path for path in PAGES if RESULTS not in path.parents)  # results name options of their benchmarks
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
RUN_ELSEWHERE = ("docs/python.md", "docs/extending.md")  # tests/test_python.py, tests/test_extending.py
OF_OTHER_TOOLS = {"--num_processes", "--nproc_per_node", "--build-arg", "--userns"}  # of accelerate, torchrun, podman
MOST_WORDS = 700  # of README.md without its code: a screen and a half


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path):
    """(language, text) of each fenced block of a page; a block within a list is indented."""
    fenced = re.findall(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", TEXTS[path], re.MULTILINE | re.DOTALL)
    return [(language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)) for indent, language, text in fenced]


def commands_of(path):
    """The lines of a page that call emobridge: in fenced blocks, and indented ones."""
    texts = [text for language, text in blocks(path) if language in ("", "sh", "bash", "console")]
    lines = [line for text in texts for line in text.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"^    (emobridge .*)$", TEXTS[path].replace("\\\n", " "), re.MULTILINE)
    return [line for line in lines if line.startswith("emobridge ")]


@functools.cache
def whole_command():
    return typer.main.get_command(app)


def options_of(words):
    """The options of the command that the words begin with."""
    command = whole_command()
    for word in words:
        if not hasattr(command, "commands"):
            break
        assert word in command.commands, word
        command = command.commands[word]
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def all_options(command):
    """The options of a command and of all below it."""
    inner = [all_options(part) for part in getattr(command, "commands", {}).values()]
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*inner)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_have_these_options(path):
    for line in commands_of(path):
        words = shlex.split(line, comments=True)[1:]
        if words and words[0] not in ("--help", "--version", "--install-completion"):
            assert {word for word in words if re.match("--?[a-z]", word)} <= options_of(words), line


def test_the_pages_have_commands():
    assert {"README.md", "docs/index.md", "docs/guide/adapt.md"} <= {
        name_of(path) for path in PAGES if commands_of(path)
    }


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_options_in_the_text_are_options(path):
    options = all_options(whole_command()) | OF_OTHER_TOOLS | {"--help"}
    text = re.sub(r"^( *)```.*?^ *```$|`python [^`]*`", "", TEXTS[path], flags=re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"(?:^|[\s`(])(--[a-z][a-z_-]*)", text)) <= options


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path, made_pages):
    text = re.sub(r"^( *)```.*?^ *```$", "", TEXTS[path], flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", text):
        place = target.partition("#")[0]
        if place and not place.startswith(("https://", "mailto:")):
            found = (path.parent / place).resolve()
            assert found.exists() or found in made_pages, target


@pytest.fixture(scope="module")
def made_pages(site_hooks):
    """The pages of docs/ that are made while the site is built."""
    return {ROOT / "docs" / name for name in site_hooks.made_names()}


@pytest.mark.parametrize("path", [path for path in GUIDES if name_of(path) not in RUN_ELSEWHERE], ids=name_of)
def test_python_of_the_pages_is_python(path):
    for language, text in blocks(path):
        # A part of a tutorial stands in a file of its own, which tests/test_tutorials.py compiles.
        if language == "python" and not text.startswith("--8<--\n"):
            compile(text, name_of(path), "exec")


IMPORTS = sorted(
    {
        line
        for path in GUIDES
        for language, text in blocks(path)
        if language == "python"
        for line in re.findall(r"^(?:from|import) emobridge.*$", text, re.MULTILINE)
    }
)


@pytest.mark.parametrize("line", IMPORTS)
def test_imports_of_the_pages_work(line):
    exec(line, {})


def test_readme_is_a_screen_and_a_half():
    text = re.sub(r"^```.*?^```$", "", TEXTS[ROOT / "README.md"], flags=re.MULTILINE | re.DOTALL)
    assert len(text.split()) <= MOST_WORDS


def test_folders_of_the_code_exist():
    text = TEXTS[ROOT / "docs" / "architecture.md"]
    table = text[text.index("| folder |") : text.index("## Speed")]
    folders = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    rooms = {path.parent.name for path in (ROOT / "src" / "emobridge").glob("*/__init__.py")}
    assert folders == rooms


def test_the_columns_of_a_manifest_are_these():
    text = TEXTS[ROOT / "docs" / "formats.md"]
    table = re.search(r"^\| column \|.*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)} == {*COLUMNS, f"{EXTRA}NAME"}


def three_commands(name):
    """The first block of "On your own data" of a page, and the section."""
    text = TEXTS[ROOT / name]
    section = text[text.index("## On your own data") :]
    block = re.search(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1]
    return [shlex.split(line)[1:] for line in block.splitlines()], section


def test_three_commands_lead_from_a_folder_to_an_answer(recorded, monkeypatch, cli):
    """The block as it stands in README.md and on the first page, with toy speech, and what the text says of it."""
    commands, section = three_commands("docs/index.md")
    assert three_commands("README.md")[0] == commands
    assert [words[:2] for words in commands] == [["scan", "folder"], ["adapt", "--source"], ["predict", "run/bundle"]]
    monkeypatch.chdir(recorded)
    for row in list(emobridge.read_manifest("xx.jsonl")):
        folder = Path("calls", row.speaker)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(row.path, folder)
    Path("calls", "notes.txt").touch()
    Path("demo").mkdir()
    emobridge.write_manifest("demo/en.jsonl", emobridge.read_manifest("en.jsonl"))
    scanned, adapted, predicted = (cli(*words) for words in commands)
    assert scanned.code == 0, scanned.err
    printed = re.search(r"^    calls.jsonl: .*?(?=\n\n)", section, re.MULTILINE | re.DOTALL)[0]
    assert scanned.out.splitlines() == [line.strip() for line in printed.splitlines()]
    assert adapted.code == 0, adapted.err
    assert "warning: " in adapted.out and Path("run", "report.html").is_file()
    answers = [json.loads(line) for line in predicted.out.splitlines()]
    assert len(answers) == 16 and {answer["label"] for answer in answers} <= {"anger", "sadness"}


def test_python_leaves_report_scores_and_bundle(recorded, monkeypatch, capsys):
    """The block as it stands, with small corpora and an encoder without weights in place of those that it has."""
    (code,) = (text for language, text in blocks(ROOT / "docs" / "guide" / "adapt.md") if language == "python")
    for before, after in (
        ('emobridge.scan("ravdess", "RAVDESS")', 'list(emobridge.read_manifest("en.jsonl"))'),
        ('emobridge.scan("emodb", "EmoDB")', 'list(emobridge.read_manifest("xx.jsonl"))'),
        ('"openai/whisper-base"', '"logmel"'),
        ('layer="3"', 'layer="0", folds=2, seeds=1, epochs=2'),
        ('"anger", "happiness", "neutral", "sadness"', '"anger", "sadness"'),
        ('"call.wav"', '"xx-a-anger-0.wav"'),
    ):
        assert code.count(before) == 1, before
        code = code.replace(before, after)
    monkeypatch.chdir(recorded)
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(recorded / "cache"))
    exec(compile(code, "adapt.md", "exec"), {})
    files = {path.name for path in (recorded / "run").iterdir()}
    assert {"report.html", "report.md", "report.json", "scores.json", "settings.toml", "bundle", "work"} <= files
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["source-only"] * 2 + ["blend"] * 2
    assert lines[-1].split()[2] in ("anger", "sadness")
