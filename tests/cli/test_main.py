"""The command line, as a user types it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open

import emobridge
from emobridge.bundle import Recognizer
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.settings import Adapt, from_mapping, read_mapping
from emobridge.types import Score, Utterance

COMMANDS = ("demo", "corpora", "scan", "import", "export", "audit", "adapt", "evaluate", "predict", "join")
QUICK = ("--seeds", "2", "--folds", "2", "--epochs", "3")
FOUR = {"anger": 6.0, "happiness": 4.0, "neutral": 2.0, "sadness": 1.0}


def adapt(folder, *more):
    words = ("adapt", "--source", folder / "en.jsonl", "--target", folder / "xx.jsonl", *QUICK)
    words = (*words, "--method", "pseudo-labels")
    return (*words, "--out", folder / "run", *more)


def in_a_process(folder, *words, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "EMOBRIDGE_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "emobridge.cli.main", *map(str, words)]
    return subprocess.run(command, env=environment, text=True, capture_output=True, timeout=120, **options)


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def written_settings(folder):
    """The request in the settings.toml of a run."""
    path = folder / "settings.toml"
    return from_mapping(read_mapping(path), str(path), Adapt)


@pytest.fixture
def four(tmp_path):
    """en.jsonl and de.jsonl of four emotions."""
    rng, time = np.random.default_rng(0), np.arange(4800) / 16000
    for corpus, pitch in (("en", 100.0), ("de", 120.0)):
        rows = []
        for speaker in "abcd":
            for emotion, high in FOUR.items():
                name = f"{corpus}-{speaker}-{emotion}"
                wave = 0.05 * high * np.sin(2 * np.pi * pitch * high * time) + 0.01 * rng.standard_normal(4800)
                soundfile.write(tmp_path / f"{name}.wav", wave, 16000)
                path = str(tmp_path / f"{name}.wav")
                rows.append(Utterance(name, corpus, path, language=corpus, speaker=speaker, emotion=emotion))
        write_manifest(tmp_path / f"{corpus}.jsonl", rows)
    return tmp_path


def test_help_of_every_command_leaves_torch_alone():
    code = f"""
import sys
from emobridge.cli.main import main
for words in ([], *([name] for name in {COMMANDS!r})):
    sys.argv = ["emobridge", *words, "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, words
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == 1 + len(COMMANDS)
    assert done.stderr == ""


def test_without_a_word_there_is_help(cli):
    done = cli()
    assert done.code == 0
    for name in COMMANDS:
        assert name in done.out


def test_adapt_in_its_own_process_writes_scores_report_and_bundle(recorded):
    done = in_a_process(recorded, *adapt(recorded))
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (recorded / "run").iterdir()}
    assert {"scores.json", "report.html", "report.md", "report.json", "settings.toml", "bundle"} <= names
    assert {path.name for path in (recorded / "run" / "bundle").iterdir()} == {
        "bundle.json",
        "model.safetensors",
        "README.md",
    }
    assert f"report: {recorded / 'run' / 'report.html'}" in done.stdout
    assert "pseudo-labels    target  en -> xx" in done.stdout
    assert list((recorded / "cache").rglob("*.safetensors")), "$EMOBRIDGE_CACHE holds the features"
    assert not list(recorded.rglob("*.part"))


def test_scores_are_flat_rows_of_both_sides_and_all_seeds(finished):
    rows = json.loads((finished / "scores.json").read_text())
    assert all(list(row) == [field.name for field in fields(Score)] for row in rows)
    assert {(row["method"], row["side"], row["seed"]) for row in rows} == {
        (method, side, seed)
        for method in ("source-only", "pseudo-labels")
        for side in ("source", "target")
        for seed in ("0", "1", "all")
    }
    same = {"run": "finished", "encoder": "logmel", "layer": "0", "normalisation": "speaker+coral", "source": "en"}
    same |= {"target": "xx", "target_labels": "0", "split": "2 folds by speaker", "labels": "anger,sadness"}
    assert all(row[key] == value for row in rows for key, value in same.items())
    measures = {"UA", "WA", "F1 macro", "F1 weighted", "recall anger", "recall sadness"}
    measures |= {f"recall speaker {name}" for name in "abcd"} | {"gap UA gender=female minus male"}
    of_groups = ("UA", "WA", "recall anger", "recall sadness")
    measures |= {f"group {name} gender={gender}" for name in of_groups for gender in ("female", "male")}
    assert {row["measure"] for row in rows} == measures
    for row in (row for row in rows if not row["measure"].startswith(("group ", "gap "))):
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        assert row["n"] == (16 if row["measure"][:6] != "recall" else 8 if "speaker" not in row["measure"] else 4)


def test_a_mean_over_seeds_is_the_mean_of_the_seeds(finished):
    rows = json.loads((finished / "scores.json").read_text())
    for method in ("source-only", "pseudo-labels"):
        found = {
            row["seed"]: row["value"]
            for row in rows
            if (row["method"], row["side"], row["measure"]) == (method, "target", "UA")
        }
        assert found["all"] == pytest.approx((found["0"] + found["1"]) / 2)


def test_several_sources(recorded, cli):
    rows = list(read_manifest(recorded / "en.jsonl"))
    write_manifest(recorded / "first.jsonl", rows[:8])
    moved = [Utterance(f"2-{one.id}", "us", one.path, speaker=one.speaker, emotion=one.emotion) for one in rows[8:]]
    write_manifest(recorded / "second.jsonl", moved)
    words = ("--source", recorded / "first.jsonl", "--source", recorded / "second.jsonl")
    done = cli("adapt", *words, "--target", recorded / "xx.jsonl", *QUICK, "--out", recorded / "run")
    assert done.code == 0, done.err
    assert "en+us -> xx" in done.out
    assert {row["source"] for row in json.loads((recorded / "run" / "scores.json").read_text())} == {"en+us"}
    about = json.loads((recorded / "run" / "bundle" / "bundle.json").read_text())
    assert [corpus for corpus, _ in about["domains"]] == ["en", "us", "xx"]


def test_the_labels_are_those_that_all_sources_have(recorded, cli):
    rows = list(read_manifest(recorded / "en.jsonl"))
    extra = [Utterance("f", "us", rows[0].path, speaker="z", emotion="fear")]
    moved = [Utterance(f"2-{one.id}", "us", one.path, speaker=one.speaker, emotion=one.emotion) for one in rows]
    write_manifest(recorded / "more.jsonl", moved + extra)
    done = cli(*adapt(recorded, "--source", recorded / "more.jsonl", "--seeds", "1"))
    assert done.code == 0, done.err
    assert json.loads((recorded / "run" / "bundle" / "bundle.json").read_text())["labels"] == ["anger", "sadness"]


def test_settings_come_from_a_file_and_the_command_line_overrides_them(recorded, cli):
    text = f'source = ["{recorded}/en.jsonl"]\ntarget = "{recorded}/xx.jsonl"\nepochs = 2\nseeds = 1\nfolds = 2\n'
    (recorded / "s.toml").write_text(text + 'method_options = ["first=0.4"]\n')
    done = cli("adapt", "--settings", recorded / "s.toml", "--epochs", "3", "--out", recorded / "run")
    assert done.code == 0, done.err
    request = written_settings(recorded / "run")
    assert (request.training.epochs, request.split.seeds) == (3, 1)
    assert request.system.method_options == ("first=0.4",)
    assert json.loads((recorded / "run" / "bundle" / "bundle.json").read_text())["labels"] == ["anger", "sadness"]
    before = (recorded / "run" / "scores.json").read_bytes()
    again = cli("adapt", "--settings", recorded / "run" / "settings.toml")
    assert again.code == 0, again.err
    assert (recorded / "run" / "scores.json").read_bytes() == before


def test_other_settings_in_the_same_folder_do_not_find_the_old_fits(recorded, cli):
    assert cli(*adapt(recorded, "--epochs", "1")).code == 0
    assert cli(*adapt(recorded, "--epochs", "9")).code == 0
    both = (recorded / "run" / "scores.json").read_bytes()
    (recorded / "run").rename(recorded / "old")
    assert cli(*adapt(recorded, "--epochs", "9")).code == 0
    assert (recorded / "run" / "scores.json").read_bytes() == both
    assert (recorded / "old" / "bundle" / "model.safetensors").read_bytes() == (
        recorded / "run" / "bundle" / "model.safetensors"
    ).read_bytes()


def test_the_report_of_a_run_says_what_a_reader_must_know(four, cli):
    words = ("adapt", "--source", four / "en.jsonl", "--target", four / "de.jsonl", "--out", four / "run")
    done = cli(*words, "--seeds", "1", "--folds", "2", "--epochs", "3")
    assert done.code == 0, done.err
    html = (four / "run" / "report.html").read_text()
    for text in (html, (four / "run" / "report.md").read_text()):
        assert "the labelled utterances of the source's training speakers" in text.replace("&#39;", "'")
        assert "the unlabelled audio of the target's training speakers" in text.replace("&#39;", "'")
        assert "no label of the target" in text
        assert "those of the scored target speakers too" in text, "speaker normalisation hears the scored speakers"
        assert "Agarla et al. 2024" not in text, "its German corpus is another one"
        assert "No published number that we know of is of these corpora" in text
        assert "a jackknife" in text, "how the interval is made, in the glossary"
        assert "nothing but loudness and length already gives" in text, "a finding of the audit"
        assert "emobridge adapt --source" in text, "the command that makes it again"
    assert "SYNTHETIC" not in html


def test_a_run_on_made_speech_says_so_everywhere(recorded, cli):
    for name in ("en", "xx"):
        path = recorded / f"{name}.jsonl"
        path.write_text(path.read_text().replace(f'"corpus": "{name}"', f'"corpus": "demo-{name}"'))
    done = cli(*adapt(recorded, "--seeds", "1"))
    assert done.code == 0, done.err
    assert done.out.startswith("SYNTHETIC")
    run = recorded / "run"
    for path in (run / "report.html", run / "report.md", run / "bundle" / "README.md"):
        assert "SYNTHETIC" in path.read_text()
    said = cli("predict", run / "bundle", recorded / "en-a-anger-0.wav")
    assert json.loads(said.out)["trained_on"] == "SYNTHETIC"
    table = cli("predict", run / "bundle", recorded / "en-a-anger-0.wav", "--format", "csv")
    assert [row["trained_on"] for row in csv.DictReader(io.StringIO(table.out))] == ["SYNTHETIC"]


def test_predict_prints_lines_of_json(recorded, finished, cli):
    done = cli("predict", finished / "bundle", recorded / "xx.jsonl")
    assert (done.code, done.complaints) == (0, [])
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["id"] for row in rows] == [one.id for one in read_manifest(recorded / "xx.jsonl")]
    for row in rows:
        assert list(row)[2:9] == ["channel", "start", "end", "language", "label", "confidence", "probabilities"]
        assert (row["start"], row["end"]) == (0.0, 0.3)
        assert list(row["probabilities"]) == ["anger", "sadness"]
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)


def test_predict_writes_csv_to_a_file(recorded, finished, cli):
    out = recorded / "said" / "said.csv"
    done = cli("predict", finished / "bundle", recorded / "xx.jsonl", "--out", out)
    assert done.code == 0, done.err
    assert done.out == f"{out}: 16 predictions\n"
    rows = list(csv.DictReader(out.open(newline="")))
    assert list(rows[0])[6:10] == ["label", "confidence", "p_anger", "p_sadness"]
    assert all(float(row["p_anger"]) + float(row["p_sadness"]) == pytest.approx(1, abs=1e-5) for row in rows)
    asked = cli("predict", finished / "bundle", recorded / "xx.jsonl")
    assert [json.loads(line)["probabilities"]["anger"] for line in asked.out.splitlines()] == [
        float(row["p_anger"]) for row in rows
    ]


def test_a_reader_that_closes_the_pipe_gets_no_traceback(recorded, finished):
    words = f"{sys.executable} -m emobridge.cli.main predict {finished / 'bundle'} {recorded / 'xx.jsonl'} | head -n 1"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, shell=True, env=environment, text=True, capture_output=True, timeout=60)
    assert done.stdout.startswith('{"id": "xx-a-anger-0"')
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_speakers_of_plain_files_matter_to_a_recogniser_that_normalises_by_speaker(recorded, finished, cli):
    files = sorted(recorded.glob("xx-a-*.wav"))
    said = {}
    for choice in ("unknown", "file", "one"):
        done = cli("predict", finished / "bundle", *files, "--speakers", choice)
        assert done.code == 0, done.err
        said[choice] = [json.loads(line)["probabilities"]["anger"] for line in done.out.splitlines()]
    assert said["unknown"] != said["file"] != said["one"] != said["unknown"]
    by_manifest = cli("predict", finished / "bundle", recorded / "xx.jsonl").out.splitlines()
    a = [row["probabilities"]["anger"] for row in map(json.loads, by_manifest) if row["id"].startswith("xx-a")]
    assert said["one"] == pytest.approx(a, abs=2e-6), "one speaker in files is one speaker in a manifest"


def test_evaluate_writes_the_same_rows_as_adapt(recorded, finished, cli):
    out = recorded / "scores.json"
    done = cli("evaluate", finished / "bundle", "--on", recorded / "xx.jsonl", "--out", out)
    assert (done.code, done.complaints) == (0, [])
    rows = json.loads(out.read_text())
    assert all(list(row) == [field.name for field in fields(Score)] for row in rows)
    assert {(row["side"], row["target"], row["source"], row["run"]) for row in rows} == {
        ("target", "xx", "en", "finished")
    }
    assert {row["seed"] for row in rows} == {"0", "all"}
    ua = next(row for row in rows if row["measure"] == "UA" and row["seed"] == "all")
    assert f"UA                   {100 * ua['value']:5.1f}" in done.out
    assert str(out) in done.out


def test_evaluate_says_what_the_measures_are_and_warns_of_one_label_for_all(recorded, finished, cli):
    done = cli("evaluate", finished / "bundle", "--on", recorded / "xx.jsonl", "--out", recorded / "scores.json")
    adapted_to, legend, *_ = [line for line in done.out.splitlines() if "above chance" not in line]
    assert adapted_to.startswith("warning: of 16 scored utterances 16 were adapted to without their labels")
    assert legend.startswith("UA (unweighted accuracy: mean recall over the labels), WA (weighted accuracy:")
    assert legend.endswith("with 95 % intervals") and "nothing apart" not in done.out and done.out.count("UA (") == 1
    recognizer = Recognizer.load(finished / "bundle")
    with torch.no_grad():
        recognizer.head.output.bias += torch.tensor([0.0, 1e6])
    recognizer.save(recorded / "collapsed", "card")
    done = cli("evaluate", recorded / "collapsed", "--on", recorded / "xx.jsonl", "--out", recorded / "scores.json")
    assert done.code == 0, done.err
    warning = "warning: the recogniser tells nothing apart here: it predicts sadness for all 16 utterances"
    assert warning in done.out.splitlines()


def test_speakers_of_two_corpora_with_one_name_are_counted_apart(recorded, finished, cli):
    both = "".join((recorded / f"{name}.jsonl").read_text() for name in ("en", "xx"))
    (recorded / "both.jsonl").write_text(both)
    done = cli("evaluate", finished / "bundle", "--on", recorded / "both.jsonl", "--out", recorded / "scores.json")
    assert done.code == 0, done.err
    rows = json.loads((recorded / "scores.json").read_text())
    names = [row["measure"] for row in rows if row["seed"] == "all" and "speaker" in row["measure"]]
    assert {row["seen"] for row in rows} == {"trained on"}
    assert done.out.startswith("warning: of 32 scored utterances 16 were trained on with their labels")
    assert names == [f"recall speaker {corpus} {name}" for corpus in ("en", "xx") for name in "abcd"]


def test_the_version(cli):
    done = cli("--version")
    assert (done.code, done.out, done.err) == (0, f"emobridge {emobridge.__version__}\n", "")


def test_one_file_is_predicted(recorded, finished, cli):
    for more in ((), ("--speakers", "one"), ("--format", "csv")):
        done = cli("predict", finished / "bundle", recorded / "xx-a-anger-0.wav", *more)
        assert done.code == 0 and len(done.out.splitlines()) == 1 + ("csv" in more)


def test_scan_a_table(recorded, cli):
    (recorded / "table.csv").write_text("file,label,who\nen-a-anger-0.wav,joy,a\nen-a-sadness-0.wav,wut,b\n")
    out = recorded / "x.jsonl"
    words = ("--option", "columns=path=file,emotion=label,speaker=who", "--option", "language=de")
    done = cli("scan", "table", recorded / "table.csv", "-o", out, *words)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"{out}: 2 utterances; 2 labelled, 2 speakers, 1 language",
        "read as utf-8 text, commas between columns",
        "read path from 'file', speaker from 'who', emotion from 'label'",
    ]
    found = [(one.emotion, one.language, one.speaker) for one in read_manifest(out)]
    assert found == [("happiness", "de", "a"), ("anger", "de", "b")]
    assert all(row["path"] == f"{row['id']}.wav" for row in rows_of(out)), "the manifest moves with its audio"


def test_a_manifest_goes_to_another_tool_and_comes_back(recorded, cli, tmp_path):
    done = cli("export", "s3prl", recorded / "en.jsonl", tmp_path / "s3prl", "--option", "splits=none=train")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{tmp_path / 's3prl' / 'meta_data' / 'Session1'}: 16 utterances",
        "not held by s3prl: id, corpus, language, gender",
    ]
    done = cli("import", "s3prl", tmp_path / "s3prl", "-o", tmp_path / "back.jsonl", "--option", "language=en")
    assert (done.code, done.out) == (
        0,
        f"{tmp_path / 'back.jsonl'}: 16 utterances; 16 labelled, 4 speakers, 1 language\n",
    )
    first, back = next(read_manifest(recorded / "en.jsonl")), next(read_manifest(tmp_path / "back.jsonl"))
    assert (back.path, back.speaker, back.emotion) == (first.path, first.speaker, first.emotion)
    done = cli("export", "plain-csv", recorded / "en.jsonl", tmp_path / "en.csv")
    assert done.out == f"{tmp_path / 'en.csv'}: 16 utterances\n"
    done = cli("import", "plain-cvs", tmp_path / "en.csv", "-o", tmp_path / "x.jsonl")
    assert done.code == 2 and "did you mean 'plain-csv'" in done.err and not (tmp_path / "x.jsonl").exists()


def test_corpora_are_listed_with_terms_and_how_to_obtain_them(cli):
    done = cli("corpora")
    assert done.code == 0
    for name in ("demo", "emodb", "emovo", "ravdess", "table"):
        assert f"\n{name}  " in f"\n{done.out}"
    assert "CC BY-NC-SA 4.0" in done.out


def test_audit_names_what_is_wrong(recorded, cli):
    soundfile.write(recorded / "xx-a-anger-0.wav", np.zeros(4800), 16000)
    (recorded / "en-b-anger-0.wav").write_bytes((recorded / "en-b-anger-1.wav").read_bytes())
    done = cli("audit", recorded / "en.jsonl", recorded / "xx.jsonl", "--out", recorded / "audit")
    assert done.code == 0, done.err
    assert "1 are silent" in done.out and "xx-a-anger-0" in done.out
    assert "en-b-anger-0 = en-b-anger-1" in done.out
    written = {path.name for path in (recorded / "audit").iterdir()}
    assert written == {"audit.html", "audit.md", "audit.json", "tables"}


@pytest.mark.slow
def test_adapters_are_in_the_bundle_as_peft_has_them(recorded, cli, source):
    words = ("--encoder", source("whisper"), "--layer", "1", "--train", "adapters", "--align", "none", "--seeds", "1")
    done = cli(*adapt(recorded, *words, "--epochs", "1", "--adapter-option", "r=2"))
    assert done.code == 0, done.err
    names = {path.name for path in (recorded / "run" / "bundle" / "adapters").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "adapters.json"} <= names
    with safe_open(recorded / "run" / "bundle" / "model.safetensors", framework="np") as file:
        assert not any(name.startswith("encoder.") for name in file.keys())  # noqa: SIM118
    said = cli("predict", recorded / "run" / "bundle", recorded / "xx.jsonl")
    assert (said.code, len(said.out.splitlines())) == (0, 16)


@pytest.mark.parametrize("train", ["frozen", "end-to-end"])
def test_what_was_trained_is_in_the_bundle(recorded, cli, train):
    for manifest in recorded.glob("*.jsonl"):  # half of it, since an encoder is trained
        write_manifest(manifest, [row for row in list(read_manifest(manifest)) if row.id.endswith("-0")])
    words = ("--encoder", "emotion-cnn", "--layer", "0", "--train", train, "--align", "none", "--seeds", "1")
    done = cli(*adapt(recorded, *words, "--epochs", "1"))
    assert done.code == 0, done.err
    with safe_open(recorded / "run" / "bundle" / "model.safetensors", framework="np") as file:
        assert any(name.startswith("encoder.") for name in file.keys()) == (train == "end-to-end")  # noqa: SIM118
    said = cli("predict", recorded / "run" / "bundle", recorded / "xx.jsonl")
    assert (said.code, len(said.out.splitlines())) == (0, 8)


def test_options_of_training_an_encoder_become_settings(recorded, cli, source):
    words = ("--encoder", source("wav2vec2-base"), "--layer", "2", "--method", "ft-lora", "--target-labels", "all")
    words += ("--adapters", "lora", "--adapter-option", "r=2", "--blocks", "1", "--crop", "0.2", "--seeds", "1")
    words += ("--encoder-rate", "0.0001", "--accumulate", "2", "--checkpointing", "--precision", "fp32")
    done = cli(*adapt(recorded, *words, "--normalise", "none", "--epochs", "1"))
    assert done.code == 0, done.err
    request = written_settings(recorded / "run")
    system, training = request.system, request.training
    assert (system.blocks, training.crop, training.encoder_rate, training.accumulate) == ("1", 0.2, 0.0001, 2)
    assert (training.checkpointing, training.precision, system.adapter_options) == (True, "fp32", ("r=2",))
    page = (recorded / "run" / "report.md").read_text()
    assert "| ft-lora | source-only | source | UA |" in page
    assert re.search(r"\| ft-lora \| 2 \| head [\d,]+, lora 896 \|", page)


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "emobridge", "scan"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("emobridge: scan: Missing argument")
