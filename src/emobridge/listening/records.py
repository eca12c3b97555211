"""The records of a listening test: what is heard, who listens, and what they answer.

manifests -> ListeningStudy (items) -> server -> Listener, Response -> results
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ITEM_KINDS = ("item", "practice", "attention")  # of items


@dataclass(frozen=True, slots=True)
class ListeningItem:
    """A recording that listeners judge. What it is must not show in what a browser gets."""

    id: str  # of lower-case letters and digits, drawn by the study's seed
    audio: str  # name of a file in the folder `audio` of the study
    seconds: float  # length of that file
    emotion: str  # that it was meant as; of an attention check, the answer that it asks for
    kind: str = "item"  # of ITEM_KINDS
    language: str = "und"  # BCP 47
    corpus: str = ""
    speaker: str | None = None
    utterance: str = ""  # id in the manifest that it was drawn from
    segment: tuple[float, float] | None = None  # s in the file: where the emotion is heard, if that is known


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the questionnaire; its text stands in the message catalogue under `question.NAME`."""

    name: str  # "native", "languages", "english", "age", "gender", "headphones" ...
    kind: str  # "choice", "language", "languages", "number"
    choices: tuple[str, ...] = ()  # values of a choice; their texts stand under `choice.NAME.VALUE`
    required: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of screening: who answers `question` with something else is thanked and takes no part."""

    question: str
    operator: str  # "in", "not in", "at least", "includes", "excludes"
    value: tuple[str, ...] | float
    group: str = ""  # only of listeners in this group; "" is everybody


@dataclass(frozen=True, slots=True)
class ListeningStudy:
    """A listening test, as the study file describes it."""

    name: str
    seed: int
    emotions: tuple[str, ...]  # that listeners choose from
    items: tuple[ListeningItem, ...]  # of all kinds
    interface: tuple[str, ...] = ("en", "de", "it", "zh")  # languages of the pages
    questions: tuple[Question, ...] = ()
    rules: tuple[Rule, ...] = ()
    wants_segment: bool = True  # whether a listener marks the one stretch that carries the emotion most
    wants_confidence: bool = False
    block: int = 16  # items between two breaks; each block holds as many of each emotion and language as may be
    title: Mapping[str, str] = field(default_factory=dict)  # by language of the interface
    consent: Mapping[str, str] = field(default_factory=dict)  # by language; "" takes the catalogue's text


@dataclass(frozen=True, slots=True)
class Listener:
    """Somebody who takes part. Nothing in it says who that is."""

    id: str  # drawn at random; not the secret that the browser holds
    interface: str = "en"  # language of the pages
    native: str = ""  # BCP 47
    group: str = ""  # what results compare: by default the native language
    answers: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)  # to the questionnaire, by question
    state: str = "active"  # "active", "finished", "screened out", "withdrawn"


@dataclass(frozen=True, slots=True)
class Response:
    """What one listener answered to one item."""

    listener: str
    item: str
    emotion: str
    segment: tuple[float, float] | None = None  # s
    confidence: float | None = None  # from 0 to 1
    plays: int = 0  # how often it was played
    seconds: float = 0.0  # from the page to the answer
    position: int = 0  # of the item in the listener's order, from 0
