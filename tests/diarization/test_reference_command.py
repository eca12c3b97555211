"""`diarize --reference`: scores beside what people marked, printed and written; mistakes are told before the work."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import soundfile

from emobridge.phones.textgrid import INTERVALS, Tier, textgrid_text
from emobridge.scores.files import read_scores
from emobridge.types import SAMPLE_RATE

RTTM = "SPEAKER call-0 1 1.0 2.0 <NA> <NA> anger <NA> <NA>\nSPEAKER call-1 1 1.0 2.0 <NA> <NA> sad <NA> <NA>\n"


@pytest.fixture
def folder(tmp_path, finished, all_speech):
    (tmp_path / "model").symlink_to(finished / "bundle")
    for number in range(2):
        noise = 0.1 * np.random.default_rng(number).standard_normal((4 * SAMPLE_RATE, 2))
        soundfile.write(tmp_path / f"call-{number}.wav", noise, SAMPLE_RATE)
    (tmp_path / "ref.rttm").write_text(RTTM)
    return tmp_path


def run(cli, folder, *words):
    return cli("diarize", folder / "model", folder / "call-0.wav", folder / "call-1.wav", *words)


def test_scores_are_printed_and_written(cli, folder):
    done = run(cli, folder, "--out", folder / "out.jsonl", "--reference", folder / "ref.rttm", "--collar", "0.25",
               "--scores", folder / "scores.json")  # fmt: skip
    assert done.code == 0, done.err
    assert "EDER, %" in done.out and "all, pooled over time" in done.out and "boundaries:" in done.out
    rows = {row.measure: row for row in read_scores(folder / "scores.json") if row.seed == "all"}
    parts = [rows[f"EDER {part}"].value for part in ("missed", "false alarm", "overlap", "confusion")]
    assert rows["EDER"].value == pytest.approx(sum(parts)) and rows["EDER"].n == 2
    assert (rows["EDER"].run, rows["EDER"].method, rows["EDER"].target) == ("finished", "pseudo-labels", "ref")
    assert "EDER anger" in rows and "EDER pooled sadness missed" in rows
    # Scored by hand from the rows that were written: outside the collars 3 s remain of each of the two.
    wrong = []
    for number, emotion in enumerate(("anger", "sadness")):
        marked = [(0.0, 0.75, None), (1.25, 2.75, emotion), (3.25, 4.0, None)]
        answered = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
        own = [row for row in answered if row["path"].endswith(f"call-{number}.wav")]
        right = sum(
            max(0.0, min(end, row["end"]) - max(start, row["start"]))
            for start, end, label in marked
            for row in own
            if label == (None if row["label"] == "neutral" else row["label"])
        )
        wrong.append(1 - right / 3)
    assert rows["EDER"].value == pytest.approx(np.mean(wrong), abs=0.002)


def test_redacted_scores_are_the_same_numbers_without_names(cli, folder):
    (folder / "mrs-huber.rttm").write_text(RTTM)
    for name, words in (("plain", ()), ("redacted", ("--redact",))):
        done = run(cli, folder, "--reference", folder / "mrs-huber.rttm", "--scores", folder / f"{name}.json", *words)
        assert done.code == 0, done.err
    plain, redacted = (read_scores(folder / f"{name}.json") for name in ("plain", "redacted"))
    assert [(row.measure, row.value) for row in plain] == [(row.measure, row.value) for row in redacted]
    assert {(row.run, row.target) for row in redacted} == {("redacted", "reference")}
    assert "huber" not in (folder / "redacted.json").read_text()


def test_printed_rows_stay_apart_from_scores(cli, folder):
    done = run(cli, folder, "--reference", folder / "ref.rttm", "--scores", folder / "scores.csv")
    assert done.code == 0, done.err
    assert all(json.loads(line)["path"] for line in done.out.splitlines())
    assert "EDER, %" in done.err and "scores.csv" in done.err
    with (folder / "scores.csv").open() as file:
        assert {"EDER", "EDER pooled"} <= {row["measure"] for row in csv.DictReader(file)}


def test_what_was_written_is_its_own_reference(cli, folder):
    """Also by channel, and of a run that is scored a second time."""
    for channels, name in (("mix", "mix.rttm"), ("each", "each.jsonl"), ("each", "each.csv")):
        assert run(cli, folder, "--out", folder / name, "--channels", channels).code == 0
        done = run(cli, folder, "--out", folder / "again.jsonl", "--channels", channels, "--reference", folder / name,
                   "--scores", folder / "scores.json")  # fmt: skip
        assert done.code == 0, done.err
        row = next(row for row in read_scores(folder / "scores.json") if row.seed == "all")
        assert (row.measure, row.value, row.n) == ("EDER", pytest.approx(0, abs=1e-3), 2 if channels == "mix" else 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "ref.rttm"), "--out: .* is what is read, which it would replace"),
        (("--out", "o.csv", "--scores", "o.csv"), "--scores: .* is the file of --out"),
        (("--scores", "s.txt"), "unknown suffix '.txt'"),
    ],
)
def test_no_file_is_written_over_another(cli, folder, words, message):
    before = (folder / "ref.rttm").read_text()
    paths = (folder / word if "." in word else word for word in words)
    done = run(cli, folder, "--reference", folder / "ref.rttm", *paths)
    assert done.code == 2 and re.search(message, done.err), done.err
    assert (folder / "ref.rttm").read_text() == before and not (folder / "o.csv").exists()


def test_neutral_may_be_a_class_and_the_tier_is_named(cli, folder):
    tiers = [Tier(INTERVALS, name, [(0.0, 4.0, label)]) for name, label in (("words", "hello"), ("mood", "neutral"))]
    for number in range(2):
        (folder / f"call-{number}.TextGrid").write_text(textgrid_text(tiers, 4.0))
    words = ("--out", folder / "o.jsonl", "--reference", folder / "call-0.TextGrid", "--scores", folder / "s.json")
    done = run(cli, folder, *words)
    assert done.code == 2 and "which tier holds the emotions" in done.err
    values = {}
    for neutral in ("absence", "class"):
        assert run(cli, folder, *words, "--tier", "mood", "--neutral", neutral).code == 0
        values[neutral] = {row.measure: row.value for row in read_scores(folder / "s.json") if row.seed == "all"}
    assert values["absence"]["EDER"] == values["absence"]["EDER false alarm"] == 1.0
    assert values["class"]["EDER"] == values["class"]["EDER confusion"] == 1.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scores", "s.json"), "--scores: needs --reference"),
        (("--collar", "0.1"), "--collar: needs --reference"),
        (("--neutral", "class"), "--neutral: needs --reference"),
        (("--tier", "mood"), "--tier: needs --reference"),
        (("--reference", "REF", "--neutral", "clas"), "did you mean 'class'"),
        (("--reference", "absent.rttm"), r"absent.rttm: no such file"),
        (("--reference", "REF", "--collar", "-1"), "collar"),
        (("--reference", "REF", "--channels", "each"), "call-0 has the channels 0, 1, and its reference names none"),
    ],
)
def test_mistakes_are_a_line_before_the_work(cli, folder, words, message):
    words = [folder / "ref.rttm" if word == "REF" else word for word in words]
    done = run(cli, folder, "--out", folder / "out.jsonl", *words)
    assert done.code == 2 and message in done.err and "Traceback" not in done.err
    assert not (folder / "out.jsonl").exists()


def test_a_reference_of_other_recordings_is_told_before_the_work(cli, folder):
    (folder / "ref.rttm").write_text(RTTM.replace("call-", "cal-"))
    done = run(cli, folder, "--out", folder / "out.jsonl", "--reference", folder / "ref.rttm")
    assert done.code == 2 and "no reference for call-0, call-1; did you mean cal-0? (it has cal-0, cal-1)" in done.err
    assert not (folder / "out.jsonl").exists()


def test_speakers_of_a_manifest_make_intervals_over_speakers(cli, folder):
    rows = [{"id": str(n), "corpus": "c", "path": f"call-{n}.wav", "speaker": f"s{n}"} for n in range(2)]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = cli(
        "diarize", folder / "model", folder / "m.jsonl", "--out", folder / "o.csv", "--reference", folder / "ref.rttm"
    )
    assert done.code == 0 and "over speakers" in done.out
