"""Metrics against scikit-learn and audmetric, and the bootstrap against a loop that anybody can read."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import audmetric
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, recall_score

from emobridge.errors import UserError
from emobridge.scores import classes as metrics
from emobridge.scores.classes import Condition, Evaluation, difference, read_scores, score, to_scores, write_scores

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


def test_point_values_agree_with_scikit_learn():
    data = example()
    truth, prediction = data.truth, data.predictions[0]
    assert (
        metrics.confusion(truth, prediction, labels=LABELS).tolist()
        == confusion_matrix(truth, prediction, labels=LABELS).tolist()
    )
    assert metrics.ua(truth, prediction, labels=LABELS) == pytest.approx(
        recall_score(truth, prediction, labels=LABELS, average="macro")
    )
    assert metrics.ua(truth, prediction, labels=LABELS) == pytest.approx(
        audmetric.unweighted_average_recall(truth, prediction, LABELS)
    )
    assert metrics.wa(truth, prediction, labels=LABELS) == pytest.approx(accuracy_score(truth, prediction))
    for average, function in (("macro", metrics.f1_macro), ("weighted", metrics.f1_weighted)):
        expected = f1_score(truth, prediction, labels=LABELS, average=average)
        assert function(truth, prediction, labels=LABELS) == pytest.approx(expected)
    by_class = recall_score(truth, prediction, labels=LABELS, average=None)
    assert list(metrics.recall(truth, prediction, labels=LABELS).values()) == pytest.approx(by_class)


def test_ua_does_not_depend_on_which_labels_happened_to_be_predicted():
    # ([0, 0], [0, 1]): labels inferred from both sides give 0.25, and ([0, 0], [0, 0]) would give 1.0 over ONE label
    assert audmetric.unweighted_average_recall(["a", "a"], ["a", "b"]) == 0.25
    assert metrics.ua(["a", "a"], ["a", "b"], labels=["a", "b"]) == 0.5
    assert metrics.ua(["a", "a"], ["a", "b"], labels=["a", "b", "c"]) == 0.5
    assert metrics.ua(["a", "a"], ["a", "c"], labels=["a", "b", "c"]) == 0.5
    assert metrics.recall(["a", "a"], ["a", "b"], labels=["a", "b"]) == {"a": 0.5}
    # a label that the truth holds and nobody predicted does count
    assert metrics.ua(["a", "b"], ["a", "a"], labels=["a", "b"]) == 0.5


@pytest.mark.filterwarnings("ignore")
def test_a_label_that_truth_lacks_is_left_out_of_means():
    truth, prediction = ["a", "a", "b", "b"], ["a", "c", "b", "b"]
    assert metrics.ua(truth, prediction, labels="abc") == pytest.approx(balanced_accuracy_score(truth, prediction))
    # it is left out of macro F1 whether it was predicted or not; the misses still count against a
    expected = f1_score(truth, prediction, labels=["a", "b"], average="macro")
    assert metrics.f1_macro(truth, prediction, labels="abc") == pytest.approx(expected)
    assert metrics.f1_macro(truth, prediction, labels="abc") == metrics.f1_macro(truth, prediction, labels="abcd")


def test_ccc_has_population_moments():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=12), rng.normal(0.7, 1, size=12)

    def by_hand(ddof):
        covariance = np.cov(x, y, ddof=ddof)[0, 1]
        return 2 * covariance / (x.var(ddof=ddof) + y.var(ddof=ddof) + (x.mean() - y.mean()) ** 2)

    assert metrics.ccc(x, y) == pytest.approx(by_hand(0), abs=1e-12)
    assert abs(metrics.ccc(x, y) - by_hand(1)) > 1e-3
    assert metrics.ccc(x, x) == pytest.approx(1)
    assert metrics.ccc([0, 1, 2], [0, 1, 1]) == pytest.approx(2 / 3)
    with pytest.raises(UserError, match="2 true values but 1 predicted"):
        metrics.ccc([0.0, 1.0], [0.0])


@pytest.mark.parametrize(
    ("truth", "prediction", "labels", "message"),
    [
        (["a"], ["a", "b"], "ab", "1 true labels but 2 predicted"),
        (["angr"], ["anger"], ["anger", "neutral"], "unknown true label 'angr': did you mean 'anger'"),
        (["anger"], ["joy"], ["anger", "neutral"], "unknown predicted label 'joy'"),
        (["a"], ["a"], "aa", "distinct labels"),
        ([None], ["a"], "a", "unknown true label 'None'"),
    ],
)
def test_mistakes_are_named(truth, prediction, labels, message):
    with pytest.raises(UserError, match=message):
        metrics.ua(truth, prediction, labels=labels)


def test_an_evaluation_is_checked():
    with pytest.raises(UserError, match="nothing to score"):
        Evaluation(("a",), (), ((),), ())
    with pytest.raises(UserError, match="1 speakers for 2 utterances"):
        Evaluation(("a",), ("a", "a"), (("a", "a"),), ("s",))


def test_score_is_the_mean_over_seeds_of_the_point_values():
    data = example(seeds=3)
    found = score(data, draws=50)
    for measure, function in (
        ("UA", metrics.ua),
        ("WA", metrics.wa),
        ("F1 macro", metrics.f1_macro),
        ("F1 weighted", metrics.f1_weighted),
    ):
        expected = np.mean([function(data.truth, p, labels=LABELS) for p in data.predictions])
        estimate = of(found, measure)
        assert estimate.value == pytest.approx(expected)
        assert estimate.low < estimate.value < estimate.high
        assert (estimate.n, estimate.resampled) == (200, "speakers")
    assert of(found, "recall anger").n == data.truth.count("anger")
    keep = [k for k, speaker in enumerate(data.speakers) if speaker == "s3"]
    own = [metrics.ua([data.truth[k] for k in keep], [p[k] for k in keep], labels=LABELS) for p in data.predictions]
    estimate = of(found, "recall speaker s3")
    assert estimate.value == pytest.approx(np.mean(own))
    assert (estimate.n, estimate.resampled) == (len(keep), "utterances")


def test_the_interval_is_that_of_a_plain_loop_over_drawn_speakers():
    data = example(n=60, speakers=5)
    names = sorted(set(data.speakers))
    values = []
    for drawn in np.random.default_rng(4).integers(len(names), size=(200, len(names))):
        rows = [k for index in drawn for k, speaker in enumerate(data.speakers) if speaker == names[index]]
        truth = [data.truth[k] for k in rows]
        values.append(np.mean([metrics.ua(truth, [p[k] for k in rows], labels=LABELS) for p in data.predictions]))
    found = of(score(data, draws=200, seed=4), "UA")
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, (2.5, 97.5))))


def test_clusters_widen_the_interval():
    """Speakers that differ carry less information than as many independent utterances."""
    data = example(n=800, speakers=6)
    alone = Evaluation(data.labels, data.truth, data.predictions, (None,) * 800)
    clustered, single = of(score(data), "UA"), of(score(alone), "UA")
    assert single.resampled == "utterances"
    assert clustered.high - clustered.low > 1.5 * (single.high - single.low)


def test_a_single_speaker_falls_back_to_utterances_and_says_so():
    data = example(speakers=1)
    found = of(score(data), "UA")
    assert (data.resampled, found.resampled) == ("utterances", "utterances")
    assert 0.02 < found.high - found.low < 0.25


def test_absent_labels_have_no_row_and_rare_ones_a_finite_interval():
    data = Evaluation(("a", "b", "c"), ("a", "a", "b"), (("a", "c", "b"),), ("x", "x", "y"))
    found = score(data, draws=20)
    assert [e.measure for e in found if e.measure.startswith("recall")] == [
        "recall a",
        "recall b",
        "recall speaker x",
        "recall speaker y",
    ]
    assert all(np.isfinite([e.low, e.high]).all() for e in found)
    assert of(found, "UA").value == 0.75


def test_the_paired_difference_is_narrower_than_unpaired_systems_suggest():
    before = example(n=600, speakers=10, seeds=1, skill=0.3)
    rng = np.random.default_rng(9)  # the second system repairs a fifth of what the first says
    repaired = tuple(t if rng.random() < 0.2 else p for t, p in zip(before.truth, before.predictions[0]))
    after = Evaluation(before.labels, before.truth, (repaired,), before.speakers)
    found = difference(before, after)
    one, two = of(score(before), "UA"), of(score(after), "UA")
    assert found.value == pytest.approx(two.value - one.value)
    assert 0 < found.low < found.value < found.high
    assert found.high - found.low < 0.7 * (one.high - one.low)
    same = difference(before, before)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    shuffled = Evaluation(before.labels, before.truth[::-1], before.predictions, before.speakers)
    with pytest.raises(UserError, match="same utterances"):
        difference(before, shuffled)


def test_rows_hold_each_seed_and_their_mean():
    data = example(seeds=2, speakers=3)
    rows = to_scores(data, CONDITION, draws=30)
    assert {row.seed for row in rows} == {"0", "1", "all"}
    ua = {row.seed: row for row in rows if row.measure == "UA"}
    assert ua["all"].value == pytest.approx((ua["0"].value + ua["1"].value) / 2)
    assert ua["0"].value == pytest.approx(metrics.ua(data.truth, data.predictions[0], labels=LABELS))
    assert ua["0"].low != ua["1"].low
    assert (ua["all"].labels, ua["all"].side, ua["all"].n) == (",".join(LABELS), "target", 200)


def test_scores_survive_their_file(tmp_path):
    rows = to_scores(example(seeds=1, speakers=2), CONDITION, draws=10)
    path = tmp_path / "scores.json"
    write_scores(path, rows)
    assert read_scores(path) == tuple(rows)
    path.write_text(json.dumps([{"run": "r"}]))
    with pytest.raises(UserError, match="row 1 is no score"):
        read_scores(path)
    with pytest.raises(UserError, match="absent"):
        read_scores(tmp_path / "absent")
    write_scores(path, [replace(rows[0], value=float("nan"))])
    assert "null" in path.read_text()
    assert np.isnan(read_scores(path)[0].value)
    write_scores(path, [])
    assert read_scores(path) == ()


def test_it_is_fast():
    data = example(n=1500, seeds=3, speakers=24)
    best = min(_seconds(data) for _ in range(3))
    assert best < 0.5  # about 0.06 s on an idle core; the bound leaves room for a busy machine


def _seconds(data):
    start = time.perf_counter()
    score(data)
    return time.perf_counter() - start
