"""Frozen encoders as ONNX graphs: run by ONNX Runtime in single precision or eight bits, or by OpenVINO in bf16.

Extras: pip install 'emobridge[onnx]' or 'emobridge[openvino]'. A model is exported once, and stored in the cache
folder. Each layer is an output of its own, and only those up to the last one needed are computed.

In eight bits the weights of matrix products are quantised a column at a time, to seven of the eight bits: processors
without VNNI add up pairs of products in 16 bits, which eight would overflow. Activations are quantised dynamically.
Convolutions stay in single precision, and so does the second product of each feed-forward block: a few of its inputs
are far larger than the others, and in eight bits the upper layers of Whisper base come out different (the mean cosine
between the clips' means of both engines is 0.997 instead of 0.9996). Means over time are near in every layer,
deviations less so: single clips fall to 0.98 in Whisper base's fifth and sixth layer.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emobridge.data.graphs import GRAPH_BYTES, export_graph, onnx_runtime, quiet_export
from emobridge.data.threads import LARGE_ENCODER, threads_of
from emobridge.encoders._graph_means import add_means
from emobridge.errors import UserError, lacks_memory
from emobridge.files import cache_folder, is_readable, unreadable, whole_file

FORM = 2  # of the exported graph: part of the file's name
EXTRAS = {"onnx": "onnx", "onnx-int8": "onnx", "openvino": "openvino"}  # of the package, by engine


class OnnxEngine:
    """Runs one clip at a time at its own length; nothing can be trained through it."""

    def __init__(self, path: Path, layers: int, threads: int | None = None) -> None:
        """layers: how many the graph has. threads: by default those of a large encoder."""
        self.runtime = runtime_of("onnx")
        self.options = self.runtime.SessionOptions()
        self.options.intra_op_num_threads = threads or threads_of(LARGE_ENCODER)
        self.options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may want the cores
        self.options.inter_op_num_threads = 1
        self.path, self.layers = path, layers
        self.sessions: dict[tuple[int, bool], Any] = {}  # by the number of layers, and whether it gives their means

    def run(self, inputs: Sequence[Tensor], last: int | None = None, *, means: bool = False) -> Tensor:
        """Layers 0 to `last` (by default all) of each input (1, ...), padded with zeros to (L, B, F, D).

        means: their means over all frames instead, (L, B, 1, D).
        """
        count = self.layers if last is None else last + 1
        clips = [torch.stack(self.layers_of(clip.cpu(), count, means)) for clip in inputs]  # (L, 1, F, D)
        if len(clips) == 1:  # as on a CPU: no copy more
            return clips[0].to(inputs[0].device)
        longest = max(clip.shape[2] for clip in clips)
        padded = [nn.functional.pad(clip, (0, 0, 0, longest - clip.shape[2])) for clip in clips]
        return torch.cat(padded, dim=1).to(inputs[0].device)

    def layers_of(self, clip: Tensor, count: int, means: bool) -> list[Tensor]:
        """The first `count` layers (1, F, D) of one clip, or their means (1, 1, D)."""
        self.open(count, means)
        return [torch.from_numpy(layer) for layer in self.sessions[count, means].run(None, {"input": clip.numpy()})]

    def open(self, count: int, means: bool) -> None:
        """Make ready what computes the first `count` layers, or their means.

        Errors: those of the library for a damaged file.
        """
        if (count, means) not in self.sessions:
            path = self._part(count, means) if means or count < self.layers else self.path
            self.sessions[count, means] = self.runtime.InferenceSession(
                str(path), self.options, providers=["CPUExecutionProvider"]
            )

    def _part(self, count: int, means: bool) -> Path:
        """The graph of the first `count` layers, beside the whole one, of which everything is computed always."""
        path = self.path.with_suffix(f".{count}.means.onnx" if means else f".{count}.onnx")
        if not is_readable(path):
            import onnx.utils

            model, names = onnx.load(str(self.path)), output_names(count)
            names = add_means(model.graph, names) if means else names
            with whole_file(path) as temporary:
                onnx.save(onnx.utils.Extractor(model).extract_model(["input"], names), str(temporary))
        return path


class OpenVino(OnnxEngine):
    """The same graph by OpenVINO; one program for each last layer."""

    precision = "bf16"

    def __init__(self, path: Path, layers: int) -> None:
        import openvino

        self.library, self.layers = openvino, layers
        self.core = openvino.Core()
        self.model = self.core.read_model(path)
        self.programs: dict[int, Any] = {}

    def layers_of(self, clip: Tensor, count: int, means: bool) -> list[Tensor]:
        self.open(count, means)
        outputs = self.programs[count](clip.numpy())
        layers = [torch.from_numpy(outputs[index].copy()).float() for index in range(count)]
        return [layer.mean(1, keepdim=True) for layer in layers] if means else layers

    def open(self, count: int, means: bool) -> None:
        if count not in self.programs:
            settings = {"INFERENCE_PRECISION_HINT": self.precision, "INFERENCE_NUM_THREADS": threads_of(LARGE_ENCODER)}
            part = self.library.Model(self.model.outputs[:count], self.model.get_parameters())
            self.programs[count] = self.core.compile_model(part, "CPU", settings)


def engine_of(
    engine: str,
    name: str,
    about: dict[str, Any],
    exported: tuple[nn.Module, Tensor],
    *,
    axis: int,
    layers: int,
    needed: tuple[int, bool],
    exact: Sequence[str] = (),
) -> OnnxEngine:
    """The engine onnx, onnx-int8 or openvino of a module, its graph from the cache folder if it is there.

    about: all that the graph depends on, above all the digest of the weights. exported: the module, and an example
    (1, ...) of what it takes. axis: that of the example for the clip's length. layers: how many the module gives.
    needed: the last one that is needed now, and whether means over time are.
    exact: products whose names in the graph hold one of these words are not quantised.
    Errors: UserError where a package is not installed, and for more weights than a graph can hold.
    """
    runtime, (module, example) = runtime_of(engine), exported
    size = sum(weight.numel() * weight.element_size() for weight in module.parameters())
    if size > GRAPH_BYTES:
        raise UserError(f"engine {engine}: {name} has {size / 1e9:.1f} GB of weights, a graph 2 at most: engine=torch")
    about = {**about, "form": FORM, "onnxruntime": runtime.__version__, "torch": torch.__version__}
    about["int8"] = list(exact) if engine == "onnx-int8" else None
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / "onnx" / f"{name}-{key}.onnx"
    if is_readable(path):
        try:
            return _opened(engine, path, layers, *needed)
        except Exception as error:  # cut or changed: both libraries raise kinds of their own
            if lacks_memory(error):
                raise unreadable(path, error) from error
    for part in path.parent.glob(f"{path.stem}.*.onnx"):  # of a graph that is damaged or gone
        part.unlink(missing_ok=True)
    if engine == "onnx-int8":
        _export_int8(path, module, example, axis, exact)
    else:
        write_graph(path, module, example, axis)
    return _opened(engine, path, layers, *needed)


def _opened(engine: str, path: Path, layers: int, last: int, means: bool) -> OnnxEngine:
    """An engine that is ready for layers 0 to `last`, or their means. Errors: as `OnnxEngine.open`."""
    opened = (OpenVino if engine == "openvino" else OnnxEngine)(path, layers)
    opened.open(last + 1, means)
    return opened


def output_names(count: int) -> list[str]:
    """The names in a graph of its first `count` outputs."""
    return [f"layer_{index}" for index in range(count)]


def write_graph(path: Path, module: nn.Module, example: Tensor, axis: int) -> None:
    """Write the graph of a module that gives a tuple of layers (1, F, D); the example's `axis` may have any length."""
    with torch.no_grad():
        names = output_names(len(module.eval()(example)))
    with whole_file(path) as temporary:
        export_graph(
            temporary,
            module,
            example,
            "input",
            names,
            {"input": {axis: "samples"}, **{name: {1: "frames"} for name in names}},
        )


def _export_int8(path: Path, module: nn.Module, example: Tensor, axis: int, exact: Sequence[str]) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_export(), tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        write_graph(plain, module, example, axis)
        names = [node.name for node in onnx.load(str(plain)).graph.node if node.op_type == "MatMul"]
        with whole_file(path) as temporary:
            quantize_dynamic(
                plain,
                temporary,
                op_types_to_quantize=["MatMul"],
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                nodes_to_exclude=[name for name in names if any(word in name for word in exact)],
            )


def runtime_of(engine: str) -> Any:
    """onnxruntime. Errors: UserError where a package that the engine needs is not installed."""
    return onnx_runtime(f"engine {engine}", EXTRAS[engine])
