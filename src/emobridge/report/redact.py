"""`--redact`: pseudonyms for who spoke and where it lay, in all that is shared of a run.

Ids, speakers, file names, folders, machines and corpora of one's own get names such as "recording 3" and "speaker 1",
the same in every file of one output. Which recording is which stands nowhere. Left as they are: emotions, numbers,
languages, the values of columns that scores were told apart by, and names that are public, such as those of corpora
that emobridge knows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from emobridge import registry
from emobridge.corpora import AUDIO_SUFFIXES, GENDERS, plugin_of
from emobridge.data.labels import EMOTIONS
from emobridge.report.model_card import portable
from emobridge.scores.measures.base import RECALL
from emobridge.settings import Adapt, Budget, choices_of, flat_values, options_of_record
from emobridge.types import ATTRIBUTES, Prediction, Score, Utterance, person_labels

SHORTEST = 3  # letters of a name that is looked for within sentences; shorter ones and numbers name nobody there
BY_SPEAKER = f"{RECALL} speaker "  # how a measure begins that names a speaker
SIDES_AND_SPLITS = ("source", "target", "train", "validation", "test", "all")
Cleaned = TypeVar("Cleaned")


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """The pseudonyms of one output."""

    ids: Mapping[str, str]  # of utterances
    speakers: Mapping[tuple[str, str], str]  # of a corpus and a speaker in it
    files: Mapping[str, str]  # of audio files
    texts: Mapping[str, str]  # whatever may stand within a sentence: names, paths and parts of them

    @classmethod
    def of(cls, utterances: Sequence[Utterance], request: Any = None, manifests: Sequence[str] = ()) -> Pseudonyms:
        """From all utterances of a run, the request whose options name places, and further manifests by their paths."""
        ids = _numbered("recording", (row.id for row in utterances))
        people = ((row.corpus, row.speaker) for row in utterances if row.speaker is not None)
        speakers = _numbered("speaker", people)
        files = {
            path: f"{name}{_audio_suffix(path)}"
            for path, name in _numbered("recording", (row.path for row in utterances)).items()
        }
        own = (row.corpus for row in utterances if plugin_of(row.corpus) is None)
        texts = _numbered("corpus", own)
        for option, paths in (*_places_of(request), ("manifest", manifests)):
            texts |= _place_names(option, paths)
        for path, name in files.items():
            texts |= {path: name, os.path.basename(path): name, Path(path).stem: Path(name).stem}
        texts |= {name: number for (_, name), number in speakers.items()} | ids
        words = _own_words()
        texts = {text: name for text, name in texts.items() if _is_name(text) and text not in words}
        return cls(ids, speakers, files, texts)

    def utterance(self, row: Utterance) -> Utterance:
        """The same speech under a pseudonym; its path stays, so that it can be read."""
        speaker = None if row.speaker is None else self.speakers[row.corpus, row.speaker]
        return replace(row, id=self.ids[row.id], speaker=speaker, text=None)

    def clean(self, value: Cleaned) -> Cleaned:
        """A record, a request or plain values with pseudonyms in every text; folders of this machine are left out."""
        names = {text for whole in _texts_in(value) for text in self._in(whole)}
        pattern = re.compile("|".join(_bounded(text) for text in sorted(names, key=len, reverse=True)) or r"(?!)")

        def cleaned(text: str) -> str:
            return portable(pattern.sub(lambda match: self.texts[match[0]], text))

        result: Cleaned = _mapped(value, cleaned)
        return result

    def _in(self, whole: str) -> list[str]:
        return [text for text in self.texts if text in whole]


def redacted_scores(scores: Iterable[Score], utterances: Sequence[Utterance]) -> list[Score]:
    """Rows of scores with pseudonyms for speakers and corpora of one's own; the run is called "redacted"."""
    names = Pseudonyms.of(utterances)
    people = {
        label: str(names.utterance(row).speaker)
        for row, label in zip(utterances, person_labels(utterances))
        if label is not None
    }
    rows = []
    for row in scores:
        measure = row.measure
        if measure.startswith(BY_SPEAKER):
            measure = BY_SPEAKER + people[measure.removeprefix(BY_SPEAKER)]
        rows.append(replace(row, measure=measure, run="redacted"))
    return list(names.clean(tuple(rows)))


def redacted_predictions(rows: Iterable[Prediction]) -> Iterator[Prediction]:
    """The rows with "recording 3.wav" for the third file, and "recording 3@1.5" for its row from 1.5 s."""
    numbers: dict[str, int] = {}
    for row in rows:
        number = numbers.setdefault(row.path or row.id, len(numbers) + 1)
        channel = "" if row.channel is None else f"#{row.channel}"
        name = f"recording {number}"
        yield replace(
            row, id=f"{name}@{row.start:g}{channel}", path=f"{name}{_audio_suffix(row.path)}",
            reason=_without_path(row),
        )  # fmt: skip


def recording_names(rows: Iterable[Prediction]) -> dict[str, str]:
    """What `redacted_predictions` calls each recording, without its ending, by its path or, without one, its id."""
    return _numbered("recording", (row.path or row.id for row in rows))


def _without_path(row: Prediction) -> str:
    return portable(row.reason.replace(row.path, "the file").replace(row.id, "it")) if row.path else row.reason


def _places_of(request: Any) -> Iterator[tuple[str, Sequence[str]]]:
    """The options of a request that name places, where they were given, and what they hold."""
    values = {} if request is None else flat_values(request)
    for option, value in values.items():
        item = options_of_record(type(request))[option][1]
        if item.metadata["place"] and value != item.default:
            yield option, value if isinstance(value, tuple) else (value,)


def _place_names(option: str, paths: Sequence[str]) -> dict[str, str]:
    """Paths, their last parts, and these without their endings, each with the name in its stead."""
    names: dict[str, str] = {}
    for number, path in enumerate(filter(None, paths), 1):
        name = option if len(paths) == 1 else f"{option}-{number}"
        last = os.path.basename(os.path.normpath(path))
        stem, suffix = os.path.splitext(last)
        names |= dict.fromkeys((path, os.path.abspath(path), last), f"{name}{suffix}") | {stem: name}
    return names


def _numbered(noun: str, names: Iterable[Any]) -> dict[Any, str]:
    """Each different name with the noun and a number, in the order in which they come."""
    return {name: f"{noun} {number}" for number, name in enumerate(dict.fromkeys(names), 1)}


def _audio_suffix(path: str) -> str:
    """The ending of an audio file; "" for another one, which may be anything: "tape 3.Smith"."""
    suffix = os.path.splitext(path)[1]
    return suffix if suffix.lower() in AUDIO_SUFFIXES else ""


@cache
def _own_words() -> frozenset[str]:
    """What records and settings themselves may hold, as "anger" or "target": it names nobody, whoever is called so.

    A file anger.wav must not rename an emotion, nor a speaker called "speaker" a choice of an option.
    """
    choices = (word for kind in (Adapt, Budget) for name in options_of_record(kind) for word in choices_of(name, kind))
    plugins = (word for kind in ("methods", "heads", "encoders", "measures") for word in registry.names(kind))
    values = {*EMOTIONS, *ATTRIBUTES, *GENDERS.values(), *SIDES_AND_SPLITS, *choices, *plugins}
    return frozenset(values) | {part for word in values for part in re.findall(r"\w+", word)}


def _is_name(text: str) -> bool:
    return len(text) >= SHORTEST and not text.isdecimal()


def _bounded(text: str) -> str:
    return rf"(?<!\w){re.escape(text)}(?!\w)"


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in _parts(value):
        yield from _texts_in(part)


def _parts(value: Any) -> Iterable[Any]:
    if is_dataclass(value):
        return [getattr(value, item.name) for item in fields(value)]
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, (tuple, list)) else ()


def _mapped(value: Any, change: Any) -> Any:
    """The same value with every text changed."""
    if isinstance(value, str):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {item.name: _mapped(getattr(value, item.name), change) for item in fields(value) if item.init}
        return replace(value, **changed)
    if isinstance(value, Mapping):
        return {_mapped(key, change): _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_mapped(item, change) for item in value)
    return value
