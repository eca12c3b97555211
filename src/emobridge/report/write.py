"""The record of a study as files: its page in HTML, Markdown and JSON, its scores, and the tables of a budget."""

from __future__ import annotations

import base64
import functools
import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from emobridge.files import whole_file
from emobridge.report.blocks import Figure, Page, table_of, with_table, without_empty_columns
from emobridge.report.cells import write_tables
from emobridge.report.glossary import spelt_out
from emobridge.report.page import page_of
from emobridge.report.plots import standalone
from emobridge.report.record import StudyRecord
from emobridge.report.table_files import with_file_names, write_table_files
from emobridge.scores.files import write_scores

if TYPE_CHECKING:
    import jinja2

# Of the pages, by the kind of study.
PAGE_NAMES = {"adapt": "report", "budget": "budget", "audit": "audit", "listening": "results"}
LONG_WORD = 20  # characters: a longer one, such as a path, may break
_HERE = Path(__file__).parent


def write_study(folder: str | Path, record: StudyRecord) -> Path:
    """Write the page of a study and its tables into `folder`, each file whole or as it was; returns the page's path.

    The page is report.html, budget.html, audit.html or results.html by the kind, with .md and .json beside it. Every
    study but an audit leaves scores.json; a budget leaves cells.csv, confusions.csv and welch.csv too.
    Errors: UserError where the folder cannot be written.
    """
    folder = Path(folder)
    if record.kind != "audit":
        write_scores(folder / "scores.json", (*record.scores, *record.label_free_scores))
    if record.kind == "budget":
        write_tables(folder, record)
    return write_page(folder, PAGE_NAMES[record.kind], page_of(record), {"record": asdict(record.without_media())})


def write_page(folder: Path, name: str, page: Page, extra: dict[str, Any]) -> Path:
    """Write NAME.html, NAME.md, NAME.json, each table as CSV and LaTeX, and the plots that have a file.

    Returns the path of NAME.html.

    UA is spelt out where the page first names it, and columns without a single entry are left out. `extra` joins the
    JSON as it is.
    """
    page = with_file_names(_tidy(spelt_out(page)), name)
    _write(folder / f"{name}.json", json.dumps(_finite({**extra, **_plain(page)}), ensure_ascii=False, indent=1) + "\n")
    _write(folder / f"{name}.md", markdown(page))
    write_table_files(folder, name, page)
    for block in (block for section in page.sections for block in section.blocks):
        if isinstance(block, Figure) and block.file:
            _write(folder / "figures" / f"{block.file}.svg", standalone(block.svg))
    _write(folder / f"{name}.html", html(page))
    return folder / f"{name}.html"


def html(page: Page) -> str:
    """The page as one file that loads nothing; all text of the record is escaped."""
    return page_environment().get_template("page.html").render(page=page, style=style_sheet("style.css"))


@functools.cache
def page_environment() -> jinja2.Environment:
    """What renders templates of this folder to HTML; texts are escaped. There is one: templates are compiled once."""
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_HERE), autoescape=True)
    environment.filters["drawing"] = Markup  # plots.py makes these; matplotlib escapes the texts in them
    environment.filters["data"] = lambda text: Markup(text.replace("<", "\\u003c"))  # JSON that closes no <script>
    environment.filters["interval"] = _interval
    environment.filters["audio"] = _audio
    environment.filters["numeric"] = lambda cell: bool(re.fullmatch(r"[-+\d][\d.,%() to+-]*(no interval\))?", cell))
    return environment


def style_sheet(*names: str) -> Markup:
    """The style sheets of this folder by name, one after the other."""
    return Markup("\n".join((_HERE / name).read_text(encoding="utf-8").rstrip() for name in names))


def _interval(cell: str) -> str:
    """A value and its interval, which may stand below the value but does not break; other cells as they are.

    A long word, such as a path or an id, may break after its signs.
    """
    parts = re.fullmatch(r"([-+\d.]+) (\([-+\d.]+ to [-+\d.]+\))", cell)
    if parts:
        return Markup("{} <span>{}</span>").format(*parts.groups())
    if all(len(word) <= LONG_WORD for word in cell.split()):
        return cell
    return Markup("<span>{}</span>").format(Markup("").join(map(_breakable, re.split(r"(\s+)", cell))))


def _breakable(word: str) -> str:
    return Markup("<wbr>").join(re.split(r"(?<=[/\\_.+=,-])", word)) if len(word) > LONG_WORD else word


def _audio(excerpt: bytes) -> str:
    """An audio file as the address of itself."""
    kind = "flac" if excerpt[:4] == b"fLaC" else "mpeg"
    return f"data:audio/{kind};base64,{base64.b64encode(excerpt).decode()}"


def markdown(page: Page) -> str:
    """The page as Markdown: tables for plots, and no markup from the record gets through."""
    text = _markdown_environment().get_template("page.md").render(page=page)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


@functools.cache
def _markdown_environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_HERE), autoescape=False)
    environment.filters["line"] = escaped
    environment.filters["inner"] = table_of
    environment.filters["indented"] = lambda text: "\n".join("    " + line for line in text.splitlines())
    return environment


def escaped(text: str) -> str:
    """One line of Markdown without markup of its own.

    >>> escaped("a|b <i>c")
    'a\\\\|b &lt;i>c'
    """
    return re.sub(r"([\\|`*\[\]])", r"\\\1", " ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")


def _tidy(page: Page) -> Page:
    """The page without columns that are empty."""
    sections = (
        replace(section, blocks=tuple(with_table(block, without_empty_columns) for block in section.blocks))
        for section in page.sections
    )
    return replace(page, sections=tuple(sections))


def _plain(page: Page) -> dict[str, Any]:
    """The page without its drawings."""
    sections = []
    for section in page.sections:
        tables = [asdict(table_of(block)) for block in section.blocks]
        texts = {"paragraphs": section.paragraphs, "items": section.items, "code": section.code}
        sections.append({"title": section.title, **texts, "tables": tables})
    return {"title": page.title, "verdict": page.lead, "warnings": page.warnings, "sections": sections}


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity, and a loss that diverged has them: they become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
