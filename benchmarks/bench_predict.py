"""`predict` of a middle layer beside a loop written by hand, cold start too, and its memory for one long recording.

The loop is what a notebook does: transformers' encoder at clip length with all hidden states, the mean of the middle
one, a linear map. The recogniser is untrained; that changes nothing about its time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import limits
import numpy as np
import soundfile
import torch
from _loops import whisper_model
from measuring import Amount, Resources, Row, child, emobridge, median_used, medians

from emobridge.bundle import Recognizer, Spec, made_head
from emobridge.data.audio import read_audio
from emobridge.encoders import load_encoder
from emobridge.features.normalisation import Domain
from emobridge.inference.predict import predict
from emobridge.types import SAMPLE_RATE

NEEDS = ("weights",)
LABELS = ("anger", "happiness", "neutral", "sadness")
WIDTH, BANDS = 512, 80  # of Whisper base
GIGABYTE = 1e9  # bytes
CLIPS, COLD = 16, 100  # in one process, and with its start
HAND = "transformers by hand, clip length"


def measure(resources: Resources) -> list[Row]:
    """Clips and a cold start, where there are clips; then an hour in one file."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        untrained_bundle(folder / "bundle", resources.weights)
        rows = _of_clips(folder, resources) if resources.corpora else []
        return [*rows, *_of_an_hour(folder, resources)]


def _of_clips(folder: Path, resources: Resources) -> list[Row]:
    """The middle layer of clips: in this process, and as a command."""
    assert resources.weights is not None and resources.corpora is not None
    clips = sorted((resources.corpora / "ravdess").rglob("*.flac"))
    paths = [str(path) for path in clips[:: len(clips) // COLD][:COLD]]
    few = paths[:: COLD // CLIPS][:CLIPS]
    recognizer = Recognizer.load(folder / "bundle")
    model, _ = whisper_model(resources.weights)
    layer = len(model.layers) // 2
    by_hand = answer_by_hand(resources.weights, few)
    list(predict(recognizer, few)), by_hand()
    took = medians(resources.repeats, ours=lambda: list(predict(recognizer, few)), theirs=by_hand)
    runs, theirs = [], []
    for number in range(resources.repeats):
        out = folder / f"cold{number}.jsonl"
        runs.append(child(emobridge("predict", folder / "bundle", *paths, "--out", out)))
        theirs.append(child([sys.executable, __file__, resources.weights, *paths]))
    job = f"predict, layer {layer} of {len(model.layers)} of whisper-base"
    opponent = Amount(took["theirs"] / CLIPS, HAND)
    cold = Amount(median_used(theirs).cpu, HAND)
    start = median_used([child([sys.executable, "-c", "import torch"]) for _ in range(resources.repeats)])
    limit = Amount(start.cpu, "Python that imports torch")
    return [
        Row(f"{job}: a clip", took["ours"] / CLIPS, "s", most=0.35, opponent=opponent, limit=_limit(few, layer)),
        Row(f"{job}: {COLD} clips, cold start", median_used(runs).cpu, "s", most=0.45, opponent=cold, limit=limit),
    ]


def _limit(paths: Sequence[str], layer: int) -> Amount:
    """The products of a clip up to the layer, of Whisper base, at this machine's rate in single precision."""
    frames = float(np.mean([len(read_audio(path)) / 320 for path in paths]))
    block = 12 * WIDTH**2 * frames + 2 * WIDTH * frames**2  # four maps, two of four times the width; attention
    convolutions = 3 * BANDS * WIDTH * 2 * frames + 3 * WIDTH**2 * frames
    return limits.fp32_limit(2 * (layer * block + convolutions))


def answer_by_hand(weights: Path, paths: Sequence[str]) -> Callable[[], list[int]]:
    """The loop, ready to run: the class of each clip."""
    model, hidden = whisper_model(weights)
    layer = len(model.layers) // 2
    linear = torch.nn.Linear(model.config.d_model, len(LABELS))

    def run() -> list[int]:
        with torch.inference_mode():
            return [int(linear(hidden(read_audio(path))[layer].mean(0)).argmax()) for path in paths]

    return run


def _of_an_hour(folder: Path, resources: Resources) -> list[Row]:
    """Peak of the resident memory of the whole process, once: it hardly varies, and an hour takes its time."""
    long_recording(folder / "long.flac", resources)
    command = ("predict", folder / "bundle", folder / "long.flac", "--out", folder / "said.jsonl", "--strict")
    used = child(emobridge(*command))
    job = f"emobridge predict, {resources.minutes:g} minutes in one file"
    return [
        Row(f"{job}: peak memory", used.peak / GIGABYTE, "GB", most=1.5),
        Row(f"{job}: a minute of audio", used.cpu / resources.minutes, "s"),
    ]


def long_recording(path: Path, resources: Resources) -> None:
    """Real clips one after the other, or noise where there are none."""
    clips = sorted((resources.corpora / "ravdess").rglob("*.flac"))[:100] if resources.corpora else []
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_RATE)
    missing = round(resources.minutes * 60 * SAMPLE_RATE)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        while missing > 0:
            for wave in (read_audio(clip) for clip in clips) if clips else [noise]:
                file.write(wave[:missing])
                missing = max(0, missing - len(wave))


def untrained_bundle(folder: Path, weights: Path) -> None:
    """A recogniser that is as large as a trained one."""
    encoder = load_encoder(weights)
    spec = Spec(
        labels=LABELS,
        encoder=str(weights.resolve()),
        encoder_options=(),
        digest=encoder.digest,
        trained="frozen",
        layer=str(encoder.layers // 2),
        statistics=encoder.statistics[:1],
        normalise="speaker",
        by_corpus=(),
        texts=((),),
        align="none",
        target_labels="0",
        head="single",
        head_options=(),
        method="source-only",
        domains=(("ravdess", "en"),),
        synthetic=False,
    )
    domain = Domain("ravdess", "en", torch.zeros(encoder.width), torch.ones(encoder.width))
    head = made_head("single", (), encoder.width, len(LABELS))
    Recognizer(spec, encoder, [domain], head).save(folder, "Untrained: for a measurement of memory.\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(answer_by_hand(Path(sys.argv[1]), sys.argv[2:])())
