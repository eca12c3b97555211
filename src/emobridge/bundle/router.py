"""The language of a clip, predicted from how sure each branch is of it; learnt from speech whose language is known.

Multinomial logistic regression (ours). Its features are the largest probability and the entropy that each branch gives
a clip and, as an option, the features of the encoder without adapters. No emotion label is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emobridge.scores.entropy import entropy
from emobridge.types import short_repr

PENALTY = 1e-2  # times the weights' mean square: more features than clips are no harm
MOST_STEPS = 200  # of L-BFGS, at most


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class Router:
    """Weights of the regression of B languages on F standardised features."""

    languages: tuple[str, ...]  # in the order of the weights
    hears_base: bool  # whether the encoder's own features are among the F
    mean: Tensor  # (F,)
    deviation: Tensor  # (F,)
    weight: Tensor  # (B, F)
    bias: Tensor  # (B,)

    def probabilities(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, B)."""
        return (((x - self.mean) / self.deviation) @ self.weight.T + self.bias).softmax(1)


def confidences(probabilities: Tensor) -> Tensor:
    """(N, B, C) of B branches -> (N, 2 B): the largest of each, then the entropy of each in nats."""
    return torch.cat([probabilities.amax(2), entropy(probabilities)], 1)


def fit_router(languages: tuple[str, ...], x: Tensor, truth: Tensor, *, hears_base: bool = False) -> Router:
    """Fit a router to features x (N, F) and the index (N,) of each clip's language; each language weighs the same."""
    mean, deviation = x.mean(0), x.std(0, correction=0).clamp(min=1e-6)
    z = (x - mean) / deviation
    weight = torch.zeros(len(languages), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(languages), requires_grad=True)
    counts = truth.bincount(minlength=len(languages)).clamp(min=1)
    solver = torch.optim.LBFGS([weight, bias], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        cross_entropy = nn.functional.cross_entropy(z @ weight.T + bias, truth, weight=1.0 / counts)
        total = cross_entropy + PENALTY * weight.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        solver.step(loss)  # type: ignore[arg-type]
    return Router(languages, hears_base, mean, deviation, weight.detach(), bias.detach())
