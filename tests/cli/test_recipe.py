"""`emobridge recipe`: what is here runs, what is not is named with how to get it."""

from __future__ import annotations

import csv
import importlib
import re
import shutil
from dataclasses import asdict, replace
from importlib import resources
from types import SimpleNamespace

import pytest
from numpy.testing import assert_equal

from emobridge.corpora import describe
from emobridge.data.manifest import read_manifest
from emobridge.encoders import presets
from emobridge.recipes.recipe import read_recipe, recipe_names
from emobridge.scores.files import read_scores
from emobridge.settings import Budget, from_mapping, read_mapping

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


@pytest.fixture(autouse=True)
def _stand_ins(stand_ins):
    """Tiny encoders stand for others here."""


@pytest.fixture
def studied(monkeypatch):
    """What the report was asked for, in place of a study."""
    calls = []

    def run_and_report(settings, command, *, strict=False, missing=(), ours=(), title=""):
        calls.append(SimpleNamespace(settings=settings, command=command, strict=strict, missing=missing, title=title))
        return f"report: {settings.out}"

    importlib.import_module("emobridge.recipes.best_layer")  # so that it has the real one, and not for good this one
    monkeypatch.setattr("emobridge.probe.report.run_and_report", run_and_report)
    return calls


@pytest.fixture
def here(recorded, tiny_encoder, tmp_path, monkeypatch):
    """A folder with a recipe, EMO-DB as it is distributed, a manifest for EMOVO, a tiny encoder, and no hub."""

    def refuse(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    (tmp_path / "mine.toml").write_text(RECIPE)
    (tmp_path / "data" / "wav").mkdir(parents=True)
    for row in read_manifest(recorded / "en.jsonl"):
        take = row.id.rpartition("-")[2]
        number = {"a": "03", "b": "08", "c": "09", "d": "10"}[row.speaker]
        name = f"{number}a0{int(take) + 1}{'W' if row.emotion == 'anger' else 'T'}a.wav"
        shutil.copy(row.path, tmp_path / "data" / "wav" / name)
    (tmp_path / "corpora.toml").write_text('emodb = "data"\nemovo = "recorded/xx.jsonl"\n')
    shutil.copytree(tiny_encoder, tmp_path / "tiny-whisper")
    (tmp_path / "encoders.toml").write_text('whisper-base = "tiny-whisper"\n')
    return tmp_path


def arguments(here, *more):
    return (
        "recipe", "run", here / "mine.toml", "--corpora", here / "corpora.toml", "--encoders", here / "encoders.toml",
        "--out", here / "out", "--store", here / "features", *more,
    )  # fmt: skip


def test_list_and_show(cli):
    listed = cli("recipe", "list")
    assert listed.code == 0
    for name in recipe_names():
        assert re.search(rf"^{name}  ", listed.out, re.MULTILINE)
        shown = cli("recipe", "show", name)
        assert shown.code == 0 and "ours" in shown.out
        has_numbers = "  | recipe | table | numbers | beside a score | not run | why |" in shown.out.splitlines()
        assert has_numbers == (name != "serab"), name
    shown = cli("recipe", "show", "han2024-layers")
    assert presets()["wav2vec2-base-de"].where in shown.out and describe("pavoque").obtain in shown.out
    study = shown.out[shown.out.index("study one-speaker") :]
    assert 'corpora = ["pavoque"]' in study and "learning_rates" not in study, "what is shared stands once"
    wrong = cli("recipe", "show", "dasaro")
    assert wrong.code == 2 and "did you mean 'dasaro2024'" in wrong.err


def test_the_rest_runs_and_what_is_missing_is_named(cli, here, studied):
    ran = cli(*arguments(here, "--strict"))
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"report: {here / 'out' / 'inside'}",
        f"scores: {here / 'out' / 'scores.json'}",
        f"table: {here / 'out' / 'summary.csv'}",
        f"summary: {here / 'out' / 'recipe.html'}",
    ]
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
    ran = cli(*arguments(here, "--only", "corpora=emovo", "--only", "heads=linear,single", "--seeds", "5"))
    assert ran.code == 0, ran.err
    assert (studied[0].settings.seeds, studied[0].settings.heads) == (5, ("single", "linear"))
    assert studied[0].settings.corpora == (str(here / "recorded" / "xx.jsonl"),)
    assert not any("cafe" in line or "across" in line for line in studied[0].missing), "it was not asked for"
    ran = cli(*arguments(here, "--only", "heads=single", "--only", "studies=inside", "--only", "encoders=whisper-base"))
    assert ran.code == 0, ran.err
    assert (studied[1].settings.heads, studied[1].settings.head_options) == (("single",), ()), "options of linear alone"
    assert [line for line in studied[1].missing if "encoder" in line] == []


def test_nothing_to_run(cli, here, studied):
    (here / "corpora.toml").write_text('cafe = "nowhere"\nemodb = "recorded"\n')
    ran = cli(*arguments(here))
    assert ran.code == 2 and not studied
    *lines, last = ran.complaints
    assert [line for line in lines if "nowhere: no such folder or manifest. " + describe("cafe").obtain in line]
    assert [line for line in lines if "no file like wav/03a01Fa.wav" in line], "a folder without its files"
    assert last.startswith("emobridge: recipe mine: nothing can run: corpus emodb: ") and "more" in last


def test_a_corpus_that_cannot_be_split_is_named_and_the_rest_runs(cli, here, studied):
    lines = (here / "recorded" / "xx.jsonl").read_text().splitlines(keepends=True)
    (here / "recorded" / "xx.jsonl").write_text("".join(line for line in lines if '"speaker": "a"' in line))
    ran = cli(*arguments(here, "--only", "studies=inside"))
    assert ran.code == 0 and len(studied[0].settings.corpora) == 1
    assert any(line.startswith("corpus emovo: ") and "speaker" in line for line in studied[0].missing)


def test_a_dry_run_counts_and_writes_nothing(cli, here, studied):
    ran = cli(*arguments(here, "--dry-run"))
    assert ran.code == 0, ran.err
    assert not studied and not (here / "out").exists() and not (here / "features").exists()
    assert ran.out.startswith("mine inside\ncorpora\n  emodb: 16 utterances, 4 speakers, 0.00 h, de, anger sadness")
    assert "whisper-base: 3 layers of 16, no frames" in ran.out
    assert "wav2vec2-base: not here (facebook/wav2vec2-base@refs/pr/2 on the hub); 13 layers of 768" in ran.out
    assert re.search(
        r"in all: 0.00 h of audio, 8 units, .* scores; .* on disk, about .*, without what is not here", ran.out
    )
    assert "missing: corpus cafe: " in ran.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--only", "corpora"), "--only 'corpora': expected NAME=VALUE"),
        (("--only", "corpus=emodb"), "unknown key 'corpus': did you mean 'corpora'"),
        (("--only", "corpora=emdob"), "recipe mine: corpora: unknown name 'emdob': did you mean 'emodb'"),
        (("--only", "corpora=emovo", "--only", "studies=across"), "no study has corpora=emovo studies=across"),
        (("--encoder", "whisper-bas=x"), "--encoder: unknown encoder 'whisper-bas': did you mean 'whisper-base'"),
        (("--encoder", "whisper-base"), "--encoder 'whisper-base': expected NAME=FOLDER"),
        (("--seeds", "-1"), "seeds: expected 0 or more, got -1"),
    ],
)
def test_mistakes_on_the_command_line(cli, here, studied, more, message):
    ran = cli(*arguments(here, *more))
    assert ran.code == 2 and message in ran.complaints[-1] and not studied


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('emdob = "data"', "corpora.toml: unknown corpus 'emdob': did you mean 'emodb'"),
        ("emodb = 3", "corpora.toml: emodb: expected a path, got 3"),
        ("emodb = ", "corpora.toml: is not TOML"),
    ],
)
def test_mistakes_in_the_list_of_corpora(cli, here, studied, text, message):
    (here / "corpora.toml").write_text(text)
    ran = cli(*arguments(here))
    assert ran.code == 2 and message in ran.complaints[-1] and not studied


def test_a_real_study_and_its_report(cli, here):
    ran = cli(*arguments(here, "--only", "studies=inside"))
    assert ran.code == 0, ran.err
    joined = read_scores(here / "out" / "scores.json")
    assert joined and {row.run for row in joined} == {"inside"}
    assert [replace(row, run="") for row in joined] == [
        replace(row, run="") for row in read_scores(here / "out" / "inside" / "scores.json")
    ]
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
    (tmp_path / "corpora.toml").write_text(
        "".join(f'{name} = "{name}.jsonl"\n' for name in ("savee", "emodb", "emovo"))
    )
    return tmp_path


def grid_words(grids, *more):
    return (
        "recipe", "run", grids / "grids.toml", "--corpora", grids / "corpora.toml", "--out", grids / "out",
        "--store", grids / "features", *more,
    )  # fmt: skip


@pytest.mark.slow
def test_grids_of_label_budgets_and_their_summary(cli, grids):
    ran = cli(*grid_words(grids, "--seeds", "1"))
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
    joined = read_scores(grids / "out" / "scores.json")
    folders = [f"{study}/{target}-logmel" for study in ("few", "many") for target in ("emodb", "emovo")]
    assert list(dict.fromkeys(row.run for row in joined)) == folders
    alone = read_scores(grids / "out" / folders[1] / "scores.json")
    assert_equal(  # rows without an interval have NaN
        [asdict(replace(row, run=folders[1])) for row in alone],
        [asdict(row) for row in joined if row.run == folders[1]],
    )
    summary = (grids / "out" / "recipe.md").read_text()
    assert "the source is savee without tess" in summary and "Agarla et al. 2024" in summary


def test_a_target_that_is_not_as_it_was_published_is_not_run(cli, grids):
    lines = (grids / "emodb.jsonl").read_text().splitlines(keepends=True)
    (grids / "emodb.jsonl").write_text("".join(lines[1:]))
    ran = cli(*grid_words(grids, "--seeds", "1", "--only", "studies=many"))
    assert ran.code == 0 and not (grids / "out" / "many" / "emodb-logmel").exists()
    assert any("corpus emodb: not as many" in line and "anger: expected 10, found 9" in line for line in ran.complaints)
    alone = cli(*grid_words(grids, "--only", "corpora=savee,emodb"))
    assert alone.code == 2 and "nothing can run" in alone.complaints[-1]


def test_a_dry_run_of_grids(cli, grids):
    ran = cli(*grid_words(grids, "--dry-run", "--only", "studies=few"))
    assert ran.code == 0 and not (grids / "out").exists(), ran.err
    assert ran.out.startswith(
        "grids few emodb logmel\n  source-only, pseudo-labels; target labels 0, 2; frozen encoder"
    )
    assert "0.00 h of audio, 20 of the source and 20 of the target" in ran.out
    assert "4 cells; x 2 seeds x 1 folds: 8 fits" in ran.out
    assert ran.out.splitlines()[-1].startswith("2 grids. Times are rough")
    assert len(re.findall(r"about [\d.]+ (?:s|min|h) of one CPU; [\d.]+ MB on disk at most", ran.out)) == 2


def test_grids_are_shown(cli):
    han = cli("recipe", "show", "han2024-adaptation")
    assert han.code == 0 and "sample of each corpus: 500 utterances of each emotion" in han.out
    assert "subsets = 5" in cli("recipe", "show", "goncalves2024").out
    ran = cli("recipe", "show", "agarla2024")
    assert ran.code == 0 and "counts of cafe: anger 144" in ran.out and describe("tess").obtain in ran.out
    (study,) = re.findall(r"study threshold-65\n((?:  .*\n)*)", ran.out)
    assert '"threshold=0.65"' in study and "learning_rate" not in study


SPEECH = {"msp-podcast": "en", "biic-podcast": "zh-TW", "esd": "zh", "pavoque": "de", "iemocap": "en"}


@pytest.fixture
def staged(tmp_path, source):
    """A function to write a published recipe made small, with manifests of its corpora; all words of a command line.

    Of each corpus 12 utterances an emotion and 6 speakers (PAVOQUE: one), attributes between 1 and 7, and a split.
    """
    import numpy as np
    import soundfile

    from emobridge.data.manifest import write_manifest
    from emobridge.recipes.recipe import read_recipe
    from emobridge.types import Utterance

    def make(name, changes, *, encoders, absent=()):
        rng = np.random.default_rng(0)
        recipe = read_recipe(name)
        places = ""
        for corpus in (material.corpus for material in recipe.corpora if material.corpus not in absent):
            rows = []
            for emotion, loud in (("anger", 0.5), ("happiness", 0.3), ("neutral", 0.1), ("sadness", 0.05)):
                for take in range(12):
                    path = tmp_path / f"{corpus}-{emotion}-{take}.wav"
                    soundfile.write(path, loud * rng.standard_normal(3200), 16000)
                    split = ("train", "validation", "test")[take % 3]
                    speaker = "s" if corpus == "pavoque" else f"{split}{take // 3 % 2}"
                    about = {"language": SPEECH[corpus], "speaker": speaker, "emotion": emotion, "split": split}
                    about |= {key: 1 + 6 * rng.uniform() for key in ("arousal", "valence", "dominance")}
                    rows.append(Utterance(path.stem, corpus, str(path), **about))
            write_manifest(tmp_path / f"{corpus}.jsonl", rows)
            places += f'{corpus} = "{corpus}.jsonl"\n'
        (tmp_path / "corpora.toml").write_text(places)
        text = (resources.files("emobridge.recipes") / f"{name}.toml").read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / f"{name}.toml").write_text(text)
        here = [word for key, kind in encoders.items() for word in ("--encoder", f"{key}={source(kind)}")]
        return (
            "recipe", "run", tmp_path / f"{name}.toml", "--corpora", tmp_path / "corpora.toml", *here,
            "--out", tmp_path / "out", "--store", tmp_path / "features",
        )  # fmt: skip

    return make


GONCALVES = {
    'layer = "24"': 'layer = "2"',
    "epochs = 30": "epochs = 1",
    "seeds = 3": "seeds = 2",
    "subsets = 5": "subsets = 2",
    "lora.r=32": "lora.r=2",
    '"1000", "2000", "5000", "10000", "20000"': '"4", "8"',
}


def summary_of(tmp_path):
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
def test_goncalves_et_al_from_end_to_end(cli, staged, tmp_path):
    arguments = staged("goncalves2024", GONCALVES, encoders={"hubert-large": "hubert-large"})
    english = "msp-podcast-to-biic-podcast"
    only = ("--only", f"studies=tables-{english},low-resource-{english}", "--only", "encoders=hubert-large")
    only = (*only, "--other-sizes")
    ran = cli(*arguments, *only)
    assert ran.code == 0, ran.err
    rows = [row for row in summary_of(tmp_path) if row["measure"] == "CCC valence"]
    cells = {(row["study"].split("-msp")[0], row["method"], row["target_labels"]): row for row in rows}
    assert set(cells) == {
        *(("tables", name, "0") for name in ("source-only", "fine-tuned", "lora")),
        *(("tables", name, "all") for name in ("source-only", "ft-dual", "ft-lora")),
        *(("low-resource", name, n) for name in ("source-only", "ft-lora") for n in ("4", "8", "all")),
    }
    both = cells["tables", "ft-lora", "all"]
    assert (both["target_published"], both["source_published"]) == ("0.388* (ft+lora)", "0.646 (ft+lora)")
    tuned = cells["tables", "fine-tuned", "0"]
    assert (tuned["target_published"], tuned["source_published"]) == ("0.231 (fine-tuned)", "0.645 (fine-tuned)")
    assert cells["tables", "source-only", "all"]["target_published"] == "", "the paper has none with both languages"
    assert cells["low-resource", "ft-lora", "all"]["target_value"] == both["target_value"], (
        "the same stages, read again"
    )
    assert (both["target_n"], both["seeds"]) == ("16", "2"), "the test split"
    (figure,) = [output for output in read_recipe("goncalves2024").outputs if output.name == "Figure 2"]
    pages = list((tmp_path / "out").glob(figure.files))
    assert pages and all(figure.holds in page.read_text() for page in pages)
    folder = tmp_path / "out" / f"tables-{english}" / "biic-podcast-hubert-large"
    page = (folder / "budget.md").read_text()
    assert "the split that the corpora come with" in page and "over 4 values of each" in page
    with (folder / "welch.csv").open(newline="") as file:
        tests = list(csv.DictReader(file))
    assert len(tests) == 15 * 3 * 2, "pairs of six systems, attributes, sides"
    assert all(float(row["difference"]) >= 0 for row in tests) and {row["drawn"] for row in tests} == {"by speakers"}
    changed = page[page.index("## What the last stage changed") : page.index("## What training took")]
    assert changed.count("| ft-lora, all target labels | fine-tuned |") == 6, "three attributes on two sides"
    took = page[page.index("## What training took") :]
    assert re.search(r"\| ft-lora, all target labels \| 2 \| head [\d,]+, lora 896 \|", took), (
        "two blocks: four maps 16 x 16 and two 16 x 32, of rank 2"
    )
    low = (tmp_path / "out" / f"low-resource-{english}" / "biic-podcast-hubert-large" / "budget.html").read_text()
    assert "ft-lora, all labels" in low, "the full data's score is a level"
    stages = list((tmp_path / "out" / "stages").glob("*.safetensors"))
    assert len(stages) == 2 * (3 + 3), "seeds; each method alone, and a second stage for each budget: one fine-tuning"
    before = (tmp_path / "out" / "summary.csv").read_bytes()
    again = cli(*arguments, *only)
    assert again.code == 0 and (tmp_path / "out" / "summary.csv").read_bytes() == before


HAN = {
    "epochs = 100": "epochs = 1",
    "folds = 5": "folds = 2",
    "sample = 500": "sample = 10",
    "items = 12": "items = 2",
    "lora.r=8": "lora.r=2",
    "reduction=16": "reduction=4",
}


@pytest.mark.slow
def test_adaptation_of_han_et_al_from_end_to_end(cli, staged, tmp_path):
    arguments = staged("han2024-adaptation", HAN, encoders={"wav2vec2-base-zh": "wav2vec2-base"}, absent=("iemocap",))
    studies = ",".join(f"{name}-esd-to-pavoque" for name in ("frozen", "lora-ba-wg", "two-stage"))
    ran = cli(*arguments, "--only", "encoders=wav2vec2-base-zh", "--only", f"studies={studies}")
    assert ran.code == 0, ran.err
    rows = summary_of(tmp_path)
    cells = {(row["study"].removesuffix("-esd-to-pavoque"), row["method"]): row for row in rows}
    printed = {key: (row["source_published"], row["target_published"]) for key, row in cells.items()}
    assert printed["frozen", "source-only"] == ("91.4 (frozen)", "62.8 (frozen)"), "mono, and cross"
    assert printed["lora-ba-wg", "lora"] == ("93.9 (lora+ba+wg)", "70.7 (lora+ba+wg)")
    assert printed["two-stage", "two-stage"] == ("", "98.9 (two-stage)"), "trans"
    assert cells["frozen", "source-only"]["target_n"] == "40", "ten utterances an emotion"
    assert cells["frozen", "source-only"]["source_n"] == "20", "half of each fold validates"
    page = (tmp_path / "out" / "recipe.md").read_text()
    matrices = page[page.index("## Confusion matrices") : page.index("## What the paper leaves open")]
    assert "two-stage" not in matrices and "model zh mono" in matrices and "model zh cross" in matrices
    assert "listeners, native de" in matrices and "of which nine are stored" in matrices
    assert matrices.count("4 answers an emotion") == 2, "two items for each of two fold models"
    assert re.search(r"\| happiness \| [\d.]+ \\\[8.0\\\] \|", matrices), "happiness as anger, across, beside ours"
    folder = tmp_path / "out" / "lora-ba-wg-esd-to-pavoque" / "pavoque-wav2vec2-base-zh"
    for name, each in (("confusions", 40), ("items", 16)):
        with (folder / f"{name}.csv").open(newline="") as file:
            counts = [row for row in csv.DictReader(file) if row["side"] == "target" and row["method"] == "lora"]
        assert sum(int(row["count"]) for row in counts) == each
    items = {row.id for row in read_manifest(tmp_path / "out" / "manifests" / "pavoque-items.jsonl")}
    used = [row.id for row in read_manifest(tmp_path / "out" / "manifests" / "pavoque-10.jsonl")]
    assert len(items) == 8 and items <= set(used) and len(used) == 48
    request = from_mapping(read_mapping(folder / "settings.toml"), "settings", Budget)
    assert request.features.layer in ("1", "2") and request.split.by_utterance == ("pavoque",)
    layers = tmp_path / "out" / "layers" / "esd-wav2vec2-base-zh"
    assert (layers / "probe.html").exists() and f"layer {request.features.layer}, the best of {layers}" in ran.out
    probed = {row.id for row in read_manifest(layers / "esd-10.jsonl")}
    assert len(probed) == 40 and not probed & {
        row.id for row in read_manifest(tmp_path / "out" / "manifests" / "esd-items.jsonl")
    }


def test_items_may_be_others(cli, staged, tmp_path):
    arguments = staged("han2024-adaptation", HAN, encoders={"wav2vec2-base-zh": "wav2vec2-base"}, absent=("iemocap",))
    listed = tmp_path / "heard.txt"
    listed.write_text("esd-anger-3\nesd-sadness-7\nesd-anger-3\n")
    only = ("--only", "encoders=wav2vec2-base-zh", "--only", "studies=frozen-esd-to-pavoque")
    ran = cli(*arguments, *only, "--items", f"esd={listed}")
    assert ran.code == 0, ran.err
    written = list(read_manifest(tmp_path / "out" / "manifests" / "esd-items.jsonl"))
    assert [row.id for row in written] == ["esd-anger-3", "esd-sadness-7"]
    for words, message in (
        (("--items", f"esd={tmp_path / 'none.txt'}"), "none.txt: cannot be read"),
        (("--items", "esdd=x"), "--items: unknown corpus 'esdd': did you mean 'esd'"),
        (("--items", "esd"), "--items 'esd': expected NAME=FILE"),
    ):
        ran = cli(*arguments, *only, *words)
        assert message in ran.err, ran.err
    listed.write_text("esd-anger-99\n")
    ran = cli(*arguments, *only, "--items", f"esd={listed}")
    assert "'esd-anger-99' is no utterance of esd that is anger" in ran.err


def test_what_staged_recipes_lack_is_named(cli, staged):
    arguments = staged("han2024-adaptation", HAN, encoders={"wav2vec2-base-zh": "wav2vec2-base"}, absent=("iemocap",))
    ran = cli(*arguments, "--dry-run")
    assert ran.code == 0, ran.err
    assert f"missing: corpus iemocap: no folder is given for it. {describe('iemocap').obtain}" in ran.complaints
    assert any(
        line.startswith("missing: study lora-iemocap-to-esd: none of its source corpora") for line in ran.complaints
    )
    assert "wav2vec2-base-zh" in ran.out and "h of audio" in ran.out
    times = re.findall(r"about ([\d.]+ (?:s|min|h|days)) of one CPU; ([\d.]+ [MG]B) on disk", ran.out)
    assert len(times) == 7 and "encoder wav2vec2-base-de: not here" in ran.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "recipe run: expected --data FOLDER, or --corpora FILE"),
        (("--data", "nowhere"), "nowhere: no such folder; expected one that holds the corpora of recipe serab"),
    ],
)
def test_where_the_data_is(cli, words, message):
    ran = cli("recipe", "run", "serab", *words)
    assert ran.code == 2 and message in ran.complaints[-1]
