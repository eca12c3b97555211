"""The account of published numbers: each at one score of its paper's recipes, or not run with a reason."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from emobridge.errors import UserError
from emobridge.literature.published import numbers_of
from emobridge.recipes.accounting import (
    account,
    numbers_at,
    open_points,
    output_lines,
    scores_by_number,
    table_lines,
    tables_made,
)
from emobridge.recipes.recipe import read_recipe, recipe_names
from emobridge.recipes.rows import PaperOutput

PAPERS = sorted({read_recipe(name).paper for name in recipe_names()})
ENGLISH = "ravdess+savee+tess"
MINE = """
paper = "Agarla et al. 2024"
citation = "Agarla et al. (2024)."
tables = ["Table 4", "Table 5", "Table 6", "Table 7"]
measure = "WA"
[corpora.ravdess]
[corpora.savee]
[corpora.tess]
[corpora.cafe]
[corpora.emodb]
[corpora.emovo]
[corpora.shemo]
[adapt]
source = ["ravdess", "savee", "tess"]
targets = ["cafe", "emodb", "emovo", "shemo"]
labels = ["anger", "fear", "happiness", "neutral", "sadness"]
methods = ["pseudo-labels"]
budgets = ["0", "100", "all"]
normalise = ["none"]
[[study]]
name = "all"
encoders = ["emotion-cnn", "byol-s-1024", "hubert-base"]
[[study.rows]]
table = "Table 4"
method = "source-only"
[[study.rows]]
table = "Table 5"
method = "source-only"
[[study.rows]]
table = "Table 7"
method = "pseudo-labels"
printed = "pseudo-labels, tau 0.85"
[[study]]
name = "four"
encoders = ["byol-s-1024", "hubert-base"]
labels = ["anger", "happiness", "neutral", "sadness"]
[[study.rows]]
table = "Table 6"
method = "pseudo-labels"
printed = "pseudo-labels"
[[not_run]]
table = "Table 6"
reason = "others'"
[[not_run]]
table = "Table 7"
printed = ["pseudo-labels, tau 0.50", "pseudo-labels, tau 0.65"]
reason = "not wanted"
[[not_run]]
table = "Table 8"
reason = "not built"
[ours]
seeds = "3"
"""
FIRST = '[[study.rows]]\ntable = "Table 4"\nmethod = "source-only"\n'


@pytest.fixture
def written(tmp_path):
    """A function that writes the recipe above, with other text in a place, and returns its path."""

    def write(old="", new=""):
        assert old in MINE
        path = tmp_path / "mine.toml"
        path.write_text(MINE.replace(old, new, 1), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("paper", PAPERS)
def test_each_number_of_a_paper_stands_at_one_score_or_is_not_run_with_a_reason(paper):
    recipes = [recipe for recipe in map(read_recipe, recipe_names()) if recipe.paper == paper]
    assert open_points(recipes) == []


def test_every_number_has_its_place(written):
    recipe = read_recipe(written())
    assert open_points([recipe]) == [] and tables_made(recipe) == list(recipe.tables)
    numbers, total = account(recipe), len(numbers_of(recipe.paper))
    assert len(numbers.cells) + len(numbers.reasons) == total == 12 + 27 + 20 + 24 + 16
    assert numbers.reasons["agarla2024/table-7/de/tau-0.50/hubert-base/target"] == ("not wanted",)
    (cell,) = numbers.cells["agarla2024/table-7/de/tau-0.85/hubert-base/source"]
    assert (cell.study, cell.system, cell.budget, cell.side, cell.measure) == (
        "all", "pseudo-labels", "100", "source", "WA",
    )  # fmt: skip
    assert [row.id for row in numbers_at(recipe)[cell]] == ["agarla2024/table-7/de/tau-0.85/hubert-base/source"]


def test_a_number_at_two_scores_and_numbers_at_none_are_open(written):
    again = MINE[MINE.index('[[study]]\nname = "all"') : MINE.index('[[study]]\nname = "four"')]
    twice = read_recipe(written("[[not_run]]", again.replace('"all"', '"again"', 1) + "[[not_run]]"))
    lines = open_points([twice])
    assert len(lines) == 12 + 27 + 8 and all("mine: all," in line and "mine: again," in line for line in lines)
    recipe = read_recipe(written())
    variant = replace(twice, name="copy", variant_of="mine")
    assert open_points([recipe, variant]) == [], "variants do not count"
    lines = open_points([replace(recipe, not_run=recipe.not_run[:1])])
    assert len(lines) == 16 + 16 and all(line.endswith(": at no score, and not listed as not run") for line in lines)


def test_a_number_that_runs_and_is_listed_is_open(written):
    recipe = read_recipe(written('printed = ["pseudo-labels, tau 0.50", ', 'printed = ["pseudo-labels, tau 0.85", '))
    lines = open_points([recipe])
    assert len(lines) == 8 + 8
    assert sum("mine: all, pseudo-labels" in line and "not run: not wanted" in line for line in lines) == 8


def test_a_claim_that_nothing_makes_is_open(written):
    recipe = read_recipe(written())
    claims = replace(recipe, tables=(*recipe.tables, "Figure 5"))
    made = "Table 4, Table 5, Table 6, Table 7"
    assert open_points([claims]) == [f"mine: tables: {made}, Figure 5; it makes {made}"]
    figure = PaperOutput("Figure 5", "*.html", "epochs")
    assert open_points([replace(claims, outputs=(figure,))]) == []
    assert open_points([replace(recipe, outputs=(figure,))]) == [f"mine: tables: {made}; it makes {made}, Figure 5"]


def test_a_number_of_one_language_stands_at_the_first_target_alone(written):
    cells = scores_by_number(read_recipe(written()))["agarla2024/table-5/en/hubert-base/source"]
    assert [(cell.source, cell.target, cell.side, cell.budget) for cell in cells] == [(ENGLISH, "cafe", "source", "0")]
    pairs = f'pairs = ["{ENGLISH.replace("+", " + ")} > shemo", "{ENGLISH.replace("+", " + ")} > cafe"]'
    lists = MINE[MINE.index("source = [") : MINE.index("labels = [")]
    cells = scores_by_number(read_recipe(written(lists, pairs + "\n")))["agarla2024/table-5/en/hubert-base/source"]
    assert [(cell.study, cell.target) for cell in cells] == [("all-ravdess-savee-tess-to-shemo", "shemo")]


def test_a_number_of_all_corpora_stands_at_their_mean():
    (cell,) = scores_by_number(read_recipe("dasaro2024"))["dasaro2024/table-2/linear/whisper-small"]
    assert cell.source == cell.target and cell.target.count("+") == 8 and cell.measure == "F1 macro"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            FIRST,
            FIRST.replace("Table 4", "Tabel 4"),
            "unknown table of Agarla et al. 2024 'Tabel 4': did you mean",
        ),
        (FIRST, FIRST.replace("source-", "sorce-"), "rows of Table 4: unknown method 'sorce-only': did you mean"),
        (FIRST, FIRST + 'printed = "English"\n', "rows of Table 4: unknown printed 'English': did you mean"),
        (FIRST, FIRST + 'side = "targt"\n', "rows of Table 4: unknown side 'targt': did you mean 'target'"),
        (
            FIRST,
            FIRST + 'budget = "few"\n',
            "rows of Table 4: budget: expected a number in quotes, or 'all', got 'few'",
        ),
        (FIRST, FIRST + "budget = 0\n", "rows: budget: expected a text, got 0"),
        (FIRST, FIRST + 'sides = "target"\n', "rows: unknown key 'sides': did you mean 'side'"),
        (FIRST, '[[study.rows]]\ntable = "Table 4"\n', "rows: the key 'method' is missing"),
        ('name = "four"\n', 'name = "four"\nrows = "Table 4"\n', "rows: expected [[study.rows]], got 'Table 4'"),
        ("[[not_run]]", '[[not_run]]\nwhy = "x"', "not_run: unknown key 'why'"),
        ("[[not_run]]", '[[not_run]]\nencoder = "hubert"', "unknown encoder 'hubert': did you mean 'hubert-base'"),
        ("[[not_run]]", "[[not_run]]\nencoder = 3", "not_run: encoder: expected a text or a list of texts, got 3"),
        ("\nmeasure", '\nvariant_of = "agarla"\nmeasure', "variant_of: unknown recipe 'agarla': did you mean"),
        (
            "\n[ours]",
            '\n[outputs]\n"Figure 5" = "a"\n[ours]',
            "outputs: Figure 5: expected { files",
        ),
        ("\n[ours]", '\n[outputs]\nF5 = { files = "a" }\n[ours]', "outputs: F5: the key 'holds' is missing"),
        ('paper = "Agarla et al. 2024"', 'paper = "Somebody 2020"', "no number of Somebody 2020 is stored"),
    ],
)
def test_what_is_wrong_with_where_numbers_stand_is_named(written, old, new, message):
    if 'rows = "Table 4"' in new:  # in place of the tables of that study
        old = MINE[MINE.index('name = "four"') : MINE.index('[[not_run]]\ntable = "Table 6"')]
        new += 'encoders = ["hubert-base"]\n'
    path = written(old, new)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_copy_with_another_encoder_is_read_and_has_no_number_beside(written):
    names = '["emotion-cnn", "byol-s-1024", "hubert-base"]'
    recipe = read_recipe(written(names, '["wavlm-base"]'))
    assert "agarla2024/table-4/de/hubert-base/target" not in scores_by_number(recipe)
    start = "mine: study all: rows of Table 4, method source-only: none of 12 numbers has the corpora, encoder, labels"
    assert any(line.startswith(start) for line in open_points([recipe]))


def test_a_few_labels_are_as_many_as_the_recipe_says(written):
    entry = '[[study.rows]]\ntable = "Table 6"\nmethod = "pseudo-labels"\nprinted = "fluda (reported)"\n'
    last = 'printed = "pseudo-labels"\n'
    recipe = read_recipe(written(last, last + entry))
    assert any(line.endswith("no number of target labels: add budget = ...") for line in open_points([recipe]))
    recipe = read_recipe(written(last, last + entry + 'budget = "100"\n'))
    cells = scores_by_number(recipe)["agarla2024/table-6/de/fluda-reported/target"]
    assert {(cell.encoder, cell.budget) for cell in cells} == {("byol-s-1024", "100"), ("hubert-base", "100")}, (
        "the paper states no encoder, so that both agree, and the recipe has to leave one study"
    )


def test_the_account_as_a_table(written):
    lines = table_lines([read_recipe(written())])
    assert lines[0] == "| recipe | table | numbers | beside a score | not run | why |"
    assert lines[2:] == [
        "| mine | Table 4 | 12 | 12 | 0 | - |",
        "| mine | Table 5 | 27 | 27 | 0 | - |",
        "| mine | Table 6 | 20 | 8 | 12 | 12: others' |",
        "| mine | Table 7 | 24 | 8 | 16 | 16: not wanted |",
        "| mine | Table 8 | 16 | 0 | 16 | 16: not built |",
    ]
    assert table_lines([read_recipe("serab")]) == []


def test_outputs_are_looked_for_in_the_files_of_a_run(tmp_path):
    figure, other = PaperOutput("Figure 5", "*/budget.html", "over epochs"), PaperOutput("Figure 6", "*.html", "PCA")
    recipe = replace(read_recipe("serab"), outputs=(figure, other))
    (tmp_path / "hubert").mkdir()
    (tmp_path / "hubert" / "budget.html").write_text("Accuracy over epochs", encoding="utf-8")
    (tmp_path / "a.html").write_text("something else", encoding="utf-8")
    made, missing = output_lines(recipe, tmp_path)
    assert made == ["Figure 5: hubert/budget.html (over epochs)"]
    assert missing == ["Figure 6: no *.html that holds 'PCA' is there"]
