"""Published numbers: read as printed, shown only where they compare."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emobridge.data.labels import EMOTIONS
from emobridge.literature.published import (
    AGARLA,
    EMOBOX,
    FIVE,
    FOUR,
    GONCALVES,
    SEVEN,
    SIX,
    applicable,
    comparable,
    printed_in_corpus,
    published,
    read_table,
)
from emobridge.types import ATTRIBUTES

RAVDESS, EMODB, EMOVO = [("ravdess", "en")], [("emodb", "de")], [("emovo", "it")]


def find(rows, **criteria):
    return [row for row in rows if all(getattr(row, name) == value for name, value in criteria.items())]


@pytest.mark.parametrize(
    ("criteria", "value"),
    [
        ({"method": "pseudo-labels", "encoder": "hubert", "target_language": "de"}, 89.0),
        ({"method": "nnpm (reimplemented)", "target_language": "it"}, 40.2),
        ({"method": "no target labels", "encoder": "byol-s", "target_language": "fa"}, 18.28),
        ({"method": "all target labels", "encoder": "hubert", "target_language": "fr", "side": "source"}, 78.19),
        ({"method": "English only", "encoder": "byol-s"}, 79.13),
        ({"method": "pseudo-labels, with rebalancing", "target_language": "fa", "side": "target"}, 88.27),
        ({"method": "pseudo-labels, tau 0.85", "target_language": "it", "side": "target"}, 73.1),
        ({"source": "EMOVO", "encoder": "whisper-medium", "measure": "F1"}, 50.19),
        ({"source_language": "mul", "encoder": "xls-r", "method": "multilayer head"}, 40.89),
        ({"method": "LAM-GL", "encoder": "whisper", "source": "BIIC-Podcast"}, 56.37),
        ({"method": "two-stage", "target_language": "zh"}, 85.8),
        ({"method": "listeners, native de", "target_language": "zh-x-tianjin"}, 29.2),
        ({"measure": "EDER", "encoder": "de-listeners", "method": "diarization, average"}, 28.2),
        ({"study": EMOBOX, "target": "EmoDB", "encoder": "wavlm-large", "measure": "WA"}, 92.67),
        ({"study": EMOBOX, "target": "RAVDESS", "encoder": "hubert-base", "measure": "UA"}, 65.43),
        ({"study": EMOBOX, "target": "URDU", "encoder": "wav2vec2-base"}, 87.5),
        ({"target": "nEMO", "measure": "F1"}, 18.29),
    ],
)
def test_a_printed_number_is_found_by_its_meaning(criteria, value):
    assert [row.value for row in find(published(), **criteria)] == [value]


def test_every_cell_of_every_table_becomes_one_record():
    cells = {
        "agarla2024_zero_label_ua": 12,
        "agarla2024_state_of_the_art_ua": 20,
        "agarla2024_all_label_ua": 27,
        "agarla2024_rebalance_ua": 16,
        "agarla2024_threshold_ua": 24,
        "dasaro2024_corpora_f1": 63,
        "dasaro2024_probe_heads_f1": 18,
        "goncalves2024_lora_ccc": 120,
        "han2024_peft_ua": 26,
        "han2024_humans_ua": 8,
        "han2024_eder": 12,
        "upadhyay2024_uar": 52,
        "upadhyay2024_per_emotion_uar": 24,
        "emobox2024_wa": 320,
        "emobox2024_ua_f1": 72,
        "cameo2025_poleval": 2,
        "anchors": 8,
    }
    assert len(published()) == sum(cells.values())
    assert len(set(published())) == len(published())


def test_labels_are_ours_and_values_in_range():
    labels = {*EMOTIONS, *ATTRIBUTES, "question", "negation", "expectation"}
    for row in published():
        assert set(row.labels) <= labels, row
        assert -1 <= row.value <= 1 if row.measure.startswith("CCC") else 1 < row.value <= 100, row


def test_english_to_german_without_labels():
    rows = applicable(RAVDESS, EMODB, FOUR, "0")
    assert find(rows, method="pseudo-labels", encoder="hubert")[0].value == 89.0
    assert find(rows, kind="public tool", method="SVM, scaled by speaker")[0].value == 56.0
    assert {row.target_language for row in rows} == {"de"}
    assert not find(rows, method="fluda (reported)")  # few-shot: another budget
    assert not find(rows, target_labels="not stated")
    assert {set(row.labels) == set(FOUR) for row in rows} == {True}


def test_five_emotions_show_their_own_table_and_its_upper_bound():
    rows = applicable(RAVDESS, EMODB, FIVE[::-1], "0")
    assert [row.value for row in find(rows, target_labels="0")] == [29.58, 60.56, 78.87]
    assert [row.target_labels for row in rows] == sorted(row.target_labels for row in rows)  # "0" before "all"
    assert find(rows, target_labels="all", encoder="hubert")[0].value == 94.37
    assert find(applicable(RAVDESS, EMODB, FOUR, "25"), method="fluda (reported)")


def test_other_pairs_and_label_sets():
    assert {row.study for row in applicable([("msp-podcast", "en-US")], [("biic-podcast", "cmn")], FOUR, "0")} == {
        "Upadhyay et al. 2024"
    }
    assert {row.study for row in applicable([("BIIC-Podcast", "zh")], [("MSP_Podcast", "en")], ATTRIBUTES, "all")} == {
        "Goncalves et al. 2024"
    }
    assert "D'Asaro et al. 2024" in {row.study for row in applicable(EMODB, EMODB, SEVEN, "all")}
    assert applicable([("finnish", "fi")], [("hungarian", "hu")], FOUR, "0") == ()
    assert applicable(RAVDESS, EMODB, ("anger", "boredom"), "0") == ()


@pytest.mark.parametrize("spelling", ["zh", "zho", "chi", "cmn", "zh_TW", "zh-Hant", "ZH"])
def test_a_language_has_its_numbers_however_it_is_spelt(spelling):
    usual = applicable([("msp-podcast", "en")], [("biic-podcast", "zh-TW")], FOUR, "0")
    assert applicable([("msp-podcast", "eng")], [("biic-podcast", spelling)], FOUR, "0") == usual != ()
    score = {"labels": ATTRIBUTES, "target_labels": "0", "side": "target"}
    rows = comparable(GONCALVES, ["fine-tuned"], "hubert-large", languages=("en", spelling), **score)
    assert rows == comparable(GONCALVES, ["fine-tuned"], "hubert-large", languages=("en_US", "zh-TW"), **score) != ()


def test_numbers_are_of_the_corpora_of_a_run_and_not_of_their_languages():
    usual = applicable(RAVDESS, EMODB, FOUR, "0")
    assert {row.target for row in usual} == {"EMO-DB"}
    assert {row.source for row in usual} == {"RAVDESS", "RAVDESS+SAVEE+TESS", "not stated"}
    for target in (("demo-de", "de"), ("my-german", "de"), ("", "de"), ("emodb", "it"), ("emovo", "de")):
        assert applicable(RAVDESS, [target], FOUR, "0") == (), target
    for source in (("demo-en", "en"), ("crema-d", "en"), ("my-english", "en")):
        assert {row.source for row in applicable([source], EMODB, FOUR, "0")} == {"not stated"}, source
    for name in ("EMO-DB", "EmoDB", "emo_db"):
        assert applicable(RAVDESS, [(name, "de")], FOUR, "0") == usual
    assert applicable(RAVDESS, [("emodb", "und")], FOUR, "0") == usual, "the corpus is known, though not its language"
    assert applicable(RAVDESS, [], FOUR, "0") == applicable([], EMODB, FOUR, "0") == ()


def test_of_several_sources_one_is_enough_and_of_several_targets_all_are_needed():
    several = [("crema-d", "en"), *RAVDESS]
    assert applicable(several, EMODB, FOUR, "0") == applicable(RAVDESS, EMODB, FOUR, "0")
    savee = applicable([("savee", "en")], EMODB, FOUR, "0")
    assert {row.source for row in savee} == {"RAVDESS+SAVEE+TESS", "not stated"}
    assert applicable(RAVDESS, [*EMODB, ("demo-de", "de")], FOUR, "0") == ()
    together = applicable(RAVDESS, [("tess", "en"), ("savee", "en")], FIVE, "0", sides=("source",))
    assert {row.target for row in together} == {"RAVDESS+SAVEE+TESS"}


def test_a_table_that_does_not_name_its_source_goes_by_the_language():
    assert find(applicable([("crema-d", "en")], EMODB, FOUR, "25"), method="fluda (reported)", source="not stated")
    assert applicable([("crema-d", "und")], EMODB, FOUR, "25") == ()


def test_emotion_counts_add_up():
    for row in read_table("agarla2024_emotions"):
        assert sum(int(row[emotion]) for emotion in FIVE) == int(row["total"]), row["language"]


def test_it_is_light():
    code = "import sys, emobridge.literature.published, emobridge.scores.classes; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def condition(**changes):
    plain = {"languages": ("en", "fr-CA"), "labels": FIVE, "target_labels": "0", "side": "target"}
    return plain | changes


@pytest.mark.parametrize(
    ("methods", "encoder", "changes", "values"),
    [
        (["no target labels"], "hubert-base", {}, [58.02]),
        (["no target labels"], "emotion-cnn", {}, [29.63]),
        (["no target labels", "all target labels"], "byol-s", {"target_labels": "all"}, [58.02]),
        (["all target labels"], "byol-s", {"target_labels": "all", "side": "source"}, [60.08]),
        (["English only"], "byol-s", {"side": "source"}, [79.13]),
        (["English only"], "byol-s", {"side": "target"}, []),
        (["English only"], "wavlm-base", {"side": "source"}, []),
        (["no target labels"], "hubert-base", {"target_labels": "25"}, []),
        (["no target labels"], "hubert-base", {"labels": FOUR}, []),
        (["pseudo-labels, tau 0.65"], "hubert-base", {"target_labels": "100"}, [73.86]),
        (["fluda (reported)"], "byol-s", {"labels": FOUR, "languages": ("en", "de"), "target_labels": "25"}, [34.9]),
        (["fluda (reported)"], "byol-s", {"labels": FOUR, "languages": ("en", "de")}, []),
    ],
)
def test_what_stands_beside_a_measured_score(methods, encoder, changes, values):
    assert [row.value for row in comparable(AGARLA, methods, encoder, **condition(**changes))] == values
    assert comparable("Somebody 2020", methods, encoder, **condition(**changes)) == ()


def test_the_source_side_and_what_states_no_budget_where_wanted():
    rows = applicable(RAVDESS, EMOVO, FIVE, "few", sides=("target", "source"), unstated=True)
    assert {row.side for row in rows} == {"target", "source"}
    assert find(rows, method="pseudo-labels, tau 0.85", side="source")[0].value == 77.69
    assert set(rows) > set(applicable(RAVDESS, EMOVO, FIVE, "few"))


def test_what_emobox_prints_on_a_corpus():
    """Names differ in case and signs between the leaderboard and the folders of a checkout."""
    wa = [row.value for row in printed_in_corpus(EMOBOX, "cremad", "wavlm-large")]
    assert wa == [74.32] and not printed_in_corpus(EMOBOX, "cremad", "whisper-base")
    rows = printed_in_corpus(EMOBOX, "emodb", "hubert-base")
    assert [(row.measure, row.value) for row in rows] == [("WA", 87.73), ("UA", 87.73), ("F1", 87.82)]
    assert {row.note for row in rows} == {"its own folds share speakers"}
    assert len(printed_in_corpus(EMOBOX, "urdu", "wav2vec2-base")) == 1


def test_the_sizes_of_collections_add_up_as_printed():
    sizes = [int(row["utterances"]) for row in read_table("emobox2024_wa")]
    assert (len(sizes), sum(sizes)) == (32, 262_020)
    rows = read_table("cameo2025_corpora")
    counts = {row["corpus"]: sum(int(row[emotion]) for emotion in SIX) for row in rows}
    assert counts.pop("nEMO") == 4_481 and sum(counts.values()) == 29_714
