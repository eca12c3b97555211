"""What a branch was trained on and adapted to, so that a score on the same speech is not taken for recognition.

An utterance is known by the content of its file, its times and its channel, and its speaker by the corpus and a name:
a file may have another name, place or manifest, or be cut otherwise. A file that was encoded anew is another one; its
speaker is still known. Only digests are stored, so that a bundle names nobody.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emobridge.data.audio import AudioError, audio_digest
from emobridge.types import Utterance, person, short_repr

FILE_DIGEST, SPEAKER_DIGEST, START_MS, END_MS, CHANNEL, LABEL_SEEN = range(6)  # columns
NOBODY, ALL_CHANNELS, OPEN_END = 0, -1, 1 << 53  # a speaker who is not known, all channels, the end of a file
SAME_STRETCH = 0.1  # of the shorter of two stretches of a file: if they have more in common, one is heard in the other
# What a recogniser knows of an utterance, the gravest first. The same file is another stretch or channel of one.
TRAINED, ADAPTED, SAME_FILE, SAME_SPEAKER, UNSEEN = "trained on", "adapted to", "same file", "same speaker", "none"
NOT_RECORDED = "not recorded"  # of bundles that were made before this was recorded
EXPOSURES = (TRAINED, ADAPTED, SAME_FILE, SAME_SPEAKER, UNSEEN)

SeenStretch = tuple[int, int, int, bool]  # start and end in ms, channel, whether its label was seen


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class TrainingSpeech:
    """The utterances that a branch was trained on with their labels, and those that it adapted to without them."""

    rows: Tensor  # (N, 6) int64: 8 bytes of the digests of file and speaker, start and end in ms, channel, label seen

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.rows.shape[1] != LABEL_SEEN + 1 or self.rows.dtype != torch.int64:
            raise ValueError(f"training speech: expected int64 of shape (N, 6), got {tuple(self.rows.shape)}")

    @classmethod
    def of(cls, labelled: Sequence[Utterance], unlabelled: Sequence[Utterance]) -> TrainingSpeech:
        """From utterances whose labels were seen, and those whose audio alone was; unreadable files are left out."""
        rows = []
        for utterances, seen in ((labelled, 1), (unlabelled, 0)):
            for utterance in utterances:
                try:
                    file = _number(audio_digest(utterance.path))
                except AudioError:
                    continue
                rows.append((file, _person(utterance), *_stretch_of(utterance), seen))
        return cls(torch.tensor(rows, dtype=torch.int64).reshape(-1, LABEL_SEEN + 1))

    def exposures(self, utterances: Sequence[Utterance]) -> tuple[str, ...]:
        """Of each utterance the gravest of EXPOSURES.

        Whoever speaks in one that was seen, or in its file, is heard again in all others of the same name.
        Errors: AudioError for a file that cannot be read.
        """
        stretches: dict[int, list[SeenStretch]] = {}
        for file, _, start, end, channel, labelled in self.rows[self.rows[:, START_MS].argsort(stable=True)].tolist():
            stretches.setdefault(file, []).append((start, end, channel, bool(labelled)))
        longest = {file: max(end - start for start, end, _, _ in parts) for file, parts in stretches.items()}
        files = [_number(audio_digest(row.path)) for row in utterances]
        direct = [_exposure(row, stretches.get(file, []), longest.get(file, 0)) for row, file in zip(utterances, files)]
        people = set(self.rows[:, SPEAKER_DIGEST].tolist())
        people |= {_person(row) for row, exposure in zip(utterances, direct) if exposure != UNSEEN}
        people -= {NOBODY}
        return tuple(
            SAME_SPEAKER if exposure == UNSEEN and _person(row) in people else exposure
            for row, exposure in zip(utterances, direct)
        )


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much of some scored utterances a recogniser knows."""

    of: tuple[str, ...]  # N, of EXPOSURES: the gravest over the branches; () where none records it
    speakers: tuple[str, ...] = ()  # whose other utterances it knows, by name
    nameless: int = 0  # utterances that count as unseen, of a corpus that it was trained on and a speaker not known
    unrecorded: tuple[str, ...] = ()  # languages of the branches that do not record what they were trained on

    @property
    def gravest(self) -> str:
        """The gravest over all utterances; NOT_RECORDED where that is not known."""
        worst = next((exposure for exposure in EXPOSURES[:-1] if exposure in self.of), UNSEEN)
        return self.of_the_unseen if worst == UNSEEN else worst

    @property
    def of_the_unseen(self) -> str:
        """What is known of utterances that no branch records: NOT_RECORDED where a branch records nothing."""
        return NOT_RECORDED if self.unrecorded else UNSEEN

    @property
    def unseen(self) -> tuple[int, ...]:
        """Which utterances are new to it, and so are their files and speakers."""
        return tuple(index for index, exposure in enumerate(self.of) if exposure == UNSEEN)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before a score is read, a line each."""
        counts, total = Counter(self.of), len(self.of)
        start = f"of {total} scored utterances"
        lines = []
        if counts[TRAINED]:
            lines.append(
                f"{start} {counts[TRAINED]} were trained on with their labels: the score shows memory, not recognition"
            )
        if counts[ADAPTED]:
            lines.append(f"{start} {counts[ADAPTED]} were adapted to without their labels: new ones may do worse")
        if related := counts[SAME_FILE] + counts[SAME_SPEAKER]:
            names = ", ".join(self.speakers[:10])
            more = f" and {len(self.speakers) - 10} more" if len(self.speakers) > 10 else ""
            lines.append(
                f"{start} {related} are others of files or speakers that were trained on or adapted to"
                f"{f' ({names}{more})' if names else ''}: the score does not show how new speakers are recognised"
            )
        if self.nameless:
            lines.append(
                f"{start} {self.nameless} are of a corpus that was trained on, and their speaker is not known: whether "
                "the speaker is new cannot be told"
            )
        if self.unrecorded:
            names = ", ".join(self.unrecorded)
            lines.append(
                f"what the recogniser of {names} was trained on is not recorded in this bundle: whether the score "
                "shows memory cannot be told; train it again to know"
            )
        return tuple(lines)


def gravest_of(exposures: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Of several answers to the same utterances the gravest for each."""
    return tuple(min(several, key=EXPOSURES.index) for several in zip(*exposures))


def _exposure(utterance: Utterance, stretches: Sequence[SeenStretch], longest: int) -> str:
    """What an utterance has in common with the stretches of its file that were seen, in the order of their starts."""
    if not stretches:
        return UNSEEN
    start, end, channel = _stretch_of(utterance)
    # Of thousands of stretches of one file only those near the utterance are looked at.
    near = slice(bisect.bisect_left(stretches, (start - longest,)), bisect.bisect_left(stretches, (end,)))
    labels_seen = [
        labelled
        for first, last, other, labelled in stretches[near]
        if ALL_CHANNELS in (channel, other) or channel == other
        if min(end, last) - max(start, first) > SAME_STRETCH * min(end - start, last - first)
    ]
    if not labels_seen:
        return SAME_FILE
    return TRAINED if any(labels_seen) else ADAPTED


def _stretch_of(utterance: Utterance) -> tuple[int, int, int]:
    """Start and end in ms, and the channel."""
    end = OPEN_END if utterance.end is None else round(1000 * utterance.end)
    return round(1000 * utterance.start), end, ALL_CHANNELS if utterance.channel is None else utterance.channel


def _person(utterance: Utterance) -> int:
    name = person(utterance)
    return NOBODY if name is None else _number(hashlib.sha256(name.encode()).digest())


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big", signed=True)
