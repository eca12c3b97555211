"""Models on the items that listeners heard: predictions as `predict` writes them, or counts that a budget left.

Han et al. 2025 sum the predictions of five fold models, so that twelve items of an emotion become sixty. Several files
of one name are such fold models.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emobridge.data.column_names import fold_name
from emobridge.data.labels import EMOTIONS
from emobridge.data.tables import open_table
from emobridge.errors import UserError, count_noun, nearest, unknown
from emobridge.languages import language_tag
from emobridge.listening.dialect import emotion_of_word
from emobridge.listening.records import ListeningItem
from emobridge.listening.responses import names_of_items, spellings_of
from emobridge.listening.scoring import LISTENED_ITEMS, cell_language, integer_rows
from emobridge.report.listeners import MODEL_SETTINGS, ModelCell
from emobridge.scores.base import Condition
from emobridge.scores.classes import Evaluation
from emobridge.scores.measures.ua import Ua
from emobridge.study.matrices import CellKey, read_counts
from emobridge.types import Score

ANSWER_NAMES = ("label", "emotion", "prediction", "predicted", "predictedemotion")  # folded names of columns
ID_NAMES = ("id", "utterance", "item", "path", "file")
COUNT_COLUMNS = frozenset({"true", "predicted", "count"})  # of a budget's items.csv
_SPEC = re.compile(r"(?:(?P<setting>[^:@=]*)(?:@(?P<language>[^:=]*))?:)?(?P<name>[^=:]+)=(?P<file>.+)")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model, each of a fold model."""

    name: str
    files: tuple[Path, ...]
    setting: str = ""  # of MODEL_SETTINGS
    language: str = ""  # of the items; "" is each language that it answers


def model_files(options: Iterable[str]) -> tuple[ModelFiles, ...]:
    """What options "[SETTING[@LANGUAGE]:]NAME=FILE" name; those alike but for the file are fold models of one name.

    Errors: UserError for what has another form, an unknown setting or language, and a file that is there twice.

    >>> model_files(["mono:w2v2-de=1.csv", "mono:w2v2-de=2.csv"])[0].files
    (PosixPath('1.csv'), PosixPath('2.csv'))
    """
    models: dict[tuple[str, str, str], list[Path]] = {}
    for option in options:
        match = _SPEC.fullmatch(option)
        if match is None:
            raise UserError(f"model {option!r}: expected NAME=FILE, or mono:NAME=FILE (also cross, trans, mono@de)")
        setting = (match["setting"] or "").strip().casefold()
        if setting and setting not in MODEL_SETTINGS:
            raise unknown(f"setting of the model {option!r}:", setting, MODEL_SETTINGS)
        language = language_tag(match["language"]) if match["language"] else ""
        files = models.setdefault((match["name"].strip(), setting, language), [])
        if Path(match["file"]) in files:
            raise UserError(f"model {option!r}: is there twice; expected a file for each fold model")
        files.append(Path(match["file"]))
    return tuple(
        ModelFiles(name, tuple(files), setting, language) for (name, setting, language), files in models.items()
    )


def cells_of_model(
    model: ModelFiles, items: Sequence[ListeningItem], emotions: Sequence[str], on_note: list[str]
) -> tuple[tuple[ModelCell, tuple[Score, ...]], ...]:
    """A model on each language of its items, with its scores. on_note: gets what was left out.

    emotions: that listeners chose from. Errors: UserError for files that cannot be read, that answer no item, or an
    item twice.
    """
    if model.language:
        languages = dict.fromkeys(cell_language(item.language) for item in items)
        if cell_language(model.language) not in languages:
            raise UserError(f"model {model.name}: no items of {model.language} (there are {', '.join(languages)})")
        items = [item for item in items if cell_language(item.language) == cell_language(model.language)]
    counted = [path for path in model.files if _holds_counts(path)]
    if counted:
        if len(counted) < len(model.files):
            raise UserError(f"model {model.name}: {counted[0]} holds counts and another file predictions; expected one")
        return tuple((cell, ()) for cell in _cells_of_counts(model, items, on_note))
    folds = [_predictions(path, items, on_note) for path in model.files]
    by_language: dict[str, list[ListeningItem]] = {}
    for item in items:
        if any(item.id in fold for fold in folds):
            by_language.setdefault(cell_language(item.language), []).append(item)
    scored = []
    for language, presented in by_language.items():
        everything = [item for item in items if cell_language(item.language) == language]
        answered = [item for item in presented if all(item.id in fold for fold in folds)]
        if not answered:
            raise UserError(f"model {model.name}: its {len(folds)} files answer no item of {language} in common")
        scored.append(_scored_cell(model, folds, answered, len(everything), emotions))
    return tuple(scored)


def _scored_cell(
    model: ModelFiles,
    folds: Sequence[Mapping[str, str]],
    items: Sequence[ListeningItem],
    everything: int,
    emotions: Sequence[str],
) -> tuple[ModelCell, tuple[Score, ...]]:
    language = cell_language(items[0].language)
    truth = tuple(item.emotion for item in items)
    predictions = tuple(tuple(fold[item.id] for item in items) for fold in folds)
    present = set(truth).union(*predictions)
    labels = (*emotions, *(name for name in EMOTIONS if name in present and name not in emotions))
    people = tuple(None if item.speaker is None else f"{item.corpus} {item.speaker}" for item in items)
    evaluation = Evaluation(labels, truth, predictions, people)
    condition = Condition(
        run="listening", method=model.name, encoder="", layer="", normalisation="", source="", target=language,
        target_labels="", split=LISTENED_ITEMS, side="target", setting=model.setting,
    )  # fmt: skip
    scores = tuple(evaluation.scores(condition))
    lead = next(row for row in scores if row.seed == "all" and row.measure == Ua.name)
    counts = evaluation.confusion()
    cell = ModelCell(
        name=model.name, language=language, setting=model.setting, labels=labels, counts=integer_rows(counts),
        ua=lead.value, low=lead.low, high=lead.high, n=len(items), folds=len(folds), missing=everything - len(items),
    )  # fmt: skip
    return cell, scores


def _predictions(path: Path, items: Sequence[ListeningItem], on_note: list[str]) -> dict[str, str]:
    """The emotion of each item that a file answers. A row without a label answers nothing."""
    table = open_table(path)
    folded = {fold_name(name): name for name in reversed(table.columns)}
    answer = next((folded[name] for name in ANSWER_NAMES if name in folded), None)
    ids = [folded[name] for name in ID_NAMES if name in folded]
    if answer is None or not ids:
        raise UserError(
            f"{path}: expected the columns id and label, as `predict` writes them (there are "
            f"{', '.join(table.columns[:12]) or 'none'})"
        )
    names, predictions, others, unlabelled = names_of_items(items), dict[str, str](), 0, 0
    first = ""
    for line, row in table.rows():
        texts = [str(row[name]) for name in ids if row.get(name)]
        item = next((names[name] for text in texts for name in spellings_of(text) if names.get(name)), None)
        if item is None:
            others, first = others + 1, first or (texts[0] if texts else "")
            continue
        if item.id in predictions:
            raise UserError(f"{path}:{line}: {texts[0]!r} is answered twice; expected one row an utterance")
        try:
            emotion = emotion_of_word(str(row.get(answer) or ""))
        except UserError as error:
            raise UserError(f"{path}:{line}: {error}") from error
        if emotion is None:
            unlabelled += 1
        else:
            predictions[item.id] = emotion
    if not predictions:
        guess = nearest(first, names)
        hint = f"; it has {first!r}, items are such as {guess or next(iter(names), '')!r}" if first else ""
        raise UserError(f"{path}: answers none of the {len(items)} items{hint}")
    if unlabelled:
        on_note.append(
            f"{path.name}: {count_noun(unlabelled, 'item')} without a label, left out of the model's scores."
        )
    return predictions


def _holds_counts(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and set(open_table(path).columns) >= COUNT_COLUMNS


def _cells_of_counts(model: ModelFiles, items: Sequence[ListeningItem], on_note: list[str]) -> list[ModelCell]:
    """The target's cells of a budget's items.csv, summed over files; of several each is named by its method."""
    languages = tuple(dict.fromkeys(cell_language(item.language) for item in items))
    if len(languages) > 1:
        form = f"{model.setting or 'mono'}@LANGUAGE:{model.name}={model.files[0]}"
        raise UserError(
            f"{model.files[0]}: holds counts, which do not tell their language: {form} (one of {', '.join(languages)})"
        )
    cells: dict[CellKey, Counter[tuple[str, str]]] = {}
    for path in model.files:
        try:
            targets = {key: counts for key, counts in read_counts(path).items() if key[3] == "target"}
        except (KeyError, ValueError) as error:
            raise UserError(f"{path}: is no table of counts as a budget leaves it ({error})") from error
        if not targets:
            raise UserError(f"{path}: holds no counts of a target")
        for key, counts in targets.items():
            cells.setdefault(key, Counter()).update(counts)
    return [_cell_of_counts(key, counts, model, items, len(cells) > 1, on_note) for key, counts in cells.items()]


def _cell_of_counts(
    key: CellKey,
    counts: Mapping[tuple[str, str], int],
    model: ModelFiles,
    items: Sequence[ListeningItem],
    is_named: bool,
    on_note: list[str],
) -> ModelCell:
    labels = tuple(dict.fromkeys(true for true, _ in counts))
    matrix = np.array([[counts[true, predicted] for predicted in labels] for true in labels], dtype=float)
    name = f"{model.name}, {key[0]}, {key[1]} target labels" if is_named else model.name
    presented = Counter(item.emotion for item in items)
    folds = {n / presented[label] if presented[label] else 0.0 for label, n in zip(labels, matrix.sum(1)) if n}
    if len(folds) != 1 or not min(folds).is_integer():
        answers = ", ".join(f"{label} {int(n)}" for label, n in zip(labels, matrix.sum(1)))
        on_note.append(f"Counts of {name} are of other items than listeners heard, or not of all ({answers}).")
    return ModelCell(
        name=name, language=cell_language(items[0].language), setting=model.setting, labels=labels,
        counts=integer_rows(matrix), ua=float(Ua().value(matrix)), low=np.nan, high=np.nan, n=len(items),
        folds=max(1, round(matrix.sum() / len(items))), missing=0,
    )  # fmt: skip
