import json

import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance


def formatted(data, replacements):
    """All text formatted with str.format_map, as SpeechBrain does with what it loads."""
    if isinstance(data, dict):
        return {key: formatted(item, replacements) for key, item in data.items()}
    return data.format_map(replacements) if isinstance(data, str) else data


def test_the_recipes_files(tmp_path):
    for number, name in enumerate(("train", "valid", "test")):
        wav = f"{{data_root}}/session1/ang/psno1_ang_s{number:03}_orgn.wav"
        entry = {f"psno1_ang_s{number:03}_orgn": {"wav": wav, "length": 1.9400625, "emo": "ang"}}
        (tmp_path / f"{name}.json").write_text(json.dumps(entry, indent=2))
    rows = list(import_("speechbrain", tmp_path, root="/data", corpus="iemocap", language="en"))
    assert [row.split for row in rows] == ["train", "validation", "test"]
    assert rows[0] == Utterance(
        "psno1_ang_s000_orgn",
        "iemocap",
        "/data/session1/ang/psno1_ang_s000_orgn.wav",
        language="en",
        emotion="anger",
        split="train",
    )
    (row,) = import_("speechbrain", tmp_path / "valid.json")
    assert row.path == str(tmp_path / "session1/ang/psno1_ang_s001_orgn.wav")
    assert (row.split, row.corpus) == ("validation", tmp_path.name)


def test_a_stretch_in_samples(tmp_path, clips):
    file = tmp_path / "all.json"
    file.write_text(json.dumps({"a": {"wav": {"file": clips[0], "start": 2000, "stop": 6000}, "length": 0.5}}))
    (row,) = import_("speechbrain", file)
    assert (row.start, row.end, row.emotion, row.split) == (0.25, 0.75, None, None)


def test_speechbrain_finds_the_audio_whatever_braces_it_has(tmp_path, clips):
    (braces,) = (clip for clip in clips if "{" in clip)
    folder = braces.rsplit("/", 1)[0]
    row = Utterance("a", "c", braces, start=0.25, end=0.75, emotion="anger", text="{data_root} }{", split="train")
    other = Utterance("b", "c", clips[0], speaker="s", split="test")
    export("speechbrain", tmp_path / "m", [row, other], data_root=folder)
    train = json.loads((tmp_path / "m" / "train.json").read_text())
    assert train["a"]["wav"]["file"] == "{data_root}/f{{g}}.wav"
    loaded = formatted(train, {"data_root": "/moved"})["a"]
    assert loaded["wav"] == {"file": "/moved/f{g}.wav", "start": 2000, "stop": 6000}
    assert (loaded["length"], loaded["emo"], loaded["text"]) == (0.5, "anger", "{data_root} }{")
    test = json.loads((tmp_path / "m" / "test.json").read_text())["b"]
    assert (test["length"], test["emo"], test["wav"]) == (1.0, None, "{data_root}/a.wav")
    assert set(test) == set(train["a"]), "SpeechBrain takes the keys of the first entry for those of all"
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == ["test.json", "train.json"]
    assert list(import_("speechbrain", tmp_path / "m", root=folder)) == [row, other]


def test_mistakes_are_named(tmp_path, clips):
    file = tmp_path / "m.json"
    for content, message in (
        ({"k": {"wav": "{root}/a.wav"}}, r"m\.json:k: '{root}/a\.wav' has {root}; expected no braces but {data_root}"),
        ({"k": {"length": 1}}, r"m\.json:k: no 'wav'"),
        ({"k": {"wav": "a.wav", "emo": "fru"}}, r"m\.json:k: unknown emotion label 'fru'"),
        ({"k": {"wav": {"files": ["a.wav"]}}}, r"m\.json:k: 'wav': no 'file' \(there are files\)"),
        ({}, "no utterances"),
    ):
        file.write_text(json.dumps(content))
        with pytest.raises(UserError, match=message):
            list(import_("speechbrain", file))
    with pytest.raises(UserError, match=r"none of train\.json, valid\.json, test\.json"):
        list(import_("speechbrain", tmp_path))
    with pytest.raises(UserError, match="'a' is in no split"):
        export("speechbrain", tmp_path / "m", [Utterance("a", "c", clips[0])])
    with pytest.raises(UserError, match="no such file"):
        export("speechbrain", tmp_path / "n.json", [Utterance("a", "c", "/nowhere.wav")])
    assert not (tmp_path / "n.json").exists()


def test_the_speaker_of_a_clip_of_iemocap_is_in_its_name(tmp_path):
    wav = "/data/IEMOCAP/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_{}.wav"
    content = {name: {"wav": wav.format(name), "length": 2.0, "emo": "neu"} for name in ("F000", "M001")}
    (tmp_path / "train.json").write_text(json.dumps(content))
    rows = list(import_("speechbrain", tmp_path / "train.json"))
    assert [row.speaker for row in rows] == ["Ses01F", "Ses01M"]


def test_the_stretches_of_zed_keep_their_ends(tmp_path):
    emotion = [{"emo": "angry", "start": 1.0, "end": 2.0}, {"emo": "sad", "start": 1234.561, "end": 1234.9}]
    entry = {"wav": "{data_root}/z1.wav", "duration": 5.0, "emotion": emotion, "transcription": "x"}
    (tmp_path / "zed.json").write_text(json.dumps({"z1": entry}))
    reading = import_("speechbrain", tmp_path / "zed.json", root="/data")
    assert [(row.id, row.path, row.start, row.end, row.emotion, row.text) for row in reading] == [
        ("z1@1", "/data/z1.wav", 1.0, 2.0, "anger", "x"),
        ("z1@1234.561", "/data/z1.wav", 1234.561, 1234.9, "sadness", "x"),
    ]
    assert "recordings of which only the stretches with an emotion are read: 1" in reading.intake.notes[0]


@pytest.mark.parametrize("split", ["Train", "TRAIN", "train", "dev"])
def test_splits_in_any_case(tmp_path, split):
    (tmp_path / "m.json").write_text(json.dumps({"a": {"wav": "a.wav", "split": split}}))
    (row,) = import_("speechbrain", tmp_path / "m.json")
    assert row.split == ("validation" if split == "dev" else "train")


def test_keys_of_other_names_are_read_or_ignored_aloud(tmp_path):
    entry = {"wav": "a.wav", "length": 1, "emotion": "sad", "spk_id": 7, "label": "x", "hosts": []}
    (tmp_path / "m.json").write_text(json.dumps({"a": entry}))
    reading = import_("speechbrain", tmp_path / "m.json")
    (row,) = reading
    assert (row.emotion, row.speaker) == ("sadness", "7")
    first = f"(the first: {tmp_path}/m.json:a)"
    assert sorted(reading.intake.notes) == [
        f"key 'hosts', ignored: 1 {first}",
        f"key 'label', ignored: 1 {first}",
        f"speaker read from 'spk_id': 1 {first}",
    ]
