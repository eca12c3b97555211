"""Low-rank adaptation, h = W0 x + (alpha / r) B A x (Hu et al., ICLR 2022; Goncalves et al., Interspeech 2024, methods
A), through the peft library and in its own format.

Every linear map of every transformer block: query, key, value and output of attention, both maps of the feed-forward
part. Defaults are those of methods A; methods C has r = 8, alpha = 16, dropout = 0.1.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from emobridge.adapters.base import FIRST, check_shapes, parse_indices, read_weights, trunk_of
from emobridge.encoders.base import Encoder, Trunk
from emobridge.errors import UserError
from emobridge.files import read_json, whole_file
from emobridge.options import check_least, check_share

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"  # peft's names
PEFT_PREFIX = "base_model.model."  # of peft's tensors
MOST = 100_000  # no rank is as large
BARE = "__base__"  # peft's name for the model without an adapter


class Lora:
    """`r`: the rank; `alpha`: B A is scaled by alpha / r; `blocks` such as "3+4", all by default."""

    name = "lora"
    replaces = True

    def __init__(
        self,
        *,
        r: int = 32,
        alpha: int = 64,
        dropout: float = 0.05,
        blocks: str | int | None = None,
    ) -> None:
        check_least(1, r=r)
        check_share(dropout=dropout)
        self.merged = False
        self.r, self.alpha, self.dropout, self.blocks = r, alpha, dropout, blocks

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel

        self.key = key
        self.trunk: Trunk = trunk_of(f"adapter {self.name}", encoder)
        maps = (*self.trunk.attention, self.trunk.inner, self.trunk.outer)
        blocks = parse_indices(f"block of adapter {self.name}", self.blocks, len(self.trunk.blocks))
        targets = [f"{self.trunk.blocks[block]}.{path}" for block in blocks for path in maps]
        self.config: Any = LoraConfig(
            r=self.r, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=targets
        )
        frozen = [(weight, weight.requires_grad) for weight in encoder.parameters()]
        others = (part for adapters in encoder.inactive_adapters for part in adapters.parts if isinstance(part, Lora))
        self.tuner: Any = next((other.tuner for other in others), None)
        if self.tuner is None:
            self.tuner = LoraModel(self.trunk.module, self.config, key)
        else:  # in the same model of peft: otherwise they could not share a forward pass
            self.tuner.peft_config[key] = self.config
            self.tuner.inject_adapter(self.trunk.module, key)
            self.activate()
        for weight, trained in frozen:  # peft freezes everything else, weights of other adapters too
            weight.requires_grad_(trained)

    def deactivate(self) -> None:
        self.tuner.set_adapter([])

    def activate(self) -> None:
        self.tuner.set_adapter(self.key)

    def detach(self) -> None:
        self.unmerge()
        if set(self.tuner.peft_config) != {self.key}:
            self.deactivate()  # otherwise peft would activate another one
            self.tuner.delete_adapter(self.key)
            return
        self.tuner.unload()
        if hasattr(self.trunk.module, "peft_config"):
            del self.trunk.module.peft_config

    @contextlib.contextmanager
    def routed(self, keys: Sequence[str | None]) -> Iterator[None]:
        from peft.tuners.lora import LoraLayer

        names = [BARE if key is None else key for key in keys]
        layers = [module for module in self.trunk.module.modules() if isinstance(module, LoraLayer)]
        hooks = [
            layer.register_forward_pre_hook(
                lambda _layer, inputs, keywords: (inputs, {**keywords, "adapter_names": names}), with_kwargs=True
            )
            for layer in layers
        ]
        try:
            yield
        finally:  # peft's own context does not remove its hooks when the pass fails
            for hook in hooks:
                hook.remove()

    def merge(self) -> None:
        """Add B A to the encoder's weights, in single precision: the encoder is then as fast as without an adapter."""
        if not self.merged:
            self.tuner.merge_adapter([self.key])
            self.merged = True

    def unmerge(self) -> None:
        """Subtract B A from the weights again, which are then what they were but for rounding."""
        if self.merged:
            self.tuner.unmerge_adapter()
            self.merged = False

    def parameters(self) -> tuple[nn.Parameter, ...]:
        return tuple(self.tensors().values())

    def save(self, folder: Path) -> None:
        """Write peft's own format, with the transformers library's names for blocks."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {PEFT_PREFIX + self._library_name(name): weight for name, weight in self.tensors().items()}
        with whole_file(folder / WEIGHTS_FILE) as path:
            save_file({name: weight.clone().contiguous() for name, weight in tensors.items()}, path)
        config = copy.copy(self.config)
        config.target_modules = sorted(self._library_name(name) for name in self.config.target_modules)
        config.inference_mode = True
        config.save_pretrained(folder)

    def load(self, folder: Path) -> None:
        where = folder / WEIGHTS_FILE
        prefix, library_prefix = self.trunk.prefix, self.trunk.library_prefix
        tensors = {
            _renamed(name.removeprefix(PEFT_PREFIX), library_prefix, prefix): tensor
            for name, tensor in read_weights(where).items()
        }
        weights = self.tensors()
        check_shapes(self.name, weights, tensors, where)
        for name, weight in weights.items():
            weight.data.copy_(tensors[name])

    def tensors(self) -> dict[str, nn.Parameter]:
        """The adapter's weights by peft's names in files, which are without the key."""
        mark, weights = f".{self.key}.", self.trunk.module.named_parameters()
        return {name.replace(mark, "."): weight for name, weight in weights if ".lora_" in name and mark in name}

    def _library_name(self, name: str) -> str:
        return _renamed(name, self.trunk.prefix, self.trunk.library_prefix)


def read_peft_config(folder: Path) -> dict[str, Any]:
    """The options of `Lora` for a folder written by peft. Errors: UserError for anything but plain LoRA."""
    from peft import LoraConfig, PeftConfig

    path = folder / CONFIG_FILE
    read_json(path)  # of what is no JSON it speaks plainly
    try:
        config: Any = PeftConfig.from_pretrained(str(folder))
    except Exception as error:  # the library checks few values, and stumbles over the others
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    variants = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "lora_bias")
    is_variant = any(getattr(config, variant, None) for variant in variants)
    if not isinstance(config, LoraConfig) or config.bias != "none" or is_variant:
        raise UserError(f"{path}: expected plain LoRA: no dora, no rslora, no bias, one rank and one alpha")
    for key in ("r", "lora_alpha", "lora_dropout"):
        value = getattr(config, key)
        if type(value) not in ((int, float) if key == "lora_dropout" else (int,)) or not 0 <= value < MOST:
            raise UserError(f"{path}: {key}: expected a number, got {value!r}")
    return {"r": config.r, "alpha": config.lora_alpha, "dropout": float(config.lora_dropout)}


def _renamed(name: str, old: str, new: str) -> str:
    """The name with another beginning, where it has the old one."""
    return new + name.removeprefix(old) if old and name.startswith(old) else name
