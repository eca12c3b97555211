"""`predict` of a middle layer beside a loop written by hand, cold start too, and its memory for one long recording.

The loop is what a notebook does: transformers' encoder at clip length with all hidden states, the mean of the middle
one, a linear map. The recogniser is untrained; that changes nothing about its time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import limits
import numpy as np
import soundfile
import torch
from _loops import whisper_model
from measuring import Amount, Resources, Row, Used, child, emobridge, median_used, medians, skipped

from emobridge.bundle import Recognizer, Spec, made_head
from emobridge.data.audio import read_audio
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain
from emobridge.inference.predict import predict
from emobridge.types import SAMPLE_RATE

NEEDS = ("weights",)
LABELS = ("anger", "happiness", "neutral", "sadness")
WIDTH, BANDS = 512, 80  # of Whisper base
GIGABYTE = 1e9  # bytes
CLIPS, COLD = 16, 100  # in one process, and with its start
HAND = "transformers by hand, clip length"
WARM_RATIO, COLD_RATIO = 0.35, 0.45


def measure(resources: Resources) -> list[Row]:
    """Clips and a cold start, where there are clips, of each engine; then an hour in one file."""
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
    bundles, missing = {"by default": folder / "bundle"}, []
    try:
        untrained_bundle(folder / "openvino", resources.weights, engine="openvino")
        bundles["openvino"] = folder / "openvino"
    except UserError as error:  # a processor without bf16, or the library is not installed
        missing.append(skipped("predict, engine openvino", error))
    return [*_warm(bundles, paths[:: COLD // CLIPS][:CLIPS], resources), *_cold(bundles, paths, resources), *missing]


def _warm(bundles: dict[str, Path], paths: Sequence[str], resources: Resources) -> list[Row]:
    """A clip, in a process that has answered before."""
    assert resources.weights is not None
    model, _ = whisper_model(resources.weights)
    layer = len(model.layers) // 2
    calls = {name: partial(_answer, Recognizer.load(path), paths) for name, path in bundles.items()}
    calls[HAND] = answer_by_hand(resources.weights, paths)
    for call in calls.values():
        call()
    took = medians(resources.repeats, **calls)
    opponent = Amount(took[HAND] / len(paths), HAND)
    job = f"predict, layer {layer} of {len(model.layers)} of whisper-base"
    return [
        Row(
            f"{job}, engine {name}: a clip",
            took[name] / len(paths),
            "s",
            most=WARM_RATIO,
            opponent=opponent,
            limit=_limit(paths, layer, limits.bf16_limit if name == "openvino" else limits.fp32_limit),
        )
        for name in bundles
    ]


def _cold(bundles: dict[str, Path], paths: Sequence[str], resources: Resources) -> list[Row]:
    """All clips, with the start of the process."""
    assert resources.weights is not None
    commands = {
        name: emobridge("predict", path, *paths, "--out", path.with_suffix(".jsonl")) for name, path in bundles.items()
    }
    commands[HAND] = [sys.executable, __file__, str(resources.weights), *paths]
    commands["start"] = [sys.executable, "-c", "import torch"]
    runs: dict[str, list[Used]] = {name: [] for name in commands}
    for _ in range(resources.repeats):
        for name, command in commands.items():
            runs[name].append(child(command))
    cpu = {name: median_used(used).cpu for name, used in runs.items()}
    limit = Amount(cpu["start"], "Python that imports torch")
    return [
        Row(
            f"predict, {len(paths)} clips, engine {name}, cold start",
            cpu[name],
            "s",
            most=COLD_RATIO,
            opponent=Amount(cpu[HAND], HAND),
            limit=limit,
        )
        for name in bundles
    ]


def _answer(recognizer: Recognizer, paths: Sequence[str]) -> None:
    """Predict clips; the predictions are dropped."""
    for _ in predict(recognizer, paths):
        pass


def _limit(paths: Sequence[str], layer: int, limit_of: Callable[[float], Amount]) -> Amount:
    """The products of a clip up to the layer, of Whisper base, at this machine's rate in a precision."""
    frames = float(np.mean([len(read_audio(path)) / 320 for path in paths]))
    block = 12 * WIDTH**2 * frames + 2 * WIDTH * frames**2  # four maps, two of four times the width; attention
    convolutions = 3 * BANDS * WIDTH * 2 * frames + 3 * WIDTH**2 * frames
    return limit_of(2 * (layer * block + convolutions))


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


def untrained_bundle(folder: Path, weights: Path, **options: str) -> None:
    """A recogniser that is as large as a trained one. options: of its encoder."""
    encoder = load_encoder(weights, **options)
    spec = Spec(
        labels=LABELS,
        encoder=str(weights.resolve()),
        encoder_options=tuple(f"{name}={value}" for name, value in options.items()),
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
