"""Drawings: text stays text, numbers are the ones given, two drawings on one page share no id."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from emobridge.report import plots
from emobridge.report.record import CurvePoint
from emobridge.scores.calibration import ReliabilityBin

pytestmark = pytest.mark.usefixtures("drawn")


def texts(svg: str) -> list[str]:
    return [
        "".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")
    ]


def test_a_confusion_holds_shares_and_counts_as_text():
    svg = plots.matrix(("anger", "中性"), ((3, 1), (0, 0)), title="t")
    assert texts(svg).count("75.0") == 1 and texts(svg).count("25.0") == 1
    assert {"anger", "中性", "3", "1"} <= set(texts(svg))
    assert "<image" not in svg


def test_dots_show_each_name_and_series():
    point = plots.Point("anger", 0.5, 0.4, 0.6)
    series = (plots.Series("a", (point,)), plots.Series("b", (point,)))
    shown = texts(plots.dots(series, ("anger",), chance=0.25, title="t"))
    assert {"anger", "a", "b", "chance"} <= set(shown)
    assert "chance" not in texts(plots.dots(series, ("anger",), chance=None, title="t"))


def test_curves_have_a_panel_a_term_and_a_legend_of_runs():
    points = [CurvePoint(run, e, term, e / 3) for run in ("r0", "r1") for e in range(4) for term in ("ce", "coral")]
    shown = texts(plots.curves(points, title="t"))
    assert [shown.count(word) for word in ("ce", "coral", "r0", "r1")] == [1, 1, 1, 1]


def test_layers_name_the_chosen():
    shown = texts(plots.layers(("0", "1"), (0.3, 0.456), ("1",), title="t"))
    assert "45.6" in shown and "30.0" not in shown


def test_drawings_on_one_page_share_no_id():
    one, two = (plots.layers(("0", "1"), (0.3, 0.4), ("1",), title=title) for title in ("one", "two"))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, two)]
    assert all(ids) and not ids[0] & ids[1]
    assert 'aria-label="one"' in one


def test_layer_curves_name_lines_and_levels_and_draw_floors_dashed():
    line = plots.Line("single", ("0", "1"), (0.5, 0.7), (0.4, 0.6), (0.6, 0.8))
    floor = plots.Line("single", ("0", "1"), (0.4, 0.3), dashed=True)
    panel = plots.Panel("emodb, none", (line, floor), (("chance", 0.25),))
    svg = plots.layer_curves((panel,), title="curves")
    for word in ("single", "emodb, none", "chance", "layer", "UA (%)"):
        assert f">{word}</text>" in svg
    assert svg.count("stroke-dasharray: 5.18") == 1, "the floor's line; levels are dotted"
    assert svg.count(">single</text>") == 1


def test_a_map_shows_each_share():
    svg = plots.heat(("a", "b"), ("0", "1"), ((0.25, 0.75), (0.5, 0.5)), title="map")
    assert [svg.count(f">{share}</text>") for share in (25, 75, 50)] == [1, 1, 2]


def test_a_file_of_its_own_needs_no_page():
    svg = plots.standalone(plots.heat(("a",), ("0",), ((1.0,),), title="map"))
    assert svg.startswith("<svg") and svg.endswith("</svg>\n") and "currentColor" not in svg


def test_reliability_has_a_panel_a_system_and_bears_a_single_bin():
    curve = (ReliabilityBin(0.9, 0.5, 3),)
    panels = [(name, [("before", curve), ("after", curve)]) for name in ("a, target", "a, source", "b, target")]
    for count in (1, 3):
        shown = texts(plots.reliability(panels[:count], title="t"))
        assert [shown.count(word) for word in ("before", "after", "a, target")] == [1, 1, 1]
        assert {"confidence (%)", "right answers (%)"} <= set(shown)
