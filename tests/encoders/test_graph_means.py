"""Means as outputs of a graph: whatever a layer is made of, they are the means of its frames."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.encoders._graph_means import add_means

X, Y = (np.random.default_rng(seed).normal(size=(1, 7, 4)).astype(np.float32) for seed in (0, 1))
MAP = [("MatMul", ("y", "w"), "product"), ("Add", ("b", "product"), "mapped")]


@pytest.mark.parametrize(
    ("nodes", "products"),
    [
        ([*MAP, ("Add", ("x", "mapped"), "layer")], 1),
        ([MAP[0], ("Add", ("product", "b"), "mapped"), ("Add", ("mapped", "x"), "layer")], 1),
        ([("Tanh", ("x",), "layer")], 0),
        ([("Add", ("x", "y"), "layer")], 0),
        ([*MAP, ("Add", ("b", "mapped"), "layer")], 7),  # nothing beside the map
        (
            [("MatMul", ("y", "w"), "product"), ("Add", ("product", "x"), "mapped"), ("Add", ("y", "mapped"), "layer")],
            7,
        ),
    ],
)
@pytest.mark.parametrize("frames", [1, 7])
def test_the_mean_of_a_layer(nodes, products, frames):
    """products: of how many frames the last map is computed; 0 where there is none."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    rng, helper = np.random.default_rng(2), onnx.helper
    weights = {"w": rng.normal(size=(4, 4)), "b": rng.normal(size=4)}
    inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, None, 4]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node(kind, names, [output]) for kind, names, output in nodes],
        "graph",
        inputs,
        [helper.make_tensor_value_info("layer", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    assert add_means(graph, ["layer"]) == ["mean_of_layer"]
    graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in [node.output[0] for node in graph.node if node.op_type == "MatMul"][-1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    layer, mean, *product = session.run(None, {"x": X[:, :frames], "y": Y[:, :frames]})
    np.testing.assert_allclose(mean, layer.mean(1, keepdims=True), atol=1e-6)
    assert [value.shape[1] for value in product] == ([min(products, frames)] if products else [])
