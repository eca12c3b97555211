"""Costs are lines through what was timed."""

from __future__ import annotations

import pytest

from emobridge import registry
from emobridge.encoders import load_encoder
from emobridge.options import options_of
from emobridge.probe import timing
from emobridge.probe.timing import HeadShape, LinearCost, encoder_cost, head_cost, solved_cost


@pytest.mark.parametrize(
    ("takes", "cost"),
    [
        (lambda size: 3 + 2 * size, LinearCost(3, 2)),
        (lambda size: 2 * size, LinearCost(0, 2)),
        (lambda size: 5 - size, LinearCost(0, 0.25)),  # what falls with its size was noise
        (lambda size: size**2, LinearCost(0, 4)),
    ],
)
def test_a_line_through_two_sizes(monkeypatch, takes, cost):
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def prepared(size):
        return lambda: now.__setitem__(0, now[0] + takes(size))

    assert timing._line(prepared, (1, 4)) == cost
    assert cost.of(10) == cost.fixed + 10 * cost.per_unit


PLUGINS = {name: registry.load("heads", name) for name in registry.names("heads")}
PROBED_HEADS = [name for name, plugin in PLUGINS.items() if not getattr(plugin, "has_members", False)]


@pytest.mark.parametrize("head", PROBED_HEADS)
def test_every_head_is_timed(head):
    if PLUGINS[head].closed_form:
        for count in (1, 30):
            assert 0 < solved_cost(head, (), HeadShape(1, width=4, classes=3, probes=2), count) < 10
        return
    layers = 3 if PLUGINS[head].all_layers else 1
    words = ("hidden=8",) if "hidden" in options_of(PLUGINS[head]) else ()
    words += (f"layers={layers}",) if layers > 1 else ()
    for folded in (False, True):
        for probes in (1, 2):
            cost = head_cost(head, words, HeadShape(layers, width=4, classes=3, probes=probes), folded=folded)
            assert cost.fixed >= 0 and cost.per_unit >= 0 and 0 < cost.of(100) < 10


def test_an_encoder_is_timed_by_its_seconds():
    assert 0 < encoder_cost(load_encoder("logmel")).of(10) < 10
