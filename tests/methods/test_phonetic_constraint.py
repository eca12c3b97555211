"""The phonetic constraint: the loss as NumPy has it, its gradients, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.errors import UserError
from emobridge.heads.layer_transformer import LayerTransformer
from emobridge.methods.base import Labelled, Phones, Step, Task
from emobridge.methods.phonetic_constraint import PhoneticConstraint
from emobridge.options import Plugin
from emobridge.phones.base import VOWELS
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit
from emobridge.training.phones import phone_classes_of

LAYERS, WIDTH = 3, 4


def problem(missing=(), **options) -> tuple[Task, Model, torch.Tensor]:
    """Six source and five target utterances with three vowels; `missing`: pairs of rows and vowels without it."""
    random = torch.Generator().manual_seed(1)
    inputs = Frozen(torch.randn(11, LAYERS, WIDTH, generator=random))
    means = torch.randn(11, 3, LAYERS * WIDTH, generator=random)
    for row, vowel in missing:
        means[row, vowel] = torch.nan
    phones = Phones(VOWELS[:3], means.isfinite().all(2), lambda rows, generator: means[rows])
    source = Labelled(torch.arange(6), torch.arange(6) % 2)
    task = Task(inputs, 2, source, None, torch.arange(6, 11), layers=("1", "2", "3"), phones=phones)
    torch.manual_seed(2)
    shape = {"layers": LAYERS, "hidden": 3, "attention_heads": 1, "dropout": 0.0}
    return task, Model(inputs, LayerTransformer(inputs.width, 2, **{**shape, **options})), means


def step_of(task: Task, model: Model, rows) -> Step:
    rows = torch.tensor(rows)
    generator = torch.Generator().manual_seed(3)
    take = task.inputs.batch
    return Step(model, take(rows), rows, task.source.label[rows], torch.ones(len(rows)), 0.5, take, generator)


def by_hand(model: Model, means: np.ndarray, source: list[int], target: list[int], layers: str) -> float:
    weights = [[value.detach().numpy().astype(float) for value in part.parameters()] for part in model.head.maps]
    mapped = np.stack(
        [part @ w.T + b for part, (w, b) in zip(np.split(means.astype(float), LAYERS, 2), weights)]
    )  # (L, N, P, H)
    mapped = mapped / np.linalg.norm(mapped, axis=-1, keepdims=True)
    share = np.exp(model.head.layer_sum.weight.detach().numpy()) if layers == "attention" else np.ones(LAYERS)
    joined = mapped[-1] if layers == "top" else np.einsum("l,lnph->nph", share / share.sum(), mapped)
    squares = []
    for vowel in range(means.shape[1]):
        sides = [joined[rows, vowel] for rows in (source, target)]
        sides = [side[np.isfinite(side).all(1)] for side in sides]
        if all(len(side) for side in sides):
            squares.append(np.mean((sides[0].mean(0) - sides[1].mean(0)) ** 2))
    return float(np.mean(squares))


@pytest.mark.parametrize("layers", ["top", "average", "attention"])
@pytest.mark.parametrize("missing", [(), ((0, 1), (2, 1), (3, 1), (1, 0)), tuple((row, 2) for row in range(6, 11))])
def test_the_same_vowel_is_pulled_together(layers, missing):
    """Vowel 1 is in one source utterance of the batch; of the last case the target lacks vowel 2."""
    task, model, means = problem(missing)
    with torch.no_grad():
        model.head.layer_sum.weight.copy_(torch.tensor([0.0, 1.0, -1.0]))
    method = PhoneticConstraint(layers=layers, strength=2.0)
    method.prepare(task, model)
    rows = [0, 1, 2, 3]
    terms = method.loss(step_of(task, model, rows))
    target = task.target[torch.randint(5, (4,), generator=torch.Generator().manual_seed(3))].tolist()
    assert terms["vowels"].item() == pytest.approx(2 * by_hand(model, means.numpy(), rows, target, layers), rel=1e-5)
    sum(terms.values()).backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("layers", ["top", "average", "attention"])
def test_gradients_are_those_of_finite_differences(layers, slopes):
    task, model, means = problem(((0, 1), (7, 0)))
    model.double()
    method = PhoneticConstraint(layers=layers, strength=1.0)
    method.prepare(task, model)
    taken = means.double()
    object.__setattr__(method.task, "phones", Phones(VOWELS[:3], taken.isfinite().all(2), lambda rows, _: taken[rows]))
    weight = model.head.maps[2].weight
    step = step_of(task, model, [0, 1, 2, 3])
    object.__setattr__(step, "x", step.x.double())

    def value(changed: np.ndarray) -> float:
        with torch.no_grad():
            weight.copy_(torch.from_numpy(changed))
            step.generator.manual_seed(3)
            return float(method.loss(step)["vowels"])

    begin = weight.detach().numpy().copy()
    estimated = slopes(value, begin.copy())
    value(begin)
    step.generator.manual_seed(3)
    method.loss(step)["vowels"].backward()
    np.testing.assert_allclose(weight.grad, estimated, rtol=1e-5, atol=1e-8)


def test_training_brings_vowels_together():
    task, model, _ = problem()
    log = fit(task, PhoneticConstraint(strength=5.0), model.head, Plan(epochs=60, learning_rate=0.01), seed=0)
    values = [point.value for point in log if point.term == "vowels"]
    assert values[-1] < 0.1 * values[0]


def test_a_batch_of_one_is_finite():
    task, model, _ = problem(((0, 0), (0, 1), (0, 2)))
    log = fit(task, PhoneticConstraint(), model.head, Plan(epochs=2, batch_size=1), seed=0)
    assert all(np.isfinite(point.value) for point in log)


def test_languages_without_a_common_vowel():
    task, model, _ = problem(
        [(row, 0) for row in range(6)] + [(row, vowel) for row in range(6, 11) for vowel in (1, 2)]
    )
    with pytest.raises(UserError) as error:
        PhoneticConstraint().prepare(task, model)
    assert str(error.value) == (
        "method phonetic-constraint: no phone of a, ɛ, ə is in both languages: the source has ɛ, ə, the target a"
    )


def test_its_phones_are_the_six_vowels_of_the_paper():
    assert phone_classes_of(PhoneticConstraint().phone_classes) == VOWELS


@pytest.mark.parametrize(
    ("options", "message"), [({"layers": "topp"}, "unknown layers .* 'topp'"), ({"strength": -1}, "strength")]
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        Plugin("phonetic-constraint", options).make("methods")
