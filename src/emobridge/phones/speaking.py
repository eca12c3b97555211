"""A text spoken by espeak-ng, with the times of its phones and words, and the voice of a language.

espeak-ng keeps state from one text to the next, so each is spoken in a process of its own: what it gives depends on the
text and the language alone.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from emobridge.errors import UserError
from emobridge.languages import language_name, primary_language
from emobridge.phones.espeak import ESPEAK_RATE, Espeak, Synthesis, paths
from emobridge.types import SAMPLE_RATE

WORDS_A_MINUTE = 160  # ours; 130 and 200 align as well
VOICE_SEED = 1
# Of languages with several voices, where a tag names none of them. Ours: the English corpora of the field are American.
COMMON_VOICES = {"en": "en-US", "zh": "cmn", "no": "nb"}


def voice_of(language: str) -> str:
    """The name of espeak-ng's voice of a language, by its tag. Errors: UserError where it has none.

    >>> voice_of("de-AT"), voice_of("en"), voice_of("en-GB"), voice_of("zh-TW")
    ('de', 'en-US', 'en', 'cmn')
    """
    voices, primary, tag = _voices(), primary_language(language), language.casefold()
    common = COMMON_VOICES.get(primary, primary)
    name = common if tag == primary and common.casefold() in voices else voices.get(tag, voices.get(common.casefold()))
    name = name or next((name for tag, name in voices.items() if primary_language(tag) == primary), None)
    if name is None:
        raise UserError(f"espeak-ng has no voice of the language {language!r} ({language_name(language)})")
    return name


def speak_alone(text: str, voice: str) -> Synthesis:
    """A text spoken in a process of its own. voice: as `voice_of` gives it.

    Errors: UserError where espeak-ng is not installed, says nothing for the text, or crashes.
    """
    method = "fork" if hasattr(os, "fork") else "spawn"
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="emobridge-", ignore_cleanup_errors=True) as home:
        process = context.Process(target=_speak_into, args=(sender, home, text, voice), daemon=True)  # type: ignore[attr-defined]
        process.start()
        sender.close()
        try:
            result = receiver.recv()
        except EOFError:
            result = None
        finally:
            receiver.close()
            process.join()
    if isinstance(result, Synthesis) and result.phones:
        return result
    reason = "says nothing for" if result else "crashed on"
    raise UserError(result if isinstance(result, str) else f"espeak-ng {reason} the text {text[:60]!r}")


def wave_of(synthesis: Synthesis) -> NDArray[np.float32]:
    """The speech at SAMPLE_RATE, (T,) in [-1, 1]."""
    return np.asarray(soxr.resample(synthesis.wave.astype(np.float32) / 32768, ESPEAK_RATE, SAMPLE_RATE), np.float32)


def _speak_into(sender: Connection, home: str, text: str, voice: str) -> None:
    """Send the synthesis, or the line that says why there is none."""
    try:
        espeak = Espeak(Path(home))
        sender.send(espeak.speak(text, espeak.language_lines(voice), words_a_minute=WORDS_A_MINUTE, seed=VOICE_SEED))
    except (UserError, RuntimeError, OSError) as error:
        sender.send(str(error))
    finally:
        sender.close()


@functools.cache
def _voices() -> dict[str, str]:
    """The names of espeak-ng's voice files by the tags that they declare and by themselves, in lower case."""
    _, data = paths()
    files = sorted(data.glob("lang/*/*"))
    voices: dict[str, str] = {}
    for file in files:
        for line in file.read_text("latin-1").splitlines():
            if line.startswith("language"):
                voices.setdefault(line.split()[1].casefold(), file.name)
    return voices | {file.name.casefold(): file.name for file in files}
