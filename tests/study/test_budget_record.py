"""The page of a grid of label budgets: its tables are its CSV, and it says what is made up and what was not run."""

from __future__ import annotations

import csv
import json

import pytest

from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.report.blocks import interval
from emobridge.scores.files import read_scores
from emobridge.study.budget import budget


@pytest.fixture
def options(recorded, tmp_path):
    return {
        "source": [str(recorded / "en.jsonl")],
        "target": str(recorded / "xx.jsonl"),
        "labels": ["anger", "sadness"],
        "methods": ["pseudo-labels"],
        "budgets": ["0", "2", "all"],
        "normalisations": ["none", "speaker"],
        "method_options": ["interval=1"],
        "seeds": 2,
        "folds": 2,
        "epochs": 3,
        "out": str(tmp_path / "grid"),
        "store": str(tmp_path / "store"),
    }


def rows_of(folder):
    with (folder / "cells.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tables_of(folder, title):
    page = json.loads((folder / "budget.json").read_text())
    return next(section["tables"] for section in page["sections"] if section["title"] == title)


def test_one_grid_in_all_that_is_written(options, recorded, tmp_path):
    """One run, for a grid takes seconds."""
    lines = budget(**options).lines
    folder = tmp_path / "grid"
    check_that_the_table_the_csv_and_the_scores_agree(folder, lines)
    check_what_the_csv_says_was_seen(folder)
    check_differences_from_the_baseline_with_the_same_labels(folder)
    check_that_the_settings_are_those_of_all_cells_and_the_command_makes_the_grid_again(folder, recorded)


def check_that_the_table_the_csv_and_the_scores_agree(folder, lines):
    rows = rows_of(folder)
    measures = {row["measure"] for row in rows}
    assert measures == {"UA", "WA", "F1 macro", "F1 weighted"}
    assert len(rows) == 4 * 2 * 3 * 2 * 2 * 3, "measures, methods, budgets, normalisations, sides; two seeds and all"
    known = {
        (row["method"], f"{row['normalisation']}+{row['align']}", f"{row['target_labels']}: {row['side']}"): row
        for row in rows
        if (row["seed"], row["measure"]) == ("all", "UA")
    }
    table = tables_of(folder, "Scores by label budget")[0]
    assert table["columns"][2:] == [f"{n}: {side}" for n in ("0", "2", "all") for side in ("target", "source")]
    assert len(table["rows"]) == 4
    for method, norm, *cells in table["rows"]:
        for column, cell in zip(table["columns"][2:], cells):
            row = known[method, norm, column]
            assert cell == interval("UA", *(float(row[key]) for key in ("value", "low", "high")))
    scores = read_scores(folder / "scores.json")
    ua = {(s.method, s.normalisation, f"{s.target_labels}: {s.side}"): s for s in scores
          if s.measure == "UA" and s.seed == "all"}  # fmt: skip
    assert ua.keys() == known.keys()
    assert all(abs(score.value - float(known[key]["value"])) < 1e-6 for key, score in ua.items())
    assert (folder / "figures" / "budget.svg").exists() and lines[-1] == f"report: {folder / 'budget.html'}"
    assert not (folder / "bundle").exists()


def check_what_the_csv_says_was_seen(folder):
    for row in rows_of(folder):
        if row["target_labels"] == "0":
            assert "no label of the target" in row["saw"]
        else:
            assert f"the labels of {row['target_labels']} utterances" in row["saw"]
        assert ("unlabelled audio" in row["saw"]) and "CORAL" in row["saw"], "with normalisation none too"
        assert ("speaker normalisation" in row["saw"]) == (row["normalisation"] == "speaker")


def check_differences_from_the_baseline_with_the_same_labels(folder):
    known = {
        (row["method"], row["normalisation"], row["target_labels"], row["side"]): float(row["value"])
        for row in rows_of(folder)
        if (row["seed"], row["measure"]) == ("all", "UA")
    }
    table = tables_of(folder, "Difference from source-only")[0]
    assert table["columns"][3:] == ["0", "2", "all"] and len(table["rows"]) == 4
    for method, norm, side, *points in table["rows"]:
        for amount, point in zip(("0", "2", "all"), points):
            name = norm.removesuffix("+coral")
            gap = known[method, name, amount, side] - known["source-only", name, amount, side]
            assert abs(float(point.split()[0]) - 100 * gap) < 0.06


def test_a_method_that_cannot_use_labels_is_told_in_the_table(options, tmp_path, monkeypatch):
    monkeypatch.setattr(PseudoLabels, "takes", frozenset())
    budget(**options | {"normalisations": ["none"], "seeds": 1})
    table = tables_of(tmp_path / "grid", "Scores by label budget")[0]
    for method, _, *cells in table["rows"]:
        assert [cell == "cannot use labels" for cell in cells] == [False] * 2 + [method == "pseudo-labels"] * 4
    assert {row["target_labels"] for row in rows_of(tmp_path / "grid") if row["method"] == "pseudo-labels"} == {"0"}


@pytest.mark.parametrize("synthetic", [False, True])
def test_synthetic_speech_is_told_in_every_table(options, recorded, tmp_path, synthetic):
    options |= {"budgets": ["0"], "normalisations": ["none"], "seeds": 1}
    if synthetic:
        path = recorded / "en.jsonl"
        path.write_text(path.read_text().replace('"corpus": "en"', '"corpus": "demo-en"'))
    lines = budget(**options).lines
    page = json.loads((tmp_path / "grid" / "budget.json").read_text())
    captions = [table["caption"] for section in page["sections"] for table in section["tables"]]
    assert captions and all(("SYNTHETIC" in caption) == synthetic for caption in captions)
    assert lines[0].startswith("SYNTHETIC") == synthetic == page["verdict"].startswith("SYNTHETIC")


def test_what_could_not_be_read_is_listed(options, recorded, tmp_path):
    (recorded / "en-a-anger-0.wav").unlink()
    grid = budget(**options | {"budgets": ["0"], "normalisations": ["none"], "seeds": 1})
    assert [name for name, _ in grid.prepared.skipped] == ["en-a-anger-0"]
    page = (tmp_path / "grid" / "budget.md").read_text()
    assert "## Left out" in page and "1 utterances could not be read and were left out" in page


def check_that_the_settings_are_those_of_all_cells_and_the_command_makes_the_grid_again(folder, recorded):
    record = json.loads((folder / "budget.json").read_text())["record"]
    rows = dict(record["settings"])
    assert (rows["normalisations"], rows["epochs"], rows["layer"]) == ("none, speaker", "3", "0")
    assert not {"method", "target_labels", "normalise", "head"} & set(rows), "each cell has its own"
    assert (rows["head of source-only"], rows["head of pseudo-labels"]) == (
        "discriminant", "single(input_dropout=0.21875)",
    )  # fmt: skip
    assert record["largest_budget"] == 8
    assert record["command"].startswith("emobridge budget --methods pseudo-labels --budgets 0,2,all --normalise none,")
    assert f"--source {recorded / 'en.jsonl'} " in record["command"]


@pytest.mark.usefixtures("drawn")
def test_a_trace_is_drawn_by_epoch_and_as_a_space(options, tmp_path):
    """Figures 5 and 6 of Agarla et al.: a picture each, of held-out utterances of both sides."""
    more = {
        "trace": True,
        "normalisations": ["none"],
        "align": "none",
        "budgets": ["0", "2"],
        "folds": 0,
        "serab": True,
    }
    budget(**options | more | {"patience": 3, "validate": "both", "head": "single"})
    folder = tmp_path / "grid"
    (table,) = tables_of(folder, "Accuracy over epochs")
    assert {row[0] for row in table["rows"]} == {
        f"accuracy on {part}, {side}" for part in ("training", "validation") for side in ("source", "target")
    }
    assert {row[1] for row in table["rows"]} == {
        f"{method}, {n} labels" for method in ("source-only", "pseudo-labels") for n in (0, 2)
    }
    (space,) = tables_of(folder, "Feature space of the test utterances")
    names = [f"{method}, {n} target labels" for method in ("source-only", "pseudo-labels") for n in (0, 2)]
    assert [row[0] for row in space["rows"]] == names
    assert all(-1 <= float(row[2]) <= 1 for row in space["rows"])
    scored = {row["side"]: int(row["n"]) for row in rows_of(folder)}
    assert f"of {sum(scored.values())} of {sum(scored.values())} utterances" in space["caption"]
    for name in ("accuracy-over-epochs", "test-space"):
        assert (folder / "figures" / f"{name}.svg").stat().st_size > 1000
    page = (folder / "budget.html").read_text()
    assert "Accuracy over epochs" in page and page.count('class="cloud"') == 1


def test_without_a_trace_neither_is_there(options, tmp_path):
    budget(**options | {"normalisations": ["none"], "budgets": ["0"]})
    page = (tmp_path / "grid" / "budget.html").read_text()
    assert "Accuracy over epochs" not in page and "Feature space of the test" not in page
