import time

import numpy as np
import pytest
import soundfile

from emobridge.errors import UserError
from emobridge.formats import import_

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/Users/x/my%20call.wav" MIME_TYPE="audio/x-wav"
      RELATIVE_MEDIA_URL="./audio/my%20call.wav"/>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2000"/>
    <TIME_SLOT TIME_SLOT_ID="ts3"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="3500"/>
  </TIME_ORDER>
  <TIER TIER_ID="emotion@anna" PARTICIPANT="Anna K." LINGUISTIC_TYPE_REF="default-lt">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
      <ANNOTATION_VALUE>anger</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
      <ANNOTATION_VALUE>fear</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts4">
      <ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER TIER_ID="emotion-second" PARENT_REF="emotion@anna" LINGUISTIC_TYPE_REF="ref">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1">
      <ANNOTATION_VALUE>disgust</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER TIER_ID="words@bob" LINGUISTIC_TYPE_REF="default-lt"/>
</ANNOTATION_DOCUMENT>
"""
LINE = "emotion\t\t00:00:00.500\t0.5\t00:00:02.000\t2.0\t00:00:01.500\t1.5\tanger"


@pytest.fixture
def call(tmp_path):
    """A recording of four seconds in a folder below that of the annotations."""
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "my call.wav", np.zeros(32_000), 8000)
    return tmp_path / "call.eaf"


def test_an_eaf_names_times_speaker_and_recording(call):
    call.write_text(EAF)
    reading = import_("elan", call, tier="emotion@anna")
    (row,) = reading
    assert (row.id, row.start, row.end, row.emotion, row.speaker) == ("call@0.5", 0.5, 2.0, "anger", "Anna K.")
    assert row.path == str(call.parent / "audio" / "my call.wav")
    lines = reading.intake.notes
    assert f"annotations without a time of their own, left out: 1 (the first: {call}: emotion@anna a2)" in lines
    assert f"segments without a label, left out: 1 (the first: {call}: emotion@anna a3)" in lines
    assert f"tier 'words@bob', not read: 1 (the first: {call})" in lines


def test_an_annotation_of_an_annotation_has_its_time(call):
    call.write_text(EAF)
    rows = list(import_("elan", call))
    assert [(row.id, row.emotion, row.speaker) for row in rows] == [
        ("call@0.5", "anger", "Anna K."),
        ("call@0.5#2", "disgust", None),
    ]
    assert [row.speaker for row in import_("elan", call, speaker="tier")] == ["emotion@anna", "emotion-second"]


def test_the_recording_may_lie_elsewhere_and_begin_later(call, tmp_path):
    (call.parent / "audio" / "my call.wav").rename(tmp_path / "my call.wav")
    call.write_text(EAF.replace('MIME_TYPE="audio/x-wav"', 'TIME_ORIGIN="1000" MIME_TYPE="audio/x-wav"'))
    (row,) = import_("elan", call, tier="emotion@anna", root=str(tmp_path))
    assert (row.path, row.start, row.end) == (str(tmp_path / "my call.wav"), 1.5, 3.0)


def test_a_circle_of_annotations_ends(call):
    circle = EAF.replace('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a4"')
    call.write_text(circle)
    assert [row.emotion for row in import_("elan", call)] == ["anger"]


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        "emotion\t0.5\t2.0\tanger",
        "emotion\tanna\t500\t2000\t1500\tanger",
        "0,500\t2,000\tanger",
        "emotion\t\t00:00:00:12\t00:00:00.500\t00:00:02:00\t00:00:02.000\tanger",
        "Begin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\temotion\twords\n00:00:00.500\t00:00:02.000\tanger\thello",
    ],
)
def test_the_columns_of_the_text_export(call, line):
    file = call.with_name("my call.txt")
    file.write_text(line + "\n")
    (row,) = import_("elan", file, root=str(call.parent / "audio"))
    assert (row.start, row.end, row.emotion) == (0.5, 2.0, "anger")
    assert row.speaker == ("anna" if "anna" in line else None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("emotion\t\t0.5\t2.0\t1.0\tanger", "are no times; expected begin, end and perhaps duration"),
        ("emotion\t\t00:00:00:12\t00:00:02:00\tanger", "are no times"),
        ("emotion\t\tanger", r"my call\.txt:1: expected tier, participant"),
        ("emotion\t\t0.5\t9.5\tanger", r"my call\.txt:1: 'end' is 9\.5 s, after the end"),
    ],
)
def test_text_that_is_no_export(call, line, message):
    file = call.with_name("my call.txt")
    file.write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        list(import_("elan", file, root=str(call.parent / "audio")))


def test_entities_are_not_expanded(call):
    lines = ['<!ENTITY a0 "ha">'] + [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)]
    call.write_text(EAF.replace("<ANNOTATION_DOCUMENT", f"<!DOCTYPE x [{''.join(lines)}]>\n<ANNOTATION_DOCUMENT", 1))
    started = time.monotonic()
    with pytest.raises(UserError, match=r"call\.eaf: has a document type"):
        list(import_("elan", call))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a>", "not valid XML"),
        ("<a/>", "<a> where <ANNOTATION_DOCUMENT> is expected"),
        (EAF.replace('"500"', '"half"'), "'half' is no time"),
        (EAF.replace('"2000"', '"400"'), "expected more than 'start'"),
        (EAF.replace('"500"', f'"{"9" * 400}"'), "is no time"),
    ],
)
def test_what_is_no_eaf(call, text, message):
    call.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        list(import_("elan", call, tier="emotion@anna"))
    assert str(call) in str(error.value) and "\n" not in str(error.value)
