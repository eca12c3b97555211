"""What a bundle knows of the speech that it was trained on, whatever its files and manifests are called."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from emobridge.bundle import Recognizer
from emobridge.bundle.training_speech import Exposure, TrainingSpeech, gravest_of
from emobridge.data.audio import AudioError
from emobridge.data.manifest import read_manifest
from emobridge.types import Utterance


@pytest.fixture
def wave(tmp_path):
    """A function to write a file of noise with a content of its own, and its utterance."""

    def make(name: str, content: int = 0, **facts) -> Utterance:
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(exist_ok=True, parents=True)
        noise = np.random.default_rng(content).uniform(-0.1, 0.1, (4000, 2))
        soundfile.write(path, noise, 16_000)
        return Utterance(name, facts.pop("corpus", "c"), str(path), **facts)

    return make


def test_a_copy_under_another_name_is_the_same_speech(wave):
    speech = TrainingSpeech.of([wave("a", 1, speaker="s")], [wave("b", 2, speaker="t")])
    copies = [wave("else/where", 1, corpus="other"), wave("renamed", 2, speaker="x"), wave("new", 3, speaker="y")]
    assert speech.exposures(copies) == ("trained on", "adapted to", "none")
    assert speech.rows.shape == (2, 6) and speech.rows.dtype == torch.int64


def test_what_was_seen_is_found_however_a_file_is_cut(wave):
    whole = wave("call", 1)
    speech = TrainingSpeech.of([replace(whole, start=1.0, end=3.0)], [replace(whole, start=10.0, end=12.0)])
    cuts = {
        (1.0, 3.0): "trained on",
        (1.2, 2.9): "trained on",
        (0.0, None): "trained on",
        (2.9, 5.0): "same file",  # of the shorter less than a tenth
        (3.0, 5.0): "same file",
        (11.0, None): "adapted to",
        (2.0, 11.0): "trained on",
    }
    rows = [replace(whole, start=start, end=end) for start, end in cuts]
    assert speech.exposures(rows) == tuple(cuts.values())
    open_end = TrainingSpeech.of([replace(whole, start=5.0)], [])
    assert open_end.exposures([replace(whole, end=5.0), whole, replace(whole, start=6.0, end=7.0)]) == (
        "same file",
        "trained on",
        "trained on",
    )


def test_thousands_of_stretches_of_one_file_are_looked_up_quickly(wave):
    whole = wave("call", 1)
    cuts = [replace(whole, start=float(second), end=second + 1.0) for second in range(20_000)]
    speech = TrainingSpeech.of(cuts[::-2], cuts[::-4])
    began = time.process_time()
    exposures = speech.exposures(cuts)
    assert time.process_time() - began < 5, "quadratic, it takes a minute"
    assert exposures.count("trained on") == 10_000 and exposures.count("same file") == 10_000


def test_another_channel_is_other_speech_and_their_mix_is_not(wave):
    left = wave("call", 1, channel=0)
    speech = TrainingSpeech.of([left], [])
    assert speech.exposures([left, replace(left, channel=1), replace(left, channel=None)]) == (
        "trained on",
        "same file",
        "trained on",
    )


def test_speakers_are_known_by_name_and_by_their_other_files(wave):
    speech = TrainingSpeech.of([wave("a", 1, speaker="s")], [])
    rows = [
        wave("b", 2, speaker="s"),
        wave("c", 3, speaker="s", corpus="other"),
        wave("d", 1, corpus="mine", speaker="anna"),
        wave("e", 4, corpus="mine", speaker="anna"),
        wave("f", 5, corpus="mine", speaker="bert"),
        wave("g", 6),
    ]
    assert speech.exposures(rows) == ("same speaker", "none", "trained on", "same speaker", "none", "none")


def test_of_several_branches_the_gravest_counts():
    assert gravest_of([("none", "adapted to"), ("same speaker", "trained on")]) == ("same speaker", "trained on")


def test_bad_files_and_no_files(wave, tmp_path):
    gone = Utterance("gone", "c", str(tmp_path / "gone.wav"))
    speech = TrainingSpeech.of([gone, wave("a", 1)], [])
    assert len(speech.rows) == 1, "what could not be read was not trained on"
    with pytest.raises(AudioError, match=r"gone\.wav"):
        speech.exposures([gone])
    assert TrainingSpeech.of([], []).exposures([wave("b", 2)]) == ("none",)
    for bad in (torch.zeros(3, 6), torch.zeros(3, 5, dtype=torch.int64), torch.zeros(6, dtype=torch.int64)):
        with pytest.raises(ValueError, match=r"expected int64 of shape \(N, 6\)"):
            TrainingSpeech(bad)


def test_warnings_begin_with_the_gravest():
    exposure = Exposure(("trained on", "same file", "none", "adapted to"), ("anna",), 1, ("de",))
    lines = exposure.warnings
    memory = "the score shows memory, not recognition"
    assert lines[0] == f"of 4 scored utterances 1 were trained on with their labels: {memory}"
    assert "1 were adapted to" in lines[1] and "1 are others of files or speakers" in lines[2]
    assert " (anna): the score does not show" in lines[2] and "whether the speaker is new" in lines[3]
    assert "the recogniser of de was trained on is not recorded" in lines[4]
    assert exposure.gravest == "trained on" and exposure.unseen == (2,)
    many = Exposure(("same speaker",), tuple(f"s{n:02}" for n in range(12)))
    assert "s09 and 2 more)" in many.warnings[0]
    assert Exposure(("none",)).warnings == () and Exposure(("none",)).gravest == "none"
    assert Exposure((), unrecorded=("de",)).gravest == "not recorded"


def test_a_bundle_keeps_it_and_an_older_one_says_that_it_does_not(finished, recorded, tmp_path):
    recognizer = Recognizer.load(finished / "bundle")
    source, target = (list(read_manifest(recorded / f"{name}.jsonl")) for name in ("en", "xx"))
    assert recognizer.exposure(source).of == ("trained on",) * 16
    assert recognizer.exposure(target).of == ("adapted to",) * 16, "their labels were not seen"
    copy = Recognizer.load(recognizer.save(tmp_path / "again", "card"))
    assert torch.equal(copy.last.training_speech.rows, recognizer.last.training_speech.rows)
    old = copy.with_training_speech(None)
    assert Recognizer.load(old.save(tmp_path / "old", "card")).exposure(target) == Exposure((), unrecorded=("xh",))


def test_joined_bundles_know_the_speech_of_each_branch(finished, recorded):
    first, second = (Recognizer.load(finished / "bundle") for _ in range(2))
    target = list(read_manifest(recorded / "xx.jsonl"))
    trained = TrainingSpeech.of(target[:4], [])
    spec = replace(second.spec, domains=(("en", "en"), ("yy", "it")))
    other = Recognizer(spec, second.encoder, second.domains, second.head).with_training_speech(trained)
    joined = first.join(other)
    assert joined.exposure(target).of == ("trained on",) * 4 + ("adapted to",) * 12
    assert joined.exposure(target).unrecorded == ()
    unknown = first.join(other.with_training_speech(None)).exposure(target)
    assert unknown.of == ("adapted to",) * 16 and unknown.unrecorded == ("it",)


def test_a_damaged_tensor_is_one_line(finished, tmp_path):
    folder = Path(shutil.copytree(finished / "bundle", tmp_path / "bundle"))
    recognizer = Recognizer.load(folder)
    object.__setattr__(recognizer.last.training_speech, "rows", torch.zeros(2, 2, dtype=torch.int64))
    recognizer.save(folder, "card")
    with pytest.raises(Exception, match=r"does not fit bundle.json \(training speech: expected"):
        Recognizer.load(folder)
