"""An encoder fine-tuned end to end on the source (Goncalves et al., Interspeech 2024; methods A)."""

from __future__ import annotations

from emobridge.methods.base import Stage
from emobridge.methods.source_only import SourceOnly


class FineTuned(SourceOnly):
    """Encoder and head learn the source; no label of the target is seen."""

    takes = frozenset[str]()
    head = "linear"
    stages = (Stage(("source",), "end-to-end"),)
