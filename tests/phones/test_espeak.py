"""espeak-ng by ctypes. Each utterance is spoken in a process of its own: the library keeps state."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from emobridge.corpora._demo_texts import SENTENCES
from emobridge.errors import UserError
from emobridge.phones import espeak

SCRIPT = """
import hashlib, json, sys
from pathlib import Path
from emobridge.phones.espeak import Espeak
espeak = Espeak(Path.cwd())
for text, language, rate in json.loads(sys.argv[1]):
    speech = espeak.speak(text, espeak.language_lines(language), words_a_minute=rate, seed=7)
    print(json.dumps([
        hashlib.sha256(speech.wave.tobytes()).hexdigest(), len(speech.wave),
        [[phone.start, phone.end, phone.ipa] for phone in speech.phones],
    ]))
"""


def speak(folder, *sentences):
    pytest.importorskip("espeakng_loader")
    command = [sys.executable, "-c", SCRIPT, json.dumps(sentences)]
    output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def test_phones_are_those_of_the_words_and_lie_in_the_speech(tmp_path):
    _, samples, phones = speak(tmp_path, ("Guten Abend.", "de", 160))[0]
    assert "".join(ipa for _, _, ipa in phones) == "ɡuːtənɑːbənt"
    times = [time for start, end, _ in phones for time in (start, end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= samples / espeak.ESPEAK_RATE
    assert all(start < end for start, end, _ in phones)


def test_a_faster_rate_makes_shorter_speech(tmp_path):
    slow, fast = (speak(tmp_path, ("Guten Morgen.", "de", rate))[0][1] for rate in (100, 200))
    assert fast < 0.7 * slow


def test_fresh_processes_agree_where_one_process_does_not(tmp_path):
    sentence = ("Das Haus steht am Ende der Straße.", "de", 160)
    (first, second), (again,) = speak(tmp_path, sentence, sentence), speak(tmp_path, sentence)
    assert first == again
    assert first[0] != second[0]  # else there would be no need of a process for each


def test_all_languages_speak_in_ipa(tmp_path):
    """Ten languages share one library: a voice of one leaves nothing in the next."""
    spoken = speak(tmp_path, *((texts[0], language, 160) for language, texts in SENTENCES.items()))
    for (_, samples, phones), language in zip(spoken, SENTENCES):
        assert 1.0 < samples / espeak.ESPEAK_RATE < 6.0, language
        assert len(phones) > 15
        names = "".join(ipa for _, _, ipa in phones)
        assert not set(names) & set("0123456789.-_'\"|;:!?#*^~ABCDEFGHIJKLMNOPQRSTUVWXYZˈˌ"), (language, names)
    assert len({tuple(ipa for _, _, ipa in phones) for _, _, phones in spoken}) == len(SENTENCES)


def test_the_wheel_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"pip install 'emobridge\[demo\]'"):
        espeak.paths()


def test_marks_become_phones():
    """In samples: a pause to 100, a to 200, a mark without length, b to the end; the last mark lies past the end."""
    marks = [(0, ""), (100, "ˈa"), (200, "x"), (200, "b"), (310, "")]
    phones = espeak._phones(marks, 300)
    rate = espeak.ESPEAK_RATE
    assert [(p.start * rate, p.end * rate, p.ipa) for p in phones] == [(100, 200, "a"), (200, 300, "b")]


@pytest.mark.parametrize(
    ("name", "ipa"), [("ˈaʊ", "aʊ"), ("ts.h", "ʈʂʰ"), ("s.", "ʂ"), ("ˈa.", "aˤ"), ("e-", "e"), ("ˈ", ""), ("dʒ", "dʒ")]
)
def test_mnemonics_are_repaired(name, ipa):
    assert espeak.to_ipa(name) == ipa
