"""What single clips sound like, noted for the next audit of the same files (see `data.notes`)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

import emobridge
from emobridge.audit.fingerprint import Fingerprint
from emobridge.data.audio import AudioError, audio_digest
from emobridge.data.notes import key_of_note, open_notes
from emobridge.types import Utterance

SOUND_FORM = 1  # of a note, and of the way its numbers are computed: part of its key
HEAD = struct.Struct("<5dBHi")  # five numbers, the bytes of digest and header, the hops of the fingerprint or -1


@dataclass(frozen=True, slots=True)
class ClipSound:
    """What an audit has to know of a clip."""

    level: float  # dB of full scale, RMS
    peak: float  # dB of full scale
    seconds: float
    clipped: float  # share of samples at full scale
    speech: float  # seconds; NaN where it was not looked for
    digest: bytes  # of the samples; empty where silent
    header: str  # how the file's header is wrong; "" where it is right
    fingerprint: Fingerprint | None  # None where silent, too short, or not taken


def noted_sound(utterance: Utterance, decode: Callable[[], ClipSound]) -> ClipSound:
    """What a clip sounds like, as it is noted; otherwise it is decoded, and noted. Errors: those of `decode`."""
    key = _key(utterance)
    value = None if key is None else open_notes().read(key)
    if value is not None:
        return _unpacked(value)
    sound = decode()
    if key is not None and key == _key(utterance):  # the file is as it was before
        open_notes().write(key, _packed(sound))
    return sound


def _key(utterance: Utterance) -> bytes | None:
    """Of the file's content and the stretch of it; None where the file cannot be read."""
    try:
        digest = audio_digest(utterance.path)
    except AudioError:
        return None
    end = None if utterance.end is None else float(utterance.end)
    versions = emobridge.__version__, soundfile.__libsndfile_version__, soxr.__version__
    return key_of_note("sound", SOUND_FORM, versions, digest, float(utterance.start), end, utterance.channel)


def _packed(sound: ClipSound) -> bytes:
    numbers = sound.level, sound.peak, sound.seconds, sound.clipped, sound.speech
    header, hops, arrays = sound.header.encode(), -1, b""
    if sound.fingerprint is not None:
        hops = len(sound.fingerprint.levels)
        arrays = sound.fingerprint.subfingerprints.astype("<u4").tobytes()
        arrays += sound.fingerprint.levels.tobytes() + sound.fingerprint.signs.tobytes()
    return HEAD.pack(*numbers, len(sound.digest), len(header), hops) + sound.digest + header + arrays


def _unpacked(value: bytes) -> ClipSound:
    level, peak, seconds, clipped, speech, digest, header, hops = HEAD.unpack_from(value)
    first = HEAD.size + digest + header
    fingerprint = None
    if hops >= 0:
        content = np.frombuffer(value, np.uint8, offset=first)
        parts = np.split(content, [4 * hops, 5 * hops])
        words = parts[0].view("<u4").astype(np.uint32)
        fingerprint = Fingerprint(words, parts[1].view(np.int8), parts[2])
    return ClipSound(
        level=level,
        peak=peak,
        seconds=seconds,
        clipped=clipped,
        speech=speech,
        digest=value[HEAD.size : HEAD.size + digest],
        header=value[HEAD.size + digest : first].decode(),
        fingerprint=fingerprint,
    )
