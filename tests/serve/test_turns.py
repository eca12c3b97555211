"""Turns go to who has waited longest."""

from __future__ import annotations

import threading
import time

from emobridge.serve.turns import Turns


def waiting(turns: Turns, count: int) -> None:
    while len(turns._waiting) < count:
        time.sleep(0.001)


def test_who_waits_longest_comes_next_and_who_gives_back_comes_last():
    turns, order = Turns(), []

    def work(name):
        with turns:
            for part in range(2):
                order.append(f"{name}{part}")
                turns.let_others()

    turns.take()
    threads = []
    for count, name in enumerate("abc", 1):
        threads.append(threading.Thread(target=work, args=(name,)))
        threads[-1].start()
        waiting(turns, count)
    turns.give_back()
    for thread in threads:
        thread.join()
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1"]


def test_one_at_a_time():
    turns, inside, most = Turns(), [], []

    def work():
        for _ in range(50):
            with turns:
                inside.append(1)
                most.append(len(inside))
                turns.let_others()  # which lets another one in while this one is counted
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside and len(most) == 200
    turns.take()  # nobody has it
    turns.give_back()


def test_alone_nobody_waits():
    turns = Turns()
    with turns:
        turns.let_others()
    with turns:
        pass
