"""One fit in training: what it trains on, how far it came, and all that it needs to go on after an interruption."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emobridge.files import read_tensors, write_tensors
from emobridge.heads.base import Head, Regressor
from emobridge.methods.base import Examples, Inputs, Labelled, Method, Step, Task
from emobridge.training.checkpoints import LogPoint, learnt
from emobridge.training.concordance import concordance_loss


@dataclass(frozen=True, slots=True)
class Problem:
    """What one fit is given; see `loop.fit`."""

    task: Task
    method: Method
    head: Head
    seed: int
    regressor: Regressor | None = None
    validation: tuple[Inputs, Labelled] | None = None
    checkpoint: Path | None = None  # a file to go on from, removed when training ends
    on_end: Callable[[tuple[LogPoint, ...]], None] = lambda log: None  # called with the log when it ends


class State:
    """Weights, moments, optimiser, random states, what it trains on, the best so far.

    model: a `loop.Model` of the problem's head. The optimiser may have weights of other fits beside those of this one.
    """

    optimiser: torch.optim.Optimizer  # from `resume` on

    def __init__(self, problem: Problem, model: Any) -> None:
        self.problem, self.model = problem, model
        self.inputs, self.method, self.seed = problem.task.inputs, problem.method, problem.seed
        self.generator = torch.Generator().manual_seed(problem.seed)
        self.noise: torch.Generator | None = None  # draws for dropout; None: torch's own, which is that of this fit
        self.epoch, self.is_stopped = 0, False
        self.examples = Examples(*(torch.empty(0),) * 3)
        self.log: list[LogPoint] = []
        self.best_loss, self.best_epoch = math.inf, 0
        self.best: dict[str, Tensor] = {}

    def trained(self) -> list[Tensor]:
        """The weights that are trained: those of the head and the method, then those of the inputs."""
        slow = {weight for module in self.inputs.modules() for weight in module.parameters()}
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        return sorted(weights, key=lambda weight: weight in slow)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The method's terms, and where attributes are learnt one for each; of one class there is nothing to tell."""
        task, regressor = self.problem.task, self.problem.regressor
        terms = self.method.loss(step)
        if regressor is None or task.attributes is None:
            return terms
        if task.classes == 1:
            terms.pop("cross-entropy", None)
        lost = concordance_loss(self.model.regress(self.model.represent(step.x)), task.attributes[step.rows])
        return terms | {f"1 - CCC {name}": value for name, value in zip(regressor.names, lost)}

    def note(self, term: str, loss: float, patience: int) -> None:
        """Note a validation loss or error by its name; stop when it has not fallen for `patience` epochs, if any."""
        self.log.append(LogPoint(self.epoch - 1, term, loss))
        if patience and loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = {name: tensor.clone() for name, tensor in learnt(self.model).items()}
        self.is_stopped = bool(patience) and self.epoch - self.best_epoch >= patience

    def take_best(self) -> None:
        """The weights of the best epoch, where validation told one."""
        if self.best:
            self.model.load_state_dict(self.best, strict=False)

    def save(self) -> None:
        """Write the checkpoint, where the problem has one, whole or not at all."""
        path = self.problem.checkpoint
        if path is None:
            return
        tensors = {f"model.{name}": tensor for name, tensor in learnt(self.model).items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {f"inputs.{name}": tensor for name, tensor in self.inputs.state().items()}
        for index, weight in enumerate(self.trained()):
            tensors |= {f"optimiser.{index}.{name}": part for name, part in self.optimiser.state[weight].items()}
        tensors |= {f"examples.{name}": getattr(self.examples, name) for name in ("rows", "label", "weight")}
        tensors |= {"random.shuffle": self.generator.get_state(), "random.torch": self._noise()}
        if torch.cuda.is_initialized():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        state = {
            "epoch": self.epoch,
            "best_loss": repr(self.best_loss),
            "best_epoch": self.best_epoch,
            "log": [asdict(point) for point in self.log],
        }
        write_tensors(path, tensors, {"state": json.dumps(state)})

    def resume(self, optimiser: torch.optim.Optimizer) -> None:
        """Take an optimiser of all weights, and go on from the checkpoint, where there is one that can be read."""
        self.optimiser, path = optimiser, self.problem.checkpoint
        stored = None if path is None else read_tensors(path)
        if stored is None:
            return  # from the start, which ends the same
        part, state = _parts(stored[0]), json.loads(stored[1]["state"])
        self.model.load_state_dict(part["model"], strict=False)
        self.best = part.get("best", {})
        self.inputs.restore(part.get("inputs", {}))
        weights = self.trained()
        for name, tensor in part.get("optimiser", {}).items():
            index, key = name.split(".")
            self.optimiser.state[weights[int(index)]][key] = tensor.to(weights[int(index)].device)
        examples = part["examples"]
        self.examples = Examples(examples["rows"], examples["label"], examples["weight"])
        self.generator.set_state(part["random"]["shuffle"])
        set_noise = torch.set_rng_state if self.noise is None else self.noise.set_state
        set_noise(part["random"]["torch"])
        if "cuda" in part["random"]:
            torch.cuda.set_rng_state(part["random"]["cuda"])
        self.epoch, self.best_epoch = state["epoch"], state["best_epoch"]
        self.best_loss = float(state["best_loss"])
        self.log = [LogPoint(**point) for point in state["log"]]

    def _noise(self) -> Tensor:
        return torch.get_rng_state() if self.noise is None else self.noise.get_state()


def _parts(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by the first part of their names."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, inner = name.partition(".")
        parts.setdefault(part, {})[inner] = tensor
    return parts
