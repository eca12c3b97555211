"""Which studies of a recipe run with what is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from emobridge.data.manifest import write_manifest
from emobridge.encoders import other_checkpoint
from emobridge.errors import UserError
from emobridge.probe.splits import read_corpus, split_corpus
from emobridge.recipes import replication
from emobridge.recipes.grids import RunOptions
from emobridge.recipes.recipe import read_recipe, recipe_names
from emobridge.recipes.replication import corpora_in, find_corpora, find_encoders, narrow_recipe, runs_of
from emobridge.types import Utterance

HAN = "han2024-layers"
FOUR = ("anger", "happiness", "neutral", "sadness")
SPOKEN = {"esd": ("zh", 10), "pavoque": ("de", 1), "iemocap": ("en", 10)}  # language and speakers


@pytest.fixture
def manifests(tmp_path):
    """Manifests of the three corpora of Han et al., twenty utterances an emotion; there is no audio."""
    manifests = {}
    for corpus, (language, speakers) in SPOKEN.items():
        rows = [
            Utterance(f"{emotion}{n}", corpus, "a.wav", language=language, speaker=str(n % speakers), emotion=emotion)
            for emotion in FOUR
            for n in range(20)
        ]
        manifests[corpus] = tmp_path / f"{corpus}.jsonl"
        write_manifest(manifests[corpus], rows)
    return manifests


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)


def prepared(recipe, places, *, out=Path("out"), may_fetch=False, **options):
    manifests = find_corpora(recipe, places, out / "manifests")
    return runs_of(recipe, manifests, find_encoders(recipe, {}, may_fetch=may_fetch), RunOptions(out, **options))


def test_all_of_han_et_al(manifests):
    runs, missing = prepared(read_recipe(HAN), manifests, seeds=2, store="there")
    assert not missing and [run.title for run in runs] == [f"{HAN} {n}" for n in ("by-speaker", "one-speaker", "cross")]
    assert [run.settings.out for run in runs] == ["out/by-speaker", "out/one-speaker", "out/cross"]
    assert {(run.settings.seeds, run.settings.store) for run in runs} == {(2, "there")}
    by_speaker, one_speaker, cross = (run.settings for run in runs)
    assert one_speaker.corpora == (str(manifests["pavoque"]),)
    assert cross.corpora == tuple(map(str, manifests.values()))
    for path in by_speaker.corpora:
        corpus = read_corpus(path, by_speaker)
        for cut in (cut for folds in split_corpus(corpus, by_speaker) for cut in folds):
            who = [{corpus.utterances[row].speaker for row in part} for part in (cut.train, cut.validation, cut.test)]
            assert len(set.union(*who)) == sum(map(len, who)), "no speaker is in two studies"


@pytest.mark.parametrize(
    ("here", "ran", "message"),
    [
        (("esd",), ["by-speaker"], "study cross: no pair of esd is cross for wav2vec2-base-zh"),
        (("pavoque",), ["one-speaker"], "study by-speaker: none of its corpora is here"),
        (
            ("esd", "pavoque"),
            ["by-speaker", "one-speaker", "cross"],
            "corpus iemocap: no folder is given for it. Ask for",
        ),
        ((), [], "study one-speaker: none of its corpora is here"),
    ],
)
def test_studies_without_their_corpora_are_named(manifests, here, ran, message):
    runs, missing = prepared(read_recipe(HAN), {name: manifests[name] for name in here})
    assert [run.title.split()[-1] for run in runs] == ran
    assert any(line.startswith(message) for line in missing)
    idle = [line for line in missing if line.startswith("study ")]
    assert len(idle) == 3 - len(ran) and all(set(idle) <= set(run.missing) for run in runs)


def test_encoders_that_cannot_be_had(manifests):
    runs, missing = prepared(read_recipe(HAN), manifests, may_fetch=True)
    assert not runs
    assert sum(line.startswith("encoder wav2vec2-base-") and "(no route)" in line for line in missing) == 3
    assert "study cross: none of its encoders is here" in missing


def test_narrowed_to_some():
    recipe = narrow_recipe(
        read_recipe("dasaro2024"), {"corpora": ["emodb"], "heads": ["linear"], "encoders": ["xls-r-300m"]}
    )
    (part,) = recipe.studies
    assert [material.corpus for material in recipe.corpora] == ["emodb"] and recipe.encoders == ("xls-r-300m",)
    assert (part.settings.heads, part.settings.head_options) == (("linear",), ("hidden=256", "input_dropout=0.0"))
    with pytest.raises(UserError, match="recipe dasaro2024: heads: unknown name 'single'"):
        narrow_recipe(recipe, {"heads": ["single"]})


def test_corpora_in_one_folder(tmp_path):
    """Their folders' names may differ in case and signs; a collection is the folder itself."""
    for name in ("EmoDB", "CREMA_D", "other"):
        (tmp_path / name).mkdir()
    paths = corpora_in(read_recipe("serab"), tmp_path)
    assert paths["emodb"] == tmp_path / "EmoDB" and paths["crema-d"] == tmp_path / "CREMA_D"
    assert paths["savee"] == tmp_path / "savee" and not paths["savee"].exists()
    assert set(corpora_in(read_recipe("cameo"), tmp_path).values()) == {tmp_path}
    assert corpora_in(read_recipe("emobox"), tmp_path)["cremad"] == tmp_path / "data" / "cremad"


def test_a_folder_that_holds_another_encoder_is_told_and_has_no_published_numbers(manifests, monkeypatch, tmp_path):
    monkeypatch.setattr(replication, "other_checkpoint", other_checkpoint)
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2", "num_hidden_layers": 6, "hidden_size": 768}')
    recipe = read_recipe(HAN)
    folders = {"wav2vec2-base-de": tmp_path}
    weights = find_encoders(recipe, folders, may_fetch=False)
    corpora = find_corpora(recipe, manifests, tmp_path / "manifests")
    runs, missing = runs_of(recipe, corpora, weights, RunOptions(tmp_path / "out"))
    (line,) = [line for line in missing if line.startswith("encoder wav2vec2-base-de: ")]
    assert "layers: expected 12, found 6" in line and "width" not in line
    for run in runs:
        assert line in run.missing and dict(run.other_encoders) == {"wav2vec2-base-de": line}
    stand_ins = find_encoders(recipe, folders, may_fetch=False, stand_ins=True)
    assert not stand_ins.differing


@pytest.mark.parametrize(("other_sizes", "ran"), [(False, []), (True, ["emodb"])])
def test_corpora_of_probes_are_counted(tmp_path, other_sizes, ran):
    """362 of the 535 utterances of EMO-DB are not taken for it."""
    recipe = narrow_recipe(read_recipe("serab"), {"corpora": ["emodb"], "studies": ["all-emotions"]})
    rows = [
        Utterance(f"{emotion}{n}", "emodb", "a.wav", language="de", speaker=str(n % 10), emotion=emotion)
        for emotion in (*FOUR, "fear", "disgust", "boredom")
        for n in range(50)
    ]
    write_manifest(tmp_path / "emodb.jsonl", rows)
    runs, missing = prepared(recipe, {"emodb": tmp_path / "emodb.jsonl"}, out=tmp_path, other_sizes=other_sizes)
    assert [Path(path).stem for run in runs for path in run.settings.corpora] == ran
    (line,) = [line for line in missing if line.startswith("corpus emodb: ")]
    assert "utterances: expected 535, found 350" in line and ("all the same" in line)
    for run in runs:
        assert line in run.missing and "expected 535" in run.differs[str(tmp_path / "emodb.jsonl")]


@pytest.mark.parametrize("name", recipe_names())
def test_every_corpus_that_is_used_whole_is_counted(name):
    recipe = read_recipe(name)
    counted = {corpus for counts in recipe.counts for corpus in counts.corpora}
    for study in recipe.studies:
        is_sampled = recipe.sample or getattr(study.settings, "sample", 0)
        assert is_sampled or set(study.settings.corpora) <= counted, study.name
