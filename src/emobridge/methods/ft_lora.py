"""A language added to a fine-tuned encoder (Goncalves et al., Interspeech 2024; methods A: FT+LoRA).

h = W0 x + (alpha / r) B A x: W0 is learnt on the source and then stays as it is, A and B on the target; the head is
trained in both stages, and goes on from the first in the second.
"""

from __future__ import annotations

from emobridge.methods.base import Stage
from emobridge.methods.source_only import SourceOnly


class FtLora(SourceOnly):
    """Encoder and head learn the source, then the adapters of the settings and the head labelled target utterances."""

    needs = frozenset({"source_labels", "target_labels"})
    head = "linear"
    stages = (Stage(("source",), "end-to-end"), Stage(("target",), "adapters"))
