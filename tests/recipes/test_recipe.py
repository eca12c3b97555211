"""Recipes: the published settings, names that exist, and a word for what is misspelt."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from importlib import resources

import pytest

from emobridge import registry
from emobridge.corpora import scan
from emobridge.encoders import languages_of, presets
from emobridge.errors import UserError
from emobridge.formats import import_
from emobridge.literature.agarla2024 import AGARLA
from emobridge.literature.benchmarks import CAMEO, EMOBOX
from emobridge.literature.dasaro2024 import DASARO
from emobridge.literature.goncalves2024 import GONCALVES
from emobridge.literature.han2024 import HAN
from emobridge.literature.published import corpus_key, published, published_confusions
from emobridge.literature.record import FIVE, FOUR, SIX, read_table
from emobridge.literature.upadhyay2024 import UPADHYAY
from emobridge.options import read_options
from emobridge.probe.scratch import untrained
from emobridge.probe.scratch_training import training_of
from emobridge.recipes.accounting import scores_by_number
from emobridge.recipes.recipe import CorpusCounts, read_recipe, recipe_names
from emobridge.types import ATTRIBUTES

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
    (part,) = recipe.studies
    settings = part.settings
    rows = csv.DictReader((resources.files("emobridge.literature") / "dasaro2024_corpora.csv").read_text().splitlines())
    assert sorted(settings.corpora) == sorted(row["corpus"].lower() for row in rows)
    assert [presets()[name].hub.partition("/")[2] for name in settings.encoders] == [
        "wav2vec2-base", "wav2vec2-large", "wav2vec2-xls-r-300m", "whisper-small.en", "whisper-small", "whisper-medium",
    ]  # fmt: skip
    assert recipe.encoders[-1] == "ast" and part.settings.scratch == ("ast",)
    assert (settings.heads, settings.layers) == (("linear", "nonlinear", "multilayer"), ("last",))
    assert (settings.epochs, settings.learning_rates, settings.weight_decay) == (30, (5e-4,), 1e-4)
    assert (settings.betas, settings.eps, settings.batch_size) == ((0.9, 0.98), 1e-8, 32)
    assert (settings.split, settings.share_speakers, settings.labels, settings.sample) == ("80/10/10", False, (), 0)
    assert {"hidden=256", "dropout=0.1"} <= set(settings.head_options)
    assert set(settings.settings) == {"mono", "trans"} and settings.normalise == ("raw",)
    # PEFT-SER's, which the paper takes over.
    assert (settings.class_weights, settings.patience, settings.validate_by) == (True, settings.epochs, "ua")
    assert (settings.plateau, settings.plateau_factor, settings.least_rate, settings.longest) == (5, 0.5, 5e-5, 6.0)
    assert "unknown" not in " ".join(dict(recipe.ours).values())


def test_the_sizes_of_the_corpora_are_those_that_dasaro_et_al_print():
    counts = {entry.corpora[0]: (entry.utterances, entry.classes) for entry in read_recipe("dasaro2024").counts}
    printed = {
        row["corpus"].lower(): (int(row["utterances"]), int(row["emotions"]))
        for row in read_table("dasaro2024_corpora")
    }
    assert printed.pop("demos") == (9697, 7) and counts.pop("demos") == (9697, 8), "of seven emotions and neutral"
    assert counts == printed


def test_an_ast_is_trained_by_its_own_recipe():
    """Gong et al. 2021, egs/speechcommands, and not by the probes' hyper-parameters."""
    (part,) = read_recipe("dasaro2024").studies
    training = training_of(part.settings)
    assert (training.epochs, training.batch_size, training.learning_rate, training.weight_decay) == (
        30,
        128,
        2.5e-4,
        5e-7,
    )
    assert (training.beta1, training.beta2, training.mixup, training.loss) == (0.95, 0.999, 0.6, "binary")
    plan = training.plan(training.learning_rate)
    assert [plan.rate_share(epoch) for epoch in (0, 4, 5, 6)] == pytest.approx([1, 1, 0.85, 0.85**2])
    encoder = untrained(part.settings, "ast", seed=0)
    assert encoder.masks == (48, 48) and encoder.token_norm is not None
    assert (encoder.width, encoder.layers - 1, len(encoder.model.layers[0].attention.q_proj.weight)) == (768, 12, 768)
    assert encoder.model.config.num_attention_heads == 12


def test_what_han_et_al_published():
    recipe = read_recipe("han2024-layers")
    assert {part.name: (part.settings.corpora, part.settings.settings) for part in recipe.studies} == {
        "by-speaker": (("esd", "iemocap"), ("mono", "trans")),
        "one-speaker": (("pavoque",), ("mono", "trans")),
        "cross": (("esd", "pavoque", "iemocap"), ("cross",)),
    }
    for part in recipe.studies:
        settings = part.settings
        assert set(settings.labels) == {"anger", "happiness", "neutral", "sadness"}
        assert (settings.heads, settings.layers) == (("single",), ("all",))
        assert (settings.learning_rates, settings.eps, settings.weight_decay, settings.batch_size) == (
            (1e-4,),
            1e-8,
            1e-5,
            32,
        )
        assert (settings.epochs, settings.patience, settings.folds, settings.betas) == (100, 10, 5, (0.9, 0.999))
        train, held = 0.8 * settings.sample, 0.1 * settings.sample * len(settings.labels)
        assert (settings.split, train, held) == ("halved", 400, 200)
        assert not settings.share_speakers and settings.by_utterance == ("pavoque",), "ESD and IEMOCAP by speaker"
        assert [languages_of(name) for name in settings.encoders] == [("zh",), ("de",), ("en",)]
    assert {material.corpus: dict(material.options) for material in recipe.corpora} == {
        "esd": {"language": "zh"},
        "pavoque": {},
        "iemocap": {"improvised": True, "excited": "separate"},
    }
    assert "ONE speaker" in dict(recipe.ours)["one-speaker"]


@pytest.mark.parametrize("name", ["agarla2024", "agarla2024-frozen"])
def test_what_agarla_et_al_published(name):
    recipe = read_recipe(name)
    frozen = name.endswith("frozen")
    assert recipe.variant_of == ("agarla2024" if frozen else "")
    assert recipe.adapts and set(recipe.encoders) == {"byol-s-1024", "hubert-base"} | (
        set() if frozen else {"emotion-cnn"}
    )
    for part in recipe.studies:
        study, request = part.settings, part.settings.request
        split, training, system = request.split, request.training, request.system
        assert (study.source, study.targets) == (("ravdess", "savee", "tess"), ("cafe", "emodb", "emovo", "shemo"))
        assert (training.epochs, training.batch_size, training.learning_rate, training.decay) == (100, 100, 1e-3, 0.95)
        assert (split.seeds, split.folds, split.serab, training.patience, training.validate) == (
            3,
            0,
            True,
            100,
            "both",
        )
        assert (request.features.align, request.normalisations, request.data.pool) == ("none", ("none",), "closed")
        assert set(study.labels) == (set(FOUR) if part.name.startswith("others") else set(FIVE))
        assert system.train == ("frozen" if frozen else "end-to-end") and training.crop == 2.0
        assert not training.class_weights and "input_dropout=0" in system.head_options
        clip = ("standardisation=clip",)
        assert request.features.encoder_options == (clip if study.encoders == ("byol-s-1024",) else ())
    options = {part.name: read_options(part.settings.request.system.method_options) for part in recipe.studies}
    of_hubert = options["hubert"]
    assert of_hubert.items() >= {"interval": "30", "rounds": "expand", "even": "no"}.items(), "W, and K' as a union"
    assert of_hubert.items() >= {"mixup": "1", "all_classes": "0.8", "sureness": "0.4"}.items(), "uniform; R_A and R_H"
    assert [options[f"threshold-{tau}"]["threshold"] for tau in (65, 85)] == ["0.65", "0.85"], (
        "0.50 is the method's own"
    )
    assert options["without-rebalancing"]["rebalance"] == "false" and options["others-dann"] == {"strength": "1"}
    budgets = {part.name: part.settings.request.budgets for part in recipe.studies}
    assert budgets["hubert"] == ("0", "25", "50", "100") and budgets["hubert-all-labels"] == ("all",)
    assert {budgets[name] for name in ("threshold-65", "threshold-85", "without-rebalancing")} == {("100",)}
    assert {budgets[name] for name in budgets if name.startswith("others")} == {("0",)}
    assert not any("unknown" in text for _, text in recipe.ours), "the paper says it, or is silent"


def test_where_the_numbers_of_agarla_et_al_stand():
    stands = {}
    for row, cell in numbers(read_recipe("agarla2024")):
        stands.setdefault(row.table, set()).add((cell.system, cell.budget, cell.measure))
    assert stands == {
        "Table 4": {("source-only", "0", "WA")},
        "Table 5": {("source-only", "0", "WA"), ("source-only", "all", "WA")},
        "Table 6": {(name, "0", "WA") for name in ("dann", "nnpm", "pseudo-labels")},
        "Table 7": {("pseudo-labels", "100", "WA")},
        "Table 8": {("pseudo-labels", "100", "WA")},
    }


def numbers(recipe):
    """Each published number of a recipe with the score that it stands beside."""
    rows = {row.id: row for row in published()}
    return [(rows[key], cell) for key, cells in scores_by_number(recipe).items() if key in rows for cell in cells]


def test_what_goncalves_et_al_published():
    recipe = read_recipe("goncalves2024")
    assert {(part.settings.source, part.settings.targets) for part in recipe.studies} == {
        (("msp-podcast",), ("biic-podcast",)),
        (("biic-podcast",), ("msp-podcast",)),
    }
    for part in recipe.studies:
        request, training = part.settings.request, part.settings.request.training
        assert part.settings.encoders == ("hubert-large", "wavlm-large")
        assert (request.data.labels, set(request.data.attributes)) == ((), set(ATTRIBUTES))
        assert (request.system.head, request.split.predefined) == ("attentive", True)
        assert (training.epochs, training.learning_rate, training.decay, training.batch_size) == (30, 1e-5, 1.0, 32)
        assert set(request.system.adapter_options) == {"lora.r=32", "lora.alpha=64", "lora.dropout=0.05"}
    tables, low = (part.settings for part in recipe.studies[::2])
    assert tables.methods == ("source-only", "fine-tuned", "lora", "ft-dual", "ft-lora")
    assert low.request.budgets == ("1000", "2000", "5000", "10000", "20000", "all") and low.methods == ("ft-lora",)
    at = {row.id: cell for row, cell in numbers(recipe)}
    assert len(at) == len(read_table("goncalves2024_lora_ccc")) == 120
    across = at["goncalves2024/table-2/biic/ft-dual/wavlm-large/valence"]
    assert (across.source, across.target, across.side, across.budget) == (
        "msp-podcast",
        "biic-podcast",
        "target",
        "all",
    )
    both_languages = at["goncalves2024/table-1/msp/ft-dual/wavlm-large/valence"]
    assert both_languages == replace(across, side="source"), "the first language after the second one"
    alone = at["goncalves2024/table-1/msp/fine-tuned/wavlm-large/valence"]
    assert (alone.source, alone.side, alone.budget) == ("msp-podcast", "source", "0")


def test_what_han_et_al_published_of_adaptation():
    recipe = read_recipe("han2024-adaptation")
    assert (recipe.sample, recipe.items) == (500, 12)
    for part in recipe.studies:
        request, system = part.settings.request, part.settings.request.system
        split, training = request.split, request.training
        assert (split.share_speakers, split.by_utterance, split.halved, split.folds) == (False, ("pavoque",), True, 5)
        assert (training.batch_size, training.epochs, training.learning_rate, training.decay) == (16, 100, 1e-4, 1)
        assert (training.weight_decay, training.patience, training.validate_by) == (1e-5, 10, "loss")
        assert training.validate == ("both" if "two-stage" in part.name else "source")
        assert part.settings.layer_from == "han2024-layers", "not a layer that is fixed"
        if "frozen" not in part.name:
            assert set(system.adapter_options) >= {"lora.r=8", "lora.alpha=16", "lora.dropout=0.1"}
        if "ba-wg" in part.name or "two-stage" in part.name:
            assert system.adapters == "lora+bottleneck+gating" and "bottleneck.reduction=16" in system.adapter_options
    found = [(row, cell) for row, cell in numbers(recipe) if row.table == "Table I"]
    assert len(found) == len(read_table("han2024_peft_ua")) == 26
    for row, cell in found:
        setting = row.note.split(";")[0].removeprefix("setting ")
        inside = setting == "mono" or (setting == "trans" and row.method != "two-stage")
        assert cell.side == ("source" if inside else "target") and cell.encoder == row.encoder
    assert "ONE speaker" in dict(recipe.ours)["one-speaker"]
    models = {matrix.id: matrix.setting for matrix in published_confusions()}
    beside = [(models[key], *cells) for key, cells in scores_by_number(recipe).items() if key in models]
    assert [(setting, cell.source, cell.side) for setting, cell in beside] == [
        ("mono", "esd", "source"), ("cross", "esd", "target"), ("trans", "iemocap", "source"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["han2024-layers", "han2024-adaptation"])
def test_nothing_that_han_et_al_say_is_called_unknown(name):
    assert not [key for key, text in read_recipe(name).ours if "unknown" in text]


def test_the_matrices_of_table_iii():
    models = [matrix for matrix in published_confusions() if matrix.who == "model"]
    assert len(models) == 3 and {(matrix.source, matrix.target) for matrix in models} == {
        ("esd", "esd"), ("esd", "pavoque"), ("iemocap", "iemocap"),
    }  # fmt: skip
    assert len(published_confusions()) == len({row["condition"] for row in read_table("han2024_confusion")}) == 9
    for matrix in published_confusions():
        assert matrix.labels == FOUR and all(abs(sum(row) - 1) < 0.03 for row in matrix.shares), (
            "rows truth, as printed"
        )
    cross = next(matrix for matrix in models if matrix.setting == "cross")
    assert cross.shares[1] == (0.08, 0.18, 0.51, 0.22), "happiness, heard as neutral"


def test_the_counts_are_the_printed_ones_but_for_two_that_were_swapped():
    recipe = read_recipe("agarla2024")
    rows = read_table("agarla2024_emotions")
    assert len(rows) == len(recipe.counts) == 5
    for row, counts in zip(rows, recipe.counts, strict=True):
        assert counts.corpora == tuple(name.lower().replace("-", "") for name in row["corpora"].split())
        if row["language"] in ("en", "fr"):
            row["neutral"], row["sadness"] = row["sadness"], row["neutral"]
        assert {emotion: str(count) for emotion, count in counts.emotions} == {
            emotion: row[emotion] for emotion in FIVE
        }
    assert "the other way round" in dict(recipe.ours)["counts"]


@pytest.mark.parametrize("name", recipe_names())
def test_every_name_in_a_recipe_exists(name, tmp_path):
    recipe = read_recipe(name)
    has_numbers = recipe.paper in {row.study for row in published()}
    assert has_numbers or dict(recipe.ours)["published"].startswith("no published number is stored")
    assert recipe.ours and (recipe.tables or not has_numbers or name == "cameo-within")
    for material in recipe.corpora:
        assert material.obtain
        if material.format:
            import_(material.format, tmp_path, **dict(material.options))
        else:
            scan(material.plugin or material.corpus, tmp_path, **dict(material.options))  # it looks at options at once
        used = [part.settings.corpora for part in recipe.studies] + [test.corpora for test in recipe.listening]
        assert any(material.corpus in corpora for corpora in used)
    for part in recipe.studies:
        assert set(part.encoders) <= {*presets(), *registry.names("encoders")}
        if not recipe.adapts:
            assert set(part.settings.scratch) <= set(registry.names("encoders"))
            assert set(part.settings.heads) <= set(registry.names("heads"))


def test_the_recipes_are_of_these_studies():
    expected = {"agarla2024": AGARLA, "dasaro2024": DASARO, "goncalves2024": GONCALVES}
    expected |= {"han2024-layers": HAN, "han2024-adaptation": HAN, "han2024-humans": HAN}
    expected |= {
        "agarla2024-frozen": AGARLA,
        "cameo": CAMEO,
        "cameo-within": CAMEO,
        "emobox": EMOBOX,
        "serab": "SERAB (Scheidwasser-Clow et al. 2022)",
        "upadhyay2024": UPADHYAY,
    }
    assert {name: read_recipe(name).paper for name in recipe_names()} == expected


def test_cameo_leaves_a_language_out_at_a_time():
    recipe = read_recipe("cameo")
    codes = ("bn", "en", "fr", "de", "it", "pl", "ru", "es")
    assert [(material.corpus, material.spoken) for material in recipe.corpora] == [(f"cameo-{c}", c) for c in codes]
    assert {(material.plugin, material.subfolder) for material in recipe.corpora} == {("cameo", ".")}
    for part in recipe.studies:
        (target,) = part.settings.targets
        assert part.name.endswith(f"-others-to-{target}")
        assert set(part.settings.source) == {material.corpus for material in recipe.corpora} - {target}
    assert len({part.settings.targets for part in recipe.studies}) == len(recipe.studies) == 8
    printed = {}
    for row in read_table("cameo2025_corpora"):
        counts = printed.setdefault(f"cameo-{row['language']}", dict.fromkeys(SIX, 0))
        for emotion in SIX:
            counts[emotion] += int(row[emotion])
    assert {counts.corpora[0]: dict(counts.emotions) for counts in recipe.counts} == printed


def test_emobox_has_the_sizes_that_it_prints():
    recipe = read_recipe("emobox")
    rows = {corpus_key(row["corpus"]): row for row in read_table("emobox2024_wa")}
    assert [material.corpus for material in recipe.corpora] == list(rows)
    for counts in recipe.counts:
        row = rows[counts.corpora[0]]
        assert (counts.utterances, counts.emotions) == (int(row["utterances"]), ())
        assert counts.classes == int(row["emotions"]) - (row["corpus"] == "IEMOCAP")
    assert recipe.measures == ("UA", "WA", "F1 macro")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[corpora.emodb]", '[corpora.emodb]\nformat = "emo-box"', "corpora.emodb: unknown format 'emo-box'"),
        ("[corpora.emodb]", '[corpora.emodb]\nplugin = "emdob"', "unknown corpus 'emdob': did you mean 'emodb'"),
        ("[corpora.emodb]", "[corpora.emodb]\nspoken = 3", "corpora.emodb.spoken: expected a text, got 3"),
        ("[corpora.emodb]", '[corpora.emodb]\nspoken = "deutshc"', "deutshc"),
    ],
)
def test_what_is_wrong_with_a_corpus_is_named(written, old, new, message):
    with pytest.raises(UserError, match=re.escape(message)):
        read_recipe(written(MINE.replace(old, new, 1)))


def test_studies_share_settings_and_override_them(written):
    recipe = read_recipe(written())
    assert recipe.name == "mine" and recipe.encoders == ("whisper-base", "ast")
    first, both = recipe.studies
    assert (first.settings.corpora, first.settings.epochs, first.settings.scratch) == (("emodb",), 3, ())
    assert (both.settings.corpora, both.settings.epochs, both.settings.scratch) == (("emodb", "iemocap"), 4, ("ast",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
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
        ("epochs = 4", 'out = "there"', "study both: out is an option of the command line"),
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
def test_what_is_wrong_with_a_file_is_named(written, old, new, message):
    assert old in MINE
    path = written(MINE.replace(old, new))
    with pytest.raises(UserError, match="^" + re.escape(f"{path}: {message}")) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_told_the_nearest():
    with pytest.raises(UserError, match="unknown recipe 'dasaro': did you mean 'dasaro2024'"):
        read_recipe("dasaro")
    with pytest.raises(UserError, match=r"nowhere\.toml: cannot be read"):
        read_recipe("nowhere.toml")


def test_a_study_of_several_directions_is_one_for_each(written):
    text = ADAPT.replace('source = ["savee"]\ntargets = ["emodb", "emovo"]\n', "").replace('targets = ["emovo"]\n', "")
    text = text.replace("[adapt]", '[adapt]\npairs = ["savee + emovo > emodb", "emodb > emovo"]')
    recipe = read_recipe(written(text))
    assert [(part.name, part.settings.source, part.settings.targets) for part in recipe.studies] == [
        ("one-savee-emovo-to-emodb", ("savee", "emovo"), ("emodb",)),
        ("one-emodb-to-emovo", ("emodb",), ("emovo",)),
        ("two-savee-emovo-to-emodb", ("savee", "emovo"), ("emodb",)),
        ("two-emodb-to-emovo", ("emodb",), ("emovo",)),
    ]


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
    first, two = recipe.studies
    assert recipe.adapts and recipe.encoders == ("logmel", "byol-s") and recipe.systems == ("pseudo-labels",)
    assert first.settings.corpora == ("savee", "emodb", "emovo") and two.settings.corpora == ("savee", "emovo")
    assert [part.settings.request.training.epochs for part in recipe.studies] == [3, 4]
    assert (first.number, two.number) == (0, 1) and first.scored == ("source-only", "pseudo-labels")
    assert recipe.counts == (CorpusCounts(("savee",), (("anger", 60),)),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 4", "epoch = 4", "study two: unknown key 'epoch': did you mean 'epochs'"),
        ("epochs = 4", 'target = "emovo"', "study two: unknown key 'target': did you mean 'targets'"),
        ("epochs = 4", 'pairs = ["savee > emovo"]', "study two: source: pairs name it already"),
        (
            'source = ["savee"]\ntargets = ["emodb", "emovo"]',
            'pairs = ["savee emodb"]',
            "study one: pairs: expected a pair",
        ),
        ("epochs = 4", "subsets = 1", "study two: subsets: expected 2 or more"),
        ('measure = "UA"', 'measure = "UA"\nsample = "few"', "sample: expected a number"),
        ("epochs = 4", 'heads = ["single"]', "study two: unknown key 'heads': did you mean 'head'"),
        ("epochs = 4", 'store = "there"', "study two: store is an option of the command line"),
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
        ("anger = 60", "utterance = 60", "counts of savee: unknown emotion 'utterance'"),
        ("[adapt]", "[probe]\n[adapt]", "expected one of [probe], [adapt] and [listening], got probe and adapt"),
        ("anger = 60", 'anger = "60"', "counts of savee: anger: expected a number, got '60'"),
        ("anger = 60", "angre = 60", "counts of savee: unknown emotion 'angre': did you mean 'anger'"),
        ('corpora = ["savee"]', 'corpora = ["save"]', "counts: unknown corpus 'save': did you mean 'savee'"),
    ],
)
def test_what_is_wrong_with_a_recipe_of_grids_is_named(written, old, new, message):
    assert old in ADAPT
    path = written(ADAPT.replace(old, new))
    with pytest.raises(UserError, match="^" + re.escape(f"{path}: {message}")) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_upadhyay2024_anchors_the_printed_layers():
    """The sets of Table 1, as the paper prints them, reach the method of each study and encoder."""
    recipe = read_recipe("upadhyay2024")
    printed = {row["selection"]: row for row in read_table("upadhyay2024_layers")}
    short = {"wavlm-base": "wavlm", "whisper-small": "whisper"}
    seen = set()
    for study in recipe.studies:
        anchored = next((row.printed for row in study.rows if row.printed.startswith("LAM-")), None)
        if anchored is None or anchored == "LAM-AL":
            continue
        options = dict(pair.split("=") for pair in study.settings.request.system.method_options)
        for encoder in study.encoders:
            expected = printed[anchored.removeprefix("LAM-")][short[encoder]].replace(" ", "+")
            assert (options["layers"], options["gamma"]) == (expected, "0.5")
            seen.add((anchored, encoder, study.settings.source))
    assert len(seen) == 6 * 2 * 2
    of_table_3 = {(row["anchor"], row["encoder"]): row["layers"] for row in read_table("upadhyay2024_per_emotion_uar")}
    for study in recipe.studies:
        for row in study.rows:
            if row.table == "Table 3":
                options = dict(pair.split("=") for pair in study.settings.request.system.method_options)
                anchor = row.printed.removeprefix("LAM, anchored by ")
                (encoder,) = study.encoders
                assert options["layers"].replace("+", " ") == of_table_3[anchor, short[encoder]]
                assert options.get("anchors", "utterance").removesuffix("s") == anchor


def test_upadhyay2024_is_trained_as_the_paper_says():
    for study in read_recipe("upadhyay2024").studies:
        request = study.settings.request
        training, split = request.training, request.split
        assert (training.learning_rate, training.batch_size, training.epochs) == (1e-4, 64, 70)
        assert training.patience and split.predefined and request.data.labels == FOUR and request.amounts == ("0",)
    counts = {counts.corpora: counts.utterances for counts in read_recipe("upadhyay2024").counts}
    assert counts == {("msp-podcast",): 49_018, ("biic-podcast",): 22_799}


def test_layer_sets_are_for_grids(written):
    text = (resources.files("emobridge.recipes") / "upadhyay2024.toml").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="layer_sets: expected true or false, with \\[adapt\\], got 'yes'"):
        read_recipe(written(text.replace("layer_sets = true", 'layer_sets = "yes"')))
