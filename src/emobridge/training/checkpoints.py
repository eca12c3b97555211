"""All that a training needs to go on after an interruption, in one file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emobridge.files import read_tensors, write_tensors
from emobridge.methods.base import Examples, Inputs
from emobridge.training.cost import StageCost


@dataclass(frozen=True, slots=True)
class LogPoint:
    """One value at the end of one epoch (from 0)."""

    epoch: int
    term: str
    value: float


def learnt(module: nn.Module) -> dict[str, Tensor]:
    """What training changes: weights with a gradient, and buffers. A frozen encoder's weights are none of it."""
    still = {name for name, weight in module.named_parameters() if not weight.requires_grad}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in still}


def save_stage(module: nn.Module, log: Sequence[LogPoint], cost: StageCost | None, path: Path) -> None:
    """Write what a stage of a training ended with: its weights, its log and what it cost."""
    facts = {"log": [asdict(point) for point in log], "cost": None if cost is None else asdict(cost)}
    write_tensors(path, learnt(module), {"facts": json.dumps(facts)})


def load_stage(module: nn.Module, path: Path | None) -> tuple[tuple[LogPoint, ...], StageCost | None] | None:
    """Load the weights that `save_stage` wrote into the module; the log and the cost come back.

    None where there is no such file, or a damaged one: the stage is then trained again.
    """
    stored = None if path is None else read_tensors(path)
    if stored is None or stored[0].keys() != learnt(module).keys():
        return None
    module.load_state_dict(stored[0], strict=False)
    facts = json.loads(stored[1]["facts"])
    return tuple(LogPoint(**point) for point in facts["log"]), cost_from(facts["cost"])


def cost_from(values: dict[str, Any] | None) -> StageCost | None:
    """A cost from the plain values of a JSON file."""
    if values is None:
        return None
    return StageCost(**values | {"trained": tuple((name, count) for name, count in values["trained"])})


class State:
    """Weights, moments, optimiser, random states, what it trains on, the best so far."""

    def __init__(
        self, model: Any, inputs: Inputs, optimiser: torch.optim.Optimizer, generator: torch.Generator
    ) -> None:
        self.model, self.inputs, self.optimiser, self.generator = model, inputs, optimiser, generator
        self.epoch = 0
        self.examples = Examples(*(torch.empty(0),) * 3)
        self.log: list[LogPoint] = []
        self.best_loss, self.best_epoch = math.inf, 0
        self.best: dict[str, Tensor] = {}

    def improved(self, term: str, loss: float, patience: int) -> bool:
        """Note a validation loss or error by its name; False when it is time to stop."""
        self.log.append(LogPoint(self.epoch - 1, term, loss))
        if patience and loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = {name: tensor.clone() for name, tensor in learnt(self.model).items()}
        return not patience or self.epoch - self.best_epoch < patience

    def take_best(self) -> None:
        """The weights of the best epoch, where validation told one."""
        if self.best:
            self.model.load_state_dict(self.best, strict=False)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        tensors = {f"model.{name}": tensor for name, tensor in learnt(self.model).items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {f"inputs.{name}": tensor for name, tensor in self.inputs.state().items()}
        for index, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in values.items()}
        tensors |= {f"examples.{name}": getattr(self.examples, name) for name in ("rows", "label", "weight")}
        tensors |= {"random.shuffle": self.generator.get_state(), "random.torch": torch.get_rng_state()}
        if torch.cuda.is_initialized():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        state = {
            "epoch": self.epoch,
            "best_loss": repr(self.best_loss),
            "best_epoch": self.best_epoch,
            "log": [asdict(point) for point in self.log],
        }
        write_tensors(path, tensors, {"state": json.dumps(state)})

    def resume(self, path: Path | None) -> None:
        """Go on from a checkpoint, where there is one that can be read."""
        stored = None if path is None else read_tensors(path)
        if stored is None:
            return  # from the start, which ends the same
        part, state = _parts(stored[0]), json.loads(stored[1]["state"])
        self.model.load_state_dict(part["model"], strict=False)
        self.best = part.get("best", {})
        self.inputs.restore(part.get("inputs", {}))
        whole = self.optimiser.state_dict()
        whole["state"] = {}
        for name, tensor in part.get("optimiser", {}).items():
            index, key = name.split(".")
            whole["state"].setdefault(int(index), {})[key] = tensor
        self.optimiser.load_state_dict(whole)
        examples = part["examples"]
        self.examples = Examples(examples["rows"], examples["label"], examples["weight"])
        self.generator.set_state(part["random"]["shuffle"])
        torch.set_rng_state(part["random"]["torch"])
        if "cuda" in part["random"]:
            torch.cuda.set_rng_state(part["random"]["cuda"])
        self.epoch, self.best_epoch = state["epoch"], state["best_epoch"]
        self.best_loss = float(state["best_loss"])
        self.log = [LogPoint(**point) for point in state["log"]]


def _parts(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by the first part of their names."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, inner = name.partition(".")
        parts.setdefault(part, {})[inner] = tensor
    return parts
