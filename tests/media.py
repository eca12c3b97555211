"""Sound in containers that libsndfile does not write, by PyAV."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_media(path: Path, wave: np.ndarray, wave_rate: int, codec: str, rate: int, **options: str) -> Path:
    """Encode `wave` (T,) at `wave_rate` Hz, at `rate` Hz in the file, into the container that the suffix names."""
    import av

    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = wave_rate, 0
        fifo, size = av.AudioFifo(), stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for part in (frame, None):
            for converted in resampler.resample(part):
                fifo.write(converted)
        while (piece := fifo.read(size, partial=True)) is not None:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path
