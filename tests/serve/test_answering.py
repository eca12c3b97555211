"""Answers to uploads: those of the commands, whatever stands beside them, or one line that says what is wrong."""

from __future__ import annotations

import dataclasses

import pytest

from emobridge.bundle import Recognizer
from emobridge.data import _decoders, devices
from emobridge.diarization.files import load_frame_model
from emobridge.diarization.timeline import diarize
from emobridge.inference import ahead
from emobridge.inference.predict import predict
from emobridge.serve import answering
from emobridge.serve.answering import GivenUp, answers_to
from emobridge.serve.models import load_models
from emobridge.serve.records import Answer, EngineError, Job, Limits, Lost, Refused, TooLong
from emobridge.serve.sources import ModelSource
from emobridge.settings import Answering, Diarizing

LIMITS = Limits(duration=60.0)


@pytest.fixture(scope="module")
def folder(bundles):
    return bundles("de", adapters="")


@pytest.fixture(scope="module")
def loaded(folder):
    return load_models([ModelSource("m", folder)], "cpu")["m"]


def answered(loaded, *jobs, limits=LIMITS):
    return answers_to(loaded, jobs, limits, lambda done, total: None)


def job(path, settings=None, **options):
    return Job("m", path, settings or Answering(), name="call.wav", **options)


def same_rows(rows, expected):
    assert len(rows) == len(expected) > 0
    for row, other in zip(rows, expected):
        assert row.probabilities == pytest.approx(other.probabilities, abs=1e-6)
        facts = {"id": "call.wav", "path": "call.wav", "probabilities": row.probabilities}
        facts["unfamiliarity"] = row.unfamiliarity
        assert row == dataclasses.replace(other, **facts)


@pytest.mark.parametrize(
    "settings",
    [
        Answering(),
        Answering(segments="windows", window=1.0, labels=("anger", "neutral"), abstain_below=0.9),
        Answering(channels="each"),
        Answering(untold="averaged"),
    ],
)
@pytest.mark.parametrize("name", ["mono", "long", "stereo", "silence"])
def test_a_recording_is_answered_as_by_the_command(loaded, folder, recordings, settings, name):
    notes = []
    expected = list(predict(Recognizer.load(folder), [recordings[name]], settings, on_note=notes.append))
    (answer,) = answered(loaded, job(recordings[name], settings))
    same_rows(answer.rows, expected)
    assert answer.notes == tuple(note.replace(recordings[name], "call.wav") for note in notes)
    assert answer.seconds == pytest.approx({"mono": 1.5, "long": 11.0, "stereo": 1.5, "silence": 1.0}[name])


@pytest.mark.parametrize("name", ["mono", "stereo"])
def test_a_timeline_is_that_of_the_command(loaded, folder, recordings, name):
    notes = []
    settings = Diarizing(window=1.5)
    expected = list(diarize(load_frame_model(folder), [recordings[name]], settings, on_note=notes.append))
    (answer,) = answered(loaded, job(recordings[name], settings))
    same_rows(answer.rows, expected)
    assert len(answer.notes) == len(notes) == (name == "stereo")


def test_a_language_is_told(loaded, recordings):
    (answer,) = answered(loaded, job(recordings["mono"], language="German"))
    assert answer.rows[0].language == "de"


@pytest.mark.parametrize("accelerated", [False, True])
def test_no_answer_depends_on_what_stands_beside_it(loaded, recordings, monkeypatch, accelerated):
    """Recordings of several lengths, one that cannot be read, one of a wrong language and one that is too long."""
    names = ["mono", "text", "long", "short", "stereo"]
    jobs = [job(recordings[name]) for name in names]
    jobs.insert(2, job(recordings["mono"], language="klingonese"))
    limits = Limits(duration=5.0)
    alone = [answered(loaded, one, limits=limits)[0] for one in jobs]
    if accelerated:
        for module in (devices, ahead):  # the CPU, taken for an accelerator: recordings are encoded together
            monkeypatch.setattr(module, "is_accelerator", lambda device: True)
    together = answered(loaded, *jobs, limits=limits)
    kinds = [Answer, Refused, Refused, TooLong, Answer, Answer]
    assert [type(answer) for answer in together] == [type(answer) for answer in alone] == kinds
    for answer, other in zip(together, alone):
        if isinstance(answer, Answer):
            same_rows(answer.rows, other.rows)
            assert answer.notes == other.notes and answer.seconds == other.seconds
        else:
            assert str(answer) == str(other)


@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("text", {}, Refused, "call.wav: cannot be read as audio"),
        ("empty", {}, Refused, "call.wav: is empty"),
        ("gone", {}, Refused, "call.wav: no such file"),
        ("mono", {"language": "Klingonese"}, Refused, "Klingonese"),
        ("mono", {"language": "it"}, Refused, "language 'it': not one of this recogniser's (de, en)"),
        ("mono", {"settings": Answering(channels="5")}, Refused, "channel 5: expected 0 to 0"),
        ("mono", {"settings": Answering(labels=("joy", "anger"))}, Refused, "unknown label 'joy'"),
        ("mono", {"settings": Answering(untold="routed")}, Refused, "has no router"),
        ("mono", {"settings": Answering(segments="windows", hop=1e-5)}, Refused, "hop: 1e-05 s makes 150,000 parts"),
        ("mono", {"settings": Answering(longest=1e-6)}, Refused, "longest: 1e-06 s makes"),
        ("mono", {"settings": Answering(segments="windows", window=1e-5)}, Refused, "window: 1e-05 s makes"),
        ("mono", {"settings": Diarizing(window=0.1)}, Refused, "window: expected"),
        ("mono", {"settings": Diarizing(labels=("anger",))}, Refused, "expected two or more"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_the_server_s_paths(loaded, recordings, name, options, kind, message):
    path = recordings.get(name, "/uploads/gone.wav")
    (answer,) = answered(loaded, job(path, **options))
    assert type(answer) is kind and message in str(answer)
    assert path not in str(answer) and "\n" not in str(answer)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (Answering(segments="whole"), "segments"),
        (Answering(longest=3.0), "longest"),
        (Answering(segments="windows", window=3.0), "window"),
    ],
)
def test_parts_are_bounded(loaded, recordings, monkeypatch, settings, name):
    monkeypatch.setattr(answering, "LONGEST_PART", 2.0)
    (answer,) = answered(loaded, job(recordings["long"], settings))
    assert type(answer) is Refused and str(answer).startswith(f"{name}: makes a part of ")
    (answer,) = answered(loaded, job(recordings["mono"], settings))
    assert isinstance(answer, Answer)


def test_a_header_is_believed_before_anything_is_decoded(loaded, recordings, monkeypatch):
    monkeypatch.setattr(answering, "duration_up_to", lambda path, most: pytest.fail("decoded"))
    (answer,) = answered(loaded, job(recordings["long"]), limits=Limits(duration=1.0))
    assert type(answer) is TooLong and str(answer) == "11 s of sound; expected 1 s at most"


def test_a_header_that_states_too_little_is_found_out(loaded, recordings, monkeypatch):
    monkeypatch.setattr(answering, "stated_seconds", lambda path: None)
    (answer,) = answered(loaded, job(recordings["long"]), limits=Limits(duration=1.0))
    assert type(answer) is TooLong


def test_a_defect_of_ours_fails_one_job_and_is_logged(loaded, recordings, monkeypatch, capsys):
    broken = answering.predict

    def fails(recognizer, utterances, settings, **options):
        if any(row.path == recordings["short"] for row in utterances):
            raise ZeroDivisionError("oh")
        return broken(recognizer, utterances, settings, **options)

    monkeypatch.setattr(answering, "predict", fails)
    first, second = answered(loaded, job(recordings["mono"]), job(recordings["short"]))
    assert isinstance(first, Answer) and type(second) is EngineError
    assert str(second) == "call.wav: could not be answered (ZeroDivisionError)"
    assert "ZeroDivisionError: oh" in capsys.readouterr().err


def test_too_little_memory_is_no_defect(loaded, recordings, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr(answering, "predict", fails)
    (answer,) = answered(loaded, job(recordings["mono"]))
    assert type(answer) is Lost and str(answer) == "call.wav: the memory does not suffice"


def test_what_nobody_waits_for_is_left(loaded, recordings):
    parts = []

    def give_up(done, total):
        parts.append(done)
        raise GivenUp

    with pytest.raises(GivenUp):
        answers_to(loaded, [job(recordings["long"], Answering(segments="windows", window=1.0))], LIMITS, give_up)
    assert len(parts) == 1


def test_nothing_is_remembered_of_uploads(loaded, recordings):
    answered(loaded, job(recordings["mono"]))
    assert _decoders._facts.cache_info().currsize == 0 and not _decoders._cursors
