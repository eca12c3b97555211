"""Layer anchoring (Upadhyay et al., Interspeech 2024; methods D): layers of the two languages get one covariance.

    L = CE(source) + gamma * sum over the anchored layers l of || Cov(source_l) - Cov(target_l) ||_F

The norm is not squared, and not divided by 4 d^2 as in Deep CORAL. Its gradient at 0, where a root has none, is taken
as 0. An anchor is a layer's mean over the frames of an utterance, or over those of its vowels or consonants alone.

The paper is silent on which utterances meet. Ours: the covariances are those of a batch, of its source utterances and
of as many target ones, drawn with replacement from all of the target, 1 / (n - 1); a side with fewer than two
utterances that have the anchor adds nothing. Of a frozen encoder the covariances could not change: what is anchored is
each layer behind a linear map of its own, which the head has (`heads.layer_transformer`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from emobridge.errors import UserError, unknown
from emobridge.methods.base import Labelled, Method, Model, Step, Task
from emobridge.methods.deep_coral import covariance
from emobridge.options import check_least

ANCHORS = {"utterance": "", "vowels": "vowel", "consonants": "consonant"}  # each with its class of phones


class LayerAnchoring(Method):
    """`layers` such as "8+9+11", by their names in the run, all by default; `anchors` of ANCHORS; `gamma`, at least 0;
    `rebalance` as for source only.
    """

    needs = frozenset({"source_labels", "target_audio"})
    takes = frozenset({"target_labels", "phones"})
    head = "layer-transformer"

    def __init__(
        self, *, layers: str = "", anchors: str = "utterance", gamma: float = 0.5, rebalance: bool = True
    ) -> None:
        super().__init__(rebalance=rebalance)
        if anchors not in ANCHORS:
            raise unknown("anchors of method layer-anchoring", anchors, ANCHORS)
        check_least(0, gamma=gamma)
        for name in layers.split("+"):
            if layers.split("+").count(name) > 1:
                raise UserError(f"layers of method layer-anchoring: {name} stands twice in {layers}")
        self.layers, self.anchors, self.gamma = layers, anchors, gamma
        self.phone_classes = tuple(filter(None, (ANCHORS[anchors],)))

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        """Errors: UserError for a layer that the head does not see or represent by itself, for layers that nothing
        trained lies before, and where a language has no such phone.
        """
        super().prepare(task, model)
        assert task.source is not None and task.target is not None  # they are in `needs`
        self.source = task.source.rows
        self.target = torch.cat([task.target, (task.labelled_target or Labelled.empty()).rows])
        if self.phone_classes:
            common_phones(task, self.source, self.target, self.name)
        represented = layers_of_first(task, model)
        if not represented.requires_grad:
            raise UserError(
                f"method {self.name}: nothing that is trained lies before the layers: give --head-option maps=unit, or "
                "--train end-to-end"
            )
        self.names = layer_names_of(task, len(represented))
        self.chosen = [_index(name, self.names) for name in self.layers.split("+")] if self.layers else None
        return None

    def loss(self, step: Step) -> dict[str, Tensor]:
        represented, layers = step.model.represent_with_layers(step.x)
        terms = {"cross-entropy": step.cross_entropy(represented)}
        is_source = torch.isin(step.rows, self.source)
        chosen = range(len(self.names)) if self.chosen is None else self.chosen
        drawn = step.sample(self.target, int(is_source.sum()))
        if self.phone_classes:
            source, target = (self._phones(step, rows) for rows in (step.rows[is_source], drawn))
        else:
            source = layers[list(chosen)][:, is_source]
            target = step.represent_layers(drawn, chosen) if len(drawn) > 1 else source[:, :0]
        distances = covariance_distances(source, target)
        return terms | {f"anchor {self.names[layer]}": self.gamma * value for layer, value in zip(chosen, distances)}

    def _phones(self, step: Step, rows: Tensor) -> Tensor:
        """(L, n, H) of the anchored layers in the phones of those of the rows that have any."""
        assert self.task.phones is not None  # `prepare` refuses a task without
        means = self.task.phones.take(rows, step.generator)[:, 0]
        return step.model.represent_layers(means[means.isfinite().all(1)], self.chosen)


def covariance_distances(source: Tensor, target: Tensor) -> Tensor:
    """(L, n, H), (L, m, H) -> (L,): the Frobenius norm of the difference of the covariances of each layer, at least 0.

    0 where n or m is less than 2.
    """
    if min(source.shape[1], target.shape[1]) < 2:
        return source.new_zeros(len(source))
    square = (covariance(source) - covariance(target)).square().sum((1, 2))
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)


def layers_of_first(task: Task, model: Model) -> Tensor:
    """The layers (L, 1, H) of the first input, with dropout off: how many the head represents, and what learns."""
    was_training = model.training
    model.train(False)
    layers = model.represent_layers(task.inputs.batch(torch.zeros(1, dtype=torch.int64)))
    model.train(was_training)
    return layers


def layer_names_of(task: Task, count: int) -> tuple[str, ...]:
    """The names of the `count` layers that the head represents.

    Errors: UserError where it sees several, and represents them as one.
    """
    names = task.layers or tuple(map(str, range(count)))
    if len(names) != count:
        return ("+".join(names),)
    return names


def _index(name: str, names: Sequence[str]) -> int:
    if name not in names:
        error = unknown("layer of this run", name, names)
        raise UserError(f"{error}; a layered head such as layer-transformer, with --layer all, has each by itself")
    return names.index(name)


def common_phones(task: Task, source: Tensor, target: Tensor, method: str) -> tuple[str, ...]:
    """The classes of phones that both languages have. Errors: UserError where there is none in common."""
    phones = task.phones
    if phones is None:
        raise UserError(f"method {method}: needs phones: give --alignments, or manifests with a column phones")
    sides = [phones.present[rows].any(0).tolist() for rows in (source, target)]
    common = tuple(name for name, *has in zip(phones.names, *sides) if all(has))
    if not common:
        present = [", ".join(name for name, has in zip(phones.names, side) if has) or "none" for side in sides]
        raise UserError(
            f"method {method}: no phone of {', '.join(phones.names)} is in both languages: the source has "
            f"{present[0]}, the target {present[1]}"
        )
    return common
