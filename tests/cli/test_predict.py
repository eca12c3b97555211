"""The options of `predict` reach the answers; speech is looked for in earnest here."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from emobridge.types import SAMPLE_RATE


def rows_of(done) -> list[dict]:
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.fixture
def sounds(tmp_path):
    """A folder of what is no speech."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(time))
    tone = 0.3 * np.sin(2 * np.pi * 440 * time)
    for name, wave in (("noise", noise), ("silence", 0 * noise), ("tone", tone), ("two", np.stack([tone, -tone], 1))):
        soundfile.write(folder / f"{name}.wav", wave, SAMPLE_RATE)
    return folder


@pytest.mark.parametrize("segments", ["auto", "speech", "windows", "whole"])
def test_what_is_no_speech_has_no_label_in_any_way(sounds, finished, cli, segments):
    done = cli("predict", finished / "bundle", sounds, "--segments", segments, "--window", 1)
    rows = rows_of(done)
    assert len(rows) == (12 if segments == "windows" else 4)
    assert {(row["label"], row["reason"]) for row in rows} == {(None, "no speech")}
    assert all(row["id"] == f"sounds/{row['path'].rpartition('/')[2]}" for row in rows)
    (note,) = done.complaints
    assert note.startswith("note: the channels of 1 file differ") and "two.wav" in note and "--channels each" in note


def test_each_channel_is_a_row(sounds, finished, cli):
    done = cli("predict", finished / "bundle", sounds / "two.wav", "--channels", "each", "--detector", "energy")
    assert [row["channel"] for row in rows_of(done)] == [0, 1] and not done.complaints
    done = cli("predict", finished / "bundle", sounds / "two.wav", "--speakers", "channel")
    assert [row["channel"] for row in rows_of(done)] == [0, 1]


def test_labels_and_statistics_reach_the_rows(recorded, finished, cli):
    words = ("predict", finished / "bundle", recorded / "xx.jsonl")
    assert {row["statistics"] for row in rows_of(cli(*words))} == {"speaker (4 utterances)"}
    stored = rows_of(cli(*words, "--statistics", "stored", "--labels", "Sadness,anger"))
    assert {row["statistics"] for row in stored} == {"corpus"}
    done = cli(*words, "--labels", "sadness")
    assert done.code == 2 and "labels: expected two or more, got sadness" in done.err
    unsure = rows_of(cli(*words, "--abstain-below", "1"))
    assert {row["label"] for row in unsure} == {None} and all("is below 1" in row["reason"] for row in unsure)


@pytest.mark.parametrize("language", ["de", "German", "deu"])
def test_a_language_without_a_head_is_refused(recorded, finished, cli, language):
    done = cli("predict", finished / "bundle", recorded / "xx-a-anger-0.wav", "--language", language)
    assert done.code == 2 and f"language {language!r}: not one of this recogniser's (xh, en)" in done.err


def test_the_cases_of_channels(shared, finished, cli):
    folder = shared / "cases" / "11-channels"
    if not folder.is_dir():
        pytest.skip("no cases")
    done = cli("predict", finished / "bundle", folder)
    by_name = {row["id"].rpartition("/")[2]: row for row in rows_of(done)}
    assert by_name["call.wav"]["label"] is not None
    reasons = {name: row["reason"] for name, row in by_name.items() if row["label"] is None}
    assert reasons == {"inverted.wav": "no speech", "zeros.wav": "no speech", "t10ms.wav": "too short"}
    assert done.complaints[0].startswith("note: the channels of 2 files differ and were mixed into one")
    each = rows_of(cli("predict", finished / "bundle", folder / "inverted.wav", "--channels", "each"))
    assert [row["channel"] for row in each] == [0, 1] and each[0]["probabilities"] == each[1]["probabilities"]
