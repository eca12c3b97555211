"""The findings of a run on its target: the recogniser's own answers, clips to listen to, what to label next."""

from __future__ import annotations

import io
import json
import shlex
from collections import Counter

import numpy as np
import pytest
import soundfile

from emobridge.bundle import Recognizer
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.inference import predict
from emobridge.settings import Budget
from emobridge.study import target as target_module
from emobridge.study.adapt import adapt
from emobridge.study.cases import check_useful
from emobridge.study.suggest import suggest
from emobridge.study.target import encoded, loudest
from emobridge.types import Utterance


@pytest.fixture
def run(recorded):
    """A function that adapts to the recordings of xx without their labels; options go to `adapt`."""
    unlabelled = [row.__replace__(emotion=None) if hasattr(row, "__replace__") else _bare(row) for row in _rows(recorded)]
    write_manifest(recorded / "bare.jsonl", unlabelled)

    def make(**options):
        given_options = dict(
            source=[str(recorded / "en.jsonl")],
            target=str(recorded / "bare.jsonl"),
            out=str(recorded / "run"),
            store=str(recorded / "store"),
            seeds=1,
            folds=2,
            epochs=3,
        )
        return adapt(**given_options | options)

    return make
