"""`emobridge recipe`: what is here runs, what is not is named with how to get it."""

from __future__ import annotations

import csv
import importlib.util
import re
import shutil
import sys
from types import SimpleNamespace

import pytest

from emobridge.corpora import describe
from emobridge.data.manifest import read_manifest
from emobridge.encoders import presets
from emobridge.recipes.recipe import names

RECIPE = """
paper = "Somebody 2020"
citation = "Somebody (2020). Something."
tables = ["Table 1"]
measure = "UA"
[corpora.emodb]
[corpora.emovo]
[corpora.cafe]
[probe]
encoders = ["whisper-base", "wav2vec2-base"]
scratch = ["emotion-cnn"]
heads = ["single", "linear"]
head_options = ["hidden=4"]
layers = ["last"]
folds = 2
seeds = 2
epochs = 2
floors = false
[[study]]
name = "inside"
[[study]]
name = "across"
corpora = ["emodb", "cafe"]
settings = ["cross"]
[ours]
seeds = "2"
"""


@pytest.fixture
def studied(monkeypatch):
    """What the report was asked for, in place of a study."""
    calls = []

    def run_and_report(settings, command, *, strict=False, missing=(), ours=(), title=""):
        calls.append(SimpleNamespace(settings=settings, command=command, strict=strict, missing=missing, title=title))
        return f"report: {settings.out}"

    monkeypatch.setitem(sys.modules, "emobridge.report.probe", SimpleNamespace(run_and_report=run_and_report))
    return calls


@pytest.fixture
def here(recorded, tiny_encoder, tmp_path, monkeypatch):
    """A folder with a recipe, EMO-DB as it is distributed, a manifest for EMOVO, a tiny encoder, and no hub."""

    def refuse(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    (tmp_path / "mine.toml").write_text(RECIPE)
    (tmp_path / "data" / "wav").mkdir(parents=True)
    for one in read_manifest(recorded / "en.jsonl"):
        take = one.id.rpartition("-")[2]
        number = {"a": "03", "b": "08", "c": "09", "d": "10"}[one.speaker]
        name = f"{number}a0{int(take) + 1}{'W' if one.emotion == 'anger' else 'T'}a.wav"
        shutil.copy(one.path, tmp_path / "data" / "wav" / name)
    (tmp_path / "corpora.toml").write_text('emodb = "data"\nemovo = "recorded/xx.jsonl"\n')
    shutil.copytree(tiny_encoder, tmp_path / "tiny-whisper")
    (tmp_path / "encoders.toml").write_text('whisper-base = "tiny-whisper"\n')
    return tmp_path


def words(here, *more):
    return (
        "recipe", "run", here / "mine.toml", "--corpora", here / "corpora.toml", "--encoders", here / "encoders.toml",
        "--out", here / "out", "--store", here / "features", *more,
    )  # fmt: skip


def test_list_and_show(cli):
    listed = cli("recipe", "list")
    assert listed.code == 0
    for name in names():
        assert re.search(rf"^{name}  ", listed.out, re.MULTILINE)
        shown = cli("recipe", "show", name)
        assert shown.code == 0 and "ours" in shown.out
    assert presets()["wav2vec2-base-de"].where in shown.out and describe("pavoque").obtain in shown.out
    study = shown.out[shown.out.index("study one-speaker") :]
    assert "share_speakers = true" in study and "learning_rates" not in study, "what is shared stands once"
    wrong = cli("recipe", "show", "dasaro")
    assert wrong.code == 2 and "did you mean 'dasaro2024'" in wrong.err


def test_the_rest_runs_and_what_is_missing_is_named(cli, here, studied):
    ran = cli(*words(here, "--strict"))
    assert ran.code == 0 and ran.out.strip() == f"report: {here / 'out' / 'inside'}"
    (call,) = studied
    settings = call.settings
    assert (call.title, call.strict) == ("mine inside", True) and call.command.startswith("emobridge recipe run ")
    manifest = here / "out" / "manifests" / "emodb.jsonl"
    assert settings.corpora == (str(manifest), str(here / "recorded" / "xx.jsonl"))
    assert len(list(read_manifest(manifest))) == 16
    assert settings.encoders == (f"whisper-base={here / 'tiny-whisper'}",)
    assert (settings.store, settings.seeds, settings.layers) == (str(here / "features"), 2, ("last",))
    missing = "\n".join(call.missing)
    assert f"corpus cafe: no folder is given for it. {describe('cafe').obtain}" in missing
    assert f"encoder wav2vec2-base, {presets()['wav2vec2-base'].where} on the hub: " in missing
    assert "study across: no pair of emodb is cross for whisper-base" in missing
    assert all(f"missing: {line}" in ran.complaints for line in call.missing)


def test_only_some(cli, here, studied):
    ran = cli(*words(here, "--only", "corpora=emovo", "--only", "heads=linear,single", "--seeds", "5"))
    assert ran.code == 0, ran.err
    assert (studied[0].settings.seeds, studied[0].settings.heads) == (5, ("single", "linear"))
    assert studied[0].settings.corpora == (str(here / "recorded" / "xx.jsonl"),)
    assert not any("cafe" in line or "across" in line for line in studied[0].missing), "it was not asked for"
    ran = cli(*words(here, "--only", "heads=single", "--only", "studies=inside", "--only", "encoders=whisper-base"))
    assert ran.code == 0, ran.err
    assert (studied[1].settings.heads, studied[1].settings.head_options) == (("single",), ()), "options of linear alone"
    assert [line for line in studied[1].missing if "encoder" in line] == []


def test_nothing_to_run(cli, here, studied):
    (here / "corpora.toml").write_text('cafe = "nowhere"\nemodb = "recorded"\n')
    ran = cli(*words(here))
    assert ran.code == 2 and not studied
    *lines, last = ran.complaints
    assert [line for line in lines if "nowhere: no such folder or manifest. " + describe("cafe").obtain in line]
    assert [line for line in lines if "no file like wav/03a01Fa.wav" in line], "a folder without its files"
    assert last.startswith("emobridge: recipe mine: nothing can run: corpus emodb: ") and "more" in last


def test_a_corpus_that_cannot_be_split_is_named_and_the_rest_runs(cli, here, studied):
    lines = (here / "recorded" / "xx.jsonl").read_text().splitlines(keepends=True)
    (here / "recorded" / "xx.jsonl").write_text("".join(line for line in lines if '"speaker": "a"' in line))
    ran = cli(*words(here, "--only", "studies=inside"))
    assert ran.code == 0 and len(studied[0].settings.corpora) == 1
    assert any(line.startswith("corpus emovo: ") and "speaker" in line for line in studied[0].missing)


def test_a_dry_run_counts_and_writes_nothing(cli, here, studied):
    ran = cli(*words(here, "--dry-run"))
    assert ran.code == 0, ran.err
    assert not studied and not (here / "out").exists() and not (here / "features").exists()
    assert ran.out.startswith("mine inside\ncorpora\n  emodb: 16 utterances, 4 speakers, 0.00 h, de, anger sadness")
    assert "whisper-base: 3 layers of 16, no frames" in ran.out
    assert "wav2vec2-base: not here (facebook/wav2vec2-base@refs/pr/2 on the hub); 13 layers of 768" in ran.out
    assert re.search(
        r"in all: 0.00 h of audio, 8 units, .* cells; .* on disk, about .*, without what is not here", ran.out
    )
    assert "missing: corpus cafe: " in ran.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--only", "corpora"), "--only 'corpora': expected NAME=VALUE"),
        (("--only", "corpus=emodb"), "unknown key 'corpus': did you mean 'corpora'"),
        (("--only", "corpora=emdob"), "recipe mine: corpora: unknown name 'emdob': did you mean 'emodb'"),
        (("--only", "corpora=emovo", "--only", "studies=across"), "no study has corpora=emovo studies=across"),
        (("--encoder", "whisper-bas=x"), "--encoder: unknown encoder 'whisper-bas': did you mean 'whisper-base'"),
        (("--encoder", "whisper-base"), "--encoder 'whisper-base': expected NAME=FOLDER"),
        (("--seeds", "0"), "seeds: expected 1 or more, got 0"),
    ],
)
def test_mistakes_on_the_command_line(cli, here, studied, more, said):
    ran = cli(*words(here, *more))
    assert ran.code == 2 and said in ran.complaints[-1] and not studied


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('emdob = "data"', "corpora.toml: unknown corpus 'emdob': did you mean 'emodb'"),
        ("emodb = 3", "corpora.toml: emodb: expected a path, got 3"),
        ("emodb = ", "corpora.toml: is not TOML"),
    ],
)
def test_mistakes_in_the_list_of_corpora(cli, here, studied, text, said):
    (here / "corpora.toml").write_text(text)
    ran = cli(*words(here))
    assert ran.code == 2 and said in ran.complaints[-1] and not studied


@pytest.mark.skipif(importlib.util.find_spec("emobridge.report.probe") is None, reason="there is no report yet")
def test_a_real_study_and_its_report(cli, here):
    ran = cli(*words(here, "--only", "studies=inside"))
    assert ran.code == 0, ran.err
    assert (here / "out" / "inside" / "cells.csv").is_file()
    assert "corpus cafe" in ran.out and "SYNTHETIC" not in ran.out


GRIDS = """
paper = "Agarla et al. 2024"
citation = "Somebody (2020). Something."
tables = ["Table 1"]
measure = "UA"
[corpora.savee]
[corpora.tess]
[corpora.emodb]
[corpora.emovo]
[adapt]
source = ["savee", "tess"]
targets = ["emodb", "emovo"]
encoders = ["logmel"]
labels = ["anger", "sadness"]
methods = ["pseudo-labels"]
budgets = ["0", "2"]
normalise = ["none"]
align = "none"
layer = "0"
folds = 0
seeds = 2
epochs = 2
patience = 2
validate = "both"
[[study]]
name = "few"
[[study]]
name = "many"
budgets = ["all"]
[[counts]]
corpora = ["emodb"]
anger = 10
sadness = 10
[[counts]]
corpora = ["emovo"]
anger = 10
sadness = 10
[ours]
seeds = "2"
"""


@pytest.fixture
def grids(tmp_path):
    """A folder with a recipe of grids and manifests of three of its corpora, of ten utterances an emotion."""
    import numpy as np
    import soundfile

    from emobridge.data.manifest import write_manifest
    from emobridge.types import Utterance

    rng = np.random.default_rng(0)
    for corpus, language in (("savee", "en"), ("emodb", "de"), ("emovo", "it")):
        rows = []
        for emotion, loud in (("anger", 0.5), ("sadness", 0.05)):
            for take in range(10):
                name = f"{corpus}-{emotion}-{take}"
                path = str(tmp_path / f"{name}.wav")
                soundfile.write(path, loud * rng.standard_normal(4800), 16000)
                about = {"language": language, "speaker": str(take % 5), "emotion": emotion}
                rows.append(Utterance(name, corpus, path, **about))
        write_manifest(tmp_path / f"{corpus}.jsonl", rows)
    (tmp_path / "grids.toml").write_text(GRIDS)
    (tmp_path / "corpora.toml").write_text("".join(f'{one} = "{one}.jsonl"\n' for one in ("savee", "emodb", "emovo")))
    return tmp_path


def asked(grids, *more):
    return (
        "recipe", "run", grids / "grids.toml", "--corpora", grids / "corpora.toml", "--out", grids / "out",
        "--store", grids / "features", *more,
    )  # fmt: skip


def test_grids_of_label_budgets_and_their_summary(cli, grids):
    ran = cli(*asked(grids, "--seeds", "1"))
    assert ran.code == 0, ran.err
    for study in ("few", "many"):
        for target in ("emodb", "emovo"):
            page = (grids / "out" / study / f"{target}-logmel" / "budget.md").read_text()
            assert f"# grids {study} {target} logmel" in page and "corpus tess: no folder is given for it" in page
            assert "- seeds: 2" in page and "LABELS OF A FIFTH OF THE TARGET'S TRAINING SPEAKERS" in page
            assert "no label of the target" not in page, "for labels of it chose the epoch"
    with (grids / "out" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["study"], row["target"], row["method"], row["target_labels"]) for row in rows] == [
        (study, target, method, budget)
        for study, budgets in (("few", ("0", "2")), ("many", ("all",)))
        for target in ("emodb", "emovo")
        for method in ("source-only", "pseudo-labels")
        for budget in budgets
    ]
    assert {(row["source"], row["seeds"], row["encoder"]) for row in rows} == {("savee", "1", "logmel")}
    assert ran.out.splitlines()[-1] == f"summary: {grids / 'out' / 'recipe.html'}"
    summary = (grids / "out" / "recipe.md").read_text()
    assert "the source is savee without tess" in summary and "Agarla et al. 2024" in summary


def test_a_target_that_is_not_as_it_was_published_is_not_run(cli, grids):
    lines = (grids / "emodb.jsonl").read_text().splitlines(keepends=True)
    (grids / "emodb.jsonl").write_text("".join(lines[1:]))
    ran = cli(*asked(grids, "--seeds", "1", "--only", "studies=many"))
    assert ran.code == 0 and not (grids / "out" / "many" / "emodb-logmel").exists()
    assert any("corpus emodb: not as many" in line and "anger: expected 10, found 9" in line for line in ran.complaints)
    alone = cli(*asked(grids, "--only", "corpora=savee,emodb"))
    assert alone.code == 2 and "nothing can run" in alone.complaints[-1]


def test_a_dry_run_of_grids(cli, grids):
    ran = cli(*asked(grids, "--dry-run", "--only", "studies=few"))
    assert ran.code == 0 and not (grids / "out").exists(), ran.err
    assert ran.out.startswith(
        "grids few emodb logmel\n  source-only, pseudo-labels; target labels 0, 2; frozen encoder"
    )
    assert "0.00 h of audio, 20 of the source and 20 of the target" in ran.out
    assert "4 cells; x 2 seeds x 1 folds: 8 fits" in ran.out
    assert ran.out.splitlines()[-1].startswith("2 grids; the time is not estimated")


def test_grids_are_shown(cli):
    ran = cli("recipe", "show", "agarla2024")
    assert ran.code == 0 and "counts of cafe: anger 144" in ran.out and describe("tess").obtain in ran.out
    (study,) = re.findall(r"study threshold-65\n((?:  .*\n)*)", ran.out)
    assert 'method_options = ["threshold=0.65"]' in study and "learning_rate" not in study
