"""One question, one answer: `adapt`, `budget` and a recipe give the same scores to the last bit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from emobridge.scores.files import read_scores
from emobridge.scores.harm import AGREEMENT
from emobridge.study.adapt import adapt
from emobridge.study.budget import budget
from emobridge.study.calibration import calibrations_of
from emobridge.training import stages

RECIPE = """
paper = "Somebody 2020"
citation = "Somebody (2020). Something."
tables = ["Table 1"]
measure = "UA"
[corpora.savee]
[corpora.emodb]
[adapt]
source = ["savee"]
targets = ["emodb"]
encoders = ["{encoder}"]
labels = ["anger", "sadness"]
methods = ["{method}"]
budgets = ["{target_labels}"]
normalise = ["{normalise}"]
layer = "{layer}"
seeds = 2
folds = 2
epochs = 4
{more}
[[study]]
name = "only"
[ours]
seeds = "2"
"""
QUESTIONS = {
    "no label, the defaults": {"method": "pseudo-labels"},
    "a head that is not the baseline's": {"method": "dann"},
    "a head for both": {"method": "dann", "head": "linear", "head_options": ["hidden=5"]},
    "some labels": {"method": "pseudo-labels", "target_labels": "2"},
    "all labels": {"method": "nnpm", "target_labels": "all", "normalise": "corpus"},
    "the baseline": {"method": "source-only", "normalise": "none", "align": "none"},
    "an epoch that validation chooses": {"method": "soft-pseudo-labels", "patience": 2, "decay": 0.5},
    "a layer that the source chooses": {"method": "dann", "encoder": "whisper-base", "layer": "auto"},
    "an encoder that is trained": {"method": "fine-tuned", "encoder": "whisper-base", "normalise": "none"},
}


def toml(value):
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else f'"{value}"'.replace("'", '"')


@pytest.fixture
def ask(cli, recorded, tiny_encoder, tmp_path):
    """A function to put one question to every command: the rows of each scores.json without the name of the run.

    options: of `adapt`; the tiny encoder stands for whisper-base.
    """

    def run(**options):
        shared = {"source": [str(recorded / "en.jsonl")], "target": str(recorded / "xx.jsonl")}
        shared |= {
            "labels": ["anger", "sadness"],
            "seeds": 2,
            "folds": 2,
            "epochs": 4,
            "store": str(tmp_path / "store"),
        }
        shared |= options
        if shared.get("encoder") == "whisper-base":
            shared["encoder"] = str(tiny_encoder)
        method, amount = options["method"], options.get("target_labels", "0")
        adapt(**shared, out=str(tmp_path / "adapt"))
        lists = {"methods": [method], "budgets": [amount]}
        if "normalise" in options:
            lists["normalisations"] = [options["normalise"]]
        others = {key: value for key, value in shared.items() if key not in ("method", "target_labels", "normalise")}
        budget(**others | lists, out=str(tmp_path / "budget"))
        recipe(options, amount)
        folders = {name: tmp_path / name for name in ("adapt", "budget")}
        folders["recipe"] = tmp_path / "recipe" / "only" / f"emodb-{options.get('encoder', 'logmel')}"
        rows = {name: read_scores(folder / "scores.json") for name, folder in folders.items()}
        truths = {name: [row for row in scores if row.measure != AGREEMENT] for name, scores in rows.items()}
        return {name: [replace(row, run="") for row in scores] for name, scores in truths.items()}

    def recipe(options, amount):
        names = ("method", "target_labels", "normalise", "encoder", "layer")
        more = "".join(
            f"{key} = {toml(value) if isinstance(value, (str, list)) else value}\n"
            for key, value in options.items()
            if key not in names
        )
        defaults = {"encoder": "logmel", "normalise": "speaker", "layer": "middle", "target_labels": amount}
        (tmp_path / "small.toml").write_text(RECIPE.format(**defaults | options, more=more))
        (tmp_path / "corpora.toml").write_text('savee = "recorded/en.jsonl"\nemodb = "recorded/xx.jsonl"\n')
        encoder = ("--encoder", f"whisper-base={tiny_encoder}") if "encoder" in options else ()
        words = ("recipe", "run", tmp_path / "small.toml", "--corpora", tmp_path / "corpora.toml", *encoder)
        ran = cli(*words, "--out", tmp_path / "recipe", "--store", tmp_path / "store")
        assert ran.code == 0, ran.err

    return run


# Each option of a slow one stands in one of the others too, or is decided before the commands part.
SLOW = ("a head that is not the baseline's", "all labels", "the baseline", "a layer that the source chooses")


@pytest.mark.parametrize(
    "question", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in QUESTIONS]
)
def test_every_command_gives_the_same_scores(ask, question):
    options = QUESTIONS[question]
    answers = ask(**options)
    methods = {row.method for row in answers["adapt"]}
    assert methods == {"source-only", options["method"]}
    assert {row.seed for row in answers["adapt"]} == {"0", "1", "all"}
    for name in ("budget", "recipe"):
        assert answers[name] == answers["adapt"], name


def test_the_baseline_does_not_depend_on_what_is_tried_beside_it(recorded, tmp_path):
    shared = {"source": [str(recorded / "en.jsonl")], "target": str(recorded / "xx.jsonl"), "seeds": 1, "folds": 2}
    shared |= {"labels": ["anger", "sadness"], "epochs": 3, "store": str(tmp_path / "store")}
    for method in ("source-only", "dann", "fluda"):
        adapt(**shared, method=method, out=str(tmp_path / method))
    methods = ["dann", "fluda", "pseudo-labels"]
    budget(**shared, methods=methods, budgets=["0", "2"], normalisations=["none", "speaker"], out=str(tmp_path / "all"))

    def baseline(folder):
        rows = read_scores(tmp_path / folder / "scores.json")
        key = "source-only", "0", "speaker+coral"
        return [replace(row, run="") for row in rows if (row.method, row.target_labels, row.normalisation) == key]

    assert baseline("source-only")
    for folder in ("dann", "fluda", "all"):
        assert baseline(folder) == baseline("source-only")


def test_a_second_method_in_the_same_folder_reads_the_baseline(recorded, tmp_path, monkeypatch):
    fits, build = Counter(), stages.build

    def count(speech, fold, case, method, *args, **options):
        fits[method.name] += 1
        return build(speech, fold, case, method, *args, **options)

    monkeypatch.setattr(stages, "build", count)
    shared = {"source": [str(recorded / "en.jsonl")], "target": str(recorded / "xx.jsonl"), "seeds": 2, "folds": 2}
    shared |= {"labels": ["anger", "sadness"], "epochs": 3, "store": str(tmp_path / "store")}
    out = str(tmp_path / "run")
    adapt(**shared, method="dann", out=out)
    assert fits == {"source-only": 4, "dann": 4 + 1}, "seeds x folds, and the bundle's own fit"
    first = read_scores(tmp_path / "run" / "scores.json")
    fits.clear()
    adapt(**shared, method="fluda", out=out)
    assert fits == {"fluda": 4 + 1}, "the baseline is not trained again"
    second = read_scores(tmp_path / "run" / "scores.json")
    assert [row for row in first if row.method == "source-only"] == [
        row for row in second if row.method == "source-only"
    ]
    fits.clear()
    budget(**shared, methods=["dann", "fluda"], budgets=["0"], out=out)
    assert not fits, "a budget of the same folder reads them all"
    adapt(**shared, method="dann", out=out)
    assert fits == {"dann": 1}, "the bundle's"


def test_adapt_and_budget_are_as_confident(recorded, tmp_path):
    shared = {"source": [str(recorded / "en.jsonl")], "target": str(recorded / "xx.jsonl"), "seeds": 2, "folds": 2}
    shared |= {"labels": ["anger", "sadness"], "store": str(tmp_path / "store")}
    adapted = adapt(**shared, method="blend", harm_sign="always", out=str(tmp_path / "adapt"))
    grid = budget(**shared, methods=["blend"], budgets=["0"], out=str(tmp_path / "budget"))
    assert adapted.agreed[adapted.system] > 0
    assert grid.agreed == adapted.agreed
    trust = [calibrations_of(run.speech, run.request.split, run.answers, run.agreed) for run in (adapted, grid)]
    assert trust[0] == trust[1]
