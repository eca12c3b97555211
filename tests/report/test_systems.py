"""Rows of scores fall into the systems that they score."""

from __future__ import annotations

from dataclasses import replace

from emobridge.report.record import CollapsedSystem, SystemRow
from emobridge.report.systems import name_in, scored_systems, shared


def test_target_and_baseline_come_first(record):
    found = scored_systems(replace(record, scores=record.scores[::-1]))
    assert [(s.name, s.side) for s in found] == [
        ("source-only", "target"),
        ("pseudo-labels", "target"),
        ("source-only", "source"),
        ("pseudo-labels", "source"),
    ]
    assert sum(len(s.rows) for s in found) == len(record.scores)


def test_a_method_under_two_conditions_is_two_systems_named_by_what_differs(record):
    other = tuple(replace(row, normalisation="none") for row in record.scores if row.method == "source-only")
    both = replace(record, scores=record.scores + other)
    assert [s.name for s in scored_systems(both) if s.side == "target"] == [
        "source-only (speaker)",
        "source-only (none)",
        "pseudo-labels",
    ]
    assert "normalisation" in shared(record) and "normalisation" not in shared(both)


def test_classes_and_speakers_are_kept_apart(record):
    system = scored_systems(record)[0]
    assert [name for name, _ in system.classes()] == list(record.labels)
    assert len(system.speakers()) == 10
    assert [row.seed for row in system.seeds("UA")] == ["0", "1", "2"]
    assert system.mean("UA").seed == "all" and system.mean("CCC arousal") is None


def test_a_fact_names_the_normalisation_where_several_were_run(record):
    systems = (SystemRow(method="a", normalise="none", align="coral"), SystemRow(method="b", normalise="none"))
    facts = [
        CollapsedSystem(
            method=row.method, side="target", predictions="", target_labels="0", normalisation=row.normalisation
        )
        for row in systems
    ]
    run = replace(record, systems=systems)
    assert [name_in(run, fact) for fact in facts] == ["a", "b"], "a is aligned, and b is not"
    run = replace(record, systems=(*systems, SystemRow(method="a", normalise="speaker", target_labels="5")))
    assert name_in(run, facts[0]) == "a, no target labels, normalisation none+coral"
    assert name_in(run, facts[1]) == "b, no target labels, normalisation none"
