"""A score for unlike speech: ordinary for new speakers, beyond the edge for what nobody said in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.features.familiarity import Familiarity, fit_familiarity

SPEAKERS, EACH, WIDTH = 10, 40, 12


def speech(seed: int, *, speakers: int = SPEAKERS, spread: float = 0.3) -> tuple[torch.Tensor, list[str]]:
    """Features that stand in two clouds, and who speaks: each speaker a little apart."""
    rng = np.random.default_rng(seed)
    names = [f"{number:02}" for number in range(speakers) for _ in range(EACH)]
    apart = np.repeat(spread * rng.standard_normal((speakers, WIDTH)), EACH, 0)
    clouds = 2.0 * (rng.integers(0, 2, (len(names), 1)) - 0.5)
    return torch.from_numpy(rng.standard_normal((len(names), WIDTH)) + apart + clouds).float(), names


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    x, names = speech(0)
    return fit_familiarity(x, names, np.repeat([0, 1], len(x) // 2))


def test_new_speakers_are_typical_and_one_in_twenty_is_beyond_the_edge(familiarity):
    scores = familiarity.unfamiliarity(speech(1, speakers=40)[0])
    assert 0.4 < scores.median() < 0.6
    assert 0.02 < (scores > 1).float().mean() < 0.1
    assert scores.min() >= 0


def test_held_out_speakers_are_farther_than_those_of_training(familiarity):
    """With speakers that are far apart the edge lies where new ones are, not where those are that it was made of."""
    x, names = speech(0, spread=1.0)
    scores = fit_familiarity(x, names, [0] * len(x)).unfamiliarity(x)
    assert (scores > 1).float().mean() < 0.03
    assert scores.median() < 0.45


@pytest.mark.parametrize("times", [2.0, 5.0])
def test_beyond_the_edge_it_is_the_distance_as_a_multiple(familiarity, times):
    far = torch.zeros(1, WIDTH)
    far[:, 0] = 1000.0
    once, more = (familiarity.unfamiliarity(scale * far) for scale in (1.0, times))
    torch.testing.assert_close(more / once, torch.tensor([times]), rtol=0.01, atol=0)


def test_what_is_farther_off_is_more_unfamiliar(familiarity):
    steps = torch.linspace(0, 30, 400)[:, None] * torch.ones(WIDTH)
    scores = familiarity.unfamiliarity(steps)
    outside = scores[100:]
    assert (outside.diff() > 0).all()
    crossing = scores[scores.diff(prepend=scores[:1]).abs() > 0.2]
    assert not len(crossing), "no jump at the edge"


def test_by_hand():
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    familiarity = Familiarity(centres, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0, 3.0]))
    x = torch.tensor([[0.0, 0.0], [1.0, 2.0], [4.0, 4.0], [4.0, 12.0]])
    # distances 0; sqrt((1 + 1) / 2) = 1; sqrt(4 / 2), between 1 and 3; sqrt(36 / 2), sqrt(2) times 3
    expected = torch.tensor([0.0, 0.5, 0.5 + 0.5 * (2**0.5 - 1) / 2, 2**0.5])
    torch.testing.assert_close(familiarity.unfamiliarity(x), expected)


def test_a_corpus_far_away_is_measured_by_its_own_moments():
    """Speakers of a corpus whose rows were not standardised: held out, they are standardised by the others' moments."""
    x, names = speech(0)
    x, domains = x * 3 + 100, np.zeros(len(x))
    scores = fit_familiarity(x, names, domains)
    assert scores is not None
    assert scores.distances[-1] < 5


@pytest.mark.parametrize("rows", [19, 0])
def test_too_little_speech_has_none(rows):
    x, names = speech(0)
    assert fit_familiarity(x[::20][:rows], names[::20][:rows], [0] * rows) is None


def test_a_single_speaker_and_features_that_do_not_vary_have_none():
    x, names = speech(0)
    assert fit_familiarity(x, ["a"] * len(x), [0] * len(x)) is None
    assert fit_familiarity(torch.ones_like(x), names, [0] * len(x)) is None


def test_a_corpus_of_one_speaker_beside_another():
    x, names = speech(0)
    domains = np.array([0 if name == "00" else 1 for name in names])
    assert 0.3 < fit_familiarity(x, names, domains).unfamiliarity(x).median() < 0.6


def test_it_is_small_and_the_same_each_time(familiarity):
    x, names = speech(0)
    again = fit_familiarity(x, names, np.repeat([0, 1], len(x) // 2))
    for name in ("centres", "deviation", "distances"):
        assert torch.equal(getattr(again, name), getattr(familiarity, name))
    assert familiarity.centres.shape == (16, WIDTH)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("centres", torch.zeros(3)),
        ("deviation", torch.ones(2)),
        ("deviation", torch.zeros(3)),
        ("distances", torch.tensor([1.0])),
        ("distances", torch.tensor([2.0, 1.0])),
        ("distances", torch.zeros(2)),
        ("distances", torch.tensor([0.0, torch.nan])),
        ("distances", torch.tensor([0.0, torch.inf])),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name, value):
    parts = {"centres": torch.zeros(2, 3), "deviation": torch.ones(3), "distances": torch.tensor([0.0, 1.0])}
    Familiarity(**parts)
    with pytest.raises(ValueError, match="familiarity: expected"):
        Familiarity(**{**parts, name: value})


def test_features_of_another_width_are_refused(familiarity):
    with pytest.raises(ValueError, match="expected 12 features"):
        familiarity.unfamiliarity(torch.zeros(1, 1))
