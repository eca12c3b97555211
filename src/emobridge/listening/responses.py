"""What listeners answered, from the folder of a study or from tables of other tools, with the truth of each item.

What cannot be used is left out, counted and named: unknown stimuli, unknown words for emotions, a second answer to an
item. Names, addresses and ids of people are in no record: listeners are numbered.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emobridge.corpora import is_audio
from emobridge.data.audio import printable
from emobridge.data.labels import UnknownLabel
from emobridge.data.manifest import read_manifest
from emobridge.data.tables import TABLE_SUFFIXES
from emobridge.errors import UserError, nearest
from emobridge.languages import language_tag
from emobridge.listening.answer_tables import TableAnswer, table_answers
from emobridge.listening.dialect import DIALECT_EMOTIONS, emotion_of_word
from emobridge.listening.records import ITEM_KINDS, Listener, ListeningItem, Response
from emobridge.types import Utterance, short_repr

STUDY_FILE, ANSWERS_FILE = "study.json", "answers.sqlite"
ANSWER_SUFFIXES = TABLE_SUFFIXES | {".jsonl"}
LONGEST_GROUP = 80  # characters of the name of a group
_UNUSABLE = 3  # examples of a kind that are named


@short_repr
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSet:
    """The answers of a listening test, each listener's to an item once, and what was left out."""

    name: str
    emotions: tuple[str, ...]  # that listeners chose from, as far as it is known
    items: tuple[ListeningItem, ...]  # of all kinds
    listeners: tuple[Listener, ...]
    responses: tuple[Response, ...]
    notes: tuple[str, ...] = ()  # what was left out, a line a kind
    unheard: int = 0  # rows of a manifest that nobody answered, which are no items


def read_answers(
    source: str | Path, items: str | Path = "", *, buttons: Sequence[str] = (), strict: bool = False
) -> AnswerSet:
    """The answers of a study.

    source: the folder of a study, a table of answers, or a folder of tables (a participant a file, as jsPsych has it).
    items: of tables, where the truth stands: a manifest, or the folder of a study; without it the tables have a column
    `truth`. buttons: the answers that numbered buttons stand for, in their order. strict: a table of a folder that
    cannot be read raises, and is not left out.
    Errors: UserError where nothing can be read, no answer is about an item, or the truth is not known.
    """
    source = Path(source)
    if (source / STUDY_FILE).is_file():
        return _answers_of_study(source)
    files = _tables_at(source)
    truth = _items_at(Path(items)) if str(items) else None
    return _TableReader(source.stem or source.name, truth, tuple(buttons)).read(
        files, may_skip=source.is_dir() and not strict
    )


def _answers_of_study(folder: Path) -> AnswerSet:
    from emobridge.listening.store import Store
    from emobridge.listening.study import read_study

    study = read_study(folder)
    if not (folder / ANSWERS_FILE).is_file():
        raise UserError(f"{folder}: nobody has answered yet; `emobridge listening serve {folder}` asks listeners")
    with Store(folder / ANSWERS_FILE) as store:
        listeners, answered = store.listeners(), store.responses()
    known, unusable = {item.id for item in study.items}, _Unusable()
    if not listeners:
        raise UserError(f"{folder}: nobody has answered yet; `emobridge listening serve {folder}` asks listeners")
    responses, seen = [], set[tuple[str, str]]()
    for response in answered:
        key = response.listener, response.item
        if response.item not in known:
            unusable.add("answers to items that the study does not have", response.item)
        elif response.emotion not in study.emotions:
            unusable.add("answers that the study does not offer", repr(response.emotion[:40]))
        elif key in seen:
            unusable.add("second answers of a listener to an item, of which the first counts", response.item)
        else:
            seen.add(key)
            responses.append(response)
    return AnswerSet(
        name=study.name, emotions=study.emotions, items=study.items, listeners=tuple(listeners),
        responses=tuple(responses), notes=unusable.lines(),
    )  # fmt: skip


def _tables_at(source: Path) -> list[Path]:
    """A file, or the tables of a folder by their names. Errors: UserError."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UserError(f"{source}: no such file or folder; expected the folder of a study, or a table of answers")
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in ANSWER_SUFFIXES and path.is_file())
    if not files:
        raise UserError(f"{source}: holds neither {STUDY_FILE} nor a table of answers (.csv, .json ...)")
    return files


def _items_at(source: Path) -> tuple[tuple[str, ...], tuple[ListeningItem, ...]]:
    """The emotions that listeners chose from, () where that is not known, and the items. Errors: UserError."""
    if (source / STUDY_FILE).is_file() or source.name == STUDY_FILE:
        from emobridge.listening.study import read_study

        study = read_study(source if source.is_dir() else source.parent)
        return study.emotions, study.items
    items = tuple(_item_of(row) for row in read_manifest(source) if row.emotion is not None)
    if not items:
        raise UserError(f"{source}: no utterance has an emotion; expected the truth of each item")
    return (), items


def _item_of(row: Utterance) -> ListeningItem:
    assert row.emotion is not None
    seconds = row.end - row.start if row.end is not None else 0.0
    return ListeningItem(
        row.id, row.path, seconds, row.emotion, language=row.language, corpus=row.corpus, speaker=row.speaker,
        utterance=row.id,
    )  # fmt: skip


class _Unusable:
    """Counts of what is left out, with examples."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, dict[str, None]] = {}

    def add(self, what: str, example: str) -> None:
        self.counts[what] += 1
        examples = self.examples.setdefault(what, {})
        if len(examples) < _UNUSABLE:
            examples[example] = None

    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{what}: {count:,} ({', '.join(self.examples[what])}{' ...' if count > len(self.examples[what]) else ''})"
            for what, count in self.counts.items()
        )


@dataclass(slots=True)
class _Draft:
    """A listener while the tables are read."""

    id: str
    values: dict[str, str] = field(default_factory=dict)
    responses: dict[str, Response] = field(default_factory=dict)  # by item


class _TableReader:
    """Reads tables into an `AnswerSet`."""

    def __init__(
        self, name: str, truth: tuple[tuple[str, ...], tuple[ListeningItem, ...]] | None, buttons: tuple[str, ...]
    ) -> None:
        self.name, self.buttons, self.tells_truth = name, buttons, truth is None
        self.emotions = truth[0] if truth else ()
        self.items: dict[str, ListeningItem] = {item.id: item for item in truth[1]} if truth else {}
        self.names = names_of_items(self.items.values())
        self.unusable, self.drafts = _Unusable(), dict[str, _Draft]()

    def read(self, files: Sequence[Path], *, may_skip: bool) -> AnswerSet:
        """The answers in some files. may_skip: one that cannot be read is left out and named."""
        for path in files:
            try:
                rows = 0
                for rows, answer in enumerate(table_answers(path), 1):  # noqa: B007
                    self._take(answer)
                if not rows:
                    raise UserError(f"{path}: holds no answer under its header")
            except UserError as error:
                if not may_skip:
                    raise
                self.unusable.add("files left out", str(error))
        drafts = [draft for draft in self.drafts.values() if draft.responses]
        notes = self.unusable.lines()
        if not drafts:
            reason = notes[0] if notes else "no row names a recording"
            raise UserError(f"{files[0]}: no answer can be used: {reason}")
        items = self._items_of_the_test(drafts)
        return AnswerSet(
            name=self.name, emotions=self.emotions, items=items, unheard=len(self.items) - len(items),
            listeners=tuple(self._listener(draft) for draft in drafts),
            responses=tuple(response for draft in drafts for response in draft.responses.values()), notes=notes,
        )  # fmt: skip

    def _items_of_the_test(self, drafts: Iterable[_Draft]) -> tuple[ListeningItem, ...]:
        """All of a study; of a manifest, which may be that of a whole corpus, those that were answered."""
        items = tuple(self.items.values())
        if self.tells_truth or self.emotions:
            return items
        answered = {item for draft in drafts for item in draft.responses}
        return tuple(item for item in items if item.id in answered)

    def _take(self, answer: TableAnswer) -> None:
        item = self._item(answer)
        if item is None:
            return
        if not answer.listener:
            self.unusable.add("answers without a listener", answer.where)
            return
        draft = self.drafts.setdefault(answer.listener, _Draft(f"L{len(self.drafts) + 1}"))
        draft.values |= {key: text for key, text in (answer.values or {}).items() if text}
        emotion = self._emotion(answer)
        if emotion is None:
            return
        if item.id in draft.responses:
            self.unusable.add("second answers of a listener to an item, of which the first counts", answer.where)
            return
        values = answer.values or {}
        draft.responses[item.id] = Response(
            draft.id, item.id, emotion, self._segment(values, answer.where), self._confidence(values, answer.where),
            position=len(draft.responses),
        )  # fmt: skip

    def _item(self, answer: TableAnswer) -> ListeningItem | None:
        """The item that a row is about; None of a trial without a recording, and of an unknown one, which is named."""
        stimuli = [text for text in answer.stimuli if text]
        if self.tells_truth:
            return self._told_item(answer, stimuli[0]) if stimuli else None
        for text in stimuli:
            item = next((self.names[name] for name in spellings_of(text) if self.names.get(name)), None)
            if item is not None:
                return item
        shown = next(
            (text for text in stimuli if is_audio(Path(text))), "" if answer.is_trial else "".join(stimuli[:1])
        )
        if shown:
            guess = nearest(shown, self.names, cutoff=0.75)
            hint = f", perhaps {guess!r}" if guess else ""
            self.unusable.add("answers to recordings that are no items", f"{shown[:80]!r}{hint}")
        return None

    def _told_item(self, answer: TableAnswer, name: str) -> ListeningItem | None:
        """An item whose truth stands in the row. Errors: UserError for a table without it."""
        values = answer.values or {}
        if "truth" not in values:
            raise UserError(
                f"{answer.where}: nothing tells what was meant: name the items with --items (a manifest, or the folder "
                "of a study), or add a column 'truth'"
            )
        try:
            language = language_tag(values.get("language") or "und")
            word = values["truth"].casefold()
            truth = word if word in DIALECT_EMOTIONS else emotion_of_word(values["truth"], language)
        except UserError as error:
            self.unusable.add("rows whose truth cannot be read", f"{answer.where}: {error}")
            return None
        if truth is None:
            self.unusable.add("rows without a truth", answer.where)
            return None
        kind = values.get("kind") or "item"
        if kind not in ITEM_KINDS:
            self.unusable.add(f"rows of an unknown kind (of {', '.join(ITEM_KINDS)})", f"{answer.where}: {kind[:40]!r}")
            return None
        own = ListeningItem(name, name, 0.0, truth, kind, language, utterance=name)
        item = self.items.setdefault(name, own)
        if item.emotion != truth:
            self.unusable.add("rows whose truth is not that of the item's first row", answer.where)
        return item

    def _emotion(self, answer: TableAnswer) -> str | None:
        word = answer.word
        if answer.button is not None:
            if not 0 <= answer.button < len(self.buttons):
                named = f"{len(self.buttons)} named" if self.buttons else "name them with --buttons, in their order"
                self.unusable.add(f"answers that are numbers of buttons ({named})", f"{answer.where}: {answer.button}")
                return None
            word = self.buttons[answer.button]
        try:
            emotion = emotion_of_word(word, (answer.values or {}).get("native") or "und")
        except UnknownLabel as error:
            reason = error.reason()
            self.unusable.add("answers that are no emotion", f"{word[:40]!r}{f': {reason}' if reason else ''}")
            return None
        if emotion is None:
            self.unusable.add("rows without an answer", answer.where)
        return emotion

    def _segment(self, values: Mapping[str, str], where: str) -> tuple[float, float] | None:
        texts = values.get("start", ""), values.get("end", "")
        if not any(texts):
            return None
        start, end = map(_finite, texts)
        if start is None or end is None or not 0 <= start < end:
            self.unusable.add("marked stretches that do not end after their start", where)
            return None
        return start, end

    def _confidence(self, values: Mapping[str, str], where: str) -> float | None:
        text = values.get("confidence", "")
        value = _finite(text)
        if text and (value is None or not 0 <= value <= 1):
            self.unusable.add("confidences that are not from 0 to 1", where)
            return None
        return value

    def _listener(self, draft: _Draft) -> Listener:
        """Of a table everybody has finished, unless a column `state` says otherwise."""
        values, native = draft.values, ""
        languages: list[str] = []
        try:
            native = language_tag(values["native"]) if values.get("native") else ""
            for text in values.get("languages", "").replace(",", " ").replace(";", " ").split():
                tag, _, level = text.partition(":")
                languages.append(f"{language_tag(tag)}:{level}".rstrip(":"))
        except UserError as error:
            self.unusable.add("languages of listeners that cannot be read", str(error))
        answers: dict[str, str | tuple[str, ...]] = {"languages": tuple(languages)} if languages else {}
        if values.get("english"):
            answers["english"] = values["english"]
        group, state = printable(values.get("group", ""))[:LONGEST_GROUP] or native, values.get("state") or "finished"
        return Listener(draft.id, native=native, group=group, answers=answers, state=state)


def names_of_items(items: Iterable[ListeningItem]) -> dict[str, ListeningItem | None]:
    """Each item by all that a table may call it; None where two items share a name."""
    names: dict[str, ListeningItem | None] = {}
    for item in items:
        for name in dict.fromkeys((item.id, item.utterance, *spellings_of(item.audio), *spellings_of(item.utterance))):
            if name:
                names[name] = item if names.get(name, item) is item else None
    return names


def spellings_of(text: str) -> tuple[str, ...]:
    """A name as it stands, without its folders, and without its suffix.

    >>> spellings_of("audio/a1.wav")
    ('audio/a1.wav', 'a1.wav', 'a1')
    """
    path = Path(text.replace("\\", "/"))
    return tuple(dict.fromkeys((text, path.name, path.stem if is_audio(path) else path.name)))


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
