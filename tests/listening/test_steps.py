"""The order in which a listener comes to the steps of a study."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from listening_studies import tiny_study

from emobridge.listening.records import ListeningItem
from emobridge.listening.steps import BREAK, END, draw_steps


def study_of(languages, each, checks=0, block=16):
    """A study of `each` items of each emotion and language, without practice."""
    study = tiny_study(each, languages, block=block)
    items = [item for item in study.items if item.kind == "item"]
    items += [ListeningItem(f"c{number}", "c.wav", 0.5, "anger", "attention") for number in range(checks)]
    return replace(study, items=tuple(items))


def blocks_of(steps):
    """The ids of the items between two breaks."""
    blocks = [[]]
    for step in steps:
        if step.kind == BREAK:
            blocks.append([])
        elif step.kind == "item":
            blocks[-1].append(step.item)
    return blocks


def test_the_steps_come_in_their_order_and_no_item_twice():
    study = tiny_study()
    steps = draw_steps(study, 1)
    kinds = [step.kind for step in steps]
    assert kinds == [
        "questions",
        "check",
        *["practice"] * 4,
        *["item"] * 8,
        "break",
        *["item"] * 9,
        "end",
    ] or kinds == [*["questions", "check", *["practice"] * 4, *["item"] * 9, "break", *["item"] * 8, "end"]]
    assert len({step.name for step in steps}) == len(steps)
    items = [step.item for step in steps if step.item]
    assert sorted(items) == sorted(item.id for item in study.items)
    assert [step.number for step in steps if step.kind == "item"] == list(range(17))


def test_the_order_is_drawn_by_seed_and_number():
    study = tiny_study()
    assert draw_steps(study, 5) == draw_steps(study, 5)
    orders = {draw_steps(study, number) for number in range(1, 30)}
    assert len(orders) == 29
    assert draw_steps(replace(study, seed=4), 5) not in orders


def test_seed_and_number_do_not_tell_which_places_hold_the_same_emotion():
    study = study_of(("de",), 4)
    after = dict(zip(study.emotions, (*study.emotions[1:], study.emotions[0])))
    other = replace(study, items=tuple(replace(item, emotion=after[item.emotion]) for item in study.items))
    patterns = []
    for each in (study, other):
        emotions = {item.id: item.emotion for item in each.items}
        heard = [emotions[step.item] for step in draw_steps(each, 1) if step.item]
        patterns.append([heard.index(emotion) for emotion in heard])
    assert patterns[0] != patterns[1]


@pytest.mark.parametrize(
    ("languages", "each", "block"),
    [
        (("de", "it", "zh"), 12, 16),
        (("de",), 12, 16),
        (("de", "it"), 3, 5),
        (("de", "it", "zh"), 5, 7),
        (("de",), 1, 1),
    ],
)
def test_blocks_hold_as_many_of_each_emotion_and_language_as_may_be(languages, each, block):
    study = study_of(languages, each, block=block)
    items = {item.id: item for item in study.items}
    for number in range(1, 6):
        blocks = blocks_of(draw_steps(study, number))
        assert len(blocks) == -(-4 * each * len(languages) // block)
        for trait in ("emotion", "language", "both"):
            counts = [
                Counter(
                    (items[item].emotion, items[item].language) if trait == "both" else getattr(items[item], trait)
                    for item in part
                )
                for part in blocks
            ]
            for value in set().union(*counts):
                seen = [count[value] for count in counts]
                assert max(seen) - min(seen) <= 1, (trait, value, seen)
        assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


def test_attention_checks_are_spread():
    study = study_of(("de", "it", "zh"), 12, checks=6)
    checks = {item.id for item in study.items if item.kind == "attention"}
    for number in range(1, 20):
        order = [step.item for step in draw_steps(study, number) if step.kind == "item"]
        places = [place for place, item in enumerate(order) if item in checks]
        assert len(places) == 6 and places[0] > 0 and places[-1] < len(order) - 1
        assert all(9 <= after - before <= 40 for before, after in itertools.pairwise(places))


@pytest.mark.parametrize("checks", [0, 1, 3])
def test_one_item_and_more_checks_than_items(checks):
    study = study_of(("de",), 1, checks)
    study = replace(study, items=study.items[3:], questions=())
    steps = draw_steps(study, 1)
    assert [step.kind for step in steps] == ["check", *["item"] * (1 + checks), "end"]
    assert steps[-1].name == END
