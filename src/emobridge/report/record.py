"""What a study found, as one record of flat scores and facts. Whoever ran something fills it in; pages are made of it.

The record of a budget holds many systems: there each fact names the system that it is about by its method, its number
of target labels and its normalisation, spelt as the scores spell them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from emobridge.audit.confound import Confound
from emobridge.audit.findings import Audit
from emobridge.literature.record import Published
from emobridge.report.embedding import Embedding
from emobridge.report.listeners import ListeningFindings
from emobridge.report.target import TargetFindings
from emobridge.scores.base import DIFFERENCE, Estimate
from emobridge.scores.calibration import ReliabilityBin
from emobridge.scores.groups import GroupResult
from emobridge.scores.harm import HarmSign
from emobridge.types import Score, short_repr

SIDES = ("target", "source")  # in the order of tables
STUDY_KINDS = ("adapt", "budget", "audit", "listening")  # of studies; a page for each is in page.SECTIONS


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """One corpus on one side of a study."""

    side: str  # of SIDES
    corpus: str  # the registry's name, or a name that the user gave
    language: str  # BCP 47
    utterances: int
    speakers: int | None  # None where speakers are not known
    hours: float | None  # None where nobody measured
    counts: tuple[tuple[str, int], ...] = ()  # utterances by emotion


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRow:
    """One system of a study, and what it was trained on."""

    method: str
    target_labels: str = "0"  # a number or "all"
    normalise: str = "none"
    align: str = "none"
    head: str = ""
    head_options: tuple[str, ...] = ()
    saw: tuple[str, ...] = ()  # sentences without a full stop: what it was trained and normalised with

    @property
    def normalisation(self) -> str:
        """As the scores spell it."""
        return normalisation_of(self.normalise, self.align)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The score of `method` minus that of `before` on the same utterances, with a paired interval."""

    method: str
    before: str  # a method with the same labels and normalisation: the baseline
    side: str
    estimate: Estimate  # of "UA difference", "CCC arousal difference" ...
    target_labels: str = ""
    normalisation: str = ""

    @property
    def measure(self) -> str:
        """The measure that was subtracted: "UA", "CCC arousal" ..."""
        return self.estimate.measure.removesuffix(DIFFERENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Difference):
    """One measure before and after the last of several stages of `method`.

    `before` is a method that ends where the last stage begins, or the baseline.
    """

    values: tuple[float, float]  # before, after; means over seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFact:
    """One system on one side by the groups of one column."""

    method: str
    side: str
    result: GroupResult
    target_labels: str = ""
    normalisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of one system on one side, summed over seeds."""

    method: str
    side: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # (C, C), rows truth, columns prediction
    target_labels: str = ""
    normalisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapsedSystem:
    """A system whose predictions for one side do not vary, though the truth does."""

    method: str
    side: str
    predictions: str  # "anger for all 320 utterances in 2 of 3 seeds", as `BaseEvaluation.collapsed` has it
    target_labels: str = ""
    normalisation: str = ""


@short_repr
@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How the confidence of some answers goes with how many of them are right."""

    confidence: float  # the mean, in [0, 1]
    error: float  # expected calibration error, in [0, 1]
    curve: tuple[ReliabilityBin, ...]
    coverage: tuple[
        tuple[float, float], ...
    ]  # a share of the answers, the surest first; the share of them that is right


@short_repr
@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The confidence of one system on one side, as it is and with its temperature; answers of all seeds together."""

    method: str
    side: str
    target_labels: str = ""
    normalisation: str = ""
    temperature: float  # of answers to the side; 1 where nothing was held out
    fitted_on: str  # the held-out answers that gave it, in words; "" where there are none
    n: int  # answers: utterances times seeds
    accuracy: float  # in [0, 1]; no temperature changes it
    before: Trust
    after: Trust | None  # by temperatures that saw no answer of the same speaker; None where there is one speaker


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What one stage of one system took, over its fits."""

    method: str
    stage: int  # from 1
    trained: tuple[tuple[str, int], ...]  # weights by what they are in: "head", "encoder", "lora" ...
    weights: int  # of encoder and head, trained or not
    seconds: float  # by the clock, mean over fits
    cpu: float  # s of all threads of the process, mean over fits
    memory: float  # MB, the most of any fit; 0 is not known
    target_labels: str = ""
    normalisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Whether one system is better than another with the same normalisation: a paired test and Welch's."""

    side: str
    measure: str
    normalisation: str
    better: str  # the method with the higher mean
    better_labels: str  # its number of target labels
    worse: str
    worse_labels: str
    difference: float  # over all utterances, the mean over seeds
    low: float  # of its 95 % interval, paired by speaker
    high: float
    p: float | None  # two-sided, paired by speaker; None where that cannot be judged
    welch_p: float  # one-tailed, over seeds x subsets, as published; NaN where neither varies
    values: int  # of each in Welch's test: seeds x subsets
    subsets: int
    drawn: str  # "by speakers" or "by utterances"


@dataclass(frozen=True, slots=True)
class Floor:
    """What a side of the study gives away without any recogniser: UA from loudness and length."""

    side: str
    confound: Confound


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One loss term (or validation value) at the end of one epoch."""

    run: str  # what one line of the plot is: "pseudo-labels, seed 0"
    epoch: int
    term: str  # "cross-entropy", "coral", "validation UA" ...
    value: float


@dataclass(frozen=True, slots=True)
class LayerScore:
    """What one encoder layer scores on held-out speakers of the source; no target label enters the choice."""

    layer: str
    value: float  # UA in [0, 1]
    chosen: bool = False


@short_repr
@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """All that the page of one study says. A field at its default leaves its section out."""

    kind: str  # of STUDY_KINDS
    name: str  # the title of the page
    command: str  # that makes the study again
    created: str  # ISO 8601

    labels: tuple[str, ...] = ()  # the emotions that are told apart
    attributes: tuple[str, ...] = ()  # that are regressed
    synthetic: bool = False  # any speech was made by a synthesiser
    constructed: bool = False  # attributes were computed from the audio: see data.constructed
    corpora: tuple[CorpusRow, ...] = ()
    held_out: str = ""  # one sentence: how the scored utterances were kept apart

    scores: tuple[Score, ...] = ()
    label_free_scores: tuple[Score, ...] = ()  # that no label entered: they stand in scores.json, and in no table
    harm: HarmSign | None = None  # of `method`; None where it adapts to no unlabelled audio
    intervals_over: str = "speakers"  # what intervals take as independent: see `BaseEvaluation.intervals_over`
    systems: tuple[SystemRow, ...] = ()
    method: str = ""  # the one system that the headline of "adapt" is about
    baseline: str = "source-only"  # the method that others are compared with
    differences: tuple[Difference, ...] = ()
    changes: tuple[Change, ...] = ()
    contests: tuple[Contest, ...] = ()
    by_group: tuple[GroupFact, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    item_confusions: tuple[Confusion, ...] = ()  # of what is kept apart, summed over the models of all folds
    collapsed: tuple[CollapsedSystem, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    temperatures: tuple[str, ...] = ()  # of the bundle, in words, each with what it was fitted on
    costs: tuple[CostRow, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    test_space: Embedding | None = None  # what traced systems see of the scored utterances of both sides
    largest_budget: int | None = None  # target labels that the training speakers of every fold have

    layer_choice: tuple[LayerScore, ...] = ()
    layer_normalisation: str = ""  # of the features whose layers were compared
    encoder_trained: bool = False  # its features change with each fit, and none are stored
    space: Embedding | None = None
    target: TargetFindings | None = None  # of the final recogniser of "adapt"

    listening: ListeningFindings | None = None
    audit: Audit | None = None
    floors: tuple[Floor, ...] = ()
    published: tuple[Published, ...] = ()
    warnings: tuple[str, ...] = ()  # shown under the headline
    missing: tuple[str, ...] = ()  # what a published study has and this one has not, and why
    choices: tuple[str, ...] = ()  # what a published study leaves open, and what was chosen here
    skipped: tuple[str, ...] = ()  # one line a file that could not be read
    settings: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    bundle: str = ""  # its folder
    bundle_method: str = ""  # the method of the system in it: `method`, or the baseline
    bundle_reason: str = ""  # why it is that one: the end of "the bundle holds ...: "

    @property
    def is_scored(self) -> bool:
        """Whether any score is of the target; without labels of it there is none."""
        return any(row.side == "target" for row in self.scores)

    def without_media(self) -> StudyRecord:
        """The record as JSON holds it: without the drawing of the feature space and the excerpts of recordings."""
        space, target, test_space = self.space, self.target, self.test_space
        return replace(
            self,
            space=space and space.without_points(),
            test_space=test_space and test_space.without_points(),
            target=target and target.without_audio(),
        )


def normalisation_of(normalise: str, align: str) -> str:
    """Normalisation and alignment in one word, as scores spell them.

    >>> normalisation_of("none", "coral"), normalisation_of("speaker", "none")
    ('none+coral', 'speaker')
    """
    return normalise if align == "none" else f"{normalise}+{align}"
