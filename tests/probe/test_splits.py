"""Who trains, stops and tests a probe; properties over fabricated corpora."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emobridge.data.audio import read_utterance
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import (
    Corpus,
    classes_of,
    fold_path,
    read_corpus,
    rows_to_test,
    shared_speakers,
    split_corpus,
    training_sets,
)
from emobridge.types import SAMPLE_RATE, Utterance

EMOTIONS = ("anger", "happiness", "sadness")


def corpus(speakers=6, each=2, emotions=EMOTIONS):
    rows = [
        Utterance(
            f"{speaker}-{emotion}-{take}", "c", f"{speaker}-{emotion}-{take}.wav", speaker=str(speaker), emotion=emotion
        )
        for speaker in range(speakers)
        for emotion in emotions
        for take in range(each)
    ]
    return Corpus("c", "und", tuple(rows))


def asked(**changes):
    return ProbeSettings(corpora=("c.jsonl",), **changes)


@settings(deadline=None)
@given(
    speakers=st.integers(3, 12),
    folds=st.integers(3, 6),
    patience=st.integers(0, 1),
    split=st.sampled_from(["folds", "80/10/10", "halved"]),
)
def test_parts_are_apart_and_share_no_speaker(speakers, folds, patience, split):
    one = corpus(speakers)
    for cuts in split_corpus(one, asked(folds=folds, patience=patience, split=split, seeds=2)):
        for cut in cuts:
            parts = [part for part in (cut.train, cut.validation, cut.test) if part]
            voices = [{one.utterances[row].speaker for row in part} for part in parts]
            assert len(set.union(*voices)) == sum(map(len, voices)) and cut.train and cut.test
            assert bool(cut.validation) == (split != "folds" or bool(patience))
        if split == "folds":
            tested = sorted(row for cut in cuts for row in cut.test)
            assert tested == list(range(len(one.utterances))), "each is tested once a seed"


def test_seeds_cut_differently_and_the_same_each_time():
    three = asked(seeds=3)
    first = split_corpus(corpus(10), three)
    assert first == split_corpus(corpus(10), three)
    assert len(set(first)) > 1


def test_sets_weigh_what_trains_and_nothing_else():
    one, study = corpus(6), asked(folds=3, patience=1, seeds=1)
    cuts = split_corpus(one, study)
    sets = training_sets(one, cuts, study)
    for probe, cut in enumerate(cuts[0]):
        assert (sets.weight[probe] > 0).nonzero()[:, 0].tolist() == list(cut.train)
        assert sets.validation[probe].nonzero()[:, 0].tolist() == list(cut.validation)
        assert sets.weight[probe, list(cut.train)].mean() == pytest.approx(1)


def test_class_weights():
    one = Corpus("c", "und", corpus(6).utterances[: 6 * 6 - 4])  # fewer of two emotions
    balanced, plain = (
        training_sets(one, split_corpus(one, asked(folds=3, class_weights=wanted)), asked(class_weights=wanted))
        for wanted in (True, False)
    )
    label = classes_of(one, one.emotions)
    totals = torch.stack([balanced.weight[0][label == c].sum() for c in range(3)])
    torch.testing.assert_close(totals, totals.mean().expand(3))
    assert set(plain.weight[0].unique().tolist()) == {0.0, 1.0}


def test_a_fold_of_one_class_is_named():
    rows = [row for row in corpus(3).utterances if row.emotion == "anger" or row.speaker == "0"]
    one, study = Corpus("c", "und", tuple(rows)), asked(folds=3)
    with pytest.raises(UserError, match="trains on anger alone"):
        training_sets(one, split_corpus(one, study), study)


def test_a_balanced_sample_is_drawn_once(tmp_path):
    rows = corpus(6, each=5).utterances[:-4]  # one emotion has fewer
    write_manifest(tmp_path / "c.jsonl", rows)
    path = str(tmp_path / "c.jsonl")
    one = read_corpus(path, asked(sample=10))
    assert len(one.utterances) == 30 and one.utterances == read_corpus(path, asked(sample=10)).utterances
    most = read_corpus(path, asked(sample=1000))
    counts = [sum(row.emotion == emotion for row in most.utterances) for emotion in EMOTIONS]
    assert len(set(counts)) == 1 and counts[0] == min(sum(r.emotion == e for r in rows) for e in EMOTIONS)


def test_what_no_probe_can_tell_apart(tmp_path):
    write_manifest(tmp_path / "c.jsonl", corpus().utterances)
    with pytest.raises(UserError, match="1 emotion of anger; a probe needs two or more"):
        read_corpus(str(tmp_path / "c.jsonl"), asked(labels=("anger",)))
    two = [*corpus().utterances, Utterance("z", "other", "z.wav", speaker="1", emotion="anger")]
    write_manifest(tmp_path / "two.jsonl", two)
    with pytest.raises(UserError, match="holds corpus c, other"):
        read_corpus(str(tmp_path / "two.jsonl"), asked())


def test_a_manifest_of_several_languages_is_refused_and_of_several_spellings_is_not(tmp_path):
    first, *others = corpus().utterances
    mandarin = [replace(row, language="cmn") for row in others]
    path = tmp_path / "c.jsonl"
    write_manifest(path, [replace(first, language="zh-TW"), *mandarin])
    assert read_corpus(str(path), asked()).language == "zh-TW"
    write_manifest(path, [replace(first, language="de"), *mandarin])
    with pytest.raises(UserError, match="holds language de, zh: give each a manifest of its own"):
        read_corpus(str(path), asked())


def named(name, speakers, emotions=("anger", "sadness")):
    """A corpus of that name and language."""
    rows = corpus(speakers, emotions=emotions).utterances
    return Corpus(name, name, rows)


@pytest.mark.parametrize(("trained", "tested"), [(4, 4), (2, 5), (5, 2), (2, 3)])
def test_every_part_is_tested_once_a_seed_whatever_the_folds(trained, tested):
    study = asked(seeds=2)
    learnt, other = named("en", trained), named("xx", tested)
    rows = rows_to_test(other, learnt, split_corpus(other, study), trained)
    assert [len(folds) for folds in rows] == [trained, trained]
    for folds in rows:
        assert sorted(row for part in folds for row in part) == list(range(len(other.utterances)))


def test_emotions_that_were_not_learnt_are_not_scored():
    study = asked(seeds=1)
    learnt, other = named("en", 2), named("xx", 2, ("anger", "fear", "sadness"))
    (folds,) = rows_to_test(other, learnt, split_corpus(other, study), 2)
    assert {other.utterances[row].emotion for part in folds for row in part} == {"anger", "sadness"}


def test_people_are_counted_by_corpus_and_speaker_and_unknown_ones_are_nobody():
    rows = corpus(3).utterances
    unknown = [replace(row, speaker=None) for row in rows[:6]]
    assert Corpus("c", "und", rows).people == 3
    assert Corpus("c", "und", (*unknown, *rows[6:])).people == 2


def test_a_corpus_of_a_single_speaker_splits_by_utterance_alone():
    lone = corpus(1, each=10)
    with pytest.raises(UserError, match="2 speakers, but there are 1"):
        split_corpus(lone, asked(seeds=1))
    ((split, *_),) = split_corpus(lone, asked(seeds=1, share_speakers=True))
    assert split.train and split.test and not set(split.train) & set(split.test)


def test_halved_folds_are_those_of_the_paper():
    """Han et al. 2025: 400 utterances an emotion to train, 50 to validate and 50 to test; 8 speakers against 2."""
    rows = corpus(10, each=50)  # of each emotion
    emotions = len(rows.emotions)
    ((*cuts,),) = split_corpus(rows, asked(seeds=1, folds=5, split="halved", patience=10))
    assert len(cuts) == 5
    for cut in cuts:
        parts = [cut.train, cut.validation, cut.test]
        assert [len(part) for part in parts] == [400 * emotions, 50 * emotions, 50 * emotions]
        assert [len({rows.utterances[row].speaker for row in part}) for part in parts] == [8, 1, 1]
    tested = [row for cut in cuts for row in cut.test]
    assert len(tested) == len(set(tested))
    lone = corpus(1, each=500)
    with pytest.raises(UserError, match="2 folds need 2 speakers, but there are 1"):
        split_corpus(lone, asked(seeds=1, split="halved"))
    for changes in ({"by_utterance": ("c",)}, {"share_speakers": True}):
        ((*cuts,),) = split_corpus(lone, asked(seeds=1, split="halved", **changes))
        assert [tuple(map(len, (cut.train, cut.validation, cut.test))) for cut in cuts] == [
            (400 * emotions, 50 * emotions, 50 * emotions)
        ] * 5
        counts = [Counter(lone.utterances[row].emotion for row in cut.test) for cut in cuts]
        assert all(set(count.values()) == {50} for count in counts)


def test_an_emotion_of_a_single_utterance_is_trained_or_tested():
    rare = [row for row in corpus(4).utterances if row.emotion != "sadness" or row.id == "0-sadness-0"]
    (folds,) = split_corpus(Corpus("c", "und", tuple(rare)), asked(folds=4, seeds=1))
    for split in folds:
        assert len([row for row in (*split.train, *split.test) if rare[row].emotion == "sadness"]) == 1


def test_the_digest_of_a_corpus_is_of_its_recordings(recorded):
    path = str(recorded / "en.jsonl")
    before = read_corpus(path, asked())
    assert before.digest(speakers=False) == read_corpus(path, asked()).digest(speakers=False)
    renamed = replace(before, utterances=tuple(replace(row, id=f"x{row.id}") for row in before.utterances))
    assert renamed.digest(speakers=True) == before.digest(speakers=True)
    voices = replace(before, utterances=tuple(replace(row, speaker="z") for row in before.utterances))
    assert voices.digest(speakers=False) == before.digest(speakers=False)
    assert voices.digest(speakers=True) != before.digest(speakers=True)
    file = Path(before.utterances[0].path)
    digest, content, stat = before.digest(speakers=False), bytearray(file.read_bytes()), file.stat()
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert before.digest(speakers=False) != digest


@pytest.fixture
def folded(tmp_path):
    """A manifest of six speakers with two folds beside it: the first by speaker, the second by take."""
    rows = corpus().utterances
    write_manifest(tmp_path / "c.jsonl", [replace(row, language="de") for row in rows])
    for number, is_test in ((1, lambda row: row.speaker in "45"), (2, lambda row: row.id.endswith("1"))):
        fold = [replace(row, split="test" if is_test(row) else "train") for row in rows if row.speaker != "0"]
        write_manifest(fold_path(tmp_path / "c.jsonl", number), fold)
    return tmp_path / "c.jsonl"


def test_predefined_folds(folded):
    request = asked(split="predefined", seeds=2)
    material = read_corpus(str(folded), request)
    first, second = split_corpus(material, request)
    assert first == second, "the same for every seed"
    by_speaker, by_take = ({material.utterances[row].speaker for row in cut.test} for cut in first)
    assert by_speaker == {"4", "5"} and by_take == {"1", "2", "3", "4", "5"}
    for cut in first:
        assert not set(cut.train) & set(cut.test) and cut.validation == ()
        assert not any(material.utterances[row].speaker == "0" for row in (*cut.train, *cut.test)), "in neither fold"
    assert shared_speakers(material) == 1
    without = replace(material, utterances=material.utterances[1:])
    assert len(split_corpus(without, request)[0]) == 2, "a clip that cannot be read is left out of the folds"
    with pytest.raises(UserError, match=r"c: fold 1 has no utterance of the split 'validation': give patience 0"):
        split_corpus(material, asked(split="predefined", patience=3))


def test_the_column_split_is_the_only_fold(tmp_path):
    rows = [replace(row, split=("train", "validation", "test")[int(row.speaker) % 3]) for row in corpus().utterances]
    write_manifest(tmp_path / "c.jsonl", rows)
    request = asked(split="predefined", patience=2, seeds=1)
    material = read_corpus(str(tmp_path / "c.jsonl"), request)
    (((cut),),) = split_corpus(material, request)
    for part, expected in ((cut.train, {"0", "3"}), (cut.validation, {"1", "4"}), (cut.test, {"2", "5"})):
        assert {material.utterances[row].speaker for row in part} == expected
    assert shared_speakers(material) == 0
    write_manifest(tmp_path / "d.jsonl", corpus().utterances)
    with pytest.raises(UserError, match=r"d\.jsonl: has no predefined split: .* no d\.fold-1\.jsonl beside it"):
        read_corpus(str(tmp_path / "d.jsonl"), request)
    write_manifest(tmp_path / "d.fold-1.jsonl", corpus().utterances)
    with pytest.raises(UserError, match=r"d\.fold-1\.jsonl: no utterance has a split"):
        read_corpus(str(tmp_path / "d.jsonl"), request)


def test_the_split_of_serab_has_all_parts_and_is_the_same_for_every_seed():
    material = corpus(5)
    splits = split_corpus(material, asked(split="serab", seeds=2))
    assert splits[0] == splits[1] and len(splits[0]) == 1
    (cut,) = splits[0]
    assert sorted((*cut.train, *cut.validation, *cut.test)) == list(range(len(material.utterances)))
    assert cut.validation and cut.test


def test_the_first_seconds_of_clips_are_used(recorded, tmp_path):
    """Of PEFT-SER's 6 s, which methods B take over; a segment begins where it began."""
    path = recorded / "en.jsonl"
    whole = list(read_manifest(path))
    rows = [replace(whole[0], start=0.1, end=0.3), replace(whole[1], end=0.05), *whole[2:]]
    write_manifest(tmp_path / "cut.jsonl", rows)
    corpus = read_corpus(str(tmp_path / "cut.jsonl"), ProbeSettings(corpora=("",), longest=0.15))
    ends = [(row.start, row.end) for row in corpus.utterances[:3]]
    assert ends == [(0.1, pytest.approx(0.25)), (rows[1].start, 0.05), (0.0, 0.15)]
    assert len(read_utterance(corpus.utterances[2])) == round(0.15 * SAMPLE_RATE)
    all_of_it = read_corpus(str(tmp_path / "cut.jsonl"), ProbeSettings(corpora=("",)))
    assert list(all_of_it.utterances) == rows
    assert all_of_it.digest(speakers=False) != corpus.digest(speakers=False)
