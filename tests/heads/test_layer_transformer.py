"""The classifier of methods D: a sum of layers, a transformer, four fully connected layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.errors import UserError
from emobridge.heads.layer_transformer import LayerTransformer
from emobridge.options import Plugin

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)


def head_of(**options) -> LayerTransformer:
    torch.manual_seed(0)
    return LayerTransformer(15, 2, **{"layers": 3, "hidden": 8, "attention_heads": 2, **options}).double().eval()


def frames() -> torch.Tensor:
    return torch.randn(2, 4, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_each_layer_is_mapped_by_itself():
    head, x = head_of(), frames()
    layers = head.represent_layers(x, MASK).detach().numpy()
    assert layers.shape == (3, 2, 8)
    for layer, part in enumerate(np.split(x.numpy(), 3, 2)):
        weight, bias = (value.detach().numpy() for value in head.maps[layer].parameters())
        mean = np.stack([part[0].mean(0), part[1, :2].mean(0)])
        expected = mean @ weight.T + bias
        np.testing.assert_allclose(layers[layer], expected / np.linalg.norm(expected, axis=1)[:, None], atol=1e-12)
    torch.testing.assert_close(head.represent_layers(x, MASK, [2, 0]).detach().numpy(), layers[[2, 0]])
    together, again = head.represent_with_layers(x, MASK)
    torch.testing.assert_close(together, head.represent(x, MASK))
    np.testing.assert_allclose(again.detach().numpy(), layers, atol=1e-12)


def test_layers_are_pooled_by_a_softmax_that_begins_even():
    head = head_of()
    layers = torch.randn(3, 2, 8, dtype=torch.float64)
    torch.testing.assert_close(head.join_layers(layers), layers.mean(0))
    with torch.no_grad():
        head.layer_sum.weight.copy_(torch.tensor([0.0, 1.0, 2.0]))
    share = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    np.testing.assert_allclose(
        head.join_layers(layers).detach().numpy(), np.einsum("l,lbh->bh", share, layers.numpy()), atol=1e-12
    )


@pytest.mark.parametrize(("pooling", "expected"), [("average", lambda x: x.mean(0)), ("top", lambda x: x[-1])])
def test_layers_without_a_learnt_weight(pooling, expected):
    head = head_of(pooling=pooling)
    assert head.layer_sum is None
    layers = torch.randn(3, 2, 8, dtype=torch.float64)
    torch.testing.assert_close(head.join_layers(layers), expected(layers))


def test_attention_over_a_clip_by_hand():
    """One head of attention over the frames of a clip, in NumPy."""
    head = head_of(layers=1, attention_heads=1)
    x = frames()[1:, :2]
    block = head.block
    linear = lambda part, h: h @ part.weight.detach().numpy().T + part.bias.detach().numpy()  # noqa: E731
    norm = lambda h: (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)  # noqa: E731
    h = linear(head.maps[0], x[0].numpy())
    h = h / np.linalg.norm(h, axis=1)[:, None]
    q, k, v = (linear(part, norm(h)) for part in (block.query, block.key, block.value))
    score = np.exp(q @ k.T / np.sqrt(8))
    h = h + linear(block.mix, score / score.sum(1, keepdims=True) @ v)
    h = h + linear(block.outer, np.maximum(linear(block.inner, norm(h)), 0))
    h = h.mean(0)
    for index in (0, 3, 6):
        h = np.maximum(linear(head.connected[index], h), 0)
    logits = head(x, torch.ones(1, 2, dtype=torch.bool))
    np.testing.assert_allclose(logits[0].detach().numpy(), linear(head.output, h), atol=1e-10)


def test_four_layers_are_fully_connected():
    head = head_of()
    assert sum(isinstance(part, torch.nn.Linear) for part in head.connected) + 1 == 4


def test_without_maps_the_layers_are_as_they_are():
    head, x = head_of(maps="none"), frames()
    means = torch.stack([x[0].mean(0), x[1, :2].mean(0)]).unflatten(1, (3, 5)).transpose(0, 1)
    torch.testing.assert_close(head.represent_layers(x, MASK), means)
    head(x, MASK).sum().backward()
    assert all(weight.grad is not None for weight in head.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 2}, "15 features cannot be cut into 2 layers"),
        ({"layers": 0}, "layers"),
        ({"attention_heads": 3}, "3 do not divide 8"),
        ({"maps": "no"}, "unknown maps of head layer-transformer 'no'.*none"),
        ({"pooling": "atention"}, "unknown pooling of head layer-transformer 'atention'.*attention"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(UserError, match=message):
        Plugin("layer-transformer", {"layers": 3, "hidden": 8, **options}).make("heads", width=15, classes=2)
