"""A folder of a person's own recordings: what its names tell, what is left out, and that nothing goes unsaid."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile

from emobridge.corpora import audio_files, scan, utterances_at
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError


@pytest.fixture
def make(tmp_path):
    """A function that makes a folder `calls` of recordings of 10 ms; names that end in "2.wav" are stereo."""

    def make(*names):
        for name in names:
            path = tmp_path / "calls" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (160, 2) if name.endswith("2.wav") else 160
            soundfile.write(path, np.full(shape, 0.1), 16000)
        return tmp_path / "calls"

    return make


def read(root, **options):
    """The utterances by path within the root, and the lines that are printed."""
    reading = scan("folder", root, **options)
    rows = {row.id.removeprefix("calls/"): row for row in reading}
    return rows, reading.lines()


def labels(root, **options):
    return [row.emotion for row in read(root, **options)[0].values()]


def test_without_labels_and_speakers_both_are_said(make):
    root = make("a.wav", "may/b.flac")
    rows, lines = read(root)
    assert {(row.corpus, row.emotion, row.speaker, row.split, row.channel, row.language) for row in rows.values()} == {
        ("calls", None, None, None, None, "und")
    }
    assert [row.path for row in rows.values()] == [str(root / "a.wav"), str(root / "may/b.flac")]
    assert lines[0] == "2 utterances; 0 labelled, 0 speakers, language not known"
    assert lines[1] == "unlabelled: no folder is named like an emotion"
    assert lines[2].startswith("the speakers of 2 of 2 utterances are not known: this costs about 5 points of UA")
    assert "--speaker folder" in lines[2] and "--option language=de" in lines[3]
    write_manifest(root.parent / "m.jsonl", rows.values())
    assert list(read_manifest(root.parent / "m.jsonl")) == list(rows.values())


def test_what_is_told_is_not_asked_for(make):
    _, lines = read(make("a.wav"), speaker="file", language="de")
    assert lines == ["1 utterance; 0 labelled, 1 speaker, 1 language", "unlabelled: no folder is named like an emotion"]


@pytest.mark.parametrize("folders", [("anger", "sadness"), ("wut", "neutral"), ("Angry", "SAD"), ("joy", "anger")])
def test_class_folders_are_labels(make, folders):
    rows, lines = read(make(*(f"{folder}/{take}.wav" for folder in folders for take in "ab")))
    assert all(row.emotion for row in rows.values())
    assert lines[1].startswith("labels from folder names: ") and lines[1].endswith(" 2")


def test_labels_are_counted(make):
    _, lines = read(make("anger/a.wav", "sad/b.wav", "sadness/c.wav", "unlabelled/d.wav"))
    assert lines[1] == "labels from folder names: anger 1, sadness 2, unlabelled 1"


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("happy customers/a.wav", "angry customers/b.wav"), "no folder is named like an emotion"),
        (("Joy/a.wav", "Anna/b.wav"), r"named like emotions \(Joy 1\), but not 'Anna'"),
        (("Joy/a.wav", "Ira/b.wav"), "by chance"),
        (("Onni/a.wav", "RABIA/b.wav"), "by chance"),
        (("anger/a.wav",), "by chance"),
        (("other/a.wav", "normal/b.wav"), "by chance"),
        (("other/a.wav", "Joy/b.wav"), "by chance"),
        (("anger/a.wav", "sadness/b.wav", "may/c.wav"), r"\(anger 1, sadness 1\), but not 'may'"),
        (("anger/a.wav", "sadness/b.wav", "c.wav"), r"\(anger 1, sadness 1\), but not files in no folder"),
        (("anger/anna/a.wav", "sadness/ben/b.wav"), r"\(anger 1, sadness 1\), but it is not they that hold the files"),
    ],
)
def test_nothing_is_labelled_by_accident(make, names, why):
    reading = scan("folder", make(*names))
    assert {row.emotion for row in reading} == {None}
    with pytest.raises(AssertionError, match=f"unlabelled: .*{why}"):
        raise AssertionError(reading.lines()[1])
    if "no folder" not in why or "files in" in why:
        assert "--option labels_from=folder" in reading.lines()[1]


def test_labels_from_folder_names_on_demand(make):
    assert labels(make("Joy/a.wav", "Ira/b.wav"), labels_from="folder") == ["anger", "happiness"]


@pytest.mark.parametrize("order", ["{emotion}/{person}", "{person}/{emotion}"])
def test_folders_above_may_be_the_labels(make, order):
    """A person called Joy is not taken for an emotion where the others are people too."""
    pairs = (("anger", "Joy"), ("sadness", "Peter"))
    root = make(*(f"{order.format(emotion=emotion, person=person)}/a.wav" for emotion, person in pairs))
    rows, _ = read(root, labels_from="folder", speaker="folder")
    assert {(row.emotion, row.speaker) for row in rows.values()} == {("anger", "Joy"), ("sadness", "Peter")}


def test_class_folders_can_be_left_alone(make):
    root = make("anger/a.wav", "sadness/b.wav")
    rows, lines = read(root, labels_from="none", speaker="folder")
    assert {(row.emotion, row.speaker) for row in rows.values()} == {(None, "anger"), (None, "sadness")}
    assert "labels_from=none" in lines[1]
    with pytest.raises(UserError, match="did you mean 'folder'"):
        list(scan("folder", root, labels_from="folders"))


def test_names_of_ones_own_are_explained_by_labels(make):
    root = make("W/a.wav", "T/b.wav", "misc/c.wav")
    with pytest.raises(UserError, match="misc"):
        list(scan("folder", root, labels="W=anger,T=sadness"))
    assert sorted(labels(root, labels="W=anger,T=sadness", others="drop")) == ["anger", "sadness"]
    assert sorted(labels(root, labels="W=anger,T=sadness", others="other")) == ["anger", "other", "sadness"]


def test_the_language_decides_what_a_folder_means(make):
    """`content` is happy in French, and an emotion that emobridge lacks in English."""
    root = make("content/a.wav", "triste/b.wav")
    assert labels(root, language="fr") == ["happiness", "sadness"]
    assert labels(root) == [None, None]


def test_split_folders(make):
    root = make("train/anger/a.wav", "train/sadness/b.wav", "Dev/anger/c.wav", "test/sadness/d.wav")
    rows, lines = read(root)
    assert {name: (row.split, row.emotion) for name, row in rows.items()} == {
        "train/anger/a.wav": ("train", "anger"),
        "train/sadness/b.wav": ("train", "sadness"),
        "Dev/anger/c.wav": ("validation", "anger"),
        "test/sadness/d.wav": ("test", "sadness"),
    }
    assert "splits from folder names: test 1, train 2, validation 1" in lines


@pytest.mark.parametrize(
    ("folders", "splits"),
    [(("train", "eval"), {"train", "test"}), (("train", "eval", "test"), {"train", "validation", "test"})],
)
def test_eval_is_what_is_lacking(make, folders, splits):
    rows, _ = read(make(*(f"{folder}/a.wav" for folder in folders)))
    assert {row.split for row in rows.values()} == splits


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("test/a.wav", "may/b.wav"), "no splits: folders are named like test 1, but may/b.wav lies in none"),
        (("test/a.wav", "test/b.wav"), "no splits: folders are named like test 2, but all audio lies in the same"),
    ],
)
def test_a_folder_called_test_alone_is_no_split(make, names, why):
    rows, lines = read(make(*names))
    assert {row.split for row in rows.values()} == {None} and why in lines


@pytest.mark.parametrize(
    ("rule", "speakers"),
    [
        ("file", ["anna/may/S01_1", "ben/may/S02_1", "ben/may/S02_3"]),
        ("folder", ["anna/may", "ben/may", "ben/may"]),
        ("{speaker}/{}/{}", ["anna", "ben", "ben"]),
        ("{speaker}/may/{}", ["anna", "ben", "ben"]),
        ("{speaker}_{}", ["S01", "S02", "S02"]),
        ("{}_{speaker}", ["1", "1", "3"]),
        ("S0{speaker}_{}", ["1", "2", "2"]),
    ],
)
def test_who_speaks(make, rule, speakers):
    root = make("anna/may/S01_1.wav", "ben/may/S02_1.wav", "ben/may/S02_3.wav")
    rows, lines = read(root, speaker=rule, language="de")
    assert [row.speaker for row in rows.values()] == speakers
    assert lines == [
        f"3 utterances; 0 labelled, {len(set(speakers))} speakers, 1 language",
        "unlabelled: no folder is named like an emotion",
    ]


def test_split_and_class_folders_are_no_speakers(make):
    rows, _ = read(make("train/anna/anger/a.wav", "test/ben/sadness/b.wav"), speaker="folder")
    assert [(row.speaker, row.emotion, row.split) for row in rows.values()] == [
        ("ben", "sadness", "test"),
        ("anna", "anger", "train"),
    ]


def test_files_that_a_pattern_does_not_fit_are_named(make):
    rows, lines = read(make("a.wav", "S1_b.wav"), speaker="{speaker}_{}")
    assert [row.speaker for row in rows.values()] == ["S1", None]
    assert "speaker={speaker}_{} finds no speaker in 1 file (a.wav)" in lines
    assert any(line.startswith("the speakers of 1 of 2 utterances are not known") for line in lines)


def test_folders_within_a_speakers_folder_are_told(make):
    """anna/may and anna/june are two speakers by the rule, and one to who made them."""
    root = make("anna/may/a.wav", "anna/june/a.wav", "ben/may/a.wav")
    rows, lines = read(root, speaker="folder")
    assert {row.speaker for row in rows.values()} == {"anna/may", "anna/june", "ben/may"}
    (line,) = [line for line in lines if line.startswith("each folder with recordings is a speaker")]
    assert line.endswith("such as 'anna/june' and 'anna/may'; if both are 'anna': --speaker '{speaker}/{}/{}'")
    rows, lines = read(root, speaker="{speaker}/{}/{}")
    assert {row.speaker for row in rows.values()} == {"anna", "ben"}
    assert not [line for line in lines if line.startswith("each folder")]


@pytest.mark.parametrize("names", [("anna/a.wav", "ben/a.wav"), ("x/anna/a.wav", "y/anna/a.wav"), ("anna/a.wav",)])
def test_speakers_with_a_folder_each_need_no_line(make, names):
    _, lines = read(make(*names), speaker="folder")
    assert not [line for line in lines if line.startswith("each folder")]


@pytest.mark.parametrize("rule", ["{speaker}_{}", "folder"])
def test_a_rule_that_fits_no_path_shows_three(make, rule):
    with pytest.raises(UserError) as error:
        list(scan("folder", make("a.wav", "b.wav", "c.wav", "d.wav"), speaker=rule))
    assert f"speaker={rule} finds no speaker in 4 files (a.wav, b.wav, c.wav and 1 more)" in str(error.value)


def test_class_folders_alone_hold_no_speakers(make):
    with pytest.raises(UserError, match="a folder that names an emotion is no speaker"):
        list(scan("folder", make("anger/a.wav", "sadness/b.wav"), speaker="folder"))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("fodler", "did you mean 'folder'"),
        ("{}_{}", r"'\{speaker\}_\{\}'"),
        ("{speaker}_{speaker}", r"with \{speaker\} once"),
        ("{speeker}_{}", r"has \{speeker\}; expected \{speaker\}"),
    ],
)
def test_a_mistaken_rule_is_told_before_anything_is_read(tmp_path, rule, message):
    with pytest.raises(UserError, match=message):
        list(scan("folder", tmp_path / "absent", speaker=rule))


def test_each_channel_may_be_a_speaker(make):
    rows, lines = read(make("call2.wav", "mono.wav"), speaker="channel")
    assert {name: (row.channel, row.speaker) for name, row in rows.items()} == {
        "call2.wav#0": (0, "call2#0"),
        "call2.wav#1": (1, "call2#1"),
        "mono.wav": (None, "mono"),
    }
    assert lines[0].startswith("3 utterances; 0 labelled, 3 speakers")
    assert not any("channels" in line for line in lines)


def test_mixed_channels_are_said(make):
    rows, lines = read(make("call2.wav", "mono.wav"), speaker="file")
    assert [row.channel for row in rows.values()] == [None, None]
    assert "channels mixed into one (--speaker channel keeps them apart): 1 file (call2.wav)" in lines


def test_what_is_left_out_is_counted_and_named(make):
    root = make("good.wav")
    for name in ("a.txt", "b.pdf", "c.csv", "d"):
        (root / name).write_text("no audio")
    (root / "empty.wav").touch()
    (root / "text.wav").write_text("no audio")
    (root / ".hidden.wav").touch()
    rows, lines = read(root)
    assert list(rows) == ["good.wav"]
    assert "left out as no audio: 4 files (a.txt, b.pdf, c.csv and 1 more)" in lines
    (unreadable,) = (line for line in lines if line.startswith("left out as unreadable: 2 files"))
    assert "empty.wav: is empty (0 bytes)" in unreadable and "text.wav: cannot be read as audio" in unreadable


@pytest.mark.parametrize("name", [b"latin-\xe9.wav", b"line\nbreak.wav"])
def test_a_bad_name_does_not_lose_the_folder(make, name):
    root = make("good.wav")
    source = os.path.join(os.fsencode(root), b"good.wav")
    try:
        os.link(source, os.path.join(os.fsencode(root), name))
    except OSError:
        pytest.skip("this file system takes no such name")
    rows, lines = read(root)
    assert list(rows) == ["good.wav"]
    assert any(line.startswith("left out as unreadable: 1 file (") and line.isprintable() for line in lines)
    write_manifest(root.parent / "m.jsonl", rows.values())


def test_a_folder_that_cannot_be_entered_is_named(make, monkeypatch):
    """As if it were another user's; whoever runs the tests may be allowed everything."""
    root = make("anna/a.wav", "ben/b.wav")
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "ben":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    rows, lines = read(root)
    assert list(rows) == ["anna/a.wav"]
    assert "left out as unreadable: 1 file (ben: Permission denied)" in lines
    with pytest.raises(UserError, match="ben: cannot be read"):
        list(audio_files(root))


def test_folders_without_readable_audio(make):
    root = make("a.wav")
    (root / "a.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"no audio file can be read; the first: a\.wav: is empty"):
        list(scan("folder", root))
    (root / "a.wav").unlink()
    with pytest.raises(UserError, match="calls: no audio file here or below"):
        list(scan("folder", root))


def test_a_path_of_speech_is_a_manifest_or_a_folder(make, tmp_path):
    root = make("a.wav", "b.wav")
    notes = []
    rows = list(utterances_at(root, notes.append))
    assert [row.id for row in rows] == ["calls/a.wav", "calls/b.wav"]
    assert notes[0] == f"{root}: 2 utterances; 0 labelled, 0 speakers, language not known"
    write_manifest(tmp_path / "m.jsonl", rows)
    notes.clear()
    assert list(utterances_at(tmp_path / "m.jsonl", notes.append)) == rows and not notes
    with pytest.raises(UserError, match=r"a\.wav: is an audio file; expected a manifest, or a folder"):
        list(utterances_at(root / "a.wav"))
