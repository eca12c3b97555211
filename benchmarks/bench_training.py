"""What the training loop costs beside the same steps written out in bare torch, and fits together beside one by one."""

from __future__ import annotations

import limits
import torch
from measuring import Amount, Resources, Row, medians
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.methods.base import Labelled, Task
from emobridge.methods.source_only import SourceOnly
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Plan, fit, fit_together
from emobridge.training.state import Problem

NEEDS = ()
UTTERANCES, WIDTH, CLASSES = 1440, 512, 8  # RAVDESS, Whisper base
DROPOUT = 0.8
TURNS = 5  # a repeat
FITS = 15  # five folds of three seeds
TARGET = 400  # unlabelled utterances, labelled anew every INTERVAL epochs
INTERVAL = 3


def measure(resources: Resources) -> list[Row]:
    """A single linear map on stored features, with batches of a hundred; short turns, for a ratio near 1 needs many."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(UTTERANCES, WIDTH, generator=generator)
    label = torch.randint(CLASSES, (UTTERANCES,), generator=generator)
    part = Plan(epochs=10)
    ours(x, label, part)  # once to warm up
    took = medians(resources.repeats * TURNS, bare=lambda: bare(x, label, part), ours=lambda: ours(x, label, part))
    steps = UTTERANCES * WIDTH * CLASSES * 2 * 2 * part.epochs  # sums and products: the map, and its gradient
    job = f"training loop, a linear head, {UTTERANCES} utterances x {WIDTH} features x {part.epochs} epochs"
    opponent = Amount(took["bare"], "the same steps in bare torch")
    row = Row(job, took["ours"], "s", most=0.8, opponent=opponent, limit=limits.fp32_limit(steps))
    return [row, *(together(name, resources.repeats) for name in ("pseudo-labels", "soft-pseudo-labels"))]


def together(method: str, repeats: int) -> Row:
    """Fits of a study with stored features, each with its own data, batches, noise and pseudo-labels."""
    plan = Plan(epochs=10)
    one_by_one = [fit_together([problem], plan)[0] for problem in problems(method)]
    if fit_together(problems(method), plan) != one_by_one:
        raise ValueError(f"{method}: fits together end otherwise than one by one")
    took = medians(
        repeats,
        ours=lambda: fit_together(problems(method), plan),
        alone=lambda: [fit_together([problem], plan) for problem in problems(method)],
    )
    job = f"{FITS} fits of {method} in one pass, {UTTERANCES} + {TARGET} utterances x {WIDTH} features x 10 epochs"
    return Row(job, took["ours"], "s", most=0.35, opponent=Amount(took["alone"], "the same fits one by one"))


def problems(method: str) -> list[Problem]:
    """Fresh fits. Folds are of somewhat different sizes."""
    return [_problem(method, number) for number in range(FITS)]


def _problem(method: str, number: int) -> Problem:
    generator = torch.Generator().manual_seed(number)
    count = UTTERANCES - 7 * number
    x = torch.randn(count + TARGET, WIDTH, generator=generator)
    label = torch.randint(CLASSES, (count,), generator=generator)
    task = Task(Frozen(x), CLASSES, Labelled(torch.arange(count), label), None, torch.arange(count, count + TARGET))
    torch.manual_seed(number)
    head = made_head("single", (f"input_dropout={DROPOUT}",), WIDTH, CLASSES)
    return Problem(task, registry.load("methods", method)(interval=INTERVAL), head, number)


def ours(x: Tensor, label: Tensor, plan: Plan) -> None:
    """One fit as `emobridge adapt` makes it."""
    inputs = Frozen(x)
    task = Task(inputs, CLASSES, Labelled(torch.arange(len(x)), label), None, None)
    head = made_head("single", (f"input_dropout={DROPOUT}",), inputs.width, CLASSES)
    fit(task, SourceOnly(), head, plan, seed=0)


def bare(x: Tensor, label: Tensor, plan: Plan) -> None:
    """The same number of steps of the same kind, without records, methods, checkpoints or log."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(x.shape[1], CLASSES))
    optimiser = torch.optim.Adam(model.parameters(), lr=plan.learning_rate)
    counts = torch.bincount(label, minlength=CLASSES)
    weight = (len(label) / (CLASSES * counts))[label]
    for _ in range(plan.epochs):
        for batch in torch.randperm(len(x)).split(plan.batch_size):
            loss = (cross_entropy(model(x[batch]), label[batch], reduction="none") * weight[batch]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
