"""What a study says first: the layer that was chosen, who chose it, and nothing chosen on test without a word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emobridge.probe.finding import collapse_lines, finding, variety_lines
from emobridge.probe.scoring import CollapsedProbes, LayerChoice, StudyScores
from emobridge.probe.splits import Corpus
from emobridge.scores.base import Condition
from emobridge.types import Score, Utterance


def row(layer, value, *, corpus="emodb", encoder="wb", method="probe", head="linear", measure="UA"):
    return Score(
        "x", method, encoder, layer, "none", corpus, corpus, "all", "all", "5 folds by speaker", "target", measure,
        "anger,sadness", value, value - 0.05, value + 0.04, 100, head, "mono",
    )  # fmt: skip


def scored(*rows, floors=(), choices=()):
    return StudyScores(tuple(rows), tuple(floors), tuple(choices), (), False)


def layers(*values, **about):
    return [row(str(layer), value, **about) for layer, value in enumerate(values)]


FLOORS = (
    row("", 0.5, method="chance", encoder="", head=""),
    row("", 0.6, method="loudness and length", encoder="", head=""),
)


def test_where_nothing_chose_the_last_layer_is_quoted_and_the_best_is_called_chosen_on_test():
    """A14: the best of seven layers is 3, the last is 6."""
    text = finding(scored(*layers(0.8, 0.9, 0.92, 0.956, 0.93, 0.9, 0.871), floors=FLOORS))
    assert "87.1 % (82.1 to 91.1) on emodb at the last layer, 6" in text
    assert "no layer was chosen; the last layer's score is 87.1; the best in the table is layer 3 with 95.6" in text
    assert "(chosen on test, optimistic)" in text and "--patience" in text
    assert "(chance 50.0, loudness and length alone 60.0)" in text


def test_the_best_in_the_table_may_be_of_another_head():
    text = finding(scored(*layers(0.7, 0.8), *layers(0.95, 0.5, head="single")))
    assert text.startswith("wb with head linear")
    assert "the best in the table is layer 0 of wb with head single and normalisation none, with 95.0" in text
    assert "the highest of 2 combinations of encoder, head and normalisation, compared by these test scores" in text


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((("3", 15),), "layer 3, chosen on validation"),
        (
            (("3", 9), ("2", 6)),
            "the layer that validation chose in each fold and seed, most often 3 (9 of 15 times)",
        ),
    ],
)
def test_the_layer_that_validation_chose_is_named(counts, words):
    chosen = row("validation", 0.91)
    text = finding(scored(*layers(0.8, 0.9, 0.92, 0.95), chosen, choices=[LayerChoice(chosen, counts)]))
    assert f"91.0 % (86.0 to 95.0) on emodb at {words}" in text
    assert "no layer was chosen" not in text and "95.0 % (" not in text


def test_a_layer_chosen_on_the_other_corpora():
    rows = [*layers(0.8, 0.9, 0.7), *layers(0.4, 0.5, 0.6, corpus="emovo")]
    text = finding(scored(*rows))
    assert "70.0 % (65.0 to 74.0) on emodb at layer 2, chosen on the other corpora" in text
    assert "50.0 % (45.0 to 54.0) on emovo at layer 1, chosen on the other corpora" in text


def test_what_has_no_layers_to_choose_from():
    text = finding(scored(row("all", 0.9, head="multilayer")))
    assert "at all layers" in text and "chosen" not in text
    text = finding(scored(row("4", 0.9)))
    assert "at layer 4" in text and "chosen" not in text and "highest of" not in text


def test_random_weights_are_a_floor_at_the_same_layer():
    rows = [*layers(0.8, 0.9), *layers(0.3, 0.4, method="probe, random weights")]
    assert "(random weights 40.0)" in finding(scored(*rows))


def test_a_score_below_loudness_says_so():
    text = finding(scored(row("0", 0.58), floors=FLOORS))
    assert text.startswith(
        "On emodb wb with head linear is NO HIGHER than what loudness and length alone reach. wb with"
    )
    assert "NO HIGHER" not in finding(scored(row("0", 0.61), floors=FLOORS))


@pytest.mark.parametrize(
    ("value", "words"), [(0.48, "is NO BETTER THAN CHANCE"), (0.53, "is NOT shown to be ABOVE CHANCE")]
)
def test_chance_and_collapse_come_before_the_score(value, words):
    first = f"On emodb wb with head linear {words} (50.0 %). "
    text = finding(scored(row("0", value), floors=FLOORS))
    assert text.startswith(first) and text.index("NO HIGHER") < text.index("UA (")
    collapse = CollapsedProbes(condition("0"), "1", "anger for all 100 utterances")
    other = CollapsedProbes(condition("3"), "1", "anger for all 100 utterances")
    collapsed = StudyScores((row("0", value),), FLOORS, (), (other, collapse), False)
    start = "On emodb wb with head linear has COLLAPSED (seed 1): it predicts anger for all 100 utterances. "
    assert finding(collapsed).startswith(start + first)


def test_a_study_across_corpora_alone():
    text = finding(scored(replace(row("0", 0.5), target="emovo")))
    assert text.startswith("Trained on one corpus and tested on another wb with head linear and normalisation none")
    assert "the emotions) of emodb to emovo 50.0 % (45.0 to 54.0)." in text and "No corpus was tested on itself" in text


def test_across_corpora_the_layer_is_that_of_the_training_corpus():
    across = [replace(row(str(layer), value), target="emovo") for layer, value in enumerate((0.4, 0.3, 0.6))]
    text = finding(scored(*layers(0.8, 0.9, 0.7), *across, *layers(0.4, 0.5, 0.6, corpus="emovo")))
    assert "tested on another it reaches emodb to emovo 30.0 % (25.0 to 34.0)." in text


def condition(layer, head="linear", method="probe", target="emodb"):
    return Condition("x", method, "wb", layer, "none", "emodb", target, "all", "", "target", head, "mono")


def test_collapsed_probes_by_head_layer_and_seed():
    lines = collapse_lines(
        [
            CollapsedProbes(condition("0"), "0", "anger for all 35 utterances"),
            CollapsedProbes(condition("1"), "2", "sadness for all 35 utterances"),
            CollapsedProbes(
                condition("0", target="emovo", method="probe, random weights"), "0", "anger for all 5 utterances"
            ),
        ]
    )
    assert lines[0] == (
        "These probes predict a single emotion and tell nothing apart: wb, head linear, normalisation none, emodb: "
        "layer 0, seed 0 (anger for all 35 utterances); layer 1, seed 2 (sadness for all 35 utterances)."
    )
    assert "wb (random weights), head linear, normalisation none, emodb to emovo: layer 0" in lines[1]
    assert collapse_lines([]) == ()


def test_of_many_collapsed_probes_some_are_listed():
    many = [CollapsedProbes(condition(str(layer)), "0", "anger for all 35 utterances") for layer in range(30)]
    (line,) = collapse_lines(many)
    assert line.count("layer") == 6 and line.endswith("; and 24 more.")


@pytest.mark.parametrize(("shown", "named"), [(1, True), (2, False)])
def test_speakers_of_one_emotion_each_are_named_where_normalisation_is_by_speaker(shown, named):
    emotions = ("anger", "sadness")
    rows = [
        Utterance(
            f"{speaker}-{take}", "c", "a.wav", speaker=str(speaker), emotion=emotions[(speaker + take % shown) % 2]
        )
        for speaker in range(4)
        for take in range(6)
    ]
    corpus = Corpus("c", "de", tuple(rows))
    lines = variety_lines([corpus], ("none", "speaker"))
    assert [line.partition(":")[0] for line in lines] == ["Normalisation by speaker takes emotions out of c"] * named
    assert variety_lines([corpus], ("none", "corpus")) == ()
