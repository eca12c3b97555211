"""The moments of training rows, and what reaches a probe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.bundle import made_head
from emobridge.data.audio import read_utterance
from emobridge.data.batching import pad
from emobridge.features.normalisation import fit_domain, moments
from emobridge.probe.batched import Stack, fit_probes
from emobridge.probe.plan import plan_study
from emobridge.probe.sources import PooledSource
from emobridge.probe.splits import RowSplit, training_sets
from emobridge.probe.trainer import Trainer, training_moments, training_of


@pytest.mark.parametrize("inside", [False, True])
def test_moments_of_training_rows_are_those_of_the_normalisation(inside):
    generator = torch.Generator().manual_seed(0)
    values = 20 + torch.randn(2, 9, 5, generator=generator) * torch.tensor([1.0, 2.0, 3.0, 1e-4, 0.0])
    within = torch.rand(2, 9, 5, generator=generator) if inside else None
    splits = [RowSplit((0, 1, 2, 5, 7), (), ()), RowSplit((3, 4, 8), (), ())]
    mean, deviation = training_moments(values, within, splits)
    for layer, x in enumerate(values):
        for number, split in enumerate(splits):
            rows = list(split.train)
            domain = fit_domain("", "", x[rows], None if within is None else within[layer, rows])
            expected = moments(x[:1], domain, None)
            torch.testing.assert_close(mean[layer, number], expected[0][0], atol=1e-4, rtol=1e-5)
            torch.testing.assert_close(deviation[layer, number], expected[1][0], atol=1e-4, rtol=1e-4)


def test_a_single_training_row_has_moments():
    """Its deviation is zero, and what is standardised by it stays finite."""
    values = torch.randn(1, 3, 4)
    mean, deviation = training_moments(values, None, [RowSplit((1,), (), (0,))])
    torch.testing.assert_close(mean[0, 0], values[0, 1])
    assert (deviation > 0).all()


@pytest.mark.parametrize("head", ["single", "nonlinear", "attentive"])
def test_raw_features_reach_a_probe_as_the_encoder_gives_them(asked, head):
    """Equations 2 to 5 of methods B: nothing stands between the encoder and the head."""
    plan = plan_study(asked(heads=(head,), head_options=(), normalise=("raw", "none"), layers=("1",)))
    (part,) = plan.encoders
    encoder = part.encoder.open()
    trainer = Trainer(part, plan.corpora, encoder)
    for unit in part.units:
        utterances = trainer.corpora[unit.corpus].utterances[:3]
        x, _ = trainer._source(unit, unit.corpus).batch(torch.arange(3))
        waves = [read_utterance(utterance) for utterance in utterances]
        hidden = [encoder(*pad([wave])).hidden[1, 0].detach() for wave in waves]
        if unit.head == "single":
            torch.testing.assert_close(x[0, 0, :, 0], torch.stack([frames.mean(0) for frames in hidden]))
        else:
            expected = torch.cat(hidden)
            torch.testing.assert_close(x[0, 0], expected, atol=2e-3, rtol=2e-3)  # frames are stored in half precision
        stack = trainer._stack(unit, 1e-3)
        first = next(module for module in stack.module.modules() if type(module).__name__ == "StackedLinear")
        assert (first.moments is None) == (unit.normalise == "raw")


def test_raw_probes_learn_what_heads_learn_on_the_features_themselves(asked):
    settings = asked(heads=("linear",), normalise=("raw",), layers=("1",), seeds=1, settings=("mono",))
    plan = plan_study(settings)
    trainer = Trainer(plan.encoders[0], plan.corpora, plan.encoders[0].encoder.open())
    unit = plan.encoders[0].units[0]
    (outcome,) = trainer.run([unit])
    corpus, splits = trainer.corpora[unit.corpus], trainer.splits[unit.corpus]
    x = torch.from_numpy(trainer.store.extract(corpus.utterances, layer="1").values)[:, : trainer.encoder.width]
    stack = Stack(
        [[_head(trainer, seed=0, classes=len(corpus.emotions)) for _ in splits[0]]], PooledSource(x[None]), rate=5e-4
    )
    fit_probes([stack], training_sets(corpus, splits, settings), training_of(settings))
    (part,) = [part for part in outcome.predictions if part.corpus == unit.corpus]
    with torch.no_grad():
        p = stack.module(*PooledSource(x[None]).batch(torch.arange(len(x)))).softmax(-1)
    expected = np.stack([p[0, probe, row].numpy() for row, probe in zip(part.rows, part.probes)])
    np.testing.assert_allclose(part.probabilities[0], expected, atol=1e-5)


def _head(trainer, seed, classes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return made_head("linear", ("hidden=8",), trainer.encoder.width, classes)


def test_the_multilayer_head_sums_what_the_blocks_give(asked):
    """l = 1..L of methods B: layer 0, which the first block sees, changes no answer."""
    plan = plan_study(asked(heads=("multilayer",), normalise=("raw",)))
    (part,) = plan.encoders
    trainer = Trainer(part, plan.corpora, part.encoder.open())
    unit = part.units[0]
    assert unit.layers == ("1", "2")
    x, _ = trainer._source(unit, unit.corpus).batch(torch.arange(2))
    frames = [torch.from_numpy(trainer.store.frames_of(row)) for row in trainer.corpora[unit.corpus].utterances[:2]]
    torch.testing.assert_close(x[:, 0], torch.cat(frames, 1)[1:].float())
    (outcome,) = trainer.run([unit])
    assert outcome.layer_weights.shape == (4, 2)
