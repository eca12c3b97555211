"""Answers that adapt to the recordings as they come: class-wise self-training, one utterance at a time.

A branch of the bundle answers with p(c | x). Beside it stands a discriminant q of the moments of the labelled source
and of the n utterances of the stream that were learnt from, classes and both sides weighing the same, and

    answer(c | x) ~ p(c | x)^(1 - s) q(c | x)^s,    s = SHARE n / (n + STEADY)

so that the first answers are the bundle's, and later ones the blend that `adapt` makes of all utterances at once. An
utterance is learnt from, with its most probable label, where the answer is at least as sure as the answers of that
label are on average; never where its speech is beyond the edge of familiarity, nor where the bundle's guard found that
speakers of its corpus show one emotion each. Speech of a corpus that the bundle does not know is all beyond the edge,
since its own moments are not known: so what is within OUTLYING times the mean of the stream counts as within. q takes
part from LEAST_LEARNT utterances on, of two labels or more. Memory does not grow: of the stream there are the sums, the
squares and the number by label.

Ours. The numbers are the first ones that were tried; docs/results/source-free.md has what they reach.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emobridge.bundle import Branch, Recognizer
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain
from emobridge.heads.base import LinearMap, joined, principal_components
from emobridge.heads.discriminant import Discriminant
from emobridge.methods.base import Labelled, as_probabilities, balanced_weights

SHARE = 0.5  # of q at last
STEADY = 60  # utterances learnt from at which q has half of its share
LEAST_LEARNT = 20  # utterances learnt from before q takes part
EVERY = 5  # utterances learnt from between two solutions
OUTLYING = 1.5  # times the mean unfamiliarity of the stream so far


class OnlineHead:
    """The running discriminant of one branch."""

    def __init__(self, branch: Branch) -> None:
        """Errors: UserError for a branch without the moments of its source, or with another head."""
        moments, head = branch.source_moments, branch.head
        if moments is None or not isinstance(head, Discriminant):
            raise UserError(
                f"adapt_online: the recogniser of {branch.language} has no moments of its source, or another head than "
                "discriminant: train it again with a method such as blend"
            )
        self.branch, self.discriminant = branch, head
        classes = len(branch.spec.labels)
        weight = balanced_weights(Labelled(torch.arange(len(moments.points)), moments.label, moments.corpus), classes)
        share = as_probabilities(moments.label, classes) * (weight / weight.sum())[:, None]
        self.views = [_View(points, share, head.components) for points in moments.points.chunk(head.views, 1)]
        self.count = torch.zeros(classes, dtype=torch.float64)  # utterances learnt from, by label
        self.answers = torch.zeros(classes, dtype=torch.float64)  # by label, and the sum of their confidences
        self.confidence = torch.zeros(classes, dtype=torch.float64)
        self.unfamiliarity = 0.0  # the sum over all answers
        self.solution: LinearMap | None = None

    @property
    def learnt(self) -> int:
        """Utterances that q is made of; 0 as long as it takes no part."""
        return 0 if self.solution is None else int(self.count.sum())

    def answer(self, x: Tensor, p: Tensor, temperature: float) -> Tensor:
        """The answer (C,) to features x (D,) as the branch sees them, which it gives the probabilities p (C,)."""
        if self.solution is None:
            return p
        share = SHARE * self.learnt / (self.learnt + STEADY)
        beside = self.solution.of(x[None])[0] / temperature
        return ((1 - share) * p.clamp(min=torch.finfo(p.dtype).tiny).log() + share * beside).softmax(0)

    def learn(self, x: Tensor, answer: Tensor, domain: Domain, unfamiliarity: float | None) -> None:
        """Take an answered utterance in, where it may be learnt from."""
        label, sureness = int(answer.argmax()), float(answer.max())
        is_sure = sureness * self.answers[label] >= self.confidence[label]
        self.answers[label] += 1
        self.confidence[label] += sureness
        self.unfamiliarity += unfamiliarity or 0.0
        edge = max(1.0, OUTLYING * self.unfamiliarity / float(self.answers.sum()))
        if not is_sure or not domain.by_speaker or (unfamiliarity or 0.0) > edge:
            return
        self.count[label] += 1
        for view, part in zip(self.views, x.chunk(len(self.views))):
            view.learn(part, label)
        total = int(self.count.sum())
        if total >= LEAST_LEARNT and total % EVERY == 0 and (self.count > 0).sum() > 1:
            self._solve()

    def _solve(self) -> None:
        """Fit q to the source and the stream: both weigh the same, and so do the labels that occur in each."""
        occurs = self.count > 0
        weight = torch.where(occurs, 1 / self.count.clamp(min=1), 0.0) / occurs.sum()
        solutions = []
        for view in self.views:
            count, first, second = view.moments(self.count, weight)
            middle = torch.zeros(1, first.shape[1]).double()
            solution = self.discriminant.solve_moments(count, first, second, middle)
            solutions.append(view.components.before(solution))
        self.solution = joined(solutions)


class _View:
    """The sums of one view of the source and of the stream, on the principal components of the source."""

    def __init__(self, points: Tensor, share: Tensor, components: int) -> None:
        """points (M, D) with the share (M, C) of each in each class."""
        self.components = principal_components(points, components)
        z = self.components.of(points)
        self.source = _sums(z, share)
        self.first = torch.zeros(share.shape[1], z.shape[1], dtype=torch.float64)
        self.second = torch.zeros(share.shape[1], z.shape[1], z.shape[1], dtype=torch.float64)

    def learn(self, x: Tensor, label: int) -> None:
        """Take the features (D,) of an utterance in."""
        z = self.components.of(x).double()
        self.first[label] += z
        self.second[label] += z[:, None] * z

    def moments(self, count: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sums of source and stream; count (C,) of the stream, each of its utterances with the weight (C,)."""
        stream = (count * weight, self.first * weight[:, None], (self.second * weight[:, None, None]).sum(0))
        count, first, second = (a + b for a, b in zip(self.source, stream))
        return count, first, second


class Online:
    """The running discriminants of a recogniser's branches."""

    def __init__(self, recognizer: Recognizer) -> None:
        """Errors: UserError for a branch that cannot adapt; see `OnlineHead`."""
        self.heads = tuple(OnlineHead(branch) for branch in recognizer.branches)

    def follow(
        self,
        values: Tensor,
        inputs: Sequence[tuple[Tensor, Domain] | None],
        answered_by: Sequence[int],
        unfamiliarity: Sequence[float | None],
    ) -> list[int]:
        """Put the adapted probabilities of N rows, in their order, into `values` (N, C + K).

        inputs: features and domain of each row, as its branch sees them; None of a row that all branches answered.
        answered_by: the index of the branch. Of each row the utterances that its answer was adapted by come back.
        """
        learnt = []
        for row, (pair, index) in enumerate(zip(inputs, answered_by)):
            if pair is None:
                learnt.append(0)
                continue
            (x, domain), head = pair, self.heads[index]
            classes = len(head.branch.spec.labels)
            learnt.append(head.learnt)
            answer = head.answer(x, values[row, :classes], head.branch.temperature(domain))
            values[row, :classes] = answer
            head.learn(x, answer, domain, unfamiliarity[row])
        return learnt


def _sums(z: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The sums that a discriminant is solved from, of z (N, k) with the share (N, C) of each row in each class."""
    z, share = z.double(), share.double()
    return share.sum(0), share.mT @ z, (z * share.sum(1, keepdim=True)).mT @ z
