"""The vote of diverse classifiers: trees as scikit-learn grows them, the majority, and small training data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import LinearSVC

from emobridge.heads.ensemble import Ensemble, Trees, Vote


def blobs(n=120, width=6, classes=3, seed=0):
    random = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return (random.standard_normal((n, width)) + np.eye(classes, width)[y]).astype(np.float32), y


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_trees_answer_as_scikit_learns(depth):
    x, y = blobs()
    forest = RandomForestClassifier(7, max_depth=depth, random_state=0).fit(x, y)
    trees = Trees(7, depth, 3)
    trees.take(forest.estimators_, forest.classes_)
    unseen, _ = blobs(seed=1)
    np.testing.assert_allclose(trees(torch.from_numpy(unseen)), forest.predict_proba(unseen), atol=1e-6)


def test_a_class_without_an_utterance_gets_no_share():
    x, y = blobs(classes=2)
    trees = Trees(3, 4, 3)
    forest = RandomForestClassifier(3, max_depth=4, random_state=0).fit(x, 2 * y)
    trees.take(forest.estimators_, forest.classes_)
    shares = trees(torch.from_numpy(x))
    assert (shares[:, 1] == 0).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(len(x)))


def test_the_majority_wins_and_else_the_mean_probability():
    vote = Vote(1, 3, 1, 1)
    answers = torch.tensor([[0.8, 0.1, 0.1]]), torch.tensor([[0.4, 0.35, 0.25]]), torch.tensor([[0.0, 0.0, 1.0]])
    with torch.no_grad():
        vote.weight.zero_()
        vote.bias.copy_(answers[0][0].log())
        vote.forest.share[:], vote.tree.share[:] = answers[1], answers[2]
    p = vote(torch.zeros(1, 1)).exp()
    np.testing.assert_allclose(p.detach()[0], [(2 + 0.4) / 4, 0.15 / 4, (1 + 0.45) / 4], rtol=1e-5)
    vote.forest.share[:] = torch.tensor([0.1, 0.8, 0.1])
    assert int(vote(torch.zeros(1, 1)).argmax()) == 2, "each has a vote; the mean probability is that of the third"


def test_the_map_is_the_support_vector_machines():
    x, y = blobs()
    z, weight = torch.from_numpy(x), torch.ones(len(x))
    solution = Ensemble(6, 3).solve(z, torch.eye(3)[torch.from_numpy(y)], weight)
    centred = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    scale = np.sqrt((centred**2).mean())
    expected = [
        LinearSVC(dual=False).fit(centred / scale, y == index).decision_function(centred / scale) for index in range(3)
    ]
    np.testing.assert_allclose(solution.of(z).T, expected, atol=1e-3)


@pytest.mark.parametrize("labels", [[0], [1, 1], [0, 2]])
def test_one_utterance_and_one_class(labels):
    head = Ensemble(2, 3, trees=2)
    x, label = torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(0)), torch.eye(3)[labels]
    solution = head.solve(x, label, torch.ones(len(labels)))
    with torch.no_grad():
        head.output.weight.copy_(solution.weight)
        head.output.bias.copy_(solution.bias)
    head.complete(x, label, torch.ones(len(labels)))
    logits = head(x[:, None], torch.ones(len(labels), 1, dtype=torch.bool))
    assert torch.isfinite(logits).all() and logits.argmax(1)[0] == labels[0]


def test_soft_labels_and_weights_count():
    """An utterance of two classes is one of each; one of weight 0 is none."""
    head = Ensemble(1, 2, trees=5)
    x = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    label = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [1.0, 0.0]])
    head.complete(x, label, torch.tensor([1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(head.output.tree(x)[:3], [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]], atol=1e-6)


def test_the_state_fits_a_fresh_head():
    x, y = blobs()
    head = Ensemble(6, 3, trees=4, depth=3)
    head.complete(torch.from_numpy(x), torch.eye(3)[torch.from_numpy(y)], torch.ones(len(x)))
    fresh = Ensemble(6, 3, trees=4, depth=3)
    fresh.load_state_dict(head.state_dict())
    assert torch.equal(fresh.output(torch.from_numpy(x)), head.output(torch.from_numpy(x)))


@pytest.mark.parametrize("options", [{"trees": 0}, {"depth": 0}, {"cost": 0.0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Ensemble(2, 2, **options)
