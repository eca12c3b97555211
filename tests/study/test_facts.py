"""From evaluations to facts: paired differences, changes by a last stage, confusions, collapsed systems."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.report.record import normalisation_of
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import Condition
from emobridge.scores.classes import Evaluation
from emobridge.study.contests import contests_of
from emobridge.study.facts import (
    Scored,
    begins_as,
    changes_of,
    collapsed_of,
    confusions_of,
    differences_of,
    is_staged,
)
from emobridge.types import Utterance

A, S = "anger", "sadness"


def condition(method, *, side="source", labels="0", normalise="none", align="none"):
    normalisation = normalisation_of(normalise, align)
    return Condition("run", method, "wavlm", "3", normalisation, "en", "de", labels, "test", side)


def scored(method, *predictions, truth=(A, A, S, S), normalise="none", **values):
    evaluation = Evaluation((A, S), truth, predictions, ("a", "b", "a", "b"))
    return Scored(condition(method, normalise=normalise, **values), evaluation, normalise)


def rated(method, values, truth):
    people = ("a", "b", "a", "b")
    return Scored(condition(method), AttributeEvaluation(("arousal", "valence"), truth, values[None], people), "none")


def test_a_method_begins_as_the_one_with_its_first_stages():
    methods = ("source-only", "ft-joint", "lora", "fine-tuned", "ft-dual", "ft-lora", "two-stage")
    assert [name for name in methods if is_staged(name)] == ["ft-dual", "ft-lora", "two-stage"]
    begins = {"ft-dual": "fine-tuned", "ft-lora": "fine-tuned", "two-stage": "lora"}
    assert {name: begins_as(name, methods) for name in begins} == begins
    assert begins_as("ft-lora", ("source-only", "lora")) == "source-only", "it was not run"


def test_a_loss_on_the_source_is_a_change():
    before, after = scored("fine-tuned", (A, A, S, S)), scored("ft-lora", (A, S, S, A), labels="all")
    (change,) = changes_of([scored("source-only", (S, S, S, S), labels="all"), before, after])
    assert (change.method, change.before, change.side, change.measure) == ("ft-lora", "fine-tuned", "source", "UA")
    assert change.values == (1.0, 0.5) and change.estimate.value == -0.5
    assert (change.target_labels, change.normalisation) == ("all", "none")


def test_without_the_method_that_it_begins_as_a_change_is_from_the_baseline():
    baseline, after = scored("source-only", (S, S, S, S), labels="all"), scored("ft-lora", (A, S, S, A), labels="all")
    (change,) = changes_of([baseline, after])
    assert change.before == "source-only" and change.values == (0.5, 0.5)
    assert changes_of([after]) == (), "nothing to compare with"
    assert changes_of([baseline]) == ()


def test_a_first_stage_that_needs_target_labels_is_compared_with_the_same_labels():
    before, after = scored("lora", (A, A, S, S), labels="all"), scored("two-stage", (A, A, A, S), labels="all")
    (change,) = changes_of([scored("source-only", (A, S, A, S), labels="all"), before, after])
    assert change.before == "lora" and change.values == (1.0, 0.75)


def test_each_attribute_changes_for_itself():
    truth = np.array([[-0.5, 0.2], [0.5, -0.4], [0.1, 0.6], [-0.2, 0.1]])
    changes = changes_of([rated("fine-tuned", truth / 2, truth), rated("ft-lora", truth, truth)])
    assert [change.measure for change in changes] == ["CCC arousal", "CCC valence"]
    assert all(change.values[1] == 1 and change.values[0] < 0.9 for change in changes)
    assert all(change.estimate.value > 0.1 for change in changes)


def test_differences_are_between_systems_that_differ_in_the_method_alone():
    systems = [
        scored("source-only", (A, A, S, A)),
        scored("source-only", (A, A, S, S), labels="2"),
        scored("dann", (A, A, S, S)),
        scored("dann", (A, S, S, S), labels="2"),
        scored("dann", (A, S, S, S), labels="2", normalise="speaker"),
    ]
    gaps = differences_of(systems)
    assert [(gap.method, gap.before, gap.target_labels, gap.measure) for gap in gaps] == [
        ("dann", "source-only", "0", "UA"),
        ("dann", "source-only", "2", "UA"),
    ]
    assert [gap.estimate.value for gap in gaps] == [0.25, -0.25]


def test_a_method_without_alignment_is_compared_with_the_aligned_baseline():
    """A method that trains an encoder in stages is never aligned; its baseline is the same as beside other methods."""
    baseline = scored("source-only", (S, S, S, S), labels="all", align="coral")
    staged = scored("ft-lora", (A, A, S, A), labels="all")
    (gap,) = differences_of([baseline, staged])
    assert (gap.method, gap.before, gap.estimate.value, gap.normalisation) == ("ft-lora", "source-only", 0.25, "none")
    (change,) = changes_of([baseline, staged])
    assert (change.before, change.values) == ("source-only", (0.5, 0.75))
    utterances = {"source": [Utterance(str(n), "en", "a.wav", speaker="abab"[n]) for n in range(4)]}
    contests = contests_of([baseline, staged], utterances, 2)
    assert {(contest.better, contest.worse, contest.normalisation) for contest in contests} == {
        ("ft-lora", "source-only", "none")
    }
    (contest, *_) = contests_of([baseline, scored("dann", (A, A, S, A), align="coral")], utterances, 2)
    assert contest.normalisation == "none+coral"


def test_confusions_count_each_seed():
    (confusion,) = confusions_of([scored("dann", (A, A, S, S), (A, S, S, S))])
    assert confusion.counts == ((3, 1), (0, 4)) and confusion.labels == (A, S)


@pytest.mark.parametrize(("seeds", "predictions"), [(1, "4 utterances"), (3, "4 utterances in 1 of 3 seeds")])
def test_one_label_for_all_is_a_collapsed_system(seeds, predictions):
    answers = [(A, A, S, S)] * (seeds - 1) + [(S, S, S, S)]
    (collapse,) = collapsed_of([scored("dann", *answers, side="target")])
    assert (collapse.method, collapse.side, collapse.predictions) == ("dann", "target", f"{S} for all {predictions}")
    assert collapsed_of([scored("dann", (S, S, S, A))]) == ()


def test_one_label_where_the_truth_has_no_other_is_right():
    assert collapsed_of([scored("dann", (A, A, A, A), truth=(A, A, A, A))]) == ()


def test_an_attribute_that_is_always_the_same_is_collapsed():
    truth = np.array([[-0.5, 0.2], [0.5, -0.4], [0.1, 0.6], [-0.2, 0.1]])
    values = np.stack([truth[:, 0], np.full(4, 0.1)], 1)
    (collapse,) = collapsed_of([rated("dann", values, truth)])
    assert collapse.predictions == "the same valence for all 4 utterances"
