"""Adapters on the source (Goncalves et al., Interspeech 2024; methods A)."""

from __future__ import annotations

from emobridge.methods.base import Stage
from emobridge.methods.source_only import SourceOnly


class Lora(SourceOnly):
    """The adapters of the settings, LoRA by default, and the head learn the source, the encoder stays as it is.

    No label of the target is seen.
    """

    takes = frozenset[str]()
    head = "linear"
    stages = (Stage(("source",), "adapters"),)
