import numpy as np
import pytest
import soundfile

from emobridge.errors import UserError
from emobridge.formats import import_


@pytest.fixture
def call(tmp_path):
    """A recording of four seconds, call.wav; the label track goes beside it."""
    soundfile.write(tmp_path / "call.wav", np.zeros(32_000), 8000)
    return tmp_path / "call.txt"


def test_a_label_track_keeps_both_ends(call):
    call.write_text("0.500000\t2.000000\tanger\n\\\t100.0\t4000.0\n2.500000\t4.000000\tneutral\n")
    reading = import_("audacity", call, language="de")
    rows = list(reading)
    assert [(row.id, row.start, row.end, row.emotion) for row in rows] == [
        ("call@0.5", 0.5, 2.0, "anger"),
        ("call@2.5", 2.5, 4.0, "neutral"),
    ]
    assert {(row.path, row.corpus, row.language) for row in rows} == {
        (str(call.with_suffix(".wav")), call.parent.name, "de")
    }
    assert reading.lines()[0] == "2 utterances; 2 labelled, 0 speakers, 1 language" and not reading.intake.notes


def test_what_is_left_out_or_odd_is_counted(call):
    call.write_text("2,5\t3,5\tanger\n0.5\t2.0\tfear\n1.0\t1.5\tsad\n1.0\t1.0\tpoint\n0.0\t0.2\n")
    reading = import_("audacity", call)
    assert [row.start for row in reading] == [2.5, 0.5, 1.0]
    assert reading.intake.notes == [
        f"point labels, which have no length, left out: 1 (the first: {call}:4)",
        f"segments that are not in order of time: 2 (the first: {call}:2)",
        f"segments that overlap another of their tier: 1 (the first: {call}:3)",
        f"segments without a label, left out: 1 (the first: {call}:5)",
    ]


def test_two_labels_of_the_same_time_have_different_ids(call):
    call.write_text("1\t2\tanger\n1\t3\tfear\n")
    assert [row.id for row in import_("audacity", call)] == ["call@1", "call@1#2"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0.5\t4.2\tanger", r"call\.txt:1: 'end' is 4\.2 s, after the end of .*call\.wav \(4\.000 s\)"),
        ("-1\t2\tanger", r"call\.txt:1: 'start' is -1 s; expected 0 or more"),
        ("2\t1\tanger", r"call\.txt:1: 'end' is 1 s; expected more than 'start'"),
        ("anger 1 2", r"call\.txt:1: 'anger 1 2' is no time"),
        ("nan\t1\tanger", r"call\.txt:1: 'nan' is no time"),
        ("1\t2\tangr", r"call\.txt:1: unknown emotion label 'angr'"),
        ("", "no segments with a label"),
    ],
)
def test_mistakes_are_named(call, line, message):
    call.write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        list(import_("audacity", call))


def test_the_recording_is_beside_the_track_or_named(call):
    track = call.with_name("labels.txt")
    track.write_text("0.5\t2.0\tanger\n")
    with pytest.raises(UserError, match=r"no audio file labels\.\* is in .*name the recording with audio="):
        list(import_("audacity", track))
    (row,) = import_("audacity", track, audio="call.wav")
    assert row.path == str(call.with_suffix(".wav"))
    elsewhere = call.parent / "audio"
    elsewhere.mkdir()
    call.with_suffix(".wav").rename(elsewhere / "labels.wav")
    (row,) = import_("audacity", track, root=str(elsewhere))
    assert row.path == str(elsewhere / "labels.wav")
    soundfile.write(elsewhere / "labels.flac", np.zeros(80), 8000)
    with pytest.raises(UserError, match=r"labels\.flac and labels\.wav are in"):
        list(import_("audacity", track, root=str(elsewhere)))


def test_a_folder_of_tracks(call):
    call.write_text("0.5\t2.0\tanger\n")
    (call.parent / "README.txt").write_text("hello")
    inner = call.parent / "b" / "call.txt"
    inner.parent.mkdir()
    inner.write_text("0\t1\tfear\n")
    soundfile.write(inner.with_suffix(".wav"), np.zeros(8000), 8000)
    reading = import_("audacity", call.parent)
    assert [row.id for row in reading] == ["b/call@0", "call@0.5"]
    assert "text files without a recording of their name, left out: 1" in reading.intake.notes[0]
    with pytest.raises(UserError, match="give that file, not a folder"):
        list(import_("audacity", call.parent, audio="call.wav"))
