"""EmoBox and SERAB from end to end, on tiny copies in the layouts of their distributions."""

from __future__ import annotations

import json

import pytest

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


@pytest.fixture
def emobox(tmp_path, noise):
    """A checkout of EmoBox: EMO-DB with two folds that share speakers, URDU with one that does not, CASIA unheard."""
    root = tmp_path / "EmoBox"
    ours = {"anger": "Angry", "happiness": "Happy", "neutral": "Neutral", "sadness": "Sad"}
    for name, folds in (("emodb", 2), ("urdu", 1), ("casia", 1)):
        folder = root / "data" / name
        rows, speakers = [], []
        for emotion in EMOTIONS:
            for number in range(8):
                key, wav = f"{name}-{emotion}{number}", f"downloads/{name}/{emotion}{number}.wav"
                if name != "casia":
                    noise(root / wav, emotion)
                rows.append({"key": key, "dataset": name, "wav": wav, "type": "raw", "emo": emotion[:3], "length": 0.2})
                speakers.append(f"{key} 1 s{number % 4} 0 0.2 <id={key}> {emotion[:3]}\n")
        folder.mkdir(parents=True)
        (folder / "label_map.json").write_text(json.dumps({emotion[:3]: word for emotion, word in ours.items()}))
        (folder / "data.seg.wrd.stm").write_text("".join(speakers))
        unlisted = [{**rows[0], "key": f"{name}-more"}] if name == "urdu" else []
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows + unlisted))
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


def test_emobox_with_its_own_folds(run_recipe, emobox, short, tmp_path):
    recipe = short(
        "emobox", (r"encoders = \[.*", 'encoders = ["logmel"]'), ("epochs = 100", "epochs = 2"), ("= 3$", "= 1")
    )
    out = tmp_path / "out"
    ran, rows = run_recipe(recipe, emobox, out, "--other-sizes")
    assert ran.code == 0, ran.err
    rows = {(row["corpus"], row["measure"]): row for row in rows}
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
    page = (out / "recipe.md").read_text(encoding="utf-8")
    assert "urdu: left out 1 utterance in none of its folds" in page
    probe = (out / "probe.md").read_text(encoding="utf-8")
    assert "2 predefined folds of emodb (of 2) share speakers between training and test" in probe
    again, same = run_recipe(recipe, emobox, out, "--other-sizes")
    assert again.code == 0 and rows == {(row["corpus"], row["measure"]): row for row in same}


def test_emobox_beside_its_numbers(run_recipe, emobox, short, tmp_path, source):
    changes = ((r"encoders = \[.*", 'encoders = ["hubert-base"]'), ("epochs = 100", "epochs = 1"), ("= 3$", "= 1"))
    recipe = short("emobox", *changes)
    encoder = ("--encoder", f"hubert-base={source('hubert-base')}", "--only", "corpora=urdu")
    ran, rows = run_recipe(recipe, emobox, tmp_path / "out", "--other-sizes", *encoder)
    assert ran.code == 0, ran.err
    printed = {row["measure"]: row["published"] for row in rows}
    assert printed == {"UA": "", "WA": "88.41 (frozen features)", "F1 macro": ""}


def test_serab_splits_each_corpus_once(run_recipe, short, tmp_path, noise):
    """EMO-DB and EMOVO as they are distributed, with the speakers of all and few clips of each."""
    data = tmp_path / "data"
    letters = {"anger": "W", "happiness": "F", "neutral": "N", "sadness": "T"}
    words = {"anger": "rab", "happiness": "gio", "neutral": "neu", "sadness": "tri"}
    for emotion in EMOTIONS:
        for speaker in ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"):
            noise(data / "EmoDB" / "wav" / f"{speaker}a01{letters[emotion]}a.wav", emotion)
        for speaker in ("f1", "f2", "f3", "m1", "m2", "m3"):
            noise(data / "emovo" / speaker / f"{words[emotion]}-{speaker}-b1.wav", emotion)
    changes = (
        (r"^encoders = \[.*", 'encoders = ["logmel"]'),
        ("epochs = 100", "epochs = 3"),
        ("seeds = 3", "seeds = 2"),
    )
    ran, rows = run_recipe(short("serab", *changes), data, tmp_path / "out", "--other-sizes")
    assert ran.code == 0, ran.err
    rows = {(row["corpus"], row["measure"]): row for row in rows}
    assert set(rows) == {(corpus, measure) for corpus in ("emodb", "emovo") for measure in ("UA", "WA")}
    assert (rows["emodb", "WA"]["n"], rows["emovo", "WA"]["n"]) == ("8", "8"), "two of ten speakers, two of six"
    assert {row["split"] for row in rows.values()} == {"SERAB's by speaker"}
    page = (tmp_path / "out" / "recipe.md").read_text(encoding="utf-8")
    assert "No published number is stored for this recipe" in page
    assert "corpus shemo: " in page and "study iem4: none of its corpora is here" in page
    assert "corpus emodb: not as many utterances as published: utterances: expected 535, found 40" in page


@pytest.mark.slow
def test_cameo_within_each_corpus(run_recipe, cameo, short, tmp_path):
    changes = ((r"^encoders = .*", 'encoders = ["logmel"]'), ("epochs = 100", "epochs = 2"), ("seeds = 3", "seeds = 1"))
    recipe = short("cameo-within", *changes, ("folds = 5", "folds = 4"), (r'"none", "speaker"', '"none"'))
    ran, rows = run_recipe(recipe, cameo, tmp_path / "out", "--other-sizes", "--jobs", "2")
    assert ran.code == 0, ran.err
    assert {row["corpus"] for row in rows} == {"cameo-cafe", "cameo-crema-d", "cameo-nemo"}
    assert {row["n"] for row in rows} == {"32"}, "sarcasm is none of the labels"
    missing = "\n".join(ran.complaints)
    assert f"corpus cameo-emns: {cameo / 'emns'}: no such folder or manifest" in missing
    assert "has no speaker, by whom labelled speech is split" in missing, "RESD"
