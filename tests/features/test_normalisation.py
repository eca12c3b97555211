"""Moments and alignment, each recomputed with NumPy or SciPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch

from emobridge.features.normalisation import (
    COVARIANCE_SHRINKAGE,
    SHRINKAGE,
    Domain,
    add_texts,
    coral,
    coral_by_layer,
    covariance_roots,
    fit_domain,
    moments,
    normalise_features,
    recolour,
)

D = 3


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(12, D, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 0.2]) + 2


@pytest.fixture
def domain() -> Domain:
    return Domain("xx", "xx", torch.tensor([1.0, -1.0, 0.5]), torch.tensor([2.0, 1.0, 0.25]))


def test_a_domain_is_the_mean_and_the_population_deviation(x):
    domain = fit_domain("emovo", "it", x)
    assert (domain.corpus, domain.language) == ("emovo", "it")
    np.testing.assert_allclose(domain.mean, x.numpy().mean(0), rtol=1e-5)
    np.testing.assert_allclose(domain.deviation, x.numpy().std(0), rtol=1e-5)


def test_without_speakers_all_go_by_the_domain(x, domain):
    expected = (x - domain.mean) / domain.deviation
    torch.testing.assert_close(normalise_features(x, domain, None), expected)
    torch.testing.assert_close(normalise_features(x, domain, [None] * len(x)), expected)


def test_a_speakers_moments_are_shrunk_towards_the_domain(x, domain):
    speakers = ["b", None, "a", "b", "b", "a", None, "b", "b", "b", "a", "c"]
    mean, deviation = moments(x, domain, speakers)
    values, k = x.numpy().astype(np.float64), SHRINKAGE
    m0, s0 = domain.mean.numpy(), domain.deviation.numpy()
    for row, speaker in enumerate(speakers):
        if speaker is None:
            m, s = m0, s0
        else:
            spoken = values[[other == speaker for other in speakers]]
            n = len(spoken)
            m = (spoken.sum(0) + k * m0) / (n + k)
            s = np.sqrt((((spoken - m) ** 2).sum(0) + k * s0**2) / (n + k))
        np.testing.assert_allclose(mean[row], m, rtol=1e-4)
        np.testing.assert_allclose(deviation[row], s, rtol=1e-4)


def test_many_utterances_outweigh_the_domain_and_one_does_not(domain):
    x = torch.randn(4000, D, generator=torch.Generator().manual_seed(1)) + 50
    mean, _ = moments(x, domain, ["a"] * 4000)
    torch.testing.assert_close(mean[0], x.mean(0), atol=0.1, rtol=0)
    mean, _ = moments(x[:1], domain, ["a"])
    torch.testing.assert_close(mean[0], (x[0] + SHRINKAGE * domain.mean) / (1 + SHRINKAGE))


def test_a_speaker_is_normalised_by_their_own_utterances_only(x, domain):
    speakers = ["a"] * 6 + ["b"] * 6
    other = x.clone()
    other[6:] = 1e3
    torch.testing.assert_close(
        normalise_features(x, domain, speakers)[:6], normalise_features(other, domain, speakers)[:6], atol=0, rtol=0
    )


def test_the_order_of_the_rows_does_not_matter(x, domain):
    speakers = ["a", "b", "c", None] * 3
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    mixed = normalise_features(x[order], domain, [speakers[row] for row in order])
    torch.testing.assert_close(mixed, normalise_features(x, domain, speakers)[order], atol=1e-5, rtol=1e-5)


def test_nothing_is_changed_in_place(x, domain):
    before, mean = x.clone(), domain.mean.clone()
    normalise_features(x, domain, ["a"] * 12)
    assert torch.equal(x, before) and torch.equal(domain.mean, mean)


def test_a_constant_feature_stays_finite():
    x = torch.full((5, D), 3.0)
    out = normalise_features(x, fit_domain("a", "a", x), ["s"] * 5)
    assert torch.equal(out, torch.zeros(5, D))


def test_prosody_has_a_floor_of_its_own_and_leaves_the_encoders_alone():
    """Whatever the units of the encoder: its features come out as they do without prosody, and prosody likewise."""
    generator = torch.Generator().manual_seed(2)
    encoded = torch.randn(20, 2, 4, generator=generator) * torch.tensor([1e-4, 1e-4, 1e-6, 1e-4])
    prosody = torch.randn(20, 2, 3, generator=generator) * torch.tensor([5.0, 0.01, 3.0])
    together = torch.cat([encoded, prosody], -1)
    for scale in (1.0, 1e5):
        parts, speakers = (scale * encoded, prosody), ["a", "b"] * 10
        x = torch.cat(parts, -1)
        out = normalise_features(x, fit_domain("xx", "xx", x, prosody=3), speakers)
        alone = [
            normalise_features(part, fit_domain("xx", "xx", part), speakers) for part in (scale * encoded, prosody)
        ]
        alone[1] /= 2**0.5  # it stands in both layers, and counts once
        torch.testing.assert_close(out, torch.cat(alone, -1), atol=1e-5, rtol=1e-5)
    joint = normalise_features(together, fit_domain("xx", "xx", together), None)
    assert joint[..., :4].abs().max() < 0.01, "with a single floor the encoder's would be nothing beside prosody"


def covariance(x: np.ndarray, shrinkage: float) -> np.ndarray:
    c = np.cov(x, rowvar=False)
    return (1 - shrinkage) * c + shrinkage * np.trace(c) / len(c) * np.eye(len(c))


def skewed(seed: int, count: int = 200, width: int = D) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, width)) @ rng.standard_normal((width, width))


@pytest.mark.parametrize("counts", [(200, 200), (2, 200), (200, D - 1), (D, D - 1)])
@pytest.mark.parametrize("shrinkage", [0.0, COVARIANCE_SHRINKAGE, 1.0])
def test_coral_is_that_of_the_paper(shrinkage, counts):
    if not shrinkage and min(counts) <= D:
        pytest.skip("a covariance of few utterances has no inverse")
    source, target = (skewed(seed, count) for seed, count in enumerate(counts))
    cs, ct = covariance(source, shrinkage), covariance(target, shrinkage)
    expected = np.linalg.inv(scipy.linalg.sqrtm(cs)) @ scipy.linalg.sqrtm(ct)
    got = coral(torch.from_numpy(source).float(), torch.from_numpy(target).float(), shrinkage)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, expected.real, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [2, 30, 200])
@pytest.mark.parametrize("exponent", [-0.5, 0.5])
def test_single_precision_is_enough_for_the_roots(count, exponent):
    """Features whose variances fall a thousandfold, as an encoder's do, in fewer rows than features and in more."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((count, 40)) * np.geomspace(30, 1, 40)).float()
    ((root, width),) = covariance_roots(x, exponent, 1)
    values, vectors = np.linalg.eigh(covariance(x.double().numpy(), COVARIANCE_SHRINKAGE))
    expected = (vectors * values**exponent) @ vectors.T
    assert width == 40 and root.dtype == torch.float32
    np.testing.assert_allclose(root, expected, atol=1e-5 * np.abs(expected).max())


def test_a_recoloured_source_has_the_targets_covariance():
    source, target = skewed(0), skewed(1)
    recolour = coral(torch.from_numpy(source), torch.from_numpy(target), 0.0).double().numpy()
    np.testing.assert_allclose(np.cov(source @ recolour, rowvar=False), np.cov(target, rowvar=False), rtol=1e-4)
    recolour = coral(torch.from_numpy(source), torch.from_numpy(target)).double().numpy()
    shrunk = recolour.T @ covariance(source, COVARIANCE_SHRINKAGE) @ recolour
    np.testing.assert_allclose(shrunk, covariance(target, COVARIANCE_SHRINKAGE), rtol=1e-4, atol=1e-5)


def test_coral_of_one_with_itself_is_the_identity():
    x = torch.from_numpy(skewed(3))
    torch.testing.assert_close(coral(x, x), torch.eye(D), atol=1e-5, rtol=0)


def test_fewer_utterances_than_features_are_enough():
    source, target = torch.from_numpy(skewed(0, 5, 20)), torch.from_numpy(skewed(1, 2, 20))
    recoloured = source @ coral(source, target).double()
    assert torch.isfinite(recoloured).all() and recoloured.abs().max() < 1e3


@pytest.mark.parametrize("lone", [0, 1])
def test_a_single_utterance_has_no_covariance_and_moves_nothing(lone):
    sides = [torch.from_numpy(skewed(0)), torch.from_numpy(skewed(1))]
    sides[lone] = sides[lone][:1]
    torch.testing.assert_close(coral(*sides), torch.eye(D))


def test_a_domain_that_is_not_by_speaker_ignores_speakers(domain):
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    alone = replace(domain, by_speaker=False)
    assert torch.equal(normalise_features(x, alone, ["a", "b"] * 3), normalise_features(x, domain, None))


def test_what_a_text_has_in_common_is_taken_out_by_hand():
    plain = Domain("xx", "xx", torch.zeros(1), torch.ones(1))
    x = torch.tensor([[3.0], [5.0], [-4.0], [-4.0], [9.0]])
    with_offsets = add_texts(plain, x, [None] * 5, ["a", "a", "b", "b", None], shrinkage=2)
    assert with_offsets.texts == ("a", "b"), "a text that stands once has nothing in common with another"
    # The mean of all is 1.8; those of a and b are 4 and -4, half of the way counts: n / (n + 2) = 1 / 2.
    torch.testing.assert_close(with_offsets.offsets, torch.tensor([[1.1], [-2.9]]))
    out = normalise_features(x, with_offsets, None, ["a", "b", "new", None, "a"])
    torch.testing.assert_close(out, x - torch.tensor([[1.1], [-2.9], [0.0], [0.0], [1.1]]))
    assert torch.equal(normalise_features(x, with_offsets, None), x), "where no text is told"


def test_layers_keep_their_own_floor():
    scales = torch.tensor([[1.0, 1.0], [1e-3, 1e-3]])
    plain = Domain("xx", "xx", torch.zeros(2, 2), scales)
    torch.testing.assert_close(moments(torch.zeros(3, 2, 2), plain, None)[1], scales.expand(3, 2, 2))


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_one_utterance_one_feature(shape):
    """A lone utterance has no deviation: others come out as far from it as they are, whoever speaks."""
    x = torch.full((1, *shape), 5.0)
    domain = fit_domain("a", "a", x)
    others = torch.tensor([4.0, 7.0]).reshape(2, *shape)
    assert torch.equal(normalise_features(x, domain, ["s"]), torch.zeros(1, *shape))
    assert torch.equal(normalise_features(others, domain, None), others - 5)
    by_speaker = normalise_features(others, domain, ["s", "t"])
    torch.testing.assert_close(by_speaker, (others - 5) * SHRINKAGE / (1 + SHRINKAGE), msg="of (x + 4 m) / 5")
    assert add_texts(domain, x, ["s"], ["text"]).offsets is None


def test_coral_of_one_feature_is_the_ratio_of_deviations():
    source, target = torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[1.0], [2.0]])
    matrix = coral(source, target)
    torch.testing.assert_close(matrix, target.std().reshape(1, 1) / source.std())
    (layer,) = coral_by_layer(covariance_roots(source, -0.5, 1), covariance_roots(target, 0.5, 1))
    torch.testing.assert_close(recolour(source, (layer,)), source @ matrix)


def test_each_layer_is_recoloured_by_its_own_matrix():
    x, matrices = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), (2 * torch.eye(3), -torch.eye(3))
    assert torch.equal(recolour(x, matrices), torch.cat([2 * x[:, :3], -x[:, 3:]], 1))


@pytest.mark.parametrize("constant", [0, 1])
def test_coral_moves_nothing_where_a_side_does_not_vary(constant):
    sides = [torch.from_numpy(skewed(0)), torch.from_numpy(skewed(1))]
    sides[constant] = sides[constant][:1].expand(4, -1)
    torch.testing.assert_close(coral(*sides), torch.eye(D))


@pytest.mark.parametrize("shape", [(1, 4), (30, 4), (30, 3, 4), (1, 1, 1)])
@pytest.mark.parametrize("by_speaker", [True, False])
def test_normalised_features_are_those_of_the_moments_of_each_row(shape, by_speaker):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    speakers = [(None, "a", "b", "c")[row % 4] for row in range(len(x))]
    domain = replace(fit_domain("c", "en", x + 1), by_speaker=by_speaker)
    for people in (None, speakers):
        mean, deviation = moments(x, domain, people)
        assert torch.equal(normalise_features(x, domain, people), (x - mean) / deviation)


def test_a_domain_of_one_layer_is_that_layer_of_the_domain():
    x, texts = torch.randn(12, 3, 4, generator=torch.Generator().manual_seed(0)), ["a", "b"] * 6
    domain = add_texts(fit_domain("c", "en", x), x, [None] * 12, texts)
    whole = normalise_features(x, domain, None, texts)
    for layer in range(3):
        one = slice(layer, layer + 1)
        assert torch.equal(normalise_features(x[:, one], domain.at(one), None, texts), whole[:, one])
