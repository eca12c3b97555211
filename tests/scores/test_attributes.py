"""CCC of attributes against audmetric, and its jackknife against a loop that anybody can read."""

from __future__ import annotations

from dataclasses import replace

import audmetric
import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t as student

from emobridge.errors import UserError
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import Condition
from emobridge.scores.files import read_scores, write_scores
from emobridge.scores.measures.ccc import Ccc
from emobridge.types import ATTRIBUTES, Range

CONDITION = Condition("r", "source-only", "wavlm", "3", "none", "msp-podcast", "biic-podcast", "0", "test", "target")


def example(n=120, seeds=2, speakers=6, noise=0.3, seed=0) -> AttributeEvaluation:
    """Speakers are heard more or less well, so that clusters matter; some values are not known."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-1, 1, size=(n, 3))
    who = rng.integers(speakers, size=n)
    bias = rng.normal(0, 0.4, size=speakers)
    predictions = np.stack([truth + bias[who, None] + rng.normal(0, noise, size=(n, 3)) for _ in range(seeds)])
    truth[rng.random((n, 3)) < 0.1] = np.nan
    return AttributeEvaluation(ATTRIBUTES, truth, predictions, tuple(f"s{k}" for k in who))


def of(estimates, measure):
    return next(estimate for estimate in estimates if estimate.measure == measure)


def test_values_are_those_of_audmetric_and_of_the_metric():
    data = example(seeds=3)
    estimates = data.estimates()
    assert [row.measure for row in estimates] == ["CCC arousal", "CCC valence", "CCC dominance", "CCC mean"]
    values = []
    for k, row in enumerate(estimates[:3]):
        rated = ~np.isnan(data.truth[:, k])
        expected = [
            audmetric.concordance_cc(data.truth[rated, k], prediction[rated, k]) for prediction in data.predictions
        ]
        assert row.value == pytest.approx(np.mean(expected))
        assert expected[0] == pytest.approx(Ccc()(data.truth[rated, k], data.predictions[0][rated, k]))
        assert (row.n, row.intervals_over) == (rated.sum(), "speakers")
        assert row.low < row.value < row.high
        values.append(row.value)
    assert estimates[3].value == pytest.approx(np.mean(values))
    assert estimates[3].n == (~np.isnan(data.truth)).any(1).sum()


def test_a_small_one_by_hand():
    data = AttributeEvaluation(
        ("arousal",), np.array([[0.0], [1.0], [2.0]]), np.array([[[0.0], [1.0], [1.0]]]), (None,) * 3, Range(0, 2)
    )
    estimates = data.estimates()
    assert estimates[0].value == estimates[1].value == pytest.approx(2 / 3)
    assert estimates[0].intervals_over == "utterances"


def test_the_interval_is_that_of_a_plain_loop_that_leaves_out_each_speaker():
    data = example(n=60, speakers=5, seeds=1)
    who = np.arange(60) % 5
    truth = np.nan_to_num(data.truth)  # so that each speaker has 12 values: K - 1 degrees of freedom
    data = replace(data, truth=truth, speakers=tuple(f"s{k}" for k in who))
    without = np.array(
        [[Ccc()(truth[who != k, a], data.predictions[0][who != k, a]) for a in range(3)] for k in range(5)]
    )
    values = [Ccc()(truth[:, a], data.predictions[0][:, a]) for a in range(3)]
    half = lambda p: logit((60 * (p + 1) / 2 + 0.5) / 61)  # noqa: E731
    for row, value, left in zip(data.estimates(), (*values, np.mean(values)), (*without.T, without.mean(1))):
        error = np.sqrt((5 - 1) / 5 * np.sum((half(left) - half(value)) ** 2))
        ends = half(value) + np.array([-1, 1]) * student.ppf(0.975, 5 - 1) * error
        assert (row.value, row.low, row.high) == pytest.approx((value, *(2 * (expit(ends) * 61 - 0.5) / 60 - 1)))


def test_a_perfect_one_is_no_proof_that_all_are():
    data = example()
    perfect = replace(data, predictions=np.nan_to_num(data.truth)[None])
    for row in perfect.estimates():
        assert row.value == pytest.approx(1) and 0.5 < row.low < 0.99 and row.high == pytest.approx(1)


def test_where_ccc_is_not_defined_without_a_speaker_there_is_no_interval():
    """Two speakers, each rated the same throughout: without one of them nothing varies but rounding."""
    truth = np.repeat([[0.7], [-0.1]], 3, axis=0)
    predicted = truth.astype(np.float32).astype(float)
    data = AttributeEvaluation(("arousal",), truth, predicted[None], tuple("aaabbb"))
    estimate = data.estimates()[0]
    assert estimate.value == pytest.approx(1) and np.isnan([estimate.low, estimate.high]).all()


def test_it_does_not_depend_on_the_scale_that_both_sides_share():
    data = example()
    raters = replace(data, truth=4 + 3 * data.truth, predictions=4 + 3 * data.predictions, range=Range(1, 7))
    for here, there in zip(data.estimates(), raters.estimates()):
        assert (here.value, here.low, here.high) == pytest.approx((there.value, there.low, there.high))


def test_far_from_zero_no_digits_are_lost():
    data = example()
    away = replace(data, truth=data.truth + 1e6, predictions=data.predictions + 1e6, range=Range(1e6 - 1, 1e6 + 1))
    assert away.estimates()[0].value == pytest.approx(data.estimates()[0].value, abs=1e-8)


def test_clusters_widen_the_interval():
    data = example(n=600, speakers=6, noise=0.1)
    alone = replace(data, speakers=(None,) * 600)
    clustered, single = data.estimates()[0], alone.estimates()[0]
    assert single.intervals_over == "utterances"
    assert clustered.high - clustered.low > 1.5 * (single.high - single.low)


def test_an_attribute_that_is_hardly_known_is_left_out():
    data = example()
    truth = data.truth.copy()
    truth[1:, 1] = np.nan
    estimates = replace(data, truth=truth).estimates()
    assert [row.measure for row in estimates] == ["CCC arousal", "CCC dominance", "CCC mean"]
    assert estimates[2].value == pytest.approx((estimates[0].value + estimates[1].value) / 2)


def test_a_prediction_that_never_varies_is_zero_and_zero_by_zero_is_not_a_number():
    truth = np.array([[0.1, 0.3], [0.5, 0.3], [0.2, 0.3]])
    data = AttributeEvaluation(("arousal", "valence"), truth, np.full((1, 3, 2), 0.3), (None,) * 3)
    arousal, valence, mean = data.estimates()
    assert arousal.value == pytest.approx(0, abs=1e-12) and arousal.low < -0.5 and arousal.high > 0.5
    assert np.isnan([valence.value, valence.low, valence.high, mean.value, mean.low, mean.high]).all()


def test_the_paired_difference_is_narrower_than_unpaired_systems_suggest():
    before = example(n=400, speakers=10, noise=0.5)
    after = replace(before, predictions=0.9 * before.predictions + 0.1 * np.nan_to_num(before.truth))
    gaps = after.difference(before)
    first, second = before.estimates(), after.estimates()
    assert [row.measure for row in gaps] == [f"{row.measure} difference" for row in first]
    for difference, old, new in zip(gaps, first, second):
        assert difference.value == pytest.approx(new.value - old.value)
        assert 0 < difference.low < difference.value < difference.high
        assert difference.high - difference.low < 0.5 * (new.high - new.low)
        assert difference.p < 0.05
    other = replace(before, truth=before.truth[::-1])
    with pytest.raises(UserError, match="same utterances"):
        other.difference(before)


def test_rows_hold_each_seed_and_their_mean_and_survive_their_file(tmp_path):
    data = example(seeds=2)
    rows = data.scores(CONDITION)
    assert [(row.seed, row.measure) for row in rows] == [
        (seed, f"CCC {name}") for seed in ("0", "1", "all") for name in (*ATTRIBUTES, "mean")
    ]
    arousal = {row.seed: row for row in rows if row.measure == "CCC arousal"}
    assert arousal["all"].value == pytest.approx((arousal["0"].value + arousal["1"].value) / 2)
    assert arousal["0"].low != arousal["1"].low
    assert (arousal["all"].labels, arousal["all"].side) == ("arousal,valence,dominance", "target")
    write_scores(tmp_path / "scores.json", rows)
    assert read_scores(tmp_path / "scores.json") == tuple(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speakers": ()}, "nothing to score: no utterance"),
        ({"predictions": np.zeros((0, 120, 3))}, "nothing to score"),
        ({"speakers": (None,) * 119}, r"expected \(119, 3\)"),
        ({"predictions": np.zeros((2, 120, 2))}, r"predicted ones \(2, 120, 2\): expected \(120, 3\) and"),
        ({"predictions": np.full((2, 120, 3), np.nan)}, "not a finite number"),
        ({"truth": np.full((120, 3), 4.0)}, r"a true value is 4: expected -1\.\.1"),
        ({"truth": np.full((120, 3), np.nan)}, "fewer than two known values of arousal, valence, dominance"),
    ],
)
def test_an_evaluation_is_checked(change, message):
    with pytest.raises(UserError, match=message):
        replace(example(), **change)


def test_sizes_of_one():
    """One speaker, one seed, one attribute; one utterance cannot be scored."""
    alone = AttributeEvaluation(("arousal",), np.array([[0.1], [0.5]]), np.array([[[0.2], [0.4]]]), ("s", "s"))
    rows = alone.estimates()
    assert [row.measure for row in rows] == ["CCC arousal", "CCC mean"] and rows[0].value == rows[1].value
    assert np.isnan([rows[0].low, rows[0].high]).all()
    assert (alone.intervals_over, alone.collapsed, alone.confusion()) == ("speakers", None, None)
    with pytest.raises(UserError, match="fewer than two known values of arousal"):
        AttributeEvaluation(("arousal",), np.array([[0.1]]), np.array([[[0.2]]]), ("s",))


def test_the_face_that_callers_see():
    data = example(seeds=2)
    assert data.values() == {row.measure: row.value for row in data.estimates()}
    assert (data.of, data.lead.name, data.chance, data.label_set) == ("attributes", "CCC", 0, ATTRIBUTES)
    assert [part.predictions.tolist() for part in data.seeds()] == [row[None].tolist() for row in data.predictions]
    values = data.per_subset([range(60), range(60, 120)])
    assert list(values) == [f"CCC {name}" for name in ATTRIBUTES]
    rated = [row for row in range(60, 120) if not np.isnan(data.truth[row, 0])]
    assert values["CCC arousal"][3] == pytest.approx(Ccc()(data.truth[rated, 0], data.predictions[1][rated, 0]))


def test_a_regressor_that_gives_the_same_value_for_everything_is_told():
    data = example(seeds=2)
    assert data.collapsed is None
    flat = data.predictions.copy()
    flat[1, :, 2] = 0.2
    assert replace(data, predictions=flat).collapsed == "the same dominance for all 120 utterances"
    level = np.where(np.isnan(data.truth), np.nan, 0.2)
    assert replace(data, predictions=flat, truth=level).collapsed is None, "as it should"
