"""The tables of a layer-wise study, each with its floors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emobridge.literature.published import Published, published
from emobridge.probe.scoring import ALL_LAYERS, Cell, Floor
from emobridge.report.blocks import Table, interval, percent

Key = tuple[str, str, str, str, str, str]  # train, test, encoder, weights, head, normalise
RANDOM = "random weights"
TRAINED = ("pretrained", "none")


@dataclass(frozen=True, slots=True)
class Curve:
    """One head of one encoder on one pair of corpora by layer: cells over all seeds, of one measure."""

    key: Key
    cells: tuple[Cell, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """In the encoder's order."""
        return tuple(cell.layer for cell in self.cells)

    @property
    def head(self) -> str:
        """The head's name."""
        return self.key[4]

    def at(self, layer: str) -> Cell:
        """The cell of one layer; of a head of all layers the only one."""
        return next((cell for cell in self.cells if cell.layer == layer), self.cells[-1])


def curves_of(cells: Iterable[Cell], measure: str) -> tuple[Curve, ...]:
    """The curves in the order of the cells."""
    found: dict[Key, list[Cell]] = {}
    for one in cells:
        if (one.seed, one.measure) == ("all", measure):
            key = (one.train, one.test, one.encoder, one.weights, one.head, one.normalise)
            found.setdefault(key, []).append(one)
    return tuple(Curve(key, tuple(mine)) for key, mine in found.items())


def inside(curves: Iterable[Curve]) -> list[Curve]:
    """Those trained and tested on one corpus."""
    return [curve for curve in curves if curve.key[0] == curve.key[1]]


def encoders_of(curves: Iterable[Curve]) -> list[str]:
    """The encoders asked for: all but the log-mel floor beside others."""
    names = list(dict.fromkeys(curve.key[2] for curve in curves if curve.key[3] in TRAINED))
    return [name for name in names if name != "logmel"] or names


def layer_table(curves: Sequence[Curve], floors: Sequence[Floor], encoder: str, corpus: str, measure: str) -> Table:
    """One encoder on one corpus: a row a head and normalisation, a column a layer; then the floors."""
    mine = [c for c in inside(curves) if c.key[0] == corpus]
    layers = list(dict.fromkeys(one for c in mine if c.key[2] == encoder for one in c.layers if one != ALL_LAYERS))
    columns = ["head", "normalisation", *layers, ALL_LAYERS]
    rows = []
    for curve in (c for c in mine if c.key[2] == encoder):
        words = RANDOM + ", " if curve.key[3] == "random" else ""
        rows.append((words + curve.head, curve.key[5], *(_at(curve, layer) for layer in [*layers, ALL_LAYERS])))
    wide = [""] * len(layers)
    if encoder != "logmel":
        rows += [
            (f"log-mel statistics, {c.head}", c.key[5], *wide, percent(c.cells[0].value))
            for c in mine
            if c.key[2] == "logmel"
        ]
    rows += [(floor.what, "", *wide, percent(floor.value)) for floor in floors if floor.corpus == corpus]
    first = next(c for c in mine if c.key[2] == encoder).cells[0]
    caption = (
        f"Measured: {measure} in per cent, {encoder} on {corpus} ({first.n} utterances, {first.test_language}; "
        f"{first.labels}). Floors below: random weights and log-mel with one seed; last column: what has no layer."
    )
    return Table(caption, tuple(columns), tuple(rows))


def _at(curve: Curve, layer: str) -> str:
    return percent(curve.at(layer).value) if layer in curve.layers else ""


def chosen_layer(curves: Sequence[Curve], curve: Curve) -> str | None:
    """The layer with the highest mean on the OTHER corpora, in language, same encoder, head and normalisation.

    None where there is no other corpus, or the head takes all layers.
    """
    others = [c for c in inside(curves) if c.key[2:] == curve.key[2:] and c.key[0] != curve.key[0]]
    layers = [layer for layer in curve.layers if all(layer in other.layers for other in others)]
    if not others or curve.layers == (ALL_LAYERS,) or not layers:
        return None
    return max(layers, key=lambda layer: float(np.mean([other.at(layer).value for other in others])))


def which_layer(curves: Sequence[Curve], measure: str) -> Table:
    """The last layer against one that was chosen without the corpus, and against hindsight."""
    rows = []
    for curve in inside(curves):
        if curve.key[3] == "random" or len(curve.cells) < 2:
            continue
        layer, last = chosen_layer(curves, curve), curve.cells[-1]
        best = max(curve.cells, key=lambda cell: cell.value)
        picked = curve.at(layer) if layer else None
        floor = random_of(curves, curve)
        rows.append(
            (
                curve.key[2], curve.key[0], curve.head, curve.key[5],
                f"{last.layer}: {_value(last)}",
                f"{picked.layer}: {_value(picked)}" if picked else "no other corpus",
                percent(floor.at((picked or last).layer).value) if floor else "",
                f"{best.layer}: {percent(best.value)}",
            )
        )  # fmt: skip
    caption = (
        f"Measured: which layer. {measure} in per cent with 95 % interval; the layer before the colon. The middle "
        "column is chosen on the other corpora and may be quoted; the last looks at the test scores and may not."
    )
    columns = (
        "encoder", "corpus", "head", "normalisation", "last layer", "chosen on other corpora", "there with " + RANDOM,
        "in hindsight",
    )  # fmt: skip
    return Table(caption, columns, tuple(rows))


def random_of(curves: Sequence[Curve], curve: Curve) -> Curve | None:
    """The floor of a curve: the same encoder with random weights."""
    return next((c for c in curves if c.key == (*curve.key[:3], "random", *curve.key[4:])), None)


def head_table(curves: Sequence[Curve], measure: str) -> Table:
    """Heads by encoders, the mean over corpora: on the last layer, and on layers chosen on the other corpora."""
    names = encoders_of(curves)
    groups = list(dict.fromkeys((c.head, c.key[5]) for c in inside(curves) if c.key[2] in names))
    rows = []
    for head, normalise in groups:
        of_all = all(len(c.cells) == 1 for c in inside(curves) if c.head == head and c.key[2] in names)
        for what in ("all layers",) if of_all else ("last layer", "chosen layer"):
            for weights in ("", RANDOM):
                found = [_mean(curves, name, weights, head, normalise, what) for name in names]
                if any(found):
                    rows.append((", ".join(filter(None, (weights, head))), normalise, what, *found))
    for head, normalise in dict.fromkeys((c.head, c.key[5]) for c in inside(curves) if c.key[2] == "logmel"):
        if "logmel" not in names:
            value = _mean(curves, "logmel", "", head, normalise, "last layer")
            rows.append((f"log-mel statistics, {head}", normalise, "none", *(value for _ in names)))
    for head in ("linear", "nonlinear", "multilayer"):
        found = [_published_head(name, head) for name in names]
        if any(found):
            rows.append((head, "published", "D'Asaro et al. 2024, nine corpora, F1", *found))
    caption = f"Measured: heads, mean {measure} over the corpora in per cent (published rows say so)."
    return Table(caption, ("head", "normalisation", "layer", *names), tuple(rows))


def _mean(curves: Sequence[Curve], name: str, weights: str, head: str, normalise: str, what: str) -> str:
    """The mean over corpora; the layer of random weights is that of the trained ones."""
    values = []
    for trained in inside(curves):
        if trained.key[2:] == (name, _weights(curves, name), head, normalise):
            layer = (chosen_layer(curves, trained) if what == "chosen layer" else None) or trained.layers[-1]
            curve = random_of(curves, trained) if weights else trained
            values += [curve.at(layer).value] if curve else []
    return percent(float(np.mean(values))) if values else ""


def corpora_table(curves: Sequence[Curve], floors: Sequence[Floor], measure: str) -> Table:
    """Corpora by encoders and heads on the last layer (of multilayer: all), with floors and published numbers."""
    names = encoders_of(curves)
    norm = next(iter(inside(curves))).key[5]
    heads = list(dict.fromkeys(c.head for c in inside(curves) if c.key[2] in names))
    columns = [(name, head) for name in names for head in heads]
    rows = []
    for corpus in dict.fromkeys(c.key[0] for c in inside(curves)):
        mine = {c.key[2:]: c for c in inside(curves) if c.key[0] == corpus}
        for weights in ("", RANDOM):
            found = [
                mine.get((name, "random" if weights else _weights(curves, name), head, norm)) for name, head in columns
            ]
            if any(found):
                cells = [
                    "" if c is None else (percent(c.cells[-1].value) if weights else _value(c.cells[-1])) for c in found
                ]
                rows.append((corpus, weights or "measured", *cells))
        printed = [_published_corpus(corpus, name, head) for name, head in columns]
        if any(printed):
            rows.append((corpus, "published, F1, D'Asaro et al. 2024", *printed))
    caption = (
        f"Measured: {measure} in per cent, last layer (multilayer: all), normalisation {norm}, in language. "
        f"{_floor_words(floors)}"
    )
    return Table(caption, ("corpus", "", *(f"{name}, {head}" for name, head in columns)), tuple(rows))


def cross_table(curves: Sequence[Curve], measure: str) -> Table | None:
    """Training on one corpus and scoring another, on the layer that was best in the training corpus's own folds."""
    rows = []
    for curve in curves:
        if curve.key[0] == curve.key[1] or curve.key[3] == "random" or curve.key[2] not in encoders_of(curves):
            continue
        own = next((c for c in inside(curves) if c.key[0] == curve.key[0] and c.key[2:] == curve.key[2:]), curve)
        layer = max(own.cells, key=lambda cell: cell.value).layer if own is not curve else curve.layers[-1]
        cell = curve.at(layer)
        floor = random_of(curves, curve)
        rows.append(
            (
                f"{cell.train} ({cell.train_language})", f"{cell.test} ({cell.test_language})", cell.setting,
                cell.encoder, cell.head, cell.normalise, cell.layer, _value(cell),
                percent(floor.at(layer).value) if floor else "", _value(curve.cells[-1]),
            )
        )  # fmt: skip
    if not rows:
        return None
    caption = (
        f"Measured: {measure} in per cent with 95 % interval, trained on one corpus and tested on another, whose "
        "labels are not used. The layer is the best of the training corpus's own test folds."
    )
    columns = (
        "trained on", "tested on", "setting", "encoder", "head", "normalisation", "layer", measure,
        RANDOM, "last layer",
    )  # fmt: skip
    return Table(caption, columns, tuple(rows))


def floor_table(floors: Sequence[Floor]) -> Table:
    """What is reached without listening to speech."""
    rows = tuple((f.corpus, f.what, interval("UA", f.value, f.low, f.high), str(f.n), f.labels) for f in floors)
    caption = "Floors: UA in per cent with 95 % interval; chance, and a logistic regression on level, peak and length."
    return Table(caption, ("corpus", "from", "UA", "n", "labels"), rows)


def published_table(corpora: Iterable[str]) -> Table | None:
    """What studies of frozen features print on these corpora, in language."""
    wanted = {_plain(corpus) for corpus in corpora}
    found = [
        row
        for row in published()
        if _plain(row.target) in wanted
        and row.source == row.target
        and row.measure in ("UA", "F1", "WA")
        and row.encoder
    ]
    if not found:
        return None
    rows = tuple(
        (
            row.target,
            row.encoder,
            row.method,
            row.measure,
            f"{row.value:g}",
            str(len(row.labels) or ""),
            row.study,
            row.note,
        )
        for row in found
    )
    caption = "PUBLISHED, not measured here; other splits and label sets: compare with care."
    columns = ("corpus", "encoder", "head", "measure", "value", "emotions", "study", "what differs")
    return Table(caption, columns, rows)


def _value(cell: Cell) -> str:
    return interval(cell.measure, cell.value, cell.low, cell.high)


def _weights(curves: Sequence[Curve], name: str) -> str:
    return next(c.key[3] for c in curves if c.key[2] == name and c.key[3] in TRAINED)


def _floor_words(floors: Sequence[Floor]) -> str:
    words = [f"{f.corpus} {percent(f.value)}" for f in floors if f.what == "chance"]
    cues = [f"{f.corpus} {percent(f.value)}" for f in floors if f.what == "loudness and length"]
    return f"UA of chance: {', '.join(words)}" + (f"; of loudness and length: {', '.join(cues)}." if cues else ".")


def _plain(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())


def _printed(rows: Iterable[Published], encoder: str, head: str) -> str:
    for row in rows:
        if row.method == f"{head} head" and _plain(row.encoder) == _plain(encoder):
            return f"{row.value:.1f}"
    return ""


def _published_head(encoder: str, head: str) -> str:
    return _printed((row for row in published() if row.target == "nine corpora"), encoder, head)


def _published_corpus(corpus: str, encoder: str, head: str) -> str:
    rows = (row for row in published() if row.study.startswith("D'Asaro") and _plain(row.target) == _plain(corpus))
    return _printed(rows, encoder, head)
