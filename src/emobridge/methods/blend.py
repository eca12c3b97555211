"""The blend: the geometric mean of what the labelled speech alone teaches and of class-wise self-training.

    p(c | x) ~ p_first(c | x)^(1 - s) p_last(c | x)^s

of the head as it was first fitted and as class-wise self-training left it. Self-training gains most where the source
model is right, and errs most where it is not; the mean loses less where it errs. Of linear heads it is a linear head
again: logits are mixed.

Ours: see docs/results/across-languages.md for what it was chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.heads.base import LinearMap
from emobridge.methods.class_wise import ClassWise
from emobridge.options import check_part_of_one


class Blend(ClassWise):
    """`share` s in [0, 1] of the self-trained model; the others are those of class-wise. It needs a closed form."""

    needs_closed_form = True

    def __init__(self, *, share: float = 0.6, refits: int = 5, first: float = 0.3, last: float = 0.9) -> None:
        super().__init__(refits=refits, first=first, last=last)
        check_part_of_one(share=share)
        self.share = share

    def settle(self, solutions: Sequence[LinearMap]) -> LinearMap:
        first, last = solutions[0], solutions[-1]
        return LinearMap(*((1 - self.share) * a + self.share * b for a, b in zip(first, last)))
