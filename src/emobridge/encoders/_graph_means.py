"""Means over time as outputs of a graph of ONNX, the last map of a block behind the mean in place of before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto


def add_means(graph: GraphProto, layers: Sequence[str]) -> list[str]:
    """Make the means over frames (1, 1, D) of layers (1, F, D) outputs of a graph too; their names.

    A block of a transformer often ends in x + (y W + b), of which the mean over frames is mean(x) + (mean(y) W + b). Of
    the last one of `layers` the product is so computed for one frame and not for all, a tenth of three blocks.
    """
    from onnx import TensorProto, helper

    names = [f"mean_of_{layer}" for layer in layers]
    plain = list(zip(layers, names))
    last = _last_map(graph, layers[-1])
    if last is not None:
        x, y, weight, bias = last
        product, mapped, *sums = (f"{names[-1]}_{part}" for part in ("product", "mapped", "x", "y"))
        plain[-1:] = [(x, sums[0]), (y, sums[1])]
    row = _row_of_shares(graph, layers[0])
    graph.node.extend(helper.make_node("MatMul", [row, source], [mean]) for source, mean in plain)
    if last is not None:
        graph.node.append(helper.make_node("MatMul", [sums[1], weight], [product]))
        graph.node.append(helper.make_node("Add", [product, bias], [mapped]))
        graph.node.append(helper.make_node("Add", [sums[0], mapped], [names[-1]]))
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return names


def _row_of_shares(graph: GraphProto, layer: str) -> str:
    """The name of a row (1, 1, F) of 1 / F for a layer of F frames.

    By its product with a layer a mean takes a tenth of the time that the operator ReduceMean takes in ONNX Runtime.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "means_axis"))
    graph.initializer.append(numpy_helper.from_array(np.array([1, 1], dtype=np.int64), "means_rows"))
    graph.node.append(helper.make_node("Shape", [layer], ["means_shape"]))
    graph.node.append(helper.make_node("Gather", ["means_shape", "means_axis"], ["means_frames"]))
    graph.node.append(helper.make_node("Concat", ["means_rows", "means_frames"], ["means_size"], axis=0))
    graph.node.append(helper.make_node("ConstantOfShape", ["means_size"], ["means_ones"], value=one))
    graph.node.append(helper.make_node("Cast", ["means_frames"], ["means_count"], to=TensorProto.FLOAT))
    graph.node.append(helper.make_node("Div", ["means_ones", "means_count"], ["means_row"]))
    return "means_row"


def _last_map(graph: GraphProto, layer: str) -> tuple[str, str, str, str] | None:
    """The names (x, y, W, b) where a layer is x + (y W + b), of constants W and b; None where it is something else."""
    nodes = {name: node for node in graph.node for name in node.output}
    constants = {weight.name for weight in graph.initializer}

    def summands(name: str) -> list[tuple[str, str]]:
        """The two things that a name is the sum of, in either order; none where it is no sum."""
        node = nodes.get(name)
        if node is None or node.op_type != "Add":
            return []
        first, second = node.input
        return [(first, second), (second, first)]

    for x, mapped in summands(layer):
        for bias, product in summands(mapped):
            node = nodes.get(product)
            if node is None or node.op_type != "MatMul" or x in constants:
                continue
            y, weight = node.input
            if {weight, bias} <= constants:
                return x, y, weight, bias
    return None
