"""Where an encoder is trained: the device, the precision, and other processes that train the same one.

The accelerate library finds the device and the processes of `accelerate launch` (or torchrun), and does what must be
done together. Without it, which is how heads on stored features are trained, there is one process and the CPU.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from emobridge.data.devices import choose_device
from emobridge.data.machine import training_precision
from emobridge.errors import UserError


class Hardware:
    """One process on the CPU, in single precision."""

    device = torch.device("cpu")
    rank, processes = 0, 1
    precision = "fp32"

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Within it an encoder computes in the precision asked for."""
        return contextlib.nullcontext()

    def summed(self, tensors: Iterable[Tensor]) -> None:
        """Each tensor becomes, in place, its sum over the processes."""

    def first(self) -> contextlib.AbstractContextManager[Any]:
        """The first process goes through it before the others, who then find what it has stored."""
        return contextlib.nullcontext()

    def wait(self) -> None:
        """Until all processes have come here."""

    def broadcast(self, value: Any) -> Any:
        """What the first process has for `value`: plain words and numbers."""
        return value


def resolve_precision(precision: str, device: str = "auto") -> str:
    """ "fp32" or "bf16": "auto" is bf16 on a GPU that has it, or a CPU on which it was measured to be faster.

    device: see `data.devices.choose_device`.
    Errors: UserError for bf16 where the GPU has none, and for a device that is not there.
    """
    chosen = choose_device(device)
    if chosen.type != "cuda":
        return training_precision() if precision == "auto" else precision
    if chosen.index is not None:  # of one process; of several, each has its own
        torch.cuda.set_device(chosen)
    has = torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not has:
        raise UserError("precision: this GPU has no bf16; give fp32 or auto")
    return ("bf16" if has else "fp32") if precision == "auto" else precision


class Accelerated(Hardware):
    """What accelerate finds. precision, device: see `resolve_precision`."""

    def __init__(self, precision: str = "auto", device: str = "auto") -> None:
        """Errors: UserError as `resolve_precision`."""
        from accelerate import Accelerator

        self.precision = resolve_precision(precision, device)
        chosen = choose_device(device)
        gpu = chosen.type == "cuda"
        many = int(os.environ.get("WORLD_SIZE", "1")) > 1  # as torchrun says; accelerate finds no CPUs by itself
        # Not given the precision: accelerate keeps the first one of a process and refuses a second.
        on_cpu = (many and not gpu) or (chosen.type == "cpu" and device != "auto")
        self.accelerator = Accelerator(mixed_precision="no", cpu=on_cpu)
        self.device = self.accelerator.device
        self.rank, self.processes = self.accelerator.process_index, self.accelerator.num_processes

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def summed(self, tensors: Iterable[Tensor]) -> None:
        """As one message: many small ones wait longer than they take."""
        tensors = list(tensors)
        if self.processes == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten().to(self.device) for tensor in tensors])
        total: Any = self.accelerator.reduce(flat, reduction="sum")
        for tensor, part in zip(tensors, total.split([tensor.numel() for tensor in tensors])):
            tensor.copy_(part.view_as(tensor))

    def first(self) -> contextlib.AbstractContextManager[Any]:
        return self.accelerator.main_process_first()

    def wait(self) -> None:
        self.accelerator.wait_for_everyone()

    def broadcast(self, value: Any) -> Any:
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]


ALONE = Hardware()
