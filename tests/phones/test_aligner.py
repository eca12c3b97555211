"""The aligner on speech whose phones are known: its own, changed, and EMO-DB's."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.corpora import scan
from emobridge.data.audio import read_utterance
from emobridge.errors import UserError

pytest.importorskip("espeakng_loader")

from emobridge.phones import aligner
from emobridge.phones.aligner import align, speech_features, spoken_text
from emobridge.phones.reading import read_alignments
from emobridge.phones.speaking import speak_alone, voice_of, wave_of

TEXT = "Der Lappen liegt auf dem Eisschrank."


@pytest.fixture(scope="module")
def spoken():
    return spoken_text(TEXT, "de")


def quiet(seconds, seed=0):
    return 1e-4 * np.random.default_rng(seed).normal(size=round(16_000 * seconds)).astype(np.float32)


def test_speech_between_silences_is_found_where_it_is(spoken):
    wave = np.concatenate([quiet(0.5), wave_of(spoken.synthesis), quiet(0.3)])
    phones = align(spoken, wave).phones.phones
    expected = spoken.synthesis.phones
    assert [phone.ipa for phone in phones] == [phone.ipa for phone in expected]
    starts = np.array([phone.start for phone in phones]) - 0.5
    assert np.abs(starts - [phone.start for phone in expected]).max() < 0.03


def test_another_tempo_is_followed(spoken):
    import soxr

    slow = soxr.resample(wave_of(spoken.synthesis), 10_000, 13_000)
    aligned = align(spoken, np.concatenate([quiet(0.2), slow]))
    phones = [
        phone for phone in spoken.synthesis.phones for match in aligned.phones.phones if match.label == phone.label
    ]
    assert phones
    first, last = aligned.phones.phones[0], aligned.phones.phones[-1]
    stretched = (spoken.synthesis.phones[-1].end - spoken.synthesis.phones[0].start) * 1.3
    assert last.end - first.start == pytest.approx(stretched, abs=0.08)
    assert [text for _, _, text in aligned.words] == TEXT.rstrip(".").split()
    assert all(a[1] <= b[0] for a, b in zip(aligned.words, aligned.words[1:]))


def test_what_cannot_be_aligned_is_refused_in_a_line(spoken, monkeypatch):
    with pytest.raises(UserError, match="no speech"):
        align(spoken, np.zeros(16_000, np.float32))
    with pytest.raises(UserError, match="is it the text of another recording"):
        align(spoken, wave_of(spoken.synthesis)[:3000])
    monkeypatch.setattr(aligner, "LONGEST_SPEECH", 0.5)
    with pytest.raises(UserError, match=r"cut it into utterances"):
        speech_features(wave_of(spoken.synthesis))


def test_a_text_is_spoken_alike_whatever_was_spoken_before(spoken):
    speak_alone("Guten Morgen.", "de")
    again = speak_alone(TEXT, "de")
    assert np.array_equal(again.wave, spoken.synthesis.wave) and again.phones == spoken.synthesis.phones


def test_a_text_without_a_sound_and_a_language_without_a_voice():
    for text in ("", "..."):
        with pytest.raises(UserError, match="espeak-ng says nothing"):
            speak_alone(text, "de")
    with pytest.raises(UserError, match="no voice of the language 'gsw'"):
        voice_of("gsw")


@pytest.mark.parametrize(
    ("tag", "voice"),
    [
        ("en-GB", "en"),
        ("en", "en-US"),
        ("en-US", "en-US"),
        ("en-AU", "en-US"),
        ("pt-BR", "pt-BR"),
        ("pt", "pt"),
        ("cmn", "cmn"),
        ("zh", "cmn"),
        ("fa", "fa"),
        ("de-AT", "de"),
        ("no", "nb"),
    ],
)
def test_voices_of_languages(tag, voice):
    assert voice_of(tag) == voice


def test_a_process_that_crashes_is_told(monkeypatch):
    import os

    from emobridge.phones import speaking

    monkeypatch.setattr(speaking, "_speak_into", lambda *arguments: os._exit(3))
    with pytest.raises(UserError, match="crashed on the text"):
        speak_alone("Hallo", "de")


def test_phones_of_emodb_are_nearer_to_those_by_hand_than_a_uniform_stretch(shared, spoken):
    rows = [row for row in scan("emodb", shared / "corpora/emodb") if row.text == TEXT]
    labels = read_alignments(rows, on_note=lambda note: None)
    rows = [row for row in rows if row.id in labels][:12]
    errors = {"aligned": [], "stretched": []}
    for row in rows:
        wave = read_utterance(row)
        features, start = speech_features(wave)
        aligned = align(spoken, wave).phones.phones
        scale = len(features) / len(spoken.features)
        for ipa in ("s", "ŋ"):  # which this text has once, and people say
            hand, placed, source = (
                [phone.start for phone in phones if phone.ipa == ipa]
                for phones in (labels[row.id].phones, aligned, spoken.synthesis.phones)
            )
            if hand and placed:
                errors["aligned"].append(abs(placed[0] - hand[0]))
                errors["stretched"].append(abs(start + (source[0] - spoken.start) * scale - hand[0]))
    assert len(errors["aligned"]) > 10
    assert np.median(errors["aligned"]) < np.median(errors["stretched"]) / 2
