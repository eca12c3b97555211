"""What is measured of this machine."""

from __future__ import annotations

from itertools import chain, repeat

from emobridge.data import machine


def test_two_works_take_turns_and_the_least_times_count_without_the_first(monkeypatch):
    clock, order = [0], []

    def work(name, seconds):
        taken = iter(seconds)

        def run():
            order.append(name)
            clock[0] += next(taken)

        return run

    monkeypatch.setattr(machine.time, "process_time", lambda: clock[0])
    slow, quick = work("slow", chain([1, 9, 3], repeat(4))), work("quick", chain([50], repeat(2)))
    assert machine.ratio_of_times(slow, quick) == 1.5
    assert order == ["slow", "quick"] * (1 + machine.REPEATS)
