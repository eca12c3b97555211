"""The score on the source."""

from __future__ import annotations

from emobridge.scores.validators.base import View
from emobridge.scores.validators.source import Source


def test_it_is_handed_on(sure):
    assert Source().judge(View((sure,), source_ua=0.8)) == 0.8
