"""The page of a layer-wise study: what it says, its floors, plots and files."""

from __future__ import annotations

import csv
import json
import re

import pytest

from emobridge.errors import UserError
from emobridge.probe.report import run_and_report
from emobridge.probe.settings import ProbeSettings


@pytest.fixture
def asked(recorded, tmp_path):
    def make(**changes):
        values = {
            "corpora": (str(recorded / "en.jsonl"), str(recorded / "xx.jsonl")),
            "encoders": ("logmel",),
            "heads": ("single",),
            "settings": ("mono", "trans", "cross", "other"),
            "folds": 2,
            "seeds": 2,
            "epochs": 3,
            "out": str(tmp_path / "study"),
            "store": str(tmp_path / "features"),
        }
        return ProbeSettings(**(values | changes))

    return make


@pytest.fixture
def page(asked, tiny_encoder, tmp_path):
    """A study with a trained encoder of several layers: its text, folder and page in three forms."""
    settings = asked(
        encoders=(f"wb={tiny_encoder}",),
        heads=("single", "multilayer"),
        head_options=("hidden=8",),
        normalise=("none", "speaker"),
    )
    text = run_and_report(settings, "emobridge probe --corpus x", missing=("corpus esd: ask for it",))
    folder = tmp_path / "study"
    return text, folder, (folder / "probe.md").read_text(), (folder / "probe.html").read_text()


def test_a_study_as_files(page):
    text, folder, markdown, html = page
    assert text.splitlines()[-1] == f"report: {folder / 'probe.html'}" and "missing: corpus esd: ask for it" in text
    with (folder / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["weights"] for row in rows} == {"pretrained", "random", "none"}
    for name in ("layers-wb-en", "layers-wb-xx", "layer-weights"):
        svg = (folder / "figures" / f"{name}.svg").read_text()
        assert svg.startswith("<svg") and "currentColor" not in svg
        assert f"](figures/{name}.svg)" in markdown
    assert html.count("<svg") == 3
    record = json.loads((folder / "probe.json").read_text())
    assert {floor["what"] for floor in record["floors"]} >= {"chance", "loudness and length"}


def test_every_layer_table_stands_on_its_floors(page):
    _, _, markdown, _ = page
    for corpus in ("en", "xx"):
        table = markdown.split(f"figures/layers-wb-{corpus}.svg)")[1].split("*Measured")[0]
        for floor in (
            "random weights, single",
            "random weights, multilayer",
            "log-mel statistics",
            "chance",
            "loudness",
        ):
            assert f"| {floor}" in table, floor


def test_numbers_of_the_page_are_those_of_the_table(page):
    _, folder, markdown, _ = page
    with (folder / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = [
        row
        for row in rows
        if (row["train"], row["test"], row["weights"], row["head"]) == ("en", "en", "pretrained", "single")
        and (row["measure"], row["seed"], row["normalise"]) == ("UA", "all", "none")
    ]
    line = next(
        line
        for line in markdown.split("figures/layers-wb-en.svg)")[1].splitlines()
        if line.startswith("| single | none")
    )
    shown = [cell.strip() for cell in line.split("|")[3:-2]]
    assert shown == [f"{100 * float(row['value']):.1f}" for row in sorted(wanted, key=lambda row: row["layer"])]


def test_the_layer_that_may_be_quoted_is_chosen_on_the_other_corpus(page):
    _, folder, markdown, _ = page
    with (folder / "cells.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == "UA" and row["seed"] == "all"]
    table = markdown.split("## Which layer")[1].split("## ")[0]
    for corpus, other in (("en", "xx"), ("xx", "en")):
        values = {
            row["layer"]: float(row["value"])
            for row in rows
            if (row["train"], row["test"], row["head"], row["normalise"], row["weights"])
            == (other, other, "single", "speaker", "pretrained")
        }
        best = max(values, key=lambda layer: values[layer])
        line = next(line for line in table.splitlines() if f"| wb | {corpus} | single | speaker" in line)
        assert line.split("|")[6].strip().startswith(f"{best}: ")


def test_what_is_missing_and_what_was_seen_is_said(page):
    _, _, markdown, html = page
    assert "corpus esd: ask for it" in markdown.split("## What is missing")[1].split("##")[0]
    assert "the scored speakers' too" in markdown and "4 speakers: its intervals are too narrow" in markdown
    assert re.search(r"trained on +\|? *tested on", markdown.replace("|", " ")) or "trained on | tested on" in markdown
    assert "emobridge probe --corpus x" in html


def test_published_numbers_stand_apart(asked, recorded):
    path = recorded / "en.jsonl"
    path.write_text(path.read_text().replace('"corpus": "en"', '"corpus": "emovo"'))
    run_and_report(asked(corpora=(str(path),)), "x")
    markdown = (path.parents[1] / "study" / "probe.md").read_text()
    table = markdown.split("PUBLISHED, not measured here")[1]
    assert "| EMOVO | whisper-medium | linear head | F1 | 50.19" in table


def test_synthetic_speech_is_stamped(asked, recorded):
    path = recorded / "en.jsonl"
    path.write_text(path.read_text().replace('"corpus": "en"', '"corpus": "demo-en"'))
    text = run_and_report(asked(corpora=(str(path),)), "x")
    assert text.startswith("SYNTHETIC")
    markdown = (path.parents[1] / "study" / "probe.md").read_text()
    captions = [line for line in markdown.splitlines() if line.startswith("*") and not line.startswith("**")]
    assert captions and all(line.startswith("*SYNTHETIC run.") for line in captions)


def test_settings_that_no_pair_meets(asked, recorded):
    with pytest.raises(UserError, match="no pair of these corpora is cross"):
        run_and_report(asked(corpora=(str(recorded / "en.jsonl"),), settings=("cross",)), "x")


def test_the_other_tables_have_their_floors_too(page):
    _, _, markdown, _ = page
    assert "there with random weights" in markdown.split("## Which layer")[1].split("## ")[0]
    heads = markdown.split("## Heads")[1].split("## ")[0]
    for row in ("| random weights, single | none | last layer", "| random weights, multilayer | speaker | all layers"):
        assert row in heads
    assert "| log-mel statistics, single | none" in heads
    assert "random weights" in markdown.split("## Corpora and encoders")[1].split("## ")[0]
    assert "| random weights |" in markdown.split("## Across languages")[1].split("## ")[0]
