"""Alignments from the files that people have, good and bad."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from emobridge.corpora import scan
from emobridge.errors import UserError
from emobridge.phones.reading import read_alignments
from emobridge.phones.textgrid import INTERVALS, Tier, textgrid_text
from emobridge.types import Utterance

RATE = 8000
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1
<exists>
2
"IntervalTier"
"words"
0
1
1
0
1
"no"
"IntervalTier"
"phones"
0
1
3
0
0.2
"sil"
0.2
0.5
"N"
0.5
1
"OW1"
"""
LABLAUT = """signal 03a01Fa
nfields 1
#
    0.10   -1 _t
    0.12   -1 !t\t+asp
    0.14   -1 tasp
    0.20   -1 a     2
    0.30   -1 \t+lar
    0.40   -1 E6\t-lar\t1
    0.50   -1 V
    0.60   -1 .
"""


@pytest.fixture
def utterance(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(RATE, 0.1), RATE)

    def make(name="a", text=None, suffix=".TextGrid", **fields):
        phones = tmp_path / f"{name}{suffix}"
        if text is not None:
            phones.write_text(text, encoding="utf-8")
        return Utterance(name, "c", str(path), phones=str(phones), **fields)

    return make


def grid(*intervals, name="phones"):
    return textgrid_text([Tier(INTERVALS, name, list(intervals))], 1.0)


def read(*utterances, folder=None):
    notes = []
    return read_alignments(utterances, folder, notes.append), notes


def spoken(alignment):
    return [(round(phone.start, 3), round(phone.end, 3), phone.ipa) for phone in alignment.phones]


@pytest.mark.parametrize("suffix", [".TextGrid", ".textgrid"])
def test_textgrids_of_the_montreal_forced_aligner_short_and_long(utterance, suffix):
    expected = [(0, 0.2, ""), (0.2, 0.5, "n"), (0.5, 1, "oʊ")]
    long_form = textgrid_text(
        [
            Tier(INTERVALS, "words", [(0.0, 1.0, "no")]),
            Tier(INTERVALS, "anna - phones", [(0.0, 0.2, ""), (0.2, 0.5, "n"), (0.5, 1.0, "o͡ʊ")]),
        ],
        1.0,
    )
    alignments, notes = read(utterance("a", SHORT, suffix), utterance("b", long_form, suffix))
    assert (spoken(alignments["a"]), spoken(alignments["b"]), notes) == (expected, expected, [])
    assert [phone.kind for phone in alignments["a"].phones] == ["pause", "consonant", "vowel"]
    assert [phone.label for phone in alignments["a"].phones] == ["sil", "N", "OW1"]


def test_labels_of_emodb_bursts_and_aspirations_belong_to_their_stop_and_qualities_are_no_phones(utterance):
    alignments, notes = read(utterance("a", LABLAUT, ".lablaut"))
    assert spoken(alignments["a"]) == [
        (0.1, 0.2, "t"), (0.2, 0.4, "a"), (0.4, 0.5, "ɛɐ"), (0.5, 0.6, "ʋ"), (0.6, 1.0, ""),
    ]  # fmt: skip
    assert notes == []


def test_ctm_holds_many_utterances_by_id_or_stem(utterance, tmp_path):
    text = ";; a comment\nx A 0.1 0.2 HH_B 1.0\nx A 0.3 0.3 AY1_E\na A 0.0 0.5 <eps>\na A 0.5 0.25 s\n"
    alignments, _ = read(utterance("x", text, ".ctm"))
    assert spoken(alignments["x"]) == [(0.1, 0.3, "h"), (0.3, 0.6, "aɪ")]
    other = Utterance("other", "c", str(tmp_path / "a.wav"))
    alignments, _ = read(other, folder=tmp_path)
    assert spoken(alignments["other"]) == [(0, 0.5, ""), (0.5, 0.75, "s")]


def test_a_folder_goes_before_the_row_and_is_searched_by_id_and_stem(utterance, tmp_path):
    folder = tmp_path / "aligned" / "deeper"
    folder.mkdir(parents=True)
    (folder / "b.TextGrid").write_text(grid((0, 0.5, "b")))
    (folder / "axx.lablaut").write_text(LABLAUT)
    rows = [utterance("b", grid((0, 0.5, "p"))), Utterance("by-stem", "c", str(tmp_path / "a.wav"))]
    alignments, _ = read(*rows, folder=folder.parent)
    assert [phone.ipa for phone in alignments["b"].phones] == ["b"]
    assert len(alignments["by-stem"].phones) == 5
    with pytest.raises(UserError, match="no such folder"):
        read(*rows, folder=tmp_path / "nowhere")


def test_a_stretch_of_a_recording_has_the_phones_of_the_stretch_from_its_own_start(utterance):
    row = utterance("a", grid((0, 0.3, "a"), (0.3, 0.6, "t"), (0.6, 1.0, "o")), start=0.2, end=0.5)
    alignments, notes = read(row)
    assert (spoken(alignments["a"]), notes) == ([(0, 0.1, "a"), (0.1, 0.3, "t")], [])


def test_what_lies_beyond_the_audio_is_cut_and_named(utterance):
    alignments, notes = read(utterance("a", grid((0, 0.5, "a"), (0.5, 1.5, "t"), (1.5, 2, "o"))))
    assert spoken(alignments["a"]) == [(0, 0.5, "a"), (0.5, 1.0, "t")]
    assert len(notes) == 1 and "longer than their audio, cut: 1" in notes[0] and "2.000 s for 1.000 s" in notes[0]


def test_overlapping_empty_and_disordered_intervals_are_mended_and_counted(utterance):
    overlapping = utterance("a", grid((0, 0.3, "a"), (0.2, 0.5, "t"), (0.25, 0.4, "s"), (0.5, 0.5, "o")))
    disordered = utterance("b", grid((0.5, 0.6, "a"), (0.1, 0.2, "t")))
    alignments, notes = read(overlapping, disordered)
    assert spoken(alignments["a"]) == [(0, 0.3, "a"), (0.3, 0.5, "t")]
    assert spoken(alignments["b"]) == [(0.1, 0.2, "t"), (0.5, 0.6, "a")]
    assert ["overlap" in line or "empty" in line or "order" in line for line in notes] == [True] * 3
    assert "cut: 2" in " ".join(notes)


def test_unknown_labels_are_left_out_named_and_counted_with_an_example(utterance):
    alignments, (note,) = read(utterance("a", grid((0, 0.2, "AA1"), (0.2, 0.4, "QQ"), (0.4, 0.6, "QQ"), (0.6, 1, "T"))))
    assert spoken(alignments["a"]) == [(0, 0.2, "ɑ"), (0.6, 1, "t")]
    assert (
        note.startswith("left out 2 intervals with unknown phone labels: 'QQ' (2, the first: ") and "a.TextGrid" in note
    )


def test_many_unknown_labels_are_shown_by_the_ten_most_frequent(utterance):
    labels = [f"{letter}{number}" for letter in "5#" for number in range(6)]
    intervals = [(n / 20, (n + 1) / 20, label) for n, label in enumerate(["a", *labels])]
    _, (note,) = read(utterance("a", grid(*intervals)))
    assert note.startswith("left out 12 intervals") and note.endswith(", 2 more")


def test_one_phone_is_an_alignment_and_no_phone_is_none(utterance):
    alignments, notes = read(
        utterance("one", grid((0, 1, "a"))), utterance("pause", grid((0, 1, ""))), utterance("none", grid())
    )
    assert list(alignments) == ["one"]
    assert len(notes) == 1 and "without a phone that can be used: 2" in notes[0]


@pytest.mark.parametrize(
    ("suffix", "text", "reason"),
    [
        (".TextGrid", "hello", "a text in quotation marks"),
        (".TextGrid", None, "No such file"),
        (".TextGrid", grid((0, 1, "a"), name="words").replace("size = 1\nitem", "size = 2\nitem"), "ends too early"),
        (".lablaut", "0.1 -1 a\n", "expected a line '#'"),
        (".lablaut", "signal a\n#\n  x -1 a\n", ":3: 'x' where a time"),
        (".ctm", "a A 0.1 x AA\n", ":1: expected"),
        (".ctm", "other A 0.1 0.1 AA\n", "has no utterance"),
        (".phones.tsv", "a,b\n", "start_s"),
        (".phones.tsv", "start_s\tend_s\tphone\n0\tnan\ta\n", ":2: expected a start"),
        (".lab", "x", "of none of the formats"),
    ],
)
def test_a_bad_file_among_good_ones_is_left_out_and_named(utterance, suffix, text, reason):
    alignments, (note,) = read(utterance("good", grid((0, 1, "a"))), utterance("bad", text, suffix))
    assert list(alignments) == ["good"]
    assert note.startswith("phone alignments that cannot be read: 1 (the first: ") and reason in note


def test_a_file_that_is_no_text_is_named(utterance, tmp_path):
    (tmp_path / "a.TextGrid").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(UserError, match="no phone alignments to use: phone alignments that cannot be read: 1"):
        read(utterance("a"))


def test_several_tiers_of_phones_are_not_guessed_between(utterance):
    two = textgrid_text([Tier(INTERVALS, f"{name} - phones", [(0.0, 1.0, "a")]) for name in ("anna", "ben")], 1.0)
    with pytest.raises(UserError, match="2 tiers of phones"):
        read(utterance("a", two))


def test_utterances_without_alignment_are_counted(utterance, tmp_path):
    bare = [Utterance(name, "c", str(tmp_path / "a.wav")) for name in "xyz"]
    _, (note,) = read(utterance("a", grid((0, 1, "a"))), *bare)
    assert note == "utterances without a phone alignment: 3 (the first: x)"
    with pytest.raises(UserError, match="no phone alignments to use: utterances without a phone alignment: 3"):
        read(*bare)


def test_labels_of_emodb_are_read_from_its_distribution(shared):
    rows = list(scan("emodb", shared / "corpora/emodb"))
    alignments, notes = read(*rows)
    assert len(alignments) == 361 and "08a01Waxx.lablaut" in notes[0], "one file of the distribution is empty"
    assert "left out 2 intervals with unknown phone labels: 'hoe' (1" in notes[1]
    first = "".join(phone.ipa or "|" for phone in alignments["03a01Fa"].phones)
    assert first == "tɛɐlapmlitafdɪmaɪsʃχaŋk|"


def test_marks_of_emodb_are_starts_not_ends(shared):
    """A pause is quiet and s is not, which holds of starts alone."""
    rows = list(scan("emodb", shared / "corpora/emodb"))[:40]
    alignments, _ = read(*rows)
    levels = {"": [], "s": []}
    for row in rows:
        wave, rate = soundfile.read(row.path)
        for phone in alignments[row.id].phones if row.id in alignments else ():
            if phone.ipa in levels:
                stretch = wave[round(phone.start * rate) : round(phone.end * rate)]
                levels[phone.ipa].append(10 * np.log10(np.mean(stretch**2) + 1e-10))
    assert np.median(levels["s"]) > np.median(levels[""]) + 15
