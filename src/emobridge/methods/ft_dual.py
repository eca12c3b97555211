"""An encoder fine-tuned end to end on one language after the other (Goncalves et al., Interspeech 2024; methods A:
FT(dual)).

The order of the languages is the order of training (caption of Table 2 there): what comes last is remembered better,
so that the two directions of a pair of languages are two systems. Both languages at once are `ft-joint`.
"""

from __future__ import annotations

from emobridge.methods.base import Stage
from emobridge.methods.source_only import SourceOnly


class FtDual(SourceOnly):
    """Encoder and head learn the source, and then go on with the labelled target utterances alone."""

    needs = frozenset({"source_labels", "target_labels"})
    head = "linear"
    stages = (Stage(("source",), "end-to-end"), Stage(("target",), "end-to-end"))
