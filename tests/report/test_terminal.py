"""A study at the terminal: its scores, then what a reader must know."""

from __future__ import annotations

from dataclasses import replace

from emobridge.report.record import CollapsedSystem
from emobridge.report.terminal import lines_of, table


def test_the_table_has_a_line_a_system_and_side(record):
    lines = table(record).splitlines()
    assert lines[0] == (
        "UA over anger, happiness, neutral, sadness; 95 % intervals; seeds averaged; "
        "ECE in per cent, after the temperature"
    )
    rows = [row for row in record.scores if (row.measure, row.seed) == ("UA", "all")]
    assert len(lines) == 1 + len(rows) >= 3
    for line, row in zip(lines[1:], rows):
        assert line.split()[:2] == [row.method, row.side]
        assert f"{100 * row.value:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]" in line
        assert line.endswith(f"n={row.n}")
        assert (f"{row.source} -> {row.target}" in line) == (row.side == "target")
    assert table(replace(record, synthetic=True)).startswith("SYNTHETIC. ")


def test_the_verdict_stands_before_the_table_and_what_is_missing_comes_last(record):
    collapse = CollapsedSystem(method="pseudo-labels", side="target", predictions="anger for all 320 utterances")
    lines = lines_of(replace(record, collapsed=(collapse,), missing=("corpus esd: it is not here",)))
    assert lines[0].startswith("COLLAPSED: pseudo-labels predicts anger for all 320 utterances on the target")
    assert lines[1] == table(record)
    assert sum("COLLAPSED" in line for line in lines) == 1, "what the verdict says is no warning once more"
    assert any(line.startswith("warning: The target has 12 utterances") for line in lines)
    assert lines[-1] == "missing: corpus esd: it is not here"
    assert lines_of(replace(record, synthetic=True))[0].startswith("SYNTHETIC speech. pseudo-labels minus source-only")


def test_the_verdict_says_which_system_the_bundle_holds_and_why(record):
    held = replace(record, bundle_method="source-only", bundle_reason="as --bundle baseline asks")
    assert lines_of(held)[0].endswith("The bundle holds source-only: as --bundle baseline asks.")
    unscored = tuple(row for row in held.scores if row.side == "source")
    unlabelled = replace(held, scores=unscored, differences=())
    assert lines_of(unlabelled)[0] == "The bundle holds source-only: as --bundle baseline asks."


def test_a_budget_has_no_bundle_to_speak_of(record):
    budget = replace(record, kind="budget", method="")
    assert "bundle holds" not in lines_of(budget)[0]
