"""An encoder fine-tuned end to end on both languages at once: ours, beside the methods of Goncalves et al. (Interspeech
2024), who have one language after the other (`ft-dual`).
"""

from __future__ import annotations

from emobridge.methods.base import Stage
from emobridge.methods.source_only import SourceOnly


class FtJoint(SourceOnly):
    """Encoder and head learn the source and the labelled target utterances, which are oversampled to the source."""

    needs = frozenset({"source_labels", "target_labels"})
    head = "linear"
    stages = (Stage(("source", "target"), "end-to-end"),)
