"""From the raw rows of a table, or of another tool's files, to utterances: what every scan and import shares.

A reader that takes a parameter `intake` hands its raw rows to it; one that reads a table takes `table`, too.
`open_reading` gives such a reader the options of `Intake` and of `columns.TableOptions` beside its own, and counts what
came out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emobridge.data.columns import TableOptions
from emobridge.data.labels import UnknownLabel, to_emotion
from emobridge.data.manifest import to_utterance
from emobridge.errors import UserError, count_noun, unknown
from emobridge.options import Pairs, pairs, parameters_of, typed_options
from emobridge.types import Utterance, person

OTHERS = ("error", "drop", "other")
LOST_WITHOUT_SPEAKERS = "about 5 points of UA"  # measured on this project's corpora: by speaker against by corpus


class Intake:
    """Makes utterances of raw rows, and counts what it could not use.

    labels: raw label -> emotion, as a mapping or as text: "W=anger,exc=happiness".
    others: what becomes of an utterance whose label is not known. "error": all such labels are named in one error after
    the last row; "drop": it is left out; "other": it gets the emotion "other".
    language, corpus: used instead of those of the rows. root: the folder that relative audio paths start from, instead
    of the reader's own.
    Errors: UserError for an emotion in `labels` that is not known, and for an unknown choice of `others`.
    """

    def __init__(
        self,
        *,
        labels: Pairs = None,
        others: str = "error",
        language: str | None = None,
        corpus: str | None = None,
        root: str | None = None,
    ) -> None:
        if others not in OTHERS:
            raise unknown("choice of others", others, OTHERS)
        self.labels = pairs(labels, "labels")
        for emotion in self.labels.values():
            to_emotion(emotion)
        self.others, self.language, self.corpus, self.root = others, language, corpus, root
        self.rows = 0  # raw rows so far
        self.unknown_labels: Counter[str] = Counter()
        self.notes: list[str] = []  # what the reader did that the user should know, such as "ignored columns: notes"
        self._ids: set[str] = set()
        self._first_error = ""  # that names the first unknown label, and where it stands

    def utterances(
        self, values: dict[str, Any], where: str, folder: str, labels: Mapping[str, str] | None = None
    ) -> Iterator[Utterance]:
        """The utterance of a raw row; nothing where its label is not known.

        values: column of a manifest -> raw value. where: `file:row`, for errors. folder: what relative paths start
        from. labels: what the data set itself says that its labels mean; the user's mapping goes before it.
        Errors: UserError as `data.manifest.to_utterance`.
        """
        self.rows += 1
        values["language"] = self.language or values.get("language")
        values["corpus"] = self.corpus or values.get("corpus")
        try:
            values["emotion"] = to_emotion(values.get("emotion"), {**labels, **self.labels} if labels else self.labels)
        except UnknownLabel as error:
            self._first_error = self._first_error or f"{where}: {error}"
            self.unknown_labels[error.label] += 1
            if self.others != "other":
                return
            values["emotion"] = "other"
        yield to_utterance(values, where, self.root or folder, self._ids)

    def check(self) -> None:
        """After the last row. Errors: UserError that names all unknown labels, unless `others` deals with them."""
        if not self.unknown_labels or self.others != "error":
            return
        if len(self.unknown_labels) == 1:
            raise UserError(self._first_error)
        counts = ", ".join(f"{label!r} ({count})" for label, count in self.unknown_labels.most_common())
        raise UserError(f"{self._first_error}; all unknown labels: {counts}")


SHARED: dict[str, Callable[..., Any]] = {"intake": Intake, "table": TableOptions}  # parameter of a reader -> its record


class Reading(Iterator[Utterance]):
    """The utterances of a scan or import, counted as they pass."""

    def __init__(self, utterances: Iterator[Utterance], intake: Intake) -> None:
        self.intake = intake
        self._utterances = utterances
        self._labelled = self._nameless = self._count = 0
        self._speakers: set[str] = set()
        self._languages: set[str] = set()

    def __next__(self) -> Utterance:
        try:
            utterance = next(self._utterances)
        except StopIteration:
            self.intake.check()
            raise
        self._count += 1
        self._labelled += utterance.emotion is not None
        self._languages.add(utterance.language)
        speaker = person(utterance)
        if speaker is None:
            self._nameless += 1
        else:
            self._speakers.add(speaker)
        return utterance

    def lines(self) -> list[str]:
        """What was read, for a terminal: a line of counts, then what the reader did that the user should know."""
        languages = self._languages - {"und"}
        facts = f"{self._labelled:,} labelled, {count_noun(len(self._speakers), 'speaker')}"
        facts += f", {count_noun(len(languages), 'language')}" if languages else ", language not known"
        lines = [f"{count_noun(self._count, 'utterance')}; {facts}", *self.intake.notes]
        if self._nameless:
            lines.append(speakers_note(self._nameless, self._count))
        if not languages:
            lines.append(
                "the language is not known: published numbers and routers need it, such as --option language=de"
            )
        return lines


def open_reading(
    thing: str, reader: Callable[..., Iterator[Utterance]], path: Path, options: Mapping[str, Any]
) -> Reading:
    """The utterances that `reader` finds at `path`; `thing` names it in errors, such as "the corpus 'table'".

    Errors: UserError for an unknown option, or a value that it cannot have.
    """
    parameters = parameters_of(reader)
    shared = {name: parameters_of(kind) for name, kind in SHARED.items() if parameters.pop(name, None) is not None}
    for group in shared.values():
        parameters = {**parameters, **group}
    values = typed_options(thing, options, parameters)
    groups: dict[str, Any] = {
        name: SHARED[name](**{option: values.pop(option) for option in tuple(values) if option in group})
        for name, group in shared.items()
    }
    return Reading(iter(reader(path, **values, **groups)), groups.get("intake") or Intake())


def speakers_note(nameless: int, count: int) -> str:
    """What it costs that the speakers of some utterances are not known, and how to tell them."""
    return (
        f"the speakers of {nameless:,} of {count:,} utterances are not known: this costs {LOST_WITHOUT_SPEAKERS}, as "
        "measured in this project, and there is no interval over speakers; to tell them: `scan folder DIR --speaker "
        "folder` (or file, channel, a pattern), or a column 'speaker' in a table"
    )
