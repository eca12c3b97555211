"""A sound's picture as images: waveform and spectrogram, whose every column is a pixel wide."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from emobridge.report.plots import COLOURS

if TYPE_CHECKING:
    from emobridge.diarization.pictures import SoundPicture

WAVE_HEIGHT = 64  # pixels, for -1 to 1 of the largest sample
SHOWN_RANGE = 60.0  # dB below the loudest band that a spectrogram shows
BAND_HEIGHT = 2  # pixels of a mel band
QUALITY = 70  # of the JPEG, of 100


def waveform_png(picture: SoundPicture) -> bytes:
    """The envelope, as high as the largest sample is, on nothing: it reads on light and dark pages."""
    from matplotlib.image import imsave  # slow to import

    largest = max(float(picture.high.max()), float(-picture.low.min()), 1e-4)
    rows = np.linspace(1, -1, WAVE_HEIGHT)[:, None]
    half = 1 / WAVE_HEIGHT  # a column of silence is a line
    inside = (rows <= picture.high / largest + half) & (rows >= picture.low / largest - half)
    colour = [int(COLOURS[1][first : first + 2], 16) for first in (1, 3, 5)]
    pixels = np.zeros((*inside.shape, 4), np.uint8)
    pixels[inside] = (*colour, 255)
    file = io.BytesIO()
    imsave(file, pixels, format="png", pil_kwargs={"optimize": True})
    return file.getvalue()


def spectrogram_jpeg(picture: SoundPicture) -> bytes:
    """Levels by time and mel band, high bands above: bright is loud, by a map of colours that rises in lightness."""
    from matplotlib.image import imsave

    top = max(float(picture.levels.max()), -60.0)
    levels = np.repeat(picture.levels.T, BAND_HEIGHT, axis=0)
    file = io.BytesIO()
    options = {"quality": QUALITY, "optimize": True}
    imsave(
        file, levels, vmin=top - SHOWN_RANGE, vmax=top, cmap="magma", origin="lower", format="jpg", pil_kwargs=options
    )
    return file.getvalue()
