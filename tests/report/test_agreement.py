"""Published values against measured ones."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from emobridge.report.agreement import ComparedPoint, agreement_plot

pytestmark = pytest.mark.usefixtures("drawn")

NAN = float("nan")
SHARES = [
    ComparedPoint("Table 4, hubert-base", "WA", 0.7887, 0.7, 0.6, 0.8),
    ComparedPoint("Table 5, hubert-base", "WA", 0.9, 0.8, NAN, NAN),
]
CCC = ComparedPoint("Table 1, wavlm-large", "CCC valence", -0.1, 0.2, 0.1, 0.3)


def test_shares_and_ccc_have_a_panel_each():
    svg = agreement_plot([*SHARES, CCC], title="Published & measured")
    assert ElementTree.fromstring(svg) is not None
    for text in ("published (per cent)", "measured here (per cent)", "published (CCC)", "Table 5, hubert-base"):
        assert text in svg, text
    assert "published (CCC)" not in agreement_plot(SHARES, title="t")


def test_a_point_is_drawn_a_number_and_nothing_of_none():
    markers = [agreement_plot(SHARES[:n], title="t").count("<use ") for n in (1, 2)]
    assert markers[1] > markers[0]
    assert (
        agreement_plot([], title="t") == agreement_plot([ComparedPoint("a", "WA", 0.5, NAN, NAN, NAN)], title="t") == ""
    )
