"""The layer that a study of adaptation takes from a layer-wise study of the same encoder and corpus (Han et al., ICASSP
2025: adapters sit in the blocks up to the best-performing layer).

A study with `layer_from = "han2024-layers"` runs the layer-wise study of that recipe on the corpora that it trains on,
once for all grids with this encoder and these corpora, in the folder `layers` of the recipe; it goes on where it was
interrupted. The layer is that with the lowest validation loss over folds: ours, since a choice by test utterances would
flatter. Layer 0, the input of the first block, is not chosen: no adapter changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.probe.report import run_and_report
from emobridge.probe.run import probe
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.units import Outcome
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.replication import Run
from emobridge.settings import Budget

_FOLDER = "layers"


def with_best_layer(run: Run, folder: Path, command: str, *, strict: bool = False) -> Run:
    """The run with the layer that its study takes from another one, which is run first; others come back as they are.

    folder: of the recipe. Errors: UserError as `probe` has them, and where that recipe has no study of these corpora.
    """
    study, grid = run.study.settings, run.settings
    if not isinstance(study, AdaptStudy) or not isinstance(grid, Budget) or not study.layer_from:
        return run
    settings = layer_study(study, grid, run.encoder, folder / _FOLDER)
    title = f"{study.layer_from}: layers of {run.encoder} on {'+'.join(study.source)}"
    print(run_and_report(settings, command, strict=strict, title=title), flush=True)
    layer = best_layer(probe(settings, strict=strict).outcomes)  # read, not done again
    print(f"{run.title}: layer {layer}, the best of {settings.out}", flush=True)
    features = replace(grid.features, layer=layer)
    return replace(run, settings=replace(grid, features=features))


def layer_study(study: AdaptStudy, grid: Budget, encoder: str, folder: Path) -> ProbeSettings:
    """The layer-wise study of a grid's source corpora and encoder, as the recipe `study.layer_from` has it.

    It has no more epochs and folds than the grid. Errors: UserError where the recipe has no such study.
    """
    recipe = read_recipe(study.layer_from)
    suited = [other.settings for other in recipe.studies if isinstance(other.settings, ProbeSettings)]
    chosen = next((settings for settings in suited if set(study.source) <= set(settings.corpora)), None)
    if chosen is None:
        raise UserError(f"recipe {recipe.name}: has no layer-wise study of {', '.join(study.source)}")
    out = folder / f"{'+'.join(study.source)}-{encoder}"
    path = grid.features.encoder
    names = {next(iter(read_manifest(listed))).corpus for listed in grid.data.source}
    return replace(
        chosen,
        corpora=tuple(_without_items(listed, grid, out) for listed in grid.data.source),
        encoders=(path if path == encoder else f"{encoder}={path}",),
        engine=grid.features.engine,
        labels=grid.data.labels or (),
        settings=("mono", "trans"),
        floors=False,
        seeds=grid.split.seeds,
        folds=min(chosen.folds, grid.split.folds or chosen.folds),
        by_utterance=tuple(name for name in grid.split.by_utterance if name in names),
        epochs=min(chosen.epochs, grid.training.epochs),
        jobs=grid.output.jobs,
        cluster=grid.output.cluster,
        store=grid.output.store,
        out=str(out),
    )


def best_layer(outcomes: Sequence[Outcome]) -> str:
    """The layer with the lowest mean validation loss over corpora, seeds and folds; not layer 0.

    Errors: UserError where nothing was validated, or there is no layer but 0.
    """
    losses: dict[str, list[float]] = {}
    for outcome in outcomes:
        for layer, values in zip(outcome.unit.layers, outcome.losses):
            losses.setdefault(layer, []).append(float(np.mean(values)))
    means = {layer: float(np.mean(values)) for layer, values in losses.items() if layer != "0"}
    if not means or not all(np.isfinite(list(means.values()))):
        raise UserError("the layer-wise study has no validation loss of a layer from 1 on: give it patience")
    return min(means, key=lambda layer: (means[layer], int(layer)))


def _without_items(path: str, grid: Budget, folder: Path) -> str:
    """The manifest without the utterances that the grid keeps apart; as it is where there are none."""
    items = {(row.corpus, row.id) for listed in grid.data.items for row in read_manifest(listed)}
    rows = list(read_manifest(path))
    others = [row for row in rows if (row.corpus, row.id) not in items]
    if len(others) == len(rows):
        return path
    written = folder / Path(path).name
    write_manifest(written, others)
    return str(written)
