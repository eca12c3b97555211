"""Answers of listeners in tables that other tools write: webMUSHRA, jsPsych, and a plain table with a row an answer.

- webMUSHRA (audiolabs/webMUSHRA, service/write.php) appends a row an answer to lss.csv or lms.csv: session_test_id, the
  questions to the participant by their own names, trial_id, stimuli_rating (several: stimuli_rating1 ...; in older
  versions with spaces around it), stimuli, rating_time. Nothing else names the session: its participant's answers do.
- jsPsych (jspsych.org, "Data storage") writes a row a trial as CSV or a JSON list, with trial_type, trial_index,
  time_elapsed, the trial's stimulus and response: the number of a button, a word, or an object of a survey;
  in version 6 button_pressed and responses. A file holds one participant, or a column tells which.
- a plain table has listener, item and emotion, and may have start, end (s), confidence (0 to 1), native, group,
  languages, and the truth with the item's language; the export of emobridge's own server is such a table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobridge.data.column_names import fold_name
from emobridge.data.tables import OpenedTable, open_table
from emobridge.errors import UserError, nearest

ANSWER_COLUMNS: Mapping[str, tuple[str, ...]] = {  # folded names of columns, by what they hold
    "listener": (
        "listener", "listenerid", "participant", "participantid", "subject", "subjectid", "rater", "raterid",
        "annotator", "annotatorid", "worker", "workerid", "prolificpid", "respondent", "user", "userid", "sessionuuid",
    ),
    "item": (
        "item", "itemid", "utterance", "utteranceid", "stimulus", "stimuli", "file", "filename", "audio", "clip",
        "recording", "path",
    ),
    "emotion": ("emotion", "answer", "response", "label", "choice", "rating", "perceived", "perceivedemotion"),
    "start": ("start", "segmentstart", "starts"),
    "end": ("end", "segmentend", "ends"),
    "confidence": ("confidence", "certainty"),
    "native": ("native", "nativelanguage", "mothertongue", "firstlanguage", "l1"),
    "languages": ("languages", "otherlanguages", "secondlanguages", "l2", "questionlanguages"),
    "english": ("english", "questionenglish"),
    "group": ("group", "listenergroup"),
    "state": ("state",),
    "kind": ("kind", "itemkind"),
    "truth": ("truth", "trueemotion", "intended", "intendedemotion", "target"),
    "language": ("language", "itemlanguage", "lang"),
}  # fmt: skip
NEEDED = ("listener", "item", "emotion")
ALL_ANSWER_COLUMNS = frozenset(name for names in ANSWER_COLUMNS.values() for name in names)
WEB_MUSHRA, JS_PSYCH, PLAIN_TABLE = "webMUSHRA", "jsPsych", "plain"
_RATING = re.compile(r"stimuli_rating\d*")
_MUSHRA_OWN = frozenset({"session_test_id", "session_uuid", "trial_id", "stimuli", "rating_time"})
_PEOPLE = (
    "name",
    "email",
    "mail",
    "emailaddress",
    "id",
    "code",
    "participantname",
)  # folded columns that tell who it is
_OF_LISTENERS = ("native", "group", "languages", "english")
_SOURCE = re.compile(r"""\bsrc\s*=\s*["']([^"'<>]+)["']""", re.IGNORECASE)  # of a recording in HTML


@dataclass(frozen=True, slots=True)
class TableAnswer:
    """A row of a table, before its item and its emotion are looked up; texts as they stand there."""

    where: str  # "file:line", for messages
    listener: str  # whatever tells listeners of a file apart; it goes no further than the reader
    stimuli: tuple[str, ...]  # what may name the item, the likeliest first
    word: str  # the answer; "" is none
    button: int | None = None  # the number of the button, from 0, where the answer is no word
    values: Mapping[str, str] | None = None  # further columns, by the keys of ANSWER_COLUMNS
    is_trial: bool = False  # of an experiment, which has trials without a recording too


def table_answers(path: Path) -> Iterator[TableAnswer]:
    """The answers in a table, whichever tool wrote it.

    Errors: UserError that names the file, and the line or the column, for what is no such table.
    """
    if not path.stat().st_size:
        raise UserError(f"{path}: is empty; expected a table of answers")
    table = open_table(path, is_name=lambda name: fold_name(name) in ALL_ANSWER_COLUMNS)
    readers: dict[str, Callable[[OpenedTable], Iterator[TableAnswer]]] = {
        WEB_MUSHRA: _web_mushra,
        JS_PSYCH: _js_psych,
        PLAIN_TABLE: _plain,
    }
    return readers[_layout(table)](table)


def _layout(table: OpenedTable) -> str:
    names = set(table.columns)
    if "session_test_id" in names:
        if not any(map(_RATING.fullmatch, names)):
            holds = ", ".join(sorted(name for name in names if name.startswith(("rating_", "choice_"))))
            raise UserError(
                f"{table.path}: webMUSHRA's answers of another kind ({holds or 'no ratings'}); expected lss.csv or "
                "lms.csv, whose column stimuli_rating holds the emotion"
            )
        return WEB_MUSHRA
    if {"trial_type", "trial_index"} <= names:
        return JS_PSYCH
    columns = _columns(table.columns)
    for field in NEEDED:
        if field not in columns:
            guess = nearest(field, table.columns, cutoff=0.6)
            hint = f" (is it {guess!r}?)" if guess else ""
            raise UserError(
                f"{table.path}: no column {field!r}{hint}; expected {', '.join(NEEDED)}, or a table of webMUSHRA or "
                f"jsPsych (there are {', '.join(table.columns[:12]) or 'no columns'})"
            )
    return PLAIN_TABLE


def _columns(names: tuple[str, ...]) -> dict[str, str]:
    """The column of each key of ANSWER_COLUMNS: of several the one whose name stands first there."""
    folded = {fold_name(name): name for name in reversed(names)}
    columns = {}
    for field, spellings in ANSWER_COLUMNS.items():
        column = next((folded[spelling] for spelling in spellings if spelling in folded), None)
        if column is not None:
            columns[field] = column
    return columns


def _plain(table: OpenedTable) -> Iterator[TableAnswer]:
    columns = _columns(table.columns)
    further = {field: name for field, name in columns.items() if field not in NEEDED}
    for line, row in table.rows():
        values = _values(row, further)
        if table.dialect.decimal_comma:
            values |= {key: values[key].replace(",", ".") for key in ("start", "end", "confidence") if key in values}
        listener, item, word = (_text(row.get(columns[field])) for field in NEEDED)
        yield TableAnswer(f"{table.path}:{line}", listener, (item,), word, values=values)


def _web_mushra(table: OpenedTable) -> Iterator[TableAnswer]:
    """Sessions stand one after the other, and only the participant's own answers tell them apart.

    Where these hold no name or address, people may agree in them: a session then ends where they change or an item
    comes again.
    """
    ratings = [name for name in table.columns if _RATING.fullmatch(name)]
    questions = [name for name in table.columns if name not in _MUSHRA_OWN and name not in ratings]
    names_people = any(
        fold_name(name) in (*ANSWER_COLUMNS["listener"], *_PEOPLE) for name in (*questions, *table.columns)
    )
    further = {field: name for field, name in _columns(tuple(questions)).items() if field in _OF_LISTENERS}
    session, last, items = 0, "", set[tuple[str, str]]()
    for line, row in table.rows():
        item = _text(row.get("trial_id")), _text(row.get("stimuli"))
        participant = json.dumps([_text(row.get(name)) for name in ("session_uuid", *questions)])
        if not names_people:
            if participant != last or item in items:
                session, last, items = session + 1, participant, set()
            items.add(item)
            participant = f"session {session}"
        words = [_text(row.get(name)) for name in ratings]
        word = next((text for text in words if text and _number(text) is None), next(filter(None, words), ""))
        yield TableAnswer(f"{table.path}:{line}", participant, item, word, values=_values(row, further))


def _js_psych(table: OpenedTable) -> Iterator[TableAnswer]:
    """Trials that show no recording, and whose data name none, have an empty `stimuli`."""
    columns = _columns(tuple(name for name in table.columns if name not in ("response", "responses", "stimulus")))
    names = [columns["item"]] if "item" in columns else []
    further = {field: columns[field] for field in _OF_LISTENERS if field in columns}
    run, last = 0, -1.0
    for line, row in table.rows():
        index = _number(row.get("trial_index"))
        if index is not None:
            run, last = run + (index <= last), index
        listener = _text(row.get(columns["listener"])) if "listener" in columns else ""
        stimuli = tuple(text for name in (*names, "stimulus") for text in _sources(_lone(row.get(name))))
        answers = [row[key] for key in ("response", "button_pressed", "responses") if row.get(key) not in (None, "")]
        word, button = _answer(answers[0] if answers else "", row.get("choices"))
        who = listener or f"{table.path}: run {run}"
        yield TableAnswer(f"{table.path}:{line}", who, stimuli, word, button, _values(row, further), True)


def _answer(answer: Any, choices: Any) -> tuple[str, int | None]:
    """The word of a trial's response, or the number of its button; that of a survey is its only question's."""
    if isinstance(answer, str) and answer[:1] in "{[":
        answer = _parsed(answer)
    if isinstance(answer, Mapping):
        values = {fold_name(str(key)): value for key, value in answer.items()}
        named = [values[name] for name in ANSWER_COLUMNS["emotion"] if name in values]
        answer = (named or (list(values.values()) if len(values) == 1 else [""]))[0]
    number = _number(answer)
    if number is None or number != int(number):
        return _text(answer), None
    labels = _parsed(choices) if isinstance(choices, str) else choices
    if isinstance(labels, list) and 0 <= number < len(labels):
        return _text(labels[int(number)]), None
    return "", int(number)


def _lone(value: Any) -> str:
    """A stimulus, also in a list of its own."""
    value = _parsed(value) if isinstance(value, str) and value[:1] == "[" else value
    return _text(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _sources(stimulus: str) -> tuple[str, ...]:
    """What a stimulus plays: itself, or the sources in its HTML."""
    if not stimulus:
        return ()
    return (*(_SOURCE.findall(stimulus) if "<" in stimulus else ()), stimulus)


def _parsed(text: str) -> Any:
    """The value of a cell that holds JSON; the text where it holds none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _values(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    return {field: _text(row.get(name)) for field, name in columns.items()}


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (list, dict)) else str(value).strip()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e9 else None
