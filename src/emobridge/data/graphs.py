"""Graphs of ONNX: the packages that they need, and how a module of torch is written as one."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emobridge.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17
GRAPH_BYTES = 1_900_000_000  # of weights in a graph: its file format ends at 2 GiB


def onnx_runtime(thing: str, extra: str = "onnx") -> Any:
    """onnxruntime, for a thing such as "engine onnx" that needs it and onnx, which is imported where a graph is made.

    Errors: UserError where a package that the extra brings is not installed.
    """
    for package in ("onnxruntime", "onnx", "openvino")[: 3 if extra == "openvino" else 2]:
        if importlib.util.find_spec(package) is None:
            raise UserError(f"{thing} needs the package {package}: pip install 'emobridge[{extra}]'")
    import onnxruntime

    return onnxruntime


def export_graph(
    path: Path,
    module: nn.Module,
    example: Tensor,
    input_name: str,
    output_names: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    """Write a module of one input and several outputs; the `axes` of each name, by number, may have any length."""
    import torch

    with quiet_export(), torch.no_grad():
        torch.onnx.export(
            module.eval(),  # the exporter puts every part back into the mode of the whole
            (example,),
            str(path),
            dynamo=False,
            input_names=[input_name],
            output_names=list(output_names),
            dynamic_axes=dict(axes),
            opset_version=OPSET,
        )


def in_graph() -> bool:
    """Whether a graph is being made: its exporter traces. torch.onnx knows it too, and takes 0.1 s to import."""
    import torch

    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Without the libraries' advice on other settings."""
    silent = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(silent)
