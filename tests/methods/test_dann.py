"""Domain-adversarial training: the reversal, its schedule, the loss by hand, and that the domains come together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from emobridge.methods.dann import Dann, reversed_gradient, schedule
from emobridge.methods.source_only import SourceOnly


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.0), (0.1, 0.462117), (0.5, 0.986614), (1.0, 0.999909)])
def test_the_schedule(progress, expected):
    """tanh(5 p), as the formula can be written too."""
    assert schedule(progress) == pytest.approx(expected, abs=1e-6) == pytest.approx(np.tanh(5 * progress))


def test_the_gradient_comes_back_reversed_and_scaled_and_the_value_is_kept():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reversed_gradient(x, 0.25)
    assert torch.equal(y, x)
    (y * torch.tensor([3.0, 8.0])).sum().backward()
    assert x.grad.tolist() == [-0.75, -2.0]


def by_numpy(method, h, target):
    """Binary cross-entropy of the domain network."""
    first, _, last = method.domain
    hidden = np.maximum(h @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    z = (hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy())[:, 0]
    p = 1 / (1 + np.exp(-z))
    return -(np.log(np.where(target, p, 1 - p))).mean()


def test_the_loss_by_hand(by_hand, step_of, numpy_model, nll):
    task, model = by_hand(labelled=1)
    method = Dann(hidden=4)
    method.prepare(task, model)
    represent, classify = numpy_model(model)
    batch, weight = [1, 3, 6], [0.5, 1.0, 1.5]  # two of the source, and a labelled one of the target
    step = step_of(task, model, batch, weight)
    terms = method.loss(step)
    twin = torch.Generator().manual_seed(0)
    target = torch.tensor([7, 8, 9, 6])[torch.randint(4, (2,), generator=twin)].tolist()
    x = task.inputs.x.numpy()
    expected = (nll(classify(represent(x[batch])), [0, 1, 0]) * weight).mean()
    assert float(terms["cross-entropy"].detach()) == pytest.approx(expected, rel=1e-5)
    domain = by_numpy(method, represent(x[[1, 3, *target]]), np.array([False, False, True, True]))
    assert float(terms["domain"].detach()) == pytest.approx(domain, rel=1e-5)
    assert list(terms) == ["cross-entropy", "domain"]


@pytest.mark.parametrize(("progress", "strength"), [(0.0, 1.0), (0.5, 1.0), (0.5, 0.3)])
def test_the_representation_learns_to_mislead_what_the_domain_network_learns(by_hand, step_of, progress, strength):
    """Its gradient is -lambda times the plain one; that of the domain network is the plain one."""
    task, model = by_hand()
    gradients = []
    for reverse in (True, False):
        torch.manual_seed(0)
        method = Dann(strength=strength)
        method.prepare(task, model)
        model.zero_grad()
        step = step_of(task, model, [0, 1, 2], progress=progress)
        if reverse:
            method.loss(step)["domain"].backward()
        else:
            rows = method.target[torch.randint(4, (3,), generator=step.generator)]
            logits = method.domain(model.represent(task.inputs.x[[0, 1, 2, *rows.tolist()]]))[:, 0]
            torch.nn.functional.softplus(logits * torch.tensor([1.0, 1, 1, -1, -1, -1])).mean().backward()
        gradients.append((model.head.projection.weight.grad.clone(), method.domain[0].weight.grad.clone()))
    (representation, network), (plain, plain_network) = gradients
    torch.testing.assert_close(representation, -strength * schedule(progress) * plain)
    torch.testing.assert_close(network, plain_network)
    assert plain.abs().max() > 0


def test_a_batch_without_source_rows_has_a_loss(by_hand, step_of):
    task, model = by_hand(labelled=2)
    method = Dann()
    method.prepare(task, model)
    terms = method.loss(step_of(task, model, [7]))
    assert torch.isfinite(terms["domain"]) and torch.isfinite(terms["cross-entropy"])


def test_few_labelled_utterances_are_drawn_and_belong_to_the_target(by_hand):
    task, model = by_hand(labelled=2)
    method = Dann()
    method.prepare(task, model)
    drawn = method.examples(0, None, torch.Generator())
    assert drawn.rows.tolist()[:6] == [0, 1, 2, 3, 4, 5] and set(drawn.rows.tolist()[6:]) == {6, 7}
    assert sorted(method.target.tolist()) == [6, 7, 8, 9]
    assert method.examples(1, None, torch.Generator()) is None


def spurious(seed: int) -> tuple[torch.Tensor, ...]:
    """The first feature tells the classes everywhere; the second tells them better in the source, and nothing in the
    target, which it tells from the source instead."""
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(400) % 2
    sign, noise = 2.0 * label - 1, 0.5 * torch.randn(4, 400, generator=random)
    source = torch.stack([sign + noise[0], 1.5 * sign + noise[1]], 1)
    target = torch.stack([sign + noise[2], 4 + noise[3]], 1)
    return source, label, target, label


def separability(model, x, seed) -> float:
    """How often a fresh classifier tells source from target (400 each) by the representation."""
    h = model.represent(x).detach().numpy()
    is_target = np.arange(800) >= 400
    order = np.random.default_rng(seed).permutation(800)
    probe = LogisticRegression().fit(h[order[:400]], is_target[order[:400]])
    return probe.score(h[order[400:]], is_target[order[400:]])


@pytest.mark.parametrize("seed", range(3))
def test_it_draws_the_domains_together_and_beats_source_only(ends, seed):
    """The representation is one number here: it must choose a feature."""
    problem = spurious(seed)
    x = torch.cat([problem[0], problem[2]])
    alone, model = ends(SourceOnly(), problem, seed, hidden=1, learning_rate=0.02)
    before = separability(model, x, seed)
    adapted, model = ends(Dann(strength=1.0), problem, seed, hidden=1, learning_rate=0.02)
    after = separability(model, x, seed)
    assert before > 0.7 and after < 0.6, (before, after)
    assert alone < 0.6 and adapted > 0.9, (alone, adapted)


@pytest.mark.parametrize("stop", [2, 5, 8])
def test_interrupted_it_ends_the_same(goes_on, stop):
    (log, whole), (log_too, resumed) = goes_on(Dann, stop)
    assert torch.equal(whole, resumed) and log == log_too


@pytest.mark.parametrize("options", [{"strength": -0.1}, {"hidden": 0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Dann(**options)
