"""Every table of a page as CSV and LaTeX beside it: complete, escaped, and none of an earlier page."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import pytest

from emobridge.report.blocks import Page, Section, Table, figure
from emobridge.report.table_files import csv_of, latex, latex_of
from emobridge.report.write import write_page, write_study

MEAN = Table("UA in per cent, 95 % [jackknife]", ("method", "UA", "n"), (("a_b & c", "66.7 (61.2 to 71.9)", "60"),))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def page(*sections):
    return Page("title", "subtitle", "lead", (), sections)


def test_every_table_of_a_page_has_both_files_and_links(record, tmp_path):
    path = write_study(tmp_path, record)
    html, markdown = path.read_text(), path.with_suffix(".md").read_text()
    links = re.findall(r'href="(tables/[^"]+)"', html)
    assert len(links) == 2 * html.count("<table") > 20
    assert set(links) == {f"tables/{file.name}" for file in (tmp_path / "tables").iterdir()}
    assert set(re.findall(r"\]\((tables/[^)]+)\)", markdown)) == set(links)
    for link in links:
        text = (tmp_path / link).read_text(encoding="utf-8")
        if link.endswith(".tex"):
            columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
            body = text[text.index("\\toprule") : text.index("\\bottomrule")]
            lines = [line for line in body.splitlines() if line.endswith("\\\\")]
            assert lines and all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in lines), link
            assert not re.search(r"(?<!\\)[%#_$](?!.*booktabs)", text), link
            assert text.count("{") == text.count("}")
        else:
            table = rows_of(tmp_path / link)
            assert len({len(row) for row in table}) == 1, link


def test_figures_have_the_files_of_their_numbers(tmp_path):
    drawn = figure("<svg></svg>", MEAN, "mean")
    write_page(tmp_path, "budget", page(Section("By layer", blocks=(drawn, MEAN))), {})
    names = sorted(path.name for path in (tmp_path / "tables").iterdir())
    assert names == [f"budget-0{number}-by-layer.{suffix}" for number in (1, 2) for suffix in ("csv", "tex")]
    assert rows_of(tmp_path / "tables" / names[0]) == [list(MEAN.columns), list(MEAN.rows[0])]


def test_files_of_an_earlier_page_go_and_those_of_another_stay(tmp_path):
    write_page(tmp_path, "recipe", page(Section("One", blocks=(MEAN, MEAN)), Section("Two", blocks=(MEAN,))), {})
    write_page(tmp_path, "probe", page(Section("One", blocks=(MEAN,))), {})
    (tmp_path / "tables" / "mine.csv").write_text("mine")
    write_page(tmp_path, "recipe", page(Section("Two", blocks=(MEAN,))), {})
    names = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert names == {"recipe-01-two", "probe-01-one", "mine"}


def test_latex_is_booktabs_with_numbers_to_the_right():
    table = replace(MEAN, file="tables/report-01-scores")
    assert latex_of(table) == "\n".join([
        "% \\usepackage{booktabs}", "\\begin{table}", "\\centering",
        "\\caption{UA in per cent, 95 \\% {[}jackknife{]}}", "\\label{tab:report-01-scores}",
        "\\begin{tabular}{lrr}", "\\toprule", "method & UA & n \\\\", "\\midrule",
        "a\\_b \\& c & 66.7 (61.2 to 71.9) & 60 \\\\", "\\bottomrule", "\\end{tabular}", "\\end{table}", "",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\\b", "a\\textbackslash{}b"),
        ("{x} ~ ^ | < >", "\\{x\\} \\textasciitilde{} \\textasciicircum{} \\textbar{} \\textless{} \\textgreater{}"),
        ("$5 #1\nline", "\\$5 \\#1 line"),
        ("Oréau, 普通话", "Oréau, 普通话"),
    ],
)
def test_special_characters_are_escaped(text, expected):
    assert latex(text) == expected


def test_formulas_are_no_formulas_in_a_spreadsheet():
    table = Table("", ("speaker", "UA"), (("=cmd()", "-1.5"), ('say "x", y', "2")))
    lines = csv_of(table).splitlines()
    assert not lines[1].startswith("=") and "cmd()" in lines[1] and lines[2] == '"say ""x"", y",2'


def test_an_empty_table_has_its_head():
    table = Table("nothing", ("a", "b"), ())
    assert csv_of(table) == "a,b\n" and "\\begin{tabular}{ll}" in latex_of(table)
