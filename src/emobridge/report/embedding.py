"""The feature space of a study before and after adaptation, as a report shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emobridge.types import short_repr

Point = tuple[float, float, float]


@short_repr
@dataclass(frozen=True, slots=True)
class Space:
    """One space and how its points cluster. Silhouettes are in [-1, 1], or NaN where they are undefined."""

    name: str
    width: int
    by_emotion: float  # of the labelled utterances of all languages together: high where emotions cluster
    by_language: float  # of all utterances: falls where adaptation makes languages alike
    by_speaker: float  # of those whose speaker is known
    explained: Point  # shares of the variance that the principal components hold
    points: tuple[Point, ...]  # of the drawn utterances; the largest coordinate of the measured ones is 1


@short_repr
@dataclass(frozen=True, slots=True)
class Embedding:
    """The spaces of a study, from the features before adaptation to the logits."""

    spaces: tuple[Space, ...]
    emotions: tuple[str | None, ...]  # of the drawn utterances; None is unlabelled
    languages: tuple[str, ...]  # of the drawn utterances
    measured: int
    utterances: int  # all of them; the measured ones are a sample
    # Shares of target utterances beyond the edge of the source's speech (see features.familiarity): standardised by the
    # source, and by their own corpus. None where the source has too little speech to tell.
    unfamiliar: tuple[float, float] | None = None

    @property
    def after(self) -> Space:
        """The space that adaptation shaped: the head's representation, or the logits where the head has none."""
        return self.spaces[2]

    def without_points(self) -> Embedding:
        """The numbers without the picture."""
        spaces = tuple(replace(space, points=()) for space in self.spaces)
        return replace(self, spaces=spaces, emotions=(), languages=())
