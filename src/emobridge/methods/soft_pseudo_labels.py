"""Soft pseudo-labels with mixup (Agarla et al., Expert Systems with Applications 2024; methods E).

Every W epochs each unlabelled target utterance is labelled with the probabilities p(x) themselves. A batch is mixed
with itself in another order, x = l x_a + (1 - l) x_b and y = l y_a + (1 - l) y_b with ONE l ~ Beta(a, a) for both (the
paper's is uniform in (0, 1): a = 1), and

    L = CE(y) + 0.8 R_A + 0.4 R_H
    R_A = sum_c u_c log(u_c / m_c)             u uniform, m the mean of softmax(logits) over the batch
    R_H = -1/B sum_b sum_c h_bc log h_bc       h = softmax(logits)

As printed, R_H sums over the batch while the text says average: the average is taken. The paper sends R_A's logarithm
the way it stands here, from u to m.

Ours: the default a = 4, as in Arazo et al. 2020 ("Pseudo-labeling and confirmation bias in deep semi-supervised
learning"), from which the loss is taken. And where the paper is silent: one l a batch; no threshold; mixed are the
vectors that the head sees, also where the encoder is trained; and the weights of classes and corpora are mixed with the
labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emobridge.errors import UserError
from emobridge.methods.base import Model, Step, Task, as_probabilities, cross_entropies, reordered
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.options import check_least


class SoftPseudoLabels(PseudoLabels):
    """`all_classes` weighs R_A, `sureness` R_H; `mixup` is a: 1 is the paper's uniform one, 0 mixes nothing; the others
    as for hard ones.
    """

    stacks = True

    def __init__(
        self,
        *,
        threshold: float = 0.0,
        interval: int = 30,
        rebalance: bool = True,
        even: bool = True,
        rounds: str = "replace",
        all_classes: float = 0.8,
        sureness: float = 0.4,
        mixup: float = 4.0,
    ) -> None:
        super().__init__(threshold=threshold, interval=interval, rebalance=rebalance, even=even, rounds=rounds)
        check_least(0, all_classes=all_classes, sureness=sureness, mixup=mixup)
        self.all_classes, self.sureness, self.mixup = all_classes, sureness, mixup

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        """Errors: UserError where the inputs are frames, which cannot be mixed."""
        if self.mixup and task.inputs.frames:
            raise UserError(
                f"method {self.name} mixes vectors, and this head sees frames: give mixup=0, or --head single"
            )
        return super().prepare(task, model)

    def label(self, p: Tensor) -> Tensor:
        return p

    def loss(self, step: Step) -> dict[str, Tensor]:
        x, label = step.x, step.weight[..., None] * as_probabilities(step.label, self.task.classes)
        if self.mixup and isinstance(x, Tensor):
            share = step.draw(lambda generator: _beta(self.mixup, generator))[..., None, None]
            order = step.random_order()
            x, label = (torch.lerp(reordered(values, order), values, share) for values in (x, label))
        logits = step.model.classify(step.model.represent(x))  # of the mix, not of the batch
        p = logits.softmax(-1)
        return {
            "cross-entropy": step.mean(cross_entropies(logits, label)),
            "all classes": self.all_classes * all_classes(step.mean(p.mT)),
            "sureness": self.sureness * step.mean(entropies(p, logits)),
        }


def all_classes(mean: Tensor) -> Tensor:
    """R_A of a batch's mean prediction (..., C): how far it is from uniform, in nats, at least 0."""
    uniform = 1 / mean.shape[-1]
    return (uniform * (uniform / mean.clamp(min=1e-12)).log()).sum(-1)


def entropies(p: Tensor, logits: Tensor) -> Tensor:
    """The entropy of each prediction, of probabilities and logits (..., B, C), in nats, in [0, log C]."""
    return -(p * logits.log_softmax(-1)).sum(-1)


def _beta(a: float, generator: torch.Generator) -> float:
    """One draw of Beta(a, a), as the share of one gamma variable in two."""
    first, second = torch._standard_gamma(torch.full((2,), a), generator).tolist()
    return first / max(first + second, 1e-12)
