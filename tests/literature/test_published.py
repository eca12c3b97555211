"""Published numbers: read as printed, shown only where they compare."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import pytest

from emobridge import registry
from emobridge.data.labels import EMOTIONS
from emobridge.encoders import presets
from emobridge.literature.agarla2024 import AGARLA
from emobridge.literature.benchmarks import CAMEO, EMOBOX
from emobridge.literature.dasaro2024 import DASARO
from emobridge.literature.published import (
    applicable,
    corpus_key,
    numbers_of,
    published,
    published_confusions,
)
from emobridge.literature.record import FIVE, FOUR, NOT_STATED, SEVEN, SIX, read_table
from emobridge.literature.upadhyay2024 import UPADHYAY
from emobridge.types import ATTRIBUTES

RAVDESS, EMODB, EMOVO = [("ravdess", "en")], [("emodb", "de")], [("emovo", "it")]


def find(rows, **criteria):
    return [row for row in rows if all(getattr(row, name) == value for name, value in criteria.items())]


@pytest.mark.parametrize(
    ("criteria", "value"),
    [
        ({"method": "pseudo-labels", "encoder": "hubert-base", "target_language": "de"}, 89.0),
        ({"method": "nnpm (reimplemented)", "target_language": "it"}, 40.2),
        ({"method": "English only", "encoder": "byol-s-1024", "target_language": "fa"}, 18.28),
        ({"method": "all target labels", "encoder": "hubert-base", "target_language": "fr", "side": "source"}, 78.19),
        ({"table": "Table 5", "method": "English only", "encoder": "byol-s-1024"}, 79.13),
        ({"method": "pseudo-labels, with rebalancing", "target_language": "fa", "side": "target"}, 88.27),
        ({"method": "pseudo-labels, tau 0.85", "target_language": "it", "side": "target"}, 73.1),
        ({"source": "emovo", "encoder": "whisper-medium", "measure": "F1"}, 50.19),
        ({"source_language": "mul", "encoder": "xls-r-300m", "method": "multilayer head"}, 40.89),
        ({"method": "LAM-GL", "encoder": "whisper-small", "source": "biic-podcast"}, 56.37),
        ({"method": "two-stage", "target_language": "zh"}, 85.8),
        ({"method": "listeners, native de", "target_language": "zh-x-tianjin"}, 29.2),
        ({"measure": "EDER", "method": "listeners, native de, average"}, 28.2),
        ({"study": EMOBOX, "target": "emodb", "encoder": "wavlm-large", "measure": "WA"}, 92.67),
        ({"study": EMOBOX, "target": "ravdess", "encoder": "hubert-base", "measure": "UA"}, 65.43),
        ({"study": EMOBOX, "target": "urdu", "encoder": "wav2vec2-base"}, 87.5),
        ({"target": "cameo-pl", "measure": "F1"}, 18.29),
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
    assert find(rows, method="pseudo-labels", encoder="hubert-base")[0].value == 89.0
    assert find(rows, kind="public tool", method="SVM, scaled by speaker")[0].value == 56.0
    assert {row.target_language for row in rows} == {"de"}
    assert not find(rows, method="fluda (reported)")  # few-shot: another budget
    assert not find(rows, target_labels="not stated")
    assert {set(row.labels) == set(FOUR) for row in rows} == {True}


def test_five_emotions_show_their_own_table_and_its_upper_bound():
    rows = applicable(RAVDESS, EMODB, FIVE[::-1], "0")
    assert [row.value for row in find(rows, target_labels="0")] == [29.58, 60.56, 78.87]
    assert [row.target_labels for row in rows] == sorted(row.target_labels for row in rows)  # "0" before "all"
    assert find(rows, target_labels="all", encoder="hubert-base")[0].value == 94.37
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


def test_numbers_are_of_the_corpora_of_a_run_and_not_of_their_languages():
    usual = applicable(RAVDESS, EMODB, FOUR, "0")
    assert {row.target for row in usual} == {"emodb"}
    assert {row.source for row in usual} == {"ravdess", "ravdess+savee+tess", "not stated"}
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
    assert {row.source for row in savee} == {"ravdess+savee+tess", "not stated"}
    assert applicable(RAVDESS, [*EMODB, ("demo-de", "de")], FOUR, "0") == ()
    together = applicable(RAVDESS, [("tess", "en"), ("savee", "en")], FIVE, "0", sides=("source",))
    assert {row.target for row in together} == {"ravdess+savee+tess"}


def test_a_table_that_does_not_name_its_source_goes_by_the_language():
    assert find(applicable([("crema-d", "en")], EMODB, FOUR, "25"), method="fluda (reported)", source="not stated")
    assert applicable([("crema-d", "und")], EMODB, FOUR, "25") == ()


def test_emotion_counts_add_up():
    for row in read_table("agarla2024_emotions"):
        assert sum(int(row[emotion]) for emotion in FIVE) == int(row["total"]), row["language"]


def test_it_is_light():
    code = "import sys, emobridge.literature.published, emobridge.scores.classes; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_source_side_and_what_states_no_budget_where_wanted():
    rows = applicable(RAVDESS, EMOVO, FIVE, "few", sides=("target", "source"), unstated=True)
    assert {row.side for row in rows} == {"target", "source"}
    assert find(rows, method="pseudo-labels, tau 0.85", side="source")[0].value == 77.69
    assert set(rows) > set(applicable(RAVDESS, EMOVO, FIVE, "few"))


def test_what_emobox_prints_on_a_corpus():
    rows = find(published(), study=EMOBOX, encoder="hubert-base", target="emodb")
    assert [(row.measure, row.printed) for row in rows] == [("WA", "87.73"), ("UA", "87.73"), ("F1", "87.82")]
    assert {row.note for row in rows} == {"its own folds share speakers"}
    (row,) = find(published(), study=EMOBOX, encoder="wavlm-large", target="crema-d")
    assert row.printed == "74.32"


def test_the_sizes_of_collections_add_up_as_printed():
    sizes = [int(row["utterances"]) for row in read_table("emobox2024_wa")]
    assert (len(sizes), sum(sizes)) == (32, 262_020)
    rows = read_table("cameo2025_corpora")
    counts = {row["corpus"]: sum(int(row[emotion]) for emotion in SIX) for row in rows}
    assert counts.pop("nEMO") == 4_481 and sum(counts.values()) == 29_714


def test_each_number_has_an_id_of_its_own_that_can_be_read():
    rows = [*published(), *published_confusions()]
    assert len({row.id for row in rows}) == len(rows)
    assert all(part for row in rows for part in row.id.split("/")) and all(row.id.isascii() for row in rows)
    by_id = {row.id: row for row in published()}
    assert by_id["agarla2024/table-4/de/hubert-base/target"].printed == "78.87"
    assert by_id["agarla2024/table-6/de/nnpm-reimplemented/target"].printed == "52.0"
    assert by_id["goncalves2024/table-2/msp/ft+lora/hubert-large/valence"].printed == "0.624"
    assert by_id["upadhyay2024/table-3/msp-biic/vowel/whisper-small/happiness"].printed == "75.02"


def test_encoders_and_corpora_have_our_names():
    """What is no preset of ours is named in print alone: data2vec, the largest Whisper, others' features."""
    ours = {*presets(), *registry.names("encoders"), NOT_STATED, ""}
    foreign = {row.encoder for row in published() if row.kind == "published"} - ours
    assert foreign == {
        "data2vec-base", "data2vec-large", "data2vec2-base", "data2vec2-large", "whisper-large-v3",
    }  # fmt: skip
    corpora = set(map(corpus_key, registry.names("corpora")))
    for row in published():
        if row.study not in (EMOBOX, CAMEO) and row.target != "tjd":
            assert set(map(corpus_key, row.target.split("+"))) <= corpora, row


def test_numbers_keep_the_decimals_of_their_tables():
    digits = {}
    for row in published():
        if row.table:
            digits.setdefault((row.study, row.table), set()).add(len(row.printed.partition(".")[2]))
    assert {key for key, counts in digits.items() if len(counts) > 1} == set()
    assert digits[AGARLA, "Table 6"] == {1} and digits[AGARLA, "Table 5"] == {2}
    assert {counts.pop() for (study, _), counts in digits.items() if study.startswith("Goncalves")} == {3}


def test_what_agarla_et_al_call_unweighted_accuracy_is_plain():
    rows = [row for row in published() if row.study == AGARLA]
    assert all(row.measure == "UA" for row in rows)
    assert {row.compared for row in rows if "(reported)" in row.method} == {"UA"}
    ours = [row for row in rows if "(reported)" not in row.method]
    assert {row.compared for row in ours} == {"WA"} and all("plain accuracy" in row.note for row in ours)
    for row in ours:
        if row.table == "Table 4" and row.target == "emodb":
            assert any(f"{100 * right / 71:.2f}" == row.printed for right in range(72)), row


def test_budgets_and_encoders_of_tables_of_agarla_et_al():
    rows = [row for row in published() if row.study == AGARLA]
    assert {(row.table, row.target_labels) for row in rows if row.table != "Table 6"} == {
        ("Table 4", "0"), ("Table 5", "0"), ("Table 5", "all"), ("Table 7", "100"), ("Table 8", "100"),
    }  # fmt: skip
    assert {row.encoder for row in rows if row.table in ("Table 7", "Table 8")} == {"hubert-base"}
    assert {row.method for row in rows if row.table == "Table 4"} == {"English only"}
    with_it = {row.target: row.printed for row in rows if row.method == "pseudo-labels, with rebalancing"}
    tau = {row.target: row.printed for row in rows if row.method == "pseudo-labels, tau 0.65"}
    assert with_it == tau, "which the note says"


def test_the_tables_of_dasaro_et_al_do_not_agree_and_say_so():
    means = [row for row in published() if row.study == DASARO and row.table == "Table 2"]
    (small,) = find(means, encoder="whisper-small", method="linear head")
    assert small.printed == "60.87" and "the mean of Table 3 over the nine corpora is 65.96" in small.note
    assert sum("the mean of Table 3" in row.note for row in means) == 6, "the head that Table 3 has of each encoder"


def test_the_stars_and_the_direction_of_upadhyay_et_al():
    rows = [row for row in published() if row.study == UPADHYAY]
    starred = [row for row in rows if row.stars]
    assert len(starred) == 24 and {row.table for row in starred} == {"Table 2"}
    (row,) = find(rows, method="PC", encoder="whisper-small", target="biic-podcast", table="Table 2")
    assert row.stars == "*" and row.note == "top layer; p < 0.1 against LAM-GL in print"
    third = [row for row in rows if row.table == "Table 3"]
    assert {(row.source, row.target) for row in third} == {("msp-podcast", "biic-podcast")}
    assert {row.compared for row in third} == {f"UA {emotion}" for emotion in FOUR}
    anchored = find(third, encoder="wavlm-base", method="LAM, anchored by utterance")
    assert sum(row.value for row in anchored) / 4 == pytest.approx(72.98, abs=0.01)


def test_a_study_has_its_numbers_and_its_matrices():
    assert len(numbers_of("Han et al. 2025")) == 26 + 8 + 12 + 9
    assert numbers_of("Somebody 2020") == ()


def test_the_files_are_those_of_the_papers(shared):
    """Every cell was checked against the papers; the package has its own copy."""
    copies = sorted((shared / "papers").glob("*.csv"))
    assert len(copies) > 15 or not copies
    for path in copies:
        ours = (resources.files("emobridge.literature") / path.name).read_bytes()
        assert ours == path.read_bytes(), path.name
