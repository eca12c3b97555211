"""The tables of a page as files for a paper: CSV, and LaTeX for booktabs."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

from emobridge.files import escape_cell, whole_file
from emobridge.report.blocks import Page, Table, table_of, with_table

FOLDER = "tables"  # beside the page
_NUMBER = re.compile(r"[-+\d][\d.,%() to+*-]*(no interval\))?")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}",
}  # fmt: skip


def with_file_names(page: Page, name: str) -> Page:
    """The page with a file name for each table: "tables/NAME-02-floors", whose number is its place on the page."""
    sections, number = [], 0
    for section in page.sections:
        blocks = []
        for block in section.blocks:
            number += 1
            slug = re.sub(r"[^a-z0-9]+", "-", section.title.casefold()).strip("-")[:40].strip("-")
            file = "-".join(filter(None, (name, f"{number:02d}", slug)))
            blocks.append(with_table(block, lambda table, file=file: replace(table, file=f"{FOLDER}/{file}")))  # type: ignore[misc]
        sections.append(replace(section, blocks=tuple(blocks)))
    return replace(page, sections=tuple(sections))


def write_table_files(folder: Path, name: str, page: Page) -> None:
    """Write each table of a page with file names; files of tables that an earlier page of that name had are removed."""
    written = set()
    for table in (table_of(block) for section in page.sections for block in section.blocks):
        for suffix, text in ((".csv", csv_of(table)), (".tex", latex_of(table))):
            path = folder / f"{table.file}{suffix}"
            with whole_file(path, durable=False) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="")
            written.add(path)
    for path in (folder / FOLDER).glob(f"{name}-[0-9][0-9]*"):
        if path not in written and path.suffix in (".csv", ".tex"):
            path.unlink()


def csv_of(table: Table) -> str:
    """The head and the rows; a cell that a spreadsheet would take for a formula is escaped."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([escape_cell(cell) for cell in row] for row in table.rows)
    return buffer.getvalue()


def latex_of(table: Table) -> str:
    """A `table` for booktabs: columns of numbers to the right, others to the left; special characters are escaped."""
    numeric = [
        bool(table.rows) and all(not row[index] or _NUMBER.fullmatch(row[index]) for row in table.rows)
        for index in range(len(table.columns))
    ]
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{latex(table.caption)}}}",
        f"\\label{{tab:{Path(table.file).name}}}",
        f"\\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        "\\toprule",
        f"{' & '.join(map(latex, table.columns))} \\\\",
        "\\midrule",
        *(f"{' & '.join(map(latex, row))} \\\\" for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    r"""A text in one line as LaTeX shows it.

    >>> latex("50 % & w2v2_cn [91.4]")
    '50 \\% \\& w2v2\\_cn {[}91.4{]}'
    """
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
