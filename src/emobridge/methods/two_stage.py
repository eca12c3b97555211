"""Adapters on the source until it converges, then on the target (Han et al., ICASSP 2025; methods C: two-stage).

With a patience each stage ends at the best epoch on held-out speakers of its own side: of the target where the settings
validate by both sides. Without, each goes through all epochs.
"""

from __future__ import annotations

from emobridge.methods.base import Stage
from emobridge.methods.source_only import SourceOnly


class TwoStage(SourceOnly):
    """The adapters of the settings and the head learn the source, then labelled target utterances."""

    needs = frozenset({"source_labels", "target_labels"})
    head = "linear"
    stages = (Stage(("source",), "adapters"), Stage(("target",), "adapters"))
