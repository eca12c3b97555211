"""What the last stage changed: against what it begins as."""

from __future__ import annotations

import numpy as np

from emobridge.report.changes import begins_as, changes_of, changes_section, is_staged
from emobridge.report.costs import cost_section
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.classes import Evaluation
from emobridge.training.cost import Cost


def evaluation(*said):
    return Evaluation(("anger", "sadness"), ("anger", "anger", "sadness", "sadness"), (said,), ("a", "b", "a", "b"))


def test_a_method_begins_as_the_one_with_its_first_stages():
    assert [name for name in ("fine-tuned", "lora", "ft-dual", "ft-lora", "two-stage") if is_staged(name)] == [
        "ft-lora",
        "two-stage",
    ]
    every = ("source-only", "ft-dual", "lora", "fine-tuned", "ft-lora", "two-stage")
    assert (begins_as("ft-lora", every), begins_as("two-stage", every)) == ("fine-tuned", "lora")
    assert begins_as("ft-lora", ("source-only", "lora")) == "source-only", "it was not run"


def test_a_loss_on_the_source_is_told_with_its_interval():
    before, after = (
        evaluation("anger", "anger", "sadness", "sadness"),
        evaluation("anger", "sadness", "sadness", "anger"),
    )
    (change,) = changes_of("ft-lora", "fine-tuned", "source", before, after)
    assert change.values == (1.0, 0.5) and change.estimate.value == -0.5
    (table,) = changes_section([change]).blocks
    (row,) = table.rows
    assert row[:6] == ("ft-lora", "fine-tuned", "source", "UA", "100.0", "50.0") and row[6].startswith("-50.0 (")
    assert changes_section([]) is None


def test_attributes_change_each_for_itself():
    truth = np.array([[-0.5, 0.2], [0.5, -0.4], [0.1, 0.6], [-0.2, 0.1]])
    before = AttributeEvaluation(("arousal", "valence"), truth, truth[None] / 2, ("a", "b", "a", "b"))
    after = AttributeEvaluation(("arousal", "valence"), truth, truth[None], ("a", "b", "a", "b"))
    changes = changes_of("ft-lora", "fine-tuned", "target", before, after)
    assert [one.measure for one in changes] == ["CCC arousal", "CCC valence"]
    assert all(one.values[1] == 1 and one.values[0] < 0.9 and one.estimate.value > 0.1 for one in changes)


def test_times_are_means_and_the_memory_is_the_most():
    costs = [
        Cost(f"ft-lora, seed {seed}, fold 0", 2, (("head", 10), ("lora", 30)), 1000, seconds, 2.0, memory)
        for seed, seconds, memory in ((0, 1.0, 90.0), (1, 3.0, 80.0))
    ]
    (table,) = cost_section(costs).blocks
    assert table.rows == (("ft-lora", "2", "head 10, lora 30", "1,000", "4 %", "2.0", "2.0", "90"),)
    assert cost_section(()) is None
