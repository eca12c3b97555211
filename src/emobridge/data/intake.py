"""From the raw rows of a table, or of another tool's files, to utterances: what every scan and import shares.

A reader that takes a parameter `intake` hands its raw rows to it; one that reads a table takes `table`, too.
`open_reading` gives such a reader the options of `Intake` and of `columns.TableOptions` beside its own, and counts what
came out.
"""

from __future__ import annotations

import shlex
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emobridge.data.columns import TableOptions
from emobridge.data.labels import EMOTIONS, NO_LABEL, UnknownLabel, to_emotion
from emobridge.data.manifest import to_utterance
from emobridge.errors import UserError, count_noun, unknown
from emobridge.languages import language_tag
from emobridge.options import Pairs, joined_pairs, pairs, parameters_of, typed_options
from emobridge.types import Utterance, person

OTHERS = ("error", "drop", "other", "unlabelled")
# As measured: docs/results/semi-supervised.md, "Speakers that are not known".
LOST_WITHOUT_SPEAKERS = "about 5 points of UA (0 to 11, as measured on two corpora)"
SHOWN = 10  # unknown labels that are named; the others are counted
LONGEST_SHOWN = 40  # letters of a label; a longer one is cut
MOST_EXPLAINED = 1000  # different unknown labels that can be explained; others are only counted


class Intake:
    """Makes utterances of raw rows, and counts what it could not use.

    labels: raw label -> emotion, as a mapping or as text, "W=anger,exc=other"; "xxx=unlabelled" takes a label away. A
    comma, an equals sign or a backslash within a label has a backslash before it.
    others: what becomes of an utterance whose label is not known. "error": all such labels are named in one error after
    the last row; "drop": it is left out; "other": it gets the emotion "other"; "unlabelled": it has none.
    language, corpus: used instead of those of the rows; a language is a BCP 47 tag or a name. root: the folder that
    relative audio paths start from, instead of the reader's own.
    Errors: UserError for an emotion in `labels` that is not known, an unknown choice of `others`, and what is no
    language.
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
        self.language = language_tag(language) if language else None
        for label, emotion in self.labels.items():
            try:
                to_emotion(emotion, language=self.language or "und")
            except UserError as error:
                raise UserError(f"labels: {label}={emotion}: {error}") from error
        self.others, self.corpus, self.root = others, corpus, root
        self.rows = 0  # raw rows so far
        self.unknown_labels: Counter[str] = Counter()
        self.notes: list[str] = []  # what the reader did that the user should know, such as "ignored columns: notes"
        self._ids: set[str] = set()
        self._examples: dict[str, UnknownLabel] = {}  # the first of each of `unknown_labels`
        self._first = ""  # where the first unknown label stands

    def utterances(
        self, values: dict[str, Any], where: str, folder: str, labels: dict[str, str] | None = None
    ) -> Iterator[Utterance]:
        """The utterance of a raw row; nothing where its label is not known.

        values: column of a manifest -> raw value. where: `file:row`, for errors. folder: what relative paths start
        from. labels: what the data set itself says that its labels mean; the user's mapping goes before it.
        Errors: UserError as `data.manifest.to_utterance`.
        """
        self.rows += 1
        values["corpus"] = self.corpus or values.get("corpus")
        values["language"] = self.language or _language(values.get("language"), where)
        spoken = values["language"] if isinstance(values["language"], str) else "und"
        label = _label(values.get("emotion"), where)
        mapping = ChainMap(self.labels, labels) if labels else self.labels
        try:
            values["emotion"] = to_emotion(label, mapping, spoken)
        except UnknownLabel as error:
            self._first = self._first or where
            if error.label not in self._examples and len(self._examples) < MOST_EXPLAINED:
                self._examples[error.label] = error.with_traceback(None)
            self.unknown_labels[error.label] += 1
            if self.others in ("error", "drop"):
                return
            values["emotion"] = self.others
        yield to_utterance(values, where, self.root or folder, self._ids)

    def check(self) -> None:
        """After the last row. Errors: UserError that names the unknown labels, how often each stands there and what to
        do, unless `others` says it; and where they are left out and no row remains.
        """
        count = len(self.unknown_labels)
        plural = f"{count:,} unknown emotion labels:" if count > 1 else "unknown emotion label"
        message = f"{self._first}: {plural} {self._named_labels(explain=True)}. "
        if count and self.others == "drop" and self.unknown_labels.total() == self.rows:
            raise UserError(f"{message}With others=drop no row remains")
        if not count or self.others != "error":
            return
        message += "Leave their rows out: --option others=drop. "
        if count > SHOWN or any(len(label) > LONGEST_SHOWN or not label.isprintable() for label in self.unknown_labels):
            raise UserError(f"{message}Is it the column of the emotions?")
        meanings = {label: self._examples[label].guess or "other" for label, _ in self.unknown_labels.most_common()}
        option = shlex.quote(f"labels={joined_pairs(self.labels | meanings)}")
        raise UserError(
            f"{message}Or say what they mean: --option {option} (an emotion is {', '.join(EMOTIONS)}; "
            f"{NO_LABEL} takes the label away)"
        )

    def lines(self) -> list[str]:
        """What became of unknown labels, and the reader's notes."""
        if not self.unknown_labels:
            return self.notes
        verb = {"drop": "left out", "other": "took for 'other'"}.get(self.others, "took for unlabelled")
        count = count_noun(self.unknown_labels.total(), "utterance")
        return [f"{verb} {count} with unknown labels: {self._named_labels()}", *self.notes]

    def _named_labels(self, *, explain: bool = False) -> str:
        """The most frequent unknown labels with their counts, and what is known of them if asked to explain."""
        names = []
        for label, count in self.unknown_labels.most_common(SHOWN):
            shown = label if len(label) <= LONGEST_SHOWN else f"{label[: LONGEST_SHOWN - 1]}…"
            is_explained = explain and shown == label and label in self._examples
            reason = self._examples[label].reason() if is_explained else ""
            names.append(f"{shown!r} ({count:,}{f', {reason}' if reason else ''})")
        others = len(self.unknown_labels) - SHOWN
        return ", ".join(names) + (f" and {others:,} more" if others > 0 else "")


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

    def __repr__(self) -> str:
        return f"<Reading: {count_noun(self._count, 'utterance')} so far>"

    def lines(self) -> list[str]:
        """What was read, for a terminal: a line of counts, then the lines of the intake."""
        languages = self._languages - {"und"}
        facts = f"{self._labelled:,} labelled, {count_noun(len(self._speakers), 'speaker')}"
        facts += f", {count_noun(len(languages), 'language')}" if languages else ", language not known"
        lines = [f"{count_noun(self._count, 'utterance')}; {facts}", *self.intake.lines()]
        if self._nameless:
            lines.append(speakers_note(self._nameless, self._count))
        if not languages:
            lines.append("no language is known: published numbers and routers need it; tell it: --option language=de")
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
        f"the speakers of {nameless:,} of {count:,} utterances are not known: this costs {LOST_WITHOUT_SPEAKERS}, "
        "and there is no interval over speakers; to tell them: `scan folder DIR --speaker folder` (or file, channel, a "
        "pattern), or a column 'speaker' in a table"
    )


def _language(value: Any, where: str) -> Any:
    """The tag of a language in a row; what is no text is left for `to_utterance` to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return language_tag(value) if value.strip() else None
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _label(value: Any, where: str) -> str | None:
    """The label in a row as text; whole numbers are codes of a corpus. Errors: UserError for what is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if value != value else f"{value:g}" if isinstance(value, float) else str(value)  # NaN is no label
    if value is not None and not isinstance(value, str):
        raise UserError(f"{where}: 'emotion' is {value!r}; expected text")
    return value
