"""Means as outputs of a graph: whatever a layer is made of, they are the means of its frames."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.encoders._graph_means import add_means

X, Y = (np.random.default_rng(seed).normal(size=(1, 7, 4)).astype(np.float32) for seed in (0, 1))
MAP = [("MatMul", ("y", "w"), "product"), ("Add", ("b", "product"), "mapped")]


@pytest.mark.parametrize(
    ("nodes", "is_behind"),
    [
        ([*MAP, ("Add", ("x", "mapped"), "layer")], True),
        ([MAP[0], ("Add", ("product", "b"), "mapped"), ("Add", ("mapped", "x"), "layer")], True),
        ([("Tanh", ("x",), "layer")], False),
        ([("Add", ("x", "y"), "layer")], False),
        ([*MAP, ("Add", ("b", "mapped"), "layer")], False),  # nothing beside the map
        ([MAP[0], ("Add", ("product", "x"), "mapped"), ("Add", ("y", "mapped"), "layer")], False),  # no constant b
    ],
)
@pytest.mark.parametrize("frames", [1, 7])
def test_the_mean_of_a_layer(nodes, is_behind, frames):
    """is_behind: whether the layer ends in a map, which comes behind the mean."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    rng, helper = np.random.default_rng(2), onnx.helper
    weights = {"w": rng.normal(size=(4, 4)), "b": rng.normal(size=4)}
    graph = helper.make_graph(
        [helper.make_node(kind, names, [output]) for kind, names, output in nodes],
        "graph",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, None, 4]) for name in ("x", "y")],
        [helper.make_tensor_value_info("layer", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    assert add_means(graph, ["layer"]) == ["mean_of_layer"]
    assert any(node.output[0] == "mean_of_layer_mapped" for node in graph.node) == is_behind
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    layer, mean = session.run(None, {"x": X[:, :frames], "y": Y[:, :frames]})
    np.testing.assert_allclose(mean, layer.mean(1, keepdims=True), atol=1e-6)
