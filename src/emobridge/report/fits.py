"""Sections on how the systems were trained: the layer, the loss by epoch, what the last stage changed, what it took."""

from __future__ import annotations

from emobridge.report import plots
from emobridge.report.blocks import Section, Table, figure, number, percent, signed_interval, unit
from emobridge.report.record import CostRow, StudyRecord
from emobridge.report.systems import name_in, size_of

CHANGES = (
    "Before the last stage: the scores of the method that ends where it begins (fine-tuned of ft-lora, lora of "
    "two-stage), where that was run too; else of the baseline, which shares no stage with it. A loss on the source is "
    "what was forgotten of it. Differences are paired by speaker, with 95 % intervals."
)
COSTS = (
    "Trained weights are counted by where they are: in the head, in the encoder itself, in adapters. Times are means "
    "over seeds and folds, of training alone. Memory is the most that any of them took: on a GPU of the stage, on a "
    "CPU of the whole process until then. A stage that several methods begin with is trained once and listed with each."
)
ACCURACY = (
    "On training speakers: whole labelled utterances, of the target those within the budget, at most 200 of each side. "
    "The epoch that was kept is not the last one where validation chose it."
)
CHOICE = "No target label enters this choice."


def layer_section(record: StudyRecord) -> Section | None:
    """How each layer scored, where one was chosen."""
    choice = record.layer_choice
    if not choice:
        return None
    names = [row.layer for row in choice]
    chosen = [row.layer for row in choice if row.chosen]
    title = "UA on source validation by encoder layer, per cent"
    svg = plots.layers(names, [row.value for row in choice], chosen, title=title)
    rows = tuple((row.layer, percent(row.value), "chosen" if row.chosen else "") for row in choice)
    block = figure(svg, Table(f"Measured. {title}", ("layer", "UA", ""), rows))
    who = f"with {record.baseline} and normalisation {record.layer_normalisation}"
    text = f"{CHOICE} The layer was chosen once, {who}." if record.layer_normalisation else CHOICE
    return Section("Layer choice", (text,), blocks=(block,))


def curve_section(record: StudyRecord) -> Section | None:
    """Each term of the loss by epoch."""
    if not record.curves:
        return None
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for point in record.curves:
        lines.setdefault((point.term, point.run), []).append((point.epoch, point.value))
    title = "Each term of the loss by epoch, one line a run"
    rows = tuple(
        (term, run, *(text for epoch, value in (min(line), max(line)) for text in (str(epoch), f"{value:.4g}")))
        for (term, run), line in lines.items()
    )
    columns = ("term", "run", "first epoch", "value", "last epoch", "value")
    return Section("Training", blocks=(figure(plots.curves(record.curves, title=title), Table(title, columns, rows)),))


def accuracy_section(record: StudyRecord) -> Section | None:
    """Accuracy by epoch of the systems with the most target labels, where the training was traced."""
    if not record.curves:
        return None
    runs = list(dict.fromkeys(point.run for point in record.curves))
    last = max((row.target_labels for row in record.systems), key=size_of)
    drawn = [run for run in runs if run.endswith(f", {last} labels")] or runs
    title = "Accuracy over epochs, on training and validation speakers of each side, one line a system"
    values: dict[tuple[str, str], list[float]] = {}
    for point in sorted(record.curves, key=lambda point: point.epoch):
        values.setdefault((point.term, point.run), []).append(point.value)
    rows = tuple(
        (term, run, percent(line[0]), percent(line[-1]), percent(max(line))) for (term, run), line in values.items()
    )
    caption = f"Measured. {title}, in per cent; means over seeds and folds. Drawn are the systems with {last} labels."
    table = Table(caption, ("accuracy", "system", "first epoch", "last epoch", "best"), rows)
    svg = plots.curves([point for point in record.curves if point.run in drawn], title=title)
    return Section("Accuracy over epochs", (ACCURACY,), blocks=(figure(svg, table, "accuracy-over-epochs"),))


def change_section(record: StudyRecord) -> Section | None:
    """What the last of several stages changed, a row for each method, side and measure."""
    if not record.changes:
        return None
    rows = tuple(
        (
            name_in(record, change),
            change.before,
            change.side,
            change.measure,
            *(number(change.measure, value) for value in change.values),
            signed_interval(change.estimate),
        )
        for change in record.changes
    )
    columns = ("method", "before", "scored on", "measure", "before", "after", "difference")
    shares = dict.fromkeys(change.measure for change in record.changes if unit(change.measure))
    caption = f"Measured. {', '.join(shares)} in per cent, differences in points." if shares else "Measured."
    table = Table(caption, columns, rows)
    return Section("What the last stage changed", (CHANGES,), blocks=(table,))


def cost_section(record: StudyRecord) -> Section | None:
    """What each stage of each system took, where an encoder took part."""
    if not record.costs:
        return None
    columns = ("method", "stage", "trained weights", "all weights", "share", "seconds", "CPU seconds", "peak MB")
    rows = tuple((name_in(record, cost), *_cells(cost)) for cost in record.costs)
    return Section("What training took", (COSTS,), blocks=(Table("Measured.", columns, rows),))


def _cells(cost: CostRow) -> tuple[str, ...]:
    trained = sum(count for _, count in cost.trained)
    names = ", ".join(f"{name} {count:,}" for name, count in cost.trained)
    share = f"{100 * trained / cost.weights:.2g} %" if cost.weights else "-"
    memory = f"{cost.memory:,.0f}" if cost.memory else "not known"
    return str(cost.stage), names, f"{cost.weights:,}", share, f"{cost.seconds:.1f}", f"{cost.cpu:.1f}", memory
