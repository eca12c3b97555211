"""The process that speaks a part of the demonstration corpus: `python -m emobridge.corpora._demo_worker PLAN`.

espeak-ng keeps state from one utterance to the next. So the worker initialises it once and forks a process for each
utterance; where there is no fork, it starts a fresh process for each. Either way an utterance's bytes do not depend on
what was spoken before. It prints a line an utterance: its id, or "!" and what went wrong.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from emobridge.corpora import _demo_voices as voices
from emobridge.corpora._demo_texts import SENTENCES
from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.parts import end_at_once
from emobridge.phones.base import Phone
from emobridge.phones.espeak import ESPEAK_RATE, Espeak, Synthesis
from emobridge.phones.table import HEADER
from emobridge.types import SAMPLE_RATE, Utterance

FULL_SCALE = 32767
PLAIN_LEVEL = -3.0  # dB, of a plain voice against what espeak-ng gives
LOUDEST = 0.95  # of full scale; louder takes are turned down, not clipped
SNR = (15.0, 35.0)  # dB, drawn evenly
OCTAVES = 8  # of the noise
SILENCE = (0.1, 0.5)  # s before and after the speech, drawn evenly
FAILURE = "!"


@dataclass(frozen=True, slots=True)
class Take:
    """One utterance to make."""

    language: str
    speaker: str
    emotion: str
    sentence: int
    repetition: int

    @property
    def id(self) -> str:
        """Unique over all languages."""
        return f"{self.language}_{self.speaker}_{self.emotion}_s{self.sentence + 1:02}_r{self.repetition + 1}"

    @property
    def text(self) -> str:
        """What is read."""
        return SENTENCES[self.language][self.sentence]

    @property
    def audio(self) -> str:
        """The path of the audio file in the corpus's folder."""
        return f"{self.language}/{self.speaker}/{self.id}.flac"

    @property
    def phones(self) -> str:
        """The path of the phone alignment in the corpus's folder."""
        return f"{self.language}/{self.speaker}/{self.id}.phones.tsv"


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What a folder is to hold, and which takes of it a worker makes: `first`, `first` + `step`, ... before `last`."""

    folder: str  # absolute
    languages: tuple[str, ...]
    emotions: tuple[str, ...]
    speakers: int
    repetitions: int
    seed: int
    first: int = 0
    step: int = 1
    last: int | None = None
    forks: bool = hasattr(os, "fork")

    def takes(self) -> list[Take]:
        """All takes, in the order of the manifests."""
        return [
            Take(language, voices.speaker_name(number), emotion, sentence, repetition)
            for language in self.languages
            for number in range(self.speakers)
            for emotion in self.emotions
            for sentence in range(len(SENTENCES[language]))
            for repetition in range(self.repetitions)
        ]

    def acting(self, take: Take) -> voices.Acting:
        """How a take is to be spoken."""
        return voices.act(self.seed, take.language, take.speaker, take.emotion, take.text, take.repetition)

    def utterance(self, take: Take) -> Utterance:
        """The manifest's row of a take."""
        arousal, valence, dominance = self.acting(take).attributes
        folder = Path(self.folder)
        return Utterance(
            id=take.id,
            corpus=f"demo-{take.language}",
            path=str(folder / take.audio),
            language=take.language,
            speaker=take.speaker,
            emotion=take.emotion,
            arousal=arousal,
            valence=valence,
            dominance=dominance,
            text=take.text,
            phones=str(folder / take.phones),
            gender=voices.gender_of(take.speaker),
        )


def make_take(espeak: Espeak, plan: DemoPlan, take: Take) -> None:
    """Speak one take and write its phones and then its audio: a take whose audio is there is finished.

    Errors: UserError where the files cannot be written.
    """
    manner = plan.acting(take).manner
    chance = voices.seeded_generator(
        plan.seed, take.language, take.speaker, take.emotion, take.text, take.repetition, "recording"
    )
    lines = voices.voice_lines(take.speaker, manner, espeak.language_lines(take.language))
    rate = voices.words_a_minute(manner)
    speech = espeak.speak(take.text, lines, words_a_minute=rate, seed=int(chance.integers(1, 2**31)))
    wave, lead = record(speech, manner.level, chance)
    folder = Path(plan.folder)
    with whole_file(folder / take.phones) as path:
        path.write_text(phone_table(speech.phones, lead), encoding="utf-8", newline="\n")
    encoded = io.BytesIO()  # libsndfile does not tell a full disk as an OSError
    soundfile.write(encoded, wave, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    with whole_file(folder / take.audio) as path:
        path.write_bytes(encoded.getvalue())


def record(speech: Synthesis, level: float, chance: np.random.Generator) -> tuple[NDArray[np.int16], float]:
    """(T,) at SAMPLE_RATE: speech at its level in dB between silences, under pink noise; and its start in s."""
    spoken = soxr.resample(speech.wave.astype(np.float32) / FULL_SCALE, ESPEAK_RATE, SAMPLE_RATE)
    spoken *= 10 ** ((PLAIN_LEVEL + level) / 20)
    before, after = (round(SAMPLE_RATE * second) for second in chance.uniform(*SILENCE, 2))
    wave = np.pad(spoken, (before, after))
    noise = pink_noise(len(wave), chance)
    noise *= np.sqrt(np.mean(spoken**2)) * 10 ** (-chance.uniform(*SNR) / 20)
    wave += noise
    wave *= min(1.0, LOUDEST / np.abs(wave).max())
    return np.rint(wave * FULL_SCALE).astype(np.int16), before / SAMPLE_RATE


def pink_noise(samples: int, chance: np.random.Generator) -> NDArray[np.float32]:
    """(samples,) of noise whose power falls by some 3 dB an octave, with mean square 1.

    White noises held for 1, 2, 4 ... samples, added (R. F. Voss, told by Gardner, Scientific American 238 (4), 1978).
    """
    noise = np.zeros(samples, np.float32)
    for octave in range(OCTAVES):
        white = chance.standard_normal((samples >> octave) + 1, np.float32)
        noise += np.repeat(white, 1 << octave)[:samples]
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def phone_table(phones: Sequence[Phone], lead: float) -> str:
    """The alignment's text: a header, then a row a phone, with times in seconds of the recording."""
    rows = (f"{phone.start + lead:.5f}\t{phone.end + lead:.5f}\t{phone.ipa}\n" for phone in phones)
    return f"{HEADER}\n" + "".join(rows)


def work(plan: DemoPlan) -> int:
    """Make this worker's takes and return the exit code. The working directory must belong to this worker alone."""
    takes = list(enumerate(plan.takes()))[plan.first : plan.last : plan.step]
    takes = [(index, take) for index, take in takes if not (Path(plan.folder) / take.audio).exists()]
    if not plan.forks and len(takes) > 1:
        return max((_start(replace(plan, first=index, last=index + 1, step=1)) for index, _ in takes), default=0)
    try:
        espeak = Espeak(Path.cwd())
    except UserError as error:
        return _say(f"{FAILURE}{error}", 2)
    for language in plan.languages:
        espeak.language_lines(language)  # read here, so that the forked processes need not
    if plan.forks and takes:
        _warm_up()
    for _, take in takes:
        code = _fork(espeak, plan, take) if plan.forks else _attempt(espeak, plan, take)
        if code:
            return code
    return 0


def _warm_up() -> None:
    """Load what the libraries load at their first use, so that forked processes need not: it takes a third off."""
    record(Synthesis(np.ones(ESPEAK_RATE, np.int16), ()), 0.0, np.random.default_rng(0))
    soundfile.write(io.BytesIO(), np.zeros(SAMPLE_RATE, np.int16), SAMPLE_RATE, format="FLAC", subtype="PCM_16")


def worker_command(plan: DemoPlan) -> list[str]:
    """The command that starts a worker."""
    return [sys.executable, "-m", "emobridge.corpora._demo_worker", json.dumps(asdict(plan))]


def _start(plan: DemoPlan) -> int:
    return subprocess.run(worker_command(plan), check=False).returncode


def _fork(espeak: Espeak, plan: DemoPlan, take: Take) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _attempt(espeak, plan, take)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return _say(f"{FAILURE}{take.id}: espeak-ng crashed (signal {-code})", 1) if code < 0 else code


def _attempt(espeak: Espeak, plan: DemoPlan, take: Take) -> int:
    try:
        make_take(espeak, plan, take)
        return _say(take.id, 0)
    except UserError as error:
        return _say(f"{FAILURE}{error}", 2)
    except BrokenPipeError:  # nobody listens any more
        return 1
    except Exception:
        traceback.print_exc()
        return _say(f"{FAILURE}{take.id}: {traceback.format_exc(limit=0).strip().splitlines()[-1]}", 1)


def _say(line: str, code: int) -> int:
    """Print in one write, so that the lines of processes that share the pipe do not mix."""
    os.write(1, line.replace("\n", " ").encode() + b"\n")
    return code


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_at_once)
    fields: dict[str, Any] = json.loads(sys.argv[1])
    fields |= {key: tuple(fields[key]) for key in ("languages", "emotions")}
    sys.exit(work(DemoPlan(**fields)))
