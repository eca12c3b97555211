"""Fits side by side: each learns what it learns alone, stops when it stops alone, and goes on after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.heads.single import Single
from emobridge.methods.base import Examples, Labelled, StackedStep, Task, reordered
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.methods.soft_pseudo_labels import SoftPseudoLabels
from emobridge.methods.source_only import SourceOnly
from emobridge.training import loop
from emobridge.training.checkpoints import LogPoint
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit_alone, fit_together, probabilities
from emobridge.training.state import Problem, State
from emobridge.training.steps import StackedSteps

WIDTH, CLASSES = 6, 3
PLAN = Plan(epochs=7, batch_size=10, learning_rate=0.02, checkpoint_every=0.0)
STOPPING = replace(PLAN, epochs=40, learning_rate=0.1, patience=3)
METHODS = {"source-only": {}, "pseudo-labels": {"interval": 2}, "soft-pseudo-labels": {"interval": 2}}
HEADS = [name for name in registry.names("heads") if registry.load("heads", name).stacks]
COUNTS = [23, 41, 40, 7]  # source utterances: other numbers of batches, full last ones, and less than one batch


def problems(
    method: str = "soft-pseudo-labels", head: str = "single", count: int = 4, folder: Path | None = None, **more
) -> list[Problem]:
    """Fresh fits, each with data and a seed of its own."""
    return [problem(method, head, number, folder, **more) for number in range(count)]


def problem(method: str, head: str, number: int, folder: Path | None = None, **more) -> Problem:
    generator = torch.Generator().manual_seed(number)
    sizes = {"source": COUNTS[number], "target": 11 + number, "validation": 12}
    label = torch.randint(CLASSES, (sum(sizes.values()),), generator=generator)
    x = torch.randn(len(label), WIDTH, generator=generator)
    x[:, 0] += label
    source, target, apart = torch.arange(len(label)).split(list(sizes.values()))
    words = {"single": ("input_dropout=0.5",), "linear": ("hidden=5", "input_dropout=0.5")}.get(head, ("hidden=5",))
    torch.manual_seed(number)
    return Problem(
        Task(Frozen(x), CLASSES, Labelled(source, label[source]), None, target),
        registry.load("methods", method)(**METHODS[method]),
        made_head(head, words, WIDTH, CLASSES),
        number,
        validation=(Frozen(x), Labelled(apart, label[apart], torch.zeros_like(apart))),
        checkpoint=None if folder is None else folder / f"{number}.checkpoint",
        **more,
    )


def answers(problem: Problem) -> Tensor:
    inputs = problem.task.inputs
    return probabilities(Model(inputs, problem.head), inputs, torch.arange(len(inputs.x)))


def one_by_one(fits: list[Problem], plan: Plan) -> list[tuple[LogPoint, ...]]:
    return [fit_together([fit], plan)[0] for fit in fits]


def assert_same(fits: list[Problem], others: list[Problem], logs, other_logs, within: float) -> None:
    for fit, other, log, other_log in zip(fits, others, logs, other_logs, strict=True):
        torch.testing.assert_close(answers(fit), answers(other), rtol=0, atol=within)
        assert [point.epoch for point in log] == [point.epoch for point in other_log], "it stops at the same epoch"
        assert [point.term for point in log] == [point.term for point in other_log]
        assert [p.value for p in log] == pytest.approx([p.value for p in other_log], abs=10 * within)


@pytest.mark.parametrize(
    ("method", "head"),
    [*((name, "single") for name in METHODS), *(("soft-pseudo-labels", name) for name in HEADS if name != "single")],
)
def test_side_by_side_is_one_by_one(method, head):
    together, alone = problems(method, head), problems(method, head)
    assert_same(together, alone, fit_together(together, PLAN), one_by_one(alone, PLAN), 1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_fits_of_fewer_examples_than_a_batch_do_not_depend_on_each_other(method):
    plan = replace(PLAN, batch_size=100)
    together, alone = problems(method), problems(method)
    assert_same(together, alone, fit_together(together, plan), one_by_one(alone, plan), 1e-6)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("method", METHODS)
def test_a_stack_learns_what_steps_of_one_fit_learn(method, count):
    """Batches of (B, D), as other methods have them, with torch's own dropout."""
    together, alone = (problems(method, "nonlinear", count) for _ in range(2))
    logs = fit_together(together, PLAN)
    assert_same(together, alone, logs, [fit_alone(fit, PLAN, loop.Workspace()) for fit in alone], 1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_each_stops_at_its_own_epoch_and_is_told_then(method):
    ended = []
    together, alone = problems(method), problems(method)
    noted = [
        replace(fit, on_end=lambda log, number=number: ended.append(number)) for number, fit in enumerate(together)
    ]
    logs = fit_together(noted, STOPPING)
    assert_same(together, alone, logs, one_by_one(alone, STOPPING), 1e-6)
    last = [log[-1].epoch for log in logs]
    assert len(set(last)) > 1 and min(last) < STOPPING.epochs - 1
    assert ended == sorted(range(4), key=lambda number: last[number])


class Interrupted(Exception):
    pass


def interrupted(fits: list[Problem], plan: Plan, after: int) -> None:
    def stop(done: int, total: int) -> None:
        if done == after:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit_together(fits, plan, loop.Workspace(on_epoch=stop))


@pytest.mark.parametrize("head", ["single", "nonlinear"])
@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_stack_goes_on_and_ends_the_same(method, head, tmp_path):
    """One after another goes on, whichever of them there is: the one whose checkpoint is lost begins anew."""
    whole = problems(method, head)
    logs = fit_together(whole, PLAN)
    interrupted(problems(method, head, folder=tmp_path), PLAN, 4)
    assert len(list(tmp_path.iterdir())) == 4
    (tmp_path / "2.checkpoint").unlink()
    interrupted(problems(method, head, folder=tmp_path), PLAN, 2)  # it is alone until the others' third epoch
    resumed = problems(method, head, folder=tmp_path)
    assert fit_together(resumed, PLAN) == logs
    assert all(torch.equal(answers(fit), answers(other)) for fit, other in zip(whole, resumed))
    assert not list(tmp_path.iterdir())


def test_what_has_stopped_is_not_trained_again(tmp_path):
    """A caller keeps what has ended, and begins with the others only."""
    whole = problems()
    logs = fit_together(whole, STOPPING)
    order = sorted(range(4), key=lambda number: logs[number][-1].epoch)
    ended: list[int] = []
    first = [
        replace(fit, on_end=lambda log, number=number: ended.append(number))
        for number, fit in enumerate(problems(folder=tmp_path))
    ]
    interrupted(first, STOPPING, logs[order[0]][-1].epoch + 2)
    assert ended[0] == order[0] and not (tmp_path / f"{order[0]}.checkpoint").exists()
    left = [number for number in range(4) if number not in ended]
    fresh = problems(folder=tmp_path)
    rest = [fresh[number] for number in left]
    assert fit_together(rest, STOPPING) == [logs[number] for number in left]
    assert all(torch.equal(answers(fit), answers(whole[number])) for fit, number in zip(rest, left))


def test_a_class_of_ones_own_trains_alone_until_it_says_otherwise():
    class Mine(SourceOnly):
        def loss(self, step):
            assert step.x.ndim == 2
            return super().loss(step)

    class Head(Single):
        pass

    assert (SourceOnly.stacks, PseudoLabels.stacks, SoftPseudoLabels.stacks, Mine.stacks) == (True, True, True, False)
    assert Single.stacks and not Head.stacks
    (fit,) = problems("source-only", count=1)
    log = fit_alone(replace(fit, method=Mine()), PLAN, loop.Workspace())
    assert len(log) == 2 * PLAN.epochs


def test_labels_may_be_probabilities_in_one_fit_and_classes_in_another():
    """A method of rounds may have labelled one fit and none of the other."""
    seen = []

    class Noted(SourceOnly):
        stacks = True

        def loss(self, step):
            seen.append(step.label)
            return super().loss(step)

    fits = [replace(fit, method=Noted()) for fit in problems("source-only", count=2)]
    states = [State(fit, Model(fit.task.inputs, fit.head)) for fit in fits]
    optimiser = torch.optim.SGD([weight for state in states for weight in state.trained()], lr=0.1)
    for state, soft in zip(states, (True, False)):
        state.resume(optimiser)
        label = torch.tensor([0, 2, 1])
        label = torch.eye(CLASSES)[label] if soft else label
        state.examples = Examples(torch.arange(3), label, torch.ones(3))
    ((first, second),) = StackedSteps(PLAN).gradients(states, 0)
    assert seen[0].shape == (2, 1, 3, CLASSES)
    assert first[2].keys() == second[2].keys() == {"cross-entropy"}


def test_what_fills_a_batch_up_counts_for_nothing():
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    share = torch.tensor([[[1.5, 1.5, 0.0]], [[1.0, 1.0, 1.0]]])
    rows = torch.zeros(2, 1, 3, dtype=torch.int64)
    fits = [(2, generators[0]), (3, generators[1])]
    step = StackedStep(None, None, rows, rows, share, 0.0, None, generators[0], share, fits)
    assert step.mean(torch.tensor([[[1.0, 3.0, 99.0]], [[1.0, 2.0, 6.0]]])).tolist() == [[2.0], [3.0]]
    assert step.mean(torch.ones(2, 1, 4, 3)).tolist() == torch.ones(2, 1, 4).tolist()
    order = step.random_order()
    assert order[0, 0, 2] == 2 and [sorted(row[0]) for row in order.tolist()] == [[0, 1, 2]] * 2
    drawn = replace(step, fits=[None, fits[1]]).draw(lambda generator: float(torch.rand((), generator=generator)))
    assert drawn.shape == (2, 1) and drawn[0] == 0 < drawn[1]


@pytest.mark.parametrize("sizes", [(5,), (1,), (3, 1, 5), (1, 1, 1)])
def test_rows_in_another_order(sizes):
    values = torch.randn(*sizes, 2)
    order = torch.randint(sizes[-1], sizes)
    assert torch.equal(reordered(values, order), torch.take_along_dim(values, order[..., None], -2))
