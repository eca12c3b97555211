"""The feature space of a run as a section: silhouettes, two still projections, and a cloud to turn in report.html."""

from __future__ import annotations

import itertools
import json
from typing import Any

from emobridge.report import plots
from emobridge.report.blocks import Figure, Section, Table, percent
from emobridge.report.embedding import Embedding, Space
from emobridge.report.record import StudyRecord

TITLE = "Principal components of the feature space before and after adaptation"
NOT_STORED = "Left out: the encoder itself was trained, and its features are not stored."
SPACE_TEXT = (
    "A silhouette coefficient is 1 where each utterance lies close to its own group and far from all others, 0 where "
    "it lies as near to another group, and below 0 where it lies nearer to another. By emotion, over all languages "
    "together, adaptation should raise it; by language it should lower it. Spaces of different width compare roughly.",
    "Agarla et al. (2024) publish about 0.07 by emotion before and a mean gain of 0.36 after adaptation, with other "
    "corpora and another network: a landmark and no ranking.",
)


def space_section(record: StudyRecord) -> Section | None:
    """The section; a line in its place where the encoder was trained; None where no space was measured."""
    if record.space is None:
        return Section("Feature space", (NOT_STORED,)) if record.encoder_trained else None
    text = (*_unfamiliar(record.space), *SPACE_TEXT)
    return Section("Feature space", text, blocks=(_silhouettes(record.space), _picture(record.space)))


def test_space_section(record: StudyRecord) -> Section | None:
    """What traced systems see of the scored utterances: the first one, which learnt no target label, and the last."""
    embedding = record.test_space
    if embedding is None:
        return None
    title = "Test utterances of both languages, as the output layer sees them"
    rows = tuple((space.name, str(space.width), *_silhouettes_of(space)) for space in embedding.spaces)
    caption = (
        f"Measured. {title}: mean silhouette coefficients by Euclidean distance, of {embedding.measured} of "
        f"{embedding.utterances} utterances, first seed. Drawn are the first and the last system, on their first "
        "principal components; colour is emotion, marker is language."
    )
    table = Table(caption, ("system", "dimensions", "by emotion", "by language", "by speaker"), rows)
    ends = dict.fromkeys((embedding.spaces[0], embedding.spaces[-1]))
    svg = plots.clouds(
        [(space.name, space.points) for space in ends],
        tuple(zip(embedding.emotions, embedding.languages)),
        title=title,
    )
    drawing = Figure(svg, table, "test-space", cloud=_cloud(embedding, embedding.spaces[-1]))
    return Section("Feature space of the test utterances", SPACE_TEXT, blocks=(drawing,))


def _silhouettes_of(space: Space) -> tuple[str, str, str]:
    return _coefficient(space.by_emotion), _coefficient(space.by_language), _coefficient(space.by_speaker)


def _unfamiliar(embedding: Embedding) -> tuple[str, ...]:
    """How unfamiliar the target's speech is to the source; () where it was not measured."""
    if embedding.unfamiliar is None:
        return ()
    before, after = map(percent, embedding.unfamiliar)
    return (
        f"To the source alone {before} % of the target's utterances are unfamiliar: farther from the source's speech "
        "than 95 % of the utterances of source speakers who were held out. With each corpus standardised by itself "
        f"it is {after} %; about 5 % would be as familiar as a new speaker of the source.",
    )


def _silhouettes(embedding: Embedding) -> Table:
    rows = tuple((space.name, str(space.width), *_silhouettes_of(space)) for space in embedding.spaces)
    drawn = embedding.measured < embedding.utterances
    which = f"{embedding.measured} of {embedding.utterances} utterances, drawn at random" if drawn else "all utterances"
    caption = (
        f"Measured. Mean silhouette coefficients by Euclidean distance, of {which}; undefined without two groups, and "
        "where a group has a single utterance. The recogniser is the bundle's: none of these utterances was held out "
        "from training or adaptation. Labels that it did not see serve the measuring and the picture alone."
    )
    return Table(caption, ("space", "dimensions", "by emotion", "by language", "by speaker"), rows)


def _picture(embedding: Embedding) -> Figure:
    groups = tuple(zip(embedding.emotions, embedding.languages))
    panels = [(space.name, space.points) for space in (embedding.spaces[0], embedding.after)]
    rows = tuple((space.name, *map(percent, space.explained)) for space in embedding.spaces)
    caption = (
        f"{TITLE}, of {len(groups)} utterances: colour is emotion, marker is language. The numbers are the per cent of "
        "the variance that each component holds."
    )
    table = Table(caption, ("space", "component 1", "component 2", "component 3"), rows)
    return Figure(plots.clouds(panels, groups, title=TITLE), table, cloud=_cloud(embedding, embedding.after))


def _cloud(embedding: Embedding, first: Space) -> str:
    """What the script in cloud.html draws, as JSON; it begins with the space `first`."""
    emotions = sorted({emotion for emotion in embedding.emotions if emotion is not None})
    languages = list(dict.fromkeys(embedding.languages))
    colours = [colour for _, colour in zip(emotions, itertools.cycle(plots.COLOURS[1:]))]
    groups = [
        [-1 if emotion is None else emotions.index(emotion), languages.index(language)]
        for emotion, language in zip(embedding.emotions, embedding.languages)
    ]
    cloud: dict[str, Any] = {
        "emotions": [*zip(emotions, colours)],
        "unlabelled": ["unlabelled", plots.COLOURS[0]],
        "languages": languages,
        "groups": groups,
        "spaces": [{"name": _title(space), "points": space.points} for space in embedding.spaces],
        "first": embedding.spaces.index(first),
    }
    return json.dumps(cloud, ensure_ascii=False, separators=(",", ":"))


def _title(space: Space) -> str:
    return f"{space.name} ({percent(sum(space.explained))} % of the variance)"


def _coefficient(value: float) -> str:
    return "undefined" if value != value else f"{value:.3f}"
