"""The training loop.

One loop for every method, head and encoder, frozen or trained. It reads top to bottom: draw examples, take steps, look
at the validation loss, keep a checkpoint. A run that was interrupted goes on from its checkpoint and ends with the same
weights, to the last bit, as one that was not.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.heads._base import Head
from emobridge.inputs import Inputs
from emobridge.methods._base import Drawn, Labelled, Method, Step, Task, balanced, weighted_cross_entropy

REFRESH = 10  # epochs between two looks at the moments of features that change with the encoder
PREDICTED_TOGETHER = 4096  # rows


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train; see `Settings` for the words."""

    epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    decay: float = 0.95  # of the learning rate, every 10 epochs
    patience: int = 0  # epochs
    validate_by: str = "loss"  # or "ua"
    checkpoint_every: float = 20.0  # s between checkpoints
    weight_decay: float = 0.0  # of Adam: L2
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


@dataclass(frozen=True, slots=True)
class LogPoint:
    """One value at the end of one epoch (from 0)."""

    epoch: int
    term: str
    value: float


class Model(nn.Module):
    """What is trained: the head, and what the inputs and the method bring along."""

    def __init__(self, inputs: Inputs, head: Head) -> None:
        super().__init__()
        self.head = head
        self.beside = nn.ModuleList(inputs.modules())
        self.width = head.output.in_features

    def represent(self, x: Tensor) -> Tensor:
        """(B, D) pooled and normalised -> (B, H): a clip of one frame."""
        return self.head.represent(x[:, None], torch.ones(len(x), 1, dtype=torch.bool))

    def classify(self, represented: Tensor) -> Tensor:
        """(B, H) -> (B, C) logits."""
        return self.head.output(represented)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, C)."""
        return self.classify(self.represent(x))


def fit(
    task: Task,
    method: Method,
    head: Head,
    plan: Plan,
    *,
    seed: int,
    validation: tuple[Inputs, Labelled] | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> tuple[LogPoint, ...]:
    """Train `head` (and the task's inputs) in place; the log of each loss term.

    validation: speakers kept apart, of one side or both (their `corpus`, the sides weigh the same); with a patience,
    training stops when their loss (or 1 - UA) has not fallen for so many epochs, and the weights of the best epoch are
    kept; as many as there are epochs never stop it. checkpoint: a file to go on from, removed when training ends.
    Errors: UserError where the loss is not finite.
    """
    inputs = task.inputs
    model = Model(inputs, head)
    generator = torch.Generator().manual_seed(seed)

    def predict(rows: Tensor) -> Tensor:
        return probabilities(model, inputs, rows)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if (beside := method.prepare(task, model)) is not None:
            model.beside.append(beside)
        optimiser = torch.optim.Adam(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=plan.learning_rate,
            betas=plan.betas,
            eps=plan.eps,
            weight_decay=plan.weight_decay,
            fused=True,
        )
        state = _State(model, inputs, optimiser, generator)
        state.resume(checkpoint)
        saved = time.monotonic()
        for epoch in range(state.epoch, plan.epochs):
            if epoch % REFRESH == 0:
                inputs.refresh()
            drawn = method.examples(epoch, predict, generator)
            if drawn is not None:
                state.drawn = drawn
                state.log += [LogPoint(epoch, term, value) for term, value in drawn.notes]
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate * plan.decay ** (epoch // 10)
            state.log += _epoch(state, method, plan, epoch)
            state.epoch = epoch + 1
            if validation is not None:
                term = "validation loss" if plan.validate_by == "loss" else "validation error"
                if not state.improved(term, _validated(model, *validation, plan.validate_by), plan.patience):
                    break
            if on_epoch is not None:
                on_epoch(state.epoch, plan.epochs)
            if checkpoint is not None and time.monotonic() - saved > plan.checkpoint_every:
                state.save(checkpoint)
                saved = time.monotonic()
        state.take_best()
        inputs.refresh()
    model.eval()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return tuple(state.log)


def probabilities(model: nn.Module, inputs: Inputs, rows: Tensor) -> Tensor:
    """(N,) rows -> (N, C), whole utterances, dropout off; the model is left in the mode it was in."""
    was_training = model.training
    model.eval()
    size = 1 if inputs.modules() else PREDICTED_TOGETHER  # recordings are of many lengths
    with torch.no_grad():
        parts = [model(inputs.batch(some)).softmax(1) for some in rows.split(size)]
    model.train(was_training)
    return torch.cat(parts)


def _epoch(state: _State, method: Method, plan: Plan, epoch: int) -> list[LogPoint]:
    """One pass over what was drawn; the mean of each loss term."""
    drawn, generator = state.drawn, state.generator

    def take(rows: Tensor) -> Tensor:
        return state.inputs.batch(rows, generator)

    state.model.train()
    totals: dict[str, Tensor] = {}
    order = torch.randperm(len(drawn.rows), generator=generator)
    batches = list(zip(*(part[order].split(plan.batch_size) for part in (drawn.rows, drawn.label, drawn.weight))))
    for place, (rows, label, weight) in enumerate(batches):
        done = (epoch + place / len(batches)) / plan.epochs
        step = Step(state.model, take(rows), rows, label, weight, done, take, generator)
        terms = method.loss(step)
        state.optimiser.zero_grad()
        sum(terms.values(), torch.zeros(())).backward()
        state.optimiser.step()
        for term, value in terms.items():
            totals[term] = totals.get(term, torch.zeros(())) + value.detach()
    log = [LogPoint(epoch, term, float(total) / len(batches)) for term, total in totals.items()]
    for point in log:
        if not math.isfinite(point.value):
            raise UserError(f"the loss term {point.term!r} is {point.value} in epoch {epoch}: lower the learning rate")
    return log


def _validated(model: Model, inputs: Inputs, validation: Labelled, by: str) -> float:
    """The mean cross-entropy, or 1 - UA: the mean over sides of either."""
    inputs.refresh()
    p = probabilities(model, inputs, validation.rows)
    if by == "ua":
        wrong = (p.argmax(1) != validation.label).float()
        return float((wrong * balanced(validation, p.shape[1])).mean())
    logits = p.clamp(min=1e-12).log()
    weight = torch.ones(len(logits))
    if validation.corpus is not None:
        sides, side = validation.corpus.unique(return_inverse=True)
        weight = len(logits) / (len(sides) * side.bincount()[side])
    return float(weighted_cross_entropy(logits, validation.label, weight))


class _State:
    """All that a run needs to go on: weights, moments, optimiser, random states, what it trains on, the best so far."""

    def __init__(
        self, model: Model, inputs: Inputs, optimiser: torch.optim.Optimizer, generator: torch.Generator
    ) -> None:
        self.model, self.inputs, self.optimiser, self.generator = model, inputs, optimiser, generator
        self.epoch = 0
        self.drawn = Drawn(*(torch.empty(0),) * 3)
        self.log: list[LogPoint] = []
        self.best_loss, self.best_epoch = math.inf, 0
        self.best: dict[str, Tensor] = {}

    def improved(self, term: str, loss: float, patience: int) -> bool:
        """Note a validation loss or error by its name; False when it is time to stop."""
        self.log.append(LogPoint(self.epoch - 1, term, loss))
        if patience and loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        return not patience or self.epoch - self.best_epoch < patience

    def take_best(self) -> None:
        """The weights of the best epoch, where validation told one."""
        if self.best:
            self.model.load_state_dict(self.best)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {f"inputs.{name}": tensor for name, tensor in self.inputs.state().items()}
        for place, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{place}.{name}": tensor for name, tensor in values.items()}
        tensors |= {f"drawn.{name}": getattr(self.drawn, name) for name in ("rows", "label", "weight")}
        tensors |= {"random.shuffle": self.generator.get_state(), "random.torch": torch.get_rng_state()}
        about = {
            "epoch": self.epoch,
            "best_loss": repr(self.best_loss),
            "best_epoch": self.best_epoch,
            "log": [asdict(point) for point in self.log],
        }
        with whole_file(path) as temporary:
            contiguous = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
            save_file(contiguous, temporary, metadata={"about": json.dumps(about)})

    def resume(self, path: Path | None) -> None:
        """Go on from a checkpoint, where there is one that can be read."""
        if path is None or not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                about = json.loads(file.metadata()["about"])
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            return  # a damaged checkpoint: from the start, which ends the same
        part = _parts(tensors)
        self.model.load_state_dict(part["model"])
        self.best = part.get("best", {})
        self.inputs.restore(part.get("inputs", {}))
        whole = self.optimiser.state_dict()
        whole["state"] = {}
        for name, tensor in part.get("optimiser", {}).items():
            place, key = name.split(".")
            whole["state"].setdefault(int(place), {})[key] = tensor
        self.optimiser.load_state_dict(whole)
        drawn = part["drawn"]
        self.drawn = Drawn(drawn["rows"], drawn["label"], drawn["weight"])
        self.generator.set_state(part["random"]["shuffle"])
        torch.set_rng_state(part["random"]["torch"])
        self.epoch, self.best_epoch = about["epoch"], about["best_epoch"]
        self.best_loss = float(about["best_loss"])
        self.log = [LogPoint(**point) for point in about["log"]]


def _parts(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return parts
