"""`emobridge budget` at the command line: its options are those of `adapt`, and mistakes are one line."""

from __future__ import annotations

import csv
import inspect

import pytest

from emobridge.cli.adapt import VARIED, adapt, budget


@pytest.fixture
def words(recorded, tmp_path):
    """The words of a quick grid, and more behind them."""

    def make(*more):
        given = ["budget", "--source", recorded / "en.jsonl", "--target", recorded / "xx.jsonl", "--seeds", "1"]
        given += ["--folds", "2", "--epochs", "2", "--budgets", "0,2,all", "--out", tmp_path / "grid"]
        return [*given, "--store", tmp_path / "features", *more]

    return make


def test_a_grid_and_the_same_again(cli, words, tmp_path):
    first = cli(*words())
    assert first.code == 0 and not first.complaints, first.err
    assert first.out.splitlines()[-1] == f"report: {tmp_path / 'grid' / 'budget.html'}"
    table, scores = ((tmp_path / "grid" / name).read_bytes() for name in ("cells.csv", "scores.json"))
    assert cli(*words()).code == 0
    assert (tmp_path / "grid" / "cells.csv").read_bytes() == table
    assert (tmp_path / "grid" / "scores.json").read_bytes() == scores


def test_every_option_of_adapt_but_those_that_are_lists(cli):
    options = inspect.signature(budget).parameters
    shared = inspect.signature(adapt).parameters
    assert set(shared) - set(options) == set(VARIED)
    assert set(options) - set(shared) == {"methods", "budgets", "normalisations", "subsets", "stages"}
    ran = cli("budget", "--help")
    assert ran.code == 0
    for name in ("--methods", "--budgets", "--normalise", "--jobs", "--method-option", "--transductive", "--settings"):
        assert name in ran.out


def test_a_settings_file_and_options_over_it(cli, recorded, tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        f'source = ["{recorded / "en.jsonl"}"]\ntarget = "{recorded / "xx.jsonl"}"\nseeds = 1\nfolds = 2\nepochs = 1\n'
        f'normalisations = ["none"]\nout = "{tmp_path / "a"}"\nstore = "{tmp_path / "f"}"\n'
    )
    assert cli("budget", "--settings", path, "--budgets", "0", "--methods", "source-only").code == 0
    with (tmp_path / "a" / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["method"], row["normalisation"]) for row in rows} == {("source-only", "none")}


BAD = {
    "no number": (("--budgets", "0,many"), ("budgets: expected numbers or 'all', with commas, got 'many'",)),
    "one twice": (("--budgets", "0,2,2"), ("budgets: 2 stands twice",)),
    "no budget": (("--budgets", ","), ("budgets: expected at least one",)),
    "an unknown method": (("--methods", "sorce-only"), ("unknown method 'sorce-only'", "did you mean 'source-only'?")),
    "nobody of that name validates": (("--validate", "target"), ("unknown validate 'target'", "one of both, source")),
    "an unknown norm": (("--normalise", "none,speakers"), ("unknown normalise 'speakers'", "did you mean 'speaker'?")),
    "more than there is": (("--budgets", "0,200"), ("budgets: 200: expected 8 at most",)),
    "no jobs": (("--jobs", "0"), ("jobs: expected 1 or more",)),
    "an option of adapt's": (("--folds", "1"), ("folds: expected 2 or more",)),
    "a missing manifest": (("--target", "nowhere.jsonl"), ("nowhere.jsonl: cannot be read",)),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_one_line(cli, words, case):
    more, expected = BAD[case]
    ran = cli(*words(*more))
    assert ran.code == 2 and len(ran.complaints) == 1, ran.err
    assert all(part in ran.complaints[0] for part in expected), ran.complaints


def test_what_is_missing_is_named(cli):
    ran = cli("budget", "--budgets", "0")
    assert ran.code == 2 and "budget: expected --source MANIFEST" in ran.err
