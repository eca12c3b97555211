"""Frozen encoders through onnxruntime, with the weights of their matrix products in eight bits.

An extra: pip install 'emobridge[onnx]'. A model is exported and quantised once, and stored in the cache folder. Weights
are quantised a column at a time to seven of the eight bits: processors without VNNI add up pairs of products in 16
bits, which eight would overflow. Activations are quantised dynamically. Convolutions stay in single precision, and so
does the second product of each feed-forward block: a few of its inputs are far larger than the others, and in eight
bits the upper layers of Whisper base come out different (the mean cosine between the clips' means of both engines is
0.997 instead of 0.9996). Means over time are near in every layer, deviations less so: single clips fall to 0.98 in
Whisper base's fifth and sixth layer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emobridge.data.threads import LARGE_ENCODER, threads_of
from emobridge.encoders.base import Option, check_choice
from emobridge.errors import UserError, lacks_memory
from emobridge.files import cache_folder, is_readable, unreadable, whole_file

ENGINE: dict[str, Option] = {"engine": "torch"}  # the option of the families that can be exported
FORM = 1  # of the exported graph: part of the file's name
OPSET = 17


def wants_onnx(name: str, options: dict[str, Option]) -> bool:
    """Whether the `engine` of these options is onnx-int8. Errors: UserError for one that is neither."""
    return check_choice(name, options, "engine", ("torch", "onnx-int8")) == "onnx-int8"


class Engine:
    """Runs one clip at a time at its own length; nothing can be trained through it."""

    def __init__(self, path: Path) -> None:
        runtime, _ = _packages()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads_of(LARGE_ENCODER)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may want the cores
        options.inter_op_num_threads = 1
        self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, inputs: Sequence[Tensor]) -> Tensor:
        """The output of the exported module for each input (1, ...), padded with zeros to (L, B, F, D)."""
        outs = [torch.from_numpy(self.session.run(None, {"input": clip.cpu().numpy()})[0]) for clip in inputs]
        longest = max(out.shape[2] for out in outs)
        padded = [nn.functional.pad(out, (0, 0, 0, longest - out.shape[2])) for out in outs]
        return torch.cat(padded, dim=1).to(inputs[0].device)


def engine_of(
    name: str, about: dict[str, Any], module: nn.Module, example: Tensor, *, axis: int, exact: Sequence[str] = ()
) -> Engine:
    """The engine of `module`, from the cache folder if it is there.

    about: all that the graph depends on, above all the digest of the weights. axis: the axis of `example` (1, ...) for
    the clip's length. exact: products whose names in the graph hold one of these words are not quantised.
    Errors: UserError where onnx or onnxruntime is not installed.
    """
    runtime, _ = _packages()
    about = {**about, "form": FORM, "onnxruntime": runtime.__version__, "torch": torch.__version__}
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / "onnx" / f"{name}-{key}.onnx"
    if is_readable(path):
        try:
            return Engine(path)
        except Exception as error:  # cut or changed: onnxruntime raises kinds of its own
            if lacks_memory(error):
                raise unreadable(path, error) from error
    _export(path, module, example, axis, exact)
    return Engine(path)


def _export(path: Path, module: nn.Module, example: Tensor, axis: int, exact: Sequence[str]) -> None:
    _, onnx = _packages()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    silent = logging.root.manager.disable
    logging.disable(logging.WARNING)  # both advise other settings
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            plain = Path(folder) / "plain.onnx"
            torch.onnx.export(
                module.eval(),  # the exporter puts every part back into the mode of the whole
                (example,),
                str(plain),
                dynamo=False,
                input_names=["input"],
                output_names=["hidden"],
                dynamic_axes={"input": {axis: "samples"}, "hidden": {2: "frames"}},
                opset_version=OPSET,
            )
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
    finally:
        logging.disable(silent)


def _packages() -> tuple[Any, Any]:
    """onnxruntime and onnx. Errors: UserError where one is not installed."""
    try:
        import onnx
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError(f"engine onnx-int8 needs the package {error.name}: pip install 'emobridge[onnx]'") from error
    return onnxruntime, onnx
