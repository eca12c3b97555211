"""References of every kind of file, matched to recordings; what `diarize` writes is read back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emobridge.diarization.references import WITHOUT_END, Reference, References, read_reference
from emobridge.diarization.scoring import score_timelines
from emobridge.errors import UserError
from emobridge.inference.output import write_predictions
from emobridge.phones.textgrid import INTERVALS, Tier, textgrid_text
from emobridge.types import Prediction, Segment

LABELS = ("anger", "neutral", "sadness")


def row(start, end, label, path="calls/call.wav", channel=None):
    shares = tuple(0.8 if name == label else 0.1 for name in LABELS)
    reason = "" if label else "no speech"
    return Prediction(path, start, end, LABELS, shares if label else (), path=path,
                      channel=channel, reason=reason)  # fmt: skip


ROWS = [row(0, 2, "neutral"), row(2, 3.5, "anger"), row(3.5, 5, ""), row(5, 6, "sadness")]
MARKED = [(0, 2, "neutral"), (2, 3.5, "anger"), (5, 6, "sadness")]


def marks(reference):
    return [(part.start, part.end, part.emotion) for part in reference.segments]


@pytest.mark.parametrize(
    "name", ["out.rttm", "call.TextGrid", "out.jsonl", "out.json", "out.csv", "out.tsv", "call.txt"]
)
@pytest.mark.parametrize("channel", [None, 1])
def test_what_diarize_writes_is_read_back(tmp_path, name, channel):
    rows = [row(part.start, part.end, part.label, channel=channel) for part in ROWS]
    write_predictions(rows, tmp_path / name)
    references = read_reference(tmp_path / name)
    (reference,) = references.references
    assert marks(reference) == MARKED
    assert not any("mean no emotion" in note for note in references.notes)
    assert score_timelines(rows, references).evaluation.values()["EDER"] == 0


@pytest.mark.parametrize("name", ["out.rttm", "call.TextGrid", "out.jsonl", "out.csv", "call.txt"])
def test_channels_are_kept_apart(tmp_path, name):
    rows = [row(0, 2, "anger", channel=0), row(1, 3, "sadness", channel=1)]
    write_predictions(rows, tmp_path / name)
    scored = score_timelines(rows, read_reference(tmp_path / name))
    assert scored.recordings == (("calls/call.wav", 0), ("calls/call.wav", 1))
    assert scored.evaluation.values()["EDER"] == 0
    swapped = [row(0, 2, "anger", channel=1), row(1, 3, "sadness", channel=0)]
    assert score_timelines(swapped, read_reference(tmp_path / name)).evaluation.values()["EDER"] > 0.9


def test_rttm_of_other_tools(tmp_path):
    path = tmp_path / "a.rttm"
    path.write_text(
        ";; a comment\n\nSPKR-INFO call 1 <NA> <NA> <NA> unknown x <NA> <NA>\n"
        "SPEAKER call 1 1.0 2.0 <NA> <NA> Happy <NA> <NA>\nSPEAKER call 1 0.5 0.25 <NA> <NA> speaker_01 <NA>\n"
    )
    references = read_reference(path)
    assert marks(references.references[0]) == [(1, 3, "happiness")]
    assert "lines of the type SPKR-INFO, left out: 1" in references.notes[0]
    assert "labels that mean no emotion, left out: 'speaker 01' (1)" in references.notes[1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("SPEAKER call 1 1.0", "4 fields; expected ten"),
        ("SPEAKER call x 1.0 2.0 <NA> <NA> anger <NA> <NA>", "channel is 'x'; expected a number from 1"),
        ("SPEAKER call 0 1.0 2.0 <NA> <NA> anger <NA> <NA>", "channel is '0'"),
        ("SPEAKER call 1 one 2.0 <NA> <NA> anger <NA> <NA>", "'one' is no time"),
        ("SPEAKER call 1 nan 2.0 <NA> <NA> anger <NA> <NA>", "'nan' is no time"),
        ("SPEAKER call 1 1.0 0 <NA> <NA> anger <NA> <NA>", "anger from 1 to 1 s; expected a start before its end"),
        ("SPEAKER call 1 -1 2 <NA> <NA> anger <NA> <NA>", "anger from -1 to 1 s"),
    ],
)
def test_a_bad_line_of_rttm_is_named(tmp_path, line, message):
    path = tmp_path / "a.rttm"
    path.write_text(f";; x\n{line}\n")
    with pytest.raises(UserError, match=rf"a\.rttm:2: .*{message}"):
        read_reference(path)


@pytest.mark.parametrize("form", ["rttm", "csv"])
def test_a_recording_none_of_whose_labels_means_an_emotion_is_no_reference(tmp_path, form):
    """It would be scored as if nobody had marked anything in it: the same in every kind of file."""
    texts = {
        "rttm": "SPEAKER a 1 0 1 <NA> <NA> anger <NA> <NA>\nSPEAKER b 1 0 1 <NA> <NA> speaker_01 <NA> <NA>\n",
        "csv": "path,start,end,emotion\na,0,1,anger\nb,0,1,speaker 01\n",
    }
    (tmp_path / f"marked.{form}").write_text(texts[form])
    references = read_reference(tmp_path / f"marked.{form}")
    assert [Path(reference.recording).name for reference in references.references] == ["a"]
    assert any("'speaker 01' (1)" in note for note in references.notes)


def test_textgrids_of_a_folder_have_its_folders_in_their_names(tmp_path):
    for folder, label in (("x", "anger"), ("y", "sadness"), ("z", "")):
        (tmp_path / folder).mkdir()
        tiers = [Tier(INTERVALS, "emotion", [(0.0, 1.0, label), (1.0, 4.0, "")]), Tier(INTERVALS, "words", [])]
        (tmp_path / folder / "call.TextGrid").write_text(textgrid_text(tiers, 4.0))
    references = read_reference(tmp_path)
    assert [(part.recording, marks(part)) for part in references.references] == [
        ("x/call", [(0, 1, "anger")]), ("y/call", [(0, 1, "sadness")]), ("z/call", []),
    ]  # fmt: skip
    assert "tier 'words', not read: 3" in references.notes[0]
    pairs = references.find([("/data/y/call.wav", None), ("/data/z/call.wav", None)])
    assert {path: part.recording for (path, _), part in pairs.items()} == {
        "/data/y/call.wav": "y/call", "/data/z/call.wav": "z/call",
    }  # fmt: skip


def test_a_folder_may_hold_other_text(tmp_path):
    (tmp_path / "README.txt").write_text("Marked by three of us.\n")
    (tmp_path / "call.txt").write_text("0.5\t2.0\tanger\n")
    references = read_reference(tmp_path)
    assert [marks(part) for part in references.references] == [[(0.5, 2, "anger")]]
    assert references.notes == (
        f"text files that are no label tracks, left out: 1 (the first: {tmp_path / 'README.txt'})",
    )
    with pytest.raises(UserError, match="is no time"):
        read_reference(tmp_path / "README.txt")


def test_the_tier_is_chosen(tmp_path):
    tiers = [Tier(INTERVALS, name, [(0.0, 2.0, label)]) for name, label in (("a", "anger"), ("b", "sad"))]
    (tmp_path / "call.TextGrid").write_text(textgrid_text(tiers, 2.0))
    with pytest.raises(UserError, match="which tier holds the emotions"):
        read_reference(tmp_path / "call.TextGrid")
    assert marks(read_reference(tmp_path / "call.TextGrid", tier="b").references[0]) == [(0, 2, "sadness")]


def test_zed(tmp_path):
    entries = {
        "spk1_1": {"wav": "datafolder/spk1/spk1_1.wav", "duration": 6.2, "transcription": "",
                   "emotion": [{"emo": "angry", "start": 1.94, "end": 4.48}]},
        "spk2_1": {"wav": "datafolder/spk2/spk2_1.wav", "emotion": [{"emo": "sad", "start": 0, "end": 6.2}]},
    }  # fmt: skip
    (tmp_path / "ZED.json").write_text(json.dumps(entries))
    for path in (tmp_path, tmp_path / "ZED.json"):
        first, second = read_reference(path).references
        assert (first.recording, first.speaker, marks(first)) == ("spk1/spk1_1.wav", "spk1", [(1.94, 4.48, "anger")])
        assert marks(second) == [(0, 6.2, "sadness")]


def test_a_manifest_with_times_speakers_and_a_row_without_an_end(tmp_path):
    rows = [
        {"id": "1", "corpus": "c", "path": "a.wav", "start": 1, "end": 2, "emotion": "anger", "speaker": "anna"},
        {"id": "2", "corpus": "c", "path": "b.wav", "emotion": "sadness", "speaker": "ben"},
        {"id": "3", "corpus": "c", "path": "c.wav", "start": 0, "end": 1},
        {"id": "4", "corpus": "c", "path": "a.wav", "start": 4, "end": 5, "emotion": "blargh", "speaker": "anna"},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    references = read_reference(tmp_path / "m.jsonl")
    assert [(marks(part), part.speaker) for part in references.references] == [
        ([(1, 2, "anger")], "anna"), ([(0, WITHOUT_END, "sadness")], "ben"), ([], None),
    ]  # fmt: skip
    assert references.notes == ("segments of the reference with labels that mean no emotion, left out: 'blargh' (1)",)


def test_annotators_columns_have_other_names(tmp_path):
    (tmp_path / "m.csv").write_text("file;begin;stop;Emotion\ncall.wav;0,5;2;Wut\n")
    assert marks(read_reference(tmp_path / "m.csv").references[0]) == [(0.5, 2, "anger")]


def test_a_reference_that_overlaps_says_so(tmp_path):
    (tmp_path / "a.csv").write_text(
        "file,start,end,emotion\na.wav,0,2,anger\na.wav,1,3,joy\nb.wav,0,2,joy\nb.wav,1,3,joy\nc.wav,0,9,neutral\n"
        "c.wav,1,2,joy\n"
    )
    (note,) = read_reference(tmp_path / "a.csv").notes
    assert note.startswith("the reference overlaps in 1 of 3 recordings") and "a.wav" in note


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.rtm", "", r"expected a reference that ends in \.rttm"),
        ("a.rttm", "", "no references"),
        (
            "a.rttm",
            "SPEAKER call 1 0 2 <NA> <NA> speaker_01 <NA> <NA>\n",
            r"no label means an emotion \('speaker 01' \(1\)\)",
        ),
        ("a.csv", "file,start,end,emotion\na.wav,0,1,spk2\n", r"no label means an emotion \('spk2' \(1\)\)"),
        ("ZED.json", "{", "not valid JSON"),
        ("a.json", "[]", "."),
        ("a.csv", "file,start,end,emotion\na.wav,2,1,anger\n", "'end' is 1 s"),
        ("a.TextGrid", "hello", "as in a TextGrid"),
    ],
)
def test_what_is_no_reference_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_reference(tmp_path / name)


def test_no_file_and_an_empty_folder(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_reference(tmp_path / "absent.rttm")
    with pytest.raises(UserError, match="no references; expected files that end in"):
        read_reference(tmp_path)


def references_of(*names, path="r.rttm"):
    return References(path, tuple(
        Reference(name, (Segment(0, 1, "anger"),), channel) for name, channel in names
    ))  # fmt: skip


def test_recordings_match_by_as_much_of_the_path_as_there_is():
    references = references_of(("x/call.wav", None), ("y/call", None), ("solo", None))
    pairs = references.find(
        [("/d/x/call.wav", None), ("/d/y/call.flac", None), ("/e/solo.wav", 0), ("/e/no.wav", None)]
    )
    assert {path: part.recording for (path, _), part in pairs.items()} == {
        "/d/x/call.wav": "x/call.wav", "/d/y/call.flac": "y/call", "/e/solo.wav": "solo",
    }  # fmt: skip
    # A corpus with a 001 of each speaker, of which one is scored.
    assert len(references_of(("x/001", None), ("y/001", None)).find([("/d/y/001.wav", None)])) == 1


def test_names_with_spaces_and_accents_match_as_rttm_has_them(tmp_path):
    rows = [row(0, 2, "anger", path="/d/my  caf\u00e9 call.wav")]
    write_predictions(rows, tmp_path / "out.rttm")
    assert score_timelines(rows, read_reference(tmp_path / "out.rttm")).evaluation.values()["EDER"] == 0
    assert references_of(("cafe\u0301", None)).find([("/d/caf\u00e9.wav", None)])


def test_many_recordings_of_one_name_are_matched_in_no_time():
    references = references_of(*((f"{number}/audio", None) for number in range(5000)))
    pairs = references.find([(f"/d/{number}/audio.wav", None) for number in range(5000)])
    assert all(path == f"/d/{part.recording}.wav" for (path, _), part in pairs.items()) and len(pairs) == 5000


def test_what_may_be_another_recording_is_not_guessed():
    with pytest.raises(UserError, match=r"r\.rttm: call may be /a/call\.wav or /b/call\.wav; .* folders"):
        references_of(("call", None)).find([("/a/call.wav", None), ("/b/call.wav", None)])
    with pytest.raises(UserError, match=r"/d/call\.wav may be x/call or y/call of the reference"):
        references_of(("x/call", None), ("y/call", None)).find([("/d/call.wav", None)])


def test_no_match_names_the_nearest():
    with pytest.raises(
        UserError, match=r"no reference for interveiw; did you mean interview\? \(it has a, interview\)"
    ):
        references_of(("interview", None), ("a", None)).find([("/d/interveiw.wav", None)])
    with pytest.raises(UserError, match="no reference for any recording"):
        references_of(("a", None)).find([])


def test_channels_that_do_not_fit_are_named():
    assert references_of(("call", None)).find([("call.wav", 1)])
    assert references_of(("call", 0)).find([("call.wav", None)])
    with pytest.raises(UserError, match="has the channels 0, 1, and its reference names none"):
        references_of(("call", None)).find([("call.wav", 0), ("call.wav", 1)])
    with pytest.raises(UserError, match="call is marked by channel; answer each channel by itself"):
        references_of(("call", 0), ("call", 1)).find([("call.wav", None)])
    assert list(references_of(("call", 1)).find([("call.wav", 0), ("call.wav", 1)])) == [("call.wav", 1)]
