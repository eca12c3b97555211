"""The training loop.

One loop for every method, head and encoder, frozen or trained, and for one fit as for many that train side by side
(training/steps.py). It reads top to bottom: draw examples, take steps, look at the validation loss, keep a checkpoint.
A run that was interrupted goes on from its checkpoint and ends with the same weights as one that was not: to the last
bit where as many fits train side by side, and else but for rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from emobridge.errors import UserError, lacks_memory
from emobridge.heads.base import ClosedFormHead, Head, Regressor
from emobridge.methods.base import Inputs, Labelled, Method, Predict, Task
from emobridge.training.adam import Adam
from emobridge.training.checkpoints import LogPoint
from emobridge.training.closed_form import solve
from emobridge.training.hardware import ALONE, Hardware
from emobridge.training.state import Problem, State
from emobridge.training.steps import SingleSteps, StackedSteps, Steps
from emobridge.training.trace import training_points, validation_points
from emobridge.training.validation import loss_of_attributes, loss_of_emotions
from emobridge.types import Frames

REFRESH = 10  # epochs between two looks at the moments of features that change with the encoder


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train; see `Settings` for the words."""

    epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    decay: float = 0.95  # of the learning rate, at epoch `decay_from` and every `decay_every` epochs after it
    patience: int = 0  # epochs
    validate_by: str = "loss"  # or "ua"
    checkpoint_every: float = 20.0  # s between checkpoints
    weight_decay: float = 0.0  # of Adam: L2
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    encoder_rate: float = 0.0  # learning rate of what the inputs train; 0 is the same
    accumulate: int = 1  # parts of a batch that go through the model one after the other
    trace: bool = False  # whether accuracy is noted after each epoch
    decay_from: int = 10  # epochs, from 0, in which the rate is the first one
    decay_every: int = 10

    def rate_share(self, epoch: int) -> float:
        """The learning rate of an epoch, from 0, as a share of the first one."""
        return self.decay ** max(0, 1 + (epoch - self.decay_from) // self.decay_every)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a fit runs, and who follows it."""

    checkpoint: Path | None = None  # a file to go on from, removed when training ends
    on_epoch: Callable[[int, int], None] | None = None  # called with the epochs done and their number
    hardware: Hardware = ALONE  # its processes share each step, of batch_size utterances each


class Model(nn.Module):
    """What is trained: the head, where attributes are learnt a regressor beside its output, and what the inputs and the
    method bring along.
    """

    def __init__(self, inputs: Inputs, head: Head, regressor: Regressor | None = None) -> None:
        super().__init__()
        self.head = head
        self.regressor = regressor
        self.extra = nn.ModuleList(inputs.modules())
        self.width = head.output.in_features

    def represent(self, x: Tensor | Frames) -> Tensor:
        """(B, D) pooled and normalised, a clip of one frame, or Frames -> (B, H)."""
        return self.head.represent(*_frames_of(x))

    def represent_layers(self, x: Tensor | Frames, layers: Sequence[int] | None = None) -> Tensor:
        """(B, D), or Frames -> (L, B, H'): see `Head.represent_layers`."""
        return self.head.represent_layers(*_frames_of(x), layers)

    def represent_with_layers(self, x: Tensor | Frames) -> tuple[Tensor, Tensor]:
        """`represent` and `represent_layers`, computed once."""
        return self.head.represent_with_layers(*_frames_of(x))

    def join_layers(self, layers: Tensor) -> Tensor:
        """(L, ..., H') -> (..., H'): see `Head.join_layers`."""
        return self.head.join_layers(layers)

    def classify(self, represented: Tensor) -> Tensor:
        """(B, H) -> (B, C) logits."""
        return self.head.output(represented)

    def regress(self, represented: Tensor) -> Tensor:
        """(B, H) -> (B, K) attributes in about [-1, 1]."""
        assert self.regressor is not None  # where attributes are asked for
        return self.regressor(represented)

    def forward(self, x: Tensor | Frames) -> Tensor:
        """(B, D), or Frames -> (B, C)."""
        return self.classify(self.represent(x))


def fit(
    task: Task,
    method: Method,
    head: Head,
    plan: Plan,
    *,
    seed: int,
    regressor: Regressor | None = None,
    validation: tuple[Inputs, Labelled] | None = None,
    workspace: Workspace | None = None,
) -> tuple[LogPoint, ...]:
    """Train `head` (and the task's inputs) in place; the log of each loss term.

    regressor: is trained too, whatever the method, by 1 - CCC of each of the task's attributes. CCC is no mean over
    utterances: it is taken over each part of a batch that goes through the model at once (`accumulate` and several
    processes cut it; methods A has the whole batch), and a part weighs as many utterances as it has. A part with fewer
    than two different known values of an attribute, as the rest of an epoch may be, adds nothing to its term.
    validation: speakers kept apart, of one side or both (their `corpus`, the sides weigh the same); with a patience,
    training stops when their loss (or 1 - UA) has not fallen for so many epochs, and the weights of the best epoch are
    kept; as many as there are epochs never stop it. Errors: UserError where the loss is not finite, and where memory
    does not suffice. A head of a closed form is solved and not trained: see `training.closed_form`.
    """
    workspace = workspace or Workspace()
    problem = Problem(task, method, head, seed, regressor, validation, workspace.checkpoint)
    return fit_alone(problem, plan, workspace)


def fit_alone(problem: Problem, plan: Plan, workspace: Workspace) -> tuple[LogPoint, ...]:
    """`fit` of a problem, which has its checkpoint itself."""
    if isinstance(problem.head, ClosedFormHead):
        return _solve(problem, plan)
    return _fit([problem], plan, workspace, SingleSteps(plan, workspace.hardware))[0]


def fit_together(
    problems: Sequence[Problem], plan: Plan, workspace: Workspace | None = None
) -> list[tuple[LogPoint, ...]]:
    """`fit` of problems that train side by side. One by one they end the same, and by `fit` but for rounding.

    Their inputs are stored features, their methods equal, their heads of one class, and both `stack`.
    """
    return _fit(problems, plan, workspace or Workspace(), StackedSteps(plan))


def _fit(
    problems: Sequence[Problem], plan: Plan, workspace: Workspace, steps: SingleSteps | StackedSteps
) -> list[tuple[LogPoint, ...]]:
    """The loop."""
    hardware = workspace.hardware
    with torch.random.fork_rng(devices=[]):
        states = [_begin(problem, isinstance(steps, StackedSteps)) for problem in problems]
        optimiser = _optimiser(states, plan)
        for state in states:
            state.resume(optimiser)
        hardware.wait()
        training, saved = states, time.monotonic()
        while training := _end_finished(training, plan, hardware):
            epoch = min(state.epoch for state in training)
            _train_epoch([state for state in training if state.epoch == epoch], steps, plan)  # resumed: some are ahead
            running = [state for state in training if not state.is_stopped]
            if workspace.on_epoch is not None and running:
                workspace.on_epoch(epoch + 1, plan.epochs)
            if not hardware.rank and time.monotonic() - saved > plan.checkpoint_every:
                for state in running:
                    state.save()
                saved = time.monotonic()
    return [tuple(state.log) for state in states]


def _solve(problem: Problem, plan: Plan) -> tuple[LogPoint, ...]:
    """The log of a fit whose head is solved."""
    model = Model(problem.task.inputs, problem.head, problem.regressor)
    assert isinstance(problem.head, ClosedFormHead)
    log = solve(problem.task, problem.method, model, problem.head, problem.regressor, plan.epochs, problem.seed)
    model.eval()
    problem.on_end(log)
    return log


def _begin(problem: Problem, is_stacked: bool) -> State:
    """A fit before its first epoch. One in a stack draws noise of its own, which is what torch's generator draws for
    one that is alone.
    """
    torch.manual_seed(problem.seed)
    model = Model(problem.task.inputs, problem.head, problem.regressor)
    if (extra := problem.method.prepare(problem.task, model)) is not None:
        model.extra.append(extra)
    state = State(problem, model)
    if is_stacked:
        state.noise = torch.Generator()
        state.noise.set_state(torch.get_rng_state())
    return state


def _end_finished(training: Sequence[State], plan: Plan, hardware: Hardware) -> list[State]:
    """End the fits that have had all epochs or have stopped; the others come back."""
    finished = [state for state in training if state.is_stopped or state.epoch >= plan.epochs]
    for state in finished:
        state.take_best()
        state.inputs.refresh()
        state.model.eval()
        hardware.wait()
        state.problem.on_end(tuple(state.log))
        if state.problem.checkpoint is not None and not hardware.rank:
            state.problem.checkpoint.unlink(missing_ok=True)
    return [state for state in training if state not in finished]


def _train_epoch(states: Sequence[State], steps: Steps, plan: Plan) -> None:
    """The next epoch of fits that have come equally far."""
    epoch = states[0].epoch
    for state in states:
        if epoch % REFRESH == 0:
            state.inputs.refresh()
        examples = state.method.examples(epoch, _predict_of(state), state.generator)
        if examples is not None:
            state.examples = examples
            state.log += [LogPoint(epoch, term, value) for term, value in examples.notes]
    for group in states[0].optimiser.param_groups:
        group["lr"] = group["initial_lr"] * plan.rate_share(epoch)
    _epoch(states, steps, plan, epoch)
    for state in states:
        state.epoch = epoch + 1
        if plan.trace:
            state.log += training_points(state.problem.task, _predict_of(state), epoch, state.seed)
        _validate(state, plan)


def _frames_of(x: Tensor | Frames) -> tuple[Tensor, Tensor]:
    """Frames and their mask; a vector (D,) is a clip of one frame. (K, 1, B, D) of a stack stay in their order."""
    if isinstance(x, Frames):
        return x.hidden, x.mask
    return x.unsqueeze(-2), torch.ones(x.shape[-2], 1, dtype=torch.bool)


def probabilities(model: Model, inputs: Inputs, rows: Tensor) -> Tensor:
    """(N,) rows -> (N, C), whole utterances, dropout off; the model is left in the mode it was in."""
    return outputs(model, inputs, rows)[0]


def _predict_of(state: State) -> Predict:
    return partial(probabilities, state.model, state.inputs)


def outputs(model: Model, inputs: Inputs, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """`probabilities`, and with a regressor (N, K) attributes."""
    was_training = model.training
    model.eval()
    classes, attributes = [], []
    with torch.no_grad():
        for part in rows.split(inputs.together):
            represented = model.represent(inputs.batch(part))
            classes.append(model.classify(represented).softmax(1))
            if model.regressor is not None:
                attributes.append(model.regress(represented))
    model.train(was_training)
    return torch.cat(classes), torch.cat(attributes) if attributes else None


def _optimiser(states: Sequence[State], plan: Plan) -> torch.optim.Optimizer:
    """Adam. What the inputs train, an encoder that has learnt much already, may have a rate of its own."""
    weights = [weight for state in states for weight in state.trained()]
    slow = {weight for state in states for module in state.inputs.modules() for weight in module.parameters()}
    slow = slow if plan.encoder_rate else set()
    groups = [
        {"params": [weight for weight in weights if weight not in slow], "initial_lr": plan.learning_rate},
        {"params": [weight for weight in weights if weight in slow], "initial_lr": plan.encoder_rate},
    ]
    return Adam(
        [group for group in groups if group["params"]],
        lr=plan.learning_rate,
        betas=plan.betas,
        eps=plan.eps,
        weight_decay=plan.weight_decay,
        fused=True,
    )


def _epoch(states: Sequence[State], steps: Steps, plan: Plan, epoch: int) -> None:
    """One pass of each fit over its examples; its log has the mean of each loss term."""
    states[0].optimiser.zero_grad()  # it has weights of fits that are not among these too
    totals: list[dict[str, list[float]]] = [{} for _ in states]
    number = {state: index for index, state in enumerate(states)}
    try:
        for index, taken in enumerate(steps.gradients(states, epoch)):
            for state, batch, terms in taken:
                for term, value in terms.items():
                    _check_finite(state, batch, f"{term!r} is {value} in epoch {epoch}, batch {index}", value)
                    totals[number[state]].setdefault(term, []).append(value)
            states[0].optimiser.step()
    except RuntimeError as error:
        raise _memory_error(error, states[0], plan) from error
    for state, values in zip(states, totals):
        state.log += [LogPoint(epoch, term, sum(of_term) / len(of_term)) for term, of_term in values.items()]


def _check_finite(state: State, batch: Tensor, text: str, value: float) -> None:
    if math.isfinite(value):
        return
    ids = ", ".join(state.inputs.names(state.examples.rows[batch])[:5])
    raise UserError(
        f"the loss term {text}, seed {state.seed}{f' ({ids} ...)' if ids else ''}: lower the learning rate; "
        "checkpoints before it are kept"
    )


def _memory_error(error: RuntimeError, state: State, plan: Plan) -> Exception:
    """A lack of memory in words that help; any other error as it is."""
    if not lacks_memory(error):
        return error
    inputs, count = state.inputs, min(plan.batch_size, len(state.examples.rows)) // plan.accumulate
    longest = "" if inputs.seconds is None else f" of up to {float(inputs.seconds.max()):.1f} s"
    return UserError(
        f"out of memory in a training step of {count} utterances{longest}: lower batch_size or crop, "
        "raise accumulate, or turn checkpointing on"
    )


def _validate(state: State, plan: Plan) -> None:
    """Note how the validation utterances went, and whether it is time to stop.

    What is compared is the mean cross-entropy, or 1 - UA, and of attributes the mean 1 - CCC beside it: the mean over
    sides of each.
    """
    if state.problem.validation is None:
        return
    inputs, validation = state.problem.validation
    inputs.refresh()
    p, attributes = outputs(state.model, inputs, validation.rows)
    lost = loss_of_emotions(p, validation, plan.validate_by)
    lost += 0.0 if attributes is None else loss_of_attributes(attributes, validation)
    if plan.trace:
        state.log += validation_points(p, validation, state.epoch - 1)
    state.note("validation loss" if plan.validate_by == "loss" else "validation error", lost, plan.patience)
