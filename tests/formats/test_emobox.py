import json

import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance

ROW = (
    '{"key": "%s", "dataset": "%s", "wav": "%s", "type": "raw", "sample_rate": 16000, "num_frame": 30045.0, '
    '"task": "category", "length": 1.8778125, "emo": "%s", "channel": 1%s}\n'
)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def checkout(tmp_path):
    """Three data sets as EmoBox has them: of EMO-DB two clips, of IEMOCAP one, of PAVOQUE a stretch."""
    data = tmp_path / "EmoBox" / "data"
    first = ROW % ("emodb-03a01Wa", "emodb", "downloads/emodb/wav/03a01Wa.wav", "anger", "")
    second = ROW % ("emodb-08a02La", "emodb", "downloads/emodb/wav/08a02La.wav", "boredem", "")
    write(data / "emodb" / "emodb.jsonl", first + second)
    write(data / "emodb" / "fold_1" / "emodb_train_fold_1.jsonl", first)
    write(data / "emodb" / "fold_1" / "emodb_test_fold_1.jsonl", second)
    write(data / "emodb" / "label_map.json", '{"anger": "Angry", "boredem": "Boredom"}')
    write(
        data / "emodb" / "data.seg.wrd.stm",
        "emodb-03a01Wa 1 male_03 0 1.8778125 <id=emodb-03a01Wa,lang=en,spk=male_03,emotion=anger> anger\n"
        "emodb-08a02La 1 female_08 0 1.73375 <id=emodb-08a02La,lang=en,spk=female_08,emotion=boredem> boredem\n",
    )
    clip = "Ses01F_script02_2_M000"
    wav = f"downloads/iemocap/Session1/sentences/wav/Ses01F_script02_2/{clip}.wav"
    entry = {"wav": wav, "length": 2.1, "emo": "exc", "dataset": "iemocap", "channel": 1}
    write(data / "iemocap" / "iemocap.json", json.dumps({f"iemocap-{clip}": entry}, indent=4))
    write(data / "iemocap" / "label_map.json", '{"exc": "Happy"}')
    write(data / "iemocap" / "data.seg.wrd.stm", f"iemocap-{clip} 1 Ses01F 0 2.1 <lang=en> exc\n")
    stretch = ROW % ("pavoque-1", "pavoque", "downloads/p.wav", "sad", ', "start_time": 0.5, "end_time": 2.0')
    write(data / "pavoque" / "pavoque.jsonl", stretch)
    return tmp_path / "EmoBox"


def test_a_data_set(checkout):
    first, second = import_("emobox", checkout / "data" / "emodb")
    assert (first.id, first.corpus, first.emotion, second.emotion) == ("emodb-03a01Wa", "emodb", "anger", "boredom")
    assert first.path == str(checkout / "downloads/emodb/wav/03a01Wa.wav")
    assert (first.speaker, second.speaker, first.split) == ("male_03", "female_08", None)
    assert first.language == "de", "lang=en is said of every data set and is not to be believed"


def test_all_data_sets_with_the_speakers_of_iemocap_from_the_names(checkout):
    rows = {row.corpus: row for row in import_("emobox", checkout / "data", language="isiXhosa", root="/r")}
    assert sorted(rows) == ["emodb", "iemocap", "pavoque"]
    assert {row.language for row in rows.values()} == {"xh"}
    turn = rows["iemocap"]
    assert (turn.emotion, turn.speaker) == ("happiness", "Ses01M"), "a man in a scene recorded with the woman's markers"
    assert (rows["pavoque"].start, rows["pavoque"].end, rows["pavoque"].path) == (0.5, 2.0, "/r/downloads/p.wav")
    (other,) = import_("emobox", checkout / "data" / "iemocap", labels="exc=other")
    assert (other.emotion, other.language) == ("other", "en")


def test_folds_have_splits(checkout):
    rows = list(import_("emobox", checkout / "data" / "emodb", fold=1))
    assert [row.split for row in rows] == ["train", "test"]
    (alone,) = import_("emobox", checkout / "data" / "emodb" / "fold_1" / "emodb_test_fold_1.jsonl")
    assert (alone.split, alone.emotion, alone.speaker) == ("test", "boredom", "female_08")
    with pytest.raises(UserError, match=r"emodb_train_fold_7\.jsonl: no such file \(folds that are there: fold_1\)"):
        list(import_("emobox", checkout / "data" / "emodb", fold=7))


def test_mistakes_name_file_and_row(checkout):
    emodb = checkout / "data" / "emodb"
    (emodb / "label_map.json").unlink()
    with pytest.raises(
        UserError, match=r"emodb\.jsonl:2: unknown emotion label 'boredem' \(1, did you mean 'boredom'\?\)"
    ):
        list(import_("emobox", emodb))
    for text, message in (
        ("{\n", r"emodb\.jsonl:1: not valid JSON"),
        ("\n[]\n", r"emodb\.jsonl:2: expected a JSON object"),
        ('{"key": "a", "audio": "a.wav"}', r"emodb\.jsonl:1: no 'wav' \(there are key, audio\)"),
    ):
        write(emodb / "emodb.jsonl", text)
        with pytest.raises(UserError, match=message):
            list(import_("emobox", emodb))
    write(checkout / "data" / "iemocap" / "iemocap.json", '{"k": {"wav": "a.wav", "emo": "gloom"}}')
    with pytest.raises(UserError, match=r"iemocap\.json:k: unknown emotion label 'gloom'"):
        list(import_("emobox", checkout / "data" / "iemocap"))
    with pytest.raises(UserError, match="no data set of EmoBox"):
        list(import_("emobox", emodb / "fold_1"))


def test_it_is_written_as_emobox_writes_it(tmp_path, clips):
    data = tmp_path / "data"
    rows = [
        Utterance("a", "one", clips[0], speaker="s", emotion="anger", split="validation", language="de"),
        Utterance("b", "two", clips[1], start=0.25, emotion="calm"),
    ]
    assert export("emobox", data, rows).lost == ("language",)
    (line,) = (data / "one" / "fold_1" / "one_valid_fold_1.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert list(row) == [
        "key",
        "dataset",
        "wav",
        "type",
        "sample_rate",
        "num_frame",
        "task",
        "length",
        "emo",
        "channel",
    ]
    assert (row["sample_rate"], row["num_frame"], row["length"], row["wav"]) == (8000, 8000.0, 1.0, clips[0])
    assert json.loads((data / "one" / "label_map.json").read_text()) == {"anger": "Angry"}
    assert (data / "one" / "data.seg.wrd.stm").read_text() == ("a 1 s 0 1 <id=a,lang=de,spk=s,emotion=anger> anger\n")
    written = json.loads((data / "two" / "two.json").read_text())
    assert written["b"]["start_time"] == 0.25 and written["b"]["end_time"] == 1.0 and written["b"]["length"] == 0.75
    assert not (data / "two" / "fold_1").exists()
    assert {row.id for row in import_("emobox", data)} == {"a", "b"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"emotion": None}, "'a' has no emotion"),
        ({"corpus": "../up"}, "cannot be the name of a folder"),
        ({"speaker": "John Doe"}, "'John Doe' has a space"),
        ({"path": "/nowhere/a.wav"}, "/nowhere/a.wav: no such file"),
    ],
)
def test_what_emobox_cannot_hold_is_refused(tmp_path, clips, changed, message):
    row = Utterance(**({"id": "a", "corpus": "c", "path": clips[0], "emotion": "anger"} | changed))
    with pytest.raises(UserError, match=message):
        export("emobox", tmp_path / "data", [row])
    assert list(tmp_path.iterdir()) == []


def test_the_map_of_emovo_has_another_name(checkout):
    emovo = checkout / "data" / "emovo"
    write(emovo / "emovo.jsonl", ROW % ("emovo-1", "emovo", "downloads/emovo/gio-f1-b1.wav", "gio", ""))
    write(emovo / "label_dict.json", '{"gio": "Happy"}')
    (row,) = import_("emobox", emovo)
    assert (row.emotion, row.language) == ("happiness", "it")


def test_speakers_that_are_not_known_are_told(checkout):
    mer = checkout / "data" / "mer2023"
    write(mer / "mer2023.jsonl", ROW % ("mer2023-sample_01", "mer2023", "downloads/1.wav", "sad", ""))
    write(mer / "data.seg.wrd.stm", "mer2023-sample_01 1 sample_01 0 1 <spk=sample_01> sad\n")
    (row,) = import_("emobox", mer)
    assert row.speaker is None, "each clip has a speaker of its own there"
    (mer / "data.seg.wrd.stm").unlink()
    reading = import_("emobox", mer)
    list(reading)
    assert f"data sets without data.seg.wrd.stm, so that their speakers are not known: 1 (the first: {mer})" in (
        reading.lines()
    )


@pytest.mark.parametrize(
    ("config", "language"),
    [
        ("language = polish", "pl"),
        ("language = mix # chinese and english", "und"),
        ("language=Urdu", "ur"),
        ("", "und"),
    ],
)
def test_the_language_of_other_sets_is_in_their_configuration(checkout, config, language):
    folder = checkout / "data" / "fables"
    write(folder / "fables.jsonl", ROW % ("fables-1", "fables", "a.wav", "sad", ""))
    write(folder / "corpus.cfg", f"[Corpus]\nname = fables\n{config}\nbase = data/fables\n")
    (row,) = import_("emobox", folder)
    assert row.language == language


def test_missing_and_further_files_of_a_fold_are_named(checkout):
    fold = checkout / "data" / "emodb" / "fold_1"
    (fold / "emodb_train_fold_1.jsonl").unlink()
    write(fold / "emodb_test2_fold_1.jsonl", "")
    reading = import_("emobox", checkout / "data" / "emodb", fold=1)
    assert [row.split for row in reading] == ["test"]
    assert reading.intake.notes == [
        f"no file of the split train: 1 (the first: {fold}/emodb_train_fold_1.jsonl)",
        f"files of other splits, not read: 1 (the first: {fold}/emodb_test2_fold_1)",
    ]
    (checkout / "data" / "emodb" / "emodb.jsonl").unlink()
    with pytest.raises(UserError, match=r"folds that are there: fold_1, which fold=1 reads"):
        list(import_("emobox", checkout / "data" / "emodb"))
