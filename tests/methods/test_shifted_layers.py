"""A constructed problem: known layers of the target are shifted by known maps; which they are is found, and mended."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.features.similarity import Totals, layer_sets, ranking, similarities
from emobridge.heads.layer_transformer import LayerTransformer
from emobridge.methods.base import Labelled, Task
from emobridge.methods.layer_anchoring import LayerAnchoring, covariance_distances
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit, probabilities

LAYERS, WIDTH, EACH = 6, 8, 600
SHIFTED = (2, 5)  # counted from 1
NAMES = tuple(map(str, range(1, LAYERS + 1)))


def problem(seed: int, shifted=SHIFTED) -> tuple[torch.Tensor, torch.Tensor]:
    """Source, then target, (2 EACH, L, D), and the classes of both.

    Axis 0 of each layer tells the class, weakly; that of the layers that will be shifted clearly. The map of a shifted
    layer puts ten times axis 1, which is noise, in the place of axis 0, and axis 0 in that of axis 2.
    """
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(2 * EACH) % 2
    x = torch.randn(2 * EACH, LAYERS, WIDTH, generator=random)
    sign = (2.0 * label - 1)[:, None]
    x[:, :, 0] += sign
    index = [layer - 1 for layer in shifted]
    x[:, index, 0] += sign
    shift = torch.eye(WIDTH)
    shift[:3, :3] = torch.tensor([[0.0, 0.0, 1.0], [10.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    x[EACH:, index] = x[EACH:, index] @ shift
    return x, label


def trained(seed: int, layers: str, gamma: float, epochs: int = 40) -> tuple[np.ndarray, float]:
    """The distance of the covariances of each layer after training, and the accuracy on the target."""
    x, label = problem(seed)
    inputs = Frozen(x)
    source = Labelled(torch.arange(EACH), label[:EACH])
    task = Task(inputs, 2, source, None, torch.arange(EACH, 2 * EACH), layers=NAMES)
    torch.manual_seed(seed)
    head = LayerTransformer(inputs.width, 2, layers=LAYERS, hidden=16, attention_heads=1, dropout=0.0)
    plan = Plan(epochs=epochs, batch_size=64, learning_rate=0.003, decay=1.0)
    fit(task, LayerAnchoring(layers=layers, gamma=gamma), head, plan, seed=seed)
    model = Model(inputs, head)
    with torch.no_grad():
        represented = model.represent_layers(inputs.x)
    p = probabilities(model, inputs, torch.arange(EACH, 2 * EACH))
    correct = (p.argmax(1) == label[EACH:]).float().mean()
    return covariance_distances(represented[:, :EACH], represented[:, EACH:]).numpy(), float(correct)


@pytest.mark.parametrize("shifted", [SHIFTED, (1, 3), (6,)])
def test_similarity_ranks_the_shifted_layers_last(shifted):
    x, label = problem(0, shifted)
    rows = []
    for layer in range(LAYERS):
        sides = []
        for part in (slice(0, EACH), slice(EACH, 2 * EACH)):
            totals = Totals(2, 1, 4, WIDTH)
            totals.add(x[part, layer, None].numpy(), label[part].numpy(), np.arange(EACH) // 2 % 4)
            sides.append(totals)
        rows += similarities(layer + 1, ("anger", "sadness"), ("utterance",), *sides)
    for measure in ("cosine of means", "mean of cosines"):
        values = ranking(rows, "utterance", measure)
        assert set(sorted(values, key=values.get)[: len(shifted)]) == set(shifted), measure
        assert not set(layer_sets(values)["GL"]) & set(shifted)
        assert set(layer_sets(values)["WL"]) >= set(shifted)


@pytest.mark.slow
def test_anchoring_the_shifted_layers_lowers_their_term_alone_and_the_target_gains():
    gains = []
    for seed in range(3):
        (free, before), (anchored, after) = (trained(seed, "2+5", gamma) for gamma in (0.0, 0.5))
        ratio = anchored / free
        assert ratio[[1, 4]].max() < 0.5, ratio
        assert ratio[[0, 2, 3, 5]].min() > ratio[[1, 4]].max(), ratio
        gains.append(after - before)
    assert np.mean(gains) > 0.04 and min(gains) > 0, gains


def test_one_shifted_layer_is_lowered_where_the_other_stays():
    (free, _), (anchored, _) = (trained(0, "2", gamma, epochs=12) for gamma in (0.0, 0.5))
    ratio = anchored / free
    assert ratio[1] < 0.5 < ratio[4], ratio
