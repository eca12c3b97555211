"""CAMEO, EmoBox and SERAB from end to end, on tiny copies in the layouts of their distributions."""

from __future__ import annotations

import csv
import json
import re
from importlib import resources

import numpy as np
import pytest
import soundfile

LOUD = {"anger": 0.5, "happiness": 0.3, "neutral": 0.1, "sadness": 0.03}
HEADER = "file_id,emotion,transcription,speaker_id,gender,age,dataset,language,license\n"


@pytest.fixture
def noise():
    """A function that writes a fifth of a second of noise, as loud as an emotion is, to a path."""
    rng = np.random.default_rng(0)

    def write(path, emotion):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, LOUD[emotion] * rng.standard_normal(3200), 16000)

    return write


@pytest.fixture
def short(tmp_path):
    """A function that writes a recipe with other text in places, as a file of the same name, and returns its path."""

    def write(name, *changes):
        text = (resources.files("emobridge.recipes") / f"{name}.toml").read_text(encoding="utf-8")
        for old, new in changes:
            text, count = re.subn(old, new, text, flags=re.MULTILINE)
            assert count, old
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        return tmp_path / f"{name}.toml"

    return write


def run(cli, recipe, data, out, *more):
    return cli("recipe", "run", recipe, "--data", data, "--out", out, "--store", out / "features", *more)


def rows_of(out):
    with (out / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def cameo(tmp_path, noise):
    """CAMEO with three languages of four speakers; of a fourth the speakers are not known."""
    root = tmp_path / "CAMEO"
    corpora = {"cafe": ("CaFE", "French"), "crema_d": ("CREMA-D", "English"), "nemo": ("nEMO", "Polish")}
    for folder, (name, language) in (corpora | {"resd": ("RESD", "Russian")}).items():
        lines = [HEADER]
        for emotion in LOUD:
            for number in range(8):
                file = f"{folder}{emotion}{number}.flac"
                noise(root / folder / file, emotion)
                speaker = "" if folder == "resd" else f"{folder}_{number % 4}"
                lines.append(f"{file},{emotion},,{speaker},,,{name},{language},MIT\n")
        lines.append(lines[-1].replace(emotion, "sarcasm").replace("7.flac", "8.flac"))
        noise(root / folder / lines[-1].partition(",")[0], "anger")
        (root / folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return root


FAST = (
    ("whisper-base", "logmel"),
    (r'layer = "2\+3\+4"', 'layer = "0"'),
    ("seeds = 3", "seeds = 1"),
    ("folds = 5", "folds = 2"),
    (r'labels = \["anger", "fear".*', 'labels = ["anger", "happiness", "neutral", "sadness"]'),
    (r"^(fear|surprise) = .*\n", ""),
)


def test_cameo_leaves_each_language_out(cli, cameo, short, tmp_path):
    recipe = short("cameo", *FAST)
    out = tmp_path / "out"
    refused = run(cli, recipe, cameo, out)
    assert refused.code == 2 and any("--other-sizes runs it all the same" in line for line in refused.complaints)
    ran = run(cli, recipe, cameo, out, "--other-sizes")
    assert ran.code == 0, ran.err
    rows = rows_of(out)
    assert {row["target"] for row in rows} == {"cameo-en", "cameo-fr", "cameo-pl"}
    assert {row["method"] for row in rows} == {"source-only", "blend"}
    assert {row["measure"] for row in rows} == {"UA", "WA", "F1 macro"}
    for row in rows:
        language = row["target"].removeprefix("cameo-")
        own = {"en": "cameo-crema-d", "fr": "cameo-cafe", "pl": "cameo-nemo"}
        assert set(row["source"].split("+")) == set(own.values()) - {own[language]}, "speakers unknown: no source"
        assert int(row["target_n"]) == 32, "every labelled clip once; sarcasm is none of the labels"
        assert float(row["target_low"]) <= float(row["target_value"]) <= float(row["target_high"])
    missing = "\n".join(ran.complaints)
    for line in (
        "corpus cameo-bn: ",
        "corpus cameo-ru: no source here, for some of its speakers are not known",
        "corpus cameo-pl: not as many utterances as published: anger: expected 749, found 8",
        "it runs all the same",
    ):
        assert line in missing
    assert re.search(r"corpus cameo-ru: .*has no speaker", missing), "nor can it be a target"
    page = (out / "recipe.md").read_text(encoding="utf-8")
    assert "cameo-pl: 33 of 132 utterances are in pl" in page
    assert "cameo-pl: labels as mapped: anger 8, happiness 8, neutral 8, other 1, sadness 8" in page


def test_the_baseline_of_polish_stands_beside(cli, cameo, short, tmp_path, monkeypatch):
    """The label set is the printed one; here its clips have four emotions under six names."""
    six = ("anger", "fear", "happiness", "neutral", "sadness", "surprise")
    for table in cameo.glob("*/metadata.csv"):
        lines = table.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
        named = [line.replace(line.split(",")[1], six[number % 6], 1) for number, line in enumerate(lines)]
        named = [f"{line.split(',')[0]},{six[n % 6]},{line.split(',', 2)[2]}" for n, line in enumerate(lines)]
        table.write_text(HEADER + "".join(named), encoding="utf-8")
    recipe = short("cameo", *FAST[:4])
    ran = run(cli, recipe, cameo, tmp_path / "out", "--other-sizes", "--only", "studies=six-others-to-cameo-pl")
    assert ran.code == 0, ran.err
    printed = {(row["method"], row["measure"]): row["target_published"] for row in rows_of(tmp_path / "out")}
    baseline = "Qwen2-Audio-7B-Instruct"
    for method in ("source-only", "blend"):
        assert printed[method, "F1 macro"] == f"18.29 ({baseline})" and printed[method, "WA"] == f"21.6 ({baseline})"
        assert printed[method, "UA"] == ""


@pytest.fixture
def emobox(tmp_path, noise):
    """A checkout of EmoBox: EMO-DB with two folds that share speakers, URDU with one that does not, CASIA unheard."""
    root = tmp_path / "EmoBox"
    ours = {"anger": "Angry", "happiness": "Happy", "neutral": "Neutral", "sadness": "Sad"}
    for name, folds in (("emodb", 2), ("urdu", 1), ("casia", 1)):
        folder = root / "data" / name
        rows, speakers = [], []
        for emotion in LOUD:
            for number in range(8):
                key, wav = f"{name}-{emotion}{number}", f"downloads/{name}/{emotion}{number}.wav"
                if name != "casia":
                    noise(root / wav, emotion)
                rows.append({"key": key, "dataset": name, "wav": wav, "type": "raw", "emo": emotion[:3], "length": 0.2})
                speakers.append(f"{key} 1 s{number % 4} 0 0.2 <id={key}> {emotion[:3]}\n")
        folder.mkdir(parents=True)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "label_map.json").write_text(json.dumps({emotion[:3]: word for emotion, word in ours.items()}))
        (folder / "data.seg.wrd.stm").write_text("".join(speakers))
        for fold in range(folds):
            parts = {"train": [], "test": []}
            for number, row in enumerate(rows):
                tested = number % 8 // 4 == fold if name == "emodb" else number % 4 == 3
                parts["test" if tested else "train"].append(row)
            for part, members in parts.items():
                file = folder / f"fold_{fold + 1}" / f"{name}_{part}_fold_{fold + 1}.jsonl"
                file.parent.mkdir(exist_ok=True)
                file.write_text("".join(json.dumps(row) + "\n" for row in members))
    return root


def test_emobox_with_its_own_folds(cli, emobox, short, tmp_path):
    recipe = short(
        "emobox", (r"encoders = \[.*", 'encoders = ["logmel"]'), ("epochs = 100", "epochs = 2"), ("= 3$", "= 1")
    )
    out = tmp_path / "out"
    ran = run(cli, recipe, emobox, out, "--other-sizes")
    assert ran.code == 0, ran.err
    rows = {(row["corpus"], row["measure"]): row for row in rows_of(out)}
    assert set(rows) == {(corpus, measure) for corpus in ("emodb", "urdu") for measure in ("UA", "WA", "F1 macro")}
    assert (rows["emodb", "WA"]["n"], rows["urdu", "WA"]["n"]) == ("32", "8"), "the test parts of all folds"
    assert {row["split"] for row in rows.values()} == {"predefined folds"}
    differs = rows["emodb", "WA"]["differs"]
    assert "speakers on both sides in 2 of 2 folds" in differs and "utterances: expected 535, found 32" in differs
    assert "speakers" not in rows["urdu", "WA"]["differs"]
    assert rows["urdu", "WA"]["labels"] == "anger,happiness,neutral,sadness"
    missing = "\n".join(ran.complaints)
    assert "corpus casia: none of its 32 audio files is here, such as " in missing
    assert f"corpus tess: {emobox / 'data' / 'tess'}: no such folder or manifest. Clone https://" in missing
    probe = (out / "probe.md").read_text(encoding="utf-8")
    assert "2 predefined folds of emodb (of 2) share speakers between training and test" in probe
    again = run(cli, recipe, emobox, out, "--other-sizes")
    assert again.code == 0 and rows == {(row["corpus"], row["measure"]): row for row in rows_of(out)}


def test_emobox_beside_its_numbers(cli, emobox, short, tmp_path, source):
    changes = ((r"encoders = \[.*", 'encoders = ["hubert-base"]'), ("epochs = 100", "epochs = 1"), ("= 3$", "= 1"))
    recipe = short("emobox", *changes)
    encoder = ("--encoder", f"hubert-base={source('hubert-base')}", "--only", "corpora=urdu")
    ran = run(cli, recipe, emobox, tmp_path / "out", "--other-sizes", *encoder)
    assert ran.code == 0, ran.err
    printed = {row["measure"]: row["published"] for row in rows_of(tmp_path / "out")}
    assert printed == {"UA": "", "WA": "88.41 (frozen features)", "F1 macro": ""}


def test_serab_splits_each_corpus_once(cli, short, tmp_path, noise):
    """EMO-DB and EMOVO as they are distributed, with the speakers of all and few clips of each."""
    data = tmp_path / "data"
    letters = {"anger": "W", "happiness": "F", "neutral": "N", "sadness": "T"}
    words = {"anger": "rab", "happiness": "gio", "neutral": "neu", "sadness": "tri"}
    for emotion in LOUD:
        for speaker in ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"):
            noise(data / "EmoDB" / "wav" / f"{speaker}a01{letters[emotion]}a.wav", emotion)
        for speaker in ("f1", "f2", "f3", "m1", "m2", "m3"):
            noise(data / "emovo" / speaker / f"{words[emotion]}-{speaker}-b1.wav", emotion)
    changes = (
        (r"^encoders = \[.*", 'encoders = ["logmel"]'),
        ("epochs = 100", "epochs = 3"),
        ("seeds = 3", "seeds = 2"),
    )
    ran = run(cli, short("serab", *changes), data, tmp_path / "out", "--other-sizes")
    assert ran.code == 0, ran.err
    rows = {(row["corpus"], row["measure"]): row for row in rows_of(tmp_path / "out")}
    assert set(rows) == {(corpus, measure) for corpus in ("emodb", "emovo") for measure in ("UA", "WA")}
    assert (rows["emodb", "WA"]["n"], rows["emovo", "WA"]["n"]) == ("8", "8"), "two of ten speakers, two of six"
    assert {row["split"] for row in rows.values()} == {"SERAB's by speaker"}
    page = (tmp_path / "out" / "recipe.md").read_text(encoding="utf-8")
    assert "No published number is stored for this recipe" in page
    assert "corpus shemo: " in page and "study iem4: none of its corpora is here" in page
    assert "corpus emodb: not as many utterances as published: utterances: expected 535, found 40" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "recipe run: expected --data FOLDER, or --corpora FILE"),
        (("--data", "nowhere"), "nowhere: no such folder; expected one that holds the corpora of recipe serab"),
    ],
)
def test_where_the_data_is(cli, words, message):
    ran = cli("recipe", "run", "serab", *words)
    assert ran.code == 2 and message in ran.complaints[-1]
