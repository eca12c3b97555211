"""A new listening test: items are drawn, recordings written, and the study file after them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emobridge.corpora import licence_of
from emobridge.corpora.demo import is_synthetic
from emobridge.errors import UserError, count_noun, unknown
from emobridge.listening.dialect import DIALECT_EMOTIONS
from emobridge.listening.items import (
    DrawnItem,
    Sounds,
    draw_heard_items,
    emotions_to_hear,
    rows_to_hear,
    without_excluded,
)
from emobridge.listening.questions import QUESTIONS, RULES, rule_lines
from emobridge.listening.recordings import gains, lowered, read_recording, tone, write_recording
from emobridge.listening.records import ListeningItem, ListeningStudy, Question, Rule
from emobridge.listening.settings import NewStudy
from emobridge.listening.study import (
    ANSWERS_FILE,
    AUDIO_FOLDER,
    STUDY_FILE,
    check_listening_study,
    check_questions,
    check_recordings,
    questions_of,
    read_study,
    read_texts,
    rules_of,
    write_study_file,
)
from emobridge.progress import Progress
from emobridge.settings import read_mapping
from emobridge.types import SAMPLE_RATE, Utterance

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_LENGTH = 10
_RULES_KEYS = ("rules", "questions", "title", "consent")
_MUCH_QUIETER = 6.0  # dB that a note tells of
_PLAYS = 1.5  # how often an item is played, on average: an estimate
_ANSWER, _MARK, _SURE, _FORMS = (
    4.0,
    8.0,
    3.0,
    180.0,
)  # s for an answer, segment, confidence, and what comes before


@dataclass(frozen=True, slots=True)
class RulesFile:
    """What a file of --rules says."""

    questions: tuple[Question, ...] = QUESTIONS
    rules: tuple[Rule, ...] = RULES
    title: tuple[tuple[str, str], ...] = ()
    consent: tuple[tuple[str, str], ...] = ()


def read_rules(path: str | Path) -> RulesFile:
    """The rules of screening, questions and texts in a TOML file; what it does not have is as usual.

    Errors: UserError that names the file, the rule or question, and what was expected.
    """
    where = str(path)
    values = read_mapping(path)
    for key in values:
        if key not in _RULES_KEYS:
            raise UserError(f"{where}: {unknown('key', key, _RULES_KEYS)}")
    questions = questions_of(values["questions"], where) if "questions" in values else QUESTIONS
    rules = rules_of(values["rules"], where) if "rules" in values else RULES
    unasked = [rule.question for rule in rules if all(rule.question != question.name for question in questions)]
    if unasked and "rules" not in values:
        usual = "; ".join(rule_lines(rules))
        raise UserError(
            f"{where}: questions: expected {unasked[0]!r} too, for the usual rule ({usual}); ask it, or give [[rules]] "
            "(none: `rules = []` before any table)"
        )
    check_questions(questions, rules, where)
    title, consent = (read_texts(values.get(key, {}), f"{where}: {key}") for key in ("title", "consent"))
    return RulesFile(questions, rules, tuple(title.items()), tuple(consent.items()))


def make_study(
    request: NewStudy,
    texts: RulesFile | None = None,
    *,
    on_skip: Callable[[str, str], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    on_progress: Progress | None = None,
) -> ListeningStudy:
    """Draw the items, write the recordings and the study file into `request.out`, and return the study.

    The same study that is there already is left as it is. texts: in place of those of `request.rules`. on_skip: gets
    the id of each recording that cannot be played, and why; others take its place. Without it the first is an error.
    Errors: UserError for a folder that holds another study, and as the parts have them.
    """
    folder = Path(request.out)
    texts = texts or (read_rules(request.rules) if request.rules else RulesFile())
    languages = without_excluded(rows_to_hear(request, on_note), request, on_note)
    emotions = emotions_to_hear(request, languages)
    sounds = Sounds(request.segments, on_skip)
    drawn = draw_heard_items(request, languages, emotions, sounds, on_progress)
    names = _names(request.seed, drawn, len(drawn) + request.attention)
    items = [_item(entry, name, request) for entry, name in zip(drawn, names)]
    seconds = len(tone()) / SAMPLE_RATE
    checks = np.random.default_rng([request.seed, 1]).integers(0, len(emotions), request.attention)
    items += [
        ListeningItem(name, f"{name}.wav", seconds, emotions[answer], "attention")
        for name, answer in zip(names[len(drawn) :], checks.tolist())
    ]
    study = ListeningStudy(
        name=request.name or folder.resolve().name,
        seed=request.seed,
        emotions=emotions,
        items=tuple(sorted(items, key=lambda item: item.id)),
        interface=request.interface,
        questions=texts.questions,
        rules=texts.rules,
        wants_segment=request.segments,
        wants_confidence=request.confidence,
        block=request.block,
        title=dict(texts.title),
        consent=dict(texts.consent),
    )
    check_listening_study(study, str(folder / STUDY_FILE))  # before anything is written
    lacking = [language for language in study.interface if not study.consent.get(language)]
    if study.consent and lacking and on_note is not None:
        on_note(
            f"consent: there is no text in {', '.join(lacking)}: listeners who choose these pages agree to the usual "
            "text, not to yours (--interface offers fewer languages)"
        )
    if not _is_there(folder, study):
        quieter = lowered([entry.loudness for entry in drawn], [entry.utterance.corpus for entry in drawn])
        if request.level == "corpus" and quieter > _MUCH_QUIETER and on_note is not None:
            on_note(
                f"all recordings are {quieter:.0f} dB quieter than usual, for the loudest peak would clip; so that "
                "corpora stay equally loud (--level item makes each recording equally loud)"
            )
        _write_recordings(folder / AUDIO_FOLDER, request, drawn, names)
        write_study_file(folder, study)
    return study


def summary_lines(study: ListeningStudy, folder: str | Path) -> Iterator[str]:
    """What was drawn, how long a session takes, and whose licences to look at, for people to read."""
    languages = dict.fromkeys(item.language for item in study.items if item.kind == "item")
    for language in languages:
        items = [item for item in study.items if item.kind == "item" and item.language == language]
        counts = Counter(item.emotion for item in items)
        words = ", ".join(f"{emotion} {counts[emotion]}" for emotion in sorted(counts, key=_order(study)))
        speakers = {(item.corpus, item.speaker) for item in items if item.speaker is not None}
        unknown_speakers = sum(item.speaker is None for item in items)
        people = count_noun(len(speakers), "speaker") + (f", {unknown_speakers} unknown" if unknown_speakers else "")
        seconds = sum(item.seconds for item in items)
        corpora = ", ".join(dict.fromkeys(item.corpus for item in items))
        yield f"{language}: {count_noun(len(items), 'item')} of {corpora} ({words}); {people}; {seconds:.0f} s"
    kinds = Counter(item.kind for item in study.items)
    yield f"practice: {count_noun(kinds['practice'], 'item')}; attention checks: {kinds['attention']}"
    references = sum(item.segment is not None for item in study.items if item.kind == "item")
    if study.wants_segment:
        end = "" if references else ": WITHOUT THEM no error rate of the marks can be scored"
        yield f"segments: {references} of {kinds['item']} items have a reference{end}"
    yield f"a session takes about {session_minutes(study):.0f} min"
    for corpus in dict.fromkeys(item.corpus for item in study.items if item.corpus):
        synthetic = " SYNTHETIC;" if is_synthetic(corpus) else ""
        yield f"licence of {corpus}:{synthetic} {licence_of(corpus)}"
    yield "A listening test plays these recordings to people: see that each licence allows it."
    yield f"next: emobridge listening serve {folder}"


def session_minutes(study: ListeningStudy) -> float:
    """How long a listener takes, roughly: each recording _PLAYS times, and some seconds an answer."""
    answer = _ANSWER + _MARK * study.wants_segment + _SURE * study.wants_confidence
    return (_FORMS + sum(_PLAYS * item.seconds + answer for item in study.items)) / 60


def _order(study: ListeningStudy) -> Callable[[str], int]:
    return lambda word: study.emotions.index(DIALECT_EMOTIONS.get(word, word))


def _names(seed: int, drawn: Sequence[DrawnItem], count: int) -> list[str]:
    """Different names drawn at random: nothing in them tells what an item is.

    What was drawn is part of the seed: who knows the number alone cannot tell which name came first, of which item.
    """
    facts = [[entry.kind, entry.utterance.corpus, entry.utterance.id, entry.utterance.emotion] for entry in drawn]
    digest = hashlib.sha256(json.dumps(facts).encode()).digest()
    rng = np.random.default_rng([seed, *digest])
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(_ALPHABET[letter] for letter in rng.integers(0, len(_ALPHABET), _ID_LENGTH))] = None
    return list(names)


def _item(entry: DrawnItem, name: str, request: NewStudy) -> ListeningItem:
    row = entry.utterance
    is_stretch = request.segments and row.end is not None
    return ListeningItem(
        id=name,
        audio=f"{name}.wav",
        seconds=entry.loudness.seconds,
        emotion=_truth(row, request),
        kind=entry.kind,
        language=entry.language,
        corpus=row.corpus,
        speaker=row.speaker,
        utterance=row.id,
        segment=(row.start, min(row.end or 0.0, entry.loudness.seconds)) if is_stretch else None,
    )


def _truth(row: Utterance, request: NewStudy) -> str:
    """The emotion of a row, or the word of a dialect that stands for it."""
    if row.corpus not in request.dialect:
        return row.emotion or ""
    return next(word for word, emotion in DIALECT_EMOTIONS.items() if emotion == row.emotion)


def _is_there(folder: Path, study: ListeningStudy) -> bool:
    """Whether the folder holds this study already. Errors: UserError where it holds another one, and for a file."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; expected a folder for the study")
    if not (folder / STUDY_FILE).exists():
        if (folder / ANSWERS_FILE).exists():
            raise UserError(f"{folder}: holds {ANSWERS_FILE} of another study; choose another --out")
        return False
    there = read_study(folder)
    if there != study:
        raise UserError(f"{folder}: holds another study already; choose another --out, or delete it")
    check_recordings(folder, study)
    return True


def _write_recordings(folder: Path, request: NewStudy, drawn: Sequence[DrawnItem], names: Sequence[str]) -> None:
    """Write what is played, in the order of the names, so that no time of writing tells what a file is."""
    levels = [entry.loudness for entry in drawn]
    factors = gains(levels, [entry.utterance.corpus for entry in drawn], request.level)
    entries = dict(zip(names, zip(drawn, factors)))
    for name in sorted(names):
        path = folder / f"{name}.wav"
        if name in entries:
            entry, factor = entries[name]
            write_recording(path, read_recording(entry.utterance, whole=request.segments), factor)
        else:
            write_recording(path, tone())
