"""Scores of a recogniser on a manifest with labels."""

from __future__ import annotations

import copy
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from emobridge.bundle import Recognizer
from emobridge.data.audio import AudioError
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.inference.evaluate import evaluate, evaluated
from emobridge.inference.predict import predict
from emobridge.scores.measures.ua import Ua
from emobridge.scores.measures.wa import Wa


@pytest.fixture(scope="module")
def recognizer(finished):
    return Recognizer.load(finished / "bundle")


@pytest.fixture
def score(recognizer, tmp_path):
    def over(rows, **options):
        return evaluate(recognizer, rows, store=tmp_path / "store", **options)

    return over


def value(scores, measure, seed="all"):
    (found,) = [row for row in scores if (row.measure, row.seed) == (measure, seed)]
    return found


def test_scores_are_those_of_the_predictions(recognizer, recorded, score):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    truth = [one.emotion for one in rows]
    said = [one.label for one in predict(recognizer, rows)]
    scores = score(rows)
    assert value(scores, "UA").value == pytest.approx(Ua()(truth, said, labels=recognizer.labels))
    assert value(scores, "WA").value == pytest.approx(Wa()(truth, said, labels=recognizer.labels))
    assert value(scores, "UA", "0").value == value(scores, "UA").value, "a bundle is one seed"
    right = sum(was == heard for was, heard in zip(truth[:4], said[:4]))
    assert value(scores, "recall speaker a").value == pytest.approx(right / 4)
    assert {row.seed for row in scores} == {"0", "all"}


def test_every_row_carries_its_condition(recorded, score):
    for row in score(list(read_manifest(recorded / "xx.jsonl")), run="mine"):
        assert (row.run, row.method, row.encoder, row.layer) == ("mine", "pseudo-labels", "logmel", "0")
        assert (row.normalisation, row.target_labels, row.labels) == ("speaker+coral", "0", "anger,sadness")
        assert (row.source, row.target, row.side) == ("en", "xx", "target")
        assert row.split == "all of the manifest"


def test_the_side_is_that_of_the_corpora(recorded, score):
    english, other = (list(read_manifest(recorded / f"{name}.jsonl")) for name in ("en", "xx"))
    assert {(row.side, row.target) for row in score(english)} == {("source", "xx")}
    assert {(row.side, row.target) for row in score(english + other)} == {("target", "en+xx")}
    elsewhere = [replace(one, corpus="new") for one in other]
    assert {(row.side, row.target) for row in score(elsewhere)} == {("target", "new")}
    unscored = [replace(one, emotion=None) for one in english]
    assert {(row.side, row.target) for row in score(unscored + other)} == {("target", "xx")}


def test_what_has_no_label_or_another_is_not_scored_but_is_heard(recognizer, recorded, score):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    mixed = [replace(one, emotion=None) if n % 4 == 0 else one for n, one in enumerate(rows)]
    mixed[1] = replace(mixed[1], emotion="fear")
    scores = score(mixed)
    assert value(scores, "UA").n == 16 - 4 - 1
    assert value(scores, "recall speaker a").n == 2
    whole = {one.id: one.label for one in predict(recognizer, rows)}
    kept = [one for one in mixed if one.emotion in ("anger", "sadness")]
    wanted = Ua()([one.emotion for one in kept], [whole[one.id] for one in kept], labels=("anger", "sadness"))
    assert value(scores, "UA").value == pytest.approx(wanted), "moments of a speaker are of all its utterances"


def test_nothing_to_score(recorded, score):
    rows = [replace(one, emotion=None) for one in read_manifest(recorded / "xx.jsonl")]
    with pytest.raises(UserError, match="nothing to score: no readable utterance is labelled anger, sadness"):
        score(rows)
    with pytest.raises(UserError, match="nothing to score"):
        score([])


def test_bad_files_are_skipped_or_stop(recorded, score):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    rows[0] = replace(rows[0], path=str(recorded / "missing.wav"))
    skipped = []
    scores = score(rows, on_skip=lambda *told: skipped.append(told))
    assert value(scores, "UA").n == 15
    assert [name for name, _ in skipped] == [rows[0].id]
    with pytest.raises(AudioError, match=r"missing\.wav"):
        score(rows)
    lost = [replace(one, path=str(recorded / "missing.wav")) for one in rows]
    with pytest.raises(UserError, match="nothing to score"):
        score(lost, on_skip=lambda *told: None)


def test_speakers_of_one_name_in_two_corpora_are_two_people(recorded, score):
    """The speakers of both corpora are a, b, c and d: eight people, over whom the intervals are."""
    both = [row for name in ("en", "xx") for row in read_manifest(recorded / f"{name}.jsonl")]
    scores = score(both)
    people = {row.measure: row.n for row in scores if row.seed == "all" and "speaker" in row.measure}
    assert people == {f"recall speaker {corpus} {name}": 4 for corpus in ("en", "xx") for name in "abcd"}
    apart = [replace(row, corpus="all", speaker=f"{row.corpus} {row.speaker}") for row in both]
    unlike = [replace(row, corpus="all", speaker=row.speaker) for row in both]
    interval = [(value(rows, "WA").low, value(rows, "WA").high) for rows in (scores, score(apart), score(unlike))]
    assert interval[0] == interval[1] != interval[2]


def test_the_interval_of_attributes_is_over_persons_too(made, recorded, tmp_path):
    rows = [
        replace(row, arousal=place % 7 + 1.0, language="it")
        for name in ("en", "xx")
        for place, row in enumerate(read_manifest(recorded / f"{name}.jsonl"))
    ]
    recognizer = made("it", 1, attributes=("arousal",), attribute_range="1..7")
    apart = [replace(row, corpus="all", speaker=f"{row.corpus} {row.speaker}") for row in rows]
    first, second = (value(evaluate(recognizer, some, store=tmp_path), "CCC arousal") for some in (rows, apart))
    assert (first.low, first.high) == (second.low, second.high)


def test_an_unknown_speaker_has_no_row(recorded, score):
    rows = [replace(one, speaker=None) for one in read_manifest(recorded / "xx.jsonl")]
    measures = {row.measure for row in score(rows)}
    assert "UA" in measures
    assert not any(measure.startswith("recall speaker") for measure in measures)


def test_one_utterance_is_scored(recorded, score):
    (row, *_) = read_manifest(recorded / "xx.jsonl")
    scores = score([row])
    assert (value(scores, "UA").value in (0, 1)) and value(scores, "UA").n == value(scores, "recall speaker a").n == 1
    assert math.isnan(value(scores, "UA").low) and math.isnan(value(scores, "UA").high)


def test_one_rated_utterance_is_one_line(made, recorded, tmp_path):
    recognizer = made("it", 1, labels=(), attributes=("arousal",), attribute_range="1..7")
    (row, *_) = read_manifest(recorded / "xx.jsonl")
    with pytest.raises(UserError, match="labelled arousal; CCC takes two utterances with the same attribute"):
        evaluate(recognizer, [replace(row, arousal=3.0)], store=tmp_path)


def test_one_label_in_the_truth_is_a_warning(recognizer, recorded, tmp_path):
    rows = [row for row in read_manifest(recorded / "xx.jsonl") if row.emotion == "anger"]
    outcome = evaluated(recognizer, rows, store=tmp_path)
    assert outcome.warnings[1:] == ("all utterances are labelled anger: UA is the recall of that label alone",)
    assert value(outcome.scores(), "UA").value == value(outcome.scores(), "recall anger").value
    assert not any(score.measure == "recall sadness" for score in outcome.scores())


def test_one_speaker_leaves_no_interval_and_unknown_ones_a_warning(recognizer, recorded, tmp_path):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    alone = evaluated(recognizer, [row for row in rows if row.speaker == "a"], store=tmp_path)
    assert "a single speaker was scored: there is no interval over speakers" in alone.warnings
    assert {row.measure for row in alone.scores() if "speaker" in row.measure} == {"recall speaker a"}
    assert math.isnan(value(alone.scores(), "UA").low)
    unknown = evaluated(recognizer, [replace(row, speaker=None) for row in rows], store=tmp_path)
    assert any("count as speakers of their own" in line for line in unknown.warnings)
    assert not math.isnan(value(unknown.scores(), "UA").low)


def test_a_recogniser_that_says_one_label_for_all_is_a_warning(recognizer, recorded, tmp_path):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    known = evaluated(recognizer, rows, store=tmp_path).warnings
    assert not any("nothing apart" in line for line in known)
    head = copy.deepcopy(recognizer.head)
    with torch.no_grad():
        head.output.bias += torch.tensor([0.0, 1e6])
    collapsed = Recognizer(recognizer.spec, recognizer.encoder, recognizer.domains, head)
    unrecorded, warning = evaluated(collapsed, rows, store=tmp_path).warnings
    assert (
        "not recorded" in unrecorded
        and warning == "the recogniser tells nothing apart here: it predicts sadness for all 16 utterances"
    )


def test_a_score_on_the_training_speech_says_so_first(recorded, recognizer, tmp_path):
    rows = list(read_manifest(recorded / "en.jsonl"))
    outcome = evaluated(recognizer, rows, store=tmp_path / "store")
    start = "of 16 scored utterances 16 were trained on with their labels: the score shows memory, not recognition"
    assert outcome.warnings[0] == start and outcome.unseen == ()
    assert {row.seen for row in outcome.scores()} == {"trained on"}
    target = evaluated(recognizer, list(read_manifest(recorded / "xx.jsonl")), store=tmp_path / "store")
    assert target.warnings[0].startswith("of 16 scored utterances 16 were adapted to without their labels")
    assert {row.seen for row in target.scores()} == {"adapted to"}


def test_the_rest_is_scored_by_itself_whatever_the_files_are_called(recorded, recognizer, tmp_path):
    """Copies of training files under other names, in another manifest, as another corpus, beside new speakers."""
    known, new = [], []
    for number, row in enumerate(read_manifest(recorded / "en.jsonl")):
        path = tmp_path / f"call-{number}.wav"
        shutil.copy(row.path, path)
        known.append(replace(row, id=f"{number}", path=str(path), corpus="calls", speaker=f"caller {row.speaker}"))
    for number, row in enumerate(read_manifest(recorded / "xx.jsonl")):
        wave, rate = soundfile.read(row.path)
        path = tmp_path / f"new-{number}.wav"
        soundfile.write(path, wave[::-1] * 0.9, rate)
        new.append(replace(row, id=f"new {number}", path=str(path), corpus="calls", speaker=f"new {row.speaker}"))
    sibling = replace(new[0], id="sibling", speaker=known[0].speaker)  # another recording of a known speaker
    mixed = evaluated(recognizer, [*known, sibling, *new[1:]], store=tmp_path / "store")
    whole = [row for row in mixed.scores() if row.split == "all of the manifest"]
    rest = [row for row in mixed.scores() if row.split == "new speakers of the manifest"]
    assert [row.split for row in mixed.scores()] == [row.split for row in (*whole, *rest)]
    assert {row.seen for row in whole} == {"trained on"} and {row.seen for row in rest} == {"none"}
    assert value(whole, "UA").n == 32 and value(rest, "UA").n == 15
    alone = evaluate(recognizer, new[1:], store=tmp_path / "store")
    assert value(rest, "WA").n == value(alone, "WA").n and {row.seen for row in alone} == {"none"}
    lines = mixed.warnings
    assert lines[0].startswith("of 32 scored utterances 16 were trained on with their labels")
    assert lines[1].startswith("of 32 scored utterances 1 are others of files or speakers")
    assert "(caller a)" in lines[1], "of whom another utterance was scored"


def test_a_bundle_that_does_not_record_its_training_speech(recorded, recognizer, tmp_path):
    old = copy.copy(recognizer).with_training_speech(None)
    outcome = evaluated(old, list(read_manifest(recorded / "xx.jsonl")), store=tmp_path / "store")
    assert "was trained on is not recorded in this bundle" in outcome.warnings[0]
    assert {row.seen for row in outcome.scores()} == {"not recorded"}


def test_a_score_that_is_no_better_than_chance_says_so(recorded, recognizer, tmp_path):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    said = predict(recognizer, rows)
    opposite = dict(zip(recognizer.labels, reversed(recognizer.labels)))
    wrong = [replace(row, emotion=opposite[answer.label]) for row, answer in zip(rows, said)]
    outcome = evaluated(recognizer, wrong, store=tmp_path / "store")
    assert "no better than chance: UA is 0.0 %, and guessing reaches 50.0 %" in outcome.first_warnings


def test_speech_unlike_that_of_training_is_a_warning(recognizer, recorded, tmp_path):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    noise = np.random.default_rng(0).standard_normal(8000)
    (tmp_path / "noisy").mkdir()
    noisy = [replace(row, path=str(tmp_path / "noisy" / f"{index}.wav")) for index, row in enumerate(rows)]
    for row in noisy:
        soundfile.write(row.path, 0.3 * noise, 16000)
    outcome = evaluated(recognizer, noisy, store=tmp_path / "store")
    assert outcome.unfamiliar == 1.0
    assert "100 % of the utterances are unlike the speech" in " ".join(outcome.warnings)
    usual = evaluated(recognizer, rows, store=tmp_path / "store")
    assert usual.unfamiliar < 0.25
    assert "unlike the speech" not in " ".join(usual.warnings)
    older = copy.copy(recognizer)
    older.branches = tuple(replace(branch, familiarity=None) for branch in recognizer.branches)
    assert evaluated(older, noisy, store=tmp_path / "store").unfamiliar == 0.0
