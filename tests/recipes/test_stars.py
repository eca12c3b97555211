"""Stars beside measured scores: against a method of the paper, by levels of p."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from emobridge.errors import UserError
from emobridge.literature.goncalves2024 import GONCALVES
from emobridge.recipes.accounting import scores_by_number
from emobridge.recipes.comparison import compare_numbers, comparison_sections
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.stars import StarRule, read_stars, star
from emobridge.scores.welch import welch
from emobridge.types import Score

LEVELS = {"*": 0.1, "**": 0.05}
RULE = StarRule("ft-dual", (("**", 0.05), ("*", 0.1)))


def test_levels_come_with_the_least_first():
    assert read_stars("mine.toml", {"against": "ft-dual", "levels": LEVELS}, GONCALVES) == RULE
    assert read_stars("mine.toml", None, GONCALVES) is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"agains": "x"}, "mine.toml: stars: unknown key 'agains': did you mean 'against'"),
        ({"against": "ft-duel", "levels": LEVELS}, "unknown printed method 'ft-duel': did you mean 'ft-dual'"),
        ({"against": "ft-dual"}, "levels: expected such as"),
        ({"against": "ft-dual", "levels": {"*": 5}}, "levels: expected such as"),
        ("ft-dual", "stars: expected a table, got 'ft-dual'"),
    ],
)
def test_what_is_wrong_with_stars_is_named(table, message):
    with pytest.raises(UserError, match=re.escape(message)):
        read_stars("mine.toml", table, GONCALVES)


@pytest.mark.parametrize(
    ("values", "reference", "mark"),
    [
        ((0.50, 0.51, 0.52), (0.60, 0.61, 0.62), "**"),
        ((0.50, 0.51, 0.52), (0.52, 0.53, 0.54), "*"),
        ((0.50, 0.51, 0.52), (0.51, 0.50, 0.52), ""),
        ((0.5,), (0.6, 0.7), ""),
        ((0.5, 0.5), (0.6, 0.6), ""),
    ],
)
def test_marks_by_welch_over_seeds(values, reference, mark):
    assert star(RULE, values, reference) == mark
    if mark == "*":
        assert 0.05 <= welch(values, reference, tail="two-sided").p < 0.1


def test_a_page_has_stars_of_ours_beside_the_paper_s():
    recipe = replace(read_recipe("goncalves2024"), stars=RULE)
    cells = scores_by_number(recipe)
    measured, seeds = {}, {}
    for method, values in (("ft-dual", (0.60, 0.61, 0.62)), ("ft+lora", (0.50, 0.51, 0.52))):
        (cell,) = cells[f"goncalves2024/table-2/biic/{method}/hubert-large/dominance"]
        measured[cell] = Score("run", cell.system, cell.encoder, "24", "none", cell.source, cell.target, "all", "all",
                               "test", "target", cell.measure, "arousal", values[1], 0.4, 0.7, 9)  # fmt: skip
        seeds[cell] = values
    comparison = compare_numbers(recipe, measured, seeds)
    assert {row.method: row.our_stars for row in comparison.rows} == {"ft-dual": "", "ft+lora": "**"}
    section = comparison_sections(comparison)[0]
    assert "Stars of ours: ** p < 0.05, * p < 0.1 against ft-dual, by Welch's test over seeds" in section.paragraphs[1]
