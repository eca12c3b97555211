"""The study file: a listening test as JSON that people read, in a folder with its recordings.

    STUDY/study.json            the study: what is asked, and the items
    STUDY/audio/ITEMID.wav      what is heard; no name tells what it is
    STUDY/answers.sqlite        what listeners answered (the server's)

Title, consent, questions, rules and texts may be changed by hand; items may not, once answers belong to them: `digest`
in the file is that of the items and emotions, and tells whether they are those that were drawn.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import wave
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from emobridge.data.labels import EMOTIONS
from emobridge.errors import UserError, unknown
from emobridge.files import read_json, unreadable, whole_file
from emobridge.listening.catalogue import INTERFACES
from emobridge.listening.dialect import DIALECT_EMOTIONS, DIALECT_WORDS
from emobridge.listening.questions import CEFR_LEVELS, QUESTIONS, known_tag, operators_of
from emobridge.listening.records import ITEM_KINDS, ListeningItem, ListeningStudy, Question, Rule
from emobridge.settings import CONTROL, from_mapping

STUDY_FILE, AUDIO_FOLDER, ANSWERS_FILE = "study.json", "audio", "answers.sqlite"
STUDY_FORMAT = 1
_LARGEST_FILE = 16 << 20  # bytes of a study file
MOST_ITEMS = 10_000
_LONGEST_TITLE, _LONGEST_TEXT = 200, 20_000  # characters of a name or title, and of a consent
_LONGEST_ITEM = 600.0  # s
_TOLERANCE = 0.05  # s by which a file's length may differ from its item's
_ITEM_ID = re.compile(r"[a-z0-9]{1,40}")
_AUDIO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}\.wav")


def write_study_file(folder: str | Path, study: ListeningStudy) -> Path:
    """Write the study file of a folder, whole or not at all; its path. Errors: UserError as `check_listening_study`."""
    path = Path(folder) / STUDY_FILE
    check_listening_study(study, str(path))
    study = replace(study, title=dict(study.title), consent=dict(study.consent))
    values = {"format": STUDY_FORMAT, "digest": study_digest(study), **asdict(study)}
    values["items"] = values.pop("items")  # last: they are many
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def read_study(folder: str | Path) -> ListeningStudy:
    """The study of a folder; recordings are not looked at, see `check_recordings`.

    Errors: UserError that names the file, the item, question or rule, and what was expected: for a study without items,
    an unknown emotion, two items of one id, a name with a path in it, a rule about what is not asked, wrong types,
    items that are not those which were drawn.
    """
    folder = Path(folder)
    path = folder / STUDY_FILE
    if folder.is_file():
        raise UserError(f"{folder}: is a file; expected the folder of a study, with {STUDY_FILE} in it")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; `emobridge listening new` makes a study")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if size > _LARGEST_FILE:
        raise UserError(f"{path}: is {size:,} bytes; expected {_LARGEST_FILE:,} at most")
    values = _mapping(read_json(path), str(path))
    study = _study(values, str(path))
    check_listening_study(study, str(path))
    if values.get("digest") != study_digest(study):
        raise UserError(
            f"{path}: digest: its items or emotions are not those that were drawn, and answers belong to those; "
            "make another study with `emobridge listening new`"
        )
    return study


def study_digest(study: ListeningStudy) -> str:
    """A hash of what answers belong to, the emotions and the items: 16 hexadecimal digits."""
    values = [study.emotions, [asdict(item) for item in study.items]]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def check_recordings(folder: str | Path, study: ListeningStudy) -> None:
    """Check that each item's recording is there, is a WAV file, and as long as the study file says.

    Errors: UserError that names the first recording for which this is not so.
    """
    for item in study.items:
        path = Path(folder) / AUDIO_FOLDER / item.audio
        if path.is_symlink() or not path.is_file():
            raise UserError(f"{path}: no such recording; the study plays it as item {item.id}")
        try:
            with wave.open(str(path), "rb") as file:
                seconds = file.getnframes() / file.getframerate()
                size = file.getnframes() * file.getnchannels() * file.getsampwidth()
        except (wave.Error, EOFError, OSError, ZeroDivisionError) as error:
            raise UserError(f"{path}: is no WAV file ({' '.join(str(error).split()) or 'cut short'})") from error
        if path.stat().st_size < size:
            raise UserError(f"{path}: is cut short: {path.stat().st_size:,} bytes; its head says {size:,} of sound")
        if abs(seconds - item.seconds) > _TOLERANCE:
            raise UserError(f"{path}: is {seconds:.2f} s long; the study file says {item.seconds:.2f} s")


def check_listening_study(study: ListeningStudy, where: str) -> None:
    """Check what a study holds. where: begins the errors. Errors: UserError as `read_study`."""
    _check_texts(study, where)
    for emotion in study.emotions:
        if emotion not in EMOTIONS:
            raise UserError(f"{where}: emotions: {unknown('emotion', emotion, EMOTIONS)}")
    if len(study.emotions) < 2 or len(set(study.emotions)) < len(study.emotions):
        raise UserError(f"{where}: emotions: expected two or more different ones, got {', '.join(study.emotions)}")
    if study.seed < 0:
        raise UserError(f"{where}: seed: expected 0 or more, got {study.seed}")
    if not 1 <= study.block <= MOST_ITEMS:
        raise UserError(f"{where}: block: expected 1 item or more between two breaks, got {study.block}")
    if not any(item.kind == "item" for item in study.items):
        raise UserError(f"{where}: items: expected at least one of the kind 'item', got none")
    if len(study.items) > MOST_ITEMS:
        raise UserError(f"{where}: items: expected {MOST_ITEMS:,} at most, got {len(study.items):,}")
    ids: set[str] = set()
    files: set[str] = set()
    for item in study.items:
        _check_item(item, study.emotions, f"{where}: item {item.id!r}")
        if item.id in ids:
            raise UserError(f"{where}: two items have the id {item.id!r}")
        if item.audio in files:
            raise UserError(f"{where}: two items play {item.audio!r}")
        ids.add(item.id)
        files.add(item.audio)
    check_questions(study.questions, study.rules, where)


def check_questions(questions: Sequence[Question], rules: Sequence[Rule], where: str) -> None:
    """Check a questionnaire and its rules. Errors: UserError that begins with `where`."""
    known = {question.name: question for question in QUESTIONS}
    by_name: dict[str, Question] = {}
    for question in questions:
        if question.name not in known:
            raise UserError(f"{where}: {unknown('question', question.name, known)}")
        if question.name in by_name:
            raise UserError(f"{where}: the question {question.name!r} is asked twice")
        standard = known[question.name]
        if question.kind != standard.kind:
            raise UserError(f"{where}: question {question.name!r}: {unknown('kind', question.kind, [standard.kind])}")
        for choice in question.choices:
            if choice not in standard.choices:
                raise UserError(
                    f"{where}: question {question.name!r}: {unknown('choice', choice, standard.choices or ['none'])}"
                )
        if question.kind == "choice" and len(set(question.choices)) < max(2, len(question.choices)):
            raise UserError(f"{where}: question {question.name!r}: expected two or more different choices")
        by_name[question.name] = question
    for number, rule in enumerate(rules, 1):
        _check_rule(rule, by_name, f"{where}: rule {number}")


def _check_rule(rule: Rule, questions: Mapping[str, Question], where: str) -> None:
    if rule.question not in questions:
        raise UserError(f"{where}: {unknown('question', rule.question, questions)}; it is not asked")
    question = questions[rule.question]
    operators = operators_of(question)
    if rule.operator not in operators:
        raise UserError(f"{where} about {rule.question!r}: {unknown('operator', rule.operator, operators)}")
    if rule.group:
        _tag(rule.group, f"{where}: group")
        if "native" not in questions:
            raise UserError(f"{where}: group: groups are native languages; the question 'native' is not asked")
    where = f"{where} about {rule.question!r}: value"
    if rule.operator == "at least":
        is_level = rule.value in [(level,) for level in CEFR_LEVELS] and question.name == "english"
        is_number = isinstance(rule.value, float) and math.isfinite(rule.value)
        if not (is_level or is_number):
            raise UserError(f"{where}: expected a number{', or a level such as C1' * (question.name == 'english')}")
        return
    if not isinstance(rule.value, tuple) or not rule.value:
        raise UserError(f"{where}: expected a list of {'choices' if question.kind == 'choice' else 'languages'}")
    for value in rule.value:
        if question.kind == "choice":
            if value not in question.choices:
                raise UserError(f"{where}: {unknown('choice', value, question.choices)}")
            continue
        tag, colon, level = value.partition(":")
        _tag(tag, where)
        if colon and (question.kind != "languages" or level not in CEFR_LEVELS):
            raise UserError(f"{where}: {unknown('level', level, CEFR_LEVELS)}")


def _check_item(item: ListeningItem, emotions: Sequence[str], where: str) -> None:
    if not _ITEM_ID.fullmatch(item.id):
        raise UserError(f"{where}: expected an id of 1 to 40 lower-case letters and digits")
    if not _AUDIO.fullmatch(item.audio):
        raise UserError(f"{where}: audio: expected the name of a .wav file without a path, got {item.audio!r}")
    if item.kind not in ITEM_KINDS:
        raise UserError(f"{where}: {unknown('kind', item.kind, ITEM_KINDS)}")
    is_word = item.emotion in DIALECT_WORDS and DIALECT_EMOTIONS[item.emotion] in emotions and item.kind == "item"
    if item.emotion not in emotions and not is_word:
        raise UserError(f"{where}: {unknown('emotion', item.emotion, emotions)}")
    if not 0 < item.seconds <= _LONGEST_ITEM:
        raise UserError(f"{where}: seconds: expected more than 0 and {_LONGEST_ITEM:g} at most, got {item.seconds}")
    if item.language != "und":
        _tag(item.language, f"{where}: language")
    ends = item.segment
    if ends is not None and not (len(ends) == 2 and 0 <= ends[0] < ends[1] <= item.seconds + _TOLERANCE):
        raise UserError(f"{where}: segment: expected its start and end in the {item.seconds:g} s of the recording")


def _check_texts(study: ListeningStudy, where: str) -> None:
    if not study.name.strip() or len(study.name) > _LONGEST_TITLE or not study.name.isprintable():
        raise UserError(f"{where}: name: expected a line of {_LONGEST_TITLE} characters at most")
    for language in study.interface:
        if language not in INTERFACES:
            raise UserError(f"{where}: interface: {unknown('language of the pages', language, INTERFACES)}")
    if not study.interface or len(set(study.interface)) < len(study.interface):
        raise UserError(f"{where}: interface: expected different languages, got {', '.join(study.interface) or 'none'}")
    for key, texts, longest in (("title", study.title, _LONGEST_TITLE), ("consent", study.consent, _LONGEST_TEXT)):
        for language, text in texts.items():
            if language not in study.interface:
                raise UserError(f"{where}: {key}: {unknown('language of the pages', language, study.interface)}")
            if len(text) > longest or CONTROL.search(re.sub(r"[\n\r\t]", "", text)):
                raise UserError(f"{where}: {key}: {language}: expected {longest:,} characters of text at most")


def _tag(text: str, where: str) -> None:
    try:
        known_tag(text)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _study(values: dict[str, Any], where: str) -> ListeningStudy:
    """The study in the values of its file, of which the types are checked."""
    values = dict(values)
    version = values.pop("format", None)
    if type(version) is not int or version != STUDY_FORMAT:
        raise UserError(f"{where}: format: expected {STUDY_FORMAT}; another version of emobridge wrote it, or none")
    values.pop("digest", None)
    items = tuple(
        _item(_mapping(item, f"{where}: item {number}"), f"{where}: item {number}")
        for number, item in enumerate(_list(values.pop("items", None), f"{where}: items"), 1)
    )
    questions = questions_of(values.pop("questions", []), where)
    rules = rules_of(values.pop("rules", []), where)
    title, consent = (read_texts(values.pop(key, {}), f"{where}: {key}") for key in ("title", "consent"))
    study = from_mapping({**values, "items": ()}, where, ListeningStudy)
    return replace(study, items=items, questions=questions, rules=rules, title=title, consent=consent)


def questions_of(values: Any, where: str) -> tuple[Question, ...]:
    """The questions in plain values, of which the types are checked. Errors: UserError that begins with `where`."""
    tables = enumerate(_list(values, f"{where}: questions"), 1)
    return tuple(from_mapping(_mapping(table, f"{where}: question {n}"), f"{where}: question {n}", Question)
                 for n, table in tables)  # fmt: skip


def rules_of(values: Any, where: str) -> tuple[Rule, ...]:
    """The rules in plain values, of which the types are checked. Errors: UserError that begins with `where`."""
    rules = []
    for number, table in enumerate(_list(values, f"{where}: rules"), 1):
        rule_title = f"{where}: rule {number}"
        table = _mapping(table, rule_title)
        value = table.pop("value", None)
        rule = from_mapping({**table, "value": ()}, rule_title, Rule)
        if isinstance(value, str):
            value = [value]
        if isinstance(value, list) and all(isinstance(text, str) for text in value):
            rules.append(replace(rule, value=tuple(value)))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            rules.append(replace(rule, value=_float(value, f"{rule_title}: value")))
        else:
            raise UserError(f"{rule_title}: value: expected a number or a list of words")
    return tuple(rules)


def _item(values: dict[str, Any], where: str) -> ListeningItem:
    speaker = values.pop("speaker", None)
    if speaker is not None and (not isinstance(speaker, str) or CONTROL.search(speaker)):
        raise UserError(f"{where}: speaker: expected text without control characters, or null")
    return replace(from_mapping(values, where, ListeningItem), speaker=speaker)


def _float(value: float, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise UserError(f"{where}: the number is too large") from None


def read_texts(values: Any, where: str) -> dict[str, str]:
    """Texts by their key, such as the language of a page. Errors: UserError that begins with `where`, for another type.

    >>> read_texts({"en": "Welcome"}, "study.json: title")
    {'en': 'Welcome'}
    """
    for key, text in _mapping(values, where).items():
        if not isinstance(text, str):
            raise UserError(f"{where}: {key}: expected text, got {type(text).__name__}")
    return dict(values)


def _mapping(values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected an object, got {type(values).__name__}")
    return dict(values)


def _list(values: Any, where: str) -> list[Any]:
    if not isinstance(values, (list, tuple)):
        raise UserError(f"{where}: expected a list, got {type(values).__name__}")
    return list(values)
