import json
import time

import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance


def region(start, end, label, control="emotion", kind="labels", name="r"):
    return {
        "id": name,
        "from_name": control,
        "to_name": "audio",
        "type": kind,
        "value": {"start": start, "end": end, "channel": 0, kind: [label]},
    }


def choice(label, control="emotion"):
    return {"from_name": control, "to_name": "audio", "type": "choices", "value": {"choices": [label]}}


def task(number, audio, *annotations):
    """A task with an annotation for each (annotator, result)."""
    return {
        "id": number,
        "data": {"audio": audio},
        "annotations": [{"completed_by": annotator, "result": result} for annotator, result in annotations],
    }


@pytest.fixture
def exported(tmp_path):
    """A function that writes tasks to an export and gives its path."""

    def write(*tasks):
        path = tmp_path / "export.json"
        path.write_text(json.dumps(tasks))
        return path

    return write


def test_choices_hold_for_clips_and_labels_for_regions(exported):
    path = exported(
        task(1, "/data/upload/1/ab12cd34-clip1.wav", (7, [choice("Anger"), choice("loud", "quality")])),
        task(2, "/data/local-files/?d=wav/clip%202.wav", (7, [region(0.5, 2, "Fear"), region(2.5, 3, "Sad")])),
        task(3, "https://server/data/upload/1/clip3.wav"),
    )
    reading = import_("label-studio", path, language="en")
    rows = [(row.id, row.start, row.end, row.emotion) for row in reading]
    folder = path.parent
    assert rows == [
        ("clip1", 0.0, None, "anger"),
        ("wav/clip 2@0.5", 0.5, 2.0, "fear"),
        ("wav/clip 2@2.5", 2.5, 3.0, "sadness"),
        ("clip3", 0.0, None, None),
    ]
    paths = [row.path for row in import_("label-studio", path)]
    assert paths == [str(folder / name) for name in ("clip1.wav", "wav/clip 2.wav", "wav/clip 2.wav", "clip3.wav")]


def test_an_uploaded_file_is_looked_for_with_and_without_its_prefix(exported, tmp_path):
    path = exported(task(1, "/data/upload/1/ab12cd34-clip.wav", (7, [choice("Anger")])))
    for name in ("clip.wav", "ab12cd34-clip.wav", "upload/1/ab12cd34-clip.wav"):
        (tmp_path / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "media" / name).touch()
        (row,) = import_("label-studio", path, root=str(tmp_path / "media"))
        assert row.path == str(tmp_path / "media" / name)
    plain = exported(task(1, "/data/upload/1/dead-clip.wav", (7, [choice("Anger")])))
    (row,) = import_("label-studio", plain)
    assert row.path == str(tmp_path / "dead-clip.wav"), "no prefix of Label Studio, which has eight characters"


@pytest.mark.parametrize(
    ("annotators", "emotions", "lines"),
    [
        ("first", ["anger", "fear"], ["labels on which annotators disagree (first counts): 2"]),
        ("majority", ["sadness", None], ["labels on which annotators disagree (majority counts): 2", "ties"]),
        ("2", ["sadness", "sadness"], []),
        ("b@c.org", ["sadness", None], []),
    ],
)
def test_whose_label_counts_is_an_option(exported, annotators, emotions, lines):
    person = {"id": 9, "email": "b@c.org"}
    path = exported(
        task(
            1,
            "a.wav",
            (1, [choice("Anger")]),
            (2, [choice("Sad")]),
            (
                person,
                [
                    choice("Sadness"),
                ],
            ),
        ),
        task(2, "b.wav", (1, [choice("Fear")]), (2, [choice("Sad")])),
    )
    reading = import_("label-studio", path, annotators=annotators, labels="Sadness=sadness,Sad=sadness")
    if annotators == "majority":
        path.write_text(path.read_text().replace('"Sadness"', '"Sad"'))
        reading = import_("label-studio", path, annotators=annotators)
    assert [row.emotion for row in reading] == emotions
    notes = reading.intake.notes
    assert len(notes) == len(lines)
    assert all(note.startswith(line) for note, line in zip(notes, lines, strict=True))


def test_regions_of_two_annotators_vote_where_they_overlap(exported):
    path = exported(
        task(
            1,
            "a.wav",
            (1, [region(1, 3, "Anger"), region(5, 6, "Fear")]),
            (2, [region(0.9, 3.1, "Sad"), region(7, 8, "Happy")]),
            (3, [region(1.1, 3, "Sad")]),
        )
    )
    reading = import_("label-studio", path, annotators="majority")
    assert [(row.start, row.end, row.emotion) for row in reading] == [(1.0, 3.0, "sadness"), (5.0, 6.0, "fear")]
    assert "none of the first's, left out: 1" in "\n".join(reading.lines())


def test_what_is_left_out_is_counted(exported):
    skipped = task(1, "a.wav", (1, [choice("Anger")]))
    skipped["annotations"][0]["was_cancelled"] = True
    both = task(2, "b.wav", (1, [{"from_name": "emotion", "value": {"choices": ["Anger", "Sad"]}}]))
    bare = task(3, "c.wav", (1, [region(0, 1, "Anger"), region(1, 2, "anna", "speaker")]))
    reading = import_("label-studio", exported(skipped, both, bare))
    assert [(row.emotion, row.start, row.speaker) for row in reading] == [
        (None, 0.0, None),
        (None, 0.0, None),
        ("anger", 0.0, None),
    ]
    notes = "\n".join(reading.lines())
    for line in ("annotations that were skipped: 1", "several labels at once, taken for none: 1", "regions without a"):
        assert line in notes


def test_a_region_may_have_a_speaker_and_a_transcription(exported):
    result = [region(0.5, 2, "Anger"), region(0.5, 2, "anna", "speaker")]
    result.append({"from_name": "text", "type": "textarea", "value": {"start": 0.5, "end": 2, "text": ["go", "away"]}})
    (row,) = import_("label-studio", exported(task(1, "a.wav", (1, result))))
    assert (row.emotion, row.speaker, row.text) == ("anger", "anna", "go away")


def test_json_min_and_csv(tmp_path):
    path = tmp_path / "min.json"
    labels = [{"start": 0.5, "end": 2.0, "channel": 0, "labels": ["Anger"]}]
    rows = [{"audio": "a.wav", "id": 1, "emotion": "Anger", "annotator": 1}, {"audio": "b.wav", "id": 2}]
    path.write_text(json.dumps([*rows, {"audio": "c.wav", "id": 3, "emotion": labels}]))
    assert [(row.id, row.end, row.emotion) for row in import_("label-studio", path)] == [
        ("a", None, "anger"),
        ("b", None, None),
        ("c@0.5", 2.0, "anger"),
    ]
    table = tmp_path / "table.csv"
    table.write_text(
        "annotation_id,annotator,audio,emotion,id\n"
        "1,1,/data/upload/1/ab12cd34-clip1.wav,Anger,1\n"
        '2,2,/data/upload/1/ab12cd34-clip1.wav,"{""choices"": [""Sadness""]}",1\n'
        "3,1,/data/local-files/?d=wav/clip2.wav,Happy,2\n"
    )
    reading = import_("label-studio", table)
    assert [(row.id, row.emotion) for row in reading] == [("clip1", "anger"), ("wav/clip2", "happiness")]
    assert "disagree (first counts): 1" in reading.intake.notes[0]
    assert [row.emotion for row in import_("label-studio", table, annotators="2")] == ["sadness", None]


def test_tasks_of_the_same_number_stay_apart(tmp_path):
    rows = [{"audio": f"{name}.wav", "id": 1, "emotion": "Anger", "speaker": "s", "note": ""} for name in "ab"]
    (tmp_path / "min.json").write_text(json.dumps(rows))
    reading = import_("label-studio", tmp_path / "min.json")
    assert [(row.id, row.speaker) for row in reading] == [("a", "s"), ("b", "s")]
    assert "key 'note', ignored: 2" in reading.intake.notes[0]


def test_mistakes_are_named(exported, clips):
    for tasks, options, message in (
        ((task(4, "a.wav", (1, [choice("angr")])),), {}, r"export\.json: task 4: unknown emotion label 'angr'"),
        (({"id": 4, "data": {"x": "y"}},), {}, r"task 4: no recording in its data \(x\)"),
        (({"id": 4, "data": []},), {}, r"task 4: 'data' is a list; expected an object"),
        ((task(4, "a.wav", (1, [choice("a", "x"), choice("b", "y")])),), {}, r"emotion=\.\.\. \(x, y\)"),
        ((task(4, "a.wav", (1, [choice("a", "x")])),), {"emotion": "z"}, "unknown control 'z'"),
        ((task(4, "a.wav", (1, [choice("a")])),), {"annotators": "majorty"}, "did you mean 'majority'"),
        ((task(4, clips[0], (1, [region(0.5, 2, "Anger")])),), {}, r"'end' is 2 s, after the end of .*a\.wav"),
        ((task(4, "a.wav", (1, [region(2, 1, "Anger")])),), {}, "expected more than 'start'"),
        (("a",), {}, "export.json:1: expected a JSON object"),
        ((), {}, "no tasks"),
    ):
        with pytest.raises(UserError, match=message):
            list(import_("label-studio", exported(*tasks), **options))


def test_tasks_are_written_for_import(tmp_path, clips):
    folder = clips[0].rsplit("/", 1)[0]
    rows = [
        Utterance("1", "calls", clips[0], emotion="anger", speaker="s"),
        Utterance("2", "calls", clips[1], start=0.25, end=0.75, emotion="fear"),
        Utterance("3", "calls", clips[2]),
    ]
    path = tmp_path / "tasks.json"
    with pytest.raises(UserError, match=r"'1': .*a\.wav is outside .*document_root=\.\.\."):
        export("label-studio", path, rows)
    export("label-studio", path, rows, document_root=folder)
    first, second, third = json.loads(path.read_text())
    assert first["data"] | {"path": ""} == {
        "audio": "/data/local-files/?d=a.wav",
        "path": "",
        "id": "1",
        "corpus": "calls",
        "speaker": "s",
        "start": 0.0,
    }
    assert first["annotations"][0]["result"][0]["value"] == {"start": 0.0, "end": 1.0, "labels": ["anger"]}
    assert second["data"]["audio"] == "/data/local-files/?d=b%20c.wav"
    assert third["annotations"] == []
    assert list(import_("label-studio", path)) == rows


@pytest.mark.slow
def test_many_regions_of_two_annotators_take_linear_time(exported):
    many = [region(second, second + 0.5, "Anger") for second in range(20_000)]
    path = exported(task(1, "a.wav", (1, many), (2, many)))
    started = time.process_time()
    assert len(list(import_("label-studio", path))) == 20_000
    assert time.process_time() - started < 10
