"""Answers from tables of webMUSHRA, jsPsych and plain CSV as these tools write them; what of them cannot be used."""

from __future__ import annotations

import json

import pytest
from listening_studies import tiny_study

from emobridge.errors import UserError
from emobridge.listening.answer_tables import table_answers
from emobridge.listening.export import as_csv
from emobridge.listening.records import Listener, Response
from emobridge.listening.responses import read_answers

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


@pytest.fixture
def items(tmp_path):
    path = tmp_path / "items.jsonl"
    rows = [
        {"id": f"a{number}", "path": f"stimuli/a{number}.wav", "corpus": "emodb", "language": "de", "emotion": emotion}
        for number, emotion in enumerate(EMOTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(tmp_path, items, text, name="answers.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return read_answers(path, items, **options)


def triples(answers):
    return [(response.listener, response.item, response.emotion) for response in answers.responses]


# webMUSHRA: service/write.php. The columns of participants are the questions of the configuration.
LSS = """session_test_id,email,mother_tongue,trial_id,stimuli_rating,stimuli,rating_time
emotions,x@mail.org,German,trial1,anger,a0,5012
emotions,x@mail.org,German,trial2,"happiness",a1,3100
emotions,y@mail.org,zh,trial1,Trauer,a0,4000
emotions,y@mail.org,zh,a2,neutral,C1,4000
"""


def test_web_mushra(tmp_path, items):
    answers = read(tmp_path, items, LSS, "lss.csv")
    assert triples(answers) == [
        ("L1", "a0", "anger"), ("L1", "a1", "happiness"), ("L2", "a0", "sadness"), ("L2", "a2", "neutral"),
    ]  # fmt: skip
    assert [listener.native for listener in answers.listeners] == ["de", "zh"] and not answers.notes
    assert "mail.org" not in repr([answers.listeners, answers.responses, answers.notes])


def test_web_mushra_of_an_older_version_has_spaces_around_ratings(tmp_path, items):
    text = "session_test_id,email,age,gender,trial_id,stimuli_rating,stimuli,rating_time\n"
    answers = read(tmp_path, items, text + 'e,x@a.b,30,female,t1," anger ",a0,1200\n')
    assert triples(answers) == [("L1", "a0", "anger")]


def test_web_mushra_with_several_ratings_takes_the_word(tmp_path, items):
    text = "session_test_id,name,trial_id,stimuli_rating1,stimuli_rating2,stimuli,rating_time\ne,x,t1,4,sad,a0,1200\n"
    assert triples(read(tmp_path, items, text)) == [("L1", "a0", "sadness")]


def test_web_mushra_sessions_of_people_who_are_alike(tmp_path, items):
    text = "session_test_id,age,trial_id,stimuli_rating,stimuli,rating_time\n"
    rows = ("30,t0,anger,a0", "30,t1,anger,a1", "30,t0,sad,a0", "41,t1,anger,a1")
    answers = read(tmp_path, items, text + "".join(f"e,{row},1200\n" for row in rows))
    assert [listener for listener, _, _ in triples(answers)] == ["L1", "L1", "L2", "L3"]


def test_web_mushra_scores_are_no_emotions(tmp_path, items):
    text = "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
    with pytest.raises(UserError, match=r"another kind \(rating_comment, rating_score.*expected lss.csv or lms.csv"):
        read(tmp_path, items, text + "e,1,t,a0,90,1200,\n")


# jsPsych 7 and 8: all cells in quotation marks, one participant a file; `response` is the number of the button.
JS_HEAD = '"rt","stimulus","response","trial_type","trial_index","plugin_version","time_elapsed","participant"\r\n'


def js_row(stimulus, response, index, participant="p1", kind="audio-button-response"):
    return f'"812","{stimulus}","{response}","{kind}","{index}","2.0.1","9000","{participant}"\r\n'


def test_js_psych_csv_with_numbers_of_buttons(tmp_path, items):
    text = JS_HEAD + js_row("<p>Welcome</p>", "0", 0, kind="html-button-response")
    text += js_row("stimuli/a0.wav", 3, 1) + js_row("stimuli/a1.wav", 1, 2) + js_row("stimuli/a1.wav", 0, 0, "p2")
    answers = read(tmp_path, items, text, buttons=EMOTIONS)
    assert triples(answers) == [("L1", "a0", "sadness"), ("L1", "a1", "happiness"), ("L2", "a1", "anger")]
    assert not answers.notes
    with pytest.raises(UserError, match="name them with --buttons, in their order"):
        read(tmp_path, items, text)


def test_js_psych_json_with_labels_of_buttons_and_surveys(tmp_path, items):
    rows = [
        {"trial_type": "preload", "trial_index": 0, "success": True, "time_elapsed": 3},
        {"trial_type": "audio-button-response", "trial_index": 1, "stimulus": "stimuli/a0.wav", "response": 1,
         "choices": ["angry", "sad"]},
        {"trial_type": "survey-multi-choice", "trial_index": 2, "item": "a1", "response": {"Q0": "happy"}},
        {"trial_type": "survey-html-form", "trial_index": 3, "item": "a2", "response": {"emotion": "neutral", "q": 1}},
        {"trial_type": "audio-button-response", "trial_index": 4, "stimulus": "stimuli/a3.wav", "response": None},
    ]  # fmt: skip
    answers = read(tmp_path, items, json.dumps(rows), "p1.json")
    assert triples(answers) == [("L1", "a0", "sadness"), ("L1", "a1", "happiness"), ("L1", "a2", "neutral")]
    assert [note.partition(":")[0] for note in answers.notes] == ["rows without an answer"]


def test_js_psych_6_and_a_survey_in_a_cell(tmp_path, items):
    head = '"stimulus","button_pressed","responses","trial_type","trial_index","item"\r\n'
    text = head + '"a0.wav","2","","audio-button-response","0",""\r\n'
    text += '"","","{""Q0"":""sad""}","survey-multi-choice","1","a1"\r\n'
    assert triples(read(tmp_path, items, text, buttons=EMOTIONS)) == [("L1", "a0", "neutral"), ("L1", "a1", "sadness")]


def test_js_psych_plays_what_stands_in_html(tmp_path, items):
    rows = [{"trial_type": "html-button-response", "trial_index": 0, "response": "sad",
             "stimulus": "<audio controls src='stimuli/a1.wav'></audio><p>What do you hear?</p>"}]  # fmt: skip
    assert triples(read(tmp_path, items, json.dumps(rows), "p.json")) == [("L1", "a1", "sadness")]


def test_the_export_of_our_own_server(tmp_path):
    study = tiny_study(1, languages=("de",))
    listeners = [Listener("x1", "de", "de", "de", {"languages": ("it:B2",), "english": "C1"}, "finished")]
    responses = [Response("x1", item.id, item.emotion, (0.1, 0.2), None, 1, 2.0, 0) for item in study.items]
    answers = read(tmp_path, "", as_csv(study, listeners, responses))
    assert [(item.kind, item.emotion) for item in answers.items] == [(item.kind, item.emotion) for item in study.items]
    (listener,) = answers.listeners
    assert (listener.native, listener.state, listener.answers) == ("de", "finished", listeners[0].answers)
    assert len(answers.responses) == len(responses) and not answers.notes


def test_js_psych_files_without_ids_are_a_listener_each(tmp_path, items):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("s1", "s2"):
        rows = [{"trial_type": "audio-button-response", "trial_index": 0, "stimulus": "a0.wav", "response": "angry"}]
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "empty.csv").write_text("", encoding="utf-8")
    answers = read_answers(folder, items)
    assert [listener for listener, _, _ in triples(answers)] == ["L1", "L2"]
    assert answers.notes == (f"files left out: 1 ({folder / 'empty.csv'}: is empty; expected a table of answers)",)
    with pytest.raises(UserError, match=r"empty\.csv: is empty"):
        read_answers(folder, items, strict=True)


def test_runs_in_one_js_psych_file_are_told_apart_by_their_index(tmp_path, items):
    head = '"stimulus","response","trial_type","trial_index"\n'
    rows = [f'"a{item}.wav","sad","audio-button-response","{index}"\n' for item, index in ((0, 0), (1, 1), (0, 0))]
    answers = read(tmp_path, items, head + "".join(rows))
    assert [listener for listener, _, _ in triples(answers)] == ["L1", "L1", "L2"]


PLAIN = """Participant;Stimulus;Answer;start;end;confidence;native language;languages
x@mail.org;a0.wav;Freude;0,25;1,5;0,8;German;en:C1, it
x@mail.org;stimuli/a1.wav;ärgerlich;2;1;7;German;
x@mail.org;a2;;;;;German;
"""


def test_a_plain_table_with_segments(tmp_path, items):
    answers = read(tmp_path, items, PLAIN)
    first, second = answers.responses
    assert (first.emotion, first.segment, first.confidence) == ("happiness", (0.25, 1.5), 0.8)
    assert (second.emotion, second.segment, second.confidence) == ("anger", None, None)
    (listener,) = answers.listeners
    assert (listener.native, listener.group, listener.answers) == ("de", "de", {"languages": ("en:C1", "it")})
    assert [note.partition(":")[0] for note in answers.notes] == [
        "marked stretches that do not end after their start", "confidences that are not from 0 to 1",
        "rows without an answer",
    ]  # fmt: skip


def test_what_cannot_be_used_is_counted_and_named(tmp_path, items):
    rows = ["a,a0,anger", "a,a0,sadness", "a,b9.wav,anger", "a,a1x,anger", "a,a2,angst", "a,a3,joyfull", ",a1,anger"]
    answers = read(tmp_path, items, "listener,item,emotion\n" + "".join(f"{row}\n" for row in rows))
    assert triples(answers) == [("L1", "a0", "anger"), ("L1", "a2", "fear")]
    path = tmp_path / "answers.csv"
    assert answers.notes == (
        f"second answers of a listener to an item, of which the first counts: 1 ({path}:3)",
        "answers to recordings that are no items: 2 ('b9.wav', 'a1x', perhaps 'a1')",
        "answers that are no emotion: 1 ('joyfull': did you mean 'joyful' (happiness)?)",
        f"answers without a listener: 1 ({path}:8)",
    )


def test_names_that_two_items_share_are_no_names(tmp_path):
    rows = [{"id": name, "path": f"{name}/x.wav", "corpus": "c", "emotion": "anger"} for name in ("a", "b")]
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(UserError, match=r"no answer can be used: answers to recordings that are no items: 1 \('x.wav'"):
        read(tmp_path, path, "listener,item,emotion\nl,x.wav,anger\n")
    assert triples(read(tmp_path, path, "listener,item,emotion\nl,b,anger\n")) == [("L1", "b", "anger")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "answers.csv: is empty; expected a table of answers"),
        ("listener,item,emotion\n", "answers.csv: holds no answer under its header"),
        ("who,item,emotion\na,a0,anger\n", "no column 'listener'.*there are who, item, emotion"),
        ("listener,itm,emotion\na,a0,anger\n", r"no column 'item' \(is it 'itm'\?\)"),
        ("listener,item,emotion\na,zz,anger\n", "no answer can be used: answers to recordings that are no items: 1"),
    ],
)
def test_a_table_without_answers_is_one_line(tmp_path, items, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, items, text)


def test_truth_from_the_table_or_nowhere(tmp_path):
    text = "listener,item,emotion,truth,language\na,x,anger,Wut,de\nb,x,sad,sad,de\nb,y,sad,negation,zh\nb,z,sad,,de\n"
    answers = read(tmp_path, "", text)
    assert [(item.id, item.emotion, item.language) for item in answers.items] == [
        ("x", "anger", "de"), ("y", "negation", "zh"),
    ]  # fmt: skip
    assert [note.partition(":")[0] for note in answers.notes] == [
        "rows whose truth is not that of the item's first row", "rows without a truth",
    ]  # fmt: skip
    with pytest.raises(UserError, match="nothing tells what was meant: name the items with --items"):
        read(tmp_path, "", "listener,item,emotion\na,x,anger\n")


def test_a_place_without_answers(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_answers(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds neither study\.json nor a table"):
        read_answers(tmp_path)


def test_a_single_row_and_one_layout_of_each(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("listener,item,emotion\na,x,anger\n", encoding="utf-8")
    (answer,) = table_answers(path)
    assert (answer.listener, answer.stimuli, answer.word) == ("a", ("x",), "anger")
