"""Diverse classifiers that vote: a linear support vector machine, a random forest and a decision tree.

After Zehra et al., Complex & Intelligent Systems 2021 ("Cross corpus multi-lingual speech emotion recognition using
ensemble learning"), whose classifiers are of these three kinds and whose emotion is that of the majority. With the
probabilities p_k of K classifiers, of which k votes for its most probable class,

    p = (votes + mean p_k) / (K + 1),    logits = log p

so that the majority wins, and where there is none the mean probability decides.

Ours: the features, where the paper has acoustic ones of openSMILE; scikit-learn in place of Weka; the machine on
principal components, its probabilities the softmax of its margins; trees of at most `depth` levels of decisions, so
that a head of given options always has tensors of the same shapes and can be saved in a bundle; and classes weighed as
for every method.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from emobridge.heads.base import ClosedFormHead, LinearMap
from emobridge.options import check_above, check_least

NEVER = -1.0  # the margin of a class without an utterance: that of one that is clearly another


class Ensemble(ClosedFormHead):
    """`trees` of the forest, each of up to `depth` decisions in a row; `cost` of the machine's errors, above 0."""

    has_members = True
    has_graph = False  # a last digit may send an utterance to another leaf

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        components: int = 200,
        views: int = 1,
        trees: int = 100,
        depth: int = 8,
        cost: float = 1.0,
    ) -> None:
        super().__init__(width, classes, components=components, views=views)
        check_least(1, trees=trees, depth=depth)
        check_above(0, cost=cost)
        self.cost = cost
        self.output = Vote(width, classes, trees, depth)

    def solve(self, z: Tensor, label: Tensor, weight: Tensor) -> LinearMap:
        """The margins of the support vector machine, one class against the rest."""
        shape = z.shape[:-2]
        rows, parts = z.reshape(-1, *z.shape[-2:]), []
        for index, features in enumerate(rows):
            y = label.expand(*shape, *label.shape[-2:]).reshape(-1, *label.shape[-2:])[index]
            parts.append(_machine(features, y, weight.expand(*z.shape[:-1]).reshape(-1, z.shape[-2])[index], self.cost))
        weights, biases = (torch.stack(part).reshape(*shape, *part[0].shape) for part in zip(*parts))
        return LinearMap(weights, biases)

    def complete(self, x: Tensor, label: Tensor, weight: Tensor) -> None:
        """Grow the forest and the tree on the features themselves."""
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.tree import DecisionTreeClassifier

        rows, y, w = _hard(label, weight)
        vote: Any = self.output
        values = x.numpy()[rows]
        forest = RandomForestClassifier(vote.trees, max_depth=vote.depth, random_state=0)
        vote.forest.take(forest.fit(values, y, sample_weight=w).estimators_, forest.classes_)
        tree = DecisionTreeClassifier(max_depth=vote.depth, random_state=0).fit(values, y, sample_weight=w)
        vote.tree.take([tree], tree.classes_)


class Vote(nn.Linear):
    """The vote of all members, in place of the map alone: x (B, D) -> log probabilities (B, C)."""

    def __init__(self, width: int, classes: int, trees: int, depth: int) -> None:
        super().__init__(width, classes)
        self.trees, self.depth = trees, depth
        self.forest, self.tree = Trees(trees, depth, classes), Trees(1, depth, classes)

    def forward(self, x: Tensor) -> Tensor:
        members = [super().forward(x).softmax(-1), self.forest(x), self.tree(x)]
        votes = [one_hot(p.argmax(-1), p.shape[-1]).to(p.dtype) for p in members]
        shares = torch.stack([*votes, torch.stack(members).mean(0)]).sum(0) / (len(members) + 1)
        return shares.clamp(min=1e-6).log()


class Trees(nn.Module):
    """T binary trees of `depth` decisions in a row, as tensors: the children of node n are 2 n + 1 and 2 n + 2.

    A tree that ends earlier goes left from there on. Before `take` every class has the same probability.
    """

    feature: Tensor
    threshold: Tensor
    share: Tensor

    def __init__(self, trees: int, depth: int, classes: int) -> None:
        super().__init__()
        self.depth = depth
        nodes = 2**depth - 1
        self.register_buffer("feature", torch.zeros(trees, nodes, dtype=torch.int64))
        self.register_buffer("threshold", torch.full((trees, nodes), torch.inf, dtype=torch.float64))
        self.register_buffer("share", torch.full((trees, nodes + 1, classes), 1 / classes))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, D) -> the mean over trees of the class shares (B, C) of the leaf that each utterance ends in."""
        tree = torch.arange(len(self.feature))
        node = torch.zeros(len(x), len(tree), dtype=torch.int64)
        for _ in range(self.depth):
            goes_right = x.gather(1, self.feature[tree, node]) > self.threshold[tree, node]
            node = 2 * node + 1 + goes_right
        return self.share[tree, node - (2**self.depth - 1)].mean(1)

    def take(self, trees: list[Any], classes: np.ndarray) -> None:
        """Take over fitted trees of scikit-learn; classes: (C',), those that they know."""
        self.threshold.fill_(torch.inf)
        self.share.zero_()
        for index, fitted in enumerate(trees):
            self._take(index, fitted.tree_, torch.from_numpy(classes.astype(np.int64)))

    def _take(self, index: int, tree: Any, classes: Tensor) -> None:
        nodes = self.feature.shape[1]
        waiting = [(0, 0)]  # nodes here and in the fitted tree
        while waiting:
            node, there = waiting.pop()
            is_leaf = tree.children_left[there] < 0
            if node >= nodes:
                shares = torch.from_numpy(tree.value[there, 0])
                self.share[index, node - nodes, classes] = (shares / shares.sum()).float()
            elif is_leaf:
                waiting.append((2 * node + 1, there))
            else:
                self.feature[index, node] = int(tree.feature[there])
                self.threshold[index, node] = float(tree.threshold[there])
                waiting.append((2 * node + 1, tree.children_left[there]))
                waiting.append((2 * node + 2, tree.children_right[there]))


def _hard(label: Tensor, weight: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, classes and weights of an utterance for each class that it may be of, from probabilities (N, C)."""
    shares = (label * weight[:, None]).numpy()
    rows, classes = np.nonzero(shares > 0)
    return rows, classes, shares[rows, classes].astype(np.float64)


def _machine(z: Tensor, label: Tensor, weight: Tensor, cost: float) -> LinearMap:
    """The map (C, k) of components z (N, k) to the margins of each class against the rest."""
    from sklearn.svm import LinearSVC

    rows, y, w = _hard(label, weight)
    classes, size = label.shape[1], z.shape[1]
    solved, bias = np.zeros((classes, size)), np.full(classes, NEVER)
    present = np.unique(y)
    if len(present) < 2:
        bias[present] = -NEVER
        return LinearMap(torch.from_numpy(solved).float(), torch.from_numpy(bias).float())
    values = z.double().numpy()[rows]
    middle = np.average(values, axis=0, weights=w)
    scale = max(float(np.sqrt(np.average((values - middle) ** 2, axis=0, weights=w).mean())), 1e-12)
    w = w * (len(w) / w.sum())
    for index in present:
        fitted = LinearSVC(C=cost, dual=False).fit((values - middle) / scale, y == index, sample_weight=w)
        solved[index] = fitted.coef_[0] / scale
        bias[index] = fitted.intercept_[0] - solved[index] @ middle
    return LinearMap(torch.from_numpy(solved).float(), torch.from_numpy(bias).float())
