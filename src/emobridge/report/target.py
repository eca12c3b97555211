"""What a finished recogniser answers on the recordings of its target, as a report shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of the target and its answer."""

    id: str
    speaker: str  # "" where the speaker is not known
    label: str
    confidence: float  # of the label, in [0, 1]
    seconds: float  # length of the recording
    excerpt: bytes | None = None  # its loudest seconds as an audio file; None where it was left out


@dataclass(frozen=True, slots=True)
class ClassAnswers:
    """The answers that name one label."""

    label: str
    count: int
    confidence: float  # mean, in [0, 1]; NaN where no answer names the label
    surest: tuple[Clip, ...] = ()  # the most confident first
    least_sure: tuple[Clip, ...] = ()  # the least confident first; none that is among the surest


@dataclass(frozen=True, slots=True)
class AttributeAnswers:
    """The answers of one attribute, on the scale of the target."""

    name: str
    low: float  # the 10th percentile
    median: float
    high: float  # the 90th percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFindings:
    """The answers of the final recogniser to the recordings of its target, which it may have been adapted to."""

    corpora: str  # names, joined by "+"
    language: str  # BCP 47
    recordings: int  # that could be read
    speakers: int | None  # those that are known; None where none is
    hours: float | None  # of all readable recordings; None where nobody measured
    speech: float | None = None  # the share of the hours with speech, in [0, 1]; None where nobody measured
    answered: int  # recordings that were answered: all with speech, or a sample of these drawn at random
    labelled: int = 0  # recordings whose label the recogniser was trained on
    classes: tuple[ClassAnswers, ...] = ()  # in the recogniser's order; () of attributes alone
    confidence: tuple[tuple[float, int], ...] = ()  # by ranges: the lower end, and the answers from there to the next
    attributes: tuple[AttributeAnswers, ...] = ()
    without_speech: int = 0  # recordings in which no speech was found: they are not among the answers
    to_label: tuple[Clip, ...] = ()  # the unlabelled recordings whose labels are worth most, the best first
    suggest: str = ""  # the command that lists more of those; "" where it cannot
    learn: str = ""  # the command that trains with the filled list
    left_out: str = ""  # why there are no excerpts, or not of every clip; "" where all are there
    excerpt_seconds: float = 0.0  # the most that one excerpt holds

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All clips that are listed."""
        listed = [clip for answers in self.classes for clip in (*answers.surest, *answers.least_sure)]
        return (*listed, *self.to_label)

    def without_audio(self) -> TargetFindings:
        """The numbers without the excerpts."""
        classes = tuple(
            replace(answers, surest=_silent(answers.surest), least_sure=_silent(answers.least_sure))
            for answers in self.classes
        )
        return replace(self, classes=classes, to_label=_silent(self.to_label))


def _silent(clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
    return tuple(replace(clip, excerpt=None) for clip in clips)
