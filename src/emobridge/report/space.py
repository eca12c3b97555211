"""The feature space of a run as a section: silhouettes, two still projections, and a cloud to turn in report.html."""

from __future__ import annotations

import itertools
import json
from typing import Any

from emobridge.report import plots
from emobridge.report.blocks import Figure, Section, Table, percent
from emobridge.report.embedding import Embedding, Space

TITLE = "Principal components of the feature space before and after adaptation"
TRAINED = "Left out: the encoder itself was trained, and its features are not kept."
WORDS = (
    "A silhouette coefficient is 1 where every utterance lies among its like and far from all others, 0 where it lies "
    "as near to others, and below 0 where it lies nearer to them. By emotion, over all languages together, adaptation "
    "should raise it; by language it should lower it. Spaces of unlike width compare only roughly.",
    "Agarla et al. (2024) publish about 0.07 by emotion before and a mean gain of 0.36 after adaptation, with other "
    "corpora and another network: a landmark and no ranking.",
)


def space_section(found: Embedding | None, trained: bool) -> Section | None:
    """The section; of an encoder that was `trained`, that there is none; nothing where nobody measured."""
    if found is None:
        return Section("Feature space", (TRAINED,)) if trained else None
    return Section("Feature space", WORDS, blocks=(_silhouettes(found), _picture(found)))


def _silhouettes(found: Embedding) -> Table:
    rows = tuple(
        (space.name, str(space.width), *map(_coefficient, (space.by_emotion, space.by_language, space.by_speaker)))
        for space in found.spaces
    )
    drawn = found.measured < found.utterances
    which = f"{found.measured} of {found.utterances} utterances, drawn at random" if drawn else "all utterances"
    caption = (
        f"Measured. Mean silhouette coefficients by Euclidean distance, of {which}; undefined without two groups, and "
        "where one has a single utterance. The recogniser is the bundle's: none of these utterances was held out from "
        "training or adaptation. Labels that it was not given serve the measuring and the picture alone."
    )
    return Table(caption, ("space", "dimensions", "by emotion", "by language", "by speaker"), rows)


def _picture(found: Embedding) -> Figure:
    groups = tuple(zip(found.emotions, found.languages))
    panels = [(space.name, space.points) for space in (found.spaces[0], found.after)]
    rows = tuple((space.name, *map(percent, space.explained)) for space in found.spaces)
    caption = (
        f"{TITLE}, of {len(groups)} utterances: colour is emotion, marker is language. The numbers are the per cent of "
        "the variance that each component holds."
    )
    table = Table(caption, ("space", "component 1", "component 2", "component 3"), rows)
    return Figure(plots.clouds(panels, groups, title=TITLE), table, cloud=_cloud(found))


def _cloud(found: Embedding) -> str:
    """What the script in cloud.html draws, as JSON."""
    emotions = sorted({one for one in found.emotions if one is not None})
    languages = list(dict.fromkeys(found.languages))
    colours = [colour for _, colour in zip(emotions, itertools.cycle(plots.COLOURS[1:]))]
    groups = [
        [-1 if e is None else emotions.index(e), languages.index(own)]
        for e, own in zip(found.emotions, found.languages)
    ]
    told: dict[str, Any] = {
        "emotions": [*zip(emotions, colours)],
        "unlabelled": ["unlabelled", plots.COLOURS[0]],
        "languages": languages,
        "groups": groups,
        "spaces": [{"name": _named(space), "points": space.points} for space in found.spaces],
        "first": found.spaces.index(found.after),
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _named(space: Space) -> str:
    return f"{space.name} ({percent(sum(space.explained))} % of the variance)"


def _coefficient(value: float) -> str:
    return "undefined" if value != value else f"{value:.3f}"
