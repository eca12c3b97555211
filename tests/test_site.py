"""The documentation site: pages that are made from the package, numbers that are copied, and the build."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import emobridge
from emobridge import registry
from emobridge.settings import Adapt, default_of, flag_of, options_of_record

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NUMBER = re.compile(r"(?<![\w.-])[-+]?\d+(?:\.\d+)?(?![\w.]|\.\d)")
COPIED = ("results/index.md", "choose.md")


def rows_of(page):
    """The cells of each row of the tables of a page, by the first of them without its markup."""
    rows = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `"))
    return {name.strip("`"): cells for cells in rows for name in cells[0].split(", ")}


def test_every_option_of_adapt_is_on_its_page(site_hooks):
    page = site_hooks.command_page("adapt", dict(site_hooks.commands())["adapt"])
    rows = rows_of(page)
    for name, (_, field) in options_of_record(Adapt).items():
        cells = next(cells for shown, cells in rows.items() if shown.split()[0] == flag_of(name, field))
        assert all(f"`{choice}`" in cells[3] for choice in field.metadata["choices"]), name
        default = default_of(Adapt, name)
        if isinstance(default, (int, str)) and default not in ("", True, False) and not field.metadata["required"]:
            assert cells[2] == f"`{default}`", name
    assert "One of" not in page and "(default" not in page and "(required)" not in page


def test_every_command_and_plugin_has_a_place(site_hooks):
    pages = dict(site_hooks.pages())
    assert set(pages) == set(site_hooks.made_names())
    assert {"commands/scan.md", "commands/listening-serve.md", "commands/recipe-run.md"} <= set(pages)
    plugins = pages["commands/plugins.md"]
    for kind in set(registry.KINDS) - {"corpora"}:
        section = plugins[plugins.index(f"## {kind.capitalize()}\n") :].split("\n## ")[0]
        assert set(rows_of(section)) == set(registry.names(kind)), kind
    corpora = re.findall(r"^## (.+)$", pages["commands/corpora-list.md"], re.MULTILINE)
    assert tuple(corpora) == registry.names("corpora")
    public = re.findall(r"^::: (\S+)$", pages["reference.md"], re.MULTILINE)
    assert {name.rpartition(".")[2] for name in public} == set(emobridge.__all__) - {"__version__"}


def test_commands_are_in_the_navigation_by_the_panels_of_the_help(site_hooks):
    config = SimpleNamespace(nav=[{"Start": "index.md"}, {"Commands": []}])
    panels = {name: items for part in site_hooks.on_config(config).nav[1]["Commands"] for name, items in part.items()}
    assert list(panels)[:2] == ["Speech", "Train a recogniser"]
    assert {"listening new": "commands/listening-new.md"} in panels["Studies"]
    assert sum(map(len, panels.values())) == len(list(site_hooks.commands()))


def test_plain_text_is_no_markup(site_hooks):
    assert site_hooks._sentence("of a <folder> and *.py, `<kept_as_it_is>`") == (
        r"of a \<folder\> and \*.py, `<kept_as_it_is>`"
    )


def test_docstrings_become_markdown(page_module):
    docstrings = page_module("docstrings")
    assert doctest.testmod(docstrings) == (0, 2)
    text = "Read it.\n\npath: a file. half: see path: no. Errors: UserError.\n\n    >>> 1\n"
    assert "**path**: a file. **half**: see path: no. **Errors**: UserError." in docstrings.markdown_of(
        text, ["path", "half"]
    )


def test_the_picture_holds_what_was_answered(page_module):
    rows = [
        {"channel": 0, "start": 1.0, "end": 3.0, "label": "anger"},
        {"channel": 1, "start": 4.0, "end": 6.0, "label": None},
        {"channel": 1, "start": 47.0, "end": 60.0, "label": "sadness"},
        {"channel": 0, "start": 90.0, "end": 95.0, "label": "neutral"},
    ]
    drawn = page_module("picture").picture(rows)
    segments = re.findall(r'width="([\d.]+)"[^>]*><title>(\w+) (\S+) to (\S+) s<', drawn)
    assert [names for _, *names in segments] == [["anger", "1", "3"], ["sadness", "47", "60"]]
    assert float(segments[0][0]) == pytest.approx(2 * float(segments[1][0]), abs=0.2), "cut at the end of the picture"
    assert "SYNTHETIC" in drawn and "SYNTHETIC" in (DOCS / "images" / "overview.svg").read_text(encoding="utf-8")


def linked_texts(part, folder):
    """The texts of the pages of results that a part of a page links to."""
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+\.md[^)]*)\)", part)]
    return [(folder / link).read_text(encoding="utf-8") for link in links if (folder / link).exists()]


def parts_of(name):
    """The parts of a page whose numbers must stand on the pages that they link to: rows, or sections and paragraphs."""
    text = re.sub(r"`[^`]*`", "", (DOCS / name).read_text(encoding="utf-8"))
    if name == "choose.md":
        return text.split("\n## ")[1:]
    first, rest = text.split("## All pages")
    return [first[first.index("## Without") :], *(line for line in rest.splitlines() if "](" in line)]


@pytest.mark.parametrize("name", COPIED)
def test_copied_numbers_stand_on_the_pages_that_they_come_from(name):
    checked = 0
    for part in parts_of(name):
        sources = " ".join(linked_texts(part, (DOCS / name).parent))
        there = {number.lstrip("+") for number in NUMBER.findall(sources)}
        words = re.sub(r"\]\([^)]*\)|\d+ ?%? intervals", "]", part)
        for number in NUMBER.findall(words):
            assert number.lstrip("+") in there, (number, part[:80])
            checked += 1
    assert checked > 40


def test_the_numbers_of_the_readme_stand_on_their_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| \w+ \(", line)]
    page = (DOCS / "results" / "across-languages.md").read_text(encoding="utf-8")
    page = page[page.index("**whisper-base, by speaker, open pool** (`--only whisper-base`)") :]
    assert len(rows) == 4
    for row in rows:
        pair, *cells = (cell.strip().replace("**", "") for cell in row.strip("|").split("|"))
        line = next(line for line in page.splitlines() if line.startswith(f"| {pair} |"))
        assert all(cell in line for cell in cells), (row, line)


def test_every_results_page_is_in_the_summary():
    summary = (DOCS / "results" / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (DOCS / "results").glob("*.md")} - {"index.md"}
    assert pages <= set(re.findall(r"\]\(([\w-]+\.md)\)", summary))


def test_the_site_asks_for_nothing_elsewhere():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    assert settings["theme"]["font"] is False
    assert {next(iter(plugin)) if isinstance(plugin, dict) else plugin for plugin in settings["plugins"]} == {
        "search",
        "mkdocstrings",
    }
    assert not re.search(r"https?:", text) and "analytics" not in text
    files = (*settings["extra_css"], *settings["extra_javascript"])
    assert all("//" not in (DOCS / name).read_text(encoding="utf-8").replace("// ", "") for name in files)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        elsewhere = re.findall(
            r'<(?:script|img|iframe|link)[^>]+(?:src|href)="https?://', page.read_text(encoding="utf-8")
        )
        assert not elsewhere, page
