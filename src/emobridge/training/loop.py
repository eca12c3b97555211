"""The training loop.

One loop for every method, head and encoder, frozen or trained. It reads top to bottom: draw examples, take steps, look
at the validation loss, keep a checkpoint. A run that was interrupted goes on from its checkpoint and ends with the same
weights, to the last bit, as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emobridge.data.batching import length_batches
from emobridge.errors import UserError, lacks_memory
from emobridge.heads.base import ClosedFormHead, Head, Regressor
from emobridge.methods.base import Inputs, Labelled, Method, Step, Task, balanced_weights, weighted_cross_entropy
from emobridge.training.checkpoints import LogPoint, State
from emobridge.training.closed_form import solve
from emobridge.training.concordance import concordance_loss, varies
from emobridge.training.hardware import ALONE, Hardware
from emobridge.training.trace import training_points, validation_points
from emobridge.types import Frames

_PRIMES = torch.tensor([1_000_003, 10_007, 101, 1])  # seed, epoch and process as one seed
Loss = Callable[[Step], dict[str, Tensor]]  # terms by name
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
    checkpoint, hardware = workspace.checkpoint, workspace.hardware
    inputs = task.inputs
    model = Model(inputs, head, regressor)
    if isinstance(head, ClosedFormHead):
        log = solve(task, method, model, head, regressor, plan.epochs, seed)
        model.eval()
        return log
    loss = _loss(task, method, model)
    generator = torch.Generator().manual_seed(seed)

    def predict(rows: Tensor) -> Tensor:
        return probabilities(model, inputs, rows)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if (extra := method.prepare(task, model)) is not None:
            model.extra.append(extra)
        state = State(model, inputs, _optimiser(model, inputs, plan), generator)
        state.resume(checkpoint)
        hardware.wait()
        saved = time.monotonic()
        for epoch in range(state.epoch, plan.epochs):
            if epoch % REFRESH == 0:
                inputs.refresh()
            examples = method.examples(epoch, predict, generator)
            if examples is not None:
                state.examples = examples
                state.log += [LogPoint(epoch, term, value) for term, value in examples.notes]
            for group in state.optimiser.param_groups:
                group["lr"] = group["initial_lr"] * plan.rate_share(epoch)
            state.log += _epoch(state, loss, plan, epoch, seed, hardware)
            state.epoch = epoch + 1
            if plan.trace:
                state.log += training_points(task, predict, epoch, seed)
            if validation is not None and not _validated(state, *validation, plan):
                break
            if workspace.on_epoch is not None:
                workspace.on_epoch(state.epoch, plan.epochs)
            if checkpoint is not None and not hardware.rank and time.monotonic() - saved > plan.checkpoint_every:
                state.save(checkpoint)
                saved = time.monotonic()
        state.take_best()
        inputs.refresh()
    model.eval()
    hardware.wait()
    if checkpoint is not None and not hardware.rank:
        checkpoint.unlink(missing_ok=True)
    return tuple(state.log)


def _frames_of(x: Tensor | Frames) -> tuple[Tensor, Tensor]:
    """Frames and their mask; a vector (D,) is a clip of one frame."""
    if isinstance(x, Frames):
        return x.hidden, x.mask
    return x[:, None], torch.ones(len(x), 1, dtype=torch.bool)


def probabilities(model: Model, inputs: Inputs, rows: Tensor) -> Tensor:
    """(N,) rows -> (N, C), whole utterances, dropout off; the model is left in the mode it was in."""
    return outputs(model, inputs, rows)[0]


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


def _loss(task: Task, method: Method, model: Model) -> Loss:
    """The method's terms, and where attributes are learnt one for each; of one class there is nothing to tell."""
    regressor, attributes = model.regressor, task.attributes

    def loss(step: Step) -> dict[str, Tensor]:
        terms = method.loss(step)
        if regressor is None or attributes is None:
            return terms
        if task.classes == 1:
            terms.pop("cross-entropy", None)
        lost = concordance_loss(model.regress(model.represent(step.x)), attributes[step.rows])
        return terms | {f"1 - CCC {name}": value for name, value in zip(regressor.names, lost)}

    return loss


def _optimiser(model: Model, inputs: Inputs, plan: Plan) -> torch.optim.Optimizer:
    """Adam. What the inputs train, an encoder that has learnt much already, may have a rate of its own."""
    slow = {weight for module in inputs.modules() for weight in module.parameters()} if plan.encoder_rate else set()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight not in slow], "initial_lr": plan.learning_rate},
        {"params": [weight for weight in weights if weight in slow], "initial_lr": plan.encoder_rate},
    ]
    return torch.optim.Adam(
        [group for group in groups if group["params"]],
        lr=plan.learning_rate,
        betas=plan.betas,
        eps=plan.eps,
        weight_decay=plan.weight_decay,
        fused=True,
    )


def _epoch(state: State, loss: Loss, plan: Plan, epoch: int, seed: int, hardware: Hardware) -> list[LogPoint]:
    """One pass over the examples; the mean of each loss term."""
    drawing = state.generator  # for what a step draws beside its examples
    if hardware.processes > 1:  # each process drops and draws its own, and anew in each epoch, so that it can go on
        drawing = torch.Generator().manual_seed(int(torch.tensor([seed, epoch, hardware.rank, 0]).dot(_PRIMES)))
        torch.manual_seed(drawing.initial_seed() + 1)
    state.model.train()
    totals: dict[str, Tensor] = {}
    batches = _batches(state, plan, hardware.processes)
    for index, batch in enumerate(batches):
        done = (epoch + index / len(batches)) / plan.epochs
        try:
            terms = _gradients(state, loss, plan, batch, done, drawing, hardware)
            for term, value in terms.items():
                if not math.isfinite(value):
                    ids = ", ".join(state.inputs.names(state.examples.rows[batch])[:5])
                    raise UserError(
                        f"the loss term {term!r} is {float(value)} in epoch {epoch}, batch {index}"
                        f"{f' ({ids} ...)' if ids else ''}: lower the learning rate; checkpoints before it are kept"
                    )
                totals[term] = totals.get(term, torch.zeros(())) + value
            state.optimiser.step()
        except RuntimeError as error:
            raise _memory_error(error, state.inputs, len(batch) // plan.accumulate) from error
    return [LogPoint(epoch, term, float(total) / len(batches)) for term, total in totals.items()]


def _batches(state: State, plan: Plan, processes: int) -> list[Tensor]:
    """Indices into the examples, in random order; clips of like lengths together where that spares padding."""
    examples, size = state.examples, plan.batch_size * processes
    if state.inputs.seconds is None:
        return list(torch.randperm(len(examples.rows), generator=state.generator).split(size))
    seed = int(torch.randint(1 << 62, (1,), generator=state.generator))
    seconds = state.inputs.seconds[examples.rows]
    return [torch.tensor(batch) for batch in length_batches(seconds.tolist(), size, seed)]


def _gradients(
    state: State, loss: Loss, plan: Plan, batch: Tensor, done: float, drawing: torch.Generator, hardware: Hardware
) -> dict[str, Tensor]:
    """Compute the gradients of one step on a batch, indices into the examples; its loss terms come back.

    Each process has its share of the batch, and goes through it in `accumulate` parts. A part's loss weighs as many
    utterances as it has, so that a loss that is a mean over utterances is the same however it is cut.
    """
    examples, inputs = state.examples, state.inputs

    def take(rows: Tensor) -> Tensor | Frames:
        return inputs.batch(rows, inputs.draws(len(rows), drawing))

    state.optimiser.zero_grad()
    draws = inputs.draws(len(batch), state.generator)
    count = plan.accumulate
    cut = count * hardware.processes
    parts: Sequence[Any] = torch.arange(len(batch)).tensor_split(cut) if cut > 1 else (slice(None),)
    share_of_process = [part for part in parts[count * hardware.rank : count * (hardware.rank + 1)] if len(batch[part])]
    terms: dict[str, Tensor] = {}
    for part in share_of_process or [parts[0][:1]]:  # a process without a share of a short batch weighs nothing
        indices = batch[part]
        rows, label, weight = (column[indices] for column in (examples.rows, examples.label, examples.weight))
        x = inputs.batch(rows, None if draws is None else draws[part])
        values = loss(Step(state.model, x, rows, label, weight, done, take, drawing))
        share = len(indices) / len(batch) if share_of_process else 0.0
        total = sum(values.values(), torch.zeros(()))
        (total if share == 1 else total * share).backward()
        for term, value in values.items():
            part_of = value.detach() if share == 1 else share * value.detach()
            terms[term] = terms[term] + part_of if term in terms else part_of
    if hardware.processes > 1:
        trained = [weight for group in state.optimiser.param_groups for weight in group["params"]]
        for weight in trained:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        hardware.summed([*terms.values(), *(weight.grad for weight in trained)])
    return terms


def _memory_error(error: RuntimeError, inputs: Inputs, count: int) -> Exception:
    """A lack of memory in words that help; any other error as it is."""
    if not lacks_memory(error):
        return error
    longest = "" if inputs.seconds is None else f" of up to {float(inputs.seconds.max()):.1f} s"
    return UserError(
        f"out of memory in a training step of {count} utterances{longest}: lower batch_size or crop, "
        "raise accumulate, or turn checkpointing on"
    )


def _validated(state: State, inputs: Inputs, validation: Labelled, plan: Plan) -> bool:
    """Note how the validation utterances went; False when it is time to stop.

    What is compared is the mean cross-entropy, or 1 - UA, and of attributes the mean 1 - CCC beside it: the mean over
    sides of each.
    """
    inputs.refresh()
    p, attributes = outputs(state.model, inputs, validation.rows)
    lost = _of_emotions(p, validation, plan.validate_by)
    lost += 0.0 if attributes is None else _of_attributes(attributes, validation)
    if plan.trace:
        state.log += validation_points(p, validation, state.epoch - 1)
    return state.improved("validation loss" if plan.validate_by == "loss" else "validation error", lost, plan.patience)


def _of_attributes(regressed: Tensor, validation: Labelled) -> float:
    """The mean 1 - CCC over the attributes of each side, and over sides; 0 where nothing of them is known."""
    truth = validation.attributes
    if truth is None:
        return 0.0
    side = torch.zeros_like(validation.rows) if validation.corpus is None else validation.corpus
    lost = []
    for number in side.unique():
        on_side = side == number
        varied = varies(truth[on_side])
        if varied.any():
            lost.append(float(concordance_loss(regressed[on_side], truth[on_side])[varied].mean()))
    return sum(lost) / max(len(lost), 1)


def _of_emotions(p: Tensor, validation: Labelled, by: str) -> float:
    if by == "ua":
        wrong = (p.argmax(1) != validation.label).float()
        return float((wrong * balanced_weights(validation, p.shape[1])).mean())
    logits = p.clamp(min=1e-12).log()
    weight = torch.ones(len(logits))
    if validation.corpus is not None:
        sides, side = validation.corpus.unique(return_inverse=True)
        weight = len(logits) / (len(sides) * side.bincount()[side])
    return float(weighted_cross_entropy(logits, validation.label, weight))
