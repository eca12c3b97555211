"""All that a training needs to go on after an interruption, in one file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from emobridge.files import whole_file
from emobridge.methods.base import Examples, Inputs


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


def save_learnt(module: nn.Module, log: tuple[LogPoint, ...], path: Path) -> None:
    """What a stage of a training ended with."""
    _write(path, learnt(module), {"log": [asdict(point) for point in log]})


def load_learnt(module: nn.Module, path: Path | None) -> tuple[LogPoint, ...] | None:
    """The log that `save_learnt` wrote, and its weights into the module; None where there is no such file."""
    found = _read(path)
    if found is None or found[0].keys() != learnt(module).keys():
        return None
    module.load_state_dict(found[0], strict=False)
    return tuple(LogPoint(**point) for point in found[1]["log"])


class State:
    """Weights, moments, optimiser, random states, what it trains on, the best so far."""

    def __init__(
        self, model: Any, inputs: Inputs, optimiser: torch.optim.Optimizer, generator: torch.Generator
    ) -> None:
        self.model, self.inputs, self.optimiser, self.generator = model, inputs, optimiser, generator
        self.epoch = 0
        self.drawn = Examples(*(torch.empty(0),) * 3)
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
        for place, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{place}.{name}": tensor for name, tensor in values.items()}
        tensors |= {f"drawn.{name}": getattr(self.drawn, name) for name in ("rows", "label", "weight")}
        tensors |= {"random.shuffle": self.generator.get_state(), "random.torch": torch.get_rng_state()}
        if torch.cuda.is_initialized():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        about = {
            "epoch": self.epoch,
            "best_loss": repr(self.best_loss),
            "best_epoch": self.best_epoch,
            "log": [asdict(point) for point in self.log],
        }
        _write(path, tensors, about)

    def resume(self, path: Path | None) -> None:
        """Go on from a checkpoint, where there is one that can be read."""
        found = _read(path)
        if found is None:
            return  # from the start, which ends the same
        part, about = _parts(found[0]), found[1]
        self.model.load_state_dict(part["model"], strict=False)
        self.best = part.get("best", {})
        self.inputs.restore(part.get("inputs", {}))
        whole = self.optimiser.state_dict()
        whole["state"] = {}
        for name, tensor in part.get("optimiser", {}).items():
            place, key = name.split(".")
            whole["state"].setdefault(int(place), {})[key] = tensor
        self.optimiser.load_state_dict(whole)
        drawn = part["drawn"]
        self.drawn = Examples(drawn["rows"], drawn["label"], drawn["weight"])
        self.generator.set_state(part["random"]["shuffle"])
        torch.set_rng_state(part["random"]["torch"])
        if "cuda" in part["random"]:
            torch.cuda.set_rng_state(part["random"]["cuda"])
        self.epoch, self.best_epoch = about["epoch"], about["best_epoch"]
        self.best_loss = float(about["best_loss"])
        self.log = [LogPoint(**point) for point in about["log"]]


def _write(path: Path, tensors: dict[str, Tensor], about: dict) -> None:
    contiguous = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        save_file(contiguous, temporary, metadata={"about": json.dumps(about)})


def _read(path: Path | None) -> tuple[dict[str, Tensor], dict] | None:
    """Tensors and what is said of them; None where there is no file, or a damaged one."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["about"])  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


def _parts(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return parts
