"""A layer-wise study as files: probe.html, .md and .json, scores.json, and the plots."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from emobridge import __version__, registry
from emobridge.corpora import licence_of
from emobridge.corpora.demo import is_synthetic
from emobridge.probe import tables
from emobridge.probe.encoders import other_checkpoints
from emobridge.probe.finding import collapse_lines, finding, variety_lines
from emobridge.probe.pairs import SETTING_MEANINGS
from emobridge.probe.run import Study, probe
from emobridge.probe.scoring import CHANCE, LOUDNESS, PROBE, RANDOM, StudyScores, describe_split, score_study
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import shared_speakers
from emobridge.report import plots
from emobridge.report.blocks import Figure, Page, Section, Table, count, figure, percent, stamped
from emobridge.report.glossary import probe_glossary
from emobridge.report.write import write_page
from emobridge.scores.files import write_scores
from emobridge.types import TOY_PREFIX

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
    """Run a study, write its folder, and return its finding and the paths of its files.

    missing: what could not be run, and why. ours: choices that a published study leaves open.
    Errors: UserError as `probe` has them.
    """
    study = probe(settings, strict=strict)
    scored = score_study(study)
    folder = Path(settings.out)
    write_scores(folder / "scores.json", (*scored.scores, *scored.floors))
    page = study_page(study, scored, command, missing=missing, ours=ours, title=title)
    path = write_page(folder, "probe", page, {"command": command})
    alarms = (*variety_lines(study.corpora, settings.normalise), *collapse_lines(scored.collapsed))
    lines = [page.lead, *(f"warning: {line}" for line in alarms)]
    lines += [f"missing: {line}" for line in missing]
    return "\n".join([*lines, f"scores: {folder / 'scores.json'}", f"report: {path}"])


def study_page(
    study: Study,
    scored: StudyScores,
    command: str,
    *,
    missing: Sequence[str] = (),
    ours: Sequence[str] = (),
    title: str = "",
) -> Page:
    """The page that the three formats show."""
    curves = tables.curves_of(scored.scores, MEASURE)
    names, corpora = tables.encoders_of(curves), [corpus.name for corpus in study.corpora]
    drawings = figures(study, scored)
    sections = [Section("What is missing", items=tuple(missing))] if missing else []
    sections += _in_language(study, scored, drawings)
    maps = tuple(_weight_map(rows, drawings, name) for name, rows in _maps(study).items())
    sections += [Section("What layers the multilayer head weighs", (_MAP,), blocks=maps)] if maps else []
    languages = {corpus.name: corpus.language for corpus in study.corpora}
    cross = tables.cross_table(curves, languages)
    sections += [Section("Across languages", _settings_words(curves), blocks=(cross,))] if cross else []
    scratch = tables.scratch_table(scored.scores)
    sections += [Section("Trained from scratch", blocks=(scratch,))] if scratch else []
    sections.append(Section("Floors", blocks=(tables.floor_table(scored.floors),)))
    printed = tables.published_table(corpora)
    sections += [Section("Published", blocks=(printed,))] if printed else []
    sections += [Section("What the paper leaves open, and was chosen here", items=tuple(ours))] if ours else []
    sections += [_corpora(study), _how(study, command)]
    if study.skipped:
        sections.append(Section("Left out", items=tuple(f"{name}: {reason}" for name, reason in study.skipped)))
    sections.append(probe_glossary())
    synthetic = any(is_synthetic(corpus) for corpus in corpora)
    return Page(
        title or f"Layer-wise study of {', '.join(names or study.settings.scratch)}",
        f"{', '.join(corpora)}; {count(study.settings.seeds, 'seed')}",
        ("SYNTHETIC speech. " if synthetic else "") + finding(scored),
        warnings(study, scored),
        stamped(sections) if synthetic else tuple(sections),
    )


def _in_language(study: Study, scored: StudyScores, drawings: dict[str, str]) -> list[Section]:
    """The sections about corpora that are tested on themselves."""
    curves = tables.curves_of(scored.scores, MEASURE)
    names = tables.encoders_of(curves)
    probed = [curve for curve in tables.inside(curves) if curve.key.method == PROBE and curve.key.encoder in names]
    pairs = [
        (name, corpus.name)
        for name in names
        for corpus in study.corpora
        if any((curve.key.encoder, curve.key.source) == (name, corpus.name) for curve in probed)
    ]
    if not pairs:
        return []
    languages = {corpus.name: corpus.language for corpus in study.corpora}
    blocks = []
    for name, corpus in pairs:
        table = tables.layer_table(curves, scored.floors, name, corpus, languages)
        blocks.append(figure(drawings.get(_file(name, corpus), ""), table, _file(name, corpus)))
    drawn = any(isinstance(block, Figure) for block in blocks)
    sections = [Section("By layer", (*((_CURVES,) if drawn else ()), *_settings_words(probed)), blocks=tuple(blocks))]
    which = tables.which_layer(curves)
    sections += [Section("Which layer", blocks=(which,))] if which else []
    by_f1 = tables.curves_of(scored.scores, "F1 macro")
    others = _others(study)
    heads = tables.head_table(by_f1, others)
    sections += [Section("Heads", blocks=(heads,))] if len(heads.rows) > 1 else []  # one is in the next table too
    return [*sections, Section("Corpora and encoders", blocks=(tables.corpora_table(by_f1, scored.floors, others),))]


def _others(study: Study) -> dict[str, str]:
    """Encoders that are not what they are called, each with a sentence; none where nobody speaks.

    In a toy run tiny encoders stand for others on purpose, and every table says SYNTHETIC.
    """
    is_toy = all(corpus.name.startswith(TOY_PREFIX) for corpus in study.corpora)
    return {} if is_toy else other_checkpoints(study.settings)


def warnings(study: Study, scored: StudyScores) -> tuple[str, ...]:
    """What a reader must know before quoting a number."""
    lines = [*variety_lines(study.corpora, study.settings.normalise), *collapse_lines(scored.collapsed)]
    lines += [f"{name}: {sentence}." for name, sentence in _others(study).items()]
    if study.settings.share_speakers:
        lines.append("Training and test share speakers: the scores say nothing of new speakers.")
    for name in study.settings.by_utterance:
        lines.append(f"{name} is split by utterance: its scores say nothing of new speakers.")
    for corpus in study.corpora:
        shared = shared_speakers(corpus)
        if shared:
            lines.append(
                f"{count(shared, 'predefined fold')} of {corpus.name} (of {len(corpus.folds)}) share speakers between "
                "training and test: the scores say little of new speakers."
            )
        if not corpus.people:
            lines.append(
                f"The speakers of {corpus.name} are not known: its scores may be of voices that were trained on."
            )
        elif corpus.people == 1:
            lines.append(f"{corpus.name} has 1 speaker: its scores have no interval.")
    if study.settings.segment and any(registry.load("heads", head).needs_frames for head in study.settings.heads):
        lines.append(
            f"Heads that need frames saw means over {study.settings.segment:g} s instead of single frames, which is "
            "cheaper and not the same."
        )
    if scored.has_unknown_speakers:
        lines.append("Utterances without a known speaker count as speakers of their own: intervals are too narrow.")
    return tuple(lines)


def figures(study: Study, scored: StudyScores) -> dict[str, str]:
    """The plots by name: curves of each encoder on each corpus that has several layers, and the map of weights."""
    curves = tables.inside(tables.curves_of(scored.scores, MEASURE))
    drawings = {}
    for name in tables.encoders_of(curves):
        for corpus in dict.fromkeys(curve.key.source for curve in curves):
            lines = [
                curve
                for curve in curves
                if (curve.key.encoder, curve.key.source) == (name, corpus) and len(curve.scores) > 1
            ]
            panels = tuple(
                plots.Panel(
                    f"{corpus}, normalisation {norm}",
                    tuple(_line(curve) for curve in lines if curve.key.normalisation == norm),
                    _levels(scored, curves, corpus, norm, name),
                )
                for norm in dict.fromkeys(curve.key.normalisation for curve in lines)
            )
            title = f"{MEASURE} by layer: {name} on {corpus}"
            drawing = plots.layer_curves(panels, title=title, measure=MEASURE)
            if drawing:
                drawings[_file(name, corpus)] = drawing
    for name, rows in _maps(study).items():
        drawings[name] = plots.heat(*rows, title=MAPS[name])
    return drawings


_CURVES = (
    "Solid lines: the encoder as it was pre-trained, with 95 % intervals over speakers. Dashed lines of the same "
    "colour: the same encoder with random weights. Dotted lines: scores of what has no layers."
)
_MAP = (
    "Softmax weights of the layers in per cent, mean over folds and seeds; all began alike. The map that is averaged "
    "over the corpora is Figure 2 of D'Asaro et al. 2024."
)
MEAN_MAP, MAP = "layer-weights-mean", "layer-weights"
MAPS = {
    MEAN_MAP: "Weights of the multilayer head by layer, averaged over the corpora",
    MAP: "Weights of the multilayer head by layer",
}
MapRows = tuple[list[str], list[str], list[list[float]]]  # names of rows, layers, and shares


def _settings_words(curves: Sequence[tables.Curve]) -> tuple[str, ...]:
    """What the settings of some scores mean."""
    kinds = dict.fromkeys(curve.last.setting for curve in curves)
    return (
        "Settings. " + " ".join(f"{kind}: {SETTING_MEANINGS[kind]}." for kind in SETTING_MEANINGS if kind in kinds),
    )


def _line(curve: tables.Curve) -> plots.Line:
    return plots.Line(
        curve.key.head,
        curve.layers,
        tuple(score.value for score in curve.scores),
        tuple(score.low for score in curve.scores),
        tuple(score.high for score in curve.scores),
        curve.key.method == RANDOM,
    )


def _levels(
    scored: StudyScores, curves: Sequence[tables.Curve], corpus: str, norm: str, encoder: str
) -> tuple[tuple[str, float], ...]:
    """Horizontal lines: chance, loudness and length, log-mel, and the head of all layers."""
    floors = [floor for floor in scored.floors if floor.target == corpus and floor.method in (CHANCE, LOUDNESS)]
    levels = [(floor.method, floor.value) for floor in floors]
    for curve in curves:
        key = curve.key
        standard = "none" if key.encoder == "logmel" and norm == "raw" else norm  # a floor is never raw
        if (key.source, key.method) != (corpus, PROBE) or key.normalisation not in (norm, standard):
            continue
        if key.encoder == encoder and curve.takes_all:
            levels.append((key.head, curve.last.value))
        elif key.encoder == "logmel" != encoder and key.head == "single":
            levels.append(("log-mel", curve.last.value))
    return tuple(levels)


def _maps(study: Study) -> dict[str, MapRows]:
    """The maps of layer weights by name: averaged over the corpora where there are several, and of each corpus."""
    weights: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    layers: tuple[str, ...] = ()
    for outcome in study.outcomes:
        unit = outcome.unit
        if outcome.layer_weights is not None and unit.weights != "random":
            by_corpus = weights.setdefault((unit.encoder, unit.normalise), {})
            by_corpus[unit.corpus] = outcome.layer_weights.mean(0)
            layers = max(layers, unit.layers, key=len)

    def rows_of(shares: dict[str, np.ndarray]) -> MapRows:
        wide = [[*share.tolist(), *[0.0] * (len(layers) - len(share))] for share in shares.values()]
        return list(shares), list(layers), wide

    each = {
        f"{encoder}, {corpus}, {normalise}": share
        for (encoder, normalise), by_corpus in weights.items()
        for corpus, share in by_corpus.items()
    }
    means = {
        f"{encoder}, mean of {len(by_corpus)}, {normalise}": np.mean(list(by_corpus.values()), 0)
        for (encoder, normalise), by_corpus in weights.items()
    }
    maps = {MEAN_MAP: rows_of(means)} if len(means) < len(each) else {}
    return maps | ({MAP: rows_of(each)} if each else {})


def _weight_map(rows: MapRows, drawings: dict[str, str], name: str) -> Figure:
    names, columns, values = rows
    cells = tuple((row, *(percent(value) for value in shares)) for row, shares in zip(names, values))
    table = Table(f"{MAPS[name]}, in per cent.", ("encoder, corpus, normalisation", *columns), cells)
    return Figure(drawings[name], table, name)


def _corpora(study: Study) -> Section:
    rows = []
    for corpus in study.corpora:
        emotions = [utterance.emotion for utterance in corpus.utterances]
        counts = ", ".join(f"{emotion} {emotions.count(emotion)}" for emotion in corpus.emotions)
        speakers = str(corpus.people) if corpus.people else "not known"
        rows.append((corpus.name, corpus.language, str(len(emotions)), speakers, counts, licence_of(corpus.name)))
    columns = ("corpus", "language", "utterances", "speakers", "emotions", "licence")
    return Section("Corpora", blocks=(Table("The corpora of the study.", columns, tuple(rows)),))


def _how(study: Study, command: str) -> Section:
    settings = study.settings
    items = [
        f"Split: {describe_split(settings)}, {count(settings.seeds, 'seed')}.",
        f"Made {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC by emobridge {__version__}.",
        ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS),
        *dict.fromkeys(f"A probe saw: {data}." for data in data_seen(study)),
    ]
    epochs = np.concatenate([outcome.epochs.ravel() for outcome in study.outcomes])
    epochs = epochs[epochs > 0]  # of those that were trained and not solved
    if settings.patience and len(epochs):
        items.append(f"Weights of the best epoch on validation were kept: epoch {epochs.mean():.1f} on average.")
    hidden = ("corpora", "out", "store", "jobs", "cluster")
    shown = {key: value for key, value in asdict(settings).items() if key not in hidden}
    return Section("How it was made", items=tuple(items), code=command + "\n" + json.dumps(shown, ensure_ascii=False))


def data_seen(study: Study) -> list[str]:
    """What the probes, or the models from scratch, got to see, in words: each combination once."""
    texts: dict[str, None] = {}
    for outcome in study.outcomes:
        unit = outcome.unit
        for tested in dict.fromkeys(part.corpus for part in outcome.predictions):
            text = f"labels and audio of training speakers of {unit.corpus}"
            alone = unit.corpus == tested and tested in study.settings.by_utterance
            if study.settings.share_speakers or alone:
                text = f"labels and audio of {unit.corpus}, THE SCORED SPEAKERS' TOO"
            if unit.weights == "scratch":
                text += ", by which the encoder was trained end to end from random weights"
            if unit.normalise not in ("none", "raw"):
                text += f"; unlabelled audio of all of {tested}, the scored speakers' too"
            if study.settings.looks_at_validation:
                text += f"; labels of validation speakers of {unit.corpus}"
            texts[text] = None
    return list(texts)


def _file(encoder: str, corpus: str) -> str:
    name = "".join(sign if sign.isalnum() or sign in ".-" else "-" for sign in encoder)
    return f"layers-{name}-{corpus}"
