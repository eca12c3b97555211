"""espeak-ng by ctypes: a voice file and a sentence in, speech and the times of its phones out.

The library comes with the wheel `espeakng-loader` (espeak-ng is GPL-3: it is only ever an extra). It keeps state from
one utterance to the next, so that equal calls give unequal bytes: a caller who wants equal bytes speaks each utterance
in a process of its own, forked after `Espeak` was made.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError
from emobridge.phones.base import Phone
from emobridge.phones.labels import kind_of

ESPEAK_RATE = 22_050  # Hz, of what espeak-ng makes

# Of speak_lib.h.
_SYNCHRONOUS = 2  # espeak_Synth returns when the speech is made
_EVENTS = 0x0001 | 0x0002 | 0x8000  # phoneme events, in IPA; do not exit the process on an error
_UTF8 = 1
_CHARACTERS = 1  # the unit of a start position
_WORD, _PHONEME = 1, 7  # types of event
_SPEED, _VOLUME = 1, 2  # parameters
_HEADROOM = 60  # volume, of 100: loud voices would clip inside the library

_LONGEST_DATA_PATH = 150  # bytes; the library cuts longer ones and then falls back on its own, silently
_LANGUAGE_LINES = ("language", "phonemes", "dictionary", "dictrules", "tunes", "intonation", "stressRule", "words")

# What espeak-ng leaves of its own mnemonics in its "IPA".
_REPAIRS = (
    ("ts.h", "ʈʂʰ"), ("ts.", "ʈʂ"), ("tɕh", "tɕʰ"), ("tsh", "tsʰ"), ("s.", "ʂ"), ("i̪", "ɹ̩"), ("onɡ", "ʊŋ"),
    ("th", "tʰ"), ("kh", "kʰ"), ("ph", "pʰ"), ("ss", "sː"), (".", "ˤ"), ("-", ""), ("1", "ɨ"), ("ˈ", ""), ("ˌ", ""),
)  # fmt: skip


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What espeak-ng made of a sentence."""

    wave: NDArray[np.int16]  # (T,) at ESPEAK_RATE
    phones: tuple[Phone, ...]  # in order, none overlapping; gaps are pauses
    words: tuple[tuple[float, str], ...] = ()  # start (s) and text of each, in order


def paths() -> tuple[Path, Path]:
    """The library and its data folder. Errors: UserError where the wheel is not installed."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise UserError("speaking a text needs espeakng-loader: pip install 'emobridge[demo]'") from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


class Espeak:
    """espeak-ng, initialised once. `folder` becomes this process's working directory: voice files are written there.

    The library takes voice files only by a path of less than 60 bytes, so by a relative one.

    Errors: UserError where espeakng-loader is missing or its library or data cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        library, self._data = paths()
        os.chdir(folder)
        data_path = os.fsencode(self._data)
        if len(data_path) > _LONGEST_DATA_PATH and hasattr(os, "symlink"):
            os.symlink(self._data, "espeak-ng-data")
            data_path = b"espeak-ng-data"
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise UserError(f"{library}: the espeak-ng library cannot be loaded ({error})") from error
        if self._library.espeak_Initialize(_SYNCHRONOUS, 0, data_path, _EVENTS) != ESPEAK_RATE:
            raise UserError(f"{self._data}: espeak-ng cannot read its data")
        self._languages: dict[str, list[str]] = {}
        self._pieces: list[bytes] = []
        self._marks: list[tuple[int, str]] = []  # sample, mnemonic
        self._words: list[tuple[int, int, int]] = []  # sample, first character from 1, number of characters
        self._callback = _Callback(self._collect)  # the library holds no reference; this one keeps it alive
        self._library.espeak_SetSynthCallback(self._callback)

    def language_lines(self, language: str) -> list[str]:
        """The lines of the library's own voice file that describe the language, and not the voice."""
        if language not in self._languages:
            (file,) = self._data.glob(f"lang/*/{language}")
            lines = (line.split("//")[0].strip() for line in file.read_text("latin-1").splitlines())
            self._languages[language] = [line for line in lines if line and line.split()[0] in _LANGUAGE_LINES]
        return self._languages[language]

    def speak(self, text: str, voice: Iterable[str], *, words_a_minute: int, seed: int) -> Synthesis:
        """Synthesise `text` in the voice that the lines of a voice file describe.

        Errors: RuntimeError where espeak-ng refuses the voice or says nothing.
        """
        Path("voice").write_text("\n".join(voice) + "\n", encoding="utf-8")
        if self._library.espeak_ng_SetVoiceByFile(b"voice") != 0:
            raise RuntimeError("espeak-ng refuses the voice file")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._library.espeak_SetParameter(_SPEED, words_a_minute, 0)
        self._library.espeak_SetParameter(_VOLUME, _HEADROOM, 0)
        self._pieces.clear()
        self._marks.clear()
        self._words.clear()
        sentence = text.encode()
        size = ctypes.c_size_t(len(sentence) + 1)
        self._library.espeak_Synth(sentence, size, 0, _CHARACTERS, 0, _UTF8, None, None)
        wave = np.frombuffer(b"".join(self._pieces), np.int16)
        if not len(wave):
            raise RuntimeError(f"espeak-ng says nothing for {text!r}")
        words = tuple(
            (sample / ESPEAK_RATE, text[first - 1 : first - 1 + length]) for sample, first, length in self._words
        )
        return Synthesis(wave, _phones(self._marks, len(wave)), words)

    def _collect(self, wave: ctypes._Pointer[ctypes.c_short], samples: int, events: ctypes._Pointer[_Event]) -> int:
        if wave and samples:
            self._pieces.append(ctypes.string_at(wave, 2 * samples))
        index = 0
        while events[index].type:
            event = events[index]
            if event.type == _WORD:
                self._words.append((event.sample, event.text_position, event.length))
            if event.type == _PHONEME:
                # Eight bytes, and no zero after a name that fills them: it may end inside a character.
                name = bytes(event.id)[:8].split(b"\0")[0].decode("utf-8", "ignore")
                self._marks.append((event.sample, name))
            index += 1
        return 0


def _phones(marks: list[tuple[int, str]], samples: int) -> tuple[Phone, ...]:
    """Each phone lasts until the next mark. Marks without a name are pauses, those without length are dropped."""
    ends = [sample for sample, _ in marks[1:]] + [samples]
    return tuple(
        Phone(
            start / ESPEAK_RATE,
            min(end, samples) / ESPEAK_RATE,
            ipa,
            kind_of(ipa.replace("g", "ɡ")) or "consonant",
            name,
        )
        for (start, name), end in zip(marks, ends)
        if (ipa := to_ipa(name)) and start < min(end, samples)
    )


def _kind(ipa: str) -> str:
    """What is left of mnemonics that are no IPA are marks of consonants."""
    return kind_of(ipa.replace("g", "ɡ")) or "consonant"


def to_ipa(name: str) -> str:
    """A phone's name without stress marks and with what is left of espeak-ng's own mnemonics in IPA.

    >>> to_ipa("ˈa-"), to_ipa("ts.h")
    ('a', 'ʈʂʰ')
    """
    for mnemonic, ipa in _REPAIRS:
        name = name.replace(mnemonic, ipa)
    return name
