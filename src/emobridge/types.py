"""The records that flow through emobridge.

    audio file -> Utterance -> Layers -> logits -> loss -> Bundle -> Prediction -> Score -> report

Most can be made and read without torch; `Layers` and `Frames` hold tensors.
Times are in seconds, rates in Hz.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_RATE = 16_000  # Hz, of every waveform after data.audio has read it
ATTRIBUTES = ("arousal", "valence", "dominance")  # in this order wherever they stand in one row
MOST_SHOWN = 40  # characters of a value in a short repr
Class = TypeVar("Class", bound="type[Any]")


def short_repr(record: Class) -> Class:
    """A decorator of dataclasses that hold much: their repr is a line with the sizes of their parts, not the parts.

    >>> @short_repr
    ... @dataclass
    ... class Heap:
    ...     name: str
    ...     rows: tuple[int, ...]
    >>> Heap("a", tuple(range(1000)))
    Heap(name='a', rows=<1000>)
    """

    def __repr__(self: Any) -> str:
        parts = (f"{field.name}={_shown(getattr(self, field.name))}" for field in fields(self) if field.repr)
        return f"{type(self).__name__}({', '.join(parts)})"

    record.__repr__ = __repr__  # type: ignore[assignment]
    return record


def _shown(value: Any) -> str:
    """A plain value as it is where it is short, the shape of an array, the size of a collection, or the class."""
    if value is None or isinstance(value, (bool, int, float, str)):
        text = repr(value)
        return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
    if hasattr(value, "shape"):
        return f"<{' x '.join(map(str, value.shape)) or 'number'}>"
    if not isinstance(value, Collection):
        return f"<{type(value).__name__}>"
    plain = len(value) <= 6 and all(isinstance(item, (str, int, float)) for item in value)
    return text if plain and len(text := repr(value)) <= 2 * MOST_SHOWN else f"<{len(value)}>"


@dataclass(frozen=True, slots=True)
class Range:
    """The lowest and the highest rating that a scale of attributes allows."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"


SCALE = Range(-1.0, 1.0)  # a model learns attributes on this scale, whatever scale the corpus uses


@dataclass(frozen=True, slots=True)
class Utterance:
    """One row of a manifest: a stretch of speech and its labels."""

    id: str
    corpus: str
    path: str  # of the audio file; relative paths are relative to the manifest's folder
    start: float = 0.0  # s
    end: float | None = None  # s; None is the end of the file
    language: str = "und"  # BCP 47; "und" is undetermined
    speaker: str | None = None  # unique within the corpus
    emotion: str | None = None  # of data.labels.EMOTIONS; None is unlabelled
    arousal: float | None = None
    valence: float | None = None
    dominance: float | None = None
    split: str | None = None  # "train", "validation" or "test" where the corpus predefines them
    text: str | None = None
    phones: str | None = None  # path of a phone alignment
    gender: str | None = None  # of the speaker: "female", "male" ...
    naturalness: str | None = None  # of the emotion: "acted", "elicited" or "natural"
    channel: int | None = None  # of the file's channels, from 0; None is the mean of all
    age: float | None = None  # of the speaker, in years
    extra: tuple[tuple[str, str], ...] = ()  # further columns by name, sorted: ("site", "Berlin") ...


TOY_PREFIX = "toy-"  # how the name of a corpus begins that `recipe run --toy` fabricated in the place of a real one
SPEECH_PREFIX = "speech_"  # how the names of statistics begin that are taken over frames with speech alone


@short_repr
@dataclass(frozen=True, slots=True)
class Layers:
    """The output of an encoder: L layers of F frames of width D for B utterances."""

    hidden: Tensor  # (L, B, F, D) float32
    mask: Tensor  # (B, F) bool, True on frames of the clip
    frame_rate: float  # Hz; 0 where an encoder yields one frame a clip
    speech: Tensor | None = None  # (B, F) bool: frames in which somebody speaks; None where nobody asks for them
    over_speech: bool = False  # whether statistics are taken over these frames alone

    @property
    def pooled(self) -> Tensor:
        """(B, F) bool: the frames of the clip that statistics are taken over, but for those that name the speech."""
        return self.speech if self.over_speech and self.speech is not None else self.mask

    @property
    def spoken(self) -> Tensor:
        """(B, F) bool: the frames in which somebody speaks; all of the clip where they are not told."""
        return self.mask if self.speech is None else self.speech


@short_repr
@dataclass(frozen=True, slots=True)
class Frames:
    """One layer of B utterances, for heads that need single frames."""

    hidden: Tensor  # (B, F, D) float32
    mask: Tensor  # (B, F) bool, True on frames of the clip

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, rows: Tensor) -> Frames:
        return Frames(self.hidden[rows], self.mask[rows])


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer of a recogniser for one stretch of audio, or the reason why there is none."""

    id: str
    start: float  # s
    end: float  # s
    labels: tuple[str, ...]  # in the bundle's order; () of a recogniser of attributes alone
    probabilities: tuple[float, ...]  # one for each label, they sum to 1; () where nothing was answered
    attributes: tuple[float, ...] | None = None  # on the recogniser's scale, not clipped to it
    attribute_names: tuple[str, ...] = ()  # of `attributes`, in their order
    path: str = ""  # of the audio file
    channel: int | None = None  # of the file's channels, from 0; None is the mean of all
    language: str = "und"  # BCP 47 of the speech; "und" is undetermined
    answered_by: str = ""  # the language of the branch that answered, or how several were mixed
    statistics: str = ""  # what the features were standardised by, such as "corpus" or "speaker (12 utterances)"
    unfamiliarity: float | None = None  # from 0: 0.5 is typical, 1 is as far as 5 % of held-out training speech
    reason: str = ""  # why there is no label: no speech, too short, not finite, unsure; "" where there is one

    @property
    def label(self) -> str | None:
        """The most probable label; the first of equally probable ones, as argmax. None where there is a `reason`."""
        if self.reason or not self.probabilities:
            return None
        return self.labels[self.probabilities.index(max(self.probabilities))]

    @property
    def confidence(self) -> float | None:
        """The probability of the most probable label; None where nothing was answered."""
        return max(self.probabilities, default=None)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time with one emotion, of a reference, of a listener or of a model. Checked when it is made.

    Errors: ValueError for times that are not finite, before 0, or whose end does not lie after the start.
    """

    start: float  # s
    end: float  # s
    emotion: str  # of data.labels.EMOTIONS
    confidence: float | None = None  # from 0 to 1; None where nobody stated it

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < float("inf"):
            raise ValueError(f"segment of {self.emotion} from {self.start} to {self.end} s")

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Score:
    """One number of a run: a flat row of `scores.json`, the same for every command that scores."""

    run: str
    method: str
    encoder: str
    layer: str
    normalisation: str
    source: str  # corpora, joined by "+"
    target: str
    target_labels: str  # how many labelled target utterances the method saw: a number or "all"
    seed: str  # a number, or "all" for the mean over seeds
    split: str
    side: str  # "source" or "target"
    measure: str  # "UA", "WA", "F1 macro", "recall anger", "recall speaker f1", "group UA gender=male" ...
    labels: str  # the label set (of CCC the attributes) it was computed over, joined by ","
    value: float  # in [0, 1]; CCC and gaps of shares in [-1, 1]
    low: float  # of the 95 % interval
    high: float
    n: int  # utterances
    head: str = ""  # "single", "linear" ...; "" where it was not recorded
    setting: str = ""  # of a layer-wise study: "mono", "trans", "cross", "other"; "" elsewhere
    # Of `evaluate`: what of the scored utterances the recogniser knew, the gravest of bundle.training_speech.EXPOSURES
    # ("trained on" ... "none"), or "not recorded"; "" elsewhere, where `split` says how the scored were held out.
    seen: str = ""


def person(utterance: Utterance) -> str | None:
    """Who speaks: the corpus and the speaker's name in it; None where the speaker is not known."""
    return None if utterance.speaker is None else f"{utterance.corpus}\0{utterance.speaker}"


def person_labels(utterances: Sequence[Utterance]) -> tuple[str | None, ...]:
    """How the `person` of each utterance is shown: the speaker's name, after the corpus where there are several.

    >>> rows = [Utterance("1", "emodb", "1.wav", speaker="03"), Utterance("2", "emovo", "2.wav", speaker="03")]
    >>> person_labels(rows[:1]), person_labels(rows)
    (('03',), ('emodb 03', 'emovo 03'))
    """
    several = len({utterance.corpus for utterance in utterances}) > 1
    return tuple(
        f"{utterance.corpus} {utterance.speaker}" if several and utterance.speaker is not None else utterance.speaker
        for utterance in utterances
    )
