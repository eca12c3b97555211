"""The account of published numbers: each at one score of its paper's recipes, or not run with a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emobridge.literature.published import numbers_of
from emobridge.recipes.accounting import account, open_points, places, tables_made
from emobridge.recipes.recipe import read_recipe, recipe_names
from emobridge.recipes.rows import NotRun, PaperOutput

RECIPES = [read_recipe(name) for name in recipe_names()]
PAPERS = sorted({recipe.paper for recipe in RECIPES})


def of_paper(paper):
    return [recipe for recipe in RECIPES if recipe.paper == paper]


@pytest.mark.parametrize("paper", PAPERS)
def test_each_number_of_a_paper_stands_at_one_score_or_is_not_run_with_a_reason(paper):
    assert open_points(of_paper(paper)) == []


def test_a_number_at_two_scores_and_one_at_none_are_open():
    recipe = read_recipe("agarla2024")
    hubert = next(study for study in recipe.studies if study.name == "hubert")
    twice = replace(recipe, studies=(*recipe.studies, replace(hubert, name="again", number=99)))
    lines = open_points([twice])
    assert len(lines) == len([row for row in numbers_of(recipe.paper) if row.encoder == "hubert-base" and
                              row.table in ("Table 4", "Table 5")])  # fmt: skip
    assert all("hubert, source-only" in line and "again, source-only" in line for line in lines)
    assert open_points([twice, replace(twice, name="copy", variant_of="agarla2024")]) == lines, "variants do not count"
    without = replace(recipe, studies=tuple(study for study in recipe.studies if study.name != "threshold-85"))
    lines = open_points([without])
    assert len(lines) == 8 and all("tau-0.85" in line and line.endswith("not listed as not run") for line in lines)


def test_a_claim_that_nothing_makes_is_open():
    recipe = read_recipe("serab")
    assert open_points([replace(recipe, tables=("Table 9",))]) == ["serab: tables: Table 9; it makes none"]
    figure = PaperOutput("Figure 9", "*.html", "epochs")
    assert open_points([replace(recipe, tables=("Figure 9",), outputs=(figure,))]) == []
    assert "serab: tables: none; it makes Figure 9" in open_points([replace(recipe, outputs=(figure,))])
    agarla = read_recipe("agarla2024")
    assert tables_made(agarla)[:2] == ["Table 4", "Table 5"]


def test_an_entry_that_is_filtered_comes_before_one_that_is_not():
    recipe = read_recipe("agarla2024")
    named = NotRun("Table 6", "another label", (("printed", ("al (reported)",)),))
    reasons = account(replace(recipe, not_run=(*recipe.not_run, named))).reasons
    assert reasons["agarla2024/table-6/de/al-reported/target"] == ("another label",)
    both = NotRun("Table 6", "run all the same", (("printed", ("nnpm (reimplemented)",)),))
    lines = open_points([replace(recipe, not_run=(*recipe.not_run, both))])
    assert len(lines) == 4 and all(
        "others-hubert, nnpm" in line and "not run: run all the same" in line for line in lines
    )


def test_a_number_of_one_language_stands_at_the_first_target_alone():
    cells = places(read_recipe("agarla2024"))["agarla2024/table-5/en/hubert-base/source"]
    assert [(cell.study, cell.target, cell.side, cell.budget) for cell in cells] == [("hubert", "cafe", "source", "0")]
    (cell,) = places(read_recipe("han2024-adaptation"))["han2024/table-i/trans/en-en/frozen/wav2vec2-base-de"]
    assert (cell.source, cell.target, cell.side) == ("iemocap", "esd", "source")


def test_a_number_of_all_corpora_stands_at_their_mean():
    (cell,) = places(read_recipe("dasaro2024"))["dasaro2024/table-2/linear/whisper-small"]
    assert cell.source == cell.target and cell.target.count("+") == 8 and cell.measure == "F1 macro"
