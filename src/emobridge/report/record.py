"""What a report is made of. Filled in by whoever ran something; read by the pages, the plots and the model card."""

from __future__ import annotations

from dataclasses import dataclass

from emobridge.audit.confound import Confound
from emobridge.audit.findings import Finding
from emobridge.literature.published import Published
from emobridge.report.changes import Change
from emobridge.report.embedding import Embedding
from emobridge.scores.base import Estimate
from emobridge.training.cost import Cost
from emobridge.types import Score


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """One corpus on one side of a run."""

    side: str  # "source" or "target"
    corpus: str  # the registry's name, or a name that the user gave
    language: str  # BCP 47
    utterances: int
    speakers: int | None  # None where speakers are not known
    hours: float | None  # None where nobody measured
    counts: tuple[tuple[str, int], ...] = ()  # utterances by emotion


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of one system on one side, summed over seeds."""

    side: str
    method: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # (C, C), rows truth, columns prediction


@dataclass(frozen=True, slots=True)
class Difference:
    """`after` minus `before` on the same utterances, as `Evaluation.difference` gives it."""

    side: str
    before: str  # methods
    after: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One loss term (or validation value) at the end of one epoch."""

    run: str  # what one line of the plot is: "pseudo-labels, seed 0"
    epoch: int
    term: str  # "cross-entropy", "coral", "validation UA" ...
    value: float


@dataclass(frozen=True, slots=True)
class LayerScore:
    """What one encoder layer scores on source validation: no target label enters the choice."""

    layer: str
    value: float  # UA in [0, 1]
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """One method among those that a validator chose from, without target labels."""

    method: str
    judged: tuple[tuple[str, float], ...]  # by validator; higher is better
    ua: float | None  # on the target, in [0, 1]: what the validators did not see; None where it has no labels
    chosen: bool


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All that a report of one run says. The defaults leave their section out."""

    name: str
    command: str
    created: str  # ISO 8601
    method: str  # the adapted system that the verdict speaks of
    labels: tuple[str, ...]
    synthetic: bool  # any speech of the run was made by a synthesiser
    corpora: tuple[CorpusRow, ...]
    saw: tuple[str, ...]  # plain sentences: what the method was handed
    held_out: str  # one sentence: how the scored utterances were kept apart
    scores: tuple[Score, ...]
    baseline: str = "source-only"  # the method that the verdict compares with
    resampled: str = "speakers"  # what the intervals draw: "speakers" or "utterances"
    differences: tuple[Difference, ...] = ()
    attributes: tuple[str, ...] = ()  # that were learnt
    attribute_differences: tuple[Difference, ...] = ()  # of CCC
    constructed: bool = False  # attributes of the run were computed from the audio: see data.constructed
    confusions: tuple[Confusion, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    changes: tuple[Change, ...] = ()  # by the last of several stages
    costs: tuple[Cost, ...] = ()  # of each stage of each fit
    layer_choice: tuple[LayerScore, ...] = ()
    candidates: tuple[CandidateRow, ...] = ()
    validator: str = ""  # that chose among the candidates
    space: Embedding | None = None
    findings: tuple[Finding, ...] = ()
    confounds: tuple[Confound, ...] = ()
    warnings: tuple[str, ...] = ()  # shown under the verdict
    published: tuple[Published, ...] = ()
    skipped: tuple[str, ...] = ()  # one line a file that could not be read
    settings: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    bundle: str | None = None  # its folder
