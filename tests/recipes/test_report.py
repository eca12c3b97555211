"""The page of a recipe of grids: measured scores, and what is printed of each beside it."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from emobridge.data.manifest import write_manifest
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.replication import Run
from emobridge.recipes.report import join_scores, write_summary
from emobridge.scores.files import read_scores, write_scores
from emobridge.settings import Budget
from emobridge.types import Score, Utterance

FOUR = ("anger", "happiness", "neutral", "sadness")
SHORT = (
    ("whisper-base", "logmel"),
    (r'layer = "2\+3\+4"', 'layer = "0"'),
    ("seeds = 3", "seeds = 1"),
    ("folds = 5", "folds = 2"),
    (r'labels = \["anger", "fear".*', 'labels = ["anger", "happiness", "neutral", "sadness"]'),
    (r"^(fear|surprise) = .*\n", ""),
)


@pytest.fixture
def run(tmp_path):
    """A function that makes a run of one study of agarla2024, from English to German; it has no scores yet."""
    for name, language in (("ravdess", "en"), ("emodb", "de")):
        write_manifest(tmp_path / f"{name}.jsonl", [Utterance(name, name, "a.wav", language=language)])

    def make(study: str, encoder: str, target="emodb") -> Run:
        (published,) = [part for part in read_recipe("agarla2024").studies if part.name == study]
        request = Budget.of(
            source=[str(tmp_path / "ravdess.jsonl")],
            target=str(tmp_path / "emodb.jsonl"),
            labels=published.settings.labels,
            out=str(tmp_path / study),
            seeds=1,
            align="none",
        )
        return Run("title", request, (), published, target, encoder)

    return make


def scores_of(run: Run, method: str, amounts: tuple[str, ...]) -> list[Score]:
    """Rows of the scores of a method, on both sides, of a seed and of all, by two measures."""
    return [
        Score("run", method, run.encoder, "0", "none", "ravdess", run.target, amount, seed, "test", side, measure,
              ",".join(run.settings.data.labels), 0.5, 0.4, 0.6, 60)
        for amount in amounts
        for side in ("target", "source")
        for measure in ("UA", "WA")
        for seed in ("0", "all")
    ]  # fmt: skip


def finish(run: Run, *scores: Score) -> None:
    folder = Path(run.settings.output.out)
    folder.mkdir()
    write_scores(folder / "scores.json", scores)


def summary(runs, tmp_path, missing=()) -> tuple[dict[tuple[str, str, str], dict[str, str]], str]:
    page = write_summary(read_recipe("agarla2024"), runs, missing, tmp_path, "emobridge recipe run agarla2024")
    with (tmp_path / "summary.csv").open(newline="") as file:
        plain = [row for row in csv.DictReader(file) if row["measure"] == "WA"]
        rows = {(row["study"], row["method"], row["target_labels"]): row for row in plain}
    return rows, page.with_suffix(".md").read_text()


def test_printed_numbers_of_the_same_cell_stand_beside(run, tmp_path):
    hubert = run("hubert", "hubert-base")
    scores = scores_of(hubert, "source-only", ("0", "25"))
    finish(hubert, *scores, *scores_of(hubert, "soft-pseudo-labels", ("0",)))
    labelled = run("hubert-all-labels", "hubert-base")
    finish(labelled, *scores_of(labelled, "source-only", ("all",)))
    rows, page = summary([hubert, labelled], tmp_path, ["corpus tess: it is not here"])
    lower = rows["hubert", "source-only", "0"]
    assert (lower["target_published"], lower["source_published"]) == ("78.87 (English only)", "")
    upper = rows["hubert-all-labels", "source-only", "all"]
    assert upper["target_published"] == "94.37 (all target labels)"
    assert upper["source_published"] == "82.44 (all target labels)"
    assert rows["hubert", "source-only", "25"]["target_published"] == ""
    assert rows["hubert", "soft-pseudo-labels", "0"]["target_published"] == ""
    assert (lower["target_value"], lower["target_n"], lower["labels"].count(",")) == ("0.500000", "60", 4)
    assert "50.0 (40.0 to 60.0) | 78.87 (English only)" in page and "- corpus tess: it is not here" in page
    assert "- counts: the paper's, save that" in page


def test_ablations_and_others_stand_beside_their_own(run, tmp_path):
    tau, others = run("threshold-65", "hubert-base"), run("others-byol-s", "byol-s-1024")
    finish(tau, *scores_of(tau, "pseudo-labels", ("100",)))
    finish(others, *(row for name in ("multitask", "pseudo-labels") for row in scores_of(others, name, ("0", "25"))))
    dann = run("others-dann", "hubert-base")
    finish(dann, *scores_of(dann, "dann", ("0",)))
    rows, _ = summary([tau, others, dann], tmp_path)
    assert rows["others-dann", "dann", "0"]["target_published"] == "32.6 (dann (reimplemented))"
    row = rows["threshold-65", "pseudo-labels", "100"]
    assert row["target_published"] == "94.37 (pseudo-labels, tau 0.65); 94.37 (pseudo-labels, with rebalancing)"
    assert rows["others-byol-s", "multitask", "0"]["target_published"] == "", "others' numbers, on other corpora"
    assert rows["others-byol-s", "pseudo-labels", "0"]["target_published"] == "66.7 (pseudo-labels)"
    assert rows["others-byol-s", "pseudo-labels", "25"]["target_published"] == ""


def test_grids_that_are_not_finished_are_not_there_and_synthetic_speech_is_told(run, tmp_path):
    done, waiting = run("byol-s", "byol-s-1024"), run("hubert", "hubert-base")
    finish(done, *[replace(row, source="demo-en") for row in scores_of(done, "source-only", ("0",))])
    rows, page = summary([done, waiting], tmp_path)
    assert list(rows) == [("byol-s", "source-only", "0")]
    assert page.count("SYNTHETIC") >= 2 and "1 grid of label budgets, 1 cell, 1 seed" in page


def test_the_scores_of_all_finished_runs_are_joined(run, tmp_path):
    first, second, waiting = (
        run("byol-s", "byol-s-1024"),
        run("hubert", "hubert-base"),
        run("others-byol-s", "byol-s-1024"),
    )
    finish(first, *scores_of(first, "source-only", ("0",)))
    finish(second, *scores_of(second, "pseudo-labels", ("25", "all")))
    assert join_scores([first, second, waiting], tmp_path) == tmp_path / "scores.json"
    joined = read_scores(tmp_path / "scores.json")
    assert [(row.run, row.method) for row in joined] == [("byol-s", "source-only")] * 8 + [
        ("hubert", "pseudo-labels")
    ] * 16
    alone = [replace(row, run="run") for row in joined]
    assert alone == [*scores_of(first, "source-only", ("0",)), *scores_of(second, "pseudo-labels", ("25", "all"))]


def test_a_single_study_has_written_the_scores_itself(run, tmp_path):
    only = run("byol-s", "byol-s-1024")
    finish(only, *scores_of(only, "source-only", ("0",)))
    before = (tmp_path / "byol-s" / "scores.json").read_bytes()
    assert join_scores([only], tmp_path / "byol-s").read_bytes() == before


def test_the_number_of_seeds_is_that_of_the_settings(run, tmp_path):
    """With a split a seed the seeds score different utterances, and the scores have them together as one."""
    only = run("byol-s", "byol-s-1024")
    only = replace(only, settings=replace(only.settings, split=replace(only.settings.split, seeds=3)))
    finish(only, *scores_of(only, "source-only", ("0",)))
    rows, _ = summary([only], tmp_path)
    assert rows["byol-s", "source-only", "0"]["seeds"] == "3"


@pytest.mark.parametrize("changes", [{"source": "demo-en"}, {"target": "demo-de"}, {"source": "ravdess+calls"}])
def test_other_corpora_than_the_papers_have_no_printed_numbers_beside_them(run, tmp_path, changes):
    """A manifest given in the place of a corpus may hold anything."""
    hubert = run("hubert", "hubert-base")
    finish(hubert, *[replace(row, **changes) for row in scores_of(hubert, "source-only", ("0",))])
    rows, _ = summary([hubert], tmp_path)
    row = rows["hubert", "source-only", "0"]
    assert (row["target_published"], row["source_published"]) == ("", "")


@pytest.mark.slow
def test_cameo_leaves_each_language_out(run_recipe, cameo, short, tmp_path):
    recipe = short("cameo", *SHORT)
    out = tmp_path / "out"
    refused, _ = run_recipe(recipe, cameo, out)
    assert refused.code == 2 and any("--other-sizes runs it all the same" in line for line in refused.complaints)
    ran, rows = run_recipe(recipe, cameo, out, "--other-sizes")
    assert ran.code == 0, ran.err
    assert {row["target"] for row in rows} == {"cameo-en", "cameo-fr", "cameo-pl"}
    assert {row["method"] for row in rows} == {"source-only", "blend"}
    assert {row["measure"] for row in rows} == {"UA", "WA", "F1 macro"}
    for row in rows:
        language = row["target"].removeprefix("cameo-")
        own = {"en": "cameo-crema-d", "fr": "cameo-cafe", "pl": "cameo-nemo"}
        assert set(row["source"].split("+")) == set(own.values()) - {own[language]}, "speakers unknown: no source"
        assert int(row["target_n"]) == 32, "every labelled clip once; sarcasm is none of the labels"
        assert float(row["target_low"]) <= float(row["target_value"]) <= float(row["target_high"])
    missing = "\n".join(ran.complaints)
    for line in (
        "corpus cameo-bn: ",
        "corpus cameo-ru: no source here, for some of its speakers are not known",
        "corpus cameo-pl: not as many utterances as published: anger: expected 749, found 8",
        "it runs all the same",
    ):
        assert line in missing
    assert re.search(r"corpus cameo-ru: .*has no speaker", missing), "nor can it be a target"
    page = (out / "recipe.md").read_text(encoding="utf-8")
    assert "cameo-pl: 33 of 132 utterances are in pl" in page
    assert "cameo-pl: labels as mapped: anger 8, happiness 8, neutral 8, other 1, sadness 8" in page


def test_the_baseline_of_polish_stands_beside(run_recipe, cameo, short, tmp_path):
    """The label set is the printed one; here its clips have four emotions under six names."""
    six = ("anger", "fear", "happiness", "neutral", "sadness", "surprise")
    for table in cameo.glob("*/metadata.csv"):
        header, *lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
        named = [f"{line.split(',')[0]},{six[n % 6]},{line.split(',', 2)[2]}" for n, line in enumerate(lines)]
        table.write_text(header + "".join(named), encoding="utf-8")
    recipe = short("cameo", *SHORT[:4])
    ran, rows = run_recipe(recipe, cameo, tmp_path / "out", "--other-sizes", "--only", "studies=six-others-to-cameo-pl")
    assert ran.code == 0, ran.err
    printed = {(row["method"], row["measure"]): row["target_published"] for row in rows}
    baseline = "Qwen2-Audio-7B-Instruct"
    assert printed["blend", "F1 macro"] == f"18.29 ({baseline})" and printed["blend", "WA"] == f"21.60 ({baseline})"
    assert printed["blend", "UA"] == printed["source-only", "WA"] == ""
