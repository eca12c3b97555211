"""What users get wrong: exit code 2 and one line that names it, or a counted skip; and nothing is lost by it."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import math
import re
import shutil
import sys

import numpy as np
import pytest
import soundfile

from emobridge import files
from emobridge.errors import UserError

QUICK = ("--seeds", "1", "--folds", "2", "--epochs", "2")
SOFT = ("--method", "soft-pseudo-labels")  # a method that is trained by gradients
TONE = (0.1 * np.sin(np.arange(4800) / 8)).astype(np.float32)


def adapt(folder, *more):
    words = ("adapt", "--source", folder / "en.jsonl", "--target", folder / "xx.jsonl", *QUICK)
    return (*words, "--out", folder / "run", *more)


def refused(done, *words):
    """One line on standard error with all of `words`, exit code 2, no traceback."""
    assert done.code == 2, (done.code, done.out, done.err)
    assert len(done.complaints) == 1, done.err
    (line,) = done.complaints
    assert line.startswith("emobridge: ")
    for word in words:
        assert word in line, f"{word!r} is not in {line!r}"


def edit(path, change):
    """Rewrite a manifest: `change` gets its rows and changes them, or gives others back."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = change(rows) or rows
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def each(**values):
    def change(rows):
        for row in rows:
            row.update(values)
            for key in [key for key, value in row.items() if value is None]:
                del row[key]

    return change


def write_bad(folder):
    """Every kind of bad file in a folder; reasons by name."""
    soundfile.write(folder / "whole.wav", TONE, 16000)
    whole = (folder / "whole.wav").read_bytes()
    (folder / "whole.wav").unlink()
    (folder / "bad-empty.wav").write_bytes(b"")
    (folder / "bad-short.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "bad-header.wav").write_bytes(whole[:20])
    (folder / "bad-text.wav").write_text("no audio at all\n" * 9)
    soundfile.write(folder / "bad-nothing.wav", np.zeros(0), 16000)
    nan = np.where(np.arange(4800) == 7, np.nan, TONE)
    soundfile.write(folder / "bad-nan.wav", nan, 16000, subtype="FLOAT")
    return {
        "bad-empty": "is empty (0 bytes)",
        "bad-short": "is cut short",
        "bad-header": "cannot be read as audio",
        "bad-text": "cannot be read as audio",
        "bad-nothing": "holds no samples",
        "bad-nan": "not finite",
    }


def write_odd(folder):
    """Audio that is strange and can be used."""
    soundfile.write(folder / "odd-silent.wav", np.zeros(4800), 16000)
    soundfile.write(folder / "odd-one.wav", np.array([0.1]), 16000)
    soundfile.write(folder / "odd-eight.wav", np.stack([TONE] * 8, axis=1), 44100)
    return ("odd-silent", "odd-one", "odd-eight")


def with_bad_rows(folder, manifest="xx.jsonl"):
    """The bad and odd files, one that is missing and a folder, as rows of a manifest; the reasons of the bad ones."""
    bad = write_bad(folder)
    odd = write_odd(folder)
    (folder / "bad-folder.wav").mkdir()
    bad |= {"bad-folder": "irectory", "bad-missing": "No such file"}

    def change(rows):
        for name in (*bad, *odd):
            rows.append({**rows[0], "id": name, "path": f"{name}.wav", "emotion": "anger"})

    edit(folder / manifest, change)
    return bad


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--metod", "x"), ("--metod", "--method")),
        (("--seeds", "many"), ("--seeds", "integer")),
        (("--method", "pseudo-label"), ("'pseudo-label'", "did you mean 'pseudo-labels'?")),
        (("--encoder", "logmell"), ("'logmell'", "did you mean 'logmel'?")),
        (("--encoder", "/nowhere/whisper"), ("/nowhere/whisper", "no such folder")),
        (("--encoder", "."), (".: holds no weights",)),
        (("--head", "linaer"), ("'linaer'", "did you mean 'linear'?")),
        ((*SOFT, "--method-option", "thresold=0.5"), ("'thresold'", "did you mean 'threshold'?")),
        ((*SOFT, "--method-option", "threshold=2"), ("threshold: expected 0 <= threshold < 1, got 2",)),
        ((*SOFT, "--method-option", "threshold=high"), ("threshold: expected a number, got 'high'",)),
        (("--method-option", "threshold"), ("'threshold'", "NAME=VALUE")),
        ((*SOFT, "--head-option", "drop=0.5"), ("'drop'", "did you mean 'input_dropout'?")),
        (("--encoder-option", "padding=full"), ("logmel takes no options", "'padding'")),
        (("--statistic", "men"), ("'men'", "did you mean 'mean'?")),
        (("--layer", "99"), ("'99'", "one of 0, all, auto, middle")),
        (("--target-labels", "100000"), ("100000", "expected 0 to 8")),
        (("--target-labels", "few"), ("target_labels", "a number or 'all'")),
        (("--normalise", "speker"), ("'speker'", "did you mean 'speaker'?")),
        (("--align", "corral"), ("'corral'", "did you mean 'coral'?")),
        (("--train", "frosen"), ("'frosen'", "did you mean 'frozen'?")),
        (("--pool", "close"), ("'close'", "did you mean 'closed'?")),
        (("--folds", "1"), ("folds: expected 2 or more",)),
        (("--seeds", "0"), ("seeds: expected 1 or more",)),
        (("--epochs", "0"), ("epochs: expected 1 or more",)),
        (("--learning-rate", "nan"), ("learning_rate: expected a number above 0",)),
        (("--labels", "anger,sadnes"), ("'sadnes'", "did you mean 'sadness'?")),
        (("--labels", "anger"), ("two or more",)),
        (("--labels", "anger,angry"), ("anger,angry", "twice")),
        (("--labels", "anger,fear"), ("'fear'",)),
        (("--train", "end-to-end"), ("--align none",)),
        (("--adapters", "lora"), ("--adapters: does nothing here", "give --train adapters, or a method such as lora")),
        (("--adapter-option", "r=8"), ("--adapter-option: does nothing here", "give --train adapters")),
        (
            ("--method", "lora", "--blocks", "1"),
            ("--blocks: does nothing here", "give --train end-to-end", "such as fine-tuned"),
        ),
        (
            ("--method", "auto", "--seeds", "2", "--encoder-rate", "1e-5"),
            ("--encoder-rate: does nothing here", "give --train end-to-end"),
        ),
        (("--checkpointing",), ("--checkpointing: does nothing here", "no encoder is trained")),
        (("--no-checkpointing",), ("--no-checkpointing: does nothing here",)),
        (("--accumulate", "4"), ("--accumulate: does nothing here", "no encoder is trained")),
        (("--precision", "bf16"), ("--precision: does nothing here", "no encoder is trained")),
        (("--precision", "auto"), ("--precision: does nothing here",)),
        (("--crop", "1"), ("--crop: does nothing here", "no audio goes through an encoder")),
        (("--blocks", "1"), ("--blocks: does nothing here", "give --train end-to-end")),
        (("--validate-by", "ua"), ("--validate-by: does nothing here", "give --patience")),
        (("--validate", "source"), ("--validate: does nothing here", "give --patience")),
        (("--method", "auto", "--method-option", "share=1"), ("method auto: has no options", "by its name")),
        (("--by-corpus", "xx", "--normalise", "corpus"), ("--by-corpus: does nothing here", "--normalise speaker")),
        (("--by-corpus", "xy"), ("'xy'", "did you mean 'xx'?")),
        (("--no-guard", "--normalise", "none"), ("--no-guard: does nothing here", "--normalise speaker")),
        (("--attribute-range", "1..7"), ("--attribute-range: does nothing here", "give --attributes")),
        (("--jobs", "0"), ("jobs: expected 1 or more, got 0",)),
        (("--decay", "0"), ("decay: expected a number above 0",)),
    ],
)
def test_wrong_words_for_adapt(recorded, cli, words, named):
    refused(cli(*adapt(recorded, *words)), *named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--method", "dann"), ("--method", "--methods")),
        (("--methods", "dan"), ("'dan'", "did you mean 'dann'?")),
        (("--budgets", "some"), ("budgets: expected numbers or 'all'", "'some'")),
        (("--budgets", "0,99"), ("budgets: 99: expected 8 at most",)),
        (("--normalise", "speakr"), ("'speakr'", "did you mean 'speaker'?")),
        (("--subsets", "1"), ("subsets: expected 2 or more",)),
        (("--subsets", "-2"), ("subsets: expected 0 or more",)),
        (("--jobs", "0"), ("jobs: expected 1 or more",)),
        (("--crop", "1"), ("--crop: does nothing here",)),
        (("--checkpointing",), ("--checkpointing: does nothing here",)),
        (("--no-guard", "--normalise", "none,corpus"), ("--no-guard: does nothing here",)),
        (("--patience", "2", "--validate", "bth"), ("'bth'", "did you mean 'both'?")),
    ],
)
def test_wrong_words_for_budget(recorded, cli, words, named):
    refused(cli("budget", *adapt(recorded, *words)[1:]), *named)


def test_choices_in_any_case(recorded, cli):
    words = ("--normalise", "SPEAKER", "--align", "Coral", "--pool", "Open")
    done = cli(*adapt(recorded, "--method", "source-only", *words))
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("predct",), ("'predct'", "'predict'")),
        (("predict",), ("predict: ", "BUNDLE")),
        (("scan", "emobd", ".", "-o", "m.jsonl"), ("'emobd'", "did you mean 'emodb'?")),
        (("scan", "emodb", "nowhere", "-o", "m.jsonl"), ("nowhere", "no such folder")),
        (("scan", "emodb", ".", "-o", "m.jsonl", "--option", "x=1"), ("'emodb' takes no options", "'x'")),
        (("adapt",), ("--source",)),
        (("adapt", "--source", "en.jsonl"), ("--target",)),
        (("adapt", "--source", "no.jsonl", "--target", "xx.jsonl"), ("no.jsonl", "No such file")),
        (("adapt", "--source", "en.jsonl", "--target", "no.jsonl"), ("no.jsonl", "No such file")),
        (
            ("adapt", "--source", ".", "--target", "xx.jsonl"),
            ("two or more emotions", "unlabelled: no folder is named like an emotion"),
        ),
        (("adapt", "--settings", "no.toml"), ("no.toml", "No such file")),
        (("audit", "no.jsonl"), ("no.jsonl", "No such file")),
        (("evaluate", "no", "--on", "en.jsonl"), ("no: is no bundle",)),
    ],
)
def test_wrong_words_for_others(recorded, cli, monkeypatch, words, named):
    monkeypatch.chdir(recorded)
    refused(cli(*words), *named)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('source = ["en.jsonl"]\nmetod = "x"', ("s.toml", "'metod'", "did you mean 'method'?")),
        ('source = "en.jsonl"', ("s.toml", "source", "a list of words")),
        ('source = ["en.jsonl"', ("s.toml", "is not TOML")),
        ('source = ["en.jsonl"]\nepochs = "9"', ("s.toml", "epochs", "expected int, got '9'")),
        ('source = ["en.jsonl"]\nepochs = -9', ("s.toml", "epochs", "expected 1 or more, got -9")),
        ('source = ["en.jsonl"]\ndecay = inf', ("s.toml", "decay", "expected a number above 0, got inf")),
        ('source = ["en.jsonl"]\npool = "opn"', ("s.toml", "pool", "did you mean 'open'?")),
        ('source = ["en\\u0000.jsonl"]', ("s.toml", "source", "without control characters")),
        (f'source = ["en.jsonl"]\nepochs = 1{"0" * 400}', ("s.toml", "epochs", "the number is too large")),
        (f'source = ["en.jsonl"]\ndecay = 1{"0" * 400}', ("s.toml", "decay", "the number is too large")),
        (f'source = ["en.jsonl"]\nepochs = 1{"0" * 5000}', ("s.toml", "is not TOML")),
        (f'source = ["en.jsonl"]\nepochs = {"[" * 3000}{"]" * 3000}', ("s.toml", "nested too deeply")),
        (f'source = ["en.jsonl"]\nepochs = {"[" * 300}{"]" * 300}', ("s.toml", "epochs", "expected int")),
        (f'source = ["en.jsonl"]\nepochs = "{"x" * 99_999}"', ("s.toml", "epochs", "expected int")),
    ],
)
def test_a_wrong_settings_file(recorded, cli, monkeypatch, text, named):
    monkeypatch.chdir(recorded)
    (recorded / "s.toml").write_text(text + '\ntarget = "xx.jsonl"\n' if named[-1] != "is not TOML" else text)
    refused(cli("adapt", "--settings", "s.toml"), *named)


def test_a_bad_option_beside_a_settings_file_is_not_blamed_on_it(recorded, cli):
    (recorded / "s.toml").write_text(f'source = ["{recorded}/en.jsonl"]\nepochs = 3\ntarget = "{recorded}/xx.jsonl"')
    done = cli("adapt", "--settings", recorded / "s.toml", "--epochs", "0")
    refused(done, "epochs: expected 1 or more, got 0")
    assert "s.toml" not in done.complaints[0]


def test_debug_shows_where_it_arose(recorded, cli):
    with pytest.raises(UserError, match="'pseudo-label'"):
        cli(*adapt(recorded, "--method", "pseudo-label", "--debug"))
    with pytest.raises(UserError, match="'pseudo-label'"):
        cli("--debug", *adapt(recorded, "--method", "pseudo-label"))


def test_an_output_folder_that_is_a_file_is_named_before_any_work(recorded, cli):
    refused(cli(*adapt(recorded, "--out", recorded / "en.jsonl")), "en.jsonl", "is a file; expected a folder")
    assert not list(recorded.parent.rglob("*.safetensors"))


# ------------------------------------------------------------------ manifests


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda rows: rows[3].pop("corpus") and None, ("xx.jsonl:4", "'corpus'", "missing")),
        (lambda rows: rows.append(rows[0]), ("xx.jsonl:17", "'xx-a-anger-0'", "already taken")),
        (lambda rows: rows[2].update(emotion="sadnes"), ("xx.jsonl:3", "'sadnes'", "did you mean 'sadness'?")),
        (lambda rows: rows[2].update(start=-1), ("xx.jsonl:3", "'start'", "0 or more")),
        (lambda rows: rows[2].update(start=0.2, end=0.1), ("xx.jsonl:3", "'end'", "more than 'start'")),
        (lambda rows: rows[2].update(speker="a"), ("xx.jsonl:3", "'speker'", "did you mean 'speaker'?")),
        (lambda rows: rows[:4], ("1 (xx)", "single speaker")),
        (each(speaker=None), ("'xx-a-anger-0'", "has no speaker")),
        (each(corpus="en"), ("speakers a, b, c, d", "leak")),
        (lambda rows: [row.update(id=row["id"].replace("xx", "en")) for row in rows] and None, ("'en-a-anger-0'",)),
    ],
    ids=["column", "twice", "label", "negative", "inverted", "unknown", "alone", "nameless", "leak", "ids"],
)
def test_a_bad_target_manifest(recorded, cli, change, named):
    edit(recorded / "xx.jsonl", change)
    refused(cli(*adapt(recorded)), *named)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda rows: rows[:4], ("1 (en)", "single speaker")),
        (
            lambda rows: [row for row in rows if row["emotion"] == "anger"],
            ("en.jsonl", "two or more emotions", "are 1"),
        ),
        (each(emotion=None), ("en.jsonl", "two or more emotions", "are 0", "is --source the labelled speech")),
        (each(speaker=None), ("'en-a-anger-0'", "has no speaker")),
    ],
    ids=["alone", "one-class", "unlabelled", "nameless"],
)
def test_a_bad_source_manifest(recorded, cli, change, named):
    edit(recorded / "en.jsonl", change)
    refused(cli(*adapt(recorded)), *named)


@pytest.mark.parametrize("text", [b"", b"\n\n", b"{", b"[]", b"\xff\xfe\x00", b"{}"])
def test_a_target_manifest_that_is_none(recorded, cli, text):
    (recorded / "xx.jsonl").write_bytes(text)
    refused(cli(*adapt(recorded)), "xx.jsonl")


def test_a_missing_source_class_is_named(recorded, cli):
    edit(recorded / "en.jsonl", lambda rows: [row for row in rows if row["emotion"] == "anger"])
    refused(cli(*adapt(recorded, "--labels", "anger,sadness")), "'sadness'", "it has anger")


def test_the_same_source_twice(recorded, cli):
    refused(cli(*adapt(recorded, "--source", recorded / "en.jsonl")), "'en-a-anger-0'", "two manifests")


def test_sharing_speakers_goes_on_when_asked_for_and_is_said(recorded, cli):
    edit(recorded / "xx.jsonl", each(corpus="en"))
    done = cli(*adapt(recorded, "--share-speakers"))
    assert done.code == 0, done.err
    assert "speakers are shared between training and test" in done.out
    assert "SPEAKERS ARE SHARED" in (recorded / "run" / "report.md").read_text()


def test_fewer_speakers_than_folds_is_said(recorded, cli):
    done = cli(*adapt(recorded, "--folds", "9"))
    assert done.code == 0, done.err
    assert "there are speakers for 4 folds, not for 9" in done.out
    assert {row["split"] for row in json.loads((recorded / "run" / "scores.json").read_text())} == {
        "4 folds by speaker"
    }
    assert "Scores are from 4 folds" in (recorded / "run" / "report.md").read_text()


def test_a_class_that_the_target_lacks_is_said(recorded, cli):
    edit(recorded / "xx.jsonl", lambda rows: [row for row in rows if row["emotion"] == "anger"])
    done = cli(*adapt(recorded))
    assert done.code == 0, done.err
    assert "no target utterance is labelled sadness" in done.out


def test_a_target_of_other_emotions_is_adapted_to_unless_the_pool_is_closed(recorded, cli):
    """An open pool does not look at labels (A10): what is of another emotion is as unlabelled, in the audit too."""
    edit(recorded / "xx.jsonl", each(emotion="fear"))
    done = cli(*adapt(recorded))
    assert done.code == 0, done.err
    rows = json.loads((recorded / "run" / "scores.json").read_text())
    assert {row["side"] for row in rows if row["measure"] != "agreement of halves"} == {"source"}
    refused(cli(*adapt(recorded, "--pool", "closed")), "xx.jsonl", "anger, sadness")


def test_a_target_without_labels_is_adapted_to_and_not_scored(recorded, cli):
    edit(recorded / "xx.jsonl", each(emotion=None))
    done = cli(*adapt(recorded))
    assert done.code == 0, done.err
    rows = json.loads((recorded / "run" / "scores.json").read_text())
    assert {row["side"] for row in rows if row["measure"] != "agreement of halves"} == {"source"}
    assert "The target has no labels to score." in (recorded / "run" / "report.md").read_text()
    refused(cli(*adapt(recorded, "--target-labels", "4")), "target_labels", "4")
    refused(
        cli("evaluate", recorded / "run" / "bundle", "--on", recorded / "xx.jsonl", "--out", recorded / "s.json"),
        "nothing to score",
        "anger, sadness",
    )
    assert not (recorded / "s.json").exists()


# ------------------------------------------------------------------ audio


def test_adapt_skips_counts_and_lists_bad_files(recorded, cli):
    bad = with_bad_rows(recorded)
    done = cli(*adapt(recorded))
    assert done.code == 0, done.err
    assert done.complaints[-1] == f"{len(bad)} skipped"
    report = (recorded / "run" / "report.md").read_text()
    assert f"{len(bad)} files could not be read and took no part" in report
    for name, reason in bad.items():
        assert any(line.startswith(f"skipped {name}: ") and reason in line for line in done.complaints), name
        assert f"- {name}: " in report
    counted = [row for row in json.loads((recorded / "run" / "scores.json").read_text()) if row["side"] == "target"]
    assert max(row["n"] for row in counted) == 16 + 3, "silent, single-sample and 8-channel files take part"
    assert all(math.isfinite(row["value"]) for row in counted)
    assert f"{len(bad)} utterances could not be read" in done.out


def test_bad_files_change_nothing_for_the_others(recorded, cli):
    assert cli(*adapt(recorded)).code == 0
    alone = (recorded / "run" / "scores.json").read_bytes()
    for name in write_bad(recorded):
        edit(recorded / "xx.jsonl", lambda rows, name=name: rows.append({**rows[0], "id": name, "path": f"{name}.wav"}))
    assert cli(*adapt(recorded)).code == 0
    assert (recorded / "run" / "scores.json").read_bytes() == alone


def test_no_target_audio(recorded, cli):
    for path in recorded.glob("xx-*.wav"):
        path.unlink()
    (recorded / "en-a-anger-0.wav").write_bytes(b"")  # a bad one among good ones is not the reason
    refused(cli(*adapt(recorded)), "xx-a-anger-0.wav", "No such file")


def test_adapt_skips_bad_files_from_end_to_end_too(recorded, cli):
    bad = with_bad_rows(recorded)
    words = (
        "--encoder",
        "emotion-cnn",
        "--layer",
        "0",
        "--train",
        "end-to-end",
        "--align",
        "none",
        "--epochs",
        "1",
        "--method",
        "source-only",
    )
    done = cli(*adapt(recorded, *words))
    assert done.code == 0, done.err
    assert done.complaints[-1] == f"{len(bad)} skipped"
    refused(cli(*adapt(recorded, *words, "--strict")), "bad-")


def test_predict_skips_and_counts_bad_files(recorded, finished, cli):
    bad = with_bad_rows(recorded)
    done = cli("predict", finished / "bundle", recorded / "xx.jsonl")
    assert done.code == 0
    assert done.complaints[-1] == f"{len(bad)} skipped"
    for name in bad:
        assert any(line.startswith(f"skipped {name}: ") for line in done.complaints), name
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert len(rows) == 16 + 3
    for row in rows:
        assert (row["probabilities"] is None) == bool(row["reason"])
        assert all(math.isfinite(value) for value in (row["probabilities"] or {}).values())


def test_a_folder_of_files_good_and_bad(tmp_path, finished, cli):
    bad, odd = write_bad(tmp_path), write_odd(tmp_path)
    done = cli("predict", finished / "bundle", tmp_path)
    assert done.code == 0
    for name, reason in bad.items():
        assert any(f"{name}.wav: " in line and reason in line for line in done.complaints), name
    assert done.complaints[-1] == f"{len(bad)} skipped"
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["id"] for row in rows] == sorted(f"{tmp_path.name}/{name}.wav" for name in odd)
    assert [row["label"] for row in rows] == [None] * len(rows), "silence, single samples, noise"


def test_silence_and_a_single_sample_get_no_label(tmp_path, finished, cli):
    write_odd(tmp_path)
    for name in ("odd-silent", "odd-one"):
        for segments in ("auto", "speech", "windows", "whole"):
            done = cli("predict", finished / "bundle", tmp_path / f"{name}.wav", "--segments", segments)
            assert (done.code, done.complaints) == (0, [])
            assert json.loads(done.out)["label"] is None


def test_predict_with_nothing_to_read(tmp_path, finished, cli):
    bad = write_bad(tmp_path)
    for name, reason in bad.items():
        done = cli("predict", finished / "bundle", tmp_path / f"{name}.wav")
        assert (done.code, done.out) == (2, "")
        assert reason in done.complaints[0]
        assert done.complaints[1:] == ["1 skipped", "emobridge: no audio could be read: nothing predicted"]
    done = cli("predict", finished / "bundle", tmp_path / "missing.wav")
    assert done.code == 2 and "missing.wav: no such file" in done.complaints[0]


def test_nothing_predicted_leaves_earlier_predictions_alone(tmp_path, finished, cli):
    write_bad(tmp_path)
    (tmp_path / "said.jsonl").write_text("earlier\n")
    done = cli("predict", finished / "bundle", tmp_path / "bad-text.wav", "--out", tmp_path / "said.jsonl")
    assert done.code == 2
    assert (tmp_path / "said.jsonl").read_text() == "earlier\n"


def test_a_folder_without_audio(tmp_path, finished, cli):
    (tmp_path / "music.wav").mkdir()
    (tmp_path / "notes.txt").write_text("no audio")
    refused(cli("predict", finished / "bundle", tmp_path), str(tmp_path), "no audio file")


def test_strict_stops_at_the_first_bad_file(recorded, finished, cli, tmp_path):
    with_bad_rows(recorded)
    refused(cli(*adapt(recorded, "--strict")), "bad-")
    for audio, out in ((recorded / "xx.jsonl", "rows.jsonl"), (recorded, "files.jsonl")):
        refused(cli("predict", finished / "bundle", audio, "--strict", "--out", tmp_path / out), "bad-")
        assert not (tmp_path / out).exists()
    words = ("evaluate", finished / "bundle", "--on", recorded / "xx.jsonl", "--out", recorded / "s.json")
    refused(cli(*words, "--strict"), "bad-")
    assert not (recorded / "s.json").exists()
    done = cli(*words)
    assert done.code == 0 and done.complaints[-1] == "8 skipped"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--format", "josnl"), ("'josnl'", "did you mean 'jsonl'?")),
        (("--speakers", "files"), ("'files'", "did you mean 'file'?")),
        (("--window", "0"), ("window: expected a number above 0",)),
        (("--window", "nan"), ("window: expected a number above 0",)),
        (("--out", "."), ("--out", "is a directory")),
        (("--encoder", "nothing"), ("'nothing'",)),
    ],
)
def test_wrong_words_for_predict(recorded, finished, cli, monkeypatch, words, named):
    monkeypatch.chdir(recorded)
    refused(cli("predict", finished / "bundle", "xx.jsonl", *words), *named)


# ------------------------------------------------------------------ bundles


def described(**values):
    """Change fields of the description, and take its own digest out, as if it had been saved so."""

    def change(folder):
        path = folder / "bundle.json"
        facts = json.loads(path.read_text()) | values
        del facts["sha256"]
        path.write_text(json.dumps(facts))

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (described(format=99), ("format 99", "update emobridge")),
        (described(format="new"), ("is no description of a bundle",)),
        (described(digest="0"), ("encoder of other weights",)),
        (described(encoder="/moved/away"), ("/moved/away", "--encoder")),
        (described(labels=["anger", "fear", "sadness"]), ("model.safetensors", "does not fit")),
        (lambda folder: (folder / "bundle.json").write_text("{"), ("is no description of a bundle",)),
        (lambda folder: (folder / "bundle.json").unlink(), ("is no bundle",)),
        (lambda folder: (folder / "model.safetensors").unlink(), ("model.safetensors", "cannot be read")),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"PK"),
            ("model.safetensors", "does not fit bundle.json"),
        ),
    ],
    ids=["newer", "format", "weights", "moved", "labels", "cut", "no-description", "no-tensors", "other-tensors"],
)
def test_a_bad_bundle(recorded, finished, cli, change, named):
    bundle = shutil.copytree(finished / "bundle", recorded / "bundle")
    change(bundle)
    refused(cli("predict", bundle, recorded / "xx.jsonl"), *named)


# ------------------------------------------------------------------ a full disk


@contextlib.contextmanager
def files_up_to(size):
    """No file can grow beyond so many bytes: what a full disk looks like to a writer.

    Python would write half of a compiled module in silence, which no later process could import.
    """
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full_at(monkeypatch, pattern, number=1):
    """The disk is full as soon as the `number`-th file whose name has the pattern is to be written."""
    make, names = files.new_part, []

    def new_part(path):
        if re.search(pattern, f".{path.name}."):
            names.append(path.name)
        if len(names) >= number:
            raise OSError(errno.ENOSPC, "No space left on device")
        return make(path)

    monkeypatch.setattr(files, "new_part", new_part)


_undisturbed: dict[str, bytes] = {}  # the scores of one run: it is the same for all tests, and takes seconds


@pytest.fixture
def expected(recorded, cli):
    """The scores of a run that nothing came between."""
    if not _undisturbed:
        assert cli(*adapt(recorded, *SOFT)).code == 0
        _undisturbed["scores"] = (recorded / "run" / "scores.json").read_bytes()
        shutil.rmtree(recorded / "run")
    return _undisturbed["scores"]


@pytest.mark.parametrize("size", [3000, 40_000])  # features do not fit; the report does not
def test_a_disk_that_fills_up_and_is_emptied(recorded, cli, expected, size):
    store = ("--store", recorded / "store", *SOFT)
    with files_up_to(size):
        refused(cli(*adapt(recorded, *store)), "cannot be written")
    assert not list(recorded.rglob("*.part"))
    done = cli(*adapt(recorded, *store))
    assert done.code == 0, done.err
    assert (recorded / "run" / "scores.json").read_bytes() == expected


CHECKPOINT, FIT = r"^\.[0-9a-f]{24}\.checkpoint", r"^\.[0-9a-f]{24}\.safetensors"  # of work/


FULL_AT = (  # files in the order of a run: a pattern, the how manieth of them, and a word of the message
    ("store.json", 1, "store.json"),
    (r"^\.format\.", 1, "work/format"),
    (CHECKPOINT, 1, ".checkpoint"),
    (CHECKPOINT, 6, ".checkpoint"),
    (FIT, 1, ".safetensors"),
    (FIT, 4, ".safetensors"),
    ("settings.toml", 1, "settings.toml"),
    (r"^\.model.safetensors", 1, "model.safetensors"),
    ("bundle.json", 1, "bundle.json"),
    ("README.md", 1, "README.md"),
    ("scores.json", 1, "scores.json"),
    ("report.html", 1, "report.html"),
)


@pytest.fixture
def run_into(recorded, cli, monkeypatch):
    """A function that begins a run, or goes on with it, until the disk is full at a certain file."""
    from emobridge.training.loop import Plan

    monkeypatch.setattr("emobridge.training.stages.Plan", functools.partial(Plan, checkpoint_every=0.0))
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(recorded / "empty"))

    def run(pattern, number, word):
        with monkeypatch.context() as full:
            full_at(full, pattern, number)
            refused(cli(*adapt(recorded, *SOFT)), word, "cannot be written", "No space left on device")
        assert not (recorded / "run" / "report.html").exists()

    return run


def ends_as(expected, recorded, cli):
    done = cli(*adapt(recorded, *SOFT))
    assert done.code == 0, done.err
    assert (recorded / "run" / "scores.json").read_bytes() == expected
    assert not list(recorded.rglob("*.checkpoint"))


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "number", "word"), FULL_AT)
def test_a_disk_full_at_a_certain_file(recorded, cli, expected, run_into, pattern, number, word):
    run_into(pattern, number, word)
    ends_as(expected, recorded, cli)


def test_a_disk_full_again_and_again(recorded, cli, expected, run_into):
    """Each time the run goes on from where it was, and at last it ends as if nothing had been."""
    for pattern, _, word in FULL_AT:
        run_into(pattern, 1, word)  # the first that is not there yet
    ends_as(expected, recorded, cli)


def test_a_full_disk_leaves_earlier_results_whole(recorded, cli):
    assert cli(*adapt(recorded)).code == 0
    before = {path: path.read_bytes() for path in (recorded / "run").rglob("*") if path.is_file()}
    with files_up_to(100):
        refused(cli(*adapt(recorded, "--epochs", "3")), "cannot be written")
        words = ("predict", recorded / "run" / "bundle", recorded / "xx.jsonl", "--out", recorded / "p.jsonl")
        refused(cli(*words), "p.jsonl", "cannot be written")
        words = ("evaluate", recorded / "run" / "bundle", "--on", recorded / "xx.jsonl", "--out", recorded / "s.json")
        refused(cli(*words), "s.json", "cannot be written")
        refused(cli("audit", recorded / "xx.jsonl", "--out", recorded / "audit"), "cannot be written")
        refused(cli("scan", "table", recorded / "xx.jsonl", "-o", recorded / "t.jsonl"), "t.jsonl", "cannot be written")
    assert {path: path.read_bytes() for path in before} == before
    assert not any((recorded / name).exists() for name in ("p.jsonl", "s.json", "t.jsonl"))
    assert not list(recorded.rglob("*.part"))
