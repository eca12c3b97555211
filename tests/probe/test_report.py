"""The page of a layer-wise study: what it says, its floors, plots and files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from emobridge.errors import UserError
from emobridge.probe import trainer
from emobridge.probe.report import run_and_report
from emobridge.probe.settings import ProbeSettings
from emobridge.scores.files import read_scores


def settings_in(folder, manifests, **changes):
    values = {
        "corpora": (str(manifests / "en.jsonl"), str(manifests / "xx.jsonl")),
        "encoders": ("logmel",),
        "heads": ("single",),
        "settings": ("mono", "trans", "cross", "other"),
        "folds": 2,
        "seeds": 2,
        "epochs": 3,
        "out": str(folder / "study"),
        "store": str(folder / "features"),
    }
    return ProbeSettings(**(values | changes))


@pytest.fixture
def asked(recorded, tmp_path):
    return lambda **changes: settings_in(tmp_path, recorded, **changes)


@pytest.fixture(scope="module")
def page(_recorded, tiny_encoder, tmp_path_factory):
    """A study with a trained encoder of several layers: its text, folder and page in three forms."""
    place = tmp_path_factory.mktemp("page")
    settings = settings_in(
        place,
        _recorded,
        encoders=(f"wb={tiny_encoder}",),
        heads=("single", "multilayer"),
        head_options=("hidden=8",),
        normalise=("none", "speaker"),
    )
    text = run_and_report(settings, "emobridge probe --corpus x", missing=("corpus esd: ask for it",))
    folder = place / "study"
    return text, folder, (folder / "probe.md").read_text(), (folder / "probe.html").read_text()


def test_a_study_as_files(page):
    text, folder, markdown, html = page
    assert text.splitlines()[-1] == f"report: {folder / 'probe.html'}" and "missing: corpus esd: ask for it" in text
    rows = read_scores(folder / "scores.json")
    assert {row.method for row in rows} >= {"probe", "probe, random weights", "chance", "loudness and length"}
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "probe.html",
        "probe.json",
        "probe.md",
        "scores.json",
    ]
    for name in ("layers-wb-en", "layers-wb-xx", "layer-weights", "layer-weights-mean"):
        svg = (folder / "figures" / f"{name}.svg").read_text()
        assert svg.startswith("<svg") and "currentColor" not in svg
        assert f"](figures/{name}.svg)" in markdown
    assert html.count("<svg") == 4
    record = json.loads((folder / "probe.json").read_text())
    assert record["command"] == "emobridge probe --corpus x" and text.startswith(record["verdict"])


def test_every_layer_table_ends_with_its_floors(page):
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
    expected = [
        row
        for row in read_scores(folder / "scores.json")
        if (row.source, row.target, row.method, row.encoder, row.head) == ("en", "en", "probe", "wb", "single")
        and (row.measure, row.seed, row.normalisation) == ("UA", "all", "none")
    ]
    line = next(
        line
        for line in markdown.split("figures/layers-wb-en.svg)")[1].splitlines()
        if line.startswith("| single | none")
    )
    shown = [cell.strip() for cell in line.split("|")[3:-2]]
    assert shown == [f"{100 * row.value:.1f}" for row in sorted(expected, key=lambda row: row.layer)]


def test_the_layer_that_may_be_quoted_is_chosen_on_the_other_corpus(page):
    _, folder, markdown, _ = page
    rows = [row for row in read_scores(folder / "scores.json") if (row.measure, row.seed) == ("UA", "all")]
    table = markdown.split("## Which layer")[1].split("## ")[0]
    for corpus, other in (("en", "xx"), ("xx", "en")):
        values = {
            row.layer: row.value
            for row in rows
            if (row.source, row.target, row.encoder, row.head, row.normalisation, row.method)
            == (other, other, "wb", "single", "speaker", "probe")
        }
        best = max(values, key=lambda layer: values[layer])
        line = next(line for line in table.splitlines() if f"| wb | {corpus} | single | speaker" in line)
        assert line.split("|")[6].strip().startswith(f"{best}: ")


def test_what_is_missing_and_what_was_seen_is_said(page):
    _, _, markdown, html = page
    assert "corpus esd: ask for it" in markdown.split("## What is missing")[1].split("##")[0]
    assert "the scored speakers' too" in markdown and "too narrow" not in markdown
    assert re.search(r"trained on +\|? *tested on", markdown.replace("|", " ")) or "trained on | tested on" in markdown
    assert "emobridge probe --corpus x" in html


def test_published_numbers_stand_apart(asked, recorded):
    path = recorded / "en.jsonl"
    path.write_text(path.read_text().replace('"corpus": "en"', '"corpus": "emovo"'))
    run_and_report(asked(corpora=(str(path),)), "x")
    markdown = (path.parents[1] / "study" / "probe.md").read_text()
    table = markdown.split("PUBLISHED, not measured here")[1]
    assert "| emovo | whisper-medium | linear head | F1 | 50.19" in table


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


def sections(markdown):
    return [line.removeprefix("## ") for line in markdown.splitlines() if line.startswith("## ")]


def test_the_page_begins_with_its_finding_and_explains_its_words(page):
    text, _, markdown, html = page
    finding = text.splitlines()[0]
    assert "wb with head " in finding and "UA (unweighted accuracy, the mean recall of the emotions)" in finding
    assert markdown.split("**")[1] == finding.replace("*", "\\*")
    assert html.index("unweighted accuracy") < html.index("<h2")
    for title in ("By layer", "Across languages"):
        section = markdown.split(f"## {title}")[1].split("\n## ")[0]
        assert "Settings. " in section and ": trained " in section
    assert "no higher has learnt nothing" in markdown.split("## Floors")[1]


def test_there_is_no_empty_plot(asked, tiny_encoder, tmp_path):
    """One layer is no curve; the page has tables, and no section that would be empty."""
    settings = asked(encoders=(f"wb={tiny_encoder}",), layers=("last",), corpora=asked().corpora[:1])
    run_and_report(settings, "x")
    folder = tmp_path / "study"
    assert not (folder / "figures").exists() and "<svg" not in (folder / "probe.html").read_text()
    markdown = (folder / "probe.md").read_text()
    assert sections(markdown) == [
        "By layer",
        "Heads",
        "Corpora and encoders",
        "Floors",
        "Corpora",
        "How it was made",
        "Glossary",
    ]
    heads = markdown.split("## Heads")[1].split("\n## ")[0]
    assert "| single | none | last layer |" in heads and "all layers" not in heads and "chosen layer" not in heads
    assert "Solid lines" not in markdown


def test_the_layer_that_validation_chose_stands_in_the_tables(asked, tiny_encoder, tmp_path):
    text = run_and_report(asked(encoders=(f"wb={tiny_encoder}",), split="80/10/10", corpora=asked().corpora[:1]), "x")
    assert "validation" in text.splitlines()[0]
    markdown = (tmp_path / "study" / "probe.md").read_text()
    which = markdown.split("## Which layer")[1].split("\n## ")[0]
    assert "chosen on validation" in which and "chosen on other corpora" not in which
    (row,) = [
        row
        for row in read_scores(tmp_path / "study" / "scores.json")
        if (row.layer, row.method, row.measure, row.seed) == ("validation", "probe", "UA", "all")
    ]
    assert f"| {100 * row.value:.1f} (" in which
    assert "| single | none | chosen layer |" in markdown.split("## Heads")[1]


def test_a_collapsed_model_is_told_at_the_terminal_and_on_the_page(asked, tmp_path, monkeypatch):
    """The head linear ends with a bias that outweighs all that it learnt."""
    fit = trainer.fit_probes

    def collapsing(stacks, *args, **options):
        fit(stacks, *args, **options)
        for stack in stacks:
            if dict(stack.module.named_modules()).get("projection"):
                stack.module.output.bias.data[:, 1] += 1000

    monkeypatch.setattr(trainer, "fit_probes", collapsing)
    settings = asked(heads=("single", "linear"), corpora=asked().corpora[:1], seeds=1)
    lines = run_and_report(settings, "x").splitlines()
    markdown = (tmp_path / "study" / "probe.md").read_text()
    told = [line for line in lines if line.startswith("warning: These probes predict a single emotion")]
    words = "logmel, head linear, normalisation none, en: layer 0, seed 0 (sadness for all 16 utterances)."
    assert len(told) == 1 and told[0].endswith(words)
    assert "**Warning.** These probes predict a single emotion and tell nothing apart: logmel, head linear" in markdown


def test_the_page_of_models_from_scratch_alone(asked, tmp_path):
    settings = asked(
        encoders=(), scratch=("emotion-cnn",), floors=False, epochs=1, seeds=1, corpora=asked().corpora[:1]
    )
    text = run_and_report(settings, "x")
    markdown = (tmp_path / "study" / "probe.md").read_text()
    assert markdown.startswith("# Layer-wise study of emotion-cnn")
    assert "emotion-cnn" in markdown.split("## Trained from scratch")[1].split("\n## ")[0]
    assert "emotion-cnn trained from scratch: en " in text.splitlines()[0]


def test_speakers_that_are_not_known_are_not_counted(asked, recorded, tmp_path):
    path = recorded / "en.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[:8]:
        del row["speaker"]
    path.write_text("\n".join(map(json.dumps, rows)))
    run_and_report(asked(corpora=(str(path),), share_speakers=True), "x")
    markdown = (tmp_path / "study" / "probe.md").read_text()
    assert "| en | en | 16 | 2 |" in markdown
    assert "Utterances without a known speaker count as speakers of their own: intervals are too narrow." in markdown


def test_the_map_of_layer_weights_is_averaged_over_the_corpora(page):
    """Figure 2 of D'Asaro et al. 2024: its rows are the means of those of the corpora."""
    _, _, markdown, _ = page

    def rows(name):
        lines = markdown.split(f"figures/{name}.svg)")[1].split("*")[0].splitlines()
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| wb")]
        return {row[0]: [float(value) for value in row[1:]] for row in cells}

    means, each = rows("layer-weights-mean"), rows("layer-weights")
    assert list(means) == ["wb, mean of 2, none", "wb, mean of 2, speaker"] and len(each) == 4
    for norm in ("none", "speaker"):
        shares = np.array([each[f"wb, {corpus}, {norm}"] for corpus in ("en", "xx")])
        np.testing.assert_allclose(means[f"wb, mean of 2, {norm}"], shares.mean(0), atol=0.11)
        assert shares.shape == (2, 2), "the layers of the two blocks"


def test_a_folder_that_holds_another_encoder_has_no_published_numbers(asked, tiny_encoder, request):
    changes = {"encoders": (f"whisper-small.en={tiny_encoder}",), "heads": ("linear",), "layers": ("last",)}
    settings = asked(**changes, head_options=("hidden=4",), settings=("mono", "trans"), floors=False, epochs=1)
    run_and_report(settings, "emobridge probe --corpus x")
    text = (Path(settings.out) / "probe.md").read_text()
    assert "whisper-small.en: " in text and "layers: expected 12" in text
    assert "nine corpora" not in text
    request.getfixturevalue("stand_ins")
    run_and_report(settings, "emobridge probe --corpus x")
    text = (Path(settings.out) / "probe.md").read_text()
    assert "does not hold" not in text and "nine corpora" in text
