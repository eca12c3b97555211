"""What the streamed mode costs beside the encoder's bare forward passes.

One epoch of a layer-wise study with an encoder of the size of wav2vec 2.0 base (random weights): every layer's
nonlinear probe and the multilayer one, of the folds of one seed, on means over 0.2 s, all fed by one pass. Bare is the
same clips, read and encoded one by one, and nothing else.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from measuring import Amount, Resources, Row, medians

from emobridge.bundle import made_head
from emobridge.corpora import scan
from emobridge.data.audio import read_audio
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.probe import sources
from emobridge.probe.batched import ProbeTraining, Stack, TrainingSets, fit_probes

NEEDS = ("corpora",)
CLIPS, FOLDS, SEGMENT = 32, 5, 0.2
BASE = {"model_type": "wav2vec2", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
LABELS = ("anger", "happiness", "neutral", "sadness")


def measure(resources: Resources) -> list[Row]:
    """One epoch against one pass."""
    torch.set_num_threads(1)
    assert resources.corpora is not None  # NEEDS
    spoken = [utterance for utterance in scan("emodb", resources.corpora / "emodb") if utterance.emotion in LABELS]
    spoken = spoken[:: len(spoken) // CLIPS][:CLIPS]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(BASE))
        encoder = load_encoder(folder, weights="random")
    label = torch.tensor([LABELS.index(str(utterance.emotion)) for utterance in spoken])
    fold = torch.arange(len(spoken)) % FOLDS
    train = torch.stack([(fold != number).float() for number in range(FOLDS)])
    sets = TrainingSets(label, train, train == 0)

    def bare() -> None:
        with torch.inference_mode():
            for utterance in spoken:
                encoder(*pad([read_audio(utterance.path)]))

    def epoch() -> None:
        source = sources.FrameSource(sources.streamed(encoder, spoken, SEGMENT))
        fit_probes(stacks(source), sets, ProbeTraining(epochs=1))

    def stacks(source: sources.FrameSource) -> list[Stack]:
        def heads(name: str, *options: str) -> list[list[torch.nn.Module]]:
            return [[made_head(name, options, encoder.width, len(LABELS)) for _ in range(FOLDS)]]

        by_layer = [Stack(heads("nonlinear"), source, layers=slice(n, n + 1)) for n in range(encoder.layers)]
        return [*by_layer, Stack(heads("multilayer", f"layers={encoder.layers}"), source)]

    bare()
    took = medians(resources.repeats, bare=bare, epoch=epoch)
    probes = (encoder.layers + 1) * FOLDS
    job = f"streamed epoch of {probes} probes ({encoder.layers} layers, nonlinear and multilayer), {len(spoken)} clips"
    return [Row(job, took["epoch"], "s", most=1.2, opponent=Amount(took["bare"], "bare forward passes alone"))]
