"""A study at the terminal: its scores, then what a reader must know."""

from __future__ import annotations

from dataclasses import replace

from emobridge.report.record import CollapsedSystem
from emobridge.report.terminal import lines_of, table


def test_the_table_has_a_line_a_system_and_side(record):
    lines = table(record).splitlines()
    assert lines[0] == "UA over anger, happiness, neutral, sadness; 95 % intervals; seeds averaged"
    rows = [row for row in record.scores if (row.measure, row.seed) == ("UA", "all")]
    assert len(lines) == 1 + len(rows) >= 3
    for line, row in zip(lines[1:], rows):
        assert line.split()[:2] == [row.method, row.side]
        assert f"{100 * row.value:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]" in line
        assert line.endswith(f"n={row.n}")
        assert (f"{row.source} -> {row.target}" in line) == (row.side == "target")
    assert table(replace(record, synthetic=True)).startswith("SYNTHETIC. ")


def test_warnings_follow_the_table_and_what_is_missing_comes_last(record):
    collapse = CollapsedSystem(method="pseudo-labels", side="target", predictions="anger for all 320 utterances")
    lines = lines_of(replace(record, collapsed=(collapse,), missing=("corpus esd: it is not here",)))
    assert lines[0] == table(record)
    assert lines[1].startswith("warning: COLLAPSED: pseudo-labels predicts anger for all 320 utterances on the target")
    assert lines[-1] == "missing: corpus esd: it is not here"
