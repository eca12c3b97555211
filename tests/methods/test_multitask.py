"""Emotion with gender and naturalness: the loss by hand, whose traits count, and that both are learnt."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.errors import UserError
from emobridge.methods.base import Trait
from emobridge.methods.multitask import Multitask, known_cross_entropy

GENDER = Trait("gender", torch.tensor([0, 1, -1, 1, 0, 0, -1, 1, -1, 0]), 2)
NATURALNESS = Trait("naturalness", torch.tensor([0, 0, 0, 0, 1, 2, 1, 1, 1, 2]), 3)


def test_cross_entropy_of_what_is_known_by_hand(nll):
    logits = torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 3.0]])
    expected = nll(logits.numpy()[:2], [1, 0]).mean()
    assert float(known_cross_entropy(logits, torch.tensor([1, 0, -1]))) == pytest.approx(expected, rel=1e-6)
    assert float(known_cross_entropy(logits, torch.tensor([-1, -1, -1]))) == 0


@pytest.mark.parametrize("with_target", [True, False])
def test_the_loss_by_hand(by_hand, step_of, numpy_model, nll, with_target):
    task, model = by_hand(traits=(GENDER, NATURALNESS))
    if not with_target:
        task = type(task)(task.inputs, 2, task.source, None, None, traits=task.traits)
    method = Multitask(gender=0.5, naturalness=2.0)
    method.prepare(task, model)
    represent, classify = numpy_model(model)
    batch, weight = [0, 2, 5], [1.0, 0.5, 1.5]
    terms = method.loss(step_of(task, model, batch, weight))
    x = task.inputs.x.numpy()
    rows = list(batch)
    if with_target:
        rows += task.target[torch.randint(4, (3,), generator=torch.Generator().manual_seed(0))].tolist()
    emotion = (nll(classify(represent(x[batch])), [0, 1, 1]) * weight).mean()
    assert float(terms["cross-entropy"].detach()) == pytest.approx(emotion, rel=1e-5)
    for trait, factor in ((GENDER, 0.5), (NATURALNESS, 2.0)):
        output = method.outputs[trait.name]
        logits = represent(x[rows]) @ output.weight.detach().numpy().T + output.bias.detach().numpy()
        value = trait.values.numpy()[rows]
        expected = factor * nll(logits[value >= 0], value[value >= 0]).mean()
        assert float(terms[trait.name].detach()) == pytest.approx(expected, rel=1e-5)
    assert list(terms) == ["cross-entropy", "gender", "naturalness"]


def test_a_task_of_weight_0_is_left_out(by_hand, step_of):
    task, model = by_hand(traits=(GENDER, NATURALNESS))
    method = Multitask(gender=0.0)
    assert list(method.prepare(task, model)) == ["naturalness"]
    assert list(method.loss(step_of(task, model, [0, 1]))) == ["cross-entropy", "naturalness"]


@pytest.mark.parametrize(
    ("traits", "options", "columns"),
    [((), {}, "gender or naturalness"), ((GENDER,), {"gender": 0.0}, "naturalness"), ((), {"gender": 0.0}, "natural")],
)
def test_without_traits_it_names_the_column_that_is_missing(by_hand, traits, options, columns):
    task, model = by_hand(traits=traits)
    with pytest.raises(UserError, match=f"multitask: the manifests need a column {columns}"):
        Multitask(**options).prepare(task, model)


def test_labelled_utterances_are_drawn_once(by_hand):
    task, model = by_hand(labelled=2, traits=(GENDER,))
    method = Multitask()
    method.prepare(task, model)
    drawn = method.examples(0, None, torch.Generator())
    assert drawn.rows.tolist()[:6] == [0, 1, 2, 3, 4, 5] and set(drawn.rows.tolist()[6:]) == {6, 7}
    assert method.examples(1, None, torch.Generator()) is None


@pytest.mark.parametrize("where", ["everywhere", "in the target"])
def test_both_emotion_and_trait_are_learnt(ends, where):
    """Two numbers stand for ten features, of which one tells the emotion and another the gender."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(600, 10, generator=random)
    label, gender = torch.arange(600) % 2, torch.randint(2, (600,), generator=random)
    x[:, 3] += 4.0 * label - 2
    x[:, 7] += 4.0 * gender - 2
    values = gender.clone()
    values[torch.arange(600) >= 450] = -1  # of the half of the target that does not adapt
    if where == "in the target":
        values[:300] = -1
    method = Multitask()
    problem = x[:300], label[:300], x[300:], label[300:]
    right, model = ends(method, problem, 0, hidden=2, learning_rate=0.02, traits=[Trait("gender", values, 2)])
    predictions = method.outputs["gender"](model.represent(x[450:])).argmax(1)
    assert right > 0.9
    assert np.mean((predictions == gender[450:]).numpy()) > 0.9


def test_bad_options():
    with pytest.raises(ValueError, match="naturalness"):
        Multitask(naturalness=-1.0)
