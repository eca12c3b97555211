"""tutorials/: each page shows all of its script and what that printed, and a run that differs is noticed.

`make tutorials` runs them.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER, PAGES = ROOT / "tutorials", ROOT / "docs" / "tutorials"
NAMES = sorted(path.stem for path in FOLDER.glob("*.sh"))
PARTS = sorted(path.name for path in (FOLDER / "parts").glob("*.py"))
MARK = re.compile(r"--8<-- \[(start|end):([\w-]+)\]")


@pytest.fixture
def tutorials(monkeypatch):
    """The module that runs the tutorials."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "run", raising=False)
    yield importlib.import_module("run")
    sys.modules.pop("run", None)


def sections_of(path):
    """The names of a file's sections, in order; each begins and ends before the next."""
    marks = MARK.findall(path.read_text(encoding="utf-8"))
    assert [kind for kind, _ in marks] == ["start", "end"] * (len(marks) // 2), path
    assert [name for _, name in marks[::2]] == [name for _, name in marks[1::2]], path
    return [name for _, name in marks[::2]]


def test_every_tutorial_is_run_and_has_a_page(tutorials):
    assert sorted(tutorials.NAMES) == NAMES == sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "index")
    links = re.findall(r"\]\((\w+)\.md\)", (PAGES / "index.md").read_text(encoding="utf-8"))
    assert links == list(tutorials.NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_each_section_and_what_it_printed(name):
    sections = sections_of(FOLDER / f"{name}.sh")
    assert len(sections) == len(set(sections)) > 3
    assert sections_of(FOLDER / "output" / f"{name}.txt") == sections, "run it with --record"
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    shown = re.findall(rf'^--8<-- "tutorials/{name}\.sh:([\w-]+)"$', page, re.MULTILINE)
    printed = re.findall(rf'^--8<-- "tutorials/output/{name}\.txt:([\w-]+)"$', page, re.MULTILINE)
    assert shown == sections
    silent = set(sections) - set(printed)
    text = (FOLDER / "output" / f"{name}.txt").read_text(encoding="utf-8")
    assert printed == [section for section in sections if section not in silent]
    for section in silent:
        assert f"[start:{section}]\n# --8<-- [end:{section}]" in text, f"{section} printed something"
    assert "SYNTHETIC" in page


@pytest.mark.parametrize("name", NAMES)
def test_the_script_is_shell_that_stops_at_a_mistake_and_checks_something(name):
    path = FOLDER / f"{name}.sh"
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text(encoding="utf-8")
    assert "\nset -euo pipefail\n" in text
    assert re.search(r"^(test|python .*check_score\.py|grep -q) ", text, re.MULTILINE)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_python_and_used(name):
    compile((FOLDER / "parts" / name).read_text(encoding="utf-8"), name, "exec")
    scripts = "".join((FOLDER / f"{script}.sh").read_text(encoding="utf-8") for script in NAMES)
    assert re.search(rf"\b{name.removesuffix('.py')}\b", scripts)


def test_files_that_pages_show_are_there():
    """Python is shown by the form of three lines, since `ruff format` takes that of one line for Python."""
    for page in PAGES.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        paths = re.findall(r'^--8<-- "([^":]+)[^"]*"$', text, re.MULTILINE)
        blocks = re.findall(r"^--8<--\n(.+)\n--8<--$", text, re.MULTILINE)
        assert len(re.findall("^--8", text, re.MULTILINE)) == len(paths) + 2 * len(blocks), page.name
        for path in (*paths, *blocks):
            assert (ROOT / path).is_file(), f"{page.name}: {path}"


def test_what_a_section_prints_is_shown_without_progress_and_folder(tutorials, tmp_path):
    script = "echo hidden\n# --8<-- [start:a]\necho $PWD/a\necho 'work: 3 of 4'\n# --8<-- [end:a]\necho hidden\n"
    printed = subprocess.run(
        ["bash", "-c", tutorials.instrumented(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert tutorials.shown(printed, tmp_path) == ["# --8<-- [start:a]", "a", "# --8<-- [end:a]"]


@pytest.mark.parametrize(
    ("old", "new", "is_alike"),
    [
        ("blend 81.4 [73.0, 87.6] n=320", "blend 81.0 [72.0, 88.1] n=320", True),
        ("blend 81.4 [73.0, 87.6] n=320", "blend 25.0 [20.0, 30.0] n=320", False),
        ("recall anger 65.0", "recall neutral 65.0", False),
        ("caller-4/030.flac", "caller-4/031.flac", False),
        ("anger,0.97", "anger,0.91", True),
        ("anger,0.97", "anger,0.51", False),
        ("a line", "", False),
    ],
)
def test_numbers_may_differ_a_little_and_words_not(tutorials, old, new, is_alike):
    assert tutorials.is_alike(old, new) is is_alike
    assert bool(tutorials.differences([old], [new])) is not is_alike


def test_a_warning_that_last_digits_decide_may_be_absent(tutorials):
    gap = "warning: it does not work equally well for everyone: gender male is recognised better than female"
    assert not tutorials.differences(["a", gap, "b"], ["a", "b"])
    assert tutorials.differences(["a", gap, "b"], ["a", "b", "c"]) == ["expected '', printed 'c'"]


@pytest.mark.parametrize(
    ("line", "problem"), [("echo 5", ""), ("echo 500", "expected '5', printed '500'"), ("exit 3", "exit 3")]
)
def test_a_run_that_fails_or_prints_other_things_is_a_problem(tutorials, tmp_path, monkeypatch, line, problem):
    (tmp_path / "toy.sh").write_text(f"set -e\n# --8<-- [start:a]\n{line}\n# --8<-- [end:a]\n")
    (tmp_path / "toy.txt").write_text("# --8<-- [start:a]\n5\n# --8<-- [end:a]\n")
    monkeypatch.setattr(tutorials, "HERE", tmp_path)
    monkeypatch.setattr(tutorials, "OUTPUT", tmp_path)
    ran = tutorials.run("toy", tmp_path / "home")
    assert ran.problems == () if not problem else problem in ran.problems[0]
    assert ran.cpu > 0 and ran.wall > 0


def test_a_score_is_checked(tutorials, tmp_path):
    scores = tmp_path / "scores.json"
    scores.write_text('[{"seed": "all", "measure": "UA", "value": 0.6}, {"seed": "0", "measure": "UA", "value": 0.1}]')
    check = FOLDER / "parts" / "check_score.py"
    for bound, measure, complaint in (
        ("50", "UA", ""),
        ("60", "UA", "above 60"),
        ("50", "WA", "expected one row"),
    ):
        words = [sys.executable, str(check), str(scores), bound, f"measure={measure}"]
        done = subprocess.run(words, capture_output=True, text=True)
        assert (done.returncode == 0) == (not complaint) and complaint in done.stderr
