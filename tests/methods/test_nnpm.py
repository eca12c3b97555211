"""Nearest neighbours: the memory, who is a positive and who a negative, the loss by hand, and that it helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.methods.nnpm import Memory, Nnpm
from emobridge.methods.source_only import SourceOnly

NOTHING = torch.zeros(6)  # usual cosines


def prepared(by_hand, labelled=0, **options):
    task, model = by_hand(labelled=labelled)
    method = Nnpm(**options)
    method.prepare(task, model)
    return method, task, model


def directions(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_the_memory_moves_towards_what_is_seen_and_keeps_its_length():
    memory = Memory(3, 2)
    assert memory.features.tolist() == [[0, 0]] * 3 and "features" in memory.state_dict()
    memory.update(torch.tensor([2, 0]), torch.tensor([[0.6, 0.8], [1.0, 0.0]]), 0.5)
    torch.testing.assert_close(memory.features, torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.6, 0.8]]))
    memory.update(torch.tensor([0]), torch.tensor([[0.0, 1.0]]), 0.75)
    expected = np.array([0.75, 0.25]) / np.hypot(0.75, 0.25)
    np.testing.assert_allclose(memory.features[0].numpy(), expected, rtol=1e-6)


def test_the_loss_of_one_utterance_by_hand(by_hand):
    """Emotions 0 0 1 1 0 1. Of the three most alike two are of emotion 0, whose cosines sum to more."""
    method, *_ = prepared(by_hand, threshold=0.5, neighbours=3, hardest=0.6, delta=5.0)
    cosine = torch.tensor([[0.9, 0.7, 0.8, -0.3, 0.55, 0.2]])
    positive = ((0.9 - 1) ** 2 + (0.7 - 1) ** 2) / 2
    negative = ((0.8 + 1) ** 2 + (0.2 + 1) ** 2) / 2  # of 0.8, -0.3 and 0.2 the hardest two: 0.6 of 3, rounded up
    assert float(method.distance(cosine, NOTHING)) == pytest.approx(5 * positive + negative, rel=1e-5)


@pytest.mark.parametrize(
    ("threshold", "positives", "others"),
    [
        (0.75, [0.9], [0.8, -0.3, 0.2]),  # 0.9 of emotion 0 against 0.8 of emotion 1
        (0.6, [0.9, 0.7], [0.8, -0.3, 0.2]),
        (0.95, [], []),  # like none: left out
    ],
)
def test_positives_are_above_the_threshold_and_of_one_emotion(by_hand, threshold, positives, others):
    method, *_ = prepared(by_hand, threshold=threshold, neighbours=6, hardest=1.0, delta=1.0)
    cosine = torch.tensor([[0.9, 0.7, 0.8, -0.3, 0.55, 0.2]])
    expected = np.mean((np.array(positives) - 1) ** 2) + np.mean((np.array(others) + 1) ** 2) if positives else 0
    assert float(method.distance(cosine, NOTHING)) == pytest.approx(expected, rel=1e-5)


def test_the_mean_is_over_utterances_that_are_like_some(by_hand):
    method, *_ = prepared(by_hand, threshold=0.5, neighbours=1, hardest=0.01, delta=2.0)
    like_none = [0.1, 0.2, 0.3, 0.0, -0.5, 0.1]
    cosine = torch.tensor([[0.9, 0.7, 0.8, -0.3, 0.55, 0.2], like_none, [0.0, 0.0, 0.6, 0.0, -0.2, 0.0]])
    first, last = 2 * 0.1**2 + 1.8**2, 2 * 0.4**2 + 1.0**2
    assert float(method.distance(cosine, NOTHING)) == pytest.approx((first + last) / 2, rel=1e-5)


def test_a_hub_is_nobodys_neighbour(by_hand):
    """An utterance of emotion 0 is the nearest of all; less its usual cosine it is that of the one it is near to."""
    method, *_ = prepared(by_hand, threshold=0.0, neighbours=1, hardest=0.01, delta=1.0)
    cosine = torch.tensor([[0.9, -0.5, 0.6, -0.3, 0.5, 0.2], [0.9, -0.5, 0.1, -0.3, 0.5, 0.2]])
    losses = [float(method.distance(cosine[:1], usual)) for usual in (NOTHING, cosine.mean(0))]
    assert losses == pytest.approx([0.1**2 + 1.6**2, 0.4**2 + 1.9**2], rel=1e-5)


def test_a_step_by_hand(by_hand, step_of, numpy_model, nll):
    method, task, model = prepared(by_hand, labelled=1, warm_up=2, threshold=0.0, strength=0.3, momentum=0.6)
    represent, classify = numpy_model(model)
    x = task.inputs.x.numpy()
    method.examples(0, None, torch.Generator())
    terms = method.loss(step_of(task, model, list(range(7))))
    assert list(terms) == ["cross-entropy"], "the source alone in warm-up"
    expected = nll(classify(represent(x[:7])), [0, 0, 1, 1, 0, 1, 0]).mean()
    assert float(terms["cross-entropy"].detach()) == pytest.approx(expected, rel=1e-5)
    memory = directions(represent(x[:6]))
    np.testing.assert_allclose(method.memory.features.numpy(), memory, atol=1e-6)
    assert method.examples(2, None, torch.Generator()) is None
    terms = method.loss(step_of(task, model, [6, 3]))
    assert list(terms) == ["cross-entropy", "neighbours"]
    target = task.target[torch.randint(3, (2,), generator=torch.Generator().manual_seed(0))].tolist()
    cosine = directions(represent(x[target])) @ memory.T
    distance = method.distance(torch.tensor(cosine, dtype=torch.float32), torch.tensor(cosine.mean(0)))
    assert float(terms["neighbours"].detach()) == pytest.approx(0.3 * float(distance), rel=1e-4)
    np.testing.assert_allclose(method.memory.features.numpy(), memory, atol=1e-6)


def test_neighbours_are_looked_for_without_dropout_which_stays_on_elsewhere(by_hand, step_of):
    method, task, model = prepared(by_hand)
    model.head.dropout.p = 0.9
    model.train()
    method.loss(step_of(task, model, [0, 1, 2]))
    assert model.training and model.head.training
    model.eval()
    seen = model.represent(task.inputs.x[:3]).detach()
    torch.testing.assert_close(method.memory.features[:3], torch.nn.functional.normalize(seen))


def test_rows_of_the_source_find_their_place_wherever_they_lie(by_hand, step_of):
    """Copies of the source may lie behind the target."""
    task, model = by_hand()
    source = type(task.source)(torch.tensor([9, 2, 4]), torch.tensor([0, 1, 1]))
    task = type(task)(task.inputs, 2, source, None, torch.tensor([0, 1, 3]))
    method = Nnpm()
    method.prepare(task, model)
    method.loss(step_of(task, model, [4, 9]))
    seen = torch.nn.functional.normalize(model.represent(task.inputs.x[[9, 4]]).detach())
    torch.testing.assert_close(method.memory.features[[0, 2]], seen)
    assert method.memory.features[1].tolist() == [0, 0, 0]


def test_it_beats_source_only_where_neighbours_tell(ends, clusters):
    gains = []
    for seed in range(4):
        plan = {"learning_rate": 0.01, "batch_size": 20, "dropout": 0.0}
        alone, _ = ends(SourceOnly(), clusters(seed), seed, **plan)
        adapted, _ = ends(Nnpm(strength=1.0), clusters(seed), seed, **plan)
        gains.append(adapted - alone)
    assert np.mean(gains) > 0.02 and min(gains) > -0.01, gains


@pytest.mark.parametrize("stop", [2, 4, 7])
def test_interrupted_it_ends_the_same(goes_on, stop):
    (log, whole), (log_too, resumed) = goes_on(lambda: Nnpm(warm_up=3, threshold=0.1), stop)
    assert torch.equal(whole, resumed) and log == log_too
    assert [point.epoch for point in log if point.term == "neighbours"] == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "options",
    [
        {"strength": -1.0},
        {"delta": -1.0},
        {"threshold": 1.0},
        {"momentum": 1.0},
        {"neighbours": 0},
        {"warm_up": 0},
        {"hardest": 0.0},
    ],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Nnpm(**options)
