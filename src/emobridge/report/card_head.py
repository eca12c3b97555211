"""The YAML head of a model card, as model hubs read it: languages, licence, tags, and scores as a model index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from emobridge.report.blocks import bounds
from emobridge.report.record import StudyRecord
from emobridge.report.systems import scored_systems
from emobridge.scores.measures.base import leading_measure, measure_of

HUB_METRICS = {  # the hub's name of a measure, and ours in words
    "UA": ("recall", "UA, mean recall over the labels"),
    "WA": ("accuracy", "WA, accuracy"),
    "F1 macro": ("f1", "F1, macro average"),
    "EDER": ("eder", "EDER, emotion diarization error rate"),
}
TASK = {"type": "audio-classification", "name": "Speech emotion recognition"}
YAML_HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class IndexedScore:
    """A score as a model index has it: the mean over seeds."""

    measure: str  # "UA", "CCC arousal" ...
    dataset: str  # the corpora that it was scored on, joined by "+"
    value: float  # in the measure's range
    low: float  # of the 95 % interval; NaN where there is none
    high: float

    def metric(self) -> dict[str, Any]:
        """As the hub reads it: the interval stands in the name, for the hub has no place of its own for it."""
        kind, name = HUB_METRICS.get(self.measure, (self.measure.split()[0].lower(), self.measure))
        unit = measure_of(self.measure).unit
        interval = bounds(self.measure, self.low, self.high) + (f" {unit}" if unit and self.low == self.low else "")
        about = f"{name}; 95 % interval: {interval}"
        return {"type": kind, "name": about, "value": round(self.value, 4)}


def card_head(languages: Iterable[str], name: str = "", results: Sequence[Mapping[str, Any]] = ()) -> str:
    """The head between its lines of dashes. The corpora decide the licence: the card names theirs.

    name: of the model in the index. results: of `index_results`; none leaves the index out.
    """
    known = sorted(set(languages) - {"und"})
    facts: dict[str, Any] = {"language": known} if known else {}
    facts |= {"license": "other", "tags": ["speech-emotion-recognition", "emobridge"], "library_name": "emobridge"}
    facts |= {"pipeline_tag": TASK["type"]}
    if results:
        facts["model-index"] = [{"name": name, "results": [dict(result) for result in results]}]
    text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---"


def index_results(scores: Iterable[IndexedScore]) -> list[dict[str, Any]]:
    """The results of a model index: one for each dataset, with its metrics."""
    metrics: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        metrics.setdefault(score.dataset, []).append(score.metric())
    return [{"task": dict(TASK), "dataset": _dataset(name), "metrics": rows} for name, rows in metrics.items()]


def indexed_scores(record: StudyRecord) -> list[IndexedScore]:
    """The scores of the recogniser in the bundle on held-out speech of the target; none where that has no labels."""
    method, ccc = record.bundle_method or record.method, leading_measure("attributes").name
    system = next((row for row in scored_systems(record) if row.method == method and row.side == "target"), None)
    if system is None:
        return []
    measures = [*HUB_METRICS, *(f"{ccc} {name}" for name in record.attributes)]
    rows = [row for name in measures if (row := system.mean(name)) is not None and row.value == row.value]
    return [IndexedScore(row.measure, row.target, row.value, row.low, row.high) for row in rows]


def results_in(card: str) -> list[dict[str, Any]]:
    """The results in the index of a card; none where it has no index, or a head that cannot be read."""
    try:
        facts = yaml.safe_load(match[1]) if (match := YAML_HEAD.match(card)) else {}
        return [dict(result) for entry in facts.get("model-index", []) for result in entry["results"]]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return []


def _dataset(name: str) -> dict[str, str]:
    kind = re.sub(r"[^\w+]+", "-", name).strip("-").lower()
    return {"type": kind or "speech", "name": name}
