"""Sections on training: the layer, what the last stage changed, what it took."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emobridge.report.fits import change_section, cost_section, layer_section
from emobridge.report.record import Change, CostRow, SystemRow
from emobridge.scores.base import Estimate

CHANGE = Change(
    method="ft-lora",
    before="fine-tuned",
    side="source",
    values=(1.0, 0.5),
    estimate=Estimate("UA difference", -0.5, -0.7, -0.2, 4, "speakers"),
)
COST = CostRow(
    method="ft-lora",
    stage=2,
    trained=(("head", 10), ("lora", 30)),
    weights=1000,
    seconds=2.0,
    cpu=2.0,
    memory=90.0,
)


def test_a_loss_on_the_source_has_its_interval(record):
    (table,) = change_section(replace(record, changes=(CHANGE,))).blocks
    assert table.rows == (("ft-lora", "fine-tuned", "source", "UA", "100.0", "50.0", "-50.0 (-70.0 to -20.0)"),)
    assert "UA in per cent" in table.caption
    attribute = replace(CHANGE, estimate=replace(CHANGE.estimate, measure="CCC arousal difference"))
    (table,) = change_section(replace(record, changes=(attribute,))).blocks
    assert table.rows[0][3:] == ("CCC arousal", "1.000", "0.500", "-0.500 (-0.700 to -0.200)")
    assert "UA" not in table.caption
    assert change_section(record) is None


@pytest.mark.parametrize(("memory", "text"), [(90.0, "90"), (0.0, "not known")])
def test_what_a_stage_took(record, memory, text):
    (table,) = cost_section(replace(record, costs=(replace(COST, memory=memory),))).blocks
    assert table.rows == (("ft-lora", "2", "head 10, lora 30", "1,000", "4 %", "2.0", "2.0", text),)
    assert cost_section(record) is None


def test_systems_that_differ_in_labels_or_normalisation_are_told_apart(record):
    cost = replace(COST, target_labels="all", normalisation="none")
    systems = (
        SystemRow(method="ft-lora", target_labels="all"),
        SystemRow(method="source-only", target_labels="0"),
    )
    (table,) = cost_section(replace(record, costs=(cost,), systems=systems)).blocks
    assert table.rows[0][0] == "ft-lora, all target labels"
    both = (*systems, SystemRow(method="source-only", target_labels="0", normalise="speaker"))
    (table,) = cost_section(replace(record, costs=(cost,), systems=both)).blocks
    assert table.rows[0][0] == "ft-lora, all target labels, normalisation none"


def test_the_layer_was_chosen_without_target_labels(record):
    section = layer_section(replace(record, layer_normalisation="speaker"))
    assert section.paragraphs == (
        "No target label enters this choice. The layer was chosen once, with source-only and normalisation speaker.",
    )
    assert layer_section(record).paragraphs == ("No target label enters this choice.",)
    assert [row[0] for row in section.blocks[0].table.rows if row[2] == "chosen"] == ["2"]
    assert layer_section(replace(record, layer_choice=())) is None
