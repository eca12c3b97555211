"""Utterances that a recipe keeps apart, for listeners and models: no model is trained on one, and each answers all.

They are drawn once from each corpus before its sample, as many of each emotion and, as far as may be, of each speaker.
A listening test takes the same manifests, CORPUS-items.jsonl.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.splits import equal_sample
from emobridge.errors import UserError
from emobridge.files import unreadable
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import Recipe
from emobridge.study.reading import spell_emotions
from emobridge.types import Utterance

_LARGEST_SHARE = 4  # of a small corpus a fourth of its rarest emotion at most, lest nothing is left to train on


def draw_items(recipe: Recipe, corpus: str, manifest: Path, folder: Path, listed: Path | None = None) -> Path | None:
    """Write what is kept apart of a corpus as a manifest into `folder`; None where the recipe keeps nothing apart.

    listed: a file that lists them, as a manifest (.jsonl) or an id a line, in place of a draw.
    Errors: UserError for a file that cannot be read, and an id that is no utterance of the corpus with one of the
    recipe's emotions.
    """
    if listed is None and not recipe.items:
        return None
    labels = labels_of_recipe(recipe)
    rows = [row for row in read_manifest(manifest) if row.emotion in labels]
    if listed is None:
        present = Counter(row.emotion for row in rows)
        most = min((present[label] for label in labels), default=0) // _LARGEST_SHARE
        if not most:
            return None
        chosen = [rows[row] for row in equal_sample(rows, labels, min(recipe.items, most))]
    else:
        by_id = {row.id: row for row in rows}
        chosen = [_item(by_id, name, listed, corpus, labels) for name in _read_ids(listed)]
    path = folder / f"{corpus}-items.jsonl"
    write_manifest(path, chosen)
    return path


def labels_of_recipe(recipe: Recipe) -> tuple[str, ...]:
    """The emotions that its studies of adaptation tell apart, as the vocabulary spells them."""
    studies = (study.settings for study in recipe.studies if isinstance(study.settings, AdaptStudy))
    return spell_emotions(tuple(dict.fromkeys(label for study in studies for label in study.labels)))


def _item(by_id: dict[str, Utterance], name: str, listed: Path, corpus: str, labels: Iterable[str]) -> Utterance:
    if name not in by_id:
        raise UserError(f"{listed}: {name!r} is no utterance of {corpus} that is {', '.join(labels)}")
    return by_id[name]


def _read_ids(path: Path) -> list[str]:
    """The ids in a manifest, or in a text file with one a line; each once."""
    if path.suffix == ".jsonl":
        return list(dict.fromkeys(row.id for row in read_manifest(path)))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
