"""The moments of a source by class: points that have them exactly, and nothing else of the utterances."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from emobridge.features.normalisation import Domain
from emobridge.features.source_moments import SourceMoments, fit_source_moments, points_of


def covariance(x: torch.Tensor) -> torch.Tensor:
    x = x.double() - x.double().mean(0)
    return x.T @ x / len(x)


def features(count: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, width, generator=generator) @ torch.randn(width, width, generator=generator)
    return mixed + torch.randn(width, generator=generator)


def domains(count: int, width: int) -> tuple[Domain, ...]:
    return tuple(Domain(f"c{index}", "en", torch.zeros(width), torch.ones(width)) for index in range(count))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("width", [1, 4, 12])
def test_as_many_points_as_utterances_have_their_mean_and_covariance(count, width):
    x = features(count, width)
    points = points_of(x, count)
    assert points.shape == x.shape
    torch.testing.assert_close(points.mean(0), x.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(covariance(points), covariance(x), atol=1e-4, rtol=1e-4)


def test_points_of_many_utterances_have_their_moments_too():
    x = features(4001, 5)  # in single precision
    points = points_of(x, 12)
    torch.testing.assert_close(points.mean(0), x.mean(0), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(covariance(points), covariance(x), atol=1e-3, rtol=1e-4)


def test_points_are_no_utterances():
    x = features(12, 30)
    apart = torch.cdist(points_of(x, 12), x).min()
    assert apart > 0.3 * torch.cdist(x, x).add(1e9 * torch.eye(12)).min()


@pytest.mark.parametrize("order", [1, 2])
def test_they_depend_on_the_moments_alone(order):
    """A rotation of the rows that keeps their mean changes every utterance, and no point but for signs of axes."""
    x = features(8, 3)
    ones = torch.ones(8, 1) / 8**0.5
    basis, _ = torch.linalg.qr(torch.cat([ones, torch.randn(8, 7, generator=torch.Generator().manual_seed(order))], 1))
    turn, _ = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(order + 9)))
    rotation = basis @ torch.block_diag(torch.ones(1, 1), turn) @ basis.T
    turned = rotation @ x
    assert not torch.allclose(turned, x, atol=0.1)
    middle = x.mean(0)
    same = [(points_of(rows, 8) - middle).square() for rows in (x, turned)]
    axes = torch.linalg.eigh(covariance(x)).eigenvectors.float()
    along = [((points_of(rows, 8) - middle) @ axes).abs() for rows in (x, turned)]
    torch.testing.assert_close(*along, atol=1e-3, rtol=1e-3)
    assert len(same) == 2


def test_fewer_points_keep_the_directions_of_largest_variance():
    x = features(60, 20)
    values, vectors = torch.linalg.eigh(covariance(x))
    points = points_of(x, 6)
    axes = vectors[:, -5:]
    torch.testing.assert_close(points.mean(0), x.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(covariance(points), axes * values[-5:] @ axes.T, atol=1e-3, rtol=1e-3)


def test_features_that_do_not_vary_stay_what_they_are():
    torch.testing.assert_close(points_of(torch.full((4, 3), 2.0), 4), torch.full((4, 3), 2.0))


def test_each_class_of_each_corpus_has_points_of_its_own():
    x = features(12, 3)
    label, corpus = torch.tensor([0, 0, 1, 1, 1, 0] * 2), torch.tensor([0] * 6 + [1] * 6)
    label[6:] = 2  # the second corpus has one class, the first two of three
    moments = fit_source_moments(x, label, corpus, domains(2, 3), 3)
    assert moments.count.tolist() == [[3, 3, 0], [0, 0, 6]]
    assert moments.corpora == (("c0", "en"), ("c1", "en"))
    for number, index in ((0, 0), (1, 0), (2, 1)):
        rows, inside = (label == number) & (corpus == index), (moments.label == number) & (moments.corpus == index)
        torch.testing.assert_close(moments.points[inside].mean(0), x[rows].mean(0), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(covariance(moments.points[inside]), covariance(x[rows]), atol=1e-4, rtol=1e-4)


def test_a_single_utterance_is_a_source():
    moments = fit_source_moments(torch.ones(1, 2), torch.tensor([1]), torch.tensor([0]), domains(1, 2), 2)
    assert moments.points.tolist() == [[1.0, 1.0]] and moments.count.tolist() == [[0, 1]]


def test_a_large_corpus_has_no_more_points_than_allowed_and_each_class_some():
    label = torch.tensor([0] * 90 + [1] * 9 + [2])
    moments = fit_source_moments(features(100, 4), label, torch.zeros_like(label), domains(1, 4), 3, most=20)
    assert moments.label.bincount().tolist() == [18, 2, 1]
    assert moments.count.tolist() == [[90, 9, 1]]


@pytest.mark.parametrize(
    "change",
    [
        {"points": torch.zeros(3, 5)},
        {"points": torch.zeros(2, 4)},
        {"label": torch.tensor([0, 1, 2])},
        {"corpus": torch.tensor([0, 0, 1])},
        {"corpus": torch.tensor([0, 0])},
        {"count": torch.zeros(2, 2, dtype=torch.int64)},
        {"count": torch.zeros(1, dtype=torch.int64)},
    ],
)
def test_tensors_that_do_not_fit_are_refused(change):
    moments = SourceMoments(
        torch.zeros(3, 4), torch.tensor([0, 1, 1]), torch.tensor([0, 0, 0]), torch.tensor([[1, 2]]), domains(1, 4)
    )
    with pytest.raises(ValueError, match="source moments"):
        dataclasses.replace(moments, **change)
