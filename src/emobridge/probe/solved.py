"""Probes whose heads have a closed form: all folds and seeds of a layer are solved together.

The components of each probe are those of its own training rows, standardised as the probe sees them; then one call of
`solve` gives the maps of many probes. Nothing is shared that would change a map: each is, to rounding, what the probe
has alone. Most of the time goes into eigenvectors, which no two probes share.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from emobridge.errors import UserError
from emobridge.heads.base import Components, LinearMap, principal_components
from emobridge.methods.base import as_probabilities
from emobridge.probe.batched import Stack, TrainingSets
from emobridge.probe.sources import PooledSource

COMPONENT_LIMIT = 25_000_000  # numbers of components in memory


def solve_probes(stack: Stack, sets: TrainingSets) -> None:
    """Set the weights of L' x P heads of a closed form from the training rows of each probe.

    Errors: UserError for a probe without training rows, and where weights are not finite.
    """
    trained = sets.weight > 0
    if not bool(trained.any(1).all()):
        raise UserError("a fold has no training utterance left")
    source = stack.source
    head: Any = stack.module  # with weights of all probes side by side in its `output`
    assert isinstance(source, PooledSource)  # heads of a closed form see no frames
    label = as_probabilities(sets.label, head.output.weight.shape[1])
    with torch.no_grad():
        for layer, x in enumerate(source.x[stack.layers]):
            # Probes with as many components, of which few utterances have fewer, are solved at once.
            counts = trained.sum(1).clamp(max=min(head.components, x.shape[1]))
            for count in counts.unique().tolist():
                size = max(1, COMPONENT_LIMIT // (len(x) * count))
                for probes in (counts == count).nonzero()[:, 0].split(size):
                    _solve(stack, layer, x, label, sets.weight, probes)
    if not all(bool(value.isfinite().all()) for value in head.parameters()):
        raise UserError("the weights of a probe are not finite: give its head more shrinkage or fewer components")
    head.eval()


def _solve(stack: Stack, layer: int, x: Tensor, label: Tensor, weight: Tensor, probes: Tensor) -> None:
    """Some probes of a layer with features x (N, D): labels (N, C), weights (P, N)."""
    head: Any = stack.module
    components: list[Components] = []
    parts: list[Tensor] = []
    for probe in probes.tolist():
        seen = _standardised(stack, layer, probe, x)
        components.append(principal_components(seen[weight[probe] > 0], head.components))
        parts.append(components[-1].of(seen))
    solutions = head.solve(torch.stack(parts), label, weight[probes])
    for probe, part, values, bias in zip(probes.tolist(), components, *solutions):
        solution = part.before(LinearMap(values, bias))
        head.output.weight[layer, :, probe] = solution.weight
        head.output.bias[layer, :, probe] = solution.bias


def _standardised(stack: Stack, layer: int, probe: int, x: Tensor) -> Tensor:
    """Features (N, D) as a probe sees them."""
    output: Any = stack.module.output
    moments = output.moments
    if moments is None:
        return x
    scale, shift = moments
    return x * scale[layer, probe] - shift[layer, probe]
