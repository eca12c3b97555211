"""Probes in training as a file to go on from: the same windows, weights and stops follow as without a break."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from emobridge.files import whole_file

if TYPE_CHECKING:
    from emobridge.probe.batched import Stack

BESIDE = ("best_loss", "best_epoch", "random")  # of a stack, beside its weights and the best of them


def save(
    path: Path, epoch: int, stacks: Sequence[Stack], optimiser: torch.optim.Optimizer, generator: torch.Generator
) -> None:
    """Write the state after `epoch` epochs, whole or not at all."""
    tensors = {"epoch": torch.tensor(epoch), "windows": generator.get_state()}
    for place, stack in enumerate(stacks):
        own: dict[str, Tensor] = {f"weights.{name}": value for name, value in stack.module.named_parameters()}
        own |= {f"best.{name}": value for name, value in stack.best.items()}
        own |= {name: getattr(stack, name) for name in BESIDE}
        tensors |= {f"{place}.{name}": value for name, value in own.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in values.items()}
    with whole_file(path) as temporary:
        save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()}, temporary)


def resume(path: Path, stacks: Sequence[Stack], optimiser: torch.optim.Optimizer, generator: torch.Generator) -> int:
    """Take the state over; the epochs that are done, 0 where there is no file, or a damaged one."""
    try:
        tensors = load_file(path)
        wanted = [f"{place}.weights.{name}" for place, stack in enumerate(stacks) for name in stack.best]
        if any(name not in tensors for name in wanted):
            return 0
    except (OSError, SafetensorError):
        return 0
    with torch.no_grad():
        for place, stack in enumerate(stacks):
            for name, weight in stack.module.named_parameters():
                weight.copy_(tensors[f"{place}.weights.{name}"])
                stack.best[name] = tensors[f"{place}.best.{name}"]
            stack.best_loss, stack.best_epoch, stack.random = (tensors[f"{place}.{name}"] for name in BESIDE)
    whole = optimiser.state_dict()
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".")
            whole["state"].setdefault(int(number), {})[name] = value
    optimiser.load_state_dict(whole)
    generator.set_state(tensors["windows"])
    return int(tensors["epoch"])
