"""What goes with a graph of ONNX: the facts of its metadata, and the page that says how to run it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import emobridge
from emobridge.bundle.branch import Branch
from emobridge.bundle.onnx_graph import longest_samples
from emobridge.corpora import licence_of
from emobridge.data.activity import LEAST_SPEECH
from emobridge.features.normalisation import Domain
from emobridge.types import SAMPLE_RATE

if TYPE_CHECKING:
    from emobridge.bundle.recognizer import Recognizer

RUN = """\
import json
import numpy as np
import onnxruntime
import soundfile

session = onnxruntime.InferenceSession("model.onnx")
wave, rate = soundfile.read("speech.wav", dtype="float32", always_2d=True)
assert rate == {rate}, "resample it first"
answers = session.run(None, {{"waveform": wave.mean(1)[None, : round({longest:g} * rate)]}})
print(dict(zip(json.load(open("labels.json"))[{key!r}], answers[0][0].tolist())))"""


def onnx_facts(recognizer: Recognizer, branch: Branch, domain: Domain) -> dict[str, Any]:
    """What the numbers of the graph mean, as labels.json has it."""
    spec = branch.spec
    corpora = dict.fromkeys(corpus for corpus, _ in spec.domains)
    return {
        "labels": list(spec.labels),
        "attributes": list(spec.attributes),
        "attribute_scale": [recognizer.scale.low, recognizer.scale.high] if spec.attributes else [],
        "sample_rate": SAMPLE_RATE,
        "shortest_seconds": LEAST_SPEECH,
        "longest_seconds": longest_samples(recognizer.encoder) / SAMPLE_RATE,
        "language": branch.language,
        "encoder": Path(spec.encoder).name,
        "layer": spec.layer,
        "head": spec.head,
        "normalisation": _normalisation(branch, domain),
        "temperature": branch.temperature(domain),
        "synthetic": spec.synthetic,
        "constructed": recognizer.constructed,
        "emobridge": emobridge.__version__,
        "bundle": recognizer.digest,
        "licences": {corpus: licence_of(corpus) for corpus in corpora},
    }


def _normalisation(branch: Branch, domain: Domain) -> str:
    if branch.spec.frames:
        return "none"
    return f"by the stored moments of {domain.corpus} ({domain.language}), whoever speaks"


def readme_of(recognizer: Recognizer, branch: Branch, facts: dict[str, Any]) -> str:
    """Markdown: how to run the graph, what is not in it, and the model card of the bundle."""
    card = recognizer.cards.get(branch.language, recognizer.card)
    head, body = "", card
    if card.startswith("---\n"):
        head, _, body = card[4:].partition("\n---\n")
        head = f"---\n{head}\n---\n\n"
    synthetic = "**SYNTHETIC: trained on synthetic speech.** " * facts["synthetic"]
    outputs = ["Output:"]
    if facts["labels"]:
        outputs.append(f"- `probabilities` (B, {len(facts['labels'])}): {', '.join(facts['labels'])}; a row sums to 1")
    if facts["attributes"]:
        names = ", ".join(facts["attributes"])
        outputs.append(f"- `attributes` (B, {len(facts['attributes'])}): {names} on {recognizer.scale}, not clipped")
    run = RUN.format(
        rate=SAMPLE_RATE, longest=facts["longest_seconds"], key="labels" if facts["labels"] else "attributes"
    )
    terms = "\n".join(f"- {corpus}: {licence}" for corpus, licence in facts["licences"].items())
    parts = [
        f"# Emotions in speech ({facts['language']}), one file of ONNX",
        f"{synthetic}`model.onnx` takes sound and gives probabilities; it needs a runtime of ONNX and nothing else.",
        "Input: `waveform` (B, T) float32, 16,000 Hz, one channel, full scale 1. The B clips of a call have one "
        f"length: do not pad them. It lies between {facts['shortest_seconds']:g} and {facts['longest_seconds']:g} s; a "
        "longer clip is refused: cut it.",
        "\n".join(outputs),
        f"```python\n{run}\n```",
        "What is not in the file: the search for speech and the cutting of long recordings (`emobridge predict` does "
        "both), and the statistics of a speaker: features are standardised " + facts["normalisation"] + ". A clip "
        "without speech gets an answer too, which means nothing.",
        _speaker_note(branch),
        f"## Licences of the corpora\n\nWeights trained on a corpus may fall under its terms.\n\n{terms}",
    ]
    if body.strip():
        parts.append(f"The model card of the bundle follows.\n\n{body.strip()}")
    return head + "\n\n".join(part for part in parts if part) + "\n"


def _speaker_note(branch: Branch) -> str:
    """What the scores of the model card were measured with, where the graph has it not."""
    if branch.spec.frames or not branch.spec.normalise.startswith("speaker"):
        return ""
    return (
        "The scores below were measured with features standardised by speaker, from all recordings of each. This file "
        "is like `emobridge predict` for an unknown speaker, which may be less accurate."
    )
