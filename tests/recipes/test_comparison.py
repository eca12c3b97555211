"""The finding of a recipe's page: what was reproduced, above, below, and not run."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from emobridge.recipes.accounting import scores_by_number
from emobridge.recipes.comparison import (
    ABOVE,
    BELOW,
    NO_SCORE,
    NOTHING_COMPARED,
    OPEN,
    WITHIN,
    compare_numbers,
    comparison_sections,
    published_finding,
    setting_words,
    write_comparison,
)
from emobridge.recipes.recipe import read_recipe
from emobridge.types import Score

NAN = float("nan")


@pytest.fixture(scope="module")
def recipe():
    return read_recipe("agarla2024")


def score(cell, value, low, high):
    return Score("run", cell.system, cell.encoder, "12", "none", cell.source, cell.target, cell.budget, "all", "test",
                 cell.side, cell.measure, "anger,sadness", value, low, high, 71)  # fmt: skip


def beside(recipe, key, value, low, high, **changes):
    (cell,) = scores_by_number(recipe)[key]
    cell = replace(cell, **changes)
    return {cell: score(cell, value, low, high)}


GERMAN = "agarla2024/table-4/de/{}/target"


def test_a_number_is_within_the_interval_or_ours_is_higher_or_lower(recipe):
    measured = (
        beside(recipe, GERMAN.format("hubert-base"), 0.7, 0.6, 0.7887)  # printed 78.87: the bound counts
        | beside(recipe, GERMAN.format("hubert-base"), 0.66, 0.5, 0.8, measure="UA")
        | beside(recipe, GERMAN.format("byol-s-1024"), 0.7, 0.65, 0.75)  # printed 60.56
        | beside(recipe, GERMAN.format("emotion-cnn"), 0.25, 0.2, 0.29)  # printed 29.58
        | beside(recipe, "agarla2024/table-5/de/hubert-base/target", 0.9, NAN, NAN)
    )
    comparison = compare_numbers(recipe, measured)
    verdicts = {row.id.split("/", 1)[1]: row.verdict for row in comparison.rows}
    assert verdicts == {
        "table-4/de/emotion-cnn/target": BELOW,
        "table-4/de/byol-s-1024/target": ABOVE,
        "table-4/de/hubert-base/target": WITHIN,
        "table-5/de/hubert-base/target": OPEN,
    }
    hubert = next(row for row in comparison.rows if row.verdict == WITHIN)
    assert (hubert.printed, hubert.measure, hubert.ua) == ("78.87", "WA", 0.66), "UA beside the plain accuracy"
    text = published_finding(comparison)
    assert text.startswith(
        "4 published numbers have a score of ours beside: 1 reproduced (within the 95 % interval of ours), in 1 ours "
        "is higher, in 1 lower, 1 without an interval. 95 are not run (91 have no score in this run; 4: others' numbers"
    )
    assert sum(n for *_, n in comparison.not_run) + len(comparison.rows) == 12 + 27 + 20 + 24 + 16
    section, skipped = comparison_sections(comparison)
    assert section.blocks[0].svg and len(section.blocks[0].table.rows) == 4
    assert any(line.startswith("Table 7, 24 numbers: no score in this run") for line in skipped.items)


def test_attributes_are_compared_in_their_own_unit():
    recipe = read_recipe("goncalves2024")
    key = "goncalves2024/table-2/biic/ft-dual/hubert-large/dominance"
    (row,) = compare_numbers(recipe, beside(recipe, key, 0.21, 0.19, 0.25)).rows
    assert row.published == 0.198 and row.verdict == WITHIN
    section, *_ = comparison_sections(compare_numbers(recipe, beside(recipe, key, 0.21, 0.19, 0.25)))
    assert "in [-1, 1]" in section.blocks[0].table.caption and "per cent" not in section.blocks[0].table.caption


def test_settings_are_defined_where_they_stand():
    recipe = read_recipe("han2024-adaptation")
    (key,) = [key for key in scores_by_number(recipe) if key.endswith("/mono/zh-zh/frozen/wav2vec2-base-zh")]
    section, *_ = comparison_sections(compare_numbers(recipe, beside(recipe, key, 0.9, 0.8, 0.95)))
    assert section.paragraphs[1].startswith("Settings. mono: trained and tested on the same corpus")
    assert "cross:" not in section.paragraphs[1], "only what stands there"
    assert setting_words(["monologue, transfer"]) == ()


def test_a_paper_without_numbers_has_no_finding():
    assert compare_numbers(read_recipe("serab"), {}) == NOTHING_COMPARED
    assert published_finding(NOTHING_COMPARED) == "" and comparison_sections(NOTHING_COMPARED) == []


def test_where_nothing_ran_the_page_says_so(recipe):
    comparison = compare_numbers(recipe, {})
    assert comparison.rows == () and ("Table 7", NO_SCORE, 24) in comparison.not_run
    assert published_finding(comparison).startswith(
        "0 published numbers have a score of ours beside. 99 are not run (95 have"
    )
    assert [section.title for section in comparison_sections(comparison)] == ["Published, and not run"]


def test_the_table_of_all_as_a_file(recipe, tmp_path):
    comparison = compare_numbers(recipe, beside(recipe, GERMAN.format("hubert-base"), 0.7, 0.6, 0.8))
    write_comparison(tmp_path, comparison)
    with (tmp_path / "published.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["verdict"], row["ua"]) == (GERMAN.format("hubert-base"), WITHIN, "nan")
