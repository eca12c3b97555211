"""Short-time spectra and filterbanks, batched over ragged clips."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from emobridge.data.graphs import in_graph
from emobridge.types import SAMPLE_RATE


def reflected(wave: Tensor, lengths: Tensor, margin: int) -> Tensor:
    """(B, T) -> (B, T + 2 margin): each clip continued at both of ITS ends by its mirror image; zero beyond that.

    Clips must be longer than `margin` samples.
    """
    position = torch.arange(-margin, wave.shape[1] + margin, device=wave.device)
    last = lengths[:, None] - 1
    index = last - (last - position.abs()).abs()
    inside = position <= last + margin
    return torch.where(inside, wave.gather(1, index.clamp(min=0)), 0.0)


def power(wave: Tensor, window: Tensor, size: int, hop: int) -> Tensor:
    """Power spectrogram of already padded (B, T): (B, size // 2 + 1, frames); frame i begins at sample i * hop."""
    if in_graph():
        offset = (size - len(window)) // 2  # the window stands in the middle of a frame
        frames = framed(wave[:, offset : wave.shape[1] - (size - len(window) - offset)], len(window), hop)
        return frame_power(frames * window, size).transpose(1, 2)
    spectrum = torch.stft(wave, size, hop, win_length=len(window), window=window, center=False, return_complex=True)
    return spectrum.real.square() + spectrum.imag.square()


def framed(wave: Tensor, size: int, hop: int) -> Tensor:
    """(B, T) -> (B, frames, size): frame i begins at sample i * hop; what fills no frame is left out."""
    if not in_graph():
        return wave.unfold(1, size, hop)
    count = (wave.shape[1] - size) // hop + 1
    return wave[:, (hop * torch.arange(count))[:, None] + torch.arange(size)]


def frame_power(frames: Tensor, size: int) -> Tensor:
    """Power spectra of windowed frames (B, F, N), continued by zeros to `size`: (B, F, size // 2 + 1).

    A graph of ONNX has products with cosines and sines, in double precision, which lose fewer digits than an FFT. A
    runtime computes these once, when it loads the graph, for the numbers that they follow from are constants.
    """
    if not in_graph():
        spectrum = torch.fft.rfft(frames, size)
        return spectrum.real.square() + spectrum.imag.square()
    angle = 2 * np.pi / size * torch.outer(torch.arange(int(frames.shape[2])), torch.arange(size // 2 + 1)).double()
    doubled = frames.double()
    return ((doubled @ angle.cos()).square() + (doubled @ angle.sin()).square()).float()


def slaney_filters(bands: int, size: int) -> Tensor:
    """Whisper's mel filters (Slaney's scale, each of unit area) over 0-8000 Hz: (bands, size // 2 + 1)."""
    step = 200 / 3  # Hz a mel below 1000 Hz, 15 mels; logarithmic above
    log_step = np.log(6.4) / 27
    top = 15 + np.log(SAMPLE_RATE / 2 / 1000) / log_step
    mels = np.linspace(0, top, bands + 2)
    edges = np.where(mels < 15, mels * step, 1000 * np.exp(log_step * (mels - 15)))
    return torch.from_numpy(_triangles(edges, _bins(size)) * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


def htk_filters(bands: int, size: int, low: float, high: float) -> Tensor:
    """Mel filters on the HTK scale, each with a peak of one: (bands, size // 2 + 1)."""
    first, last = 2595 * np.log10(1 + np.array([low, high]) / 700)
    mels = np.linspace(first, last, bands + 2)
    return torch.from_numpy(_triangles(700 * (10 ** (mels / 2595) - 1), _bins(size))).float()


def kaldi_filters(bands: int, size: int, low: float, high: float) -> Tensor:
    """Kaldi's mel filters, triangles on the mel scale itself, with a peak of one: (bands, size // 2 + 1)."""
    first, last, hertz = (1127 * np.log(1 + np.asarray(f) / 700) for f in (low, high, _bins(size)))
    return torch.from_numpy(_triangles(np.linspace(first, last, bands + 2), hertz)).float()


def gammatone_filters(bands: int, size: int, low: float, high: float) -> Tensor:
    """Fourth-order gammatone filters, spaced by ERB (Glasberg and Moore 1990), on power: (bands, size // 2 + 1).

    The magnitude response is (1 + ((f - f_c) / b)^2)^-2 with b = 1.019 ERB(f_c) (Patterson 1992), squared for power and
    scaled so that each filter sums to one.
    """
    first, last = 21.4 * np.log10(1 + 0.00437 * np.array([low, high]))
    cams = np.linspace(first, last, bands)
    centres = (10 ** (cams / 21.4) - 1) / 0.00437
    widths = 1.019 * 24.7 * (0.00437 * centres + 1)
    hertz = _bins(size)
    response = (1 + ((hertz - centres[:, None]) / widths[:, None]) ** 2) ** -4.0
    return torch.from_numpy(response / response.sum(1, keepdims=True)).float()


def _bins(size: int) -> np.ndarray:
    """The frequencies of a spectrum in Hz: (size // 2 + 1,)."""
    return np.arange(size // 2 + 1) * SAMPLE_RATE / size


def _triangles(edges: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Triangular filters between neighbouring edges (bands + 2,) at `places` (N,): (bands, N), peak one."""
    slopes = edges[:, None] - places
    rise = -slopes[:-2] / np.diff(edges)[:-1, None]
    fall = slopes[2:] / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall))


class LogMel(nn.Module):
    """BYOL-S's front end: 64 HTK mel bands, 60-7800 Hz, of the power in Hann windows of 25 ms every 10 ms.

    The FFT has 1024 points, frames are centred with reflection, and the value is log(x + 1.1920929e-07).
    """

    bands, size, hop = 64, 1024, 160
    rate = SAMPLE_RATE / hop  # Hz
    minimum = size // 2 + 1  # samples that the reflection needs
    filters: Tensor
    hann: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", htk_filters(self.bands, self.size, 60.0, 7800.0), persistent=False)
        self.register_buffer("hann", torch.hann_window(400), persistent=False)

    def forward(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) and lengths (B,) -> (B, bands, F) and each clip's frames (B,)."""
        spectrum = power(reflected(wave, lengths, self.size // 2), self.hann, self.size, self.hop)
        return (self.filters @ spectrum + torch.finfo(torch.float32).eps).log(), 1 + lengths // self.hop
