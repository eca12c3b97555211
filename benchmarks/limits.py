"""What this machine allows: matrix products and copies a second on one thread, measured once a run.

The limit of a job is the time of its sums alone at the greatest rate that any library here reaches: no reading, no
attention, no normalisation. Rates of single precision are those of torch's matmul, of torch's convolution (oneDNN) and
of ONNX Runtime.
"""

from __future__ import annotations

import functools
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from measuring import Amount

SIZE = 1024  # rows and columns of the products
REPEATS = 5
COPIED = 256_000_000  # bytes
WORTH = 1.3  # a processor has bf16 where its products are so many times faster than those of fp32


@functools.cache
def fp32_rates() -> dict[str, float]:
    """Sums and products a second of each library, in single precision on one thread."""
    torch.set_num_threads(1)
    a, b = (torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    convolution = torch.nn.Conv1d(SIZE, SIZE, 1)
    with torch.inference_mode():
        rates = {"torch": _rate(lambda: a @ b), "oneDNN": _rate(lambda: convolution(a[None]))}
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        rates["ONNX Runtime"] = _rate(_onnx_product(a.numpy(), b.numpy()))
    return rates


@functools.cache
def bf16_rate() -> float:
    """The same of torch in bf16; 0 where the processor has none, and torch only imitates it."""
    torch.set_num_threads(1)
    a, b = (torch.randn(SIZE, SIZE).bfloat16() for _ in range(2))
    small = a[:128, :128].contiguous()
    began = time.process_time()
    small @ small
    if time.process_time() - began > 0.1:  # imitated, and so slow that the large one would take minutes
        return 0.0
    rate = _rate(lambda: a @ b)
    return rate if rate > WORTH * fp32_rates()["torch"] else 0.0


def fp32_limit(operations: float) -> Amount:
    """Seconds of CPU for so many sums and products in single precision."""
    name, rate = max(fp32_rates().items(), key=lambda item: item[1])
    return Amount(operations / rate, f"{rate / 1e9:.0f} GFLOP/s fp32 ({name})")


def bf16_limit(operations: float) -> Amount:
    """The same in bf16; in single precision where the processor has none."""
    if not bf16_rate():
        return fp32_limit(operations)
    return Amount(operations / bf16_rate(), f"{bf16_rate() / 1e9:.0f} GFLOP/s bf16 (torch)")


def copy_limit(count: float) -> Amount:
    """Seconds of CPU to copy so many bytes from memory to memory."""
    return Amount(count / _copy_rate(), f"{_copy_rate() / 1e9:.1f} GB/s copied")


def operations(call: Callable[[], object]) -> float:
    """The sums and products of torch's matrix products and convolutions in a call; fused attention is not counted."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


@functools.cache
def _copy_rate() -> float:
    source = np.ones(COPIED // 8)
    target = np.empty_like(source)
    target[:] = source  # its pages are there now
    return COPIED / _seconds(lambda: np.copyto(target, source))


def _rate(product: Callable[[], object]) -> float:
    product()
    return 2 * SIZE**3 / _seconds(product)


def _seconds(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def _onnx_product(a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
    """A product by ONNX Runtime with `b` a constant, as weights are."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, a.shape)],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, (len(a), b.shape[1]))],
        [numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a})
