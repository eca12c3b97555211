"""Recognisers with random weights on tiny encoders."""

from __future__ import annotations

import pytest
import torch

from emobridge.adapters import Adapters
from emobridge.bundle import Recognizer, Spec, made_head
from emobridge.encoders import load_encoder
from emobridge.normalisation import Domain


@pytest.fixture(scope="session")
def made(source):
    """A function that makes a recogniser for a language: English heard by way of it too, all weights random."""

    def make(language, seed=0, *, adapters="lora", words=("r=2", "alpha=4"), name="whisper", encoder=None, **changes):
        torch.manual_seed(seed)
        encoder = encoder or load_encoder(source(name))
        about = {
            "labels": ("anger", "sadness", "neutral"),
            "encoder": source(name),
            "encoder_options": (),
            "digest": encoder.digest,
            "trained": "adapters" if adapters else "frozen",
            "layer": "0" if "gating" in (adapters or "") else "1+2",
            "statistics": ("mean",),
            "normalise": "corpus",
            "by_corpus": (),
            "texts": ((), ()),
            "align": "none",
            "target_labels": "0",
            "head": "single",
            "head_options": (),
            "method": "source-only",
            "domains": (("ravdess", "en"), (f"of {language}", language)),
            "synthetic": False,
        }
        spec = Spec(**{**about, **changes})
        shape = (len(spec.layer.split("+")), encoder.width * len(spec.statistics))
        domains = [Domain(*names, torch.randn(shape), torch.rand(shape) + 0.5) for names in spec.domains]
        head = made_head(spec.head, spec.head_options, shape[0] * shape[1], len(spec.labels))
        torch.nn.init.normal_(head.output.weight, std=0.05)  # no probability is near one
        if adapters:
            for weight in Adapters(encoder, adapters, words).parameters():
                torch.nn.init.normal_(weight, std=0.3)
        return Recognizer(spec, encoder, domains, head)

    return make
