"""What single clips sound like, noted for the next audit of the same files (see `data.notes`)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

import emobridge
from emobridge.audit.fingerprint import Fingerprint
from emobridge.data.audio import audio_digests
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
    (key,) = _keys([utterance])
    value = None if key is None else open_notes().read(key)
    if value is not None:
        return _unpacked(value)
    sound = decode()
    if key is not None and [key] == _keys([utterance]):  # the file is as it was before
        open_notes().write(key, _packed(sound))
    return sound


def noted_sounds(utterances: Sequence[Utterance]) -> list[ClipSound | None]:
    """What clips sound like where that is noted, None elsewhere. The notes are read together."""
    keys = _keys(utterances)
    noted = open_notes().read_all(key for key in keys if key is not None)
    return [None if key is None or key not in noted else _unpacked(noted[key]) for key in keys]


def _keys(utterances: Sequence[Utterance]) -> list[bytes | None]:
    """Of each file's content and the stretch of it; None where the file cannot be read."""
    digests = audio_digests(utterance.path for utterance in utterances)
    versions = emobridge.__version__, soundfile.__libsndfile_version__, soxr.__version__
    keys: list[bytes | None] = []
    for utterance in utterances:
        digest, end = digests[utterance.path], None if utterance.end is None else float(utterance.end)
        parts = "sound", SOUND_FORM, versions, digest, float(utterance.start), end, utterance.channel
        keys.append(key_of_note(*parts) if isinstance(digest, bytes) else None)
    return keys


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
