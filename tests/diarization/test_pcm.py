"""Raw samples from a pipe, however the bytes come."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.diarization.pcm import pcm_blocks
from emobridge.errors import UserError


def samples(data: bytes, size: int, encoding="s16le", channels=1, notes=None):
    pieces = (data[first : first + size] for first in range(0, len(data), size))
    return np.concatenate(list(pcm_blocks(pieces, encoding, channels, None if notes is None else notes.append)))


@pytest.mark.parametrize("size", [1, 3, 5, 64, 1 << 16])
def test_samples_do_not_depend_on_the_pieces(size):
    values = np.array([0, 1, -1, 32767, -32768, 256], dtype="<i2")
    assert samples(values.tobytes(), size).tolist() == [[value / 32768] for value in values.tolist()]
    stereo = samples(values.astype("<f4").tobytes(), size, "f32le", 2)
    assert stereo.tolist() == values.reshape(-1, 2).tolist()


def test_bytes_after_the_last_frame_are_left_out_and_told():
    notes = []
    assert samples(b"\0\1" * 3 + b"\7", 4, notes=notes).shape == (3, 1)
    assert notes == ["standard input: 1 byte after the last whole frame left out"]


@pytest.mark.parametrize("data", [b"", b"\1", b"\1\2\3"])
def test_less_than_a_frame(data):
    with pytest.raises(UserError, match="ended before a frame of 4 bytes"):
        samples(data, 2, "f32le") if data else list(pcm_blocks([], "f32le", 1))


@pytest.mark.parametrize("header", [b"RIFF\0\0\0\0WAVEfmt ", b"fLaC\0\0\0\0", b"OggS\0\0\0\0", b"ID3\4\0\0\0\0"])
@pytest.mark.parametrize("size", [1, 100])
def test_a_file_with_a_header_is_no_raw_pcm(header, size):
    with pytest.raises(UserError, match="expected raw samples, such as from: ffmpeg"):
        samples(header * 4, size)


def test_a_frame_alone():
    assert samples(b"\0\x40", 2).tolist() == [[0.5]]
