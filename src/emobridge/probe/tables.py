"""The tables of a layer-wise study, each beside the scores of its floors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emobridge.literature.dasaro2024 import DASARO
from emobridge.literature.published import corpus_key, corpus_keys, published
from emobridge.literature.record import Published
from emobridge.probe.scoring import ALL_LAYERS, CHANCE, LOUDNESS, PROBE, RANDOM, SCRATCH, VALIDATION
from emobridge.report.blocks import Table, interval, percent
from emobridge.scores.measures.base import all_measures
from emobridge.types import Score

RANDOM_WEIGHTS = "random weights"


class CurveKey(NamedTuple):
    """What the scores of one curve share."""

    source: str
    target: str
    encoder: str
    method: str
    head: str
    normalisation: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One head of one encoder on one pair of corpora by layer: scores over all seeds, of one measure."""

    key: CurveKey
    scores: tuple[Score, ...]  # in the encoder's order of layers
    chosen: Score | None = None  # at the layers that the validation parts chose

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers in the encoder's order; "all" of a head that takes all."""
        return tuple(score.layer for score in self.scores)

    @property
    def takes_all(self) -> bool:
        """Whether its head takes all layers at once."""
        return self.layers == (ALL_LAYERS,)

    @property
    def last(self) -> Score:
        """The score on the last layer; of a head of all layers the only one."""
        return self.scores[-1]

    @property
    def best(self) -> Score:
        """The highest score, which looks at the test parts."""
        return max(self.scores, key=lambda score: score.value)

    def at(self, layer: str) -> Score:
        """The score on one layer; of a head of all layers the only one."""
        if layer == VALIDATION and self.chosen is not None:
            return self.chosen
        return next((score for score in self.scores if score.layer == layer), self.last)


def curves_of(scores: Iterable[Score], measure: str) -> tuple[Curve, ...]:
    """The curves of one measure, in the order of the scores."""
    groups: dict[CurveKey, list[Score]] = {}
    for row in scores:
        if (row.seed, row.measure) == ("all", measure):
            key = CurveKey(row.source, row.target, row.encoder, row.method, row.head, row.normalisation)
            groups.setdefault(key, []).append(row)
    return tuple(_curve(key, rows) for key, rows in groups.items())


def _curve(key: CurveKey, rows: Sequence[Score]) -> Curve:
    chosen = next((row for row in rows if row.layer == VALIDATION), None)
    return Curve(key, tuple(row for row in rows if row is not chosen), chosen)


def inside(curves: Iterable[Curve]) -> list[Curve]:
    """The curves that were trained and tested on one corpus."""
    return [curve for curve in curves if curve.key.source == curve.key.target]


def encoders_of(curves: Iterable[Curve]) -> list[str]:
    """The encoders of the study: all but the log-mel floor beside others."""
    names = list(dict.fromkeys(curve.key.encoder for curve in curves if curve.key.method == PROBE))
    return [name for name in names if name != "logmel"] or names


def layer_table(
    curves: Sequence[Curve], floors: Sequence[Score], encoder: str, corpus: str, languages: Mapping[str, str]
) -> Table:
    """One encoder on one corpus: a row a head and normalisation, a column a layer; then the floors."""
    on_corpus = [curve for curve in inside(curves) if curve.key.source == corpus]
    of_encoder = [curve for curve in on_corpus if curve.key.encoder == encoder and curve.key.method != SCRATCH]
    layers = list(dict.fromkeys(layer for curve in of_encoder for layer in curve.layers if layer != ALL_LAYERS))
    columns = (*layers, ALL_LAYERS)
    rows = []
    for curve in of_encoder:
        prefix = RANDOM_WEIGHTS + ", " if curve.key.method == RANDOM else ""
        values = (percent(curve.at(layer).value) if layer in curve.layers else "" for layer in columns)
        rows.append((prefix + curve.key.head, curve.key.normalisation, *values))
    empty = [""] * len(layers)
    rows += [
        (f"log-mel statistics, {curve.key.head}", curve.key.normalisation, *empty, percent(curve.last.value))
        for curve in on_corpus
        if curve.key.encoder == "logmel" and encoder != "logmel"
    ]
    rows += [
        (f"{curve.key.encoder}, {SCRATCH}", curve.key.normalisation, *empty, percent(curve.last.value))
        for curve in on_corpus
        if curve.key.method == SCRATCH
    ]
    rows += [(floor.method, "", *empty, percent(floor.value)) for floor in floors if floor.target == corpus]
    first = of_encoder[0].last
    caption = (
        f"Measured: {first.measure} in per cent by layer, {encoder} on {corpus} ({first.n} utterances, "
        f"{languages[corpus]}; setting {first.setting}; {first.labels.replace(',', ', ')}). "
        "The lower rows are floors; random weights and log-mel statistics are of one seed. "
        'The column "all" holds what has no layers.'
    )
    return Table(caption, ("head", "normalisation", *columns), tuple(rows))


def chosen_on_others(curves: Sequence[Curve], curve: Curve) -> str | None:
    """The layer with the highest mean on the OTHER corpora, in language, same encoder, head and normalisation.

    None where there is no other corpus, or the head takes all layers.
    """
    others = [
        other for other in inside(curves) if other.key[2:] == curve.key[2:] and other.key.source != curve.key.source
    ]
    layers = [layer for layer in curve.layers if all(layer in other.layers for other in others)]
    if not others or curve.takes_all or not layers:
        return None
    return max(layers, key=lambda layer: float(np.mean([other.at(layer).value for other in others])))


def honest_layer(curves: Sequence[Curve], curve: Curve) -> str | None:
    """The layer to quote: chosen by the validation parts, else on the other corpora; None where nothing chose."""
    if curve.chosen is not None:
        return VALIDATION
    return chosen_on_others(curves, curve)


def which_layer(curves: Sequence[Curve]) -> Table | None:
    """The last layer against layers that were chosen without the test parts, and against the best in hindsight."""
    several = [curve for curve in inside(curves) if curve.key.method != RANDOM and len(curve.scores) > 1]
    if not several:
        return None
    validated = any(curve.chosen for curve in several)
    others = any(chosen_on_others(curves, curve) for curve in several)
    rows = []
    for curve in several:
        layer, floor = chosen_on_others(curves, curve), random_of(curves, curve)
        row = [curve.key.encoder, curve.key.source, curve.key.head, curve.key.normalisation]
        row.append(f"{curve.last.layer}: {_value(curve.last)}")
        if validated:
            row.append(_value(curve.chosen) if curve.chosen else "no validation part")
        if others:
            row.append(f"{layer}: {_value(curve.at(layer))}" if layer else "no other corpus")
        quoted = honest_layer(curves, curve) or curve.last.layer
        row += [percent(floor.at(quoted).value) if floor else "", f"{curve.best.layer}: {percent(curve.best.value)}"]
        rows.append(tuple(row))
    caption = (
        f"Measured: {several[0].last.measure} in per cent with 95 % interval; the layer stands before the colon. "
        + ("On validation: the layer is chosen for each fold and seed by the loss on its validation part. " * validated)
        + ("On other corpora: the layer with the highest mean on the corpora that are not tested. " * others)
        + "The last column looks at the test scores, is too high, and may not be quoted."
    )
    columns = (
        *("encoder", "corpus", "head", "normalisation", "last layer"),
        *(("chosen on validation",) if validated else ()),
        *(("chosen on other corpora",) if others else ()),
        *(f"there with {RANDOM_WEIGHTS}", "best in hindsight"),
    )
    return Table(caption, columns, tuple(rows))


def random_of(curves: Sequence[Curve], curve: Curve) -> Curve | None:
    """The floor of a curve: the same encoder with random weights."""
    key = curve.key._replace(method=RANDOM)
    return next((other for other in curves if other.key == key), None)


def head_table(curves: Sequence[Curve], others: Collection[str] = ()) -> Table:
    """Heads by encoders, the mean over corpora: on the last layer, and on layers chosen without the test parts.

    others: encoders that are not what they are called, which have no published numbers beside them.
    """
    names = encoders_of(curves)
    probed = [curve for curve in inside(curves) if curve.key.encoder in names and curve.key.method == PROBE]
    rows = []
    for head, norm in dict.fromkeys((curve.key.head, curve.key.normalisation) for curve in probed):
        group = [curve for curve in probed if (curve.key.head, curve.key.normalisation) == (head, norm)]
        takes_all = all(curve.takes_all for curve in group)
        chosen = any(honest_layer(curves, curve) for curve in group if len(curve.scores) > 1)
        for what in ("all layers",) if takes_all else ("last layer", *(("chosen layer",) if chosen else ())):
            for prefix in ("", RANDOM_WEIGHTS):
                means = [
                    _mean(curves, [curve for curve in group if curve.key.encoder == name], bool(prefix), what)
                    for name in names
                ]
                if any(means):
                    rows.append((", ".join(filter(None, (prefix, head))), norm, what, *means))
    floors = [curve for curve in inside(curves) if curve.key.encoder == "logmel" and "logmel" not in names]
    for head, norm in dict.fromkeys((curve.key.head, curve.key.normalisation) for curve in floors):
        group = [curve for curve in floors if (curve.key.head, curve.key.normalisation) == (head, norm)]
        value = _mean(curves, group, False, "last layer")
        rows.append((f"log-mel statistics, {head}", norm, "none", *(value for _ in names)))
    for head in ("linear", "nonlinear", "multilayer"):
        printed = ["" if name in others else _published_head(name, head) for name in names]
        if any(printed):
            rows.append((head, "published", "D'Asaro et al. 2024, nine corpora, F1", *printed))
    caption = f"Measured: mean {probed[0].last.measure} over the corpora in per cent (published rows say so)."
    return Table(caption, ("head", "normalisation", "layer", *names), tuple(rows))


def _mean(curves: Sequence[Curve], group: Sequence[Curve], random: bool, what: str) -> str:
    """The mean over corpora; random weights are taken at the layer of the trained ones."""
    values = []
    for trained in group:
        layer = (honest_layer(curves, trained) if what == "chosen layer" else None) or trained.last.layer
        curve = random_of(curves, trained) if random else trained
        values += [curve.at(layer).value] if curve else []
    return percent(float(np.mean(values))) if values else ""


def corpora_table(curves: Sequence[Curve], floors: Sequence[Score], others: Collection[str] = ()) -> Table:
    """Corpora by encoders and heads on the last layer (of multilayer: all), with floors and published numbers.

    others: as of `head_table`.
    """
    names = encoders_of(curves)
    probed = [curve for curve in inside(curves) if curve.key.encoder in names and curve.key.method != SCRATCH]
    norm = probed[0].key.normalisation
    heads = list(dict.fromkeys(curve.key.head for curve in probed))
    columns = [(name, head) for name in names for head in heads]
    rows = []
    for corpus in dict.fromkeys(curve.key.source for curve in probed):
        for method, label in ((PROBE, "measured"), (RANDOM, RANDOM_WEIGHTS)):
            keys = [CurveKey(corpus, corpus, name, method, head, norm) for name, head in columns]
            present = [next((curve for curve in probed if curve.key == key), None) for key in keys]
            if any(present):
                show = _value if method == PROBE else _percent
                rows.append((corpus, label, *("" if curve is None else show(curve.last) for curve in present)))
        printed = ["" if name in others else _published_corpus(corpus, name, head) for name, head in columns]
        if any(printed):
            rows.append((corpus, "published, F1, D'Asaro et al. 2024", *printed))
    caption = (
        f"Measured: {probed[0].last.measure} in per cent, last layer (multilayer: all), normalisation {norm}, "
        f"in language. {_floor_words(floors)}"
    )
    return Table(caption, ("corpus", "", *(f"{name}, {head}" for name, head in columns)), tuple(rows))


def cross_score(curves: Sequence[Curve], curve: Curve) -> Score:
    """The score of a curve across corpora on the layer that was best in the training corpus's own folds, else the last.

    No test part of the tested corpus enters the choice.
    """
    own = curve.key._replace(target=curve.key.source)
    trained = next((other for other in inside(curves) if other.key == own), None)
    return curve.at(trained.best.layer) if trained else curve.last


def cross_table(curves: Sequence[Curve], languages: Mapping[str, str]) -> Table | None:
    """Training on one corpus and scoring another, on the layer that was best in the training corpus's own folds."""
    names = encoders_of(curves)
    rows = []
    for curve in curves:
        key = curve.key
        if key.source == key.target or key.method != PROBE or key.encoder not in names:
            continue
        score, floor = cross_score(curves, curve), random_of(curves, curve)
        rows.append(
            (
                f"{key.source} ({languages[key.source]})", f"{key.target} ({languages[key.target]})", score.setting,
                key.encoder, key.head, key.normalisation, score.layer, _value(score),
                percent(floor.at(score.layer).value) if floor else "", _value(curve.last),
            )
        )  # fmt: skip
    if not rows:
        return None
    measure = curves[0].last.measure
    caption = (
        f"Measured: {measure} in per cent with 95 % interval, trained on one corpus and tested on another, whose "
        "labels are not used. The layer is the best of the training corpus's own test folds, the last where there "
        "are none."
    )
    columns = (
        "trained on", "tested on", "setting", "encoder", "head", "normalisation", "layer", measure,
        RANDOM_WEIGHTS, "last layer",
    )  # fmt: skip
    return Table(caption, columns, tuple(rows))


def scratch_table(scores: Sequence[Score]) -> Table | None:
    """Models that were trained end to end on the corpora alone."""
    measures = [measure.name for measure in all_measures("classes")]
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in scores:
        if row.method == SCRATCH and row.seed == "all":
            rows.setdefault((row.encoder, row.source, row.target), {})[row.measure] = _value(row)
    if not rows:
        return None
    caption = (
        "Measured: in per cent with 95 % interval, encoders trained end to end from random weights on the corpus "
        "alone. The distance to the others is what pre-training is worth."
    )
    cells = tuple((*key, *(values[measure] for measure in measures)) for key, values in rows.items())
    return Table(caption, ("encoder", "trained on", "tested on", *measures), cells)


def floor_table(floors: Sequence[Score]) -> Table:
    """What is reached without listening to speech."""
    rows = tuple(
        (
            row.target,
            row.method,
            _percent(row) if row.method == CHANCE else _value(row),
            str(row.n),
            row.labels.replace(",", ", "),
        )
        for row in floors
    )
    caption = (
        "Floors: UA in per cent with 95 % interval, of chance and of a logistic regression on level, peak and length. "
        "An encoder that scores no higher has learnt nothing that these do not tell."
    )
    return Table(caption, ("corpus", "from", "UA", "n", "labels"), rows)


def published_table(corpora: Iterable[str]) -> Table | None:
    """What studies of frozen features print on these corpora, in language."""
    keys = {corpus_key(corpus) for corpus in corpora}
    rows = tuple(
        (
            row.target,
            row.encoder,
            row.method,
            row.measure,
            row.printed,
            str(len(row.labels) or ""),
            row.study,
            row.note,
        )
        for row in published()
        if corpus_key(row.target) in keys
        and row.source == row.target
        and row.measure in ("UA", "F1", "WA")
        and row.encoder
    )
    if not rows:
        return None
    caption = "PUBLISHED, not measured here; other splits and label sets: compare with care."
    columns = ("corpus", "encoder", "head", "measure", "value", "emotions", "study", "what differs")
    return Table(caption, columns, rows)


def _value(score: Score) -> str:
    return interval(score.measure, score.value, score.low, score.high)


def _percent(score: Score) -> str:
    return percent(score.value)


def _floor_words(floors: Sequence[Score]) -> str:
    chance, loudness = (
        ", ".join(f"{floor.target} {percent(floor.value)}" for floor in floors if floor.method == method)
        for method in (CHANCE, LOUDNESS)
    )
    return f"UA of chance: {chance}" + (f"; of loudness and length: {loudness}." if loudness else ".")


def _printed(rows: Iterable[Published], encoder: str, head: str) -> str:
    for row in rows:
        if row.study == DASARO and row.method == f"{head} head" and row.encoder == encoder:
            return row.printed
    return ""


def _published_head(encoder: str, head: str) -> str:
    return _printed((row for row in published() if len(corpus_keys(row.target)) > 1), encoder, head)


def _published_corpus(corpus: str, encoder: str, head: str) -> str:
    return _printed((row for row in published() if corpus_key(row.target) == corpus_key(corpus)), encoder, head)
