"""Scores of groups and their gaps, beside the same by hand and by the package's own paired difference and t."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.by_group import gap_in_words, gap_warnings, results_by_group
from emobridge.scores.classes import Evaluation
from emobridge.scores.groups import groups_of, score_groups
from emobridge.settings import Grouping
from emobridge.types import Utterance

LABELS = ("anger", "neutral", "sadness")


def evaluation(speakers=8, each=6, seeds=1, known=True, skill=lambda speaker: 0.7, labels=LABELS, seed=0):
    """Made predictions: `each` utterances of every label of every speaker, whose `skill` is the chance to be right."""
    random = np.random.default_rng(seed)
    rows = [(f"s{speaker}", label) for speaker in range(speakers) for label in labels for _ in range(each)]
    predictions = tuple(
        tuple(
            label if random.random() < skill(int(name[1:])) else LABELS[random.integers(len(LABELS))]
            for name, label in rows
        )
        for _ in range(seeds)
    )
    names = tuple(name if known else None for name, _ in rows)
    return Evaluation(LABELS, tuple(label for _, label in rows), predictions, names, utterances=tuple(range(len(rows))))


def by_half(scored):
    """The first half of the speakers against the second."""
    return groups_of(["f" if row < len(scored.truth) // 2 else "m" for row in range(len(scored.truth))])


def by_turn(scored):
    """Every other utterance: all speakers are in both groups."""
    return groups_of(["near" if row % 2 else "far" for row in range(len(scored.truth))])


def only(scored, rows):
    return Evaluation(
        scored.labels,
        tuple(scored.truth[row] for row in rows),
        tuple(tuple(prediction[row] for row in rows) for prediction in scored.predictions),
        tuple(scored.speakers[row] for row in rows),
    )


def test_a_group_is_scored_as_its_utterances_alone():
    scored = evaluation(seeds=2)
    result = score_groups(scored, "gender", by_half(scored))
    for score in result.scores:
        alone = {row.measure: row for row in only(scored, by_half(scored)[score.group]).estimates()}
        for row in score.estimates:
            name = row.measure.removeprefix("group ").removesuffix(f" gender={score.group}")
            assert (row.value, row.low, row.high, row.n) == pytest.approx(
                (alone[name].value, alone[name].low, alone[name].high, alone[name].n)
            )
    assert [row.measure for row in result.scores[0].estimates] == [
        "group UA gender=f",
        "group WA gender=f",
        *(f"group recall {label} gender=f" for label in LABELS),
    ]


def test_the_gap_of_different_speakers_is_welchs_on_jackknife_variances():
    scored = evaluation(skill=lambda speaker: 0.9 if speaker < 4 else 0.5)
    (gap,) = score_groups(scored, "gender", by_half(scored)).gaps
    values, variances = [], []
    for rows in by_half(scored).values():
        part = only(scored, rows)
        names = sorted(set(part.speakers))
        without = [
            only(part, [row for row, name in enumerate(part.speakers) if name != left]).values()["UA"] for left in names
        ]
        values.append(part.values()["UA"])
        variances.append((len(names) - 1) / len(names) * sum((value - values[-1]) ** 2 for value in without))
    error = np.sqrt(sum(variances))
    assert gap.estimate.value == pytest.approx(values[0] - values[1])
    assert (gap.estimate.low + gap.estimate.high) / 2 == pytest.approx(gap.estimate.value)
    margin = (gap.estimate.high - gap.estimate.low) / 2
    bounds = [student.ppf(0.975, freedom) * error for freedom in (6, 3)]  # of groups as varied as each other, and not
    assert bounds[0] <= margin <= bounds[1]
    assert (gap.shared, gap.p, gap.is_shown) == (0, gap.estimate.p, True)


def test_the_gap_within_speakers_is_paired():
    scored = evaluation(skill=lambda speaker: 0.35 + 0.08 * speaker, each=20)  # speakers differ, microphones do not
    (gap,) = score_groups(scored, "mic", by_turn(scored)).gaps
    unpaired = evaluation(skill=lambda speaker: 0.35 + 0.08 * (speaker % 4), each=20)
    (apart,) = score_groups(unpaired, "mic", by_half(unpaired)).gaps
    assert gap.shared == 8
    assert gap.estimate.high - gap.estimate.low < 0.6 * (apart.estimate.high - apart.estimate.low)
    assert gap.estimate.low < 0 < gap.estimate.high


def test_the_change_of_a_gap_is_that_of_the_gaps():
    before, after = evaluation(seed=1), evaluation(seed=2, skill=lambda speaker: 0.9 if speaker < 4 else 0.6)
    groups = by_half(after)
    (gap,) = score_groups(after, "gender", groups, baseline=before).gaps
    (earlier,) = score_groups(before, "gender", groups).gaps
    assert gap.change.value == pytest.approx(gap.estimate.value - earlier.estimate.value)
    assert gap.change.measure == "gap UA gender=f minus m difference"
    (same,) = score_groups(after, "gender", groups, baseline=after).gaps
    assert same.change.value == 0 and same.change.low < 0 < same.change.high


def test_p_values_of_a_column_are_corrected_together():
    scored = evaluation(speakers=9)
    groups = groups_of([str(int(name[1:]) // 3) for name in scored.speakers])
    gaps = score_groups(scored, "site", groups).gaps
    assert [(gap.first, gap.second) for gap in gaps] == [("0", "1"), ("0", "2"), ("1", "2")]
    smallest = min(gaps, key=lambda gap: gap.estimate.p)
    assert smallest.p == pytest.approx(min(1.0, 3 * smallest.estimate.p))


def test_a_group_of_one_speaker_has_no_interval():
    scored = evaluation()
    groups = groups_of(["one" if name == "s0" else "others" for name in scored.speakers])
    result = score_groups(scored, "age", groups)
    assert np.isnan(result.scores[0].estimates[0].low) and not np.isnan(result.scores[1].estimates[0].low)
    (gap,) = result.gaps
    assert gap.estimate.value == gap.estimate.value and np.isnan(gap.estimate.low) and np.isnan(gap.p)
    assert list(gap_warnings([result])) == ["too few to tell by age: one has a single speaker, and no interval"]
    assert "no interval" in gap_in_words(gap)


def test_label_sets_are_explicit():
    scored = evaluation()
    rows = by_half(scored)
    rows["m"] = [row for row in rows["m"] if scored.truth[row] != "sadness"]
    rows["m"] += [
        row for row in by_half(scored)["m"] if scored.truth[row] == "sadness" and scored.speakers[row] == "s7"
    ]
    result = score_groups(scored, "gender", rows)
    assert [score.labels for score in result.scores] == [LABELS, LABELS[:2]], "a label of a single speaker is left out"
    (gap,) = result.gaps
    assert gap.labels == LABELS[:2]
    both = [only(scored, [row for row in rows[name] if scored.truth[row] in gap.labels]) for name in "fm"]
    assert gap.estimate.value == pytest.approx(both[0].values()["UA"] - both[1].values()["UA"])


def test_groups_without_a_label_in_common_have_no_gap():
    scored = evaluation()
    rows = groups_of(["a" if label == "anger" else "b" for label in scored.truth])
    (gap,) = score_groups(scored, "site", rows).gaps
    assert gap.labels == () and np.isnan(gap.estimate.value) and not gap.is_shown


def test_one_utterance_and_one_group():
    scored = Evaluation(LABELS, ("anger",), (("anger",),), ("s",), utterances=(0,))
    result = score_groups(scored, "gender", {"f": [0]})
    assert result.gaps == () and result.scores[0].labels == ("anger",) and result.largest is None


def test_speakers_who_are_not_known_count_one_by_one():
    scored = evaluation(known=False)
    result = score_groups(scored, "gender", by_half(scored))
    assert result.scores[0].speakers == len(scored.truth) // 2
    assert result.scores[0].estimates[0].intervals_over == "utterances"
    assert not np.isnan(result.gaps[0].estimate.low)


def test_attributes_are_compared_by_ccc():
    random = np.random.default_rng(0)
    truth = random.uniform(-1, 1, (80, 2))
    people, numbers = tuple(f"s{row // 10}" for row in range(80)), tuple(range(80))
    predictions = np.where(np.arange(80)[:, None] < 40, truth, 0) * 0.9 + random.normal(0, 0.05, (80, 2))
    scored = AttributeEvaluation(("arousal", "valence"), truth, predictions[None], people, utterances=numbers)
    groups = groups_of(["f" if row < 40 else "m" for row in range(80)])
    result = score_groups(scored, "gender", groups)
    assert [score.estimates[0].measure for score in result.scores] == [f"group CCC mean gender={name}" for name in "fm"]
    assert result.gaps[0].estimate.value > 0.7 and result.gaps[0].is_shown
    truth[:39, 1] = np.nan
    scored = AttributeEvaluation(("arousal", "valence"), truth, predictions[None], people, utterances=numbers)
    assert score_groups(scored, "gender", groups).scores[0].labels == (), "a single known value makes no CCC"


def test_columns_by_default_are_those_that_can_be_compared():
    scored = evaluation(skill=lambda speaker: 0.95 if speaker < 4 else 0.4, each=12)

    def row(number):
        speaker = int(scored.speakers[number][1:])
        gender, age = ("female" if speaker < 4 else "male"), (65.0 if speaker == 0 else 31.0)
        return Utterance(str(number), "c", "a.wav", gender=gender, age=age, extra=(("site", f"x{speaker % 2}"),))

    rows = [row(number) for number in range(len(scored.truth))]
    assert [result.column for result in results_by_group(scored, rows, Grouping())] == ["gender"]
    results = results_by_group(scored, rows, Grouping(groups=("age", "site")))
    assert [[score.group for score in result.scores] for result in results] == [
        ["30 to 59", "60 and over"],
        ["x0", "x1"],
    ]
    assert results_by_group(scored, rows, Grouping(groups=())) == ()
    (line,) = gap_warnings(results_by_group(scored, rows, Grouping()))
    assert line.startswith("it does not work equally well for everyone: gender female is recognised better than male")
