"""Diverse classifiers, each trained on the labelled speech, and the majority of their votes (Zehra et al. 2021).

Nothing is adapted: the diversity is to stand the change of language. The classifiers and the formula of the vote are
those of the head `ensemble`; with another head this is source only.
"""

from __future__ import annotations

from emobridge.methods.source_only import SourceOnly


class Ensemble(SourceOnly):
    """`rebalance` as for source only."""

    head = "ensemble"
    closed_form = True
