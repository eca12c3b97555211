"""Wherever a command takes a manifest of speech, a folder of recordings will do, and what it lacks is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from emobridge.data.manifest import read_manifest
from emobridge.settings import Adapt, from_mapping, read_mapping


@pytest.fixture
def folders(recorded):
    """`recorded` as two folders: SPEAKER/EMOTION/FILE of the source, SPEAKER/FILE of the target."""
    for corpus, inside in (("en", "{0.speaker}/{0.emotion}"), ("xx", "{0.speaker}")):
        for row in read_manifest(recorded / f"{corpus}.jsonl"):
            folder = recorded / corpus / inside.format(row)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(row.path, folder / Path(row.path).name)
    return recorded


def test_adapt_takes_a_folder_and_says_what_unknown_speakers_cost(cli, folders):
    ran = cli("scan", "folder", folders / "en", "-o", folders / "en.jsonl", "--speaker", "folder")
    assert ran.code == 0 and "labels from folder names: anger 8, sadness 8" in ran.out
    out = folders / "run"
    short = ("--seeds", 1, "--epochs", 2, "--folds", 2)
    ran = cli("adapt", "--source", folders / "en.jsonl", "--target", folders / "xx", "--out", out, *short)
    assert ran.code == 0, ran.err
    notes = [line for line in ran.complaints if line.startswith("note: ")]
    assert notes[0] == f"note: {folders / 'xx'}: 16 utterances; 0 labelled, 0 speakers, language not known"
    assert sum("about 5 points of UA" in note for note in notes) == 1
    assert from_mapping(read_mapping(out / "settings.toml"), "settings", Adapt).data.target == str(folders / "xx")
    again = cli("adapt", "--settings", out / "settings.toml")
    assert again.code == 0, again.err
    ran = cli("predict", out / "bundle", folders / "xx")
    assert ran.code == 0 and len(ran.out.splitlines()) == 16
    ran = cli("evaluate", out / "bundle", "--on", folders / "en", "--out", folders / "scores.json")
    assert ran.code == 0 and "UA " in ran.out and "labels from folder names" in ran.err
    ran = cli("suggest", out / "bundle", "--on", folders / "xx", "--count", 2, "--out", folders / "list.csv")
    assert ran.code == 0, ran.err


def test_a_manifest_without_speakers_says_what_it_costs_too(cli, folders):
    cli("scan", "folder", folders / "en", "-o", folders / "en.jsonl", "--speaker", "folder")
    cli("scan", "folder", folders / "xx", "-o", folders / "xx.jsonl")
    ran = cli(
        *("adapt", "--source", folders / "en.jsonl", "--target", folders / "xx.jsonl", "--out", folders / "run"),
        *("--seeds", 1, "--epochs", 1, "--folds", 2),
    )
    assert ran.code == 0, ran.err
    (note,) = (line for line in ran.complaints if line.startswith("note: "))
    assert f"{folders / 'xx.jsonl'}: the speakers of 16 of 16 utterances are not known: this costs about 5" in note


def test_a_labelled_folder_without_speakers_names_the_way_out(cli, folders):
    ran = cli("adapt", "--source", folders / "en", "--target", folders / "xx", "--out", folders / "run")
    assert ran.code == 2
    assert (
        "emobridge scan folder DIR --speaker folder" in ran.complaints[-1] and "--share-speakers" in ran.complaints[-1]
    )


def test_audit_and_export_take_a_folder(cli, folders):
    ran = cli("audit", folders / "en", "--out", folders / "audit")
    assert ran.code == 0 and "16 utterances" in ran.out and "labels from folder names" in ran.err
    ran = cli("export", "plain-csv", folders / "en", folders / "en.csv")
    assert ran.code == 0 and "16 utterances" in ran.out


def test_a_folder_without_audio_is_one_line(cli, recorded, tmp_path):
    (tmp_path / "empty").mkdir()
    ran = cli("adapt", "--source", recorded / "en.jsonl", "--target", tmp_path / "empty", "--out", tmp_path / "run")
    assert ran.code == 2 and "empty: no audio file here or below" in ran.complaints[-1]


def test_speaker_is_an_option_of_scan_and_of_corpora_that_have_it(cli, folders, tmp_path):
    out = tmp_path / "m.jsonl"
    ran = cli("scan", "folder", folders / "xx", "-o", out, "--speaker", "{speaker}-{}-{}", "--option", "language=xh")
    assert ran.code == 0 and "16 utterances; 0 labelled, 1 speaker, 1 language" in ran.out
    ran = cli("scan", "emovo", folders / "xx", "-o", out, "--speaker", "folder")
    assert ran.code == 2 and "takes no options, but got 'speaker'" in ran.complaints[-1]
