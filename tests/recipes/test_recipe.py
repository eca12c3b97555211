"""Recipes: the published settings, names that exist, and a word for what is misspelt."""

from __future__ import annotations

import csv
import re
from importlib import resources

import pytest

from emobridge import registry
from emobridge.corpora import describe, scan
from emobridge.encoders import languages_of, presets
from emobridge.errors import UserError
from emobridge.recipes.published import AGARLA, DASARO, FIVE, FOUR, HAN, published, table
from emobridge.recipes.recipe import Counts, names, read_recipe

MINE = """
paper = "Somebody 2020"
citation = "Somebody (2020). Something."
tables = ["Table 1"]
measure = "UA"
[corpora.emodb]
[corpora.iemocap]
improvised = true
[probe]
encoders = ["whisper-base"]
epochs = 3
[[study]]
name = "one"
corpora = ["emodb"]
[[study]]
name = "both"
epochs = 4
scratch = ["ast"]
[ours]
seeds = "3"
"""


@pytest.fixture
def written(tmp_path):
    def write(text=MINE, name="mine.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_what_dasaro_et_al_published():
    recipe = read_recipe("dasaro2024")
    (part,) = recipe.parts
    asked = part.settings
    rows = csv.DictReader((resources.files("emobridge.recipes") / "dasaro2024_corpora.csv").read_text().splitlines())
    assert sorted(asked.corpora) == sorted(row["corpus"].lower() for row in rows)
    assert [presets()[name].hub.partition("/")[2] for name in asked.encoders] == [
        "wav2vec2-base", "wav2vec2-large", "wav2vec2-xls-r-300m", "whisper-small.en", "whisper-small", "whisper-medium",
    ]  # fmt: skip
    assert recipe.encoders[-1] == "ast" and part.settings.scratch == ("ast",)
    assert (asked.heads, asked.layers) == (("linear", "nonlinear", "multilayer"), ("last",))
    assert (asked.epochs, asked.learning_rates, asked.weight_decay) == (30, (5e-4,), 1e-4)
    assert (asked.betas, asked.eps, asked.patience) == ((0.9, 0.98), 1e-8, 0)
    assert (asked.split, asked.share_speakers, asked.labels, asked.sample) == ("80/10/10", False, (), 0)
    assert "hidden=256" in asked.head_options and set(asked.settings) == {"mono", "trans"}
    assert not asked.class_weights and "class_weights" in dict(recipe.ours) and "batch_size" in dict(recipe.ours)


def test_what_han_et_al_published():
    recipe = read_recipe("han2024-layers")
    assert {part.name: (part.settings.corpora, part.settings.settings) for part in recipe.parts} == {
        "by-speaker": (("esd", "iemocap"), ("mono", "trans")),
        "one-speaker": (("pavoque",), ("mono", "trans")),
        "cross": (("esd", "pavoque", "iemocap"), ("cross",)),
    }
    for part in recipe.parts:
        asked = part.settings
        assert set(asked.labels) == {"anger", "happiness", "neutral", "sadness"}
        assert (asked.heads, asked.layers) == (("single",), ("all",))
        assert (asked.learning_rates, asked.eps, asked.weight_decay, asked.batch_size) == ((1e-4,), 1e-8, 1e-5, 32)
        assert (asked.epochs, asked.patience, asked.folds, asked.betas) == (100, 10, 5, (0.9, 0.999))
        train, held = 0.8 * asked.sample, 0.1 * asked.sample * len(asked.labels)
        assert (asked.split, train, held) == ("80/10/10", 400, 200)
        assert asked.share_speakers == ("pavoque" in asked.corpora)
        assert [languages_of(name) for name in asked.encoders] == [("zh",), ("de",), ("en",)]
    assert {one.corpus: dict(one.options) for one in recipe.corpora} == {
        "esd": {"language": "zh"},
        "pavoque": {},
        "iemocap": {"improvised": True, "excited": "separate"},
    }
    assert "ONE speaker" in dict(recipe.ours)["one-speaker"]


def test_what_agarla_et_al_published():
    recipe = read_recipe("agarla2024")
    assert recipe.adapts and set(recipe.encoders) == {"emotion-cnn", "byol-s", "hubert-base"}
    for part in recipe.parts:
        study, base = part.settings, part.settings.base
        assert (base.source, study.targets) == (("ravdess", "savee", "tess"), ("cafe", "emodb", "emovo", "shemo"))
        assert (base.epochs, base.batch_size, base.learning_rate, base.decay) == (100, 100, 1e-3, 0.95)
        assert (base.seeds, base.folds, base.patience, base.validate, base.align) == (3, 0, 100, "both", "none")
        assert set(base.labels) == (set(FOUR) if part.name.startswith("others") else set(FIVE))
        assert (base.train == "end-to-end") == (study.encoders == ("emotion-cnn",)) and base.crop == 2.0
    options = {part.name: part.settings.base.method_options for part in recipe.parts}
    assert {options[f"threshold-{tau}"] for tau in (50, 65, 85)} == {(f"threshold={t}",) for t in (0.5, 0.65, 0.85)}
    assert "rebalance=false" in options["without-rebalancing"]
    assert recipe.parts[2].settings.budgets == ("0", "25", "50", "100", "all")
    printed = {row.method for row in published() if row.study == AGARLA}
    besides = {word for part in recipe.parts for _, words in part.settings.beside for word in words}
    assert besides == printed, "every printed method stands beside something"


def test_the_counts_are_the_printed_ones_but_for_two_that_were_swapped():
    recipe = read_recipe("agarla2024")
    rows = table("agarla2024_emotions")
    assert len(rows) == len(recipe.counts) == 5
    for row, counts in zip(rows, recipe.counts, strict=True):
        assert counts.corpora == tuple(name.lower().replace("-", "") for name in row["corpora"].split())
        if row["language"] in ("en", "fr"):
            row["neutral"], row["sadness"] = row["sadness"], row["neutral"]
        assert {emotion: str(count) for emotion, count in counts.emotions} == {one: row[one] for one in FIVE}
    assert "the other way round" in dict(recipe.ours)["counts"]


@pytest.mark.parametrize("name", names())
def test_every_name_in_a_recipe_exists(name, tmp_path):
    recipe = read_recipe(name)
    assert recipe.paper in {row.study for row in published()} and recipe.tables and recipe.ours
    for one in recipe.corpora:
        assert describe(one.corpus).obtain
        scan(one.corpus, tmp_path, **dict(one.options))  # it looks at its options at once
        assert any(one.corpus in part.settings.corpora for part in recipe.parts)
    for part in recipe.parts:
        assert set(part.encoders) <= {*presets(), *registry.names("encoders")}
        if not recipe.adapts:
            assert set(part.settings.scratch) <= set(registry.names("encoders"))
            assert set(part.settings.heads) <= set(registry.names("heads"))


def test_the_recipes_are_of_these_studies():
    expected = {"agarla2024": AGARLA, "dasaro2024": DASARO, "han2024-layers": HAN}
    assert {name: read_recipe(name).paper for name in names()} == expected


def test_studies_share_settings_and_override_them(written):
    recipe = read_recipe(written())
    assert recipe.name == "mine" and recipe.encoders == ("whisper-base", "ast")
    one, both = recipe.parts
    assert (one.settings.corpora, one.settings.epochs, one.settings.scratch) == (("emodb",), 3, ())
    assert (both.settings.corpora, both.settings.epochs, both.settings.scratch) == (("emodb", "iemocap"), 4, ("ast",))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("measure =", "mesure =", "unknown key 'mesure': did you mean 'measure'"),
        ("epochs = 3", "epoch = 3", "study one: unknown key 'epoch': did you mean 'epochs'"),
        (
            "epochs = 4",
            "lerning_rates = [1e-3]",
            "study both: unknown key 'lerning_rates': did you mean 'learning_rates'",
        ),
        ("epochs = 4", "epochs = 0", "study both: epochs: expected 1 or more"),
        ("epochs = 4", 'epochs = "4"', "study both: epochs: expected int, got '4'"),
        ("epochs = 4", 'out = "there"', "study both: out is for the command line"),
        ("[corpora.emodb]", "[corpora.emdob]", "unknown corpus 'emdob': did you mean 'emodb'"),
        ('["emodb"]', '["esd"]', "study one: unknown corpus 'esd'"),
        ("improvised = true", "improvised = [1]", "corpora.iemocap.improvised: expected a word"),
        ('seeds = "3"', "seeds = 3", "ours.seeds: expected a text, got 3"),
        ('tables = ["Table 1"]', 'tables = "Table 1"', "tables: expected a list of words"),
        ('["ast"]', '"ast"', "study both: scratch: expected a list of words"),
        ('name = "both"', 'name = "one"', "study: two have the name 'one'"),
        ('name = "both"', 'name = "../both"', "study: expected a name in small letters"),
        ('paper = "Somebody 2020"', "", "the key 'paper' is missing"),
        ("[[study]]", "[[studies]]", "unknown key 'studies': did you mean 'study'"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(written, old, new, said):
    assert old in MINE
    path = written(MINE.replace(old, new))
    with pytest.raises(UserError, match="^" + re.escape(f"{path}: {said}")) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_told_the_nearest():
    with pytest.raises(UserError, match="unknown recipe 'dasaro': did you mean 'dasaro2024'"):
        read_recipe("dasaro")
    with pytest.raises(UserError, match=r"nowhere\.toml: cannot be read"):
        read_recipe("nowhere.toml")


ADAPT = """
paper = "Somebody 2020"
citation = "Somebody (2020). Something."
tables = ["Table 1"]
measure = "UA"
[corpora.emodb]
[corpora.emovo]
[corpora.savee]
[adapt]
source = ["savee"]
targets = ["emodb", "emovo"]
labels = ["anger", "sadness"]
methods = ["pseudo-labels"]
budgets = ["0", "all"]
normalise = ["none"]
epochs = 3
[[study]]
name = "one"
encoders = ["logmel"]
[study.beside]
pseudo-labels = ["theirs"]
[[study]]
name = "two"
targets = ["emovo"]
encoders = ["byol-s", "logmel"]
epochs = 4
[[counts]]
corpora = ["savee"]
anger = 60
[ours]
seeds = "3"
"""


def test_a_recipe_of_grids(written):
    recipe = read_recipe(written(ADAPT))
    one, two = recipe.parts
    assert recipe.adapts and recipe.encoders == ("logmel", "byol-s") and recipe.systems == ("pseudo-labels",)
    assert one.settings.corpora == ("savee", "emodb", "emovo") and two.settings.corpora == ("savee", "emovo")
    assert (one.settings.base.epochs, two.settings.base.epochs) == (3, 4)
    assert (one.settings.beside, two.settings.beside) == ((("pseudo-labels", ("theirs",)),), ())
    assert recipe.counts == (Counts(("savee",), (("anger", 60),)),)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs = 4", "epoch = 4", "study two: unknown key 'epoch': did you mean 'epochs'"),
        ("epochs = 4", 'target = "emovo"', "study two: unknown key 'target': did you mean 'targets'"),
        ("epochs = 4", 'heads = ["single"]', "study two: unknown key 'heads': did you mean 'head'"),
        ("epochs = 4", 'store = "there"', "study two: store is for the command line"),
        ("epochs = 4", "epochs = 0", "study two: epochs: expected 1 or more"),
        ("epochs = 4", 'train = "end-to-end"', "study two: align: 'coral' works on frozen features"),
        (
            'methods = ["pseudo-labels"]',
            'methods = ["pseudo-label"]',
            "study one: methods: unknown name",
        ),
        ('methods = ["pseudo-labels"]\n', "", "study one: the key 'methods' is missing"),
        ('budgets = ["0", "all"]', "budgets = [0, 25]", "study one: budgets: expected a list of words"),
        (
            'budgets = ["0", "all"]',
            'budgets = ["0", "few"]',
            "study one: budgets: expected numbers in quotes",
        ),
        ('budgets = ["0", "all"]', 'budgets = ["0", "0"]', "study one: budgets: 0 stands twice"),
        (
            'normalise = ["none"]',
            'normalise = ["nun"]',
            "study one: normalise: unknown name 'nun'",
        ),
        ('targets = ["emovo"]', 'targets = ["savee"]', "study two: savee is among the targets and in the source"),
        ('targets = ["emovo"]', 'targets = ["emo"]', "study two: unknown corpus 'emo'"),
        ('pseudo-labels = ["theirs"]', 'pseudo = ["theirs"]', "study one: beside: unknown method 'pseudo'"),
        ("[adapt]", "[probe]", "counts: are checked for [adapt] only"),
        ("[adapt]", "[probe]\n[adapt]", "expected one of [probe] and [adapt], got probe and adapt"),
        ("anger = 60", 'anger = "60"', "counts of savee: anger: expected a number, got '60'"),
        ("anger = 60", "angre = 60", "counts of savee: unknown emotion 'angre': did you mean 'anger'"),
        ('corpora = ["savee"]', 'corpora = ["save"]', "counts: unknown corpus 'save': did you mean 'savee'"),
    ],
)
def test_what_is_wrong_with_a_recipe_of_grids_is_named(written, old, new, said):
    assert old in ADAPT
    path = written(ADAPT.replace(old, new))
    with pytest.raises(UserError, match="^" + re.escape(f"{path}: {said}")) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)
