"""The comparisons of layers of a recipe: for each pair of corpora and each encoder of its grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emobridge.errors import UserError
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.replication import Run
from emobridge.settings import Budget, Similarity

SIMILARITY_FOLDER = "similarity"  # in the folder of the run


def comparisons_of(runs: Sequence[Run], out: Path) -> list[Similarity]:
    """A request of `similarity` for each pair and encoder of the grids that train on one corpus, each once."""
    requests: dict[str, Similarity] = {}
    for run in runs:
        grid, study = run.settings, run.study.settings
        if not isinstance(grid, Budget) or not isinstance(study, AdaptStudy) or len(study.source) > 1:
            continue
        name = f"{study.source[0]}-to-{run.target}-{run.encoder}"
        requests[name] = Similarity.of(
            source=grid.data.source[0],
            target=grid.data.target,
            encoder=grid.features.encoder,
            encoder_options=grid.features.all_encoder_options,
            alignments=grid.data.alignments,
            labels=grid.data.labels,
            predefined=grid.split.predefined,
            out=str(out / SIMILARITY_FOLDER / name),
            store=grid.output.store,
            jobs=grid.output.jobs,
            device=grid.output.device,
        )
    return list(requests.values())


def compare_layers(runs: Sequence[Run], out: Path, *, strict: bool = False) -> list[str]:
    """Run the comparisons; a line for each that could not be made. Features that are stored are not computed again."""
    from emobridge.study.similarity import similarity

    problems = []
    for request in comparisons_of(runs, out):
        try:
            similarity(request, strict=strict)
        except UserError as error:
            problems.append(f"comparison of layers in {request.out}: {error}")
    return problems
