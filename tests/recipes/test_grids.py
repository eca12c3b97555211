"""The grids of a recipe: what is here of source and targets, and whether it is what was published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.recipes.grids import RunOptions, miscounts
from emobridge.recipes.recipe import CorpusCounts, read_recipe
from emobridge.recipes.replication import find_corpora, find_encoders, narrow_recipe, runs_of
from emobridge.settings import Output
from emobridge.study.cases import check_useful
from emobridge.types import Utterance

AGARLA = "agarla2024"
FIVE = ("anger", "fear", "happiness", "neutral", "sadness")
COUNTS = {counts.corpora: dict(counts.emotions) for counts in read_recipe(AGARLA).counts}
EMODB, EMOVO = COUNTS["emodb",], COUNTS["emovo",]
SPEAKERS = {"ravdess": 24, "savee": 4, "tess": 2}


@pytest.fixture
def spoken(tmp_path):
    """A function that writes a manifest of so many utterances an emotion; there is no audio."""

    def write(corpus: str, counts: dict[str, int], language="en", speakers=5) -> Path:
        rows = [
            Utterance(f"{corpus}{emotion}{n}", corpus, "a.wav", language=language, speaker=str(n % speakers),
                      emotion=emotion, gender=("female", "male")[n % 2])
            for emotion, count in counts.items()
            for n in range(count)
        ]  # fmt: skip
        path = tmp_path / f"{corpus}.jsonl"
        write_manifest(path, rows)
        return path

    return write


@pytest.fixture
def english(spoken):
    """Manifests of RAVDESS, SAVEE and TESS, which have as many utterances as these corpora do."""
    counts = {"ravdess": (192, 96), "savee": (60, 120), "tess": (400, 400)}  # of an emotion; neutral
    return {
        corpus: spoken(corpus, dict.fromkeys(FIVE, count) | {"neutral": neutral}, speakers=SPEAKERS[corpus])
        for corpus, (count, neutral) in counts.items()
    }


def prepared(places, *, only=None, **options):
    recipe = narrow_recipe(read_recipe(AGARLA), {"studies": ["emotion-cnn"], **(only or {})})
    manifests = find_corpora(recipe, places, Path("out"))
    weights = find_encoders(recipe, {}, may_fetch=False)
    return runs_of(recipe, manifests, weights, RunOptions(Path("out"), **options))


def test_a_grid_for_each_target_and_encoder(english, spoken):
    places = english | {"emodb": spoken("emodb", EMODB, "de", 10), "emovo": spoken("emovo", EMOVO, "it", 6)}
    runs, missing = prepared(places, seeds=2, store="there", jobs=2)
    assert [run.title for run in runs] == [f"{AGARLA} emotion-cnn {name} emotion-cnn" for name in ("emodb", "emovo")]
    for run, corpus in zip(runs, ("emodb", "emovo"), strict=True):
        request = run.settings
        assert request.data.source == tuple(map(str, english.values())) and request.data.target == str(places[corpus])
        assert request.output == Output(out=f"out/emotion-cnn/{corpus}-emotion-cnn", store="there", jobs=2)
        assert (request.split.seeds, request.features.encoder, request.stages) == (2, "emotion-cnn", "out/stages")
        assert (request.methods[1:], request.budgets[-1]) == (("soft-pseudo-labels",), "100")
    assert [line.split(":")[0] for line in missing] == ["corpus cafe", "corpus shemo"]


def test_the_rest_of_the_source_does_and_is_told(english, spoken):
    places = {"ravdess": english["ravdess"], "emovo": spoken("emovo", EMOVO, "it", 6)}
    (run,), missing = prepared(places)
    assert run.settings.data.source == (str(english["ravdess"]),)
    assert "the source is ravdess without savee, tess: published numbers are of ravdess, savee, tess" in run.missing
    assert "counts of ravdess, savee, tess: not checked, because savee, tess is not here" in missing


def test_a_target_of_another_version_is_left_out_and_the_rest_runs(english, spoken):
    places = english | {
        "emodb": spoken("emodb", EMODB | {"fear": 5, "sadness": 60}, "de", 10),
        "emovo": spoken("emovo", EMOVO, "it", 6),
    }
    (run,), missing = prepared(places)
    assert run.target == "emovo"
    (line,) = [line for line in missing if line.startswith("corpus emodb")]
    assert "fear: expected 69, found 5, sadness: expected 62, found 60" in line and line in run.missing


def test_a_source_of_another_version_runs_nothing(english, spoken):
    english["tess"] = spoken("tess", dict.fromkeys(FIVE, 399), speakers=2)
    runs, missing = prepared(english | {"emovo": spoken("emovo", EMOVO, "it", 6)})
    assert not runs and "neutral: expected 616, found 615" in " ".join(missing)
    assert any(line.startswith("study emotion-cnn: ") for line in missing)


def test_a_target_with_too_few_labels_is_named(english, spoken, monkeypatch):
    recipe = replace(narrow_recipe(read_recipe(AGARLA), {"studies": ["emotion-cnn"]}), counts=())
    places = {**english, "emovo": spoken("emovo", dict.fromkeys(FIVE, 10), "it", 6)}
    manifests, weights = find_corpora(recipe, places, Path("out")), find_encoders(recipe, {}, may_fetch=False)
    runs, missing = runs_of(recipe, manifests, weights, RunOptions(Path("out")))
    assert not runs and any(line.startswith("corpus emovo: budgets: 50: expected ") for line in missing)


def test_only_the_emotions_of_a_study_are_counted(spoken):
    path = str(spoken("emodb", EMODB | {"fear": 5, "anger": 128}, "de", 10))
    counts = CorpusCounts(("emodb",), tuple(EMODB.items()))
    assert miscounts(counts, [path], FIVE) == ["anger: expected 127, found 128", "fear: expected 69, found 5"]
    assert miscounts(counts, [path], ("happiness", "neutral", "sadness")) == []


def test_what_is_really_there(shared, tmp_path):
    """EMO-DB is there without most of its fear; its four other emotions, and EMOVO, are as Agarla et al. count them."""
    manifests = {}
    for corpus in ("ravdess", "emodb", "emovo"):
        manifests[corpus] = str(tmp_path / f"{corpus}.jsonl")
        write_manifest(manifests[corpus], scan(corpus, shared / "corpora" / corpus))
    assert miscounts(CorpusCounts(("emovo",), tuple(EMOVO.items())), [manifests["emovo"]], FIVE) == []
    differences = miscounts(CorpusCounts(("emodb",), tuple(EMODB.items())), [manifests["emodb"]], FIVE)
    assert len(differences) == 1 and differences[0].startswith("fear: expected 69, found ")
    ravdess = dict.fromkeys(FIVE, 192) | {"neutral": 96}  # with 60 (120) of SAVEE and 400 of TESS: 652 (616)
    assert miscounts(CorpusCounts(("ravdess",), tuple(ravdess.items())), [manifests["ravdess"]], FIVE) == []


def test_narrowed_to_some(english):
    only = {"corpora": ["ravdess", "emovo"], "encoders": ["byol-s-1024"], "methods": ["nnpm", "pseudo-labels"]}
    recipe = narrow_recipe(read_recipe(AGARLA), only)
    assert [part.name for part in recipe.studies] == ["byol-s", "others-byol-s"]
    amounts = narrow_recipe(read_recipe(AGARLA), {"budgets": ["0", "all"]})
    assert {part.settings.request.budgets for part in amounts.studies} == {("0",), ("all",)}
    with pytest.raises(UserError, match="budgets: unknown name '10'"):
        narrow_recipe(read_recipe(AGARLA), {"budgets": ["10"]})
    assert [material.corpus for material in recipe.corpora] == ["ravdess", "emovo"]
    for part in recipe.studies:
        assert part.settings.corpora == ("ravdess", "emovo")
    assert recipe.studies[1].settings.methods == ("pseudo-labels",)
    with pytest.raises(UserError, match=r"no study has corpora=emovo \(a target needs one of the source corpora"):
        narrow_recipe(recipe, {"corpora": ["emovo"]})
    with pytest.raises(UserError, match="unknown key 'heads': did you mean"):
        narrow_recipe(recipe, {"heads": ["single"]})


def test_options_of_methods_that_are_left_out_go_with_them(english):
    recipe = read_recipe(AGARLA)
    (part,) = [part for part in recipe.studies if part.name == "without-rebalancing"]
    request = replace(part.settings.request, methods=("pseudo-labels", "multitask"))
    recipe = replace(recipe, studies=(replace(part, settings=replace(part.settings, request=request)),))
    (narrowed,) = narrow_recipe(recipe, {"methods": ["multitask"]}).studies
    assert narrowed.settings.request.system.method_options == ("rebalance=false",)


def test_an_encoder_that_needs_a_folder_is_named(english):
    recipe = narrow_recipe(read_recipe(AGARLA), {"encoders": ["byol-s-1024", "emotion-cnn"]})
    weights = find_encoders(recipe, {}, may_fetch=True)
    assert [name for name, _ in weights.paths] == ["emotion-cnn"]
    assert weights.missing[0][1].startswith("encoder byol-s-1024")


def test_shared_settings_reach_the_studies_in_which_they_do_something(english, spoken):
    """An option that does nothing is refused in a request, but studies of a recipe share theirs."""
    recipe = narrow_recipe(read_recipe(AGARLA), {"encoders": ["emotion-cnn"], "studies": ["emotion-cnn"]})
    (study,) = recipe.studies
    training = replace(study.settings.request.training, crop=4.0, encoder_rate=1e-5)
    trained = replace(study.settings.request, training=training)
    frozen = replace(trained, system=replace(trained.system, train="frozen"))
    studies = tuple(
        replace(study, name=name, settings=replace(study.settings, request=request))
        for name, request in (("trained", trained), ("frozen", frozen))
    )
    corpora = english | {"emovo": spoken("emovo", EMOVO, "it", 6)}
    manifests = find_corpora(recipe, corpora, Path("out"))
    weights = find_encoders(recipe, {}, may_fetch=False)
    runs, _ = runs_of(replace(recipe, studies=studies), manifests, weights, RunOptions(Path("out")))
    values = {run.study.name: (run.settings.training.crop, run.settings.training.encoder_rate) for run in runs}
    assert values == {"trained": (4.0, 1e-5), "frozen": (2.0, 0.0)}
    for run in runs:
        check_useful(run.settings)


def test_other_sizes_run_when_asked_to_and_are_told(english, spoken):
    places = english | {"emodb": spoken("emodb", EMODB | {"anger": 1}, "de", 10)}
    runs, missing = prepared(places, other_sizes=True)
    assert [run.target for run in runs] == ["emodb"]
    assert any("anger: expected 127, found 1; it runs all the same" in line for line in missing)


def test_counts_in_all_and_of_emotions(spoken):
    path = str(spoken("emodb", {"anger": 3, "fear": 2}))
    assert miscounts(CorpusCounts(("emodb",), (), 5, 2), [path], ()) == []
    assert miscounts(CorpusCounts(("emodb",), (("anger", 4),), 6, 3), [path], ()) == [
        "anger: expected 4, found 3",
        "utterances: expected 6, found 5",
        "emotions: expected 3, found 2",
    ]
    assert miscounts(CorpusCounts(("emodb",), (), 3), [path], ("anger",)) == [], "labels are all that counts"


def test_a_source_whose_speakers_are_not_known_is_left_out_and_told(english, spoken):
    rows = list(read_manifest(english["tess"]))
    write_manifest(english["tess"], [replace(row, speaker=None) for row in rows])
    runs, missing = prepared(english | {"emodb": spoken("emodb", EMODB, "de", 10)})
    assert [Path(path).stem for path in runs[0].settings.data.source] == ["ravdess", "savee"]
    assert "corpus tess: no source here, for some of its speakers are not known" in missing
    assert any("the source is ravdess, savee without tess" in line for line in missing)


def test_counts_of_predefined_splits(tmp_path):
    """Of attributes all rated utterances count, whatever their emotion."""
    splits = ["train"] * 5 + ["validation"] * 3 + ["test"] * 2
    rows = [
        Utterance(str(n), "msp-podcast", "a.wav", emotion="anger" if n % 2 else None, split=split, arousal=0.5)
        for n, split in enumerate(splits)
    ]
    write_manifest(tmp_path / "msp.jsonl", rows)
    path = [str(tmp_path / "msp.jsonl")]
    counts = CorpusCounts(("msp-podcast",), (), splits=(("train", 5), ("validation", 3), ("test", 2)))
    assert miscounts(counts, path, (), rated=True) == []
    assert miscounts(replace(counts, utterances=9), path, (), rated=True) == ["utterances: expected 9, found 10"]
    assert miscounts(counts, path, ()) == [
        "split train: expected 5, found 2",
        "split validation: expected 3, found 2",
        "split test: expected 2, found 1",
    ], "of emotions only labelled utterances count"


def test_an_emotion_that_is_not_there_at_all_is_missed(spoken):
    path = str(spoken("emodb", {"anger": 3}))
    assert miscounts(CorpusCounts(("emodb",), (("anger", 3), ("fear", 69))), [path], ()) == [
        "fear: expected 69, found 0"
    ]


def test_the_whole_corpus_is_counted_and_not_its_sample(tmp_path, spoken):
    recipe = read_recipe("han2024-adaptation")
    counts = (CorpusCounts(("esd",), (), 2000),)
    places = {
        name: spoken(name, dict.fromkeys(("anger", "happiness", "neutral", "sadness"), 600), language)
        for name, language in (("esd", "zh"), ("pavoque", "de"), ("iemocap", "en"))
    }
    manifests = find_corpora(recipe, places, tmp_path / "manifests")
    assert sum(1 for _ in read_manifest(dict(manifests.paths)["esd"])) == 2048, (
        "500 an emotion, and 12 that are kept apart"
    )
    weights = find_encoders(recipe, dict.fromkeys(recipe.encoders, tmp_path), may_fetch=False)
    _, missing = runs_of(replace(recipe, counts=counts), manifests, weights, RunOptions(tmp_path / "out"))
    assert any("utterances: expected 2000, found 2400" in line for line in missing)
