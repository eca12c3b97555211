"""The training of a frame model on recordings with known boundaries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from emobridge.data.audio import AudioError
from emobridge.data.manifest import read_manifest
from emobridge.diarization import training as room
from emobridge.diarization.frame_model import DiarizerSpec
from emobridge.diarization.steps import thinned, timeline_of
from emobridge.diarization.training import DiarizerSource, diarization_error, fit_diarizer, held_out_speakers, validated
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.settings import Composing, FrameTraining

LABELS = ("anger", "neutral")


@pytest.fixture
def rows(recorded):
    """Utterances of four speakers; the low ones count as neutral."""
    rows = list(read_manifest(recorded / "en.jsonl"))
    return [replace(row, emotion="neutral") if row.emotion == "sadness" else row for row in rows]


def fit(rows, marked=(), encoder=None, spec=(), composing=None, strict=False, **options):
    composing = composing or Composing()
    encoder = encoder or load_encoder("logmel")
    whole = DiarizerSpec(**({"labels": LABELS, "encoder": "logmel", "digest": encoder.digest} | dict(spec)))
    source = DiarizerSource(tuple(rows), tuple(marked))
    return fit_diarizer(source, encoder, whole, composing=composing, training=FrameTraining(**options), strict=strict)


@pytest.mark.parametrize("head", ["single", "discriminant"])
def test_it_learns_what_is_to_be_learnt(rows, head):
    trained = fit(rows, head=head, spec={"radii": (0.05,)})
    assert trained.accuracy > 0.9
    assert trained.skipped == trained.notes == ()
    assert len(trained.recordings) + len(trained.validation) == 8  # an anger utterance each
    people = {recording.first.speaker for recording in trained.recordings}
    assert people.isdisjoint(steps.recording.first.speaker for steps in trained.validation)
    spec = trained.diarizer.spec
    assert (spec.corpora, spec.languages, spec.synthetic) == (("en",), ("en",), False)
    assert trained.error.measure == "EDER"
    assert 0 <= trained.error.value <= 1
    assert trained.error.n == 2


def test_the_same_seed_gives_the_same_weights(rows):
    first, again, other = fit(rows, epochs=2), fit(rows[::-1], epochs=2), fit(rows, epochs=2, seed=1)
    weights = [trained.diarizer.head.state_dict()["output.weight"] for trained in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_one_speaker_one_utterance_of_each(rows):
    rows = [next(row for row in rows if row.emotion == label and row.speaker == "a") for label in LABELS]
    trained = fit(rows, composing=Composing(orders=("neutral-emotional",)), epochs=1)
    assert trained.accuracy is None
    assert trained.validation == ()
    assert trained.diarizer.spec.temperature == 1.0
    assert trained.notes == ("1 known speaker: nobody is held out to validate",)
    answers = trained.diarizer.frame_probabilities(np.zeros(1600, dtype=np.float32))
    assert answers.shape == (1, 2)


def test_draws_and_unknown_speakers(rows):
    rows = [*rows[:-1], replace(rows[-1], id="x", speaker=None, emotion="anger")]
    trained = fit(rows, composing=Composing(draws=2), epochs=1)
    assert len(trained.recordings) + len(trained.validation) == 2 * 9
    assert trained.notes == ("1 utterance of unknown speakers: each stands alone in a recording",)


def test_marked_stretches_alone(rows, tone, tmp_path):
    import soundfile

    marked = []
    for speaker in "ab":
        wave = np.concatenate([tone(0.5, 100.0), tone(0.5, 600.0), tone(0.5, 100.0)])
        soundfile.write(tmp_path / f"{speaker}.wav", wave, 16000)
        marked.append(
            replace(
                rows[0],
                id=speaker,
                path=str(tmp_path / f"{speaker}.wav"),
                start=0.5,
                end=1.0,
                speaker=speaker,
                emotion="anger",
            )
        )
    trained = fit((), marked, spec={"radii": (0.05,)}, head="discriminant", validation=0.5)
    assert len(trained.recordings) == len(trained.validation) == 1
    assert trained.accuracy > 0.9
    assert trained.steps == 15


def test_a_recording_that_is_longer_than_the_encoder_takes(rows, tone, tmp_path, tiny_encoder):
    import soundfile

    soundfile.write(tmp_path / "long.wav", np.concatenate([tone(3.0), tone(2.0, 600.0)]), 16000)
    marked = [replace(rows[0], id="long", path=str(tmp_path / "long.wav"), start=3.0, end=None, emotion="anger")]
    encoder = load_encoder(tiny_encoder)
    trained = fit((), marked, encoder, {"encoder": str(tiny_encoder), "layer": "1"}, epochs=1)
    assert trained.steps == 50


def test_a_file_that_cannot_be_read_is_left_out_or_stops_it(rows):
    rows = [replace(row, path="nowhere.wav") if index == 0 else row for index, row in enumerate(rows)]
    trained = fit(rows, epochs=1)
    assert len(trained.skipped) >= 1
    assert all("nowhere.wav: no such file" in reason for _, reason in trained.skipped)
    with pytest.raises(AudioError, match=r"nowhere.wav"):
        fit(rows, epochs=1, strict=True)
    with pytest.raises(UserError, match=r"no recording could be read to learn from: .*nowhere.wav"):
        fit([replace(row, path="nowhere.wav") for row in rows])


def test_a_label_that_is_heard_nowhere_is_told(rows):
    with pytest.raises(UserError, match="labels: 'fear' is heard in no speech"):
        fit(rows, spec={"labels": ("anger", "fear", "neutral")})


def test_many_steps_are_thinned(rows, monkeypatch):
    monkeypatch.setattr(room, "MOST_LEARNT", 20)
    monkeypatch.setattr(room, "MOST_HELD_OUT", 1)
    trained = fit(rows, epochs=1)
    assert trained.steps <= 20
    assert len(trained.validation) == 1
    steps = thinned(trained.validation[0], 1, np.random.default_rng(0))
    assert steps.features.shape[0] == len(steps.label) == 1


def test_who_is_held_out(rows):
    people, notes = held_out_speakers(rows, FrameTraining(seed=0))
    assert len(people) == 1
    assert notes == []
    assert held_out_speakers(rows, FrameTraining(validation=0.0)) == (frozenset(), [])
    assert held_out_speakers(rows, FrameTraining(validation=0.5))[0] != people


def test_nobody_held_out_tells_nothing(tiny_diarizer):
    assert validated(tiny_diarizer(), ()) == (None, 1.0)
    assert diarization_error(tiny_diarizer(), ()) is None


def test_a_recording_of_unknown_emotions_is_not_scored(rows):
    trained = fit(rows, epochs=1)
    (steps, *_) = trained.validation
    unknown = replace(steps, segments=(replace(steps.segments[0], emotion=""), *steps.segments[1:]))
    assert diarization_error(trained.diarizer, [unknown]) is None
    assert diarization_error(trained.diarizer, [steps, unknown]).n == 1


def test_the_timeline_of_a_recording(rows):
    trained = fit(rows, epochs=1)
    (steps, *_) = trained.validation
    segments = timeline_of(trained.diarizer, steps)
    assert all(segment.emotion in LABELS for segment in segments)
    assert 0 < sum(segment.seconds for segment in segments) <= len(steps.label) / 10 + 1e-9
    silent = replace(steps, speech=np.zeros_like(steps.speech))
    assert timeline_of(trained.diarizer, silent) == ()
