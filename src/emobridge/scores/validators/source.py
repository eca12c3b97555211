"""How well a system does on the source."""

from __future__ import annotations

from emobridge.scores.validators.base import Validator, View


class Source(Validator):
    """UA on held-out speakers of the source, in [0, 1]."""

    name = "source"

    def judge(self, view: View) -> float:
        """In [0, 1]."""
        return view.source_ua
