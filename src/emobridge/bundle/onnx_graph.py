"""From waveforms to the answers of one branch as a single module, which a graph of ONNX is made of.

Features are standardised by the moments in the bundle, as `predict` does it for a lone recording of an unknown speaker.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from emobridge import registry
from emobridge.bundle.branch import Branch
from emobridge.data.attributes import unscaled
from emobridge.data.devices import device_of
from emobridge.data.graphs import GRAPH_BYTES, in_graph
from emobridge.encoders.base import EXACT_ENGINES, Encoder
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain
from emobridge.features.pooling import pool
from emobridge.settings import layer_names
from emobridge.types import SAMPLE_RATE, Range


class AnswerGraph(nn.Module):
    """Waveforms (B, T) at 16 kHz -> probabilities (B, C), and attributes (B, K) on `scale`."""

    def __init__(self, encoder: Encoder, branch: Branch, domain: Domain, scale: Range) -> None:
        super().__init__()
        self.encoder, self.branch, self.domain, self.scale = encoder, branch, domain, scale
        self.head, self.regressor = branch.head, branch.regressor  # so that their weights are the graph's
        self.layers = list(map(int, layer_names(branch.spec.layer)))
        self.limit = f"at_most_{longest_samples(encoder)}_samples"
        self.add_module(self.limit, AtMost(longest_samples(encoder)))

    def forward(self, wave: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mask: (B, T) bool, for the answers as the encoder's ordinary steps give them; None in a graph."""
        layers = self.encoder(getattr(self, self.limit)(wave), mask)
        encoded = replace(layers, hidden=layers.hidden[self.layers])
        if self.branch.spec.frames:
            frames = encoded.hidden.permute(1, 2, 0, 3).flatten(2)
            answers = self.branch.answers_to_frames(frames, self.domain)
        else:
            pooled = pool(encoded, self.encoder.statistics).transpose(0, 1)
            answers = self.branch.answers(pooled, self.domain, None)
        count = len(self.branch.spec.labels)
        return answers[:, :count], unscaled(answers[:, count:], self.scale)


class AtMost(nn.Module):
    """Waveforms as they are; a runtime of ONNX refuses longer ones, for it finds no second zero.

    Its name in the graph, which the runtime's message has, tells how many samples there may be.
    """

    zero: Tensor

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        if not in_graph():
            return wave
        return wave + self.zero[(wave.shape[1] - 1) // self.samples]


def longest_samples(encoder: Encoder) -> int:
    """The samples that the encoder takes at once."""
    seconds = 30.0 if encoder.window is None else encoder.window
    return round(seconds * SAMPLE_RATE)


def unused_blocks(encoder: Encoder, branch: Branch) -> list[nn.Module]:
    """The transformer blocks behind the last layer that the branch reads."""
    trunk = encoder.trunk()
    if trunk is None or encoder.layers < len(trunk.blocks):  # adapters have joined the layers
        return []
    last = max(map(int, layer_names(branch.spec.layer)))
    return [trunk.module.get_submodule(path) for path in trunk.blocks[last:]]


def _weight_bytes(module: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in module.parameters())


def check_graph(encoder: Encoder, branch: Branch) -> None:
    """Refuse what cannot be in a graph, with what to choose instead. Errors: UserError."""
    reason = _reason_against(encoder, branch)
    if reason:
        raise UserError(f"to-onnx: {reason}")


def _reason_against(encoder: Encoder, branch: Branch) -> str:
    """Why a branch cannot be in a graph, and what to choose instead; "" where it can."""
    if not encoder.has_graph or type(encoder).forward is not Encoder.forward:
        names = (name for name in registry.names("encoders") if registry.load("encoders", name).has_graph)
        return f"encoder {encoder.name} computes what ONNX has no operations for; train with {', '.join(names)}"
    if encoder.engine_choice not in ("auto", *EXACT_ENGINES):
        return f"engine {encoder.engine_choice} rounds the features, and a graph does not; train with engine=auto"
    if branch.spec.prosody:
        return "prosody is computed by what ONNX has no operations for; train without --prosody"
    if not branch.head.has_graph:
        name = branch.head.name
        return f"head {name} votes by trees, in which a last digit decides; train with another, such as discriminant"
    if device_of(encoder).type != "cpu":
        return "a graph is made on the CPU; load the bundle with device='cpu'"
    size = _weight_bytes(encoder) - sum(map(_weight_bytes, unused_blocks(encoder, branch)))
    if size > GRAPH_BYTES:
        return (
            f"encoder {encoder.name} has {size / 1e9:.1f} GB of weights up to layer {branch.spec.layer}, and a file of "
            "ONNX holds 2 at most; train on a lower layer, or with a smaller encoder"
        )
    return ""
