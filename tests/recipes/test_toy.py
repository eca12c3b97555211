"""Toy runs: every recipe can be cut down and supplied with what it needs, and one runs from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from emobridge.corpora.demo import is_synthetic
from emobridge.data.manifest import read_manifest
from emobridge.encoders import load_encoder, presets
from emobridge.probe.settings import ProbeSettings
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.grids import miscounts
from emobridge.recipes.recipe import read_recipe, recipe_names
from emobridge.recipes.toy import TOY_NOTE, fabricate, narrow_settings
from emobridge.recipes.toy_corpora import fabricate_corpora, plan_corpus
from emobridge.recipes.toy_encoders import fabricate_encoders
from emobridge.scores.files import read_scores
from emobridge.settings import layer_names

GRIDS = """
paper = "Agarla et al. 2024"
citation = "Somebody (2020). Something."
tables = []
measure = "UA"
[corpora.ravdess]
[corpora.emodb]
[adapt]
source = ["ravdess"]
targets = ["emodb"]
encoders = ["hubert-base"]
layer = "12"
labels = ["anger", "sadness"]
methods = ["pseudo-labels"]
budgets = ["0", "10"]
normalise = ["none"]
align = "none"
head = "single"
folds = 0
seeds = 3
[[study]]
name = "frozen"
[[study]]
name = "trained"
methods = ["source-only"]
train = "end-to-end"
[[counts]]
corpora = ["emodb"]
anger = 127
[ours]
seeds = "3"
"""
PROBES = """
paper = "EmoBox (Ma et al. 2024)"
citation = "Somebody (2020). Something."
tables = []
measure = "WA"
[corpora.emodb]
[probe]
encoders = ["whisper-base"]
heads = ["single"]
layers = ["last"]
split = "80/10/10"
floors = false
[[study]]
[ours]
seeds = "3"
"""


@pytest.fixture
def recipe_of(tmp_path):
    """A function that writes a recipe's text to a file and returns its path."""

    def write(text, name="short.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.fixture
def run_toy(cli, tmp_path):
    """A function that runs a recipe as a toy into tmp_path/out."""
    return lambda recipe, *more: cli("recipe", "run", recipe, "--toy", "--out", tmp_path / "out", *more)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_cut_down(name):
    recipe = read_recipe(name)
    narrowed = narrow_settings(recipe)
    assert [study.name for study in narrowed.studies] == [study.name for study in recipe.studies]
    assert (narrowed.systems, narrowed.encoders) == (recipe.systems, recipe.encoders), "what is compared stays whole"
    for study in narrowed.studies:
        if isinstance(study.settings, AdaptStudy):
            request = study.settings.request
            assert request.training.epochs <= 2 and request.split.seeds == 1
            assert all(amount == "all" or int(amount) <= 100 for amount in request.budgets)
        else:
            assert study.settings.epochs <= 2 and study.settings.seeds == 1
    for material in narrowed.corpora:
        plan = plan_corpus(narrowed, material)
        assert len(plan.emotions) > 1 and plan.language != "und", material.corpus


@pytest.mark.parametrize("name", recipe_names())
def test_layers_that_recipes_name_are_in_encoders_as_deep_as_the_presets(name):
    for study in read_recipe(name).studies:
        settings = study.settings
        layers = (
            settings.layers if isinstance(settings, ProbeSettings) else layer_names(settings.request.features.layer)
        )
        deepest = max((int(layer) for layer in layers if layer.isdecimal()), default=0)
        assert all(presets()[name].layers >= deepest for name in study.encoders if name in presets())


@pytest.mark.parametrize("name", ["wav2vec2-base", "wavlm-large", "whisper-small.en"])
def test_a_tiny_encoder_is_as_deep_as_its_preset(tmp_path, name):
    folders = fabricate_encoders([name, "logmel"], tmp_path)
    assert list(folders) == [name], "log-mels have no weights"
    encoder = load_encoder(folders[name], engine="torch")
    assert encoder.layers == presets()[name].layers + 1 and sum(map(lambda x: x.numel(), encoder.parameters())) < 10**6
    before = (folders[name] / "model.safetensors").stat().st_mtime_ns
    fabricate_encoders([name], tmp_path)
    assert (folders[name] / "model.safetensors").stat().st_mtime_ns == before, "it is made once"


def test_what_is_fabricated(tmp_path):
    recipe, manifests, _ = fabricate(narrow_settings(read_recipe("goncalves2024")), tmp_path)
    for name in ("msp-podcast", "biic-podcast"):
        rows = list(read_manifest(manifests[name]))
        assert {row.corpus for row in rows} == {f"toy-{name}"} and is_synthetic(rows[0].corpus)
        assert len({row.speaker for row in rows}) == 10
        assert {row.split for row in rows} == {"train", "validation", "test"}
        assert all(-1 <= value <= 1 for row in rows for value in (row.arousal, row.valence, row.dominance))
        assert all(row.gender and row.naturalness and row.text and Path(str(row.phones)).exists() for row in rows)
        for counts in recipe.counts:
            if counts.corpora == (name,):
                assert miscounts(counts, [str(manifests[name])], (), rated=True) == []
    assert {row.language for row in read_manifest(manifests["biic-podcast"])} == {"zh-TW"}


def test_folds_of_a_corpus_of_a_single_speaker_have_all_parts(tmp_path):
    recipe = read_recipe("emobox")
    material = next(item for item in recipe.corpora if item.corpus == "pavoque")
    manifest = fabricate_corpora(replace(recipe, corpora=(material,)), tmp_path)["pavoque"]
    for number in (1, 2):
        rows = list(read_manifest(manifest.with_name(f"{manifest.stem}.fold-{number}.jsonl")))
        assert {row.speaker for row in rows} == {rows[0].speaker}
        assert {row.split for row in rows} == {"train", "validation", "test"}


def test_folds_of_a_corpus_in_a_format_with_folds(tmp_path):
    recipe = narrow_settings(read_recipe("emobox"))
    _, manifests, _ = fabricate(replace(recipe, corpora=recipe.corpora[:1], studies=()), tmp_path)
    (manifest,) = manifests.values()
    folds = [list(read_manifest(manifest.with_name(f"{manifest.stem}.fold-{number}.jsonl"))) for number in (1, 2)]
    tests = [{row.speaker for row in fold if row.split == "test"} for fold in folds]
    assert all(tests) and not tests[0] & tests[1]


@pytest.mark.slow
def test_grids_from_end_to_end_twice(recipe_of, run_toy, tmp_path, monkeypatch):
    ran = run_toy(recipe_of(GRIDS))
    assert ran.code == 0, ran.err
    assert TOY_NOTE in ran.out
    out = tmp_path / "out"
    page = json.loads((out / "recipe.json").read_text())
    assert {row["study"] for row in page["rows"]} == {"frozen", "trained"}
    assert {row.seed for row in read_scores(out / "scores.json")} == {"0", "all"}
    for path in (out / "recipe.md", *out.glob("*/*/budget.md")):
        text = path.read_text()
        assert TOY_NOTE in text and "SYNTHETIC" in text
    _refuse_training(monkeypatch)
    before = _finished(out)
    assert before and run_toy(tmp_path / "short.toml").code == 0
    assert _finished(out) == before, "nothing is done anew"


@pytest.mark.slow
def test_a_killed_run_goes_on(recipe_of, run_toy, tmp_path, monkeypatch):
    from emobridge.study import run

    write = run.Runner._write
    with monkeypatch.context() as patch:
        patch.setattr(run.Runner, "_write", _failing_after(2, write))
        assert run_toy(recipe_of(GRIDS)).code not in (0, 2)
    out = tmp_path / "out"
    before = _finished(out)
    assert before and not (out / "trained" / "emodb-hubert-base" / "budget.md").exists()
    ran = run_toy(tmp_path / "short.toml")
    assert ran.code == 0 and {row["study"] for row in json.loads((out / "recipe.json").read_text())["rows"]} == {
        "frozen",
        "trained",
    }
    assert before.items() <= _finished(out).items(), "what was finished is read"
    scores = read_scores(out / "scores.json")
    (tmp_path / "out").rename(tmp_path / "resumed")
    assert run_toy(tmp_path / "short.toml").code == 0
    assert read_scores(out / "scores.json") == scores


def test_probes_from_end_to_end(recipe_of, run_toy, tmp_path):
    ran = run_toy(recipe_of(PROBES), "--seeds", "2")
    assert ran.code == 0, ran.err
    text = (tmp_path / "out" / "recipe.md").read_text()
    assert TOY_NOTE in text and "SYNTHETIC" in text and "toy-emodb" in text
    assert {row.seed for row in read_scores(tmp_path / "out" / "scores.json")} == {"0", "1", "all"}


def test_a_dry_run_writes_nothing(recipe_of, run_toy, tmp_path):
    ran = run_toy(recipe_of(PROBES), "--dry-run")
    assert ran.code == 0 and "short" in ran.out and not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag", ["--data", "--corpora", "--encoders", "--encoder"])
def test_what_does_nothing_with_a_toy(recipe_of, run_toy, flag):
    ran = run_toy(recipe_of(PROBES), flag, "whisper-base=x")
    assert ran.code == 2 and f"{flag}: does nothing with --toy" in ran.err


def _finished(out):
    """The time of each finished fit, by its file."""
    return {path: path.stat().st_mtime_ns for path in out.rglob("work/**/*.safetensors")}


def _refuse_training(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a fit is made anew")

    for name in ("run_stages", "train_together"):
        monkeypatch.setattr(f"emobridge.study.run.{name}", refuse)


def _failing_after(count, function):
    """The function, which is interrupted at its call after so many."""
    calls = []

    def call(*arguments, **options):
        calls.append(1)
        if len(calls) > count:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    return call
