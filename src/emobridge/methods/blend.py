"""The blend: the geometric mean of what the labelled speech alone teaches and of class-wise self-training.

    p(c | x) ~ p_first(c | x)^(1 - s) p_last(c | x)^s

of the head as it was first fitted and as class-wise self-training left it. Of linear heads it is a linear head again:
logits are mixed. Self-training gains most where it leaves few doubts, and errs where half of the speech is of emotions
that the head cannot name, or transfer is weak. So the n unlabelled utterances of the target tell the share:

    s = (1 - (d_last / d_first)^2) n / (n + 50),    d = mean over the n of 1 - max_c p(c | x),    s at least 0

A model is too sure of the few utterances that it taught itself on; hence the second factor. Where some of the target is
labelled the share is 0.6: self-training then begins with these labels, and gains where doubts say little.

Ours: see docs/results/across-languages.md for what it was chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from emobridge.heads.base import LinearMap
from emobridge.methods.base import Model, Task
from emobridge.methods.class_wise import ClassWise
from emobridge.options import check_part_of_one

STEADY = 50  # unlabelled utterances at which the self-trained model has half of its share
SHARE_WITH_LABELS = 0.6  # where some of the target is labelled


class Blend(ClassWise):
    """`share` s in [0, 1] of the self-trained model; by default the unlabelled speech tells it, or it is 0.6 where
    some of the target is labelled. The others are those of class-wise. It needs a closed form.
    """

    needs_closed_form = True
    _with_labels = False  # until `prepare` says

    def __init__(self, *, share: float | None = None, refits: int = 5, first: float = 0.3, last: float = 0.9) -> None:
        super().__init__(refits=refits, first=first, last=last)
        if share is not None:
            check_part_of_one(share=share)
        self.share = share

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        self._with_labels = task.labelled_target is not None and len(task.labelled_target.rows) > 0
        return super().prepare(task, model)

    def settle(self, solutions: Sequence[LinearMap], target: Tensor) -> tuple[LinearMap, dict[str, float]]:
        first, last = solutions[0], solutions[-1]
        share = SHARE_WITH_LABELS if self._with_labels else share_by_doubt(first, last, target)
        share = share if self.share is None else self.share
        blended = LinearMap(*((1 - share) * a + share * b for a, b in zip(first, last)))
        return blended, {"share of the self-trained model": share}


def share_by_doubt(first: LinearMap, last: LinearMap, target: Tensor) -> float:
    """The share in [0, 1) of the self-trained model, from what both say of the unlabelled target (n, k).

    0 where nothing is unlabelled, and where the first model has no doubt or the last one no fewer.
    """
    if not len(target):
        return 0.0
    before, after = (float((1 - solution.of(target).softmax(1).amax(1)).mean()) for solution in (first, last))
    if before <= after:
        return 0.0
    return (1 - (after / before) ** 2) * len(target) / (len(target) + STEADY)
