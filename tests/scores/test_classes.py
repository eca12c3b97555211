"""Evaluations of classes against the measures, and the bootstrap against a loop that anybody can read."""

from __future__ import annotations

import time

import numpy as np
import pytest

from emobridge.errors import UserError
from emobridge.scores import base
from emobridge.scores.base import Condition, resample
from emobridge.scores.classes import Evaluation
from emobridge.scores.measures.f1_macro import F1Macro
from emobridge.scores.measures.f1_weighted import F1Weighted
from emobridge.scores.measures.ua import Ua
from emobridge.scores.measures.wa import Wa

LABELS = ("anger", "happiness", "neutral", "sadness")
CONDITION = Condition("r", "source-only", "whisper", "3", "speaker", "ravdess", "emodb", "0", "test", "target")


def example(n=200, seeds=2, speakers=8, labels=LABELS, seed=0, skill=0.6) -> Evaluation:
    """Speakers differ in how easy they are, so that clusters matter."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(labels, n)
    who = rng.integers(speakers, size=n)
    ease = np.clip(skill + rng.normal(0, 0.2, speakers), 0, 1)
    predictions = tuple(
        tuple(str(x) for x in np.where(rng.random(n) < ease[who], truth, rng.choice(labels, n))) for _ in range(seeds)
    )
    return Evaluation(tuple(labels), tuple(map(str, truth)), predictions, tuple(f"s{k}" for k in who))


def of(estimates, measure):
    return next(estimate for estimate in estimates if estimate.measure == measure)


def test_an_evaluation_is_checked():
    with pytest.raises(UserError, match="nothing to score"):
        Evaluation(("a",), (), ((),), ())
    with pytest.raises(UserError, match="1 speakers for 2 utterances"):
        Evaluation(("a",), ("a", "a"), (("a", "a"),), ("s",))


def test_score_is_the_mean_over_seeds_of_the_point_values():
    data = example(seeds=3)
    estimates = data.estimates(draws=50)
    for measure, function in (
        ("UA", Ua()),
        ("WA", Wa()),
        ("F1 macro", F1Macro()),
        ("F1 weighted", F1Weighted()),
    ):
        expected = np.mean([function(data.truth, p, labels=LABELS) for p in data.predictions])
        estimate = of(estimates, measure)
        assert estimate.value == pytest.approx(expected)
        assert estimate.low < estimate.value < estimate.high
        assert (estimate.n, estimate.resampled) == (200, "speakers")
    assert of(estimates, "recall anger").n == data.truth.count("anger")
    keep = [k for k, speaker in enumerate(data.speakers) if speaker == "s3"]
    expected = [Ua()([data.truth[k] for k in keep], [p[k] for k in keep], labels=LABELS) for p in data.predictions]
    estimate = of(estimates, "recall speaker s3")
    assert estimate.value == pytest.approx(np.mean(expected))
    assert (estimate.n, estimate.resampled) == (len(keep), "utterances")


def test_the_interval_is_that_of_a_plain_loop_over_drawn_speakers():
    data = example(n=60, speakers=5)
    names = sorted(set(data.speakers))
    values = []
    for drawn in np.random.default_rng(4).integers(len(names), size=(200, len(names))):
        rows = [k for index in drawn for k, speaker in enumerate(data.speakers) if speaker == names[index]]
        truth = [data.truth[k] for k in rows]
        values.append(np.mean([Ua()(truth, [p[k] for k in rows], labels=LABELS) for p in data.predictions]))
    interval = of(data.estimates(draws=200, seed=4), "UA")
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(values, (2.5, 97.5))))


def test_clusters_widen_the_interval():
    """Speakers that differ carry less information than as many independent utterances."""
    data = example(n=800, speakers=6)
    alone = Evaluation(data.labels, data.truth, data.predictions, (None,) * 800)
    clustered, single = of(data.estimates(), "UA"), of(alone.estimates(), "UA")
    assert single.resampled == "utterances"
    assert clustered.high - clustered.low > 1.5 * (single.high - single.low)


def test_a_single_speaker_falls_back_to_utterances_and_says_so():
    data = example(speakers=1)
    estimate = of(data.estimates(), "UA")
    assert (data.resampled, estimate.resampled) == ("utterances", "utterances")
    assert 0.02 < estimate.high - estimate.low < 0.25


def test_absent_labels_have_no_row_and_rare_ones_a_finite_interval():
    data = Evaluation(("a", "b", "c"), ("a", "a", "b"), (("a", "c", "b"),), ("x", "x", "y"))
    estimates = data.estimates(draws=20)
    assert [e.measure for e in estimates if e.measure.startswith("recall")] == [
        "recall a",
        "recall b",
        "recall speaker x",
        "recall speaker y",
    ]
    assert all(np.isfinite([e.low, e.high]).all() for e in estimates)
    assert of(estimates, "UA").value == 0.75


def test_the_paired_difference_is_narrower_than_unpaired_systems_suggest():
    before = example(n=600, speakers=10, seeds=1, skill=0.3)
    rng = np.random.default_rng(9)  # the second system repairs a fifth of what the first says
    repaired = tuple(t if rng.random() < 0.2 else p for t, p in zip(before.truth, before.predictions[0]))
    after = Evaluation(before.labels, before.truth, (repaired,), before.speakers)
    (gap,) = after.difference(before)
    old, new = of(before.estimates(), "UA"), of(after.estimates(), "UA")
    assert gap.value == pytest.approx(new.value - old.value)
    assert 0 < gap.low < gap.value < gap.high
    assert gap.high - gap.low < 0.7 * (old.high - old.low)
    (same,) = before.difference(before)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    shuffled = Evaluation(before.labels, before.truth[::-1], before.predictions, before.speakers)
    with pytest.raises(UserError, match="same utterances"):
        shuffled.difference(before)


def test_rows_hold_each_seed_and_their_mean():
    data = example(seeds=2, speakers=3)
    rows = data.scores(CONDITION, draws=30)
    assert {row.seed for row in rows} == {"0", "1", "all"}
    ua = {row.seed: row for row in rows if row.measure == "UA"}
    assert ua["all"].value == pytest.approx((ua["0"].value + ua["1"].value) / 2)
    assert ua["0"].value == pytest.approx(Ua()(data.truth, data.predictions[0], labels=LABELS))
    assert ua["0"].low != ua["1"].low
    assert (ua["all"].labels, ua["all"].side, ua["all"].n) == (",".join(LABELS), "target", 200)


def test_sizes_of_one():
    """One utterance, one speaker, one seed, one class."""
    alone = Evaluation(("a",), ("a",), (("a",),), ("s",))
    estimates = alone.estimates(draws=20)
    assert [(row.measure, row.value, row.low, row.high) for row in estimates] == [
        (name, 1, 1, 1) for name in ("UA", "WA", "F1 macro", "F1 weighted", "recall a", "recall speaker s")
    ]
    assert (alone.resampled, alone.collapsed, alone.chance) == ("utterances", None, 1)
    assert alone.difference(alone, draws=20)[0].value == 0
    assert alone.confusion().tolist() == [[1]]
    assert [row.seed for row in alone.scores(CONDITION, draws=5)][::6] == ["0", "all"]


def test_the_face_that_callers_see():
    data = example(seeds=2)
    estimates = data.estimates(draws=20)
    assert data.estimates(draws=20, details=False) == estimates[:4]
    assert data.values() == {row.measure: row.value for row in estimates[:4]}
    assert (data.of, data.lead.name, data.chance, data.label_set) == ("classes", "UA", 0.25, LABELS)
    assert [part.predictions for part in data.seeds()] == [(row,) for row in data.predictions]
    assert data.confusion().sum() == 2 * 200
    parts = [range(0, 200, 2), [3]]
    values = data.per_subset(parts)["UA"]
    assert values == [
        Ua()([data.truth[k] for k in part], [row[k] for k in part], labels=LABELS)
        for row in data.predictions
        for part in parts
    ]
    with pytest.raises(UserError, match="unknown measure 'CCC'"):
        data.per_subset(parts, measure="CCC")


def test_speakers_who_are_not_known_have_no_row():
    data = Evaluation(("a", "b"), ("a", "b", "a"), (("a", "b", "b"),), ("s", None, "s"))
    estimates = data.estimates(draws=20)
    assert [row.measure for row in estimates if "speaker" in row.measure] == ["recall speaker s"]
    assert (of(estimates, "recall speaker s").n, of(estimates, "recall speaker s").value) == (2, 0.5)


def collapse(*predictions, truth="aabb", folds=()):
    return Evaluation(
        ("a", "b"), tuple(truth), tuple(map(tuple, predictions)), tuple("wxyz"[: len(truth)]), folds
    ).collapsed


def test_a_model_that_predicts_one_class_for_everything_is_told():
    assert collapse("aaaa") == collapse("aaaa", "aaaa") == "a for all 4 utterances"
    assert collapse("aaaa", "bbbb") == "a, b for all 4 utterances"
    assert collapse("aaaa", "abbb") == "a for all 4 utterances in 1 of 2 seeds"
    assert collapse("aaab") is None
    assert collapse("aaaa", truth="aaaa") is None, "as it should"
    assert collapse("a", truth="a") is None


def test_a_fold_whose_model_predicts_one_class_is_told_too():
    assert collapse("aaab", truth="abab", folds=(0, 0, 1, 1)) == "a for all utterances of 1 of 2 folds"
    assert collapse("aabb", truth="abab", folds=(0, 0, 1, 1)) == "a, b for all utterances of 2 of 2 folds"
    assert collapse("aabb", truth="aabb", folds=(0, 0, 1, 1)) is None, "each fold holds one class"
    with pytest.raises(UserError, match="3 folds for 4 utterances"):
        collapse("aaaa", folds=(0, 0, 1))


def test_draws_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    counts = np.random.default_rng(0).integers(5, size=(2, 7, 3)).astype(float)
    plain = resample(counts, 101, 3)
    monkeypatch.setattr(base, "LARGEST_DRAW", 50)
    assert np.array_equal(resample(counts, 101, 3), plain)
    assert plain.shape == (101, 2, 3)


def test_it_is_fast():
    data = example(n=1500, seeds=3, speakers=24)
    best = min(_seconds(data) for _ in range(3))
    assert best < 0.5  # about 0.04 s on an idle core; the bound leaves room for a busy machine


def test_the_time_grows_with_the_utterances_and_not_with_their_square():
    small, large = (example(n=n, seeds=1, speakers=n // 10) for n in (1000, 16_000))
    brief, long = (min(_seconds(data, draws=20) for _ in range(3)) for data in (small, large))
    assert long < 64 * brief  # 16 times as many; the square would be 256


def _seconds(data, draws=1000):
    start = time.perf_counter()
    data.estimates(draws=draws)
    return time.perf_counter() - start
