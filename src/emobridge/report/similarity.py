"""The page of `emobridge similarity`: the layer sets, heat maps as in the paper's Figure 1, and the numbers behind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emobridge.features.similarity import COMPARED_UNITS, LEVELS, SIMILARITY_MEASURES, UTTERANCE, LayerSimilarity
from emobridge.report import plots
from emobridge.report.blocks import Figure, Page, PageBlock, Section, Table, figure, stamp_of, stamped
from emobridge.types import short_repr

SETS = {
    "GL": "the three most similar",
    "BL": "the most similar one",
    "WL": "the three least similar",
    "AL": "all",
    "RL1": "random",
    "RL2": "random",
    "RL3": "random",
}
PLACES = {"utterance": "in whole utterances", "vowel": "inside vowels", "consonant": "inside consonants"}
MEANINGS = (
    "Cosine of means: of the mean vector of the source and that of the target. Mean of cosines: over all pairs of a "
    "source and a target vector. The paper says cosine similarity, and not which of the two.",
    "CKA is linear centred kernel alignment with the encoder's features as the units that both corpora have in common: "
    "it compares covariances, not means. Of few utterances it is the lower.",
    "Vectors are means of an encoder's frames, over an utterance or inside its phones, as the encoder gives them, not "
    "normalised (ours: the paper does not say). Intervals are of 95 %, by a jackknife over the speakers of both "
    "corpora.",
)


@short_repr
@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityRecord:
    """All that the page shows."""

    source: str  # names of corpora
    target: str
    encoder: str
    emotions: tuple[str, ...]
    rows: tuple[LayerSimilarity, ...]
    rank_by: str  # of SIMILARITY_MEASURES
    rankings: Mapping[str, Mapping[int, float]]  # by level, of the levels that there are: the similarity of each layer
    sets: Mapping[str, Mapping[str, str]]  # by level: layers such as "1+2+3" by the name of the set
    target_emotions: str  # a sentence: where they come from
    split: str  # a sentence: who is compared
    warnings: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()  # "id: reason"
    command: str = ""
    created: str = ""
    synthetic: bool = False

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that were compared."""
        return tuple(sorted({row.layer for row in self.rows}))


def similarity_page(record: SimilarityRecord) -> Page:
    """The page of a record, stamped where its speech is made up."""
    sections = [_set_section(record), _utterance_section(record)]
    if any(row.unit != UTTERANCE for row in record.rows):
        sections.append(_phone_section(record))
    sections.append(_data_section(record))
    if record.skipped:
        sections.append(Section("Left out", items=record.skipped))
    sections.append(Section("How to run it again", code=record.command))
    stamp = stamp_of(record.synthetic)
    return Page(
        f"Layers of {record.encoder} that {record.source} and {record.target} share",
        f"{', '.join(record.emotions)}; {record.created}".rstrip("; "),
        ("SYNTHETIC speech. " if record.synthetic else "") + similarity_finding(record),
        record.warnings,
        stamped(sections, stamp) if stamp else tuple(sections),
    )


def similarity_finding(record: SimilarityRecord) -> str:
    """Which layers are most and least similar, at each level."""
    parts = []
    for level, sets in record.sets.items():
        values = record.rankings[level]
        best = int(sets["BL"])
        parts.append(
            f"{PLACES[level]} {_listed(sets['GL'])} {'is' if len(values) == 1 else 'are'} the most similar "
            f"({record.rank_by} {values[best]:.3f} in layer {best})"
            + (f", {_listed(sets['WL'])} the least (down to {min(values.values()):.3f})" if len(values) > 1 else "")
        )
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}. {record.target_emotions}"


def _listed(layers: str) -> str:
    """Layers as a sentence has them.

    >>> _listed("1+2+3"), _listed("7")
    ('layers 1, 2 and 3', 'layer 7')
    """
    names = layers.split("+")
    return f"layer {names[0]}" if len(names) == 1 else f"layers {', '.join(names[:-1])} and {names[-1]}"


def _set_section(record: SimilarityRecord) -> Section:
    """The sets of layers, and how a method takes them."""
    columns = [name for name in SETS if any(name in sets for sets in record.sets.values())]
    rows = tuple((level, *(sets.get(name, "") for name in columns)) for level, sets in record.sets.items())
    table = Table(f"Layer sets by {record.rank_by}", ("level", *columns), rows)
    ranks = tuple(
        (str(layer), *(f"{record.rankings[level][layer]:.4f}" for level in record.rankings)) for layer in record.layers
    )
    ranking = Table(f"Mean {record.rank_by} of each layer", ("layer", *record.rankings), ranks)
    level, sets = next(iter(record.sets.items()))
    anchors = {"utterance": "utterance", "vowel": "vowels", "consonant": "consonants"}[level]
    words = (
        "The rule of Upadhyay et al. 2024: " + "; ".join(f"{name} {SETS[name]}" for name in columns) + ". "
        "Of twelve layers the random sets are those that the paper prints, of others they are drawn by the seed. A "
        "layer's similarity is its mean over the emotions and, of vowels, over the six of them (ours).",
        "They stand in layer-sets.json too; layer anchoring takes them so:",
    )
    code = (
        f"emobridge adapt ... --layer all --method layer-anchoring --method-option layers={sets['GL']} "
        f"--method-option anchors={anchors}"
    )
    return Section("Layer sets", words, blocks=(table, ranking), code=code)


def _utterance_section(record: SimilarityRecord) -> Section:
    """Heat maps of layers by emotions, one a measure."""
    blocks = [
        _map(record, {emotion: (UTTERANCE, emotion) for emotion in record.emotions}, measure, f"utterances-{index}")
        for index, measure in enumerate(SIMILARITY_MEASURES, 1)
    ]
    return Section("Whole utterances", MEANINGS, blocks=(*blocks, _table(record, (UTTERANCE,))))


def _phone_section(record: SimilarityRecord) -> Section:
    """A heat map of layers by phones for each emotion, and the numbers."""
    present = {row.unit for row in record.rows if row.source and row.target}
    units = [unit for unit in COMPARED_UNITS if unit != UTTERANCE and unit in present]
    blocks = [
        _map(record, {unit: (unit, emotion) for unit in units}, record.rank_by, f"phones-{emotion}", emotion)
        for emotion in record.emotions
    ]
    text = "Each vector is the mean of the frames inside an utterance's phones of one class; vowel is any vowel."
    return Section("Inside phones", (text,), blocks=(*blocks, _table(record, units)))


def _map(
    record: SimilarityRecord, cells: Mapping[str, tuple[str, str]], measure: str, file: str, within: str = ""
) -> Figure | Table:
    """Layers by columns, each a unit and an emotion."""
    values = {(row.layer, row.unit, row.emotion): row.value(measure) for row in record.rows}
    grid = [[values[layer, unit, emotion] for unit, emotion in cells.values()] for layer in record.layers]
    names = [str(layer) for layer in record.layers]
    title = f"{measure[:1].upper()}{measure[1:]}{' in ' + within if within else ''} by layer"
    rows = tuple((name, *(_number(value) for value in row)) for name, row in zip(names, grid))
    table = Table(title, ("layer", *cells), rows)
    return figure(plots.shades(names, list(cells), grid, title=title, of_rows="layer"), table, file)


def _table(record: SimilarityRecord, units: Sequence[str]) -> PageBlock:
    """All numbers of some units, with intervals."""
    return Table(
        "Similarities, with 95 % intervals over speakers",
        ("layer", "of", "emotion", "cosine of means", "mean of cosines", "CKA", "n source", "n target"),
        tuple(_cells(row) for row in record.rows if row.unit in units and row.source and row.target),
    )


def _cells(row: LayerSimilarity) -> tuple[str, ...]:
    means = _interval(row.cosine_of_means, row.cosine_of_means_low, row.cosine_of_means_high)
    cosines = _interval(row.mean_of_cosines, row.mean_of_cosines_low, row.mean_of_cosines_high)
    numbers = means, cosines, _number(row.cka)
    return str(row.layer), row.unit, row.emotion, *numbers, str(row.source), str(row.target)


def _interval(value: float, low: float, high: float) -> str:
    ends = "no interval" if math.isnan(low) else f"{low:.3f} to {high:.3f}"
    return f"{value:.3f} ({ends})"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _data_section(record: SimilarityRecord) -> Section:
    """Who was compared."""
    first = record.layers[0]
    rows = tuple(_counts(record, first))
    table = Table("Vectors that were compared", ("of", "emotion", record.source, record.target), rows)
    return Section("Data", (record.split, record.target_emotions), blocks=(table,))


def _counts(record: SimilarityRecord, layer: int) -> Iterator[tuple[str, ...]]:
    for row in record.rows:
        if row.layer == layer:
            yield row.unit, row.emotion, str(row.source), str(row.target)


def levels_of(rows: Sequence[LayerSimilarity]) -> tuple[str, ...]:
    """The levels of LEVELS that some rows are of."""
    units = {row.unit for row in rows}
    return tuple(level for level, members in LEVELS.items() if units & set(members))
