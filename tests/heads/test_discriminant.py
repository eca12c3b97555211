"""The discriminant: against scikit-learn, with soft labels, and at the smallest sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from emobridge.errors import UserError
from emobridge.heads.base import principal_components
from emobridge.heads.discriminant import Discriminant, scatter
from emobridge.methods.base import as_probabilities

C = 3


def clouds(count=60, width=5, seed=0):
    """Features (N, k) and classes (N,), unlike in number."""
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % (C + 1) % C
    return torch.randn(count, width, generator=random) * torch.linspace(0.3, 2, width) + label[:, None], label


def even(label):
    """Weights with which all classes weigh the same."""
    return 1.0 / label.bincount()[label]


def solved(z, label, weight=None, classes=C, **options):
    weight = torch.ones(z.shape[:-1]) if weight is None else weight
    return Discriminant(z.shape[-1], classes, **options).solve(z, as_probabilities(label, classes), weight)


@pytest.mark.parametrize("prior", ["equal", "observed"])
def test_without_shrinkage_it_is_that_of_scikit_learn(prior):
    z, label = clouds()
    priors = {"priors": [1 / C] * C} if prior == "equal" else {}
    expected = LinearDiscriminantAnalysis(solver="lsqr", **priors).fit(z.numpy(), label.numpy())
    weight = even(label) if prior == "equal" else None  # priors of scikit-learn weigh the covariances too
    got = solved(z, label, weight, shrinkage=0.0, prior=prior).of(z).softmax(1)
    np.testing.assert_allclose(got, expected.predict_proba(z.numpy()), atol=1e-4)


@pytest.mark.parametrize("shrinkage", [0.1, 0.5, 1.0])
def test_with_shrinkage_it_is_that_of_scikit_learn_where_classes_are_standardised_already(shrinkage):
    """Scikit-learn standardises each class before it shrinks: where all have unit variance, nothing changes."""
    z, label = clouds()
    for code in range(C):
        inside = label == code
        z[inside] = (z[inside] - z[inside].mean(0)) / z[inside].std(0, correction=0) + code
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=[1 / C] * C)
    expected = model.fit(z.numpy(), label.numpy()).predict_proba(z.numpy())
    got = solved(z, label, even(label), shrinkage=shrinkage).of(z).softmax(1)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_weights_are_numbers_of_utterances():
    z, label = clouds()
    repeats = torch.arange(len(z)) % 4
    weighted = solved(z, label, repeats.float())
    repeated = solved(z.repeat_interleave(repeats, 0), label.repeat_interleave(repeats))
    for got, expected in zip(weighted, repeated):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
    scaled = solved(z, label, 7.0 * repeats)
    torch.testing.assert_close(scaled.of(z), weighted.of(z), atol=1e-4, rtol=1e-4)


def test_a_soft_label_is_an_utterance_shared_among_classes():
    z, label = clouds()
    soft = 0.8 * as_probabilities(label, C) + 0.2 / C
    got = solved(z, soft)
    rows = torch.arange(len(z)).repeat_interleave(C)
    expected = solved(z[rows], torch.arange(C).repeat(len(z)), soft.flatten())
    torch.testing.assert_close(got.of(z), expected.of(z), atol=1e-4, rtol=1e-4)


def test_a_class_without_utterances_gets_no_probability():
    z, label = clouds()
    p = solved(z, label, classes=C + 1).of(z).softmax(1)
    assert (p[:, C] == 0).all() and torch.isfinite(p).all()
    torch.testing.assert_close(p[:, :C], solved(z, label).of(z).softmax(1))
    absent = solved(z, label, (label != 1).float()).of(z).softmax(1)
    assert (absent[:, 1] == 0).all()


def test_many_at_once_are_each_alone():
    z = torch.stack([clouds(seed=seed)[0] for seed in range(6)]).view(2, 3, 60, 5)
    weight = torch.rand(2, 3, 60, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    label = as_probabilities(clouds()[1], C)
    together = Discriminant(5, C).solve(z, label, weight)
    for layer in range(2):
        for probe in range(3):
            alone = Discriminant(5, C).solve(z[layer, probe], label, weight[layer, probe])
            torch.testing.assert_close(together.weight[layer, probe], alone.weight, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(together.bias[layer, probe], alone.bias, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.of(z)[1, 2], alone.of(z[1, 2]))


@pytest.mark.parametrize("shape", [(7, 3), (1, 1), (2, 1, 3), (2, 2, 7, 3)])
def test_a_scatter_is_the_sum_of_weighted_products(shape):
    generator = torch.Generator().manual_seed(0)
    z, weight = torch.randn(shape, generator=generator), torch.rand(*shape[:-1], 1, generator=generator)
    torch.testing.assert_close(scatter(z, weight), torch.einsum("...ni,...nj,...n->...ij", z, z, weight[..., 0]))


def test_constant_features_do_not_matter():
    z, label = clouds()
    wide = torch.cat([z, torch.full((len(z), 2), 3.0)], 1)
    for shrinkage in (0.0, 0.5):
        assert torch.isfinite(solved(wide, label, shrinkage=shrinkage).of(wide)).all()
    p = solved(wide, label, shrinkage=0.0).of(wide).softmax(1)
    torch.testing.assert_close(p, solved(z, label, shrinkage=0.0).of(z).softmax(1), atol=1e-3, rtol=1e-3)
    nothing = solved(torch.ones(4, 2), torch.tensor([0, 1, 2, 0])).of(torch.ones(4, 2)).softmax(1)
    torch.testing.assert_close(nothing, torch.full((4, C), 1 / C))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 4, 2), (2, 1, 2), (5, 3, 1)], ids=str)
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_smallest_sizes_are_finite(sizes, weight):
    count, width, classes = sizes
    z = torch.randn(count, width, generator=torch.Generator().manual_seed(0))
    got = solved(z, torch.zeros(count, dtype=torch.int64), torch.full((count,), weight), classes)
    p = got.of(z).softmax(1)
    assert p.shape == (count, classes) and torch.isfinite(p).all()
    assert not weight or (p[:, 0] > 0.99).all()


@pytest.mark.parametrize("options", [{"shrinkage": -0.1}, {"shrinkage": 1.1}, {"components": 0}, {"prior": "some"}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises((ValueError, UserError), match=next(iter(options))):
        Discriminant(2, 2, **options)


@pytest.mark.parametrize("shape", [(30, 4), (4, 30), (1, 3), (3, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("count", [1, 3, 50])
def test_principal_components_are_those_of_a_singular_value_decomposition(shape, count):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 3
    components = principal_components(x, count)
    size = min(count, *shape)
    assert components.axes.shape == (shape[1], size)
    torch.testing.assert_close(components.axes.T @ components.axes, torch.eye(size), atol=1e-5, rtol=0)
    centred = x - x.mean(0)
    _, values, axes = torch.linalg.svd(centred, full_matrices=False)
    variances = components.of(x).square().sum(0)
    torch.testing.assert_close(variances, values[:size].square(), atol=1e-3, rtol=1e-3)
    rank = min(size, shape[0] - 1)
    agreement = (components.axes[:, :rank] * axes[:rank].T).sum(0).abs()
    torch.testing.assert_close(agreement, torch.ones(rank), atol=1e-3, rtol=0)


def test_a_map_of_components_is_one_of_the_features():
    x, label = clouds()
    components = principal_components(x, 3)
    solution = solved(components.of(x), label)
    torch.testing.assert_close(components.before(solution).of(x), solution.of(components.of(x)), atol=1e-4, rtol=1e-4)
