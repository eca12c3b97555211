"""Speech activity: where in a recording somebody speaks.

Frames are 10 ms apart and centred: frame i is about the time i / FRAME_RATE. In shapes T is samples at 16 kHz and F
frames, 1 + T // HOP.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError, unknown
from emobridge.settings import DETECTORS
from emobridge.types import SAMPLE_RATE

SHORTEST_SPEECH = 0.25  # s; a cough or a click is shorter, a word that carries an emotion is not
LEAST_SPEECH = 0.3  # s in a stretch that is answered: about a short word
LONGEST_PAUSE = 0.3  # s; a shorter pause is one between words: stops and breaths last 0.05 to 0.25
PADDING = 0.1  # s on either side, for the quiet begins and ends of words

HOP, WINDOW = 160, 400  # samples: 10 ms and 25 ms
FRAME_RATE = SAMPLE_RATE / HOP  # Hz
RANGE = 30.0  # dB below the loud frames of a clip within which a frame counts as speech: ours
LOUD = 0.95  # quantile of the levels that stands for the loud frames; a click is shorter than the rest
FAINTEST = -70.0  # dB of full scale: below it there is no speech, however quiet the clip
LEAST_POWER = 1e-12  # power, lest its logarithm be infinite
BLOCK = 3000  # frames at a time, so that the memory for a long clip stays flat


def frame_levels(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """(T,) -> (F,) dB of full scale: the mean power of the 25 ms around each frame, as far as they are in the clip."""
    centres = np.arange(1 + len(wave) // HOP) * HOP
    powers = [_powers(wave, centres[number : number + BLOCK]) for number in range(0, len(centres), BLOCK)]
    levels: NDArray[np.float64] = 10 * np.log10(np.concatenate(powers) + LEAST_POWER)
    return levels


def _powers(wave: NDArray[np.float32], centres: NDArray[np.int64]) -> NDArray[np.float64]:
    """(F,): the mean power of the 25 ms around each of F rising samples."""
    first, last = np.maximum(centres - WINDOW // 2, 0), np.minimum(centres + WINDOW // 2, len(wave))
    total = np.concatenate([[0.0], np.cumsum(np.square(wave[first[0] : last[-1]], dtype=np.float64))])
    energy = np.maximum(total[last - first[0]] - total[first - first[0]], 0.0)
    powers: NDArray[np.float64] = energy / np.maximum(last - first, 1)
    return powers


def loud_frames(wave: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(T,) -> (F,): frames within RANGE of the clip's loud frames. A rule of energy; it takes steady noise for speech.

    It needs no model and no other clip. None of a silent clip's frames are loud.
    """
    return are_loud(frame_levels(wave))


def are_loud(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`loud_frames` of a clip with these levels of its frames (F,)."""
    loud: NDArray[np.bool_] = levels > max(float(np.quantile(levels, LOUD)) - RANGE, FAINTEST)
    return loud


def resolve_detector(detector: str) -> str:
    """The detector that answers: "auto" is "silero" where the package is installed, else "energy".

    Errors: UserError for another word, and for "silero" without its package.
    """
    if detector not in DETECTORS:
        raise unknown("detector", detector, DETECTORS)
    if detector == "energy":
        return detector
    # Asked once for each recording, and the search goes through all folders of packages.
    installed = sys.modules.get("silero_vad") is not None or importlib.util.find_spec("silero_vad") is not None
    if detector == "silero" and not installed:
        raise UserError("detector 'silero' needs the package silero-vad: pip install 'emobridge[vad]', or 'energy'")
    return "silero" if installed else "energy"


def speech_segments(
    pieces: Iterable[NDArray[np.float32]], *, detector: str = "auto", enough: float = math.inf
) -> list[tuple[float, float]]:
    """(start, end) in seconds of the stretches with speech, in order and disjoint.

    pieces: a recording at 16 kHz, (T_i,) each, one after the other; how it is cut does not matter, and no more than a
    piece and a few numbers for each 20 ms are held. detector: see `resolve_detector`. enough: in s; a detector may stop
    where it has found as much speech, PADDING left out, and return the segments up to there.
    """
    limits = {"shortest": SHORTEST_SPEECH, "gap": LONGEST_PAUSE, "padding": PADDING}
    if resolve_detector(detector) == "silero":
        from emobridge.data._silero import silero_segments

        segments = silero_segments(pieces, **limits, enough=enough)
    else:
        from emobridge.data._energy import energy_segments  # SciPy takes its time to import

        segments = energy_segments(pieces, **limits)
    return [(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in segments]
