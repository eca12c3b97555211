"""Few-shot episodes: support and queries, both metrics by hand, pseudo-labels, and that they help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from emobridge.errors import UserError
from emobridge.methods.fluda import Episodes, Fluda, squared_distance
from emobridge.methods.source_only import SourceOnly

PROTOTYPES = torch.tensor([[0.0, 1.0, 2.0], [1.0, -1.0, 0.0]])
QUERIES = torch.tensor([[0.5, 1.0, 1.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
SAID = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.55, 0.45]])  # of the target's four rows


def prepared(by_hand, labelled=0, **options):
    task, model = by_hand(labelled=labelled)
    method = Fluda(**options)
    method.prepare(task, model)
    return method, task, model


def test_the_distance_by_hand():
    expected = [[(0.25 + 0 + 1) / 3, (0.25 + 4 + 1) / 3], [(4 + 1 + 4) / 3, (1 + 1 + 0) / 3], [2 / 3, (1 + 1 + 1) / 3]]
    np.testing.assert_allclose(squared_distance(QUERIES, PROTOTYPES).numpy(), expected, rtol=1e-6)


def test_an_episode_with_prototypes_by_hand(nll):
    episodes = Episodes(4, 3, "prototype")
    assert list(episodes.parameters()) == [] and episodes.state_dict()["label"].tolist() == [-1] * 4
    label, weight = torch.tensor([0, 1, 1]), torch.tensor([1.0, 0.5, 1.5])
    distance = ((QUERIES.numpy()[:, None] - PROTOTYPES.numpy()) ** 2).mean(2)
    expected = (nll(-distance, [0, 1, 1]) * weight.numpy()).mean()
    assert float(episodes(PROTOTYPES, QUERIES, label, weight)) == pytest.approx(expected, rel=1e-5)


def test_an_episode_with_relations_by_hand():
    torch.manual_seed(0)
    episodes = Episodes(4, 3, "relation")
    first, _, last, _ = episodes.relation
    label, weight = [0, 1, 1], [1.0, 0.5, 1.5]
    loss = 0.0
    for query, truth, heavy in zip(QUERIES.numpy(), label, weight):
        for emotion, prototype in enumerate(PROTOTYPES.numpy()):
            pair = np.concatenate([prototype, query])
            hidden = np.maximum(first.weight.detach().numpy() @ pair + first.bias.detach().numpy(), 0)
            r = 1 / (1 + np.exp(-(last.weight.detach().numpy() @ hidden + last.bias.detach().numpy())[0]))
            loss += heavy * (r - (emotion == truth)) ** 2 / 2 / 3
    expected_loss = episodes(PROTOTYPES, QUERIES, torch.tensor(label), torch.tensor(weight))
    assert float(expected_loss.detach()) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("metric", ["prototype", "relation"])
def test_a_step_by_hand(by_hand, step_of, numpy_model, nll, metric):
    """The batch leaves rows 0 and 4 to support class 0, and row 5 to support class 1."""
    method, task, model = prepared(by_hand, metric=metric, shots=5, strength=0.5)
    represent, classify = numpy_model(model)
    x, batch, weight = task.inputs.x.numpy(), [1, 2, 3], [0.5, 1.0, 1.5]
    terms = method.loss(step_of(task, model, batch, weight))
    assert list(terms) == ["cross-entropy", "episode"], "no pseudo-label yet"
    h, label = represent(x[batch]), [0, 1, 1]
    prototypes = np.stack([represent(x[[0, 4]]).mean(0), represent(x[[5]]).mean(0)])
    expected = (nll(classify(h), label) * weight).mean()
    assert float(terms["cross-entropy"].detach()) == pytest.approx(expected, rel=1e-5)

    def episode(queries, label, weight):
        tensors = [torch.tensor(array, dtype=torch.float32) for array in (prototypes, queries)]
        return 0.5 * float(method.episodes(*tensors, torch.tensor(label), torch.tensor(weight)).detach())

    assert float(terms["episode"].detach()) == pytest.approx(episode(h, label, weight), rel=1e-4)
    method.episodes.label.copy_(torch.tensor([-1, 1, -1, -1]))  # of rows 6 to 9: the only target query is row 7
    terms = method.loss(step_of(task, model, batch, weight))
    assert list(terms) == ["cross-entropy", "episode", "target episode"]
    expected = episode(represent(x[[7] * 3]), [1] * 3, [1.0] * 3)
    assert float(terms["target episode"].detach()) == pytest.approx(expected, rel=1e-4)


def test_the_support_is_of_so_many_shots_and_of_the_batch_only_where_there_is_no_other(by_hand, step_of):
    method, task, model = prepared(by_hand, labelled=2, shots=2)
    taken = []
    step = step_of(task, model, [0, 2, 3, 5, 7])
    method.prototypes(replace(step, take=lambda rows: taken.append(rows.tolist()) or task.inputs.batch(rows)))
    assert len(taken[0]) == 2 and set(taken[0]) <= {1, 4, 6}, "a labelled target utterance may support"
    assert len(taken[1]) == 2 and set(taken[1]) <= {2, 3, 5, 7}, "the batch has all of class 1"


def test_target_queries_are_of_each_emotion_alike(by_hand, step_of):
    method, task, model = prepared(by_hand)
    method.episodes.label.copy_(torch.tensor([0, 0, 0, 1]))
    taken = []
    for seed in range(200):
        step = step_of(task, model, [0, 1, 2], seed=seed)
        method.loss(replace(step, take=lambda rows: taken.append(rows.tolist()) or task.inputs.batch(rows)))
    queries = np.concatenate(taken[2::3])
    assert np.mean(queries == 9) == pytest.approx(0.5, abs=0.06)


def test_pseudo_labels_are_made_at_each_interval_from_what_is_sure(by_hand):
    method, *_ = prepared(by_hand, interval=4, threshold=0.6)
    requests = []

    def predict(rows):
        requests.append(rows.tolist())
        return SAID[rows - 6]

    drawn = [method.examples(epoch, predict, torch.Generator()) for epoch in range(10)]
    assert [epoch for epoch, examples in enumerate(drawn) if examples is not None] == [0]
    assert drawn[0].rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert requests == [[6, 7, 8, 9]] * 2
    assert method.episodes.label.tolist() == [0, 1, 1, -1]


def test_a_class_without_labelled_utterances_has_no_support_and_no_queries(by_hand, step_of):
    task, model = by_hand(source=(0, 0, 0, 0, 0, 0))
    method = Fluda(interval=1)
    method.prepare(task, model)
    method.examples(1, lambda rows: SAID[rows - 6], torch.Generator())
    assert method.episodes.label.tolist() == [0, -1, -1, 0]
    assert all(torch.isfinite(value) for value in method.loss(step_of(task, model, [0, 1])).values())


@pytest.mark.parametrize("metric", ["prototype", "relation"])
def test_it_beats_source_only_where_the_target_lies_in_clusters(ends, clusters, metric):
    gains = []
    for seed in range(4):
        plan = {"learning_rate": 0.01, "batch_size": 20, "dropout": 0.35}
        alone, _ = ends(SourceOnly(), clusters(seed), seed, **plan)
        adapted, _ = ends(Fluda(metric=metric, interval=5), clusters(seed), seed, **plan)
        gains.append(adapted - alone)
    assert np.mean(gains) > 0.01 and min(gains) > -0.03, gains


@pytest.mark.parametrize("metric", ["prototype", "relation"])
@pytest.mark.parametrize("stop", [2, 4, 8])
def test_interrupted_it_ends_the_same(goes_on, metric, stop):
    (log, whole), (log_too, resumed) = goes_on(lambda: Fluda(metric=metric, interval=3, threshold=0.5), stop)
    assert torch.equal(whole, resumed) and log == log_too
    assert [point.epoch for point in log if point.term == "target episode"] == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("options", [{"shots": 0}, {"interval": 0}, {"strength": -1.0}, {"threshold": 1.0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Fluda(**options)


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UserError, match="unknown metric of method fluda 'prototypes': did you mean 'prototype'"):
        Fluda(metric="prototypes")
