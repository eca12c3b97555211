"""The items of a listening test, drawn from manifests: as many of each emotion and language, of speakers in turn.

manifests -> rows by language -> items and practice -> recordings and study file
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emobridge.corpora import utterances_at
from emobridge.data.audio import AudioError
from emobridge.data.labels import EMOTIONS, to_emotion
from emobridge.data.splits import equal_sample
from emobridge.errors import UserError, count_noun, unknown
from emobridge.languages import primary_language
from emobridge.listening.dialect import DIALECT_EMOTIONS
from emobridge.listening.recordings import Loudness, measure_recording
from emobridge.listening.settings import NewStudy
from emobridge.progress import Progress
from emobridge.scores.diarization import NEUTRAL
from emobridge.types import Utterance, person

_RowKey = tuple[str, str]  # corpus and id of an utterance
_Stretch = tuple[float, float]  # s


@dataclass(frozen=True, slots=True)
class DrawnItem:
    """An utterance that is played, and what is measured of its sound."""

    utterance: Utterance
    kind: str  # "item" or "practice"
    language: str
    loudness: Loudness


@dataclass(slots=True)
class Sounds:
    """What is measured of utterances, each read once; those that cannot be played are left out."""

    whole: bool  # whether whole files are played
    on_skip: Callable[[str, str], None] | None  # None stops at the first that cannot be played
    measured: dict[_RowKey, Loudness | None] = field(default_factory=dict)

    def are_good(self, rows: Iterable[Utterance]) -> bool:
        """Whether all can be played. Errors: AudioError where nothing is skipped."""
        good = True
        for row in rows:
            if key_of_row(row) not in self.measured:
                self.measured[key_of_row(row)] = self._measure(row)
            good &= self.measured[key_of_row(row)] is not None
        return good

    def loudness(self, row: Utterance) -> Loudness:
        """What is measured of an utterance that `are_good` has read."""
        loudness = self.measured[key_of_row(row)]
        assert loudness is not None
        return loudness

    def left(self, rows: Sequence[Utterance]) -> list[Utterance]:
        """The rows without those that are known not to be playable."""
        return [row for row in rows if self.measured.get(key_of_row(row), True) is not None]

    def _measure(self, row: Utterance) -> Loudness | None:
        try:
            return measure_recording(row, whole=self.whole)
        except AudioError as error:
            if self.on_skip is None:
                raise
            self.on_skip(row.id, str(error))
            return None


def key_of_row(row: Utterance) -> _RowKey:
    """What tells an utterance from all others of several manifests."""
    return row.corpus, row.id


def item_language(tag: str) -> str:
    """The language that items are drawn by: without region and script, but dialects of a private tag stay apart.

    >>> item_language("zh-CN"), item_language("zh-x-tianjin")
    ('zh', 'zh-x-tianjin')
    """
    return tag if "-x-" in tag else primary_language(tag)


def rows_to_hear(request: NewStudy, on_note: Callable[[str], None] | None = None) -> dict[str, list[Utterance]]:
    """The labelled utterances of the manifests that may be played, by language.

    Errors: UserError for an utterance that stands in two manifests, a corpus of --dialect that is in none, and rows
    without a language beside rows with one.
    """
    where: dict[_RowKey, str] = {}
    stretches: dict[tuple[str, float, float | None, int | None], Utterance] = {}
    again = 0
    for path in request.manifests:
        for row in utterances_at(path, on_note):
            key = key_of_row(row)
            if key in where:
                raise UserError(f"{path}: {row.id!r} of {row.corpus} stands in {where[key]} too")
            where[key] = path
            if row.emotion is not None:
                sound = row.path, row.start, row.end, row.channel
                again += sound in stretches
                stretches.setdefault(sound, row)
    rows = list(stretches.values())
    if again and on_note is not None:
        on_note(f"{count_noun(again, 'row')} left out: the same stretch of the same recording stands there twice")
    corpora = dict.fromkeys(corpus for corpus, _ in where)
    for name in request.dialect:
        if name not in corpora:
            raise UserError(f"--dialect: {unknown('corpus', name, corpora)}")
    languages: dict[str, list[Utterance]] = {}
    for row in _one_of_each_recording(rows) if request.segments else rows:
        languages.setdefault(item_language(row.language), []).append(row)
    if "und" in languages and len(languages) > 1:
        corpora = dict.fromkeys(row.corpus for row in languages["und"])
        raise UserError(f"corpus {', '.join(corpora)}: its language is not known; give the column 'language'")
    return languages


def without_excluded(
    languages: Mapping[str, Sequence[Utterance]], request: NewStudy, on_note: Callable[[str], None] | None = None
) -> dict[str, list[Utterance]]:
    """The rows that are not in --exclude: neither the same utterance, nor a stretch that overlaps, nor, if that is
    asked for, the same speaker."""
    if not request.exclude:
        return {language: list(rows) for language, rows in languages.items()}
    same, people = set(), set()
    stretches: dict[str, list[_Stretch]] = {}
    for path in request.exclude:
        for row in utterances_at(path, on_note):
            same.add(key_of_row(row))
            people.add(person(row) if request.exclude_speakers else None)
            stretches.setdefault(_real(row), []).append(_stretch(row))
    joined = {path: _joined(parts) for path, parts in stretches.items()}

    def is_free(row: Utterance) -> bool:
        stretch = (0.0, float("inf")) if request.segments else _stretch(row)
        speaker = person(row)
        is_person_free = speaker is None or speaker not in people
        return is_person_free and key_of_row(row) not in same and not _overlaps(stretch, joined.get(_real(row), []))

    return {language: list(filter(is_free, rows)) for language, rows in languages.items()}


def emotions_to_hear(request: NewStudy, languages: Mapping[str, Sequence[Utterance]]) -> tuple[str, ...]:
    """The emotions that listeners choose from: those asked for, or those that every corpus has, dialects apart.

    Errors: UserError for what is no emotion, for fewer than two, and for neutral with --segments.
    """
    if request.emotions:
        emotions = tuple(to_emotion(word) or "" for word in request.emotions)
        if len(set(emotions)) < len(emotions):
            raise UserError(f"emotions: {','.join(request.emotions)} name an emotion twice")
    else:
        present: dict[str, set[str]] = {}
        for row in (row for rows in languages.values() for row in rows if row.corpus not in request.dialect):
            present.setdefault(row.corpus, set()).add(row.emotion or "")
        shared = set.intersection(*present.values()) if present else set()
        emotions = tuple(emotion for emotion in EMOTIONS if emotion in shared)
        emotions = tuple(emotion for emotion in emotions if not (request.segments and emotion == NEUTRAL))
    if request.segments and NEUTRAL in emotions:
        raise UserError("emotions: neutral: does not go with --segments, for no stretch carries it")
    if len(emotions) < 2:
        raise UserError(
            f"emotions: expected two or more, got {', '.join(emotions) or 'none'}; "
            "give --emotions, or manifests that share some"
        )
    return emotions


def draw_heard_items(
    request: NewStudy,
    languages: Mapping[str, Sequence[Utterance]],
    emotions: Sequence[str],
    sounds: Sounds,
    on_progress: Progress | None = None,
) -> list[DrawnItem]:
    """What is played: `request.count` items of each emotion and language, and practice from other utterances.

    Errors: UserError for a language that has too few of an emotion, with how many there are.
    """
    items: list[DrawnItem] = []
    rest: list[Utterance] = []
    for number, (language, rows) in enumerate(sorted(languages.items())):
        own = emotions_of_language(request, rows, emotions)
        drawn = _draw(rows, own, request.count, request.seed, sounds, f"items in {language} (--per-emotion)")
        items += [DrawnItem(row, "item", language, sounds.loudness(row)) for row in drawn]
        taken = set(map(key_of_row, drawn))
        dialects = set(request.dialect)
        rest += [row for row in rows if key_of_row(row) not in taken and row.corpus not in dialects]
        if on_progress is not None:
            on_progress(number + 1, len(languages))
    if request.practice:
        for row in _draw(rest, emotions, request.practice, request.seed, sounds, "practice (--practice)"):
            items.append(DrawnItem(row, "practice", item_language(row.language), sounds.loudness(row)))
    return items


def emotions_of_language(request: NewStudy, rows: Sequence[Utterance], emotions: Sequence[str]) -> tuple[str, ...]:
    """The emotions that items of a language are drawn of: all, but in a dialect those that its words stand for.

    Errors: UserError for a language in which a dialect and another corpus meet.
    """
    corpora = dict.fromkeys(row.corpus for row in rows)
    dialects = [corpus for corpus in corpora if corpus in request.dialect]
    if not dialects:
        return tuple(emotions)
    if len(dialects) < len(corpora):
        raise UserError(
            f"--dialect: {', '.join(dialects)} has the language of {', '.join(set(corpora) - set(dialects))}; "
            "give it a tag of its own, such as zh-x-tianjin"
        )
    return tuple(emotion for emotion in emotions if emotion in DIALECT_EMOTIONS.values())


def _draw(
    rows: Sequence[Utterance], emotions: Sequence[str], count: int, seed: int, sounds: Sounds, what: str
) -> list[Utterance]:
    """`count` rows of each emotion that can be played; rows that cannot are drawn anew. what: begins the error."""
    rows = [row for row in rows if row.emotion in emotions]
    while True:
        rows = sounds.left(rows)
        present = Counter(row.emotion for row in rows)
        few = [f"{emotion} {present[emotion]}" for emotion in emotions if present[emotion] < count]
        if few:
            raise UserError(
                f"{what}: expected {count_noun(count, 'utterance')} of each emotion, there are {', '.join(few)}; "
                "give a smaller number, other --emotions or more speech"
            )
        drawn = [rows[index] for index in equal_sample(rows, emotions, count, seed=seed)]
        if sounds.are_good(drawn):
            return drawn


def _one_of_each_recording(rows: Iterable[Utterance]) -> list[Utterance]:
    """The rows whose recording has no other row: where several stretches carry emotions, no answer is the right one."""
    rows = list(rows)
    recordings = Counter(_real(row) for row in rows)
    return [row for row in rows if recordings[_real(row)] == 1]


def _real(row: Utterance) -> str:
    return str(Path(row.path).resolve())


def _joined(stretches: list[_Stretch]) -> list[_Stretch]:
    """Stretches in order, those that overlap as one."""
    joined: list[_Stretch] = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _overlaps(stretch: _Stretch, joined: Sequence[_Stretch]) -> bool:
    """Whether a stretch shares time with any of disjoint ones in order."""
    following = bisect.bisect_left(joined, (stretch[1], 0.0))  # the first that begins where it has ended
    return following > 0 and joined[following - 1][1] > stretch[0]


def _stretch(row: Utterance) -> _Stretch:
    return row.start, float("inf") if row.end is None else row.end
