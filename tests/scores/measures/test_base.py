"""Measures as records: their order, their names in rows, how they print, and one of a user's own."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge import registry
from emobridge.errors import UserError
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import Condition
from emobridge.scores.classes import Evaluation
from emobridge.scores.measures import base
from emobridge.scores.measures.base import AttributeMeasure, ClassMeasure, all_measures, measure_named, measure_of

CONDITION = Condition("r", "source-only", "whisper", "3", "speaker", "ravdess", "emodb", "0", "test", "target")


class Kappa(ClassMeasure):
    """Agreement beyond chance (Cohen 1960)."""

    name = "kappa"
    unit = ""
    range = (-1.0, 1.0)
    digits = 2
    order = 2

    def value(self, counts):
        n = counts.sum((-2, -1))
        agreed = np.trace(counts, axis1=-2, axis2=-1) / n
        by_chance = (counts.sum(-1) * counts.sum(-2)).sum(-1) / n**2
        return (agreed - by_chance) / (1 - by_chance)


class Rmse(AttributeMeasure):
    """Root of the mean squared error."""

    name = "RMSE"
    range = (0.0, 2.0)
    order = 5

    def value(self, counts):
        n, _, _, xx, yy, xy = np.moveaxis(counts, -1, 0)
        return np.sqrt(np.maximum(xx + yy - 2 * xy, 0) / n)


@pytest.fixture
def plugged(monkeypatch):
    """Two measures of a user's own, as the registry would find them."""
    plain_names, plain_load = registry.names, registry.load
    extra = {"kappa": Kappa, "rmse": Rmse}
    monkeypatch.setattr(
        registry, "names", lambda kind: plain_names(kind) + (tuple(extra) if kind == "measures" else ())
    )
    monkeypatch.setattr(registry, "load", lambda kind, name: extra.get(name) or plain_load(kind, name))


def test_the_order_is_that_of_tables():
    assert [measure.name for measure in all_measures("classes")] == ["UA", "WA", "F1 macro", "F1 weighted"]
    assert [measure.name for measure in all_measures("attributes")] == ["CCC"]
    assert [measure.name for measure in all_measures("timelines")] == ["EDER", "EDER pooled"]
    assert len(all_measures()) == len(registry.names("measures"))


@pytest.mark.parametrize("name", registry.names("measures"))
def test_a_measure_is_complete(name):
    measure = registry.load("measures", name)()
    assert measure.name and measure.long_name and measure.of in base.KINDS
    low, high = measure.range
    assert low < high and measure.unit in ("", "per cent")
    assert type(measure).__doc__
    assert measure.chance(4) is None or low <= measure.chance(4) <= high


def test_rows_are_traced_to_their_measure():
    names = ("UA", "WA", "F1 macro", "F1 weighted", "CCC arousal", "CCC mean", "UA difference", "CCC mean difference")
    assert [measure_of(name).name for name in names] == [
        "UA",
        "WA",
        "F1 macro",
        "F1 weighted",
        "CCC",
        "CCC",
        "UA",
        "CCC",
    ]
    assert [measure_of(name).name for name in ("EDER missed", "EDER pooled anger")] == ["EDER", "EDER pooled"]
    for name in ("recall anger", "recall speaker CCC", "UAR", "unheard of"):
        assert (measure_of(name).unit, measure_of(name).digits) == ("per cent", 1)


def test_how_values_print():
    ua, ccc = measure_named("UA"), measure_named("CCC")
    assert (ua.number(0.6666), ccc.number(0.6666)) == ("66.7", "0.667")
    assert (ua.signed(0.0123), ccc.signed(-0.0123)) == ("+1.2", "-0.012")
    assert (ua.signed(-0.0), ccc.signed(-1e-9)) == ("+0.0", "+0.000")
    assert ua.number(float("nan")) == ccc.signed(float("nan")) == "undefined"
    with pytest.raises(UserError, match="unknown measure 'UAR': did you mean 'UA'"):
        measure_named("UAR")
    with pytest.raises(UserError, match="unknown measure 'UA'"):
        measure_named("UA", of="attributes")


def test_a_formula_is_needed():
    with pytest.raises(NotImplementedError, match="measure hollow has no formula"):
        type("Hollow", (ClassMeasure,), {"name": "hollow"})().value(np.eye(2))


def test_a_measure_of_ones_own_stands_in_the_rows(plugged):
    assert [measure.name for measure in all_measures("classes")] == ["UA", "WA", "F1 macro", "kappa", "F1 weighted"]
    truth, predicted = ("a", "b", "a", "b"), ("a", "b", "b", "b")
    data = Evaluation(("a", "b"), truth, (predicted,), ("x", "x", "y", "y"))
    rows = {row.measure: row for row in data.scores(CONDITION) if row.seed == "all"}
    assert rows["kappa"].value == pytest.approx(0.5) and rows["kappa"].low <= 0.5 <= rows["kappa"].high
    assert data.difference(data, measure="kappa")[0].measure == "kappa difference"
    assert data.per_subset([range(4)], measure="kappa") == {"kappa": [pytest.approx(0.5)]}
    rated = AttributeEvaluation(("arousal",), np.array([[0.0], [0.4]]), np.array([[[0.1], [0.3]]]), (None, None))
    rows = {row.measure: row.value for row in rated.scores(CONDITION) if row.seed == "all"}
    assert list(rows) == ["CCC arousal", "CCC mean", "RMSE arousal", "RMSE mean"]
    assert rows["RMSE arousal"] == pytest.approx(0.1)
    assert measure_of("RMSE arousal").number(0.1) == "0.100"


def test_it_goes_when_its_plug_in_goes(plugged, monkeypatch):
    assert "kappa" in [measure.name for measure in all_measures()]
    monkeypatch.undo()
    assert "kappa" not in [measure.name for measure in all_measures()]


def test_a_measure_is_of_classes_or_of_attributes(plugged, monkeypatch):
    monkeypatch.setattr(Kappa, "of", "class")
    base._loaded.cache_clear()
    with pytest.raises(UserError, match="unknown `of` of measure kappa: 'class': did you mean 'classes'"):
        all_measures()


def test_two_measures_may_not_share_a_name(plugged, monkeypatch):
    monkeypatch.setattr(Kappa, "name", "UA")
    base._loaded.cache_clear()
    with pytest.raises(UserError, match="the name 'UA' is taken"):
        all_measures()
