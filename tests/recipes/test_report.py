"""The page of a recipe of grids: measured scores, and what is printed of each beside it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from emobridge.data.manifest import write_manifest
from emobridge.files import write_cells
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.replication import Run
from emobridge.recipes.report import write_summary
from emobridge.settings import Settings
from emobridge.study.budget import BudgetSettings
from emobridge.study.budget_cells import Cell
from emobridge.types import Utterance


@pytest.fixture
def run(tmp_path):
    """A function that makes a run of one study of agarla2024, from English to German; it has no scores yet."""
    for name, language in (("ravdess", "en"), ("emodb", "de")):
        write_manifest(tmp_path / f"{name}.jsonl", [Utterance(name, name, "a.wav", language=language)])

    def make(study: str, encoder: str, target="emodb") -> Run:
        (part,) = [one for one in read_recipe("agarla2024").parts if one.name == study]
        base = Settings(
            source=(str(tmp_path / "ravdess.jsonl"),),
            target=str(tmp_path / "emodb.jsonl"),
            labels=part.settings.base.labels,
            out=str(tmp_path / study),
            seeds=1,
        )
        return Run("title", BudgetSettings(base=base), (), part, target, encoder)

    return make


def score(run: Run, method: str, amounts: tuple[str, ...]) -> list[Cell]:
    """Rows of the cells of a method, on both sides, of a seed and of all."""
    return [
        Cell(method, amount, "none", "none", "ravdess", run.target, side, seed, "UA", 0.5, 0.4, 0.6, 60, "")
        for amount in amounts
        for side in ("target", "source")
        for seed in ("0", "all")
    ]


def finish(run: Run, *cells: Cell) -> None:
    folder = Path(run.settings.base.out)
    folder.mkdir()
    write_cells(folder / "cells.csv", cells, Cell)


def summary(runs, tmp_path, missing=()) -> tuple[dict[tuple[str, str, str], dict[str, str]], str]:
    page = write_summary(read_recipe("agarla2024"), runs, missing, tmp_path, "emobridge recipe run agarla2024")
    with (tmp_path / "summary.csv").open(newline="") as file:
        rows = {(row["study"], row["method"], row["target_labels"]): row for row in csv.DictReader(file)}
    return rows, page.with_suffix(".md").read_text()


def test_printed_numbers_of_the_same_cell_stand_beside(run, tmp_path):
    one = run("hubert", "hubert-base")
    finish(one, *score(one, "source-only", ("0", "25", "all")), *score(one, "soft-pseudo-labels", ("0",)))
    rows, page = summary([one], tmp_path, ["corpus tess: it is not here"])
    lower = rows["hubert", "source-only", "0"]
    assert (
        lower["target_published"] == "78.87 (no target labels)" and lower["source_published"] == "81.5 (English only)"
    )
    upper = rows["hubert", "source-only", "all"]
    assert upper["target_published"] == "94.37 (all target labels)"
    assert upper["source_published"] == "82.44 (all target labels)"
    assert rows["hubert", "source-only", "25"]["target_published"] == ""
    assert rows["hubert", "soft-pseudo-labels", "0"]["target_published"] == "78.87 (no target labels)"
    assert (lower["target_value"], lower["target_n"], lower["labels"].count(",")) == ("0.500000", "60", 4)
    assert "50.0 (40.0 to 60.0) | 78.87 (no target labels)" in page and "- corpus tess: it is not here" in page
    assert "- counts: the paper's, save that" in page


def test_ablations_and_others_stand_beside_their_own(run, tmp_path):
    tau, others = run("threshold-65", "hubert-base"), run("others-byol-s", "byol-s")
    finish(tau, *score(tau, "pseudo-labels", ("100",)))
    cells = [cell for method in ("dann", "multitask", "pseudo-labels") for cell in score(others, method, ("0", "25"))]
    finish(others, *cells)
    rows, _ = summary([tau, others], tmp_path)
    said = rows["threshold-65", "pseudo-labels", "100"]
    assert said["target_published"] == "94.37 (pseudo-labels, with rebalancing); 94.37 (pseudo-labels, tau 0.65)"
    assert (
        rows["others-byol-s", "dann", "0"]["target_published"] == "28.5 (dann (reported)); 32.6 (dann (reimplemented))"
    )
    assert rows["others-byol-s", "multitask", "0"]["target_published"] == "42.5 (al (reported))"
    assert rows["others-byol-s", "pseudo-labels", "0"]["target_published"] == "66.7 (pseudo-labels)"
    assert rows["others-byol-s", "pseudo-labels", "25"]["target_published"] == ""


def test_grids_that_are_not_finished_are_not_there_and_synthetic_speech_is_told(run, tmp_path):
    done, waiting = run("byol-s", "byol-s"), run("hubert", "hubert-base")
    finish(done, *[replace(cell, source="demo-en") for cell in score(done, "source-only", ("0",))])
    rows, page = summary([done, waiting], tmp_path)
    assert list(rows) == [("byol-s", "source-only", "0")]
    assert page.count("SYNTHETIC") >= 2 and "1 grid of label budgets, 1 cell, 1 seed" in page
