"""What a listening test found: listeners by group and language, models on the same items, and tests between them."""

from __future__ import annotations

from dataclasses import dataclass

from emobridge.languages import language_name
from emobridge.scores.agreement import Agreement
from emobridge.scores.effect import Effect
from emobridge.scores.paired import Mean

LISTENER_SETTINGS = {"mono": "natives", "cross": "non-natives", "trans": "second language"}  # what a listener is
MODEL_SETTINGS = {  # Han et al. 2025, of a model of one language; listeners of the same setting are its counterpart
    "mono": "trained and tested on the encoder's language",
    "cross": "trained on the encoder's language, tested on another",
    "trans": "trained and tested on another language than the encoder's",
}
IntegerMatrix = tuple[tuple[int, ...], ...]  # (C, C), rows truth, columns answers


def heard_name(language: str) -> str:
    """The English name of a language that items are in; a dialect has its tag beside.

    >>> heard_name("de"), heard_name("zh-x-tianjin"), heard_name("und")
    ('German', 'Chinese (zh-x-tianjin)', 'the items')
    """
    if language == "und":
        return "the items"
    return f"{language_name(language)} ({language})" if "-" in language else language_name(language)


def group_name(who: str) -> str:
    """A group as people say it.

    >>> group_name("listeners, native de"), group_name("listeners, musicians"), group_name("listeners")
    ('native German', 'musicians', 'listeners')
    """
    name = who.removeprefix("listeners, ")
    return f"native {language_name(name.removeprefix('native '))}" if name.startswith("native ") else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The stretches that listeners of one cell marked as carrying the emotion most."""

    marked: int  # answers with a marked stretch
    unmarked: int  # answers other than neutral without one
    overlap: Mean  # mean over items of the mean overlap of two listeners, shared time / time of either, in [0, 1]
    eder: Mean  # over listeners, each the mean over utterances; NaN where the truth has no stretches
    pooled: float  # EDER of all utterances of all listeners together
    parts: tuple[tuple[str, float], ...]  # of `pooled`: shares of the time, by the name of the part
    by_emotion: tuple[tuple[str, Mean], ...]  # EDER over listeners


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerCell:
    """Listeners of one group who hear one language, in one relation to it."""

    who: str  # "listeners, native de", "listeners, musicians", or "listeners"
    language: str  # BCP 47, as items are grouped
    setting: str  # of LISTENER_SETTINGS; "" where a language is not known
    listeners: tuple[str, ...]  # numbers such as "L03", of those with a UA
    values: tuple[float, ...]  # UA of each
    mean: Mean  # of `values`
    labels: tuple[str, ...]
    counts: IntegerMatrix  # of all answers
    items: int  # that were heard
    kappa: Agreement
    alpha: Agreement
    marks: Marks | None = None

    @property
    def group(self) -> str:
        """Who they are, as `group_name` has it."""
        return group_name(self.who)

    @property
    def name(self) -> str:
        """In a few words, with the relation where group and language do not tell it; no two cells have the same."""
        is_told = not self.setting or (self.who.startswith("listeners, native ") and self.setting != "trans")
        return f"{self.group if is_told else self.full_group} on {heard_name(self.language)}"

    @property
    def full_group(self) -> str:
        """The group with its relation to the language: "native German (natives)"."""
        return f"{self.group} ({LISTENER_SETTINGS[self.setting]})" if self.setting else self.group


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCell:
    """A model on the items of one language."""

    name: str
    language: str
    setting: str  # of MODEL_SETTINGS; "" where it was not named
    labels: tuple[str, ...]
    counts: IntegerMatrix  # summed over fold models
    ua: float
    low: float  # of the 95 % interval over the items' speakers; NaN where only counts are known
    high: float
    n: int  # items that all its models answered
    folds: int
    missing: int  # items of the language that not all its models answered


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTest:
    """A two-sided test between two cells."""

    test: str  # "Welch" or "paired"
    first: str  # names of cells
    second: str
    difference: float  # first minus second, in UA
    low: float
    high: float
    t: float
    freedom: float
    p: float
    corrected: float  # after Holm; NaN of a test outside the family
    effect: Effect  # Hedges' g, or d_z of a paired test
    counts: tuple[int, int]  # listeners on either side
    is_in_family: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRow:
    """One listener, without anything that says who it is."""

    number: str  # "L03"
    who: str
    state: str
    answers: int  # to items
    failed: int  # attention checks
    checks: int
    excluded: str  # why; "" of a listener who counts
    values: tuple[tuple[str, float], ...]  # UA by language; NaN where an emotion was not answered


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningFindings:
    """All that the page of a listening test says."""

    emotions: tuple[str, ...]  # that listeners chose from
    cells: tuple[ListenerCell, ...]
    models: tuple[ModelCell, ...] = ()
    tests: tuple[ListenerTest, ...] = ()
    rows: tuple[ListenerRow, ...] = ()
    rules: tuple[str, ...] = ()  # how answers were scored, a sentence each
    notes: tuple[str, ...] = ()  # what was left out of the answers

    @property
    def chance(self) -> float:
        """The UA of guessing."""
        return 1 / len(self.emotions)

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of the cells, in their order."""
        return tuple(dict.fromkeys(cell.language for cell in self.cells))

    @property
    def excluded(self) -> dict[str, int]:
        """Numbers of listeners by the reason why they do not count."""
        counts: dict[str, int] = {}
        for row in self.rows:
            if row.excluded:
                counts[row.excluded] = counts.get(row.excluded, 0) + 1
        return counts
