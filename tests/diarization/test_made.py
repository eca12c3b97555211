"""Recordings put together from utterances, and files with marked stretches."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from emobridge.data.audio import AudioError
from emobridge.diarization.made import (
    Composition,
    compose,
    draw_compositions,
    labels_of_steps,
    mark_recordings,
    merged,
    read_marked,
    speech_level,
    trimmed,
    with_level_of,
)
from emobridge.errors import UserError
from emobridge.settings import PART_ORDERS, Composing
from emobridge.types import SAMPLE_RATE, Segment, Utterance, person


def rows_of(speakers="ab", neutral=2, emotional=3, corpus="en"):
    rows = []
    for speaker in speakers:
        rows += [utterance(f"{speaker}n{n}", "neutral", speaker, corpus) for n in range(neutral)]
        rows += [utterance(f"{speaker}e{n}", ("anger", "sadness")[n % 2], speaker, corpus) for n in range(emotional)]
    return rows


def utterance(name, emotion, speaker="a", corpus="en"):
    return Utterance(name, corpus, f"{name}.wav", language=corpus, speaker=speaker, emotion=emotion)


def kinds(composition):
    return "-".join("neutral" if row.emotion == "neutral" else "emotional" for row in composition.rows)


def test_each_emotional_utterance_stands_once_among_neutral_ones_of_its_speaker():
    rows = rows_of("abc", neutral=2, emotional=40)
    drawn = draw_compositions(rows, Composing(), seed=0)
    used = Counter(row.id for composition in drawn.compositions for row in composition.rows if row.emotion != "neutral")
    assert used == {row.id: 1 for row in rows if row.emotion != "neutral"}
    assert {kinds(composition) for composition in drawn.compositions} == set(PART_ORDERS)
    for composition in drawn.compositions:
        assert len({person(row) for row in composition.rows}) == 1
        assert {row.language for row in composition.rows} == {"en"}
    neutral = Counter(
        row.id for composition in drawn.compositions for row in composition.rows if row.emotion == "neutral"
    )
    for speaker in "abc":
        counts = [count for name, count in neutral.items() if name.startswith(speaker)]
        assert max(counts) - min(counts) <= 1  # in turn
    assert drawn.lone == ()
    assert drawn.nameless == 0


def test_a_draw_is_the_same_for_the_same_seed_whatever_the_order_of_the_rows():
    rows = rows_of()
    first = draw_compositions(rows, Composing(), seed=3)
    assert draw_compositions(rows[::-1], Composing(), seed=3) == first
    assert draw_compositions(rows, Composing(), seed=4) != first
    assert draw_compositions(rows, Composing(), seed=3, number=1) != first
    assert draw_compositions([*rows, *rows_of("z")], Composing(), seed=3).compositions[: len(first.compositions)] == (
        first.compositions  # other speakers change nothing
    )


def test_one_of_everything():
    drawn = draw_compositions(rows_of("a", 1, 1), Composing(orders=("neutral-emotional-neutral",)), seed=0)
    (composition,) = drawn.compositions
    assert [row.id for row in composition.rows] == ["an0", "ae0", "an0"]
    assert composition.first.speaker == "a"


def test_speakers_without_neutral_speech_and_unknown_speakers_stand_alone():
    rows = [*rows_of("a"), *rows_of("b", neutral=0), replace(utterance("x", "anger"), speaker=None)]
    rows.append(replace(utterance("y", "neutral"), speaker=None))
    drawn = draw_compositions(rows, Composing(), seed=0)
    assert {kinds(part) for part in drawn.compositions if part.first.speaker != "a"} == {"emotional"}
    assert drawn.lone == ("en\0b",)
    assert drawn.nameless == 1
    assert "y" not in {
        row.id for part in drawn.compositions for row in part.rows
    }  # whose neutral speech it is, none knows
    only = draw_compositions(rows, Composing(orders=("neutral-emotional",)), seed=0)
    assert {part.first.speaker for part in only.compositions} == {"a"}


def test_speech_without_neutral_is_refused():
    with pytest.raises(UserError, match=r"en: has no neutral utterance.*--segments"):
        draw_compositions(rows_of("ab", neutral=0), Composing(), seed=0)
    rows = [*rows_of("a", emotional=0), *rows_of("b", neutral=0)]
    with pytest.raises(UserError, match=r"orders: neutral-emotional: no recording can be made"):
        draw_compositions(rows, Composing(orders=("neutral-emotional",)), seed=0)


# Sound


def sounds(**seconds):
    """Noise of a level of its own for each utterance, with silence around it."""
    waves = {}
    for number, (name, length) in enumerate(seconds.items()):
        rng = np.random.default_rng(number)
        quiet = np.zeros(SAMPLE_RATE // 2, dtype=np.float32)
        noise = 0.02 * 3**number * rng.uniform(-1, 1, round(length * SAMPLE_RATE))
        waves[name] = np.concatenate([quiet, noise.astype(np.float32), quiet])
    return lambda row: waves[row.id]


def three():
    return Composition("c", (utterance("n1", "neutral"), utterance("e", "anger"), utterance("n2", "neutral")))


@pytest.mark.parametrize("fade", [0.0, 0.05, 0.3, 10.0])
@pytest.mark.parametrize("trim", [True, False])
def test_times_add_up(fade, trim):
    read = sounds(n1=1.0, e=0.7, n2=0.5)
    sound = compose(three(), Composing(fade=fade, trim=trim), read)
    lengths = [len(trimmed(read(row)) if trim else read(row)) / SAMPLE_RATE for row in three().rows]
    seconds = len(sound.wave) / SAMPLE_RATE
    assert [segment.emotion for segment in sound.segments] == ["neutral", "anger", "neutral"]
    assert sound.segments[0].start == 0
    assert sound.segments[-1].end == pytest.approx(seconds)
    for before, segment in zip(sound.segments, sound.segments[1:]):
        assert before.end == segment.start
    if fade < 0.3:
        assert seconds == pytest.approx(sum(lengths) - 2 * fade, abs=1e-3)
        assert sound.segments[1].start == pytest.approx(lengths[0] - fade / 2, abs=1e-3)  # the middle of the fade
    assert sound.wave.dtype == np.float32
    assert np.isfinite(sound.wave).all()


def test_parts_have_the_level_of_the_first_where_levels_are_matched():
    read = sounds(n1=1.0, e=1.0, n2=1.0)

    def levels(**options):
        sound = compose(three(), Composing(fade=0.0, trim=False, **options), read)
        parts = [sound.wave[round(s.start * SAMPLE_RATE) : round(s.end * SAMPLE_RATE)] for s in sound.segments]
        return [speech_level(part) for part in parts]

    first = speech_level(read(three().rows[0]))
    assert levels() == pytest.approx([first] * 3, abs=0.05)
    loud = levels(levels="kept")
    assert loud[2] - loud[0] == pytest.approx(20 * np.log10(9), abs=0.3)


def test_a_level_can_not_be_had_of_silence():
    silence, noise = np.zeros(1600, dtype=np.float32), sounds(a=0.1)(utterance("a", "anger"))
    assert speech_level(silence) is None
    assert with_level_of(noise, silence) is noise
    assert with_level_of(silence, noise) is silence
    assert trimmed(silence) is silence


def test_nothing_exceeds_full_scale():
    def read(row):
        return np.full(1600, {"n1": 0.9, "e": 0.05, "n2": 0.9}[row.id], dtype=np.float32) * (1.0, 10.0)[row.id == "e"]

    sound = compose(three(), Composing(levels="kept", fade=0.0, trim=False), lambda row: 2 * read(row))
    assert np.abs(sound.wave).max() == pytest.approx(1.0)
    assert sound.wave[0] == pytest.approx(1.0)


@pytest.mark.parametrize("samples", [1, 2, 3, 161])
def test_clips_of_a_few_samples(samples):
    sound = compose(three(), Composing(), lambda row: np.full(samples, 0.1, dtype=np.float32))
    assert len(sound.segments) == 3
    assert sound.segments[-1].end == pytest.approx(len(sound.wave) / SAMPLE_RATE)


def test_a_lone_part_is_the_clip_itself():
    read = sounds(e=0.5)
    sound = compose(Composition("e", (utterance("e", "anger"),)), Composing(), read)
    assert np.array_equal(sound.wave, trimmed(read(utterance("e", "anger"))))
    (segment,) = sound.segments
    assert (segment.start, segment.end, segment.emotion) == (0.0, len(sound.wave) / SAMPLE_RATE, "anger")
    assert segment.end == pytest.approx(0.7, abs=0.03)  # the padding is left


# Marked stretches


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "call.wav"
    soundfile.write(path, np.zeros((3 * SAMPLE_RATE, 2)), SAMPLE_RATE)
    return str(path)


def stretch(file, start, end, emotion="anger", name=None, **options):
    return Utterance(name or f"call@{start:g}", "zed", file, start, end, "en", "a", emotion, **options)


def test_all_else_of_a_file_is_neutral(file):
    rows = [stretch(file, 2.0, None, "sadness"), stretch(file, 0.5, 1.0)]
    (recording,) = mark_recordings(rows)
    sound = read_marked(recording)
    assert len(sound.wave) == 3 * SAMPLE_RATE
    expected = [(0.0, 0.5, "neutral"), (0.5, 1.0, "anger"), (1.0, 2.0, "neutral"), (2.0, 3.0, "sadness")]
    assert [(part.start, part.end, part.emotion) for part in sound.segments] == expected


def test_stretches_that_touch_and_one_over_the_whole_file(file):
    (recording,) = mark_recordings([stretch(file, 0.0, 1.0), stretch(file, 1.0, 3.0)])
    (segment,) = read_marked(recording).segments
    assert (segment.start, segment.end, segment.emotion) == (0.0, 3.0, "anger")


def test_channels_are_recordings_of_their_own(file):
    rows = [stretch(file, 0.0, 1.0, channel=0), replace(stretch(file, 0.5, 1.0, channel=1), speaker="b")]
    assert len(mark_recordings(rows)) == 2


def test_a_stretch_without_a_label_is_not_taken_for_neutral(file):
    (recording,) = mark_recordings([stretch(file, 1.0, 2.0, None)])
    segments = read_marked(recording).segments
    assert labels_of_steps(segments, 6, 2.0, ("neutral", "anger")).tolist() == [0, 0, -1, -1, 0, 0]


def test_stretches_that_overlap_or_are_beyond_the_file_are_told(file):
    with pytest.raises(UserError, match=r"call.wav: the stretches 'call@0' and 'call@1' overlap"):
        mark_recordings([stretch(file, 1.0, 2.0), stretch(file, 0.0, 1.5)])
    with pytest.raises(UserError, match="overlap"):
        mark_recordings([stretch(file, 0.0, None), stretch(file, 1.0, 2.0)])
    with pytest.raises(UserError, match="two speakers"):
        mark_recordings([stretch(file, 0.0, 1.0), replace(stretch(file, 1.0, 2.0), speaker="b")])
    (recording,) = mark_recordings([stretch(file, 4.0, 5.0)])
    with pytest.raises(AudioError, match=r"begins at 4 s, beyond the end of the file \(3 s\)"):
        read_marked(recording)


def test_neighbours_of_an_emotion_are_one():
    parts = [Segment(0.0, 1.0, "anger"), Segment(1.0, 2.0, "anger"), Segment(2.5, 3.0, "anger")]
    assert merged(parts) == (Segment(0.0, 2.0, "anger"), Segment(2.5, 3.0, "anger"))
    assert merged([]) == ()
