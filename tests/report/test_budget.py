"""The page of a budget: its tables are made of the flat scores of the record."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace

import pytest

from emobridge.report.budget import curve_section, difference_section, grid_of, headline, measure_section
from emobridge.report.cells import score_cells, write_tables
from emobridge.report.contests import contest_section
from emobridge.report.page import page_of
from emobridge.report.record import Confusion, Contest, Difference, StudyRecord, SystemRow
from emobridge.scores.base import Estimate
from emobridge.types import Score

VALUES = {"source-only": 0.4, "dann": 0.5, "ft-lora": 0.6}
AMOUNTS = {"source-only": ("0", "25", "all"), "dann": ("0",), "ft-lora": ("25", "all")}


def score(method, amount, side="target", measure="UA", norm="speaker+coral", seed="all", value=0.0):
    value = value or VALUES[method] + (0.1 if amount == "all" else 0.0) + (0.2 if side == "source" else 0.0)
    return Score("budget", method, "hubert", "6", norm, "ravdess", "emodb", amount, seed, "5 folds by speaker", side,
                 measure, "anger,sadness", value, value - 0.05, value + 0.05, 320)  # fmt: skip


def rows(measure="UA", norms=("speaker+coral",)):
    return tuple(
        score(method, amount, side, measure, norm, seed)
        for norm, method, side, seed in itertools.product(norms, ("dann", "source-only", "ft-lora"),
                                                          ("target", "source"), ("0", "all"))
        for amount in AMOUNTS[method]
    )  # fmt: skip


def gap(method, amount, low, high, measure="UA"):
    estimate = Estimate(f"{measure} difference", (low + high) / 2, low, high, 320, "speakers")
    about = {"target_labels": amount, "normalisation": "speaker+coral", "side": "target"}
    return Difference(method=method, before="source-only", estimate=estimate, **about)


def test_a_method_that_is_never_aligned_has_a_row_of_its_own_and_no_empty_one(budget):
    scores = [replace(row, normalisation="speaker") if row.method == "ft-lora" else row for row in budget.scores]
    systems = [replace(row, align="none") if row.method == "ft-lora" else row for row in budget.systems]
    page = page_of(replace(budget, scores=tuple(scores), systems=tuple(systems)))
    (section,) = [section for section in page.sections if section.title == "Scores by label budget"]
    (figure,) = section.blocks
    assert [row[:2] for row in figure.table.rows] == [
        ("source-only", "speaker+coral"),
        ("dann", "speaker+coral"),
        ("ft-lora", "speaker"),
    ]


@pytest.fixture
def budget() -> StudyRecord:
    return StudyRecord(
        kind="budget",
        name="Label budgets: ravdess to emodb",
        command="emobridge budget",
        created="2025-01-31T12:00:00+00:00",
        labels=("anger", "sadness"),
        scores=(*rows(), *rows("WA"), *rows("recall anger")),
        systems=tuple(
            SystemRow(method=method, target_labels=amount, normalise="speaker", align="coral", head="linear", saw=(
                "the labelled utterances", "no label" if amount == "0" else f"the labels of {amount}",
            ))
            for method, amounts in AMOUNTS.items()
            for amount in amounts
        ),
        differences=(gap("dann", "0", 0.02, 0.1), gap("ft-lora", "25", -0.3, -0.1), gap("ft-lora", "all", -0.1, 0.1)),
        confusions=(
            Confusion(method="dann", side="target", labels=("anger", "sadness"), counts=((3, 1), (0, 4)),
                      target_labels="0", normalisation="speaker+coral"),
        ),
        largest_budget=150,
    )  # fmt: skip


def test_the_baseline_comes_first_and_budgets_ascend(budget):
    grid = grid_of(budget)
    assert grid.methods == ("source-only", "dann", "ft-lora") and grid.amounts == ("0", "25", "all")
    assert grid.amounts_of("ft-lora", "speaker+coral") == ("25", "all")
    assert grid.cell("UA", "dann", "speaker+coral", "0", "source").value == pytest.approx(0.7)


@pytest.mark.usefixtures("drawn")
def test_the_table_says_why_a_method_has_no_score(budget):
    (figure,) = curve_section(budget).blocks
    pairs = itertools.product(("0", "25", "all"), ("target", "source"))
    assert figure.table.columns[2:] == tuple(f"{amount}: {side}" for amount, side in pairs)
    cells = {row[0]: row[2:] for row in figure.table.rows}
    assert cells["dann"] == ("50.0 (45.0 to 55.0)", "70.0 (65.0 to 75.0)", *["cannot use labels"] * 4)
    assert cells["ft-lora"][:2] == ("needs labels", "needs labels")
    assert "Chance 50.0." in figure.table.caption and "Every fold has 150 target labels or more" in figure.table.caption
    assert "ft-lora, all labels" in figure.svg and "source-only, all labels" not in figure.svg


@pytest.mark.usefixtures("drawn")
def test_a_method_that_is_the_only_one_is_drawn_alone_with_all_labels_as_a_level(budget):
    """Figure 2 of Goncalves et al. 2024, a panel an attribute."""
    measures = ("CCC arousal", "CCC valence")
    amounts = {"source-only": ("1000", "all"), "ft-lora": ("1000", "5000", "all")}
    scores = tuple(
        score(method, amount, side, measure, "none", value=0.3 + 0.1 * index + 0.05 * measures.index(measure))
        for method in amounts
        for index, amount in enumerate(amounts[method])
        for side in ("target", "source")
        for measure in measures
    )
    systems = tuple(replace(row, align="none") for row in budget.systems)
    alone = replace(budget, labels=(), attributes=("arousal", "valence"), scores=scores, systems=systems)
    *_, figure = curve_section(alone).blocks
    assert "alone on the target" in figure.table.caption and figure.table.columns == ("measure", "1000", "5000", "all")
    assert [row[0] for row in figure.table.rows] == list(measures)
    assert figure.table.rows[1][1].startswith("0.350") and figure.table.rows[1][3].startswith("0.550")
    assert "source-only" not in figure.svg and figure.svg.count("ft-lora, all labels") == 2


def test_a_side_that_is_not_scored_is_no_fault_of_the_method(budget):
    target = tuple(row for row in budget.scores if row.side == "target")
    (figure,) = curve_section(replace(budget, scores=target)).blocks
    assert figure.table.rows[0][3] == "not scored"


def test_the_headline_names_the_best_and_spells_the_measure_out(budget):
    text = headline(budget)
    assert text.startswith("NO BETTER THAN CHANCE: dann with no target label reaches 50.0 % UA, and guessing 50.0 %. ")
    assert (
        "By UA (unweighted accuracy: the mean of the recalls of the labels) on the target, the best system with no "
        "target label is dann: 50.0 % (45.0 to 55.0); source-only reaches 40.0 % (35.0 to 45.0) at best."
    ) in text
    assert "The best with all target labels is ft-lora: 70.0 % (65.0 to 75.0)" in text
    assert "dann lies above source-only in 1 of 1 comparison, below it in 0." in text
    assert "ft-lora lies above source-only in 0 of 2 comparisons, below it in 1." in text
    alone = tuple(row for row in budget.scores if row.method == "source-only")
    assert "at best" not in headline(replace(budget, scores=alone, differences=()))
    assert headline(replace(budget, scores=())) == "Nothing was scored on the target."


def test_differences_stand_by_budget(budget):
    (table,) = difference_section(budget).blocks
    assert table.columns == ("method", "normalisation", "scored on", "0", "25", "all")
    assert table.rows[0] == ("dann", "speaker+coral", "target", "+6.0 (+2.0 to +10.0)", *["cannot use labels"] * 2)
    assert table.rows[1][3:] == ("needs labels", "-20.0 (-30.0 to -10.0)", "+0.0 (-10.0 to +10.0)")
    assert difference_section(replace(budget, differences=())) is None


def test_measures_without_a_curve_are_in_a_table(budget):
    (table,) = measure_section(budget).blocks
    assert table.columns[4:] == ("WA",), "recalls are details of the evaluation, and UA has curves"
    assert len(table.rows) == 6 * 2
    assert measure_section(replace(budget, scores=rows())) is None


def test_the_csv_files_hold_the_same_rows(budget, tmp_path):
    write_tables(tmp_path, budget)
    assert {path.name for path in tmp_path.iterdir()} == {"cells.csv", "confusions.csv"}
    cells = score_cells(budget)
    assert {cell.measure for cell in cells} == {"UA", "WA"}, "recalls by class are in confusions.csv"
    assert len(cells) == 2 * 6 * 2 * 2
    assert {(cell.normalisation, cell.align) for cell in cells} == {("speaker", "coral")}
    assert {cell.saw for cell in cells if cell.target_labels == "25"} == {"the labelled utterances; the labels of 25"}
    with (tmp_path / "confusions.csv").open(newline="") as file:
        counts = [(row["true"], row["predicted"], row["count"], row["normalisation"]) for row in csv.DictReader(file)]
    assert counts[1] == ("anger", "sadness", "1", "speaker") and len(counts) == 4
    write_tables(tmp_path, replace(budget, contests=(contest("speaker"),)))
    head, row = (tmp_path / "welch.csv").read_text().splitlines()
    assert head.startswith("side,measure,normalisation,better,better_labels,worse,worse_labels,difference,low,high,p,")
    assert row.startswith("target,UA,speaker,ft-lora,all,source-only,0,0.100000,0.020000,0.180000,0.010000,0.001000,")


def contest(norm, p=0.01, welch_p=0.001):
    pair = {"better": "ft-lora", "better_labels": "all", "worse": "source-only", "worse_labels": "0"}
    counts = {"values": 6, "subsets": 3, "drawn": "by speakers"}
    numbers = {"difference": 0.1, "low": 0.02, "high": 0.18, "p": p, "welch_p": welch_p}
    return Contest(side="target", measure="UA", normalisation=norm, **numbers, **pair, **counts)


def test_tests_name_those_that_are_beaten(budget):
    (table,) = contest_section(replace(budget, contests=(contest("speaker"),))).blocks
    assert table.rows == (
        (
            *("UA", "target", "ft-lora, all target labels"),
            *("source-only, no target labels (p 0.010)", "source-only, no target labels (p 0.001)"),
        ),
        ("UA", "target", "source-only, no target labels", "-", "-"),
    )
    unclear = contest("none", p=None, welch_p=float("nan"))
    both = contest_section(replace(budget, contests=(contest("speaker"), unclear)))
    assert [row[2:] for row in both.blocks[0].rows][2:] == [
        ("ft-lora, all target labels, normalisation none", "-", "-"),
        ("source-only, no target labels, normalisation none", "-", "-"),
    ]
    assert "over 6 values of each" in both.paragraphs[0] and "jackknife over speakers" in both.paragraphs[0]
    assert contest_section(budget) is None


def test_what_each_method_saw_is_a_line_by_method(budget):
    page = page_of(budget)
    data = next(section for section in page.sections if section.title == "Data")
    assert data.items[0] == (
        "source-only (head linear), normalisation speaker: the labelled utterances; "
        "by budget no label, or the labels of 25, or the labels of all."
    )
    assert data.items[1] == "dann (head linear), normalisation speaker: the labelled utterances; no label."
    assert page.subtitle == "source-only, dann, ft-lora; 1 seed; 2025-01-31T12:00:00+00:00"
