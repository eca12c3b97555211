"""A discriminant that hears little of voices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.heads.base import principal_components
from emobridge.training import voice_blind as voice_blind_module
from emobridge.training.voice_blind import SHRINKAGE_WITHIN, VOICES, voice_blind


def speech(seed: int = 0, speakers: int = 8, each: int = 6, width: int = 10, apart: float = 3.0):
    """Emotion in the first column, emotion and voice in the second: x, label, corpus, people."""
    random = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(speakers), 2 * each)
    label = np.tile(np.arange(2), speakers * each)
    x = random.standard_normal((len(label), width))
    voice, emotion = apart * random.standard_normal(speakers)[speaker], 2.0 * label - 1
    x[:, 0] += emotion
    x[:, 1] += emotion + voice
    people = [f"speaker {name}" for name in speaker]
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(label), torch.zeros(len(label), dtype=int), people


def test_it_is_the_formula():
    x, label, corpus, people = speech()
    z, names = x.double().numpy(), np.array(people)
    mean = np.stack([z[label == index].mean(0) for index in range(2)])
    rest = z - mean[label]
    within = rest.T @ rest / len(z)
    voices = np.stack([rest[names == name].mean(0) for name in sorted(set(people))])
    blurred = (1 - SHRINKAGE_WITHIN) * within + SHRINKAGE_WITHIN * np.trace(within) / 10 * np.eye(10)
    weight = np.linalg.solve(blurred + VOICES * voices.T @ voices / 8, mean.T).T
    expected = z @ weight.T - 0.5 * (weight * mean).sum(1)
    found = voice_blind(x, label, corpus, people, 2).of(x)
    assert np.allclose((found[:, 1] - found[:, 0]).numpy(), expected[:, 1] - expected[:, 0], atol=1e-3)


def test_what_voices_do_counts_less_where_they_are_known():
    x, label, corpus, people = speech()
    known = voice_blind(x, label, corpus, people, 2).weight.diff(dim=0)[0].abs()
    unknown = voice_blind(x, label, corpus, [None] * len(x), 2).weight.diff(dim=0)[0].abs()
    assert known[1] / known[0] < 0.6 * unknown[1] / unknown[0]


def test_speakers_of_one_emotion_each_are_not_taken_for_voices():
    x, label, corpus, _ = speech(apart=0.0)
    people = [f"speaker {row % 8}" for row in range(len(x))]  # even ones show one emotion, odd ones the other
    found = voice_blind(x, label, corpus, people, 2)
    assert found.weight.diff(dim=0)[0].abs().argmax() in (0, 1)
    assert (found.of(x).argmax(1) == label).float().mean() > 0.9


def test_corpora_and_classes_weigh_the_same():
    x, label, corpus, people = speech(speakers=4)
    again = torch.cat([x, x[:12], x[:12]])  # utterances of a second corpus, twice
    labels, corpora = torch.cat([label, label[:12], label[:12]]), torch.cat([corpus, torch.ones(24, dtype=int)])
    once = voice_blind(torch.cat([x, x[:12]]), labels[:-12], corpora[:-12], [*people, *people[:12]], 2)
    twice = voice_blind(again, labels, corpora, [*people, *people[:12], *people[:12]], 2)
    assert torch.allclose(once.of(x), twice.of(x), atol=0.3) and not torch.allclose(
        once.of(x), voice_blind(x, label, corpus, people, 2).of(x), atol=0.3
    )


@pytest.mark.parametrize("count", [1, 2])
def test_few_utterances_and_absent_classes(count):
    x, label, corpus, people = speech()
    found = voice_blind(x[:count], label[:count], corpus[:count], people[:count], 3)
    assert found.weight.shape == (3, 10) and found.weight.isfinite().all()
    assert (found.of(x).argmax(1) < count).all(), "a class without an utterance is never the answer"


def test_of_many_rows_the_components_are_those_of_an_even_part(monkeypatch):
    x, label, corpus, people = speech(width=300, each=20)
    monkeypatch.setattr(voice_blind_module, "MOST_ROWS", 100)
    assert len(x) == 320, "every third"
    components = principal_components(x[::3], 200)
    solved = voice_blind(x, label, corpus, people, 2)
    inside = components.axes @ (components.axes.T @ solved.weight.T)
    torch.testing.assert_close(inside, solved.weight.T, atol=1e-3, rtol=1e-3)
