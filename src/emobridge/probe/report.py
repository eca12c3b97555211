"""A layer-wise study as a page: probe.html, .md and .json, cells.csv, and the plots as files."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from emobridge import __version__, registry
from emobridge.corpora.demo import is_synthetic
from emobridge.errors import UserError
from emobridge.files import write_cells
from emobridge.probe import tables
from emobridge.probe.run import Study, probe
from emobridge.probe.scoring import Cell, Floor, cells_of, floors_of
from emobridge.probe.settings import ProbeSettings
from emobridge.report import plots
from emobridge.report.blocks import FEW_SPEAKERS, Figure, Page, Section, Table, count, interval, percent, stamped
from emobridge.report.write import write_page

MEASURE = "UA"  # of the curves
VERSIONS = ("numpy", "torch", "transformers")


def run_and_report(
    settings: ProbeSettings,
    command: str,
    *,
    strict: bool = False,
    missing: Sequence[str] = (),
    ours: Sequence[str] = (),
    title: str = "",
) -> str:
    """Run a study, write its folder, and say the most of it in a few lines.

    missing: what could not be run, and why. ours: choices that a published study leaves open.
    Errors: UserError as `probe` has them.
    """
    study = probe(settings, strict=strict)
    cells, floors = cells_of(study), floors_of(study)
    if not cells:
        raise UserError(f"settings: no pair of these corpora is {' or '.join(settings.settings)} for these encoders")
    folder = Path(settings.out)
    write_cells(folder / "cells.csv", cells, Cell)
    page = page_of(study, cells, floors, command, missing=missing, ours=ours, title=title)
    path = write_page(folder, "probe", page, {"floors": [asdict(floor) for floor in floors], "command": command})
    lines = [page.lead, *(f"missing: {line}" for line in missing)]
    return "\n".join([*lines, f"table: {folder / 'cells.csv'}", f"report: {path}"])


def page_of(
    study: Study,
    cells: Sequence[Cell],
    floors: Sequence[Floor],
    command: str,
    *,
    missing: Sequence[str] = (),
    ours: Sequence[str] = (),
    title: str = "",
) -> Page:
    """All that the three formats say."""
    curves = tables.curves_of(cells, MEASURE)
    names, corpora = tables.encoders_of(curves), [corpus.name for corpus in study.corpora]
    drawn = figures(study, cells, floors)
    inside = [(name, corpus) for name in names for corpus in corpora if any(_is(c.key, name, corpus) for c in curves)]
    layers = tuple(
        Figure(drawn[file], tables.layer_table(curves, floors, name, corpus, MEASURE), file)
        for file, name, corpus in ((f"layers-{_file(name)}-{corpus}", name, corpus) for name, corpus in inside)
    )
    sections = [Section("What is missing", items=tuple(missing))] if missing else []
    if inside:
        by_f1 = tables.curves_of(cells, "F1 macro")
        sections += [
            Section("By layer", (_CURVES,), blocks=layers),
            Section("Which layer", blocks=(tables.which_layer(curves, MEASURE),)),
            Section("Heads", blocks=(tables.head_table(by_f1, "F1 macro"),)),
            Section("Corpora and encoders", blocks=(tables.corpora_table(by_f1, floors, "F1 macro"),)),
        ]
    maps = _weight_map(study, drawn)
    sections += [Section("What layers the multilayer head weighs", (_MAP,), blocks=(maps,))] if maps else []
    cross = tables.cross_table(curves, MEASURE)
    sections += [Section("Across languages", blocks=(cross,))] if cross else []
    sections.append(Section("Floors", blocks=(tables.floor_table(floors),)))
    printed = tables.published_table(corpora)
    sections += [Section("Published", blocks=(printed,))] if printed else []
    sections += [Section("What the paper leaves open, and was chosen here", items=tuple(ours))] if ours else []
    sections += [_corpora(study), _how(study, cells, command)]
    if study.skipped:
        sections.append(Section("Left out", items=tuple(f"{name}: {reason}" for name, reason in study.skipped)))
    synthetic = any(is_synthetic(corpus) for corpus in corpora)
    return Page(
        title or f"Layer-wise study of {', '.join(names)}",
        f"{', '.join(corpora)}; {count(study.settings.seeds, 'seed')}",
        ("SYNTHETIC speech. " if synthetic else "") + lead(curves),
        warnings(study, cells),
        stamped(sections) if synthetic else tuple(sections),
    )


def lead(curves: Sequence[tables.Curve]) -> str:
    """One sentence: what did best at layers that were chosen elsewhere, and how far that is above its floors."""
    found = [c for c in tables.inside(curves) if c.key[3] != "random" and c.key[2] in tables.encoders_of(curves)]
    if not found:
        return "No corpus was tested on itself; the table across languages tells the scores."
    groups: dict[tuple[str, ...], list[tuple[tables.Curve, Cell]]] = {}
    for curve in found:
        cell = curve.at(tables.chosen_layer(curves, curve) or curve.layers[-1])
        groups.setdefault(curve.key[2:], []).append((curve, cell))
    key, best = max(groups.items(), key=lambda item: float(np.mean([cell.value for _, cell in item[1]])))
    words = []
    for curve, cell in best:
        floor = tables.random_of(curves, curve)
        random = f", with random weights {percent(floor.at(cell.layer).value)}" if floor else ""
        layer = "all layers" if cell.layer == "all" else f"layer {cell.layer}"
        words.append(f"{cell.test} {interval(MEASURE, cell.value, cell.low, cell.high)} at {layer}{random}")
    return (
        f"{key[0]} with the head {key[2]} and normalisation {key[3]} did best on average, at layers chosen on the "
        f"other corpora where there are any (else the last): {MEASURE} {'; '.join(words)}."
    )


def warnings(study: Study, cells: Sequence[Cell]) -> tuple[str, ...]:
    """What a reader must know before quoting a number."""
    found = []
    if study.settings.share_speakers:
        found.append("Training and test share speakers: the scores say nothing of new speakers.")
    for corpus in study.corpora:
        speakers = len({one.speaker for one in corpus.utterances})
        if speakers < FEW_SPEAKERS:
            found.append(f"{corpus.name} has {count(speakers, 'speaker')}: its intervals are too narrow.")
    if study.settings.segment and any(registry.load("heads", head).needs_frames for head in study.settings.heads):
        found.append(
            f"Heads that need frames saw means over {study.settings.segment:g} s instead of single frames, which is "
            "cheaper and not the same."
        )
    if any(cell.resampled == "utterances" for cell in cells):
        found.append("Some intervals draw utterances, not speakers: they are too narrow.")
    return tuple(found)


def figures(study: Study, cells: Sequence[Cell], floors: Sequence[Floor]) -> dict[str, str]:
    """The plots by name: curves of each encoder on each corpus, and the map of layer weights."""
    curves = tables.inside(tables.curves_of(cells, MEASURE))
    found = {}
    for name in tables.encoders_of(curves):
        for corpus in dict.fromkeys(curve.key[0] for curve in curves):
            mine = [c for c in curves if _is(c.key, name, corpus)]
            panels = tuple(
                plots.Panel(
                    f"{corpus}, normalisation {norm}",
                    tuple(_line(c) for c in mine if c.key[5] == norm and len(c.cells) > 1),
                    _levels(curves, floors, corpus, norm, name),
                )
                for norm in dict.fromkeys(c.key[5] for c in mine)
            )
            if mine:
                title = f"{MEASURE} by layer: {name} on {corpus}"
                found[f"layers-{_file(name)}-{corpus}"] = plots.layer_curves(panels, title=title, measure=MEASURE)
    rows = _map_rows(study)
    if rows:
        names, columns, values = rows
        found["layer-weights"] = plots.heat(names, columns, values, title="Weights of the multilayer head by layer")
    return found


_CURVES = (
    "Solid lines: the encoder as it was pre-trained, with 95 % intervals over speakers. Dashed lines of the same "
    "colour: the same encoder with random weights. Dotted: what has no layer."
)
_MAP = (
    "Softmax weights of the layers in per cent, mean over folds and seeds; all began alike. "
    "Figure 2 of D'Asaro et al. 2024."
)


def _line(curve: tables.Curve) -> plots.Line:
    return plots.Line(
        curve.head,
        curve.layers,
        tuple(cell.value for cell in curve.cells),
        tuple(cell.low for cell in curve.cells),
        tuple(cell.high for cell in curve.cells),
        curve.key[3] == "random",
    )


def _levels(
    curves: Sequence[tables.Curve], floors: Sequence[Floor], corpus: str, norm: str, encoder: str
) -> tuple[tuple[str, float], ...]:
    """Horizontal lines: chance, loudness and length, log-mel, and the head of all layers."""
    found = [(f.what, f.value) for f in floors if f.corpus == corpus and f.what in ("chance", "loudness and length")]
    for c in curves:
        if c.key[0] == corpus and c.key[5] == norm and len(c.cells) == 1 and c.key[3] != "random":
            if c.key[2] == encoder:
                found.append((c.head, c.cells[0].value))
            elif c.key[2] == "logmel" and c.head == "single":
                found.append(("log-mel", c.cells[0].value))
    return tuple(found)


def _map_rows(study: Study) -> tuple[list[str], list[str], list[list[float]]] | None:
    with_weights = [one for one in study.outcomes if one.layer_weights is not None and one.unit.weights != "random"]
    if not with_weights:
        return None
    longest = max((one.unit.layers for one in with_weights), key=len)
    names, values = [], []
    for one in with_weights:
        assert one.layer_weights is not None
        names.append(f"{one.unit.encoder}, {one.unit.corpus}, {one.unit.normalise}")
        own = one.layer_weights.mean(0).tolist()
        values.append(own + [0.0] * (len(longest) - len(own)))
    return names, list(longest), values


def _weight_map(study: Study, drawn: dict[str, str]) -> Figure | None:
    rows = _map_rows(study)
    if not rows:
        return None
    names, columns, values = rows
    cells = tuple((name, *(percent(value) for value in row)) for name, row in zip(names, values))
    table = Table("Weights of layers in per cent.", ("encoder, corpus, normalisation", *columns), cells)
    return Figure(drawn["layer-weights"], table, "layer-weights")


def _corpora(study: Study) -> Section:
    rows = []
    for corpus in study.corpora:
        counts = {emotion: sum(one.emotion == emotion for one in corpus.utterances) for emotion in corpus.emotions}
        speakers = len({one.speaker for one in corpus.utterances})
        words = ", ".join(f"{emotion} {n}" for emotion, n in counts.items())
        rows.append(
            (corpus.name, corpus.language, str(len(corpus.utterances)), str(speakers), words, _licence(corpus.name))
        )
    columns = ("corpus", "language", "utterances", "speakers", "emotions", "licence")
    return Section("Corpora", blocks=(Table("What was probed.", columns, tuple(rows)),))


def _licence(name: str) -> str:
    try:
        return str(registry.load("corpora", name).LICENCE)
    except UserError:
        return "not known to emobridge"


def _how(study: Study, cells: Sequence[Cell], command: str) -> Section:
    settings = study.settings
    split = (
        f"{settings.folds} folds by speaker"
        if settings.split == "folds"
        else f"80/10/10 by speaker, {settings.folds} draws"
    )
    items = [
        f"Split: {split}, {count(settings.seeds, 'seed')}." if not settings.share_speakers else "Split by utterance.",
        f"Made {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC by emobridge {__version__}.",
        ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS),
        *dict.fromkeys(f"A probe saw: {cell.saw}." for cell in cells),
    ]
    kept = {key: value for key, value in asdict(settings).items() if key not in ("corpora", "out", "store")}
    return Section("How it was made", items=tuple(items), code=command + "\n" + json.dumps(kept, ensure_ascii=False))


def _is(key: tables.Key, encoder: str, corpus: str) -> bool:
    return key[:3] == (corpus, corpus, encoder)


def _file(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in ".-" else "-" for sign in name)
