"""Probes in training as a file to go on from: the same windows, weights and stops follow as without a break."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from emobridge.files import read_tensors, write_tensors

if TYPE_CHECKING:
    from emobridge.probe.batched import Stack

# Of a stack, beside its weights and the best of them.
STATE = ("lowest", "best_epoch", "rates", "plateau_loss", "waited", "random")


def save(
    path: Path, epoch: int, stacks: Sequence[Stack], optimiser: torch.optim.Optimizer, generator: torch.Generator
) -> None:
    """Write the state after `epoch` epochs, whole or not at all."""
    tensors = {"epoch": torch.tensor(epoch), "windows": generator.get_state()}
    for number, stack in enumerate(stacks):
        tensors |= {f"{number}.{name}": value for name, value in _state(stack).items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in values.items()}
    write_tensors(path, tensors, {})


def resume(path: Path, stacks: Sequence[Stack], optimiser: torch.optim.Optimizer, generator: torch.Generator) -> int:
    """Take the state over, and return how many epochs are done: 0 where there is no file, or a damaged one."""
    content = read_tensors(path)
    if content is None or not _fits(tensors := content[0], stacks):
        return 0
    with torch.no_grad():
        for number, stack in enumerate(stacks):
            for name, weight in stack.module.named_parameters():
                weight.copy_(tensors[f"{number}.weights.{name}"])
                stack.best[name] = tensors[f"{number}.best.{name}"]
            for name in STATE:
                setattr(stack, name, tensors[f"{number}.{name}"])
    state = optimiser.state_dict()
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            state["state"].setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(state)
    generator.set_state(tensors["windows"])
    return int(tensors["epoch"])


def _state(stack: Stack) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {f"weights.{name}": value for name, value in stack.module.named_parameters()}
    state |= {f"best.{name}": value for name, value in stack.best.items()}
    return state | {name: getattr(stack, name) for name in STATE}


def _fits(tensors: dict[str, Tensor], stacks: Sequence[Stack]) -> bool:
    """Whether a file is of stacks of these names and shapes."""
    expected: dict[str, Tensor] = {}
    for number, stack in enumerate(stacks):
        expected |= {f"{number}.{name}": value for name, value in _state(stack).items()}
    return {"epoch", "windows"} <= set(tensors) and all(
        name in tensors and tensors[name].shape == value.shape for name, value in expected.items()
    )
