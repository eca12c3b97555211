"""The method that votes: trained by `fit`, saved in a bundle, opened again."""

from __future__ import annotations

import numpy as np
import torch

from emobridge import fit_arrays, load
from emobridge.methods.ensemble import Ensemble
from emobridge.study.adapt import adapt


def test_members_are_trained_and_vote():
    """The classes are a ring and its middle: a forest tells them, a linear machine does not."""
    random = np.random.default_rng(0)
    x = random.standard_normal((400, 2)).astype(np.float32)
    y = (np.hypot(*x.T) > 1.2).astype(int)
    domain = np.repeat([0, 1], 200)
    known = np.where(domain == 0, y, -1)
    recognizer = fit_arrays(x, known, domain, Ensemble())
    assert (recognizer.predict(x[200:]) == y[200:]).mean() > 0.9
    alone = fit_arrays(x, known, domain, "source-only")
    assert (alone.predict(x[200:]) == y[200:]).mean() < 0.8


def test_a_bundle_keeps_all_members(recorded, tmp_path):
    """Both from stored features, with two views of each clip, and once more from the bundle."""
    adapt(
        source=(str(recorded / "en.jsonl"),),
        target=str(recorded / "xx.jsonl"),
        labels=("anger", "sadness"),
        method="ensemble",
        bundle="adapted",
        head_options=("trees=3",),
        out=str(tmp_path / "run"),
        seeds=1,
        folds=2,
    )
    recognizer = load(tmp_path / "run" / "bundle")
    vote = recognizer.head.output
    assert vote.trees == 3 and torch.isfinite(vote.tree.threshold).any(), "the tree has grown"
    answers = list(recognizer(sorted(map(str, recorded.glob("en-*.wav")))))
    right = [answer.label == ("anger" if "anger" in answer.path else "sadness") for answer in answers]
    assert np.mean(right) > 0.9
