"""Evaluations of classes against the measures, and the jackknife against a loop that anybody can read."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t as student

from emobridge.errors import UserError
from emobridge.scores.base import Condition
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
    estimates = data.estimates()
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
        assert (estimate.n, estimate.intervals_over) == (200, "speakers")
    assert of(estimates, "recall anger").n == data.truth.count("anger")
    keep = [k for k, speaker in enumerate(data.speakers) if speaker == "s3"]
    expected = [Ua()([data.truth[k] for k in keep], [p[k] for k in keep], labels=LABELS) for p in data.predictions]
    estimate = of(estimates, "recall speaker s3")
    assert estimate.value == pytest.approx(np.mean(expected))
    assert (estimate.n, estimate.intervals_over) == (len(keep), "utterances")


def ua_without(data, speaker):
    rows = [k for k, name in enumerate(data.speakers) if name != speaker]
    truth = [data.truth[k] for k in rows]
    return [Ua()(truth, [p[k] for k in rows], labels=data.labels) for p in data.predictions]


def balanced(speakers=5, seeds=1) -> Evaluation:
    """Each speaker says each emotion four times, so that the interval has K - 1 degrees of freedom."""
    rng = np.random.default_rng(3)
    truth = tuple(LABELS * 4 * speakers)
    who = tuple(f"s{k}" for k in range(speakers) for _ in range(16))
    ease = dict(zip(sorted(set(who)), rng.uniform(0.3, 0.8, speakers)))
    predictions = tuple(
        tuple(x if rng.random() < ease[name] else str(rng.choice(LABELS)) for x, name in zip(truth, who))
        for _ in range(seeds)
    )
    return Evaluation(LABELS, truth, predictions, who)


def test_the_interval_is_that_of_a_plain_loop_that_leaves_out_each_speaker():
    data = balanced()
    n, speakers = len(data.truth), sorted(set(data.speakers))
    ua = of(data.estimates(), "UA")
    half = lambda p: logit((n * p + 0.5) / (n + 1))  # noqa: E731
    without = [half(ua_without(data, speaker)[0]) for speaker in speakers]
    error = np.sqrt((5 - 1) / 5 * np.sum((without - half(ua.value)) ** 2))
    ends = half(ua.value) + np.array([-1, 1]) * student.ppf(0.975, 5 - 1) * error
    assert (ua.low, ua.high) == pytest.approx(tuple((expit(ends) * (n + 1) - 0.5) / n))


def test_the_paired_difference_is_that_of_a_plain_loop_that_leaves_out_each_speaker():
    after, before = balanced(), replace(balanced(), predictions=example(n=80, seeds=1, speakers=5).predictions)
    (gap,) = after.difference(before)
    without = [ua_without(after, name)[0] - ua_without(before, name)[0] for name in sorted(set(after.speakers))]
    without = np.array(without)
    error = np.sqrt((5 - 1) / 5 * np.sum((without - gap.value) ** 2))
    margin = student.ppf(0.975, 5 - 1) * error
    assert (gap.low, gap.high) == pytest.approx((gap.value - margin, gap.value + margin))
    assert gap.p == pytest.approx(2 * student.sf(abs(gap.value) / error, 5 - 1))


def test_nothing_in_an_interval_is_random():
    data = example(seeds=3)
    assert data.estimates() == example(seeds=3).estimates()
    order = np.random.default_rng(1).permutation(200)
    shuffled = Evaluation(
        LABELS,
        tuple(data.truth[k] for k in order),
        tuple(tuple(p[k] for k in order) for p in data.predictions),
        tuple(data.speakers[k] for k in order),
    )
    for here, there in zip(data.estimates(), shuffled.estimates()):
        assert (here.value, here.low, here.high) == pytest.approx((there.value, there.low, there.high))


def test_seeds_do_not_count_as_speakers():
    """Five seeds that predict the same are one system; five that differ widen the interval of their mean."""
    data = balanced()
    same = replace(data, predictions=data.predictions * 5)
    single, five = of(data.estimates(), "UA"), of(same.estimates(), "UA")
    assert (single.low, single.high) == pytest.approx((five.low, five.high))
    lucky = replace(data, predictions=(*data.predictions * 4, data.truth))
    (gap,) = lucky.difference(same)
    assert gap.low < 0 < gap.value < gap.high and gap.p > 0.05, "one seed of five is better"
    (unpaired,) = lucky.difference(data)  # other numbers of seeds
    assert unpaired.value == pytest.approx(gap.value)


def test_clusters_widen_the_interval():
    """Speakers that differ carry less information than as many independent utterances."""
    data = example(n=800, speakers=6)
    alone = Evaluation(data.labels, data.truth, data.predictions, (None,) * 800)
    clustered, single = of(data.estimates(), "UA"), of(alone.estimates(), "UA")
    assert single.intervals_over == "utterances"
    assert clustered.high - clustered.low > 1.5 * (single.high - single.low)


def test_a_single_speaker_has_no_interval_but_its_own():
    data = example(speakers=1)
    estimates = data.estimates()
    assert {row.intervals_over for row in estimates[:12]} == {"speakers"}
    assert all(np.isnan([row.low, row.high]).all() for row in estimates[:12])
    assert estimates[0].value == pytest.approx(np.mean([Ua()(data.truth, p, labels=LABELS) for p in data.predictions]))
    (alone,) = estimates[12:]
    assert (alone.measure, alone.intervals_over) == ("recall speaker s0", "utterances")
    assert 0.02 < alone.high - alone.low < 0.25
    (gap,) = data.difference(data)
    assert gap.value == 0 and np.isnan([gap.low, gap.high]).all() and gap.p is None


def test_utterances_without_a_speaker_count_as_speakers_of_their_own():
    data = example(n=60, speakers=4)
    unknown = replace(data, speakers=(None,) * 60)
    apart = replace(data, speakers=tuple(map(str, range(60))))
    mixed = replace(data, speakers=(*data.speakers[:30], *(None,) * 30))
    assert (unknown.intervals_over, mixed.intervals_over) == ("utterances", "speakers and utterances")
    for here, there in zip(unknown.estimates(details=False), apart.estimates(details=False)):
        assert (here.value, here.low, here.high) == pytest.approx((there.value, there.low, there.high))
    widths = [row.high - row.low for row in (of(e.estimates(), "UA") for e in (data, mixed, unknown))]
    assert widths[0] > widths[1] > widths[2]


def test_an_utterance_that_was_scored_twice_is_one():
    data = replace(example(n=60, seeds=1), speakers=(None,) * 60)
    twice = Evaluation(
        LABELS, data.truth * 2, (data.predictions[0] * 2,), (None,) * 120, utterances=(*range(60), *range(60))
    )
    single, double = of(data.estimates(), "WA"), of(twice.estimates(), "WA")
    assert (double.low, double.high) == pytest.approx((single.low, single.high), abs=0.01)
    (gap,) = twice.difference(twice)
    assert gap.value == 0


def right_but(wrong=(), speakers=6):
    """Two classes, two utterances of each by every speaker; `wrong` are indices of those that are not recognised."""
    truth = tuple("aabb" * speakers)
    who = tuple(f"s{k}" for k in range(speakers) for _ in range(4))
    answers = tuple(("a" if x == "b" else "b") if k in wrong else x for k, x in enumerate(truth))
    return Evaluation(("a", "b"), truth, (answers,), who)


def test_no_error_at_all_is_no_proof_of_none():
    """The interval of a perfect score reaches down, but not below that of a score with one error."""
    perfect, nearly = (of(right_but(wrong).estimates(), "UA") for wrong in ((), (5,)))
    assert perfect.value == perfect.high == 1
    assert 0.3 < nearly.low <= perfect.low < nearly.value < nearly.high <= 1
    many = of(right_but(speakers=60).estimates(), "UA")
    assert perfect.low < many.low < 1
    never = of(right_but(range(24)).estimates(), "UA")
    assert (never.value, never.low, never.high) == pytest.approx((0, 0, 1 - perfect.low))
    half = right_but([k for k in range(24) if k % 2])  # each speaker has half of them right
    ua = of(half.estimates(), "UA")
    assert ua.low < ua.value == 0.5 < ua.high
    (same,) = half.difference(half)
    assert same.value == 0 and -same.low == same.high > 0.01 and same.p == 1
    (gap,) = right_but().difference(half)
    assert 0 < gap.low < gap.value == 0.5 < gap.high and gap.p < 0.05


def test_absent_labels_have_no_row_and_a_label_of_one_speaker_no_interval():
    data = Evaluation(("a", "b", "c"), ("a", "a", "b", "a"), (("a", "c", "b", "b"),), ("x", "x", "y", "y"))
    estimates = data.estimates()
    assert [e.measure for e in estimates if e.measure.startswith("recall")] == [
        "recall a",
        "recall b",
        "recall speaker x",
        "recall speaker y",
    ]
    assert np.isnan(of(estimates, "recall b").low), "only y has it"
    assert np.isfinite([of(estimates, name).low for name in ("UA", "F1 macro", "recall a")]).all()
    assert of(estimates, "UA").value == pytest.approx((1 / 3 + 1) / 2)


def test_a_class_of_two_speakers_widens_the_interval_of_ua():
    """The mean over classes then rests on these two, however many others there are."""
    data = example(n=960, speakers=24, seeds=1)
    rows = [k for k, (x, name) in enumerate(zip(data.truth, data.speakers)) if x != "anger" or name in ("s0", "s1")]
    scarce = Evaluation(
        LABELS,
        tuple(data.truth[k] for k in rows),
        (tuple(data.predictions[0][k] for k in rows),),
        tuple(data.speakers[k] for k in rows),
    )
    width = {name: [of(e.estimates(), name) for e in (data, scarce)] for name in ("UA", "WA")}
    (ua, scarce_ua), (wa, scarce_wa) = ([row.high - row.low for row in pair] for pair in width.values())
    assert scarce_ua > 2 * ua and scarce_wa < 1.5 * wa


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
    assert gap.p < 0.05
    shuffled = Evaluation(before.labels, before.truth[::-1], before.predictions, before.speakers)
    with pytest.raises(UserError, match="same utterances"):
        shuffled.difference(before)


def test_rows_hold_each_seed_and_their_mean():
    data = example(seeds=2, speakers=3)
    rows = data.scores(CONDITION)
    assert {row.seed for row in rows} == {"0", "1", "all"}
    ua = {row.seed: row for row in rows if row.measure == "UA"}
    assert ua["all"].value == pytest.approx((ua["0"].value + ua["1"].value) / 2)
    assert ua["0"].value == pytest.approx(Ua()(data.truth, data.predictions[0], labels=LABELS))
    assert ua["0"].low != ua["1"].low
    assert (ua["all"].labels, ua["all"].side, ua["all"].n) == (",".join(LABELS), "target", 200)


def test_sizes_of_one():
    """One utterance, one speaker, one seed, one class."""
    alone = Evaluation(("a",), ("a",), (("a",),), ("s",))
    estimates = alone.estimates()
    assert [(row.measure, row.value) for row in estimates] == [
        (name, 1) for name in ("UA", "WA", "F1 macro", "F1 weighted", "recall a", "recall speaker s")
    ]
    assert all(np.isnan([row.low, row.high]).all() for row in estimates)
    assert (alone.intervals_over, alone.collapsed, alone.chance) == ("speakers", None, 1)
    assert alone.difference(alone)[0].value == 0
    assert alone.confusion().tolist() == [[1]]
    assert [row.seed for row in alone.scores(CONDITION)][::6] == ["0", "all"]
    unknown = Evaluation(("a",), ("a",), (("a",),), (None,))
    assert np.isnan(unknown.estimates()[0].low) and unknown.intervals_over == "utterances"


def test_the_face_that_callers_see():
    data = example(seeds=2)
    estimates = data.estimates()
    assert data.estimates(details=False) == estimates[:4]
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
    estimates = data.estimates()
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


def test_it_is_fast():
    data = example(n=1500, seeds=3, speakers=24)
    best = min(_seconds(data) for _ in range(3))
    assert best < 0.3  # about 0.015 s on an idle core; the bound leaves room for a busy machine


@pytest.mark.slow
def test_the_time_grows_with_the_utterances_and_not_with_their_square():
    small, large = (example(n=n, seeds=1, speakers=n // 10) for n in (500, 8000))
    brief, long = (min(_seconds(data) for _ in range(3)) for data in (small, large))
    assert long < 64 * brief  # 16 times as many; the square would be 256


def _seconds(data):
    start = time.perf_counter()
    data.estimates()
    return time.perf_counter() - start
