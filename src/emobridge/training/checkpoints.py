"""What a stage of a training ended with, in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from emobridge.files import read_tensors, write_tensors
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
