"""What extraction costs beside the plain loop: one process, one thread, CPU time.

    python benchmarks/bench_encoders.py --weights DIR/whisper-base --corpus DIR/of/audio

The plain loop is what a notebook does: one file at a time, transformers' feature extractor with its padding to 30 s,
and transformers' encoder in single precision with all hidden states, averaged over the clip's frames.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import numpy as np
import soundfile
import torch
from safetensors.torch import load_file

from emobridge import features
from emobridge.data.audio import duration, read_audio
from emobridge.encoders import load_encoder
from emobridge.encoders._weights import read_config
from emobridge.features import FeatureStore
from emobridge.types import SAMPLE_RATE, Utterance


def plain_loop(weights: Path, clips: list[Utterance]) -> Callable[[], np.ndarray]:
    """The loop, ready to run: (N, L, D) means over frames."""
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    prefix = "model.encoder."
    tensors = load_file(weights / "model.safetensors")
    encoder = WhisperEncoder(WhisperConfig(**read_config(weights))).eval()
    encoder.load_state_dict({k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)})
    extractor = WhisperFeatureExtractor.from_pretrained(weights)

    def run() -> np.ndarray:
        rows = []
        with torch.no_grad():
            for clip in clips:
                wave = read_audio(clip.path)
                mel = extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
                layers = encoder(mel, output_hidden_states=True).hidden_states
                frames = -(-len(wave) // 320)
                rows.append(np.stack([layer[0, :frames].mean(0).numpy() for layer in layers]))
        return np.stack(rows)

    return run


def measured(run: Callable) -> tuple[float, object]:
    """CPU seconds of one call, and what it returned."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def readable(folder: Path, count: int) -> list[Utterance]:
    """Every k-th audio file below `folder`, `count` in all."""
    formats = {f".{name.lower()}" for name in soundfile.available_formats()}
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in formats)
    chosen = paths[:: max(1, len(paths) // count)][:count]
    return [Utterance(id=path.stem, corpus=folder.name, path=str(path)) for path in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="folder of a Whisper model")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of audio files")
    parser.add_argument("--clips", type=int, default=60, help="how many (60)")
    parser.add_argument("--padded", type=int, default=12, help="how many of them to pad to 30 s, which is slow (12)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = readable(options.corpus, options.clips)
    few = clips[:: max(1, len(clips) // options.padded)][: options.padded]
    seconds = np.array([duration(clip.path) for clip in clips])
    print(f"{options.weights.name}: {len(clips)} clips of {seconds.mean():.2f} s on average, {len(few)} of them padded")

    plain = plain_loop(options.weights, few)
    plain()  # once to warm up
    with tempfile.TemporaryDirectory() as folder:
        at_length = load_encoder(options.weights)
        padded = load_encoder(options.weights, padding="full")
        FeatureStore(Path(folder, "warm"), at_length).extract(few[:2])
        slow, expected = measured(plain)
        full, values = measured(lambda: FeatureStore(folder, padded).extract(few).values)
        same = measured(lambda: FeatureStore(Path(folder, "few"), at_length).extract(few))[0]
        clip, first = measured(lambda: FeatureStore(folder, at_length).extract(clips).values)
        features._file_hash.cache_clear()  # as a new process would find it
        again, second = measured(lambda: FeatureStore(folder, at_length).extract(clips).values)
    width = values.shape[2] // 2
    difference = np.abs(values[:, :, :width] - expected).max()
    assert np.array_equal(first, second)
    print("                       CPU ms a clip   against the plain loop")
    print(f"plain loop, 30 s       {1000 * slow / len(few):13.2f}")
    print(f"padding full, 30 s     {1000 * full / len(few):13.2f}   {full / slow:.3f} x the time")
    print(f"padding clip           {1000 * same / len(few):13.2f}   {slow / same:.1f} x faster")
    print(f"padding clip, all      {1000 * clip / len(clips):13.2f}")
    print(f"from the store         {1000 * again / len(clips):13.2f}   {clip / again:.0f} x faster than extraction")
    print(f"largest difference of a mean over frames, padding full to the plain loop: {difference:.1e}")


if __name__ == "__main__":
    main()
