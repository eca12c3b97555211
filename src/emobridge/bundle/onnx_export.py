"""A bundle as one file of ONNX, from waveforms to calibrated probabilities, checked against the bundle before it stays.

OUT/model.onnx    the graph: "waveform" (B, T) at 16 kHz -> "probabilities" (B, C), and "attributes" (B, K)
OUT/labels.json   what the numbers mean; the graph's metadata says the same
OUT/README.md     how to run it, and the bundle's model card
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from emobridge.adapters import use_adapters
from emobridge.adapters.base import Mergeable
from emobridge.bundle.branch import UNKNOWN, Branch
from emobridge.bundle.onnx_card import onnx_facts, readme_of
from emobridge.bundle.onnx_graph import AnswerGraph, check_graph
from emobridge.bundle.onnx_parity import PARITY_TOLERANCE, Parity, measured_parity
from emobridge.data.graphs import export_graph, onnx_runtime
from emobridge.encoders.base import stopped_after
from emobridge.errors import UserError, lacks_memory
from emobridge.features.normalisation import Domain
from emobridge.files import whole_file
from emobridge.languages import language_tag
from emobridge.types import SAMPLE_RATE

if TYPE_CHECKING:
    from emobridge.bundle.recognizer import Recognizer

MODEL, LABELS_FILE, README = "model.onnx", "labels.json", "README.md"


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """What was written, and how it compares with the bundle."""

    path: Path  # of the graph
    size: int  # bytes of it
    language: str  # of the branch
    parity: Parity


def write_onnx(recognizer: Recognizer, folder: str | Path, language: str | None = None) -> OnnxExport:
    """Write the graph of the branch that answers a language, by default the last one, and what belongs to it.

    Errors: UserError for an unknown language, what cannot be in a graph, a missing package, and a graph that does not
    answer as the bundle does. All files are then as they were.
    """
    runtime = onnx_runtime("to-onnx")
    branch = recognizer.last if language is None else recognizer.branch_of(language)
    check_graph(recognizer.encoder, branch)
    domain = _domain(branch, language)
    graph = AnswerGraph(recognizer.encoder, branch, domain, recognizer.scale).eval()
    folder, facts = Path(folder), onnx_facts(recognizer, branch, domain)
    with contextlib.ExitStack() as stack, use_adapters(recognizer.encoder, branch.adapters):
        path, labels, readme = (stack.enter_context(whole_file(folder / name)) for name in (MODEL, LABELS_FILE, README))
        with _explained(graph):
            with _merged(branch), stopped_after(recognizer.encoder, max(graph.layers)):
                _write_graph(path, graph)
            _add_facts(path, facts)
            parity = measured_parity(_session(runtime, path), graph)
        if parity.difference > PARITY_TOLERANCE:
            raise UserError(
                f"to-onnx: the graph differs from the bundle by {parity.difference:.1e} on made sounds, where "
                f"{PARITY_TOLERANCE:g} is allowed; nothing is written: use the bundle itself"
            )
        labels.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        readme.write_text(readme_of(recognizer, branch, facts), encoding="utf-8")
        size = path.stat().st_size
    return OnnxExport(folder / MODEL, size, branch.language, parity)


@contextlib.contextmanager
def _explained(graph: AnswerGraph) -> Iterator[None]:
    """What the exporter or the runtime cannot do, such as with a plug-in of the user's own, as one line."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # both libraries raise kinds of their own
        if lacks_memory(error):
            raise
        names = f"encoder {graph.encoder.name} with head {graph.head.name}"
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"to-onnx: {names} makes no graph that ONNX Runtime can run ({reason})") from error


def _domain(branch: Branch, language: str | None) -> Domain:
    """The domain of a recording of which the language alone is known, as `predict` has it."""
    tag = None if language is None else language_tag(language)
    return branch.domain(language=None if tag == UNKNOWN else tag)


@contextlib.contextmanager
def _merged(branch: Branch) -> Iterator[None]:
    """Within the block the encoder's weights hold those adapters that can be merged; others act where they stand."""
    parts = () if branch.adapters is None else branch.adapters.parts
    mergeable = [part for part in parts if isinstance(part, Mergeable)]
    for part in mergeable:
        part.merge()
    try:
        yield
    finally:
        for part in mergeable:
            part.unmerge()


def _write_graph(path: Path, graph: AnswerGraph) -> None:
    example = torch.randn(2, SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    names = ["probabilities"] * bool(graph.branch.spec.labels) + ["attributes"] * bool(graph.branch.spec.attributes)
    axes = {"waveform": {0: "clips", 1: "samples"}, **{name: {0: "clips"} for name in names}}
    export_graph(path, _Outputs(graph, names), example, "waveform", names, axes)


class _Outputs(torch.nn.Module):
    """Those answers that there are."""

    def __init__(self, graph: AnswerGraph, names: list[str]) -> None:
        super().__init__()
        self.graph, self.names = graph, names

    def forward(self, wave: torch.Tensor) -> tuple[torch.Tensor, ...]:
        probabilities, attributes = self.graph(wave)
        return tuple({"probabilities": probabilities, "attributes": attributes}[name] for name in self.names)


def _add_facts(path: Path, facts: dict[str, Any]) -> None:
    import onnx

    model = onnx.load(str(path))
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    onnx.helper.set_model_props(model, texts)
    model.producer_name = "emobridge"
    onnx.save(model, str(path))


def _session(runtime: Any, path: Path) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
