"""Which engine runs a frozen encoder: chosen at its first clip, and never for one whose weights have changed.

torch and onnx are exact: their features agree to a cosine of 0.99999, and are one and the same thing in the keys of
stores and in bundles. openvino and torch-bf16 compute in bf16, onnx-int8 in eight bits: these are part of the key.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emobridge.data.machine import has_bf16, ratio_of_times, remember
from emobridge.encoders import _onnx
from emobridge.encoders.base import EXACT_ENGINES, Encoder, Option, check_choice, stopped_after
from emobridge.errors import UserError, lacks_memory
from emobridge.progress import report_note
from emobridge.settings import ENGINES

ENGINE: dict[str, Option] = {"engine": "auto"}  # the option of the families that can be exported
# The least cosine of each layer of an example with that of torch. In bf16 some small or unusual models come out as
# something else, or not finite, and are refused.
LEAST_COSINE = {"onnx": 0.99999, "openvino": 0.999}
Export = Callable[[bool], contextlib.AbstractContextManager[tuple[nn.Module, Tensor]]]


def engine_choice(name: str, options: dict[str, Option]) -> str:
    """The `engine` of an encoder's options. Errors: UserError where it is unknown, or this machine cannot run it."""
    choice = check_choice(name, options, "engine", ENGINES)
    if choice in ("openvino", "torch-bf16") and not has_bf16():
        raise UserError(f"engine {choice}: this processor has no bf16 (avx512_bf16 or amx_bf16); give engine=onnx")
    if choice not in ("auto", "torch", "torch-bf16"):
        _onnx.runtime_of(choice)
    return choice


class Engines:
    """The engine of one encoder.

    about: all that the exported graph depends on, above all the digest of the weights. export: gives the module
    (1, ...) -> a tuple of layers (1, F, D), and an example of its input, whose `axis` is the clip's length; its
    argument is whether sums have single precision. exact: products whose names hold one of these words are not put
    into eight bits.
    """

    def __init__(
        self, encoder: Encoder, choice: str, about: dict[str, Any], export: Export, axis: int, exact: tuple[str, ...]
    ) -> None:
        self.name, self.choice, self.about = encoder.name, choice, about
        self.export, self.axis, self.exact = export, axis, exact
        self.weights = _versions(encoder)
        self.engine: _onnx.OnnxEngine | None = None
        if choice not in ("auto", "torch", "torch-bf16"):
            self.engine = self._open(encoder, choice)

    def __deepcopy__(self, memory: dict[int, Any]) -> Engines:
        return self  # a copy's weights lie elsewhere: see `engine_for`

    def __getstate__(self) -> dict[str, Any]:
        if self.choice not in ("auto", "torch", "torch-bf16"):
            raise TypeError("an encoder with an engine cannot be sent to another process: open it there")
        choice = "torch" if self.choice == "auto" else self.choice
        return {**vars(self), "choice": choice, "engine": None, "export": None}

    def engine_for(self, encoder: Encoder, wave: Tensor) -> _onnx.OnnxEngine | None:
        """The engine that encodes these clips; None is torch.

        auto is torch wherever the graph might not be the encoder: in training, where gradients are computed, on an
        accelerator, with adapters, and for weights that were changed or copied since they were loaded.
        """
        if self.choice != "auto":
            return self.engine
        if encoder.training or torch.is_grad_enabled() or wave.device.type != "cpu" or encoder.all_adapters:
            return None
        if fastest_engine() == "torch" or _versions(encoder) != self.weights:
            return None
        if self.engine is None:
            try:
                self.engine = self._open(encoder, "onnx")
            except Exception as error:  # torch does the same work
                if lacks_memory(error):
                    raise
                self.choice = "torch"
                report_note(f"engine torch: {self.name} cannot be run by onnx ({' '.join(str(error).split())[:160]})")
        return self.engine

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Within it torch computes in the precision of the engine."""
        if self.choice != "torch-bf16":
            return contextlib.nullcontext()
        return torch.autocast("cpu", torch.bfloat16)

    def _open(self, encoder: Encoder, choice: str) -> _onnx.OnnxEngine:
        folds, last, means = choice != "openvino", encoder.last_layer, encoder.gives_means
        about = {**self.about, "folds": folds}
        with self.export(folds) as (module, example):
            with stopped_after(encoder, encoder.layers - 1):
                engine = _onnx.engine_of(
                    choice,
                    self.name,
                    about,
                    (module, example),
                    axis=self.axis,
                    layers=encoder.layers,
                    needed=(last, means),
                    exact=self.exact,
                )
            with torch.inference_mode():
                expected = torch.stack(module.eval()(example)[: last + 1])
                expected = expected.mean(2, keepdim=True) if means else expected
        least = LEAST_COSINE.get(choice)
        # Of the layers that are needed now: a program for all of them would be made for this check alone.
        if least is not None and not is_like(engine.run([example], last, means=means), expected, least):
            raise UserError(f"engine {choice}: features of this encoder differ from those of torch; give engine=torch")
        return engine


def fastest_engine() -> str:
    """The fastest exact engine on this machine, "torch" or "onnx", measured once; $EMOBRIDGE_ENGINE fixes it."""
    return _fastest(os.environ.get("EMOBRIDGE_ENGINE", ""))


@functools.lru_cache(maxsize=8)
def _fastest(fixed: str) -> str:
    if fixed and fixed not in EXACT_ENGINES:
        raise UserError(f"EMOBRIDGE_ENGINE: expected {' or '.join(EXACT_ENGINES)}, got {fixed!r}")
    if fixed == "torch":
        return fixed
    try:
        runtime = _onnx.runtime_of("onnx")
    except UserError:
        if fixed:
            raise
        return "torch"
    # The first releases measured by the clock, which chose by chance on a busy machine: theirs do not count.
    versions = {"torch": str(torch.__version__), "onnxruntime": runtime.__version__, "by": "CPU time"}
    choice = fixed or remember("engine", versions, _measure, EXACT_ENGINES)
    if choice == "onnx" and multiprocessing.parent_process() is None:
        report_note(
            "engine onnx: the fastest on this machine that gives the features of torch; EMOBRIDGE_ENGINE=torch turns "
            "it off"
        )
    return choice


def _measure() -> str:
    """Both engines on two blocks of the size of Whisper base, for three seconds of speech."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        module, clip = _Blocks().eval(), torch.randn(1, 150, 512)
        path = Path(folder) / "blocks.onnx"
        try:
            _onnx.write_graph(path, module, clip, axis=1)
            engine = _onnx.OnnxEngine(path, 2, threads=1)
            if not is_like(engine.run([clip]), torch.stack(module(clip)), LEAST_COSINE["onnx"]):
                return "torch"
            faster = ratio_of_times(lambda: engine.run([clip]), lambda: module(clip)) < 1.0
        except Exception as error:  # versions that do not fit together
            if lacks_memory(error):
                raise
            return "torch"
    return "onnx" if faster else "torch"


class _Blocks(nn.Module):
    """Attention of eight heads and a feed-forward part, twice, with nothing that either engine could leave out."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((512, 3 * 512), (512, 512), (512, 2048), (2048, 512))
        self.maps = nn.ModuleList(nn.Linear(*size) for _ in range(2) for size in sizes)
        self.norm = nn.LayerNorm(512)

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        layers = []
        for first in (0, 4):
            inner, outer, up, down = self.maps[first : first + 4]
            q, k, v = inner(self.norm(hidden)).unflatten(2, (3, 8, -1)).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
            hidden = hidden + outer(mixed.transpose(1, 2).flatten(2))
            hidden = hidden + down(nn.functional.gelu(up(self.norm(hidden))))
            layers.append(hidden)
        return tuple(layers)


def is_like(layers: Tensor, expected: Tensor, least: float) -> bool:
    """Whether each layer (L, B, F, D) has a cosine of `least` or more with the one expected."""
    cosine = nn.functional.cosine_similarity(layers.flatten(1).double(), expected.flatten(1).double(), dim=1)
    return bool((cosine >= least).all())


def _versions(encoder: Encoder) -> tuple[tuple[int, int], ...]:
    """Where the weights lie, and how often they were changed in place."""
    return tuple((weight.data_ptr(), weight._version) for weight in encoder.parameters())
