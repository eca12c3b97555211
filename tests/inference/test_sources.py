"""What is read for `predict`: manifests, tables, folders and files, in one way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.inference.sources import by_channel, utterances_of
from emobridge.settings import Answering
from emobridge.types import Utterance

SILENCE = np.zeros((1600, 1))


@pytest.fixture
def calls(tmp_path) -> Path:
    """A folder of calls: mono and stereo, at several depths, with a hidden file and one that is no audio."""
    for name, channels in (("anna/S01_a.wav", 1), ("anna/S02_b.wav", 2), ("ben/may/S01_c.wav", 2), (".hidden.wav", 1)):
        path = tmp_path / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.repeat(SILENCE, channels, 1), 16000)
    (tmp_path / "calls" / "bad.wav").write_text("none")
    (tmp_path / "calls" / "notes.txt").write_text("none")
    return tmp_path / "calls"


def test_a_folder_is_named_as_by_scan_and_bad_files_are_there(calls):
    rows = list(utterances_of([calls]))
    assert [row.id for row in rows] == [
        f"calls/{name}" for name in ("bad.wav", "anna/S01_a.wav", "anna/S02_b.wav", "ben/may/S01_c.wav")
    ]
    scanned = {row.id: row for row in scan("folder", calls)}
    for row in rows[1:]:
        assert (row.corpus, Path(row.path)) == (scanned[row.id].corpus, Path(scanned[row.id].path))
        assert (row.start, row.end, row.speaker, row.emotion) == (0.0, None, None, None)


@pytest.mark.parametrize("rule", ["file", "folder", "channel", "{speaker}_{}"])
def test_speakers_are_those_of_scan(calls, rule):
    (calls / "bad.wav").unlink()
    scanned = {row.id: row for row in scan("folder", calls, speaker=rule)}
    rows = list(utterances_of([calls], speakers=rule))
    if rule != "channel":
        assert [row.speaker for row in rows] == [row.speaker for row in scanned.values()]
        return
    assert [(row.id, row.channel) for row in rows] == [
        ("calls/anna/S01_a.wav", 0),
        ("calls/anna/S02_b.wav", 0),
        ("calls/anna/S02_b.wav", 1),
        ("calls/ben/may/S01_c.wav", 0),
        ("calls/ben/may/S01_c.wav", 1),
    ]
    assert [row.speaker for row in rows] == [row.speaker for row in scanned.values()]


def test_channels_are_speakers_where_files_are(calls):
    path = calls / "anna" / "S02_b.wav"
    for speakers, apart in (("file", True), ("one", False), ("folder", False), ("unknown", False)):
        rows = list(utterances_of([path], speakers=speakers, channels="each"))
        assert [row.channel for row in rows] == [0, 1] and (len({row.speaker for row in rows}) == 2) == apart
    assert [row.channel for row in utterances_of([path], channels="1")] == [1]
    assert [row.channel for row in utterances_of([path])] == [None]


def test_a_row_with_a_channel_keeps_it(calls):
    path = str(calls / "anna" / "S02_b.wav")
    row = Utterance("a", "c", path, channel=1, speaker="s")
    assert by_channel(row, Answering(channels="each"), own_speakers=True) == [row]
    bad = Utterance("a", "c", str(calls / "bad.wav"))
    assert by_channel(bad, Answering(channels="each")) == [bad]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("files", "did you mean 'file'"),
        ("{speker}_{}", "expected {speaker} once"),
        ("{speaker}#{}", "finds no speaker"),
    ],
)
def test_a_rule_that_is_none(calls, rule, message):
    for path in (calls, calls / "anna" / "S01_a.wav"):
        with pytest.raises(UserError, match=message):
            list(utterances_of([path], speakers=rule))


def test_a_folder_without_audio(tmp_path):
    with pytest.raises(UserError, match="no audio file here or below"):
        list(utterances_of([tmp_path]))


def test_speakers_and_languages_of_plain_files(recorded):
    files = [recorded / "en-a-anger-0.wav", recorded / "en-b-anger-0.wav"]
    stems = {str(file.with_suffix("")) for file in files}
    for choice, names in (("unknown", {None}), ("file", stems), ("one", {"one"})):
        found = list(utterances_of(files, speakers=choice, language="it"))
        assert {one.speaker for one in found} == names
        assert {one.language for one in found} == {"it"}
    assert {one.language for one in utterances_of(files)} == {"und"}


def test_manifests_files_and_folders_together_in_the_order_given(recorded, tmp_path):
    (tmp_path / "folder").mkdir()
    soundfile.write(tmp_path / "folder" / "z.wav", SILENCE, 16000)
    found = list(utterances_of([tmp_path / "folder", recorded / "xx.jsonl", recorded / "en-a-anger-0.wav"]))
    assert found[0].id == "folder/z.wav"
    assert found[1:-1] == list(read_manifest(recorded / "xx.jsonl"))
    assert found[-1].id == str(recorded / "en-a-anger-0.wav")


def test_a_table_is_read_without_its_labels_and_the_case_of_a_suffix_is_nothing(recorded, tmp_path):
    table = tmp_path / "calls.CSV"
    table.write_text("File;Label;offset;duration;lang\na.wav;grmpf;0,5;1,5;\nb.wav;;;;it\n")
    notes = []
    rows = list(utterances_of([table], language="de", on_note=notes.append))
    assert [(row.id, row.emotion, row.start, row.end, row.language) for row in rows] == [
        ("a@0.5", None, 0.5, 2.0, "de"),
        ("b", None, 0.0, None, "it"),
    ]
    assert any("semicolons between columns, decimal commas" in note for note in notes)
    manifest = recorded / "copy.JSONL"
    manifest.write_bytes((recorded / "xx.jsonl").read_bytes())
    assert list(utterances_of([manifest])) == list(read_manifest(recorded / "xx.jsonl"))
    manifest.unlink()
