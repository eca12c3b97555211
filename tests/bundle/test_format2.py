"""A bundle of format 2, stored as the code before the second design wrote it, loads and answers as it did then.

`format2/` is SYNTHETIC: two languages that were adapted to tones in noise (log-mels, head single, emotions and arousal,
normalised by speaker) and joined, with a router. `predictions.json` holds what it said of the three clips below.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emobridge.bundle import Recognizer
from emobridge.inference.predict import predict
from emobridge.settings import Answering
from emobridge.types import Utterance

pytestmark = pytest.mark.usefixtures("all_speech")
BUNDLE = Path(__file__).with_name("format2")
pytestmark = pytest.mark.usefixtures("earlier_logmel", "all_speech")
PREDICTIONS = json.loads((BUNDLE / "predictions.json").read_text())  # by case: probabilities, then arousal, of a clip
CLIPS = ((140, 0.05), (650, 0.25), (300, 0.12))  # pitch in Hz and level of a tone in noise


@pytest.fixture
def utterances(tmp_path):
    samples = np.arange(8000)
    noise = (samples * samples * 7919 + samples * 104729) % 65536 / 32768 - 1
    rows = []
    for pitch, level in CLIPS:
        path = tmp_path / f"{pitch}.wav"
        wave = level * np.sin(2 * np.pi * pitch * samples / 16000) + 0.08 * noise
        soundfile.write(path, wave, 16000, subtype="FLOAT")
        rows.append(Utterance(path.stem, "demo-new", str(path)))
    return rows


@pytest.mark.parametrize("case", PREDICTIONS)
def test_it_answers_as_it_did(utterances, case):
    recognizer = Recognizer.load(BUNDLE)
    assert (recognizer.labels, recognizer.attributes) == (("anger", "sadness"), ("arousal",))
    assert recognizer.languages == ("de", "it", "en") and recognizer.synthetic
    if case in ("de", "it"):
        speaker = "s" if case == "de" else None
        rows, untold = [replace(row, language=case, speaker=speaker) for row in utterances], None
    else:
        rows, untold = utterances, case
    answers = [[*one.probabilities, *one.attributes] for one in predict(recognizer, rows, Answering.of(untold=untold))]
    np.testing.assert_allclose(answers, PREDICTIONS[case], atol=1e-5)


def test_saved_again_it_answers_the_same(utterances, tmp_path):
    again = Recognizer.load(Recognizer.load(BUNDLE).save(tmp_path / "again", "card"))
    answers = [one.probabilities for one in predict(again, utterances, Answering.of(untold="routed"))]
    np.testing.assert_allclose(answers, np.array(PREDICTIONS["routed"])[:, :2], atol=1e-5)
