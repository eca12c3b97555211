"""What the rows of `predict` say: who answered, by which statistics, in which channel, and why there is no label."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from emobridge.bundle import Recognizer
from emobridge.data.audio import AudioError
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.inference.journal import Journal
from emobridge.inference.predict import predict
from emobridge.settings import Answering
from emobridge.types import Utterance

STORED = Answering(statistics="stored")


@pytest.fixture(scope="module")
def recognizer(finished):
    """It normalises by speaker."""
    return Recognizer.load(finished / "bundle")


@pytest.fixture
def rows(recorded):
    return list(read_manifest(recorded / "xx.jsonl"))


@pytest.fixture
def stereo(tmp_path, recorded):
    """A function that writes a file of two channels: a recording and what a function makes of its samples."""

    def write(name, change):
        wave, rate = soundfile.read(recorded / "xx-a-anger-0.wav")
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.stack([wave, change(wave)], 1), rate, subtype="FLOAT")
        return Utterance(name, "files", str(path))

    return write


# ------------------------------------------------------------------ statistics


def test_by_stored_statistics_no_answer_depends_on_what_stands_beside_it(recognizer, rows):
    together = {row.id: row for row in predict(recognizer, rows, STORED)}
    for row in rows[:4]:
        assert list(predict(recognizer, [row], STORED)) == [together[row.id]], "to the last bit"
    assert {row.id: row for row in predict(recognizer, rows[::-1], STORED)} == together
    assert {row.statistics for row in together.values()} == {"corpus"}


def test_by_these_a_row_names_the_number_of_utterances(recognizer, rows):
    a = [row for row in rows if row.speaker == "a"]
    for count in (1, 2, len(a)):
        plural = "s" * (count > 1)
        answers = list(predict(recognizer, a[:count]))
        assert {row.statistics for row in answers} == {f"speaker ({count} utterance{plural})"}
    mixed = list(predict(recognizer, [*a[:3], replace(rows[-1], speaker=None)]))
    assert [row.statistics for row in mixed] == ["speaker (3 utterances)"] * 3 + ["corpus"]
    same = replace(a[1], corpus="other")
    assert [row.statistics for row in predict(recognizer, [a[0], same])] == ["speaker (1 utterance)"] * 2


def test_parts_without_an_answer_are_no_utterances_of_a_speaker(recognizer, rows, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16000)
    short = replace(rows[0], id="short", path=str(tmp_path / "short.wav"))
    bad = replace(rows[0], id="bad", path=str(tmp_path / "none.wav"))
    skipped = []
    answers = list(predict(recognizer, [short, rows[0], bad, rows[1]], on_skip=lambda *pair: skipped.append(pair)))
    assert [row.statistics for row in answers] == ["", "speaker (2 utterances)", "speaker (2 utterances)"]
    assert (answers[0].label, answers[0].reason, answers[0].probabilities) == (None, "too short", ())
    assert answers[1:] == list(predict(recognizer, rows[:2])) and [name for name, _ in skipped] == ["bad"]
    with pytest.raises(AudioError, match="no such file"):
        next(predict(recognizer, [rows[0], bad]))


@pytest.mark.parametrize("settings", [Answering(), STORED])
def test_an_interrupted_run_goes_on_from_its_journal(recognizer, rows, tmp_path, settings):
    whole = list(predict(recognizer, rows, settings))
    for stop in (3, 9):
        with Journal(tmp_path / "journal", "request") as journal:
            list(itertools.islice(predict(recognizer, rows, settings, journal=journal), stop))
    with Journal(tmp_path / "journal", "request") as journal:
        assert len(journal) == 9
        assert list(predict(recognizer, rows, settings, journal=journal)) == whole


def test_another_set_of_utterances_is_another_answer_in_a_journal(recognizer, rows, tmp_path):
    with Journal(tmp_path / "journal", "request") as journal:
        for some_of_a in (rows[:2], rows[:4]):
            again = list(predict(recognizer, some_of_a, journal=journal))
            assert again == list(predict(recognizer, some_of_a))


# ------------------------------------------------------------------ who answers


def test_who_answered(made, rows):
    both = made("de", 1).join(made("it", 2))
    german, unknown = replace(rows[0], language="de-AT", corpus="c"), replace(rows[0], language="und", corpus="c")
    for row, untold, words in (
        (german, "", {"de"}),
        (german, "averaged", {"de"}),
        (unknown, "", {"it"}),
        (unknown, "target", {"it"}),
        (unknown, "averaged", {"averaged (de, it)"}),
        (unknown, "confident", {"de (confident)", "it (confident)"}),
    ):
        (answer,) = predict(both, [row], Answering(untold=untold))
        assert answer.answered_by in words and answer.language == row.language and answer.statistics == "corpus"
        assert (answer.path, answer.channel, answer.reason) == (row.path, None, "")


def test_a_language_that_is_not_known_is_told_once(made, rows):
    both = made("de", 1).join(made("it", 2))
    unknown = [replace(row, language="und", corpus="c") for row in rows[:3]]
    notes = []
    list(predict(both, [*unknown, replace(rows[3], language="de")], on_note=notes.append))
    assert notes == [
        "3 recordings of 4 in a language that this bundle has no head for (not known): the head of it answers; "
        "--language tells the language, --untold chooses who answers"
    ]
    list(predict(both, unknown, Answering(untold="averaged"), on_note=notes.append))
    list(predict(made("it", 2), unknown, on_note=notes.append))
    assert len(notes) == 1, "who was chosen, or answers alone, is no news"
    list(predict(made("it", 2), [replace(rows[0], language="fr", corpus="c")], on_note=notes.append))
    assert "1 recording of 1 in a language that this bundle has no head for (fr): the head of it" in notes[1]


# ------------------------------------------------------------------ labels


def test_some_labels_only(recognizer, rows):
    every = list(predict(recognizer, rows[:2], STORED))
    with pytest.raises(UserError, match="expected two or more, got SADNESS: alone it would be the answer to all"):
        next(predict(recognizer, rows[:2], replace(STORED, labels=("SADNESS", "sadness"))))
    both = list(predict(recognizer, rows[:2], replace(STORED, labels=("SADNESS", "anger"))))
    assert both == every, "in the bundle's order"
    with pytest.raises(UserError, match="unknown label 'sadnes': did you mean 'sadness'"):
        next(predict(recognizer, rows, Answering(labels=("anger", "sadnes"))))


def test_three_labels_of_four_sum_to_one(made, rows):
    labels = ("anger", "happiness", "neutral", "sadness")
    four = made("de", 1, labels=labels)
    (whole,) = predict(four, rows[:1])
    (three,) = predict(four, rows[:1], Answering(labels=("neutral", "anger", "sadness")))
    assert three.statistics == whole.statistics
    assert three.labels == ("anger", "neutral", "sadness") and sum(three.probabilities) == pytest.approx(1)
    rest = 1 - whole.probabilities[1]
    assert three.probabilities == pytest.approx([whole.probabilities[index] / rest for index in (0, 2, 3)], abs=1e-6)


def test_below_a_probability_there_is_no_label(recognizer, rows):
    every = list(predict(recognizer, rows, STORED))
    middle = sorted(row.confidence for row in every)[8]
    answers = list(predict(recognizer, rows, replace(STORED, abstain_below=middle)))
    assert 0 < sum(row.label is None for row in answers) < len(rows)
    for answer, whole in zip(answers, every):
        assert answer.probabilities == whole.probabilities
        assert (answer.label is None) == (whole.confidence < middle)
        if answer.label is None:
            shown = math.floor(whole.confidence * 1000) / 1000
            assert answer.reason == f"unsure: {shown:g} is below {middle:g}"


def test_labels_of_a_recogniser_without_any(made, rows):
    rated = made("de", 1, labels=(), attributes=("arousal",), attribute_range="1..7")
    for options in ({"labels": ("anger",)}, {"abstain_below": 0.5}):
        with pytest.raises(UserError, match=f"{next(iter(options))}: goes by emotions"):
            next(predict(rated, rows, Answering(**options)))


# ------------------------------------------------------------------ channels


def test_each_channel_is_answered_by_itself(recognizer, stereo, recorded):
    other = soundfile.read(recorded / "xx-b-sadness-0.wav")[0]
    unit = stereo("call", lambda wave: other[: len(wave)])
    mono = [replace(unit, path=str(recorded / f"{name}.wav")) for name in ("xx-a-anger-0", "xx-b-sadness-0")]
    notes = []
    answers = list(predict(recognizer, [unit], Answering(channels="each"), on_note=notes.append))
    assert [(row.id, row.channel) for row in answers] == [("call", 0), ("call", 1)] and not notes
    for answer, alone in zip(answers, predict(recognizer, mono)):
        assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    assert list(predict(recognizer, [unit], Answering(channels="1"))) == answers[1:]
    assert list(predict(recognizer, [replace(unit, channel=0)], Answering(channels="1"))) == answers[:1]
    with pytest.raises(AudioError, match="channel 2: expected 0 to 1"):
        list(predict(recognizer, [unit], Answering(channels="0,2")))


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        (lambda wave: wave, False),
        (lambda wave: 0.1 * wave, False),
        (lambda wave: 0.5 * wave + 0.2, False),
        (lambda wave: -wave, True),
        (lambda wave: 0 * wave, True),
        (lambda wave: wave[::-1], True),
        (lambda wave: np.roll(wave, 40), True),
    ],
    ids=["same", "quieter", "offset", "inverted", "silent", "backwards", "late"],
)
def test_channels_that_differ_are_told_once(recognizer, stereo, change, differ):
    units = [stereo(name, change) for name in "abcd"]
    notes = []
    list(predict(recognizer, [*units, units[0]], on_note=notes.append))
    assert len(notes) == differ
    if differ:
        assert notes[0].startswith("the channels of 4 files differ and were mixed into one (")
        assert "a.wav" in notes[0] and "c.wav and 1 more)" in notes[0] and "--channels each" in notes[0]


def test_a_long_recording_goes_on_part_by_part(recognizer, recorded, tmp_path, monkeypatch):
    """Stopped within a recording, the next run encodes only the parts that are missing."""
    from emobridge.inference import ahead

    wave, rate = soundfile.read(recorded / "xx-a-anger-0.wav")
    soundfile.write(tmp_path / "long.wav", np.tile(wave, 20), rate)
    long, settings = Utterance("long", "files", str(tmp_path / "long.wav")), Answering(segments="windows", window=1.0)
    whole = list(predict(recognizer, [long], settings))
    assert len(whole) == 6
    encode, encoded = ahead.encode, []

    def encode_until(limit):
        def wrapper(*arguments):
            if len(encoded) == limit:
                raise KeyboardInterrupt
            encoded.append(arguments)
            return encode(*arguments)

        monkeypatch.setattr(ahead, "encode", wrapper)

    encode_until(4)
    with Journal(tmp_path / "journal", "request") as journal, pytest.raises(KeyboardInterrupt):
        list(predict(recognizer, [long], settings, journal=journal))
    encode_until(6)
    with Journal(tmp_path / "journal", "request") as journal:
        assert list(predict(recognizer, [long], settings, journal=journal)) == whole and len(encoded) == 6
